//! How a process finds its cluster: from its disk, by founding it, or by asking those that are there.

use std::collections::BTreeMap;

use super::{
    Exit, Founding,
    flags::{Flags, InitialState, authority},
    ids::{self, ClusterId, MemberId, ProcessId, Salt},
    log::{Ballot, Directory, Member},
    machine::Machine,
    node::{Node, Part},
    state::{Phase, State},
};
use crate::place::Place;

/// What a peer says of its cluster.
struct Told {
    cluster: ClusterId,
    members: BTreeMap<MemberId, Member>,
}

impl State {
    /// Lets a process that is due begin, if nobody else has its volume open.
    pub(super) fn boot(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get(&id) else { return };
        let Phase::Booting { at } = process.phase else { return };
        // bbolt waits for the lock of its file.
        if self.now < at || self.users(&process.volume).next().is_some() {
            return;
        }
        let (Some(flags), place) = (process.flags.clone(), process.place.clone()) else { return };
        let volume = process.volume.clone();
        let booted = match self.volumes.remove(&volume) {
            Some(disk) => Ok((disk, BTreeMap::new())),
            None => self.first_boot(id, &flags, &place),
        };
        match booted.map(|(disk, told)| self.run(id, &flags, disk, told)) {
            Ok(()) => self.check_for_corruption(id, &flags),
            Err(exit) => self.exit(id, exit),
        }
    }

    fn run(&mut self, id: ProcessId, flags: &Flags, disk: Directory, told: BTreeMap<MemberId, Member>) {
        let mut node = Node {
            disk,
            machine: Machine::default(),
            part: Part::Follower,
            leader: None,
            heard: self.now,
            patience: flags.election,
            published: false,
            told,
            connections: BTreeMap::new(),
            end: None,
            awaited: 0,
            result: None,
            election: flags.election,
            dice: self.dice(id),
        };
        node.apply(self.now);
        if flags.alone {
            node.forget_others();
            node.apply(self.now);
        }
        if node.disk.corrupt {
            node.machine.keys.spoil();
        }
        // A process that has begun waits for less than a timeout, and for nobody if it is alone.
        let alone = node.machine.members.len() == 1;
        let share = if alone { 0 } else { 2 + u32::try_from(node.dice.below(10)).unwrap_or(0) };
        node.patience = flags.election * share / 10;
        if let Some(process) = self.processes.get_mut(&id) {
            process.phase = Phase::Running(Box::new(node));
        }
    }

