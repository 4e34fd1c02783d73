//! A stage: clusters, people, the controller, and ways to make trouble. Scenarios are written against it once and are
//! played on the simulated stage ([`Simulated`]) and, where a real API server matters, on a real one
//! (`tests/real-apiservers`).

pub mod people;
pub mod simulated;

use std::{future::ready, time::Duration};

use kube::Client;
use tokio_util::task::AbortOnDropHandle;

pub use simulated::Simulated;

pub use crate::place::MASTER;

use crate::{
    entropy,
    etcd::Etcds,
    link::{Power, Way},
    lives::Replica,
    programs::Processes,
    tape::{Event, Site, Tape},
    world::{World, net::Net},
};

/// What goes on by itself on every stage, until the handles go: databases live, and the tape is looked at.
pub fn background(tape: &Tape, etcds: &Etcds) -> [AbortOnDropHandle<()>; 2] {
    let (tape, etcds) = (tape.clone(), etcds.clone());
    let ticking = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            etcds.tick(entropy::elapsed());
        }
    });
    let glancing = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            tape.note(Event::Glance);
        }
    });
    [AbortOnDropHandle::new(ticking), AbortOnDropHandle::new(glancing)]
}

/// A kubeconfig that leads to a worker which does not let anybody in by it.
pub struct Worthless {
    /// What is wrong with it.
    pub what: &'static str,
    /// It.
    pub text: String,
    /// The reason that is told.
    pub reason: &'static str,
}

/// How much an API server has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// It answers.
    Bearable,
    /// To whatever the controller asks it answers 429, and to come again in an hour.
    TooMuch,
}

/// Where scenarios take place.
///
/// What a person or a scenario does is told here, once for all stages; how it is done is a stage's own (`set_…`, `put_…`).
pub trait Stage {
    /// A backup of an API server's etcd.
    type Backup;

    /// What happens.
    fn tape(&self) -> &Tape;
    /// The clusters but the master.
    fn workers(&self) -> Vec<Site>;
    /// A person's own connection to a cluster, with all rights and good weather.
    fn person(&self, site: &Site) -> Client;
    /// A kubeconfig by which Atoll gets into a worker, with rights that are enough.
    fn kubeconfig(&self, site: &Site) -> String;
    /// Kubeconfigs for a worker that are worth nothing, in as many ways as there are here.
    fn worthless(&self, site: &Site) -> Vec<Worthless>;
    /// Another kubeconfig for a worker, with a token that can be revoked.
    fn lend(&self, site: &Site) -> impl Future<Output = String>;
    /// The schedulers, kubelets and their like of a cluster.
    fn world(&self, site: &Site) -> &World;
    /// The networks between the clusters' pods.
    fn net(&self) -> &Net;
    /// What pods run.
    fn processes(&self) -> &Processes;
    /// Takes a backup of a cluster's API server.
    fn back_up(&self, site: &Site) -> impl Future<Output = Self::Backup>;
    /// Starts a replica of the controller.
    fn start(&self, replica: Replica) -> impl Future<Output = ()>;

    /// Does what [`Stage::way`] tells.
    fn set_way(&self, site: &Site, way: Way) -> impl Future<Output = ()>;
    /// Does what [`Stage::load`] tells.
    fn set_load(&self, site: &Site, load: Load) -> impl Future<Output = ()>;
    /// Does what [`Stage::revoke`] tells.
    fn take_back(&self, site: &Site) -> impl Future<Output = ()>;
    /// Does what [`Stage::power`] tells.
    fn set_power(&self, site: &Site, power: Power) -> impl Future<Output = ()>;
    /// Does what [`Stage::restore`] tells.
    fn put_back(&self, site: &Site, backup: &Self::Backup) -> impl Future<Output = ()>;
    /// Does what [`Stage::rebuild`] tells.
    fn put_another(&self, site: &Site) -> impl Future<Output = ()>;
    /// Does what [`Stage::compact`] tells.
    fn forget(&self, site: &Site) -> impl Future<Output = ()>;
    /// Does what [`Stage::crash`] tells.
    fn kill(&self, replica: Replica);
    /// Does what [`Stage::stop`] tells.
    fn kill_for_good(&self, replica: Replica);
    /// Does what [`Stage::pause`] tells.
    fn hold(&self, replica: Replica);
    /// Does what [`Stage::resume`] tells.
    fn let_go(&self, replica: Replica);
    /// Does what [`Stage::crash_after`] tells.
    fn kill_after(&self, writes: u64);

