//! Routes to one member.

use std::{collections::BTreeMap, fmt};

use crate::plan::{
    membership::Rung,
    name::{Namespace, ObjectName, WorkerName},
};

/// One route to one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The member's own address, `host:port`.
    Address(String),
    /// Its client service or load balancer, `host:port`. It must lead to this member only.
    Service(String),
    /// A port-forward to its pod.
    PortForward(PodRoute),
    /// A job in its worker.
    Job(JobRoute),
}

/// A port of a pod, by way of its worker's API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRoute {
    /// The worker.
    pub worker: WorkerName,
    /// The pod's namespace.
    pub namespace: Namespace,
    /// The pod.
    pub pod: ObjectName,
    /// Its port.
    pub port: u16,
}

/// An address as seen from inside a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRoute {
    /// The worker.
    pub worker: WorkerName,
    /// Where the job is made.
    pub namespace: Namespace,
    /// The member's address in the worker, `host:port`.
    pub address: String,
    /// The labels that the job and its pod carry.
    pub labels: BTreeMap<String, String>,
}

impl Route {
    /// The rung of the ladder that this route is.
    #[must_use]
    pub fn rung(&self) -> Rung {
        match self {
            Self::Address(_) => Rung::Address,
            Self::Service(_) => Rung::Service,
            Self::PortForward(_) => Rung::PortForward,
            Self::Job(_) => Rung::Job,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rung = self.rung().as_str();
        match self {
            Self::Address(address) | Self::Service(address) => write!(f, "{rung} {address}"),
            Self::PortForward(pod) => write!(f, "{rung} to {} in {}", pod.pod, pod.worker),
            Self::Job(job) => write!(f, "{rung} in {}", job.worker),
        }
    }
}
