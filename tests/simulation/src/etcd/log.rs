//! What a data directory holds: a raft log with its vote, and whose it is.

use std::sync::Arc;

use super::{
    ids::{ClusterId, MemberId},
    keys,
};

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) term: u64,
    pub(super) change: Change,
}

/// What an entry does when it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// What a leader begins its term with.
    Nothing,
    Members(MemberChange),
    /// A member says its name and where clients reach it.
    Publish {
        member: MemberId,
        name: String,
        client_urls: Vec<String>,
    },
    Keys(keys::Request),
}

/// A change of who belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MemberChange {
    Add(Member),
    Promote(MemberId),
    Remove(MemberId),
    Address(MemberId, Vec<String>),
}

/// A member, as a member knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: MemberId,
    /// Empty until the member has started.
    pub(super) name: String,
    pub(super) peer_urls: Vec<String>,
    pub(super) client_urls: Vec<String>,
    pub(super) ballot: Ballot,
}

/// Whether a member counts for majorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ballot {
    Voter,
    Learner,
}

/// What is on disk. Everything in it was flushed before anybody was told of it.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) cluster: ClusterId,
    pub(super) member: MemberId,
    pub(super) term: u64,
    pub(super) voted_for: Option<MemberId>,
    pub(super) commit: u64,
    /// Entry 1 is the first.
    log: Vec<Arc<Entry>>,
    /// Counts how often data came into being anywhere: which life of a member this is.
    pub(super) incarnation: u64,
    /// The database is not what its log says.
    pub(super) corrupt: bool,
}

impl Directory {
    /// A member that founds: every founder writes the same entries.
    pub(super) fn founded(cluster: ClusterId, member: MemberId, founders: &[Member], incarnation: u64) -> Self {
        let add =
            |founder: &Member| Arc::new(Entry { term: 1, change: Change::Members(MemberChange::Add(founder.clone())) });
        let log: Vec<_> = founders.iter().map(add).collect();
        let commit = log.len() as u64;
        Self { cluster, member, term: 1, voted_for: None, commit, log, incarnation, corrupt: false }
    }

    /// A member that joins: it has nothing until a leader sends it.
    pub(super) fn joined(cluster: ClusterId, member: MemberId, incarnation: u64) -> Self {
        Self { cluster, member, term: 0, voted_for: None, commit: 0, log: Vec::new(), incarnation, corrupt: false }
    }

    pub(super) fn last(&self) -> u64 {
        self.log.len() as u64
    }

    pub(super) fn entry(&self, index: u64) -> Option<&Arc<Entry>> {
        self.log.get(usize::try_from(index.checked_sub(1)?).ok()?)
    }

    /// The term of an entry; 0 before the first; none behind the last.
    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        if index == 0 { Some(0) } else { self.entry(index).map(|entry| entry.term) }
    }

    pub(super) fn last_term(&self) -> u64 {
        self.log.last().map_or(0, |entry| entry.term)
    }

    /// Drops what nobody knows to be committed.
    pub(super) fn discard_uncommitted(&mut self) {
        self.log.truncate(usize::try_from(self.commit).unwrap_or(usize::MAX));
    }

    pub(super) fn append(&mut self, change: Change) -> u64 {
        self.log.push(Arc::new(Entry { term: self.term, change }));
        self.last()
    }

    /// Whether a log that ends so may lead this one.
    pub(super) fn accepts(&self, last_term: u64, last: u64) -> bool {
        (last_term, last) >= (self.last_term(), self.last())
    }

    /// Terms of the entries that are known to be committed.
    pub(super) fn committed_terms(&self) -> Vec<u64> {
        (1..=self.commit).filter_map(|index| self.term_at(index)).collect()
    }

    /// Takes what a leader's log has after an index at which both agree. What contradicts it goes.
    pub(super) fn take(&mut self, from: &Self, after: u64) {
        for index in after + 1..=from.last() {
            let Some(entry) = from.entry(index) else { break };
            match self.term_at(index) {
                Some(term) if term == entry.term => continue,
                Some(_) => self.log.truncate(usize::try_from(index - 1).unwrap_or(usize::MAX)),
                None => {}
            }
            self.log.push(Arc::clone(entry));
        }
    }

    /// The greatest index up to `limit` at which both logs have the same term: up to there they are the same.
    pub(super) fn agreed(&self, other: &Self, limit: u64) -> u64 {
        let limit = limit.min(self.last()).min(other.last());
        (0..=limit).rev().find(|index| self.term_at(*index) == other.term_at(*index)).unwrap_or(0)
    }
}