    /// What a scenario draws its luck from: the seed that it is played with.
    fn luck(&self) -> u64 {
        1
    }

    /// The cluster that Atoll runs in.
    fn master(&self) -> Site {
        Site::from(MASTER)
    }

    /// Says what happens, for whoever reads a failing run.
    fn say(&self, words: &str) {
        self.tape().note(Event::Person(words.to_owned()));
    }

    /// Something was measured that a person may want to read, however the scenario ends.
    fn measured(&self, words: &str) {
        self.say(words);
    }

    /// Counts a fault, and says it.
    fn fault(&self, kind: &str, words: &str) {
        self.tape().fault(kind, words.to_owned());
    }

    /// Waits.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(time)
    }

    /// Sets how packets between the controller and a cluster's API server fare.
    fn way(&self, site: &Site, way: Way) -> impl Future<Output = ()> {
        self.fault("connection", &format!("{site}: {way:?}"));
        self.set_way(site, way)
    }

    /// Sets how much a cluster's API server has to do.
    fn load(&self, site: &Site, load: Load) -> impl Future<Output = ()> {
        self.fault("error status", &format!("{site}: the load is {load:?}"));
        self.set_load(site, load)
    }

    /// Revokes the token that was last lent.
    fn revoke(&self, site: &Site) -> impl Future<Output = ()> {
        self.fault("credentials", &format!("a token of {site} is revoked"));
        self.take_back(site)
    }

    /// Stops (`kill -9`) or starts a cluster's API server, for everybody.
    fn power(&self, site: &Site, power: Power) -> impl Future<Output = ()> {
        self.fault("cluster down", &format!("{site}: power {power:?}"));
        self.set_power(site, power)
    }

    /// Restores a cluster from a backup: objects and resource versions go back. What runs, runs on.
    fn restore(&self, site: &Site, backup: &Self::Backup) -> impl Future<Output = ()> {
        self.fault("restored from backup", &format!("{site} is restored"));
        self.put_back(site, backup)
    }

    /// From now on another, empty cluster answers at the address of this one, and takes its credentials.
    fn rebuild(&self, site: &Site) -> impl Future<Output = ()> {
        self.fault("identity swapped", &format!("another cluster answers at {site}"));
        self.put_another(site)
    }

    /// Every resource version before now is forgotten.
    fn compact(&self, site: &Site) -> impl Future<Output = ()> {
        self.fault("compacted (410)", &format!("{site} is compacted"));
        self.forget(site)
    }

    /// Kills the present life of a replica; the next one begins by itself.
    fn crash(&self, replica: Replica) -> impl Future<Output = ()> {
        self.fault("controller crash", "the controller is killed");
        self.kill(replica);
        ready(())
    }

    /// Kills a replica for good.
    fn stop(&self, replica: Replica) -> impl Future<Output = ()> {
        self.fault("controller crash", "a replica of the controller is stopped");
        self.kill_for_good(replica);
        ready(())
    }

    /// Pauses a replica, as by `kill -STOP`.
    fn pause(&self, replica: Replica) -> impl Future<Output = ()> {
        self.fault("controller paused", "a replica of the controller is paused");
        self.hold(replica);
        ready(())
    }

    /// A paused replica goes on, as by `kill -CONT`.
    fn resume(&self, replica: Replica) -> impl Future<Output = ()> {
        self.fault("controller paused", "the paused replica goes on");
        self.let_go(replica);
        ready(())
    }

    /// The controller dies right after this many more of its writes.
    fn crash_after(&self, writes: u64) -> impl Future<Output = ()> {
        self.fault("controller crash", &format!("the controller dies {writes} writes from now"));
        self.kill_after(writes);
        ready(())
    }
}
