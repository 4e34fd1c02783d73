//! Engines: what is known of each kind of database. Pure: an engine names questions and reads answers, and never
//! speaks to anyone itself.
//!
//! A new database is a folder here, a variant of [`EngineKind`] and, if it speaks a new protocol, a file in `admin`.

pub mod etcd;
mod question;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;

pub use question::{Exchange, HttpReply, HttpRequest, Method, Question};

use crate::plan::{
    command::Wish,
    membership::{Answer, EngineId, Rung},
    name::MemberName,
    record::{Member, Record},
};

/// The kinds of database that Atoll runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineKind {
    /// etcd.
    Etcd,
}

impl EngineKind {
    /// The engine's name, also the value of label `app.kubernetes.io/name`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
        }
    }

    /// What is known of this kind.
    #[must_use]
    pub fn knowledge(self) -> &'static dyn Knowledge {
        match self {
            Self::Etcd => &etcd::Etcd,
        }
    }
}

/// A version of an engine, as its own table names it (etcd: `3.5.35`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// Wraps a version that an engine's table resolved.
    #[must_use]
    pub fn new(version: impl Into<String>) -> Self {
        Self(version.into())
    }

    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A port that members listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in pods and services.
    pub name: &'static str,
    /// Its number.
    pub number: u16,
}

/// The ports every engine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where clients, and Atoll's questions, go.
    pub client: Port,
    /// Where peers go.
    pub peer: Port,
    /// Any further port that the pod declares (metrics, health).
    pub others: &'static [Port],
}

/// What a founding will give its members, computed before any of them exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedIdentity {
    /// The identity of the whole.
    pub cluster: EngineId,
    /// The identity of each member.
    pub members: BTreeMap<MemberName, EngineId>,
}

/// How a member starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It founds the database, together with all the others.
    Found,
    /// The database exists: it must never found again.
    Join,
    /// It forgets all others and goes on with what it has.
    Alone,
}

/// Why an answer is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Somebody else answered, or somebody who has lost their identity.
    #[error("{member} was asked, but cluster {cluster} member {id} answered")]
    WrongIdentity {
        /// Who was asked.
        member: MemberName,
        /// The cluster of who answered.
        cluster: EngineId,
        /// The identity of who answered.
        id: EngineId,
    },
    /// The answer is not one of this engine's.
    #[error("{member} gave an answer that cannot be read: {why}")]
    Unreadable {
        /// Who was asked.
        member: MemberName,
        /// What is wrong with it; never quotes it.
        why: String,
    },
}

/// An engine's refusal to do as it was told, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// A change of version, as far as it can be judged without looking at the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Members of both versions are one database, in either direction.
    Alike,
    /// Members of both versions are one database until all of them run the newer one: then there is no way back. It
    /// begins when all run the older one.
    OneWay,
}

/// What a planner must know of one kind of database.
pub trait Knowledge: Sync {
    /// The ports.
    fn ports(&self) -> Ports;

    /// Variables that a manifest may not set in a member's container, because they would undo what the record says.
    fn forbidden_env(&self) -> &'static [&'static str];

    /// The identity that a founding with these peers and this token will have. A pure function of both.
    fn expected_identity(&self, members: &[(MemberName, String)], token: &str) -> ExpectedIdentity;

    /// The container of one member, without its image: of the recorded version, with the recorded identity.
    fn container(&self, record: &Record, member: &Member, start: Start) -> Container;

    /// A command of the engine's image that ends at once and well, for placeholders.
    fn no_op(&self) -> Vec<String>;

    /// What to ask one member for its identity, role and view of the membership.
    fn question(&self, member: &Member) -> Question;

    /// Reads one member's reply. It is believed only if it carries the recorded identity of the cluster and of the member.
    ///
    /// # Errors
    /// A [`Distrust`], which leaves the member Unknown.
    fn read(&self, record: &Record, member: &Member, rung: Rung, replies: &[HttpReply]) -> Result<Answer, Distrust>;

    /// Whether a member's last words, which may be the end of its log, say that it cannot go on with the data it has.
    fn is_spoilt(&self, last_words: &str) -> bool;

    /// How a wish is said.
    fn command(&self, wish: &Wish) -> HttpRequest;

    /// Whether a member did as it was told.
    ///
    /// # Errors
    /// The engine's own words, where it refused.
    fn obeyed(&self, reply: &HttpReply) -> Result<(), Refused>;

    /// Whether a running database may go from one version to the other.
    ///
    /// # Errors
    /// Why not, and what to do instead.
    fn upgrade(&self, from: &Version, to: &Version) -> Result<Upgrade, String>;

    /// Whether members may join a database of this version.
    ///
    /// # Errors
    /// Why not, and what to do instead.
    fn may_grow(&self, version: &Version) -> Result<(), String>;
}
