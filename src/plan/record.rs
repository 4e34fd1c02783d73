//! The record: what is written in the master before it is done anywhere (DECISIONS 5).
//!
//! It lives in `status.atoll` of the resource. Every step is re-derived from the record and from what is seen, so
//! that a controller killed between any two writes goes on where it stood.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    database::{Database, DatabaseId},
    membership::EngineId,
    name::{MemberName, Namespace, Uid, WorkerName},
    operation::Kind,
};

/// The durable part of one database's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The database's UID: a record that was restored or copied into another resource is not its record.
    pub uid: Uid,
    /// How far its life has come.
    pub stage: Stage,
    /// What its members run. A pod that is made again runs this, whatever the manifest says by then.
    pub runs: Runs,
    /// What they ran before, until all of them run the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran: Option<Runs>,
    /// The network mode that its addresses come from. Services of another mode are not made beside them.
    pub network: String,
    /// A deletion that was found to be one of many: it stays held when the others are old or gone (DECISIONS 7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Its members, by ordinal.
    pub members: Vec<Member>,
    /// The next ordinal that no member has ever had, once others than the founders have joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
    /// The rolling change that is under way: it is over when all members serve again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<Kind>,
    /// Who goes on alone, while all others are being forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovering: Option<MemberName>,
    /// The last recovery that a person asked for and that has begun, in the words of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<String>,
    /// The last handing over of leadership that a person asked for and that is done, in the words of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<String>,
}

/// What members run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Runs {
    /// The version, as the engine's table names it.
    pub version: String,
    /// The image.
    pub image: String,
}

/// How far a database has come. It only ever moves forward, but for a new founding attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "phase")]
pub enum Stage {
    /// Members have workers. Volumes and services may be made, pods not.
    #[serde(rename_all = "camelCase")]
    Placed {
        /// Which attempt at founding this prepares, from 1.
        attempt: u32,
    },
    /// The identity is computed. Pods that found may be made.
    Founding(Identity),
    /// Members have served with that identity. No pod made from now on may found.
    Founded(Identity),
    /// All members have served at the same time: the database is whole, and from now on it is kept.
    Established(Identity),
}

/// The identity that a database is founded with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Which attempt at founding made it, from 1.
    pub attempt: u32,
    /// What sets this founding apart from every other one.
    pub token: String,
    /// The cluster identity that the engine must report.
    pub cluster: EngineId,
}

/// One member, as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its name.
    pub name: MemberName,
    /// Its ordinal; never used again for another incarnation (DECISIONS 6).
    pub ordinal: u32,
    /// Which of the manifest's places it takes, where that is not the one of its ordinal: that of who it replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// Its part in the database.
    #[serde(default, skip_serializing_if = "is_default")]
    pub part: Part,
    /// Its worker. Placement is recorded once and never recomputed.
    pub worker: WorkerName,
    /// The namespace there that its objects are in; nothing where it is the one of the database's own name. Recorded with
    /// the worker: a mapping that is edited later moves nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// The worker's identity when the member was placed there. In no other cluster anything is made for it, whatever the
    /// worker's registration leads to later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_identity: Option<Uid>,
    /// Its data volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Uid>,
    /// The address its peers know it by: host name or IP, with the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The address that its peers knew it by before, until a majority knows the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_peer: Option<String>,
    /// The address that it tells its clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The identity that the engine must report for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_id: Option<EngineId>,
}

/// A recorded member's part in its database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// It votes.
    #[default]
    Voter,
    /// It is to vote: until it has caught up it follows without a vote.
    Joining,
    /// It votes and is to leave.
    Leaving,
    /// It has left, as a majority has it. Its pod, its services and, if the policy says so, its volumes are to go.
    Removed,
    /// A person has given it up, with the majority that it was part of. It must never run again; its volumes stay.
    GivenUp,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The namespace in each worker that a database's objects are in.
pub type Homes = BTreeMap<WorkerName, Namespace>;

/// A record as the master's API server holds it. Only such a record may be acted on: what is not yet written might
/// never be (DECISIONS 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded(Record);

impl Recorded {
    /// Takes a record out of a resource's status, as it was read from the API server or returned by it.
    #[must_use]
    pub fn from_status(record: Record) -> Self {
        Self(record)
    }
}

impl std::ops::Deref for Recorded {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.0
    }
}

