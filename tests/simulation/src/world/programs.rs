//! What pods run, as kubelets see it.

use std::collections::BTreeMap;

/// A running program, by the number that [`Programs::start`] gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(pub u64);

/// What a kubelet starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// The cluster.
    pub cluster: String,
    /// The node.
    pub node: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub pod_uid: String,
    /// The pod's address.
    pub ip: String,
    /// The pod's labels.
    pub labels: BTreeMap<String, String>,
    /// The container's name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Its command.
    pub command: Vec<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, as far as the pod itself says it.
    pub env: BTreeMap<String, String>,
    /// The UID of the volume claim behind each of the pod's volumes, by the volume's name.
    pub claims: BTreeMap<String, String>,
    /// How often it was started before in this pod.
    pub restarts: i32,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: i32,
    /// Its last words: what it wrote to its termination log.
    pub words: String,
}

/// Runs what pods run.
///
/// Called while a world holds its own lock: an implementation must not call back into that world.
pub trait Programs: Send + Sync {
    /// Starts a program.
    fn start(&self, what: Container) -> RunId;
    /// Kills it. What it has written stays on its volumes.
    fn stop(&self, id: RunId);
    /// How it ended by itself, if it has.
    fn exited(&self, id: RunId) -> Option<Exit>;
    /// Whether it answers a probe with success now.
    fn probe(&self, id: RunId, port: u16, path: &str) -> bool;
    /// The data behind a volume claim is gone for good. Nothing runs on it.
    fn lose_volume(&self, claim: &str) {
        let _ = claim;
    }
}
