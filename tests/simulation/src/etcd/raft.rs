//! Elections and replication, in steps that are whole: a message, what it does there and the answer are one.

use std::time::Duration;

use super::{
    Exit,
    ids::{MemberId, ProcessId},
    log::Change,
    machine::Applied,
    node::{Node, Part, Response},
    state::State,
};

/// Where in the log something was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) index: u64,
    pub(super) term: u64,
}

/// What became of a proposal.
#[derive(Debug)]
pub(super) enum Proposed {
    /// It was committed, and applied where it was proposed.
    Applied(At, Applied),
    /// Nobody knows, and perhaps never will.
    Unknown,
}

/// What is asked of a voter: first whether it would, then that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ballot {
    Would,
    Does,
}

impl State {
    /// A leader's heartbeat, and all that follows from the answers.
    pub(super) fn lead(&mut self, id: ProcessId) {
        let now = self.now;
        let panicked = self.with(id, |state, leader| {
            let links = state.links(id, leader);
            let mut panicked = Vec::new();
            for round in 0..3 {
                for (_, process) in &links {
                    let Some(follower) = state.node_mut(*process) else { continue };
                    match leader.send(follower, now) {
                        Response::NewerTerm(term) => leader.follow(term, None, now),
                        Response::Panicked(words) if round == 0 => panicked.push((*process, words)),
                        Response::Accepted | Response::Panicked(_) => {}
                    }
                }
                let before = leader.disk.commit;
                leader.commit();
                // Who is being removed shall hear of it: it is told before the leader forgets it.
                for (_, process) in &links {
                    if let Some(follower) = state.node_mut(*process).filter(|_| leader.leads()) {
                        leader.tell_commit(follower);
                        follower.apply(now);
                    }
                }
                if leader.disk.commit == before || !leader.leads() {
                    break;
                }
                leader.apply(now);
            }
            if !leader.keeps_majority(now) {
                leader.follow(leader.disk.term, None, now);
            }
            panicked
        });
        for (process, words) in panicked.into_iter().flatten() {
            self.exit(process, Exit { code: 2, words: format!("panic: {words}") });
        }
    }

    /// A follower whose patience is at an end stands for election.
    pub(super) fn stand(&mut self, id: ProcessId) {
        let now = self.now;
        let due = |node: &Node| !node.leads() && node.promotable() && now >= node.heard + node.patience;
        if !self.node(id).is_some_and(due) {
            return;
        }
        self.with(id, |state, node| {
            node.part = Part::Candidate;
            node.leader = None;
            node.wait(now);
            if !state.poll(id, node, Ballot::Would) {
                return;
            }
            node.disk.term += 1;
            node.disk.voted_for = Some(node.id());
            if state.poll(id, node, Ballot::Does) {
                node.lead(now);
            }
        });
        if self.node(id).is_some_and(Node::leads) {
            self.lead(id);
        }
    }

    /// Told by the leader to take over at once, so no voter asks whether there is a leader.
    pub(super) fn take_over(&mut self, id: ProcessId) {
        let now = self.now;
        self.with(id, |state, node| {
            if !node.promotable() {
                return;
            }
            for (_, voter) in state.links(id, node) {
                if let Some(voter) = state.node_mut(voter) {
                    voter.leader = None;
                    voter.part = Part::Follower;
                }
            }
            node.disk.term += 1;
            node.disk.voted_for = Some(node.id());
            if state.poll(id, node, Ballot::Does) {
                node.lead(now);
            }
        });
        self.lead(id);
    }

