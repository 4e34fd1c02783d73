//! A stage: clusters, people, the controller, and ways to make trouble. Scenarios are written against it once and are
//! played on the simulated stage ([`Simulated`]) and, where a real API server matters, on a real one
//! (`tests/real-apiservers`).

pub mod people;
pub mod simulated;

use std::time::Duration;

use kube::Client;

pub use simulated::Simulated;

use crate::{
    link::{Power, Way},
    lives::Replica,
    programs::Processes,
    tape::Site,
    world::{World, net::Net},
};

/// What an API server held at some moment.
pub trait Stage {
    /// A backup of an API server's etcd.
    type Backup;

    /// The cluster that Atoll runs in.
    fn master(&self) -> Site;
    /// The others.
    fn workers(&self) -> Vec<Site>;
    /// A person's own connection to a cluster, with all rights and good weather.
    fn person(&self, site: &Site) -> Client;
    /// A kubeconfig by which Atoll gets into a worker, with rights that are enough.
    fn kubeconfig(&self, site: &Site) -> String;
    /// The schedulers, kubelets and their like of a cluster.
    fn world(&self, site: &Site) -> &World;
    /// The networks between the clusters' pods.
    fn net(&self) -> &Net;
    /// What pods run.
    fn processes(&self) -> &Processes;

    /// Says what happens, for whoever reads a failing run.
    fn say(&self, words: &str);
    /// Counts a fault, and says it.
    fn fault(&self, kind: &str, words: &str);
    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;

    /// Sets how packets between the controller and a cluster's API server fare.
    fn way(&self, site: &Site, way: Way) -> impl Future<Output = ()>;
    /// Stops (`kill -9`) or starts a cluster's API server, for everybody.
    fn power(&self, site: &Site, power: Power) -> impl Future<Output = ()>;
    /// Takes a backup of a cluster's API server.
    fn back_up(&self, site: &Site) -> impl Future<Output = Self::Backup>;
    /// Restores it: objects and resource versions go back. What runs, runs on.
    fn restore(&self, site: &Site, backup: &Self::Backup) -> impl Future<Output = ()>;
    /// From now on another, empty cluster answers at the address of this one, and takes its credentials.
    fn rebuild(&self, site: &Site) -> impl Future<Output = ()>;
    /// Every resource version before now is forgotten.
    fn compact(&self, site: &Site) -> impl Future<Output = ()>;

    /// Starts a replica of the controller.
    fn start(&self, replica: Replica) -> impl Future<Output = ()>;
    /// Kills the present life of a replica; the next one begins by itself.
    fn crash(&self, replica: Replica) -> impl Future<Output = ()>;
    /// Kills a replica for good.
    fn stop(&self, replica: Replica) -> impl Future<Output = ()>;
    /// The controller dies right after this many more of its writes.
    fn crash_after(&self, writes: u64) -> impl Future<Output = ()>;
}
