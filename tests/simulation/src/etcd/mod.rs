//! etcd: every process and every data directory of the simulated world, as raft groups.
//!
//! The model is exact where safety is at stake: what is on which disk, who may vote for whom, who counts for a
//! majority and whom an address leads to. It is coarse elsewhere: a message, its effect and the answer are one step,
//! logs are never compacted, and nothing is slow. Written after etcd 3.5.35's source, and compared with real processes
//! of 3.5.35 and 3.6.16 (replies, refusals, exit codes, and what becomes of a member that has lost its disk).

mod boot;
mod dice;
mod flags;
mod gateway;
mod health;
mod ids;
mod inspect;
mod json;
mod keys;
mod links;
mod log;
mod machine;
mod membership;
mod node;
mod quiet;
mod raft;
mod refusal;
mod state;
mod version;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use crate::lock::lock;
pub use crate::place::Place;
pub use ids::{ClusterId, MemberId, ProcessId};
pub use inspect::{Founding, History, Role, View};

use gateway::Call;
use keys::Request;
use log::{Change, Directory};
use node::Node;
use refusal::Refusal;
use state::{Phase, State};

/// All etcd there is. Cheap to clone, the same behind all clones.
#[derive(Clone)]
pub struct Etcds(Arc<Mutex<State>>);

/// How processes reach each other. It is asked while [`Etcds`] is locked, and must not ask it back.
pub trait Network: Send + Sync {
    /// Who answers at this address (`host:port`) for somebody in this place, and at which port of its own.
    fn dial(&self, from: &Place, address: &str) -> Option<(ProcessId, u16)>;

    /// Whether packets pass from one place to the other now.
    fn passes(&self, from: &Place, to: &Place) -> bool;

    /// A number that changes whenever an answer may be another. Without one, every tick asks for every link again.
    fn generation(&self) -> Option<u64> {
        None
    }
}

/// What a process starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Where.
    pub place: Place,
    /// Whose data: the UID of a volume claim.
    pub volume: String,
    /// The database that its pod is labelled with, for reports.
    pub owner: String,
    /// Its pod, for reports.
    pub pod: String,
    /// The version, from the image's tag.
    pub version: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its variables.
    pub env: BTreeMap<String, String>,
}

/// How a process ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: i32,
    /// Its last words.
    pub words: String,
}

impl Exit {
    fn fatal(words: String) -> Self {
        Self { code: 1, words }
    }

    fn usage(words: String) -> Self {
        Self { code: 2, words }
    }

    fn discovery(words: String) -> Self {
        Self { code: 1, words: format!("discovery failed: {words}") }
    }
}

/// An HTTP reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// What a volume holds, for whoever copies and restores volumes.
#[derive(Clone, Debug)]
pub struct Data(Option<Directory>);

/// What became of a client's write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there for ever, if etcd keeps its word.
    Acknowledged {
        /// By which cluster.
        cluster_id: ClusterId,
        /// Where in the log.
        index: u64,
        /// In which term.
        term: u64,
    },
    /// It was not done and never will be.
    Refused(String),
    /// It may be done, at once, later or never.
    NoAnswer,
}

/// What a client read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The key's value.
    Value(String),
    /// There is no such key.
    NoKey,
    /// No answer.
    NoAnswer,
}

impl Etcds {
    /// No processes and no data.
    pub fn new(network: Arc<dyn Network>, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State::new(network, seed))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// The state, about to be changed.
    fn change(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.disturb();
        state
    }

    /// Starts a process. What it finds on its volume, and among its peers, shows a moment later.
    pub fn start(&self, now: Duration, start: Start) -> ProcessId {
        let mut state = self.change();
        state.now = state.now.max(now);
        state.start(start)
    }

    /// Kills a process. What it has acknowledged stays on its volume.
    pub fn stop(&self, id: ProcessId) {
        self.change().stop(id);
    }

    /// How a process ended, if it did so by itself.
    pub fn exited(&self, id: ProcessId) -> Option<Exit> {
        match &self.state().processes.get(&id)?.phase {
            Phase::Exited(exit) => Some(exit.clone()),
            Phase::Booting { .. } | Phase::Running(_) | Phase::Away => None,
        }
    }

    /// Lets time pass: to be called every 100 ms.
    pub fn tick(&self, now: Duration) {
        let mut state = self.state();
        if !state.is_quiet() {
            state.disturb();
            state.now = state.now.max(now);
            state.step();
        }
        state.now = state.now.max(now);
    }

