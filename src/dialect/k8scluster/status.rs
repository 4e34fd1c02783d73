//! From a worker's health to the conditions of its `K8sCluster`. Pure.

use jiff::Timestamp;

use super::crd::K8sClusterStatus;
use crate::plan::{
    name::{Uid, WorkerName},
    report::{Condition, Truth, merge_conditions},
};

/// What is known of a worker, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing yet.
    Connecting,
    /// Reached, verified, watched.
    Ready {
        /// The UID of its kube-system namespace.
        identity: Uid,
        /// The version of its API server.
        version: String,
        /// Why the credentials that are registered now cannot be used, while those from before serve on.
        doubt: Option<Trouble>,
    },
    /// It cannot be used, for this reason.
    NotReady(Trouble),
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
    /// Its kubeconfig leads to an address that is not dialled.
    #[error("the kubeconfig's server is not dialled: {0}")]
    AddressRefused(String),
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
            Self::AddressRefused(_) => "AddressRefused",
            Self::Unauthorized(_) => "Unauthorized",
            Self::Forbidden(_) => "Forbidden",
            Self::IdentityChanged { .. } => "IdentityChanged",
            Self::DuplicateOf(_) => "DuplicateOf",
            Self::ContextNotFound(_) => "ContextNotFound",
        }
    }
}

/// The status that tells this health. Equal to `standing` when there is nothing new to tell, so that nothing is
/// written at rest.
#[must_use]
pub fn status(standing: &K8sClusterStatus, health: &Health, generation: i64, now: Timestamp) -> K8sClusterStatus {
    let ready = match health {
        // Nothing to tell yet. What stands, stands: a restart of Atoll is no news about the worker.
        Health::Connecting => return standing.clone(),
        Health::Ready { version, .. } => {
            condition(READY, Truth::True, "Connected", format!("reached, verified and watched; Kubernetes {version}"))
        }
        Health::NotReady(trouble) => condition(READY, Truth::False, trouble.reason(), trouble.to_string()),
    };
    let mut told = vec![ready];
    if let Health::Ready { doubt: Some(trouble), .. } = health {
        let message = format!("the credentials from before are still in use: {trouble}");
        told.push(condition(CURRENT, Truth::False, trouble.reason(), message));
    }
    let mut status = K8sClusterStatus {
        conditions: merge_conditions(&standing.conditions, &told, generation, now),
        ..standing.clone()
    };
    if let Health::Ready { identity, version, .. } = health {
        status.identity = Some(identity.to_string());
        status.version = Some(version.clone());
    }
    status
}

/// Whether members can be placed and changed there.
const READY: &str = "Ready";
/// Told only when it is false: the registration has changed to something that cannot be used.
const CURRENT: &str = "CredentialsCurrent";

fn condition(kind: &'static str, status: Truth, reason: &'static str, message: String) -> Condition {
    Condition { kind, status, reason, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(doubt: Option<Trouble>) -> Health {
        Health::Ready { identity: Uid::from("uid"), version: "v1.34.4".to_owned(), doubt }
    }

    #[test]
    fn a_status_changes_only_with_what_it_tells() {
        let (now, later): (Timestamp, Timestamp) =
            ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-01-02T00:00:00Z".parse().unwrap());
        let blank = K8sClusterStatus::default();
        assert_eq!(status(&blank, &Health::Connecting, 1, now), blank);
        let told = status(&blank, &ready(None), 1, now);
        assert_eq!((told.identity.as_deref(), told.version.as_deref()), (Some("uid"), Some("v1.34.4")));
        assert_eq!(told.conditions[0].status, "True");
        assert_eq!(status(&told, &ready(None), 1, later), told);
        assert_eq!(status(&told, &Health::Connecting, 1, later), told);
        let trouble = Trouble::Unreachable("no answer within 3 s".to_owned());
        let down = status(&told, &Health::NotReady(trouble), 1, later);
        assert_eq!((down.conditions[0].status.as_str(), down.conditions[0].reason.as_str()), ("False", "Unreachable"));
        assert_eq!(down.conditions[0].last_transition_time, "2026-01-02T00:00:00Z");
        assert_eq!(down.identity.as_deref(), Some("uid"));
    }

    #[test]
    fn credentials_that_went_bad_are_told_beside_a_worker_that_serves_on() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let told =
            status(&K8sClusterStatus::default(), &ready(Some(Trouble::InvalidKubeconfig("bad".to_owned()))), 1, now);
        let told: Vec<_> =
            told.conditions.iter().map(|c| (c.kind.as_str(), c.status.as_str(), c.reason.as_str())).collect();
        assert_eq!(told, [("Ready", "True", "Connected"), ("CredentialsCurrent", "False", "InvalidKubeconfig")]);
    }
}