    /// Asks every voter that is reached. Whether they are a majority.
    fn poll(&mut self, id: ProcessId, candidate: &mut Node, ballot: Ballot) -> bool {
        let now = self.now;
        let term = candidate.disk.term + u64::from(ballot == Ballot::Would);
        let mut granted = 1;
        for (peer, process) in self.links(id, candidate) {
            if !candidate.machine.is_voter(peer) {
                continue;
            }
            let Some(voter) = self.node_mut(process) else { continue };
            match vote(voter, candidate, term, ballot, now) {
                Vote::Granted => granted += 1,
                Vote::Refused(newer) if newer > candidate.disk.term && ballot == Ballot::Would => {
                    candidate.follow(newer, None, now);
                    return false;
                }
                Vote::Refused(_) | Vote::Ignored => {}
            }
        }
        granted >= candidate.machine.majority()
    }

    /// Who leads the group of a member, as far as it knows and reaches.
    pub(super) fn leader_of(&self, id: ProcessId) -> Option<ProcessId> {
        let node = self.node(id)?;
        if node.leads() {
            return Some(id);
        }
        let leader = node.leader?;
        let process = self.link(id, node, node.members().get(&leader)?)?;
        let leads = self.node(process).is_some_and(|leader| leader.leads() && leader.disk.term == node.disk.term);
        leads.then_some(process)
    }

    /// Proposes a change through a member.
    pub(super) fn propose(&mut self, through: ProcessId, change: Change) -> Proposed {
        let Some(leader) = self.leader_of(through) else { return Proposed::Unknown };
        let Some(node) = self.node_mut(leader) else { return Proposed::Unknown };
        // A change of members that comes while another is under way becomes an entry without effect.
        let dropped = matches!(change, Change::Members(_)) && node.changes_members();
        let index = node.disk.append(if dropped { Change::Nothing } else { change });
        let at = At { index, term: node.disk.term };
        if let Some(node) = self.node_mut(through) {
            node.awaited = index;
        }
        self.lead(leader);
        let Some(node) = self.node_mut(through) else { return Proposed::Unknown };
        node.awaited = 0;
        let result = node.result.take();
        if dropped || node.disk.term_at(index) != Some(at.term) {
            return Proposed::Unknown;
        }
        result.map_or(Proposed::Unknown, |result| Proposed::Applied(at, result))
    }

    /// Whether a read through this member would be answered with what a majority agrees on.
    pub(super) fn reads(&self, through: ProcessId) -> bool {
        let Some(leader) = self.leader_of(through) else { return false };
        let (Some(node), Some(leading)) = (self.node(through), self.node(leader)) else { return false };
        if !leading.knows_commit() || node.machine.applied < leading.disk.commit {
            return false;
        }
        let follows = |process: ProcessId| self.node(process).is_some_and(|voter| voter.disk.term <= leading.disk.term);
        let acknowledged = |voter: MemberId| {
            voter == leading.id()
                || leading.members().get(&voter).and_then(|peer| self.link(leader, leading, peer)).is_some_and(follows)
        };
        leading.machine.voters().filter(|voter| acknowledged(voter.id)).count() >= leading.machine.majority()
    }
}

/// A voter's answer.
enum Vote {
    Granted,
    /// With the voter's term.
    Refused(u64),
    /// As if it had not been asked.
    Ignored,
}

fn vote(voter: &mut Node, candidate: &Node, term: u64, ballot: Ballot, now: Duration) -> Vote {
    if term > voter.disk.term {
        if voter.in_lease(now) {
            return Vote::Ignored;
        }
        if ballot == Ballot::Does {
            voter.follow(term, None, now);
        }
    } else if term < voter.disk.term {
        return if ballot == Ballot::Would { Vote::Refused(voter.disk.term) } else { Vote::Ignored };
    }
    let free = voter.disk.voted_for == Some(candidate.id())
        || (voter.disk.voted_for.is_none() && voter.leader.is_none())
        || (ballot == Ballot::Would && term > voter.disk.term);
    if !free || !voter.disk.accepts(candidate.disk.last_term(), candidate.disk.last()) {
        return Vote::Refused(voter.disk.term);
    }
    if ballot == Ballot::Does {
        voter.disk.voted_for = Some(candidate.id());
        voter.heard = now;
    }
    Vote::Granted
}