impl Member {
    /// A member that has its worker, and nothing else yet.
    #[must_use]
    pub fn placed(name: MemberName, ordinal: u32, worker: WorkerName) -> Self {
        Self {
            name,
            ordinal,
            slot: None,
            part: Part::Voter,
            worker,
            namespace: None,
            worker_identity: None,
            volume: None,
            peer: None,
            former_peer: None,
            client: None,
            engine_id: None,
        }
    }

    /// The same, in this namespace of its worker; `None` for the one of the database's own name.
    #[must_use]
    pub fn inside(self, namespace: Option<Namespace>) -> Self {
        Self { namespace, ..self }
    }

    /// The same, in the cluster of this identity.
    #[must_use]
    pub fn in_cluster(self, identity: Option<Uid>) -> Self {
        Self { worker_identity: identity, ..self }
    }

    /// Whether it could be in the cluster of this identity: where it was not recorded yet, it could be anywhere.
    #[must_use]
    pub fn could_be_in(&self, cluster: &Uid) -> bool {
        self.worker_identity.as_ref().is_none_or(|own| own == cluster)
    }

    /// Which of the manifest's places it takes.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot.unwrap_or(self.ordinal)
    }

    /// Whether it belongs to the database no more.
    #[must_use]
    pub fn has_left(&self) -> bool {
        matches!(self.part, Part::Removed | Part::GivenUp)
    }

    /// Whether it has a vote, by the record.
    #[must_use]
    pub fn votes(&self) -> bool {
        matches!(self.part, Part::Voter | Part::Leaving)
    }

    /// The namespace in its worker that its objects are in.
    #[must_use]
    pub fn home<'a>(&'a self, database: &'a DatabaseId) -> &'a Namespace {
        self.namespace.as_ref().unwrap_or(&database.namespace)
    }
}

impl Record {
    /// A record of members that have workers, and nothing else yet.
    #[must_use]
    pub fn placed(database: &Database, attempt: u32, members: Vec<Member>) -> Self {
        let engine = &database.engine;
        Self {
            uid: database.id.uid.clone(),
            stage: Stage::Placed { attempt },
            runs: Runs { version: engine.version.as_str().to_owned(), image: engine.image.clone() },
            network: database.network.mode(),
            ran: None,
            held: None,
            members,
            next: None,
            under_way: None,
            recovering: None,
            recovered: None,
            handed_over: None,
        }
    }

    /// The identity, once there is one.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        match &self.stage {
            Stage::Placed { .. } => None,
            Stage::Founding(identity) | Stage::Founded(identity) | Stage::Established(identity) => Some(identity),
        }
    }

    /// Which attempt at founding this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        match &self.stage {
            Stage::Placed { attempt } => *attempt,
            Stage::Founding(identity) | Stage::Founded(identity) | Stage::Established(identity) => identity.attempt,
        }
    }

    /// The workers that hold members, each once.
    pub fn workers(&self) -> std::collections::BTreeSet<&WorkerName> {
        self.members.iter().map(|member| &member.worker).collect()
    }

    /// The namespace in each of its workers that its objects are in. Members in one worker share one.
    #[must_use]
    pub fn homes(&self, database: &DatabaseId) -> Homes {
        let home = |member: &Member| (member.worker.clone(), member.home(database).clone());
        self.members.iter().map(home).collect()
    }

    /// The members that have a vote.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.votes())
    }

    /// The members that belong to the database, or are about to: all but those that have left.
    pub fn present(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.has_left())
    }

    /// Whom a member that starts must find, and at which address: those that have a vote where the others know them by now,
    /// which a move that no majority has been told of does not change, and itself where it is.
    pub fn peers_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = (&'a MemberName, Option<&'a str>)> {
        let found = self.members.iter().filter(move |other| other.votes() || other.name == member.name);
        found.map(move |other| {
            let known = if other.name == member.name { None } else { other.former_peer.as_deref() };
            (&other.name, known.or(other.peer.as_deref()))
        })
    }

    /// The same record, of this member alone.
    #[must_use]
    pub fn alone(&self, member: &Member) -> Self {
        Self { members: vec![member.clone()], ..self.clone() }
    }

    /// The next ordinal that no member has ever had.
    #[must_use]
    pub fn next_ordinal(&self) -> u32 {
        self.next.unwrap_or_else(|| self.members.iter().map(|member| member.ordinal + 1).max().unwrap_or(0))
    }

    /// The same record, but for one member.
    #[must_use]
    pub fn with(&self, member: Member) -> Self {
        let same = |other: &Member| if other.name == member.name { member.clone() } else { other.clone() };
        Self { members: self.members.iter().map(same).collect(), ..self.clone() }
    }

    /// The member with this name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name.as_str() == name)
    }
}
