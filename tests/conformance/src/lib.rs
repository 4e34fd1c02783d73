//! The same requests to the simulated and to a real kube-apiserver give the same answers.
//!
//! [`generate`] writes random sequences of requests, [`run`] plays one to each [`side`], [`normalise`] takes out what
//! must differ, [`compare`] says what else does, and [`accepted`] holds, with reasons, what may. [`shrink`] leaves
//! out of a sequence whatever its difference does not need. [`campaign`] does all that many times.

pub mod accepted;
pub mod campaign;
pub mod compare;
pub mod dice;
pub mod generate;
pub mod guest;
pub mod kinds;
pub mod normalise;
pub mod real;
pub mod run;
pub mod scripts;
pub mod show;
pub mod shrink;
pub mod side;
pub mod simulated;
pub mod step;

/// Why a comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The servers could not be started.
    #[error(transparent)]
    Lab(#[from] lab::Error),
    /// A request was not answered.
    #[error("no answer to {0}: {1}")]
    Unanswered(String, String),
    /// A request could not be written.
    #[error("no request: {0}")]
    Http(#[from] http::Error),
    /// A server does not do what it must before anything can be compared.
    #[error("{0}")]
    Server(String),
}

/// The definitions of Atoll's resources, and of one that has everything a schema can have.
pub fn crds() -> Vec<serde_json::Value> {
    let texts = [
        include_str!("../../../crds/k8sclusters.k8s.oceanbase.com.yaml"),
        include_str!("../../../crds/clusters.apps.kubeblocks.io.yaml"),
        include_str!("things.yaml"),
    ];
    // A test reads them all.
    texts.into_iter().filter_map(|text| serde_saphyr::from_str(text).ok()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_definitions_can_be_read() {
        assert_eq!(super::crds().len(), 3);
    }
}
