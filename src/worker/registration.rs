//! What is needed to reach one worker, however it was registered.

use crate::{
    dialect::k8scluster::status::Trouble,
    plan::name::{Uid, WorkerName},
};

use super::kubeconfig::Credentials;

/// One registered worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The name of its `K8sCluster`.
    pub name: WorkerName,
    /// What manifests may call it besides: `spec.name` and the context.
    pub aliases: Vec<String>,
    /// The DNS domain of its services, where one is named.
    pub domain: Option<String>,
    /// The identity that was pinned at first contact.
    pub pinned: Option<Uid>,
    /// Another identity that a person has accepted since (annotation [`ACCEPT_IDENTITY`]).
    pub accepted: Option<Uid>,
    /// How to get in.
    pub access: Access,
}

/// The annotation by which a person accepts that a registration leads to another cluster from now on.
pub const ACCEPT_IDENTITY: &str = "atoll.dev/accept-identity";

/// How to get into a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// With these.
    Credentials(Box<Credentials>),
    /// Not at all, until this is mended.
    Refused(Trouble),
}
