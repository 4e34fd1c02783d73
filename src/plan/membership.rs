//! The members' own word, in terms that every engine shares.

use std::collections::BTreeMap;

use super::name::MemberName;

/// An identity that the engine gave (etcd: 16 hexadecimal digits).
pub type EngineId = String;

/// What the members answered when they were asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// What each member said, by member; a member that was not asked or whose answer cannot be trusted is missing.
    pub answers: BTreeMap<MemberName, Answer>,
    /// Why members that were asked have no answer here, in words for a person.
    pub silent: BTreeMap<MemberName, String>,
    /// When they were asked.
    pub asked: Asked,
}

/// When members were asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// Within the last minute or so: good enough to tell of, not to act on.
    #[default]
    Lately,
    /// For this very decision.
    Now,
}

/// One entry of a member's list of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its identity.
    pub id: EngineId,
    /// Whether it votes.
    pub ballot: Ballot,
    /// Where its peers are told to reach it, each `host:port`.
    pub peers: Vec<String>,
}

/// Whether a member has a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ballot {
    /// It has.
    Voter,
    /// It only follows.
    Learner,
}

/// One member's answer, checked to come from that member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which route reached it.
    pub rung: Rung,
    /// The cluster it belongs to.
    pub cluster: EngineId,
    /// Its own identity.
    pub member: EngineId,
    /// Its role.
    pub role: Role,
    /// The members it lists, read with a quorum; `None` where only a local read was possible.
    pub listed: Option<Vec<Listed>>,
    /// Its term or epoch.
    pub term: u64,
}

impl Answer {
    /// The voters it lists, by identity, in order; `None` where only a local read was possible.
    #[must_use]
    pub fn voters(&self) -> Option<Vec<&EngineId>> {
        let listed = self.listed.as_ref()?.iter().filter(|listed| listed.ballot == Ballot::Voter);
        let mut voters: Vec<_> = listed.map(|listed| &listed.id).collect();
        voters.sort_unstable();
        Some(voters)
    }
}

impl Membership {
    /// The list of members as a quorum has it, by whoever answered in the latest term.
    #[must_use]
    pub fn list(&self) -> Option<&[Listed]> {
        let lists = self.answers.values().filter_map(|answer| Some((answer.term, answer.listed.as_deref()?)));
        lists.max_by_key(|(term, _)| *term).map(|(_, list)| list)
    }

    /// Who leads, by the word of the one who does.
    #[must_use]
    pub fn leader(&self) -> Option<&MemberName> {
        let leaders = self.answers.iter().filter(|(_, answer)| answer.role == Role::Leader);
        leaders.max_by_key(|(_, answer)| answer.term).map(|(name, _)| name)
    }
}

/// A member's part in its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Leads.
    Leader,
    /// Votes and follows.
    Follower,
    /// Follows without a vote.
    Learner,
}

/// The ladder to a member, in the order in which it is tried (DESIGN section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// The member's own address.
    Address,
    /// Its client service or load balancer.
    Service,
    /// A port-forward through the worker's API server.
    PortForward,
    /// A job in the worker.
    Job,
}

impl Role {
    /// The word for status and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Learner => "learner",
        }
    }
}

impl Rung {
    /// All rungs, from the cheapest.
    pub const LADDER: [Self; 4] = [Self::Address, Self::Service, Self::PortForward, Self::Job];

    /// The word for conditions and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "Address",
            Self::Service => "Service",
            Self::PortForward => "PortForward",
            Self::Job => "Job",
        }
    }
}
