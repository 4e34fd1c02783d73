//! Changes of who belongs to a cluster, with the checks that etcd makes first.

use std::time::Duration;

use super::{
    flags::authority,
    ids::{self, MemberId, ProcessId, Salt},
    log::{Ballot, Change, Member, MemberChange},
    node::{Belief, Connection, Node, Part},
    raft::Proposed,
    refusal::Refusal,
    state::State,
};

/// For how long a member must have been connected to count as healthy.
const HEALTHY: Duration = Duration::from_secs(5);

/// What became of a request: a result, a refusal, or no answer.
pub(super) type Outcome<T> = Option<Result<T, Refusal>>;

impl State {
    /// Adds a member. The result is its identity.
    pub(super) fn add_member(&mut self, through: ProcessId, urls: &[String], ballot: Ballot) -> Outcome<MemberId> {
        if urls.is_empty() || urls.iter().any(|url| authority(url).is_none()) {
            return Some(Err(Refusal::BadUrls));
        }
        if let Err(refusal) = self.may_add(through, ballot) {
            return Some(Err(refusal));
        }
        let id = ids::member(urls, Salt::AddedAt(self.now));
        let mut urls = urls.to_vec();
        urls.sort();
        let member = Member { id, name: String::new(), peer_urls: urls, client_urls: Vec::new(), ballot };
        self.configure(through, MemberChange::Add(member)).map(|result| result.map(|()| id))
    }

    fn may_add(&self, through: ProcessId, ballot: Ballot) -> Result<(), Refusal> {
        let Some(node) = self.strict(through) else { return Ok(()) };
        let voters = node.machine.voters().count();
        let started = started(node, None);
        if ballot == Ballot::Voter && !(started == 1 && voters == 1) && started < majority(voters + 1) {
            return Err(Refusal::NotEnoughStarted);
        }
        if voters > 1 && self.healthy(node) < majority(voters + 1) {
            return Err(Refusal::Unhealthy);
        }
        Ok(())
    }

    /// Removes a member.
    pub(super) fn remove_member(&mut self, through: ProcessId, member: MemberId) -> Outcome<()> {
        if let Err(refusal) = self.may_remove(through, member) {
            return Some(Err(refusal));
        }
        self.configure(through, MemberChange::Remove(member))
    }

    fn may_remove(&self, through: ProcessId, member: MemberId) -> Result<(), Refusal> {
        let Some(node) = self.strict(through).filter(|node| !node.machine.is_learner(member)) else { return Ok(()) };
        let voters = node.machine.voters().count();
        let left = node.machine.voters().filter(|voter| voter.id != member).count();
        if started(node, Some(member)) < majority(left) {
            return Err(Refusal::NotEnoughStarted);
        }
        // Who is down already, or is believed to be, is no part of the active majority.
        let is_up = |with: &Connection| with.belief == Belief::Right;
        if member != node.id() && !node.connections.get(&member).is_some_and(is_up) {
            return Ok(());
        }
        if self.healthy(node).saturating_sub(1) < 1 + voters.saturating_sub(1) / 2 {
            return Err(Refusal::Unhealthy);
        }
        Ok(())
    }

    /// Makes a learner a voter.
    pub(super) fn promote_member(&mut self, through: ProcessId, member: MemberId) -> Outcome<()> {
        // Only the leader knows how far the learner has come; others hand the request on.
        let leader = self.leader_of(through)?;
        let node = self.node(leader)?;
        let Part::Leader(leadership) = &node.part else { return None };
        if !node.machine.members.contains_key(&member) {
            return Some(Err(Refusal::MemberNotFound));
        }
        if node.machine.is_learner(member) {
            let matched = leadership.progress.get(&member).map_or(0, |progress| progress.matched);
            if matched * 10 < node.disk.last() * 9 {
                return Some(Err(Refusal::LearnerNotReady));
            }
            let voters = node.machine.voters().count();
            if self.strict(leader).is_some() && started(node, None) + 1 < majority(voters + 1) {
                return Some(Err(Refusal::NotEnoughStarted));
            }
        }
        self.configure(leader, MemberChange::Promote(member))
    }

    /// Changes where a member's peers reach it.
    pub(super) fn update_member(&mut self, through: ProcessId, member: MemberId, urls: &[String]) -> Outcome<()> {
        if urls.is_empty() || urls.iter().any(|url| authority(url).is_none()) {
            return Some(Err(Refusal::BadUrls));
        }
        self.configure(through, MemberChange::Address(member, urls.to_vec()))
    }

    /// Hands leadership over.
    pub(super) fn move_leader(&mut self, through: ProcessId, to: MemberId) -> Outcome<()> {
        let node = self.node(through)?;
        if !node.leads() {
            return Some(Err(Refusal::NotLeader));
        }
        if !node.machine.is_voter(to) {
            return Some(Err(Refusal::BadTransferee));
        }
        if to == node.id() {
            return Some(Ok(()));
        }
        self.lead(through);
        let node = self.node(through)?;
        let process = self.link(through, node, node.machine.members.get(&to)?)?;
        let current = self.node(process).is_some_and(|target| target.disk.last() == node.disk.last());
        if !current {
            return None;
        }
        self.take_over(process);
        self.node(process).is_some_and(Node::leads).then_some(Ok(()))
    }

    fn configure(&mut self, through: ProcessId, change: MemberChange) -> Outcome<()> {
        match self.propose(through, Change::Members(change)) {
            Proposed::Applied(_, result) => Some(result.map(|_| ())),
            Proposed::Unknown => None,
        }
    }

    /// The member, if it checks changes strictly.
    fn strict(&self, id: ProcessId) -> Option<&Node> {
        let process = self.processes.get(&id)?;
        process.node().filter(|_| process.flags.as_ref().is_some_and(|flags| flags.strict_reconfiguration))
    }

    /// How many voters a member has been connected with for long enough, itself among them.
    fn healthy(&self, node: &Node) -> usize {
        let connected = |id: MemberId| {
            let with = node.connections.get(&id);
            with.is_some_and(|with| with.belief == Belief::Right && with.since + HEALTHY < self.now)
        };
        node.machine.voters().filter(|voter| voter.id == node.id() || connected(voter.id)).count()
    }
}

fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// How many voters have said their name, but for one.
fn started(node: &Node, without: Option<MemberId>) -> usize {
    node.machine.voters().filter(|voter| Some(voter.id) != without && !voter.name.is_empty()).count()
}
