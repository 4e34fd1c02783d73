//! What a member has applied: who belongs to the cluster, and the keys.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ids::MemberId,
    keys::{self, Keys},
    log::{Ballot, Change, Directory, Member, MemberChange},
    refusal::Refusal,
};

/// The state that follows from a log.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    pub(super) applied: u64,
    pub(super) members: BTreeMap<MemberId, Member>,
    /// An identity that was removed never comes back.
    pub(super) removed: BTreeSet<MemberId>,
    pub(super) keys: Keys,
}

/// What came of an entry.
pub(super) type Applied = Result<Option<keys::Answer>, Refusal>;

/// At most so many learners at once.
const LEARNERS: usize = 1;

impl Machine {
    /// Applies what is committed. The result is that of the entry at `watched`, if it was among them.
    pub(super) fn catch_up(&mut self, disk: &Directory, watched: u64) -> Option<Applied> {
        let mut result = None;
        while self.applied < disk.commit {
            let Some(entry) = disk.entry(self.applied + 1) else { break };
            self.applied += 1;
            let applied = self.apply(&entry.change);
            if self.applied == watched {
                result = Some(applied);
            }
        }
        result
    }

    fn apply(&mut self, change: &Change) -> Applied {
        match change {
            Change::Nothing => Ok(None),
            Change::Members(change) => self.change_members(change).map(|()| None),
            Change::Publish { member, name, client_urls } => {
                if let Some(member) = self.members.get_mut(member) {
                    member.name.clone_from(name);
                    member.client_urls.clone_from(client_urls);
                }
                Ok(None)
            }
            Change::Keys(request) => Ok(Some(self.keys.apply(request))),
        }
    }

    fn change_members(&mut self, change: &MemberChange) -> Result<(), Refusal> {
        match change {
            MemberChange::Add(member) => {
                self.may_add(member)?;
                self.members.insert(member.id, member.clone());
            }
            MemberChange::Promote(id) => {
                let member = self.known(*id)?;
                if member.ballot != Ballot::Learner {
                    return Err(Refusal::NotLearner);
                }
                member.ballot = Ballot::Voter;
            }
            MemberChange::Remove(id) => {
                self.known(*id)?;
                self.members.remove(id);
                self.removed.insert(*id);
            }
            MemberChange::Address(id, urls) => {
                self.known(*id)?;
                if self.members.values().any(|other| other.id != *id && shares(&other.peer_urls, urls)) {
                    return Err(Refusal::PeerUrlExists);
                }
                self.known(*id)?.peer_urls.clone_from(urls);
            }
        }
        Ok(())
    }

    fn may_add(&self, member: &Member) -> Result<(), Refusal> {
        if self.removed.contains(&member.id) {
            return Err(Refusal::MemberNotFound);
        }
        if self.members.contains_key(&member.id) {
            return Err(Refusal::MemberExists);
        }
        if self.members.values().any(|other| shares(&other.peer_urls, &member.peer_urls)) {
            return Err(Refusal::PeerUrlExists);
        }
        let learners = self.members.values().filter(|member| member.ballot == Ballot::Learner).count();
        if member.ballot == Ballot::Learner && learners >= LEARNERS {
            return Err(Refusal::TooManyLearners);
        }
        Ok(())
    }

    fn known(&mut self, id: MemberId) -> Result<&mut Member, Refusal> {
        self.members.get_mut(&id).filter(|_| !self.removed.contains(&id)).ok_or(Refusal::MemberNotFound)
    }

    pub(super) fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.ballot == Ballot::Voter)
    }

    pub(super) fn is_voter(&self, id: MemberId) -> bool {
        self.members.get(&id).is_some_and(|member| member.ballot == Ballot::Voter)
    }

    pub(super) fn is_learner(&self, id: MemberId) -> bool {
        self.members.get(&id).is_some_and(|member| member.ballot == Ballot::Learner)
    }

    /// How many voters are needed to decide. With no voters nothing is ever decided.
    pub(super) fn majority(&self) -> usize {
        self.voters().count() / 2 + 1
    }
}

fn shares(some: &[String], others: &[String]) -> bool {
    some.iter().any(|url| others.contains(url))
}