    /// Puts one HTTP request to a process. None: it does not answer before the asker loses patience.
    pub fn http(&self, now: Duration, id: ProcessId, port: u16, method: &str, path: &str, body: &str) -> Option<Reply> {
        let mut state = self.state();
        if method != "GET" {
            state.disturb();
        }
        state.now = state.now.max(now);
        state.http(id, port, Call { method, path, body })
    }

    /// The volume is gone, with what was on it; whoever ran on it ends.
    pub fn lose_volume(&self, volume: &str) {
        self.change().take_volume(volume);
    }

    /// What is on a volume now.
    pub fn copy_volume(&self, volume: &str) -> Data {
        self.state().copy_volume(volume)
    }

    /// Replaces what is on a volume; whoever ran on it ends.
    pub fn put_volume(&self, volume: &str, data: Data) {
        self.change().put_volume(volume, data);
    }

    /// Spoils the keys on a volume. etcd notices when the member starts next and can compare itself.
    pub fn corrupt_volume(&self, volume: &str) {
        self.change().corrupt_volume(volume);
    }

    /// One write by a client, through whoever answers at an address.
    pub fn client_put(&self, now: Duration, from: &Place, address: &str, key: &str, value: &str) -> Outcome {
        let mut state = self.change();
        state.now = state.now.max(now);
        let Some(id) = state.client(from, address) else { return Outcome::Refused("nobody answers".to_owned()) };
        if state.node(id).is_some_and(|node| node.machine.is_learner(node.id())) {
            return Outcome::Refused(Refusal::LearnerCannot.message().to_owned());
        }
        let request = Request::Put { key: key.as_bytes().to_vec(), value: value.as_bytes().to_vec() };
        match (state.write(id, request), state.node(id)) {
            (Some(Ok((at, _))), Some(node)) => {
                Outcome::Acknowledged { cluster_id: node.disk.cluster, index: at.index, term: at.term }
            }
            (Some(Err(refusal)), _) => Outcome::Refused(refusal.message().to_owned()),
            (None, _) | (_, None) => Outcome::NoAnswer,
        }
    }

    /// One read by a client, of what a majority agrees on.
    pub fn client_read(&self, from: &Place, address: &str, key: &str) -> Read {
        let state = self.state();
        let Some(id) = state.client(from, address).filter(|id| state.reads(*id)) else { return Read::NoAnswer };
        let Some(node) = state.node(id).filter(|node| !node.machine.is_learner(node.id())) else {
            return Read::NoAnswer;
        };
        let value = node.machine.keys.get(key.as_bytes());
        value.map_or(Read::NoKey, |value| Read::Value(String::from_utf8_lossy(value).into_owned()))
    }

    /// Every process that lives.
    pub fn inspect(&self) -> Vec<View> {
        self.state().views()
    }

    /// Each time that data came into being by founding, in order.
    pub fn foundings(&self) -> Vec<Founding> {
        self.state().foundings.clone()
    }

    /// What each leader of a database that has a majority behind it holds. More than one is one too many.
    pub fn history(&self, owner: &str) -> Vec<History> {
        self.state().history(owner)
    }
}

impl State {
    /// The member that answers clients at an address.
    fn client(&self, from: &Place, address: &str) -> Option<ProcessId> {
        let (id, port) = self.network.dial(from, address)?;
        let process = self.processes.get(&id)?;
        let serves = process.flags.as_ref()?.client_ports.contains(&port) && process.node()?.published;
        serves.then_some(id)
    }

    /// A tenth of a second.
    fn step(&mut self) {
        let ids = self.ids();
        for id in &ids {
            self.boot(*id);
        }
        for id in &ids {
            self.connect(*id);
        }
        for id in &ids {
            self.end(*id);
        }
        for id in &ids {
            if self.node(*id).is_some_and(Node::leads) {
                self.lead(*id);
            }
        }
        for id in &ids {
            self.stand(*id);
        }
        for id in &ids {
            self.publish(*id);
        }
        self.settle();
    }

    /// A member makes itself known before it serves clients.
    fn publish(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get(&id) else { return };
        let (Some(node), Some(flags)) = (process.node(), &process.flags) else { return };
        if node.published || node.machine.removed.contains(&node.id()) {
            return;
        }
        let change =
            Change::Publish { member: node.id(), name: flags.name.clone(), client_urls: flags.client_urls.clone() };
        if matches!(self.propose(id, change), raft::Proposed::Applied(..))
            && let Some(node) = self.node_mut(id)
        {
            node.published = true;
        }
    }
}

#[cfg(test)]
mod tests;
