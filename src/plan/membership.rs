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
    /// The voters it lists, by identity, read with a quorum; `None` where only a local read was possible.
    pub voters: Option<Vec<EngineId>>,
    /// Its term or epoch.
    pub term: u64,
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
