//! What is known of a worker, for people. Pure.

use super::permission::{self, Permission};
use crate::plan::name::{Uid, WorkerName};

/// What is known of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing yet.
    Connecting,
    /// Reached, verified, watched.
    Up(Contact),
    /// It cannot be used, for this reason.
    Down(Trouble),
}

/// A worker that was reached and is who it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The UID of its kube-system namespace.
    pub identity: Uid,
    /// The version of its API server.
    pub version: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// What its credentials may do.
    pub rights: Rights,
    /// Why the credentials that are registered now cannot be used, while those from before serve on.
    pub doubt: Option<Trouble>,
    /// Why it did not answer just now. Decisions take it for Unknown already; it is told to be down when it goes on.
    pub suspicion: Option<Trouble>,
}

/// What a worker's API server, or whatever stands before it, speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Everything over one connection, which is asked whether it is still there.
    Http2,
    /// A connection for each watch; one that dies in silence is noticed when its watch should have ended.
    Http1,
}

impl Protocol {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http2 => "HTTP/2",
            Self::Http1 => "HTTP/1.1",
        }
    }
}

impl Contact {
    /// One whose credentials may do everything, over HTTP/2.
    #[must_use]
    pub fn new(identity: Uid, version: impl Into<String>) -> Self {
        let (protocol, rights) = (Protocol::Http2, Rights::Sufficient);
        Self { identity, version: version.into(), protocol, rights, doubt: None, suspicion: None }
    }
}

/// What our credentials may do in a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// All that Atoll makes use of.
    Sufficient,
    /// These are lacking.
    Lacking(Vec<Permission>),
    /// The API server does not say, for this reason.
    Unchecked(String),
}

impl Rights {
    /// What is lacking that `former` did not lack.
    #[must_use]
    pub fn lost_since(&self, former: &Self) -> Vec<Permission> {
        let Self::Lacking(lacking) = self else { return Vec::new() };
        let before = match former {
            Self::Lacking(before) => before.as_slice(),
            Self::Sufficient | Self::Unchecked(_) => &[],
        };
        lacking.iter().filter(|permission| !before.contains(permission)).copied().collect()
    }
}

/// Says which permissions are lacking, and where the role is that has them.
#[must_use]
pub fn lacking(permissions: &[Permission]) -> String {
    format!(
        "the credentials lack permissions: {}. deploy/worker-role.yaml has the role; what is granted is noticed within \
         an hour, or at once when Atoll is restarted or the kubeconfig changes",
        permission::list(permissions)
    )
}

/// Why a worker cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The kubeconfig is missing, broken, or asks for what Atoll refuses.
    #[error("{0}")]
    InvalidKubeconfig(String),
    /// The Secret is missing, or lacks the key.
    #[error("{0}")]
    SecretNotFound(String),
    /// Atoll may not read Secrets there.
    #[error(
        "Atoll reads kubeconfig Secrets in its own namespace and in those listed as secretNamespaces; \
         {0:?} is neither: move the Secret, or list the namespace"
    )]
    SecretNotPermitted(String),
    /// It does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// What answers does not prove to be its API server.
    #[error("{0}")]
    Untrusted(String),
    /// Its kubeconfig leads to an address that is not dialled.
    #[error("the kubeconfig's server is not dialled: {0}")]
    AddressRefused(String),
    /// It answers that it cannot answer: it has too much to do, or something behind it fails.
    #[error("{0}")]
    Overloaded(String),
    /// It does not accept the credentials.
    #[error("{0}")]
    Unauthorized(String),
    /// It accepts the credentials, but they may not do what is needed.
    #[error("{0}")]
    Forbidden(String),
    /// The credentials lead to another cluster than before.
    #[error(
        "these credentials lead to another cluster (kube-system UID {found}) than the one registered under this name \
         ({pinned}), so nothing is written there. If that is meant, annotate the K8sCluster with \
         atoll.dev/accept-identity={found}; members in the old cluster then count as lost"
    )]
    IdentityChanged {
        /// What it was.
        pinned: Uid,
        /// What it is.
        found: Uid,
    },
    /// Another registration of the same cluster came first.
    #[error("this is the same cluster as K8sCluster {0}, which serves it; use that name, and delete this registration")]
    DuplicateOf(WorkerName),
    /// The Secret no longer has this context.
    #[error("{0}")]
    ContextNotFound(String),
}

impl Trouble {
    /// `CamelCase`, bounded.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidKubeconfig(_) => "InvalidKubeconfig",
            Self::SecretNotFound(_) => "SecretNotFound",
            Self::SecretNotPermitted(_) => "SecretNotPermitted",
            Self::Unreachable(_) => "Unreachable",
            Self::Untrusted(_) => "CertificateNotTrusted",
            Self::AddressRefused(_) => "AddressRefused",
            Self::Overloaded(_) => "Overloaded",
            Self::Unauthorized(_) => "Unauthorized",
            Self::Forbidden(_) => "Forbidden",
            Self::IdentityChanged { .. } => "IdentityChanged",
            Self::DuplicateOf(_) => "DuplicateOf",
            Self::ContextNotFound(_) => "ContextNotFound",
        }
    }

    /// Whether it may pass by itself; anything else has to be mended by somebody.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Overloaded(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_former_credentials_could_do_counts_as_lost() {
        let pods = |verb| Permission { verb, group: "", resource: "pods", subresource: "" };
        let (get, list) = (pods("get"), pods("list"));
        for (now, former, lost) in [
            (Rights::Sufficient, Rights::Lacking(vec![get]), vec![]),
            (Rights::Lacking(vec![get]), Rights::Sufficient, vec![get]),
            (Rights::Lacking(vec![get, list]), Rights::Lacking(vec![list]), vec![get]),
            (Rights::Unchecked("no".to_owned()), Rights::Sufficient, vec![]),
        ] {
            assert_eq!(now.lost_since(&former), lost);
        }
    }
}
