//! What a world is like.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::net::DOMAIN;

/// The wall clock of a cluster.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a world is like.
#[derive(Clone)]
pub struct Settings {
    /// The cluster's name, by which networks know it too.
    pub cluster: String,
    /// How many nodes it has.
    pub nodes: u8,
    /// How long things take.
    pub pace: Pace,
    /// What distinguishes the delays of one world from those of another.
    pub seed: u64,
    /// How it is set up.
    pub flavour: Flavour,
    /// Its wall clock.
    pub clock: Clock,
    /// Its number among the clusters of its networks.
    pub(super) index: u16,
}

/// How long things take. Each case takes between half and one and a half of its time.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Until the scheduler has looked at a pod.
    pub schedule: Duration,
    /// Until a volume is made, or has grown.
    pub bind: Duration,
    /// From a pod's node to its containers: images are pulled, volumes mounted.
    pub start: Duration,
    /// From a pod's last program to the end of the pod.
    pub stop: Duration,
    /// Until a load balancer has an address.
    pub balance: Duration,
    /// Until a new namespace has its service account.
    pub account: Duration,
    /// Until what is to be cleaned up is.
    pub collect: Duration,
    /// Probes are never more frequent than this.
    pub probe: Duration,
    /// The pause before a program that keeps ending is started again; it doubles each time.
    pub back_off: Duration,
    /// How long a node may be silent.
    pub node_grace: Duration,
    /// How long a pod is left on a node that is silent.
    pub evict: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            schedule: Duration::from_millis(100),
            bind: Duration::from_millis(500),
            start: Duration::from_secs(1),
            stop: Duration::from_millis(500),
            balance: Duration::from_secs(1),
            account: Duration::from_millis(300),
            collect: Duration::from_millis(500),
            probe: Duration::from_secs(1),
            back_off: Duration::from_secs(10),
            node_grace: Duration::from_secs(40),
            evict: Duration::from_mins(5),
        }
    }
}

/// How a cluster is set up.
#[derive(Clone, Debug)]
pub struct Flavour {
    /// The addresses of its pods.
    pub addresses: Addresses,
    /// What its load balancers are called.
    pub balancing: Balancing,
    /// What a claim gets that names no class.
    pub default_class: Class,
    /// Its DNS domain.
    pub domain: String,
}

impl Default for Flavour {
    fn default() -> Self {
        Self {
            addresses: Addresses::Distinct,
            balancing: Balancing::Addresses,
            default_class: Class::Standard,
            domain: DOMAIN.to_owned(),
        }
    }
}

/// The addresses of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Each cluster has its own.
    Distinct,
    /// The same in every cluster that has it so: an address means another pod in each of them.
    Alike,
}

/// What load balancers are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balancing {
    /// By an address.
    Addresses,
    /// By a name.
    Names,
}

/// A storage class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `standard`: volumes that every node reaches, made at once.
    Standard,
    /// `local-path`: volumes on a node's own disk, made when a pod uses them.
    LocalPath,
}

impl Class {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::LocalPath => "local-path",
        }
    }
}

impl Settings {
    /// A cluster as most are.
    pub fn new(cluster: impl Into<String>, nodes: u8, seed: u64, clock: Clock) -> Self {
        let (pace, flavour) = (Pace::default(), Flavour::default());
        Self { cluster: cluster.into(), nodes, pace, seed, flavour, clock, index: 0 }
    }

    /// A node's name; the first is 1.
    pub fn node(&self, number: u8) -> String {
        format!("{}-n{number}", self.cluster)
    }

    pub(super) fn node_names(&self) -> impl Iterator<Item = String> + use<> {
        let cluster = self.cluster.clone();
        (1..=self.nodes).map(move |number| format!("{cluster}-n{number}"))
    }

    /// Whether a node is one of this cluster.
    pub(super) fn runs(&self, node: &str) -> bool {
        self.node_number(node).is_some()
    }

    fn node_number(&self, node: &str) -> Option<u8> {
        let number = node.strip_prefix(&self.cluster)?.strip_prefix("-n")?.parse().ok()?;
        (1..=self.nodes).contains(&number).then_some(number)
    }

    /// A node's address.
    pub(super) fn host_ip(&self, node: &str) -> String {
        let (block, index) = (18 + self.index / 250, self.index % 250);
        format!("172.{block}.{index}.{}", self.node_number(node).unwrap_or(0))
    }

    /// What the addresses of pods begin with.
    pub(super) fn pod_range(&self) -> String {
        match self.flavour.addresses {
            Addresses::Distinct => format!("{}.{}.", 10 + self.index / 100, 101 + self.index % 100),
            Addresses::Alike => "10.100.".to_owned(),
        }
    }

    /// What the load balancer of this number is called.
    pub(super) fn balancer(&self, number: u32) -> String {
        match self.flavour.balancing {
            Balancing::Addresses => {
                let (block, index) = (100 + self.index / 100, 64 + self.index % 100);
                format!("{block}.{index}.{}.{}", number / 250, number % 250 + 1)
            }
            Balancing::Names => format!("lb-{number}.{}.example", self.cluster),
        }
    }
}
