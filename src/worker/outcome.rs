//! What an act came to: done, or why not, with the object it was about and what a person can do.

use kube::core::Status;

use super::{fault::Fault, gate::LeaseLost};
use crate::plan::{
    act::Kind,
    name::{Namespace, ObjectName, WorkerName},
};

/// What an act has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The object was made, changed or deleted.
    Changed,
    /// It was so already.
    Already,
}

/// The object that an act is about, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// Why an act was not done. After [`ActError::Fault`] with a timeout nobody knows: it may have been.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ActError {
    /// Another instance may be at work.
    #[error(transparent)]
    Lease(#[from] LeaseLost),
    /// The worker is not registered.
    #[error("worker {0} is not registered: create its K8sCluster")]
    NotRegistered(WorkerName),
    /// The worker cannot be seen, or is not who it should be.
    #[error("worker {worker}: {why}")]
    Unseen {
        /// The worker.
        worker: WorkerName,
        /// Why.
        why: String,
    },
    /// An object of that name is there, and it is not this database's.
    #[error(
        "{object} in worker {worker} exists and does not belong to this database; Atoll never takes over what it \
         did not make: remove or rename it, or give the database another name"
    )]
    Foreign {
        /// The worker.
        worker: WorkerName,
        /// The object.
        object: Named,
    },
    /// An object of that name is there, on its way out.
    #[error("{object} in worker {worker} is still being deleted")]
    StillGoing {
        /// The worker.
        worker: WorkerName,
        /// The object.
        object: Named,
    },
    /// The object is not the one that was decided about any more.
    #[error("{object} in worker {worker} is gone, or has been replaced or changed, since it was seen")]
    Replaced {
        /// The worker.
        worker: WorkerName,
        /// The object.
        object: Named,
    },
    /// The namespace is missing, and with data at stake it is not for Atoll to make a new one.
    #[error(
        "namespace {namespace} is gone from worker {worker}, with what it held; if that is accepted, create it again: \
         `kubectl create namespace {namespace}`"
    )]
    NamespaceGone {
        /// The worker.
        worker: WorkerName,
        /// The namespace.
        namespace: Namespace,
    },
    /// The API server refuses it, and says why.
    #[error("worker {worker} refuses {object}: {words}")]
    Refused {
        /// The worker.
        worker: WorkerName,
        /// The object.
        object: Named,
        /// What kind of refusal.
        refusal: Refusal,
        /// The API server's words.
        words: String,
    },
    /// No answer, or none that can be used.
    #[error("{object} in worker {worker}: {fault}")]
    Fault {
        /// The worker.
        worker: WorkerName,
        /// The object.
        object: Named,
        /// What happened.
        fault: Fault,
    },
}

/// The kinds of refusal that call for different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The service account is not there; the `default` one of a fresh namespace comes within moments.
    ServiceAccountMissing,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// A quota is used up.
    QuotaExceeded,
    /// Our credentials may not do this.
    NotPermitted,
    /// An admission plugin, webhook or policy refuses it.
    Denied,
    /// The object itself is not valid there (an unknown field, an immutable one, a bad value).
    Invalid,
    /// The API server is overloaded, or something behind it fails.
    Busy,
}

impl Refusal {
    /// Which kind this status is, if it is a refusal.
    #[must_use]
    pub fn of(status: &Status) -> Option<Self> {
        let message = status.message.as_str();
        let cause = |wanted: &str| {
            status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == wanted)
        };
        Some(match status.code {
            403 | 404 if message.contains("error looking up service account") => Self::ServiceAccountMissing,
            403 if cause("NamespaceTerminating") || message.contains("because it is being terminated") => {
                Self::NamespaceTerminating
            }
            403 if message.contains("exceeded quota") => Self::QuotaExceeded,
            403 if message.contains(" cannot ") => Self::NotPermitted,
            403 => Self::Denied,
            400 if message.contains("admission") => Self::Denied,
            400 | 405 | 413 | 415 | 422 => Self::Invalid,
            429 | 500..=599 => Self::Busy,
            _ => return None,
        })
    }

    fn reason(self) -> &'static str {
        match self {
            Self::ServiceAccountMissing => "ServiceAccountMissing",
            Self::NamespaceTerminating => "NamespaceTerminating",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::NotPermitted => "NotPermitted",
            Self::Denied => "AdmissionDenied",
            Self::Invalid => "Invalid",
            Self::Busy => "Busy",
        }
    }
}

impl ActError {
    /// `CamelCase`, bounded: for conditions, events and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Lease(_) => "LeaseLost",
            Self::NotRegistered(_) => "WorkerNotRegistered",
            Self::Unseen { .. } => "WorkerUnseen",
            Self::Foreign { .. } => "ForeignObject",
            Self::StillGoing { .. } => "StillBeingDeleted",
            Self::Replaced { .. } => "ObjectReplaced",
            Self::NamespaceGone { .. } => "NamespaceGone",
            Self::Refused { refusal, .. } => refusal.reason(),
            Self::Fault { fault, .. } => fault.reason(),
        }
    }
}