    /// With an empty data directory.
    fn first_boot(
        &mut self,
        id: ProcessId,
        flags: &Flags,
        place: &Place,
    ) -> Result<(Directory, BTreeMap<MemberId, Member>), Exit> {
        let Some(own_urls) = flags.initial.get(&flags.name) else {
            let name = &flags.name;
            return Err(Exit::discovery(format!(
                "couldn't find local name \"{name}\" in the initial cluster configuration"
            )));
        };
        let mut urls: Vec<_> = flags.initial.values().flatten().collect();
        urls.sort();
        if urls.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Exit::discovery("initial cluster has duplicate url".to_owned()));
        }
        match flags.state {
            InitialState::New => {
                if sorted(own_urls) != sorted(&flags.own_peer_urls) {
                    let (name, own, advertised) = (&flags.name, own_urls.join(","), flags.own_peer_urls.join(","));
                    return Err(Exit::fatal(format!(
                        "--initial-cluster has {name}={own} but missing from --initial-advertise-peer-urls={advertised}"
                    )));
                }
                self.found(id, flags, place)
            }
            InitialState::Existing => self.join(flags, place),
        }
    }

    fn found(
        &mut self,
        id: ProcessId,
        flags: &Flags,
        place: &Place,
    ) -> Result<(Directory, BTreeMap<MemberId, Member>), Exit> {
        let founders: BTreeMap<_, _> = flags
            .initial
            .iter()
            .map(|(name, urls)| (name, ids::member(urls, Salt::Token(&flags.token)), urls))
            .map(|(name, id, urls)| (id, founder(id, name, urls)))
            .collect();
        let cluster = ids::cluster(founders.keys().copied());
        let own = ids::member(&flags.initial[&flags.name], Salt::Token(&flags.token));
        let told = self.ask_peers(flags, place).ok();
        let known = told.as_ref().and_then(|told| told.members.get(&own));
        if known.is_some_and(|known| !known.client_urls.is_empty()) {
            return Err(Exit::discovery(format!("member {own} has already been bootstrapped")));
        }
        self.incarnations += 1;
        let process = &self.processes[&id];
        self.foundings.push(Founding {
            owner: process.owner.clone(),
            cluster_id: cluster,
            member_id: own,
            token: flags.token.clone(),
            at: self.now,
            by_volume: process.volume.clone(),
            process: id,
        });
        let founders: Vec<_> = founders.into_values().collect();
        Ok((Directory::founded(cluster, own, &founders, self.incarnations), BTreeMap::new()))
    }

    fn join(&mut self, flags: &Flags, place: &Place) -> Result<(Directory, BTreeMap<MemberId, Member>), Exit> {
        let told = self
            .ask_peers(flags, place)
            .map_err(|why| Exit::discovery(format!("cannot fetch cluster info from peer urls: {why}")))?;
        let mismatch = |why: String| Exit::discovery(format!("error validating peerURLs: {why}"));
        if told.members.len() != flags.initial.len() {
            return Err(mismatch("member count is unequal".to_owned()));
        }
        let mut own = None;
        let mut members = BTreeMap::new();
        for (id, member) in told.members {
            let same = flags.initial.iter().find(|(_, urls)| sorted(urls) == sorted(&member.peer_urls));
            let Some((name, _)) = same else {
                return Err(mismatch(format!("no match found for existing member ({id}, {:?})", member.peer_urls)));
            };
            if *name == flags.name {
                own = Some(id);
            }
            members.insert(id, member);
        }
        let own = own.ok_or_else(|| mismatch("no match found for the local member".to_owned()))?;
        let compatible = members
            .values()
            .filter(|member| member.id != own)
            .any(|member| member.peer_urls.iter().any(|url| self.peer_at(place, url).is_some()));
        if !compatible {
            return Err(Exit::discovery("incompatible with current running cluster".to_owned()));
        }
        self.incarnations += 1;
        Ok((Directory::joined(told.cluster, own, self.incarnations), members))
    }

    /// What the first of the other initial members that answers says of its cluster, whichever that is.
    fn ask_peers(&self, flags: &Flags, place: &Place) -> Result<Told, &'static str> {
        let others = flags.initial.iter().filter(|(name, _)| **name != flags.name);
        let mut urls: Vec<_> = others.flat_map(|(_, urls)| urls).collect();
        urls.sort();
        let mut answering = urls.into_iter().filter_map(|url| self.node(self.peer_at(place, url)?));
        let first = answering.next().ok_or("could not retrieve cluster information from the given URLs")?;
        if first.members().is_empty() {
            return Err("failed to get raft cluster member(s) from the given URLs");
        }
        Ok(Told { cluster: first.disk.cluster, members: first.members().clone() })
    }

    /// A member that was there before compares what it has with whoever it reaches, and ends if it differs.
    fn check_for_corruption(&mut self, id: ProcessId, flags: &Flags) {
        let Some(node) = self.node(id) else { return };
        if !flags.corrupt_check || !node.disk.corrupt {
            return;
        }
        let Some(place) = self.place(id) else { return };
        let comparable = |process: ProcessId| {
            self.node(process).is_some_and(|peer| {
                peer.disk.cluster == node.disk.cluster
                    && !peer.disk.corrupt
                    && peer.machine.keys.revision() >= node.machine.keys.revision()
            })
        };
        let differs =
            node.peers().flat_map(|peer| &peer.peer_urls).filter_map(|url| self.peer_at(place, url)).any(comparable);
        if differs {
            let words = format!("{} found data inconsistency with peers", node.id());
            self.exit(id, Exit::discovery(words));
        }
    }

    /// Ends the processes that have learnt that they must.
    pub(super) fn end(&mut self, id: ProcessId) {
        let due = |node: &Node| node.end.clone().filter(|(at, _)| *at <= self.now);
        if let Some((_, exit)) = self.node(id).and_then(due) {
            self.exit(id, exit);
        }
    }
}

fn founder(id: MemberId, name: &str, urls: &[String]) -> Member {
    Member {
        id,
        name: name.to_owned(),
        peer_urls: urls.iter().filter(|url| authority(url).is_some()).cloned().collect(),
        client_urls: Vec::new(),
        ballot: Ballot::Voter,
    }
}

fn sorted(urls: &[String]) -> Vec<&String> {
    let mut urls: Vec<_> = urls.iter().collect();
    urls.sort();
    urls
}
