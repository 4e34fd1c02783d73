//! Commands to an engine: what is wished of it, as data. The engine knows how to say it; `admin` carries it.

use super::{
    membership::{EngineId, Membership},
    name::MemberName,
    record::Member,
};

/// Something that one member is told to do. Each may be told again: what has been done already is found so when the
/// members are asked, which always comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Who is told.
    pub through: MemberName,
    /// Who is told instead, in this order, where all before refuse. A member refuses by what it believes of the others, and
    /// may be wrong about them for as long as it lives.
    pub otherwise: Vec<MemberName>,
    /// What.
    pub wish: Wish,
}

impl Command {
    /// Only this member can be told.
    #[must_use]
    pub fn to(member: &MemberName, wish: Wish) -> Self {
        Self { through: member.clone(), otherwise: Vec::new(), wish }
    }

    /// Any of these can be told, and whoever leads is told first.
    #[must_use]
    pub fn to_any(membership: &Membership, serving: &[&Member], wish: Wish) -> Option<Self> {
        let leads = |member: &MemberName| membership.leader() == Some(member);
        let mut names: Vec<_> = serving.iter().map(|member| member.name.clone()).collect();
        names.sort_by_key(|name| !leads(name));
        let mut names = names.into_iter();
        Some(Self { through: names.next()?, otherwise: names.collect(), wish })
    }

    /// Who may be told, in order.
    pub fn members(&self) -> impl Iterator<Item = &MemberName> {
        std::iter::once(&self.through).chain(&self.otherwise)
    }
}

/// What is wished of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Whoever is told hands leadership over to this member.
    HandOver {
        /// To whom.
        to: EngineId,
    },
    /// A member joins that has no vote yet.
    Join {
        /// Where its peers will reach it, `host:port`.
        peer: String,
    },
    /// A member that has caught up gets its vote.
    Promote {
        /// Which.
        member: EngineId,
    },
    /// A member is removed.
    Leave {
        /// Which.
        member: EngineId,
    },
    /// A member is reached elsewhere from now on.
    Move {
        /// Which.
        member: EngineId,
        /// Where its peers will reach it, `host:port`.
        peer: String,
    },
}

impl Wish {
    /// The wish as metrics and logs name it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::HandOver { .. } => "HandOver",
            Self::Join { .. } => "Join",
            Self::Promote { .. } => "Promote",
            Self::Leave { .. } => "Leave",
            Self::Move { .. } => "Move",
        }
    }
}
