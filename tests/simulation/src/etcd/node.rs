//! A member that runs: its disk, what it has applied, and its part in the raft group.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Exit,
    dice::Dice,
    ids::MemberId,
    log::{Change, Directory, Member, MemberChange},
    machine::{Applied, Machine},
};

/// A running member.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) disk: Directory,
    pub(super) machine: Machine,
    pub(super) part: Part,
    pub(super) leader: Option<MemberId>,
    /// When it last heard of a leader, granted a vote or stood for election.
    pub(super) heard: Duration,
    /// After so long without that it stands for election.
    pub(super) patience: Duration,
    /// Until its name and addresses are committed, it answers no client.
    pub(super) published: bool,
    /// Whom it believes to be in the cluster before its log tells it.
    pub(super) told: BTreeMap<MemberId, Member>,
    pub(super) connections: BTreeMap<MemberId, Connection>,
    /// It has learnt that it must end, and ends then.
    pub(super) end: Option<(Duration, Exit)>,
    /// The entry whose result somebody waits for; 0 is none.
    pub(super) awaited: u64,
    pub(super) result: Option<Applied>,
    pub(super) election: Duration,
    pub(super) dice: Dice,
}

/// What a member does in its term.
#[derive(Debug)]
pub(super) enum Part {
    Follower,
    Candidate,
    Leader(Leadership),
}

/// What a leader knows of the others.
#[derive(Debug, Default)]
pub(super) struct Leadership {
    pub(super) progress: BTreeMap<MemberId, Progress>,
    /// Since when it counts who has answered.
    pub(super) since: Duration,
}

/// What a leader knows of one other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// It is known to have everything up to this entry. Never goes down within a term, as in etcd.
    pub(super) matched: u64,
    /// What is sent next.
    pub(super) next: u64,
    pub(super) answered: Option<Duration>,
}

/// A connection to another member, as etcd's health checks see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) since: Duration,
    /// Nothing has come through since; etcd notices after a while.
    pub(super) silent: Option<Duration>,
    /// What its health checks make of it while it stands.
    pub(super) belief: Belief,
}

/// What a member believes of a peer that it is connected with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belief {
    /// That it is there.
    Right,
    /// That it is lost: a dial of before failed after the streams had been established, and nothing puts that right until
    /// they break (etcd 3.5, `rafthttp`: the pipeline deactivates a peer that only a new stream activates again).
    Wrong,
}

/// What a follower makes of a leader's message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Response {
    Accepted,
    /// The leader is deposed: there is a newer term.
    NewerTerm(u64),
    /// etcd panics rather than go on with a log like this.
    Panicked(String),
}

impl Node {
    pub(super) fn id(&self) -> MemberId {
        self.disk.member
    }

    pub(super) fn leads(&self) -> bool {
        matches!(self.part, Part::Leader(_))
    }

    /// Whether it may stand for election.
    pub(super) fn promotable(&self) -> bool {
        self.machine.is_voter(self.id()) && self.end.is_none()
    }

