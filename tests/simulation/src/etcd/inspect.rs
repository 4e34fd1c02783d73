//! What the checks of a simulation may know: everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    ids::{ClusterId, MemberId, ProcessId},
    log::Ballot,
    node::Part,
    state::{Phase, Process, State},
};
use crate::place::Place;

/// What a process is to its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It leads, or believes so.
    Leader,
    /// It votes.
    Follower,
    /// It follows without a vote.
    Learner,
    /// It stands for election, or has.
    Candidate,
    /// It has not found its cluster yet.
    Starting,
}

/// One process that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The process.
    pub process: ProcessId,
    /// Its pod.
    pub pod: String,
    /// The database it is labelled with.
    pub owner: String,
    /// Where it runs.
    pub place: Place,
    /// Whose data it has.
    pub volume: String,
    /// Its cluster; none while it starts.
    pub cluster_id: Option<ClusterId>,
    /// Who it is there; none while it starts.
    pub member_id: Option<MemberId>,
    /// By which name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// The voters, as it believes.
    pub voters: BTreeSet<MemberId>,
    /// The learners, as it believes.
    pub learners: BTreeSet<MemberId>,
    /// A client's read with a majority would succeed now.
    pub serving: bool,
    /// How many keys it has.
    pub keys: usize,
    /// Counts the times that data came into being anywhere: data with another number is other data.
    pub incarnation: u64,
    /// Whether it forgets all others each time it starts.
    pub alone: bool,
}

/// Data came into being on an empty volume, by founding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    /// The database it is labelled with.
    pub owner: String,
    /// The cluster that was founded.
    pub cluster_id: ClusterId,
    /// Who founded it.
    pub member_id: MemberId,
    /// With which token.
    pub token: String,
    /// When.
    pub at: Duration,
    /// On which volume.
    pub by_volume: String,
    /// The process that did it.
    pub process: ProcessId,
}

/// What a leader that has a majority behind it now holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Its leader.
    pub leader: ProcessId,
    /// In this term.
    pub term: u64,
    /// Keys and values.
    pub keys: BTreeMap<String, String>,
    terms: Vec<u64>,
}

impl History {
    /// Whether what was acknowledged at that place in the log is there still.
    pub fn holds(&self, index: u64, term: u64) -> bool {
        let at = index.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        at.and_then(|at| self.terms.get(at)) == Some(&term)
    }
}

impl State {
    pub(super) fn inspect(&self) -> Vec<View> {
        self.processes.iter().filter_map(|(id, process)| self.view(*id, process)).collect()
    }

    fn view(&self, id: ProcessId, process: &Process) -> Option<View> {
        if matches!(process.phase, Phase::Exited(_)) {
            return None;
        }
        let mut view = View {
            process: id,
            pod: process.pod.clone(),
            owner: process.owner.clone(),
            place: process.place.clone(),
            volume: process.volume.clone(),
            cluster_id: None,
            member_id: None,
            name: process.flags.as_ref().map(|flags| flags.name.clone()).unwrap_or_default(),
            role: Role::Starting,
            term: 0,
            voters: BTreeSet::new(),
            learners: BTreeSet::new(),
            serving: false,
            keys: 0,
            incarnation: 0,
            alone: process.flags.as_ref().is_some_and(|flags| flags.alone),
        };
        let Some(node) = process.node() else { return Some(view) };
        view.cluster_id = Some(node.disk.cluster);
        view.member_id = Some(node.id());
        view.role = match node.part {
            _ if node.machine.is_learner(node.id()) => Role::Learner,
            Part::Leader(_) => Role::Leader,
            Part::Candidate => Role::Candidate,
            Part::Follower => Role::Follower,
        };
        view.term = node.disk.term;
        let all = |ballot| node.machine.members.values().filter(move |m| m.ballot == ballot).map(|m| m.id).collect();
        view.voters = all(Ballot::Voter);
        view.learners = all(Ballot::Learner);
        view.serving = node.published && view.role != Role::Learner && self.reads(id);
        view.keys = node.machine.keys.len();
        view.incarnation = node.disk.incarnation;
        Some(view)
    }

    /// What each leader of a database that has a majority behind it holds. More than one is one too many.
    pub(super) fn history(&self, owner: &str) -> Vec<History> {
        let leading =
            self.running().filter(|(id, process, node)| process.owner == owner && node.leads() && self.reads(*id));
        leading
            .map(|(leader, _, node)| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                History {
                    cluster_id: node.disk.cluster,
                    leader,
                    term: node.disk.term,
                    keys: node.machine.keys.all().map(|(key, held)| (text(key), text(&held.value))).collect(),
                    terms: node.disk.committed_terms(),
                }
            })
            .collect()
    }
}
