//! Every process and every data directory, and how they come and go.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    Data, Exit, Founding, Network, Start, dice::Dice, flags::Flags, ids::ProcessId, log::Directory, node::Node,
    version::Version,
};
use crate::place::Place;

/// The whole simulated world, as far as it is etcd.
pub(super) struct State {
    pub(super) network: Arc<dyn Network>,
    pub(super) seed: u64,
    pub(super) now: Duration,
    pub(super) processes: BTreeMap<ProcessId, Process>,
    /// Directories that no process has open.
    pub(super) volumes: BTreeMap<String, Directory>,
    pub(super) foundings: Vec<Founding>,
    pub(super) incarnations: u64,
    pub(super) quiet: Option<super::quiet::Quiet>,
    last_process: u64,
}

/// One process.
pub(super) struct Process {
    pub(super) place: Place,
    pub(super) volume: String,
    pub(super) owner: String,
    pub(super) pod: String,
    pub(super) version: Version,
    /// None of a process that ended over them.
    pub(super) flags: Option<Flags>,
    pub(super) phase: Phase,
}

/// How far it has come.
pub(super) enum Phase {
    /// It opens its directory at that moment, and then looks for its cluster.
    Booting {
        at: Duration,
    },
    Running(Box<Node>),
    Exited(Exit),
    /// Taken out for a moment, see [`State::with`].
    Away,
}

impl Process {
    pub(super) fn node(&self) -> Option<&Node> {
        match &self.phase {
            Phase::Running(node) => Some(node),
            Phase::Booting { .. } | Phase::Exited(_) | Phase::Away => None,
        }
    }

    pub(super) fn node_mut(&mut self) -> Option<&mut Node> {
        match &mut self.phase {
            Phase::Running(node) => Some(node),
            Phase::Booting { .. } | Phase::Exited(_) | Phase::Away => None,
        }
    }
}

impl State {
    pub(super) fn new(network: Arc<dyn Network>, seed: u64) -> Self {
        Self {
            network,
            seed,
            now: Duration::ZERO,
            processes: BTreeMap::new(),
            volumes: BTreeMap::new(),
            foundings: Vec::new(),
            incarnations: 0,
            quiet: None,
            last_process: 0,
        }
    }

    pub(super) fn start(&mut self, start: Start) -> ProcessId {
        self.last_process += 1;
        let id = ProcessId(self.last_process);
        let version = Version::parse(&start.version);
        let flags = version
            .ok_or_else(|| Exit { code: 127, words: format!("there is no etcd {:?}", start.version) })
            .and_then(|version| Flags::read(&start.args, &start.env, version));
        let (flags, phase) = match flags {
            Ok(flags) => {
                let at = self.now + Duration::from_millis(50 + self.dice(id).below(250));
                (Some(flags), Phase::Booting { at })
            }
            Err(exit) => (None, Phase::Exited(exit)),
        };
        let Start { place, volume, owner, pod, .. } = start;
        let version = version.unwrap_or(Version(0, 0, 0));
        self.processes.insert(id, Process { place, volume, owner, pod, version, flags, phase });
        id
    }

    pub(super) fn dice(&self, id: ProcessId) -> Dice {
        Dice::new(self.seed, id.0)
    }

    /// The process is gone; what it has written stays.
    pub(super) fn stop(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.remove(&id)
            && let Phase::Running(node) = process.phase
        {
            self.volumes.insert(process.volume, node.disk);
        }
    }

    /// The process ends by itself.
    pub(super) fn exit(&mut self, id: ProcessId, exit: Exit) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        if let Phase::Running(node) = std::mem::replace(&mut process.phase, Phase::Exited(exit)) {
            self.volumes.insert(process.volume.clone(), node.disk);
        }
    }

    /// Takes a volume away from whoever runs on it; such a process ends.
    pub(super) fn take_volume(&mut self, volume: &str) -> Option<Directory> {
        let users: Vec<_> = self.users(volume).collect();
        for user in users {
            self.exit(user, Exit::fatal("write /var/run/etcd: input/output error".to_owned()));
        }
        self.volumes.remove(volume)
    }

    pub(super) fn copy_volume(&self, volume: &str) -> Data {
        let open = self.users(volume).find_map(|user| Some(self.node(user)?.disk.clone()));
        Data(open.or_else(|| self.volumes.get(volume).cloned()))
    }

    pub(super) fn put_volume(&mut self, volume: &str, data: Data) {
        self.take_volume(volume);
        if let Some(directory) = data.0 {
            self.volumes.insert(volume.to_owned(), directory);
        }
    }

    pub(super) fn corrupt_volume(&mut self, volume: &str) {
        let user = self.users(volume).next();
        if let Some(node) = user.and_then(|user| self.node_mut(user)) {
            node.disk.corrupt = true;
            node.machine.keys.spoil();
        } else if let Some(directory) = self.volumes.get_mut(volume) {
            directory.corrupt = true;
        }
    }

    /// Processes that have a volume's directory open.
    pub(super) fn users(&self, volume: &str) -> impl Iterator<Item = ProcessId> {
        self.running().filter(move |(_, process, _)| process.volume == volume).map(|(id, ..)| id)
    }

    pub(super) fn ids(&self) -> Vec<ProcessId> {
        self.processes.keys().copied().collect()
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (ProcessId, &Process, &Node)> {
        self.processes.iter().filter_map(|(id, process)| Some((*id, process, process.node()?)))
    }

    pub(super) fn node(&self, id: ProcessId) -> Option<&Node> {
        self.processes.get(&id)?.node()
    }

    pub(super) fn node_mut(&mut self, id: ProcessId) -> Option<&mut Node> {
        self.processes.get_mut(&id)?.node_mut()
    }

    pub(super) fn place(&self, id: ProcessId) -> Option<&Place> {
        self.processes.get(&id).map(|process| &process.place)
    }

    /// Works on one member while all the others can be worked on too.
    pub(super) fn with<T>(&mut self, id: ProcessId, work: impl FnOnce(&mut Self, &mut Node) -> T) -> Option<T> {
        let process = self.processes.get_mut(&id)?;
        match std::mem::replace(&mut process.phase, Phase::Away) {
            Phase::Running(mut node) => {
                let result = work(self, &mut node);
                if let Some(process) = self.processes.get_mut(&id) {
                    process.phase = Phase::Running(node);
                }
                Some(result)
            }
            phase => {
                process.phase = phase;
                None
            }
        }
    }
}
