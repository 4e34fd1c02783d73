//! Commands to an engine: what is wished of it, as data. The engine knows how to say it; `admin` carries it.

use super::{membership::EngineId, name::MemberName};

/// Something that one member is told to do. Each may be told again: what has been done already is found so when the
/// members are asked, which always comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Who is told.
    pub through: MemberName,
    /// What.
    pub wish: Wish,
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