    /// The members as it knows them, itself included.
    pub(super) fn members(&self) -> &BTreeMap<MemberId, Member> {
        if self.machine.applied == 0 { &self.told } else { &self.machine.members }
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &Member> {
        self.members().values().filter(|member| member.id != self.id())
    }

    /// Begins to wait for a leader anew.
    pub(super) fn wait(&mut self, now: Duration) {
        self.heard = now;
        let more = u32::try_from(self.dice.below(1_000)).unwrap_or(0);
        self.patience = self.election + self.election * more / 1_000;
    }

    pub(super) fn follow(&mut self, term: u64, leader: Option<MemberId>, now: Duration) {
        if term > self.disk.term {
            self.disk.term = term;
            self.disk.voted_for = None;
        }
        self.part = Part::Follower;
        self.leader = leader;
        self.wait(now);
    }

    /// A leader's message has come.
    fn hear(&mut self, term: u64, leader: MemberId, now: Duration) {
        if self.disk.term == term && self.leader == Some(leader) && matches!(self.part, Part::Follower) {
            self.heard = now;
        } else {
            self.follow(term, Some(leader), now);
        }
    }

    /// Wins an election, and begins its term with an entry of its own.
    pub(super) fn lead(&mut self, now: Duration) {
        let next = self.disk.last() + 1;
        let progress = |member: &Member| (member.id, Progress { matched: 0, next, answered: None });
        let progress = self.machine.members.values().map(progress).collect();
        self.part = Part::Leader(Leadership { progress, since: now });
        self.leader = Some(self.id());
        self.wait(now);
        self.disk.append(Change::Nothing);
    }

    /// Whether a leader was heard of so recently that nobody else is voted for.
    pub(super) fn in_lease(&self, now: Duration) -> bool {
        self.leader.is_some() && (self.leads() || now < self.heard + self.election)
    }

    /// Whether an entry of the leader's own term is committed: before that it knows not what others committed.
    pub(super) fn knows_commit(&self) -> bool {
        self.disk.term_at(self.disk.commit) == Some(self.disk.term)
    }

    /// Whether a change of members is under way.
    pub(super) fn changes_members(&self) -> bool {
        (self.machine.applied + 1..=self.disk.last())
            .filter_map(|index| self.disk.entry(index))
            .any(|entry| matches!(entry.change, Change::Members(_)))
    }

    /// Applies what is committed, and keeps the result of the entry that somebody waits for.
    pub(super) fn apply(&mut self, now: Duration) {
        if let Some(result) = self.machine.catch_up(&self.disk, self.awaited) {
            self.result = Some(result);
        }
        if self.machine.removed.contains(&self.id()) {
            self.removed(now + Duration::from_secs(1));
        }
    }

    /// As `--force-new-cluster` has it: what was never committed goes, and so do all others.
    pub(super) fn forget_others(&mut self) {
        let own = self.id();
        self.disk.discard_uncommitted();
        let others: Vec<_> = self.machine.members.keys().copied().filter(|id| *id != own).collect();
        for other in others {
            self.disk.append(Change::Members(MemberChange::Remove(other)));
        }
        self.disk.commit = self.disk.last();
    }

    /// It was removed from the cluster: it ends, however often it is started.
    pub(super) fn removed(&mut self, at: Duration) {
        self.end.get_or_insert_with(|| {
            (at, Exit { code: 0, words: "the member has been permanently removed from the cluster".to_owned() })
        });
        if self.leads() {
            self.part = Part::Follower;
            self.leader = None;
        }
    }

    /// As a leader: whether a majority of the voters has answered since it began to count; then it counts anew.
    pub(super) fn keeps_majority(&mut self, now: Duration) -> bool {
        let own = self.id();
        let Part::Leader(leadership) = &mut self.part else { return true };
        if now < leadership.since + self.election {
            return true;
        }
        let active = |id: MemberId| {
            id == own || leadership.progress.get(&id).and_then(|p| p.answered).is_some_and(|at| at >= leadership.since)
        };
        let active = self.machine.voters().filter(|voter| active(voter.id)).count();
        leadership.since = now;
        active >= self.machine.majority()
    }

    /// As a leader: finds out what is committed.
    pub(super) fn commit(&mut self) {
        let Part::Leader(leadership) = &self.part else { return };
        let own = self.id();
        let has = |id: MemberId| {
            if id == own { self.disk.last() } else { leadership.progress.get(&id).map_or(0, |p| p.matched) }
        };
        let mut have: Vec<_> = self.machine.voters().map(|voter| has(voter.id)).collect();
        have.sort_unstable_by(|a, b| b.cmp(a));
        let Some(index) = have.get(self.machine.majority() - 1).copied() else { return };
        if index > self.disk.commit && self.disk.term_at(index) == Some(self.disk.term) {
            self.disk.commit = index;
        }
    }

    /// As a leader: sends a heartbeat and whatever the follower lacks, and hears the answer.
    pub(super) fn send(&mut self, follower: &mut Self, now: Duration) -> Response {
        let Part::Leader(leadership) = &mut self.part else { return Response::Accepted };
        if follower.disk.term > self.disk.term {
            return Response::NewerTerm(follower.disk.term);
        }
        if follower.leads() && follower.disk.term == self.disk.term {
            // Two leaders in one term: raft ignores the other.
            return Response::Accepted;
        }
        follower.hear(self.disk.term, self.disk.member, now);
        let beyond = Progress { matched: 0, next: self.disk.last() + 1, answered: None };
        let progress = leadership.progress.entry(follower.id()).or_insert(beyond);
        progress.answered = Some(now);
        // The heartbeat says what is committed of what the follower is known to have.
        let committed = progress.matched.min(self.disk.commit);
        if committed > follower.disk.last() {
            return Response::Panicked(format!(
                "tocommit({committed}) is out of range [lastIndex({})]. Was the raft log corrupted, truncated, or lost?",
                follower.disk.last()
            ));
        }
        follower.disk.commit = follower.disk.commit.max(committed);
        let mut before = progress.next - 1;
        if before < follower.disk.commit {
            // A follower takes nothing below what it knows to be committed, and is believed to agree up to there.
            progress.matched = progress.matched.max(follower.disk.commit);
            before = progress.matched;
        }
        let agreed = self.disk.agreed(&follower.disk, before);
        // Else a write was lost, and the follower is stuck with what it has: its refusals look stale to the leader.
        if agreed >= follower.disk.commit {
            follower.disk.take(&self.disk, agreed);
            progress.matched = progress.matched.max(self.disk.last());
            progress.next = self.disk.last() + 1;
        }
        Response::Accepted
    }

    /// As a leader: tells a follower what is committed by now.
    pub(super) fn tell_commit(&self, follower: &mut Self) {
        let Part::Leader(leadership) = &self.part else { return };
        let matched = leadership.progress.get(&follower.id()).map_or(0, |progress| progress.matched);
        let known = matched.min(self.disk.commit).min(follower.disk.last());
        follower.disk.commit = follower.disk.commit.max(known);
    }
}
