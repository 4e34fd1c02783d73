//! Who answers at which address: pods, services, load balancers, node ports and names of every cluster, and which
//! clusters reach each other. Worlds keep it up; whoever wants to reach a process asks it.

mod dial;
mod reach;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

pub use reach::Mode;

use super::programs::RunId;
use crate::{lock::lock, place::Place};
use reach::Reach;

/// The DNS domain of a cluster that is not given another.
pub const DOMAIN: &str = "cluster.local";

/// All networks. Cheap to clone, the same behind all clones.
#[derive(Clone)]
pub struct Net(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    reach: Reach,
    clusters: BTreeMap<Place, Cluster>,
    /// Whose turn it is behind a service with several pods.
    turns: BTreeMap<(Place, String, String), usize>,
    /// How often an answer may have become another.
    changes: u64,
    /// Who answered where since then: members dial each other all the time.
    known: BTreeMap<Place, BTreeMap<String, Option<(RunId, u16)>>>,
}

/// What one cluster's network knows.
#[derive(Default)]
struct Cluster {
    /// In order of joining.
    index: u16,
    domain: String,
    /// What its pods' addresses begin with: `10.101.`.
    pod_range: String,
    /// Pods with a process, by their address. What a pod that is gone leaves, the next takes.
    pods: BTreeMap<String, Pod>,
    services: BTreeMap<(String, String), Service>,
    hosts: Vec<String>,
}

/// A pod with processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its UID.
    pub uid: String,
    /// Its address.
    pub ip: String,
    /// Its processes.
    pub processes: Vec<Process>,
}

/// One process of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// What runs.
    pub run: RunId,
    /// The ports that its container declares, by name.
    pub ports: BTreeMap<String, u16>,
}

/// A service, and what stands behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its own address; none for a headless one.
    pub cluster_ip: Option<String>,
    /// The load balancer's addresses or names.
    pub ingress: Vec<String>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// The pods that it leads to: the ready ones, or all where it says so.
    pub backends: Vec<Backend>,
}

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The service's.
    pub number: u16,
    /// The node's, if it has one.
    pub node: Option<u16>,
    /// The pods'.
    pub target: Target,
}

/// A port of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By number.
    Number(u16),
    /// By the name that a container has for it.
    Name(String),
}

/// A pod behind a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its address, as its status says.
    pub ip: String,
    /// Its name in DNS, if the service gives it one.
    pub hostname: Option<String>,
}

impl Net {
    /// Networks without clusters.
    pub fn new(mode: Mode) -> Self {
        let inner = Inner { reach: Reach::new(mode), ..Inner::default() };
        Self(Arc::new(Mutex::new(inner)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut lock(&self.0))
    }

    /// Changes what answers depend on.
    fn change<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        self.with(|inner| {
            inner.changes += 1;
            inner.known.clear();
            work(inner)
        })
    }

    /// A number that changes whenever an answer may be another, for those who remember answers.
    pub fn generation(&self) -> u64 {
        self.with(|inner| inner.changes)
    }

    /// A cluster has a network. Its number: the first one has 0. A cluster that joins again keeps it.
    pub(super) fn join(&self, cluster: &str, domain: &str, pod_range: impl FnOnce(u16) -> String) -> u16 {
        self.change(|inner| {
            let count = u16::try_from(inner.clusters.len()).unwrap_or(u16::MAX);
            let place = Place::of(cluster);
            let joined = inner.clusters.entry(place).or_insert_with(|| Cluster { index: count, ..Cluster::default() });
            domain.clone_into(&mut joined.domain);
            joined.pod_range = pod_range(joined.index);
            joined.index
        })
    }

    /// A pod's processes are these now; none any more if it has no process.
    pub(super) fn set_pod(&self, cluster: &str, pod: Pod) {
        self.change(|inner| {
            let Some(cluster) = inner.clusters.get_mut(&Place::of(cluster)) else { return };
            if !pod.processes.is_empty() {
                cluster.pods.insert(pod.ip.clone(), pod);
            } else if cluster.pods.get(&pod.ip).is_some_and(|known| known.uid == pod.uid) {
                cluster.pods.remove(&pod.ip);
            }
        });
    }

    /// What a cluster's services lead to.
    pub(super) fn set_services(&self, cluster: &str, services: BTreeMap<(String, String), Service>) {
        let place = Place::of(cluster);
        let new = |inner: &mut Inner| inner.clusters.get(&place).is_some_and(|known| known.services != services);
        if self.with(new) {
            self.change(|inner| {
                if let Some(cluster) = inner.clusters.get_mut(&place) {
                    cluster.services = services;
                }
            });
        }
    }

    /// The addresses of a cluster's nodes.
    pub(super) fn set_hosts(&self, cluster: &str, hosts: Vec<String>) {
        self.change(|inner| {
            if let Some(cluster) = inner.clusters.get_mut(&Place::of(cluster)) {
                cluster.hosts = hosts;
            }
        });
    }

    /// Where the pod with this UID has a process.
    pub fn place_of(&self, pod_uid: &str) -> Option<Place> {
        self.with(|inner| {
            let holds = |cluster: &Cluster| cluster.pods.values().any(|pod| pod.uid == pod_uid);
            inner.clusters.iter().find(|(_, cluster)| holds(cluster)).map(|(place, _)| place.clone())
        })
    }

    /// The first process of the pod with this UID.
    pub fn run_of(&self, pod_uid: &str) -> Option<RunId> {
        self.with(|inner| {
            let mut pods = inner.clusters.values().flat_map(|cluster| cluster.pods.values());
            pods.find(|pod| pod.uid == pod_uid)?.processes.first().map(|process| process.run)
        })
    }
}
