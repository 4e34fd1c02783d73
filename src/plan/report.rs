//! The report: a database's state in nobody's dialect. Each dialect tells it in its vendor's words.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    membership::Role,
    name::{MemberName, WorkerName},
    operation::{Kind, Operation},
};

/// What is told of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Where it is in its life.
    pub phase: Phase,
    /// One sentence for `status.message`: what is waited for, or what is wrong.
    pub message: String,
    /// Its members, by ordinal.
    pub members: Vec<MemberReport>,
    /// Its conditions, each type once.
    pub conditions: Vec<Condition>,
    /// The change that is being carried out, if one is.
    pub operation: Option<Operation>,
}

impl Report {
    /// The operation that is under way waits for this.
    pub fn waits_for(&mut self, why: &str) {
        let Some(operation) = &mut self.operation else { return };
        operation.waiting_for = Some(why.to_owned());
        let told = operation.condition();
        if let Some(condition) = self.conditions.iter_mut().find(|condition| condition.kind == told.kind) {
            *condition = told;
        }
    }
}

/// Where a database is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not served yet; something in the manifest or the world must change first.
    Waiting,
    /// Being made.
    Creating,
    /// All members serve, or all but the one that is being changed.
    Updating,
    /// All members serve.
    Running,
    /// A majority serves, not all.
    Degraded,
    /// No majority serves.
    Failed,
    /// On its way out.
    Deleting,
}

/// What is told of one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberReport {
    /// Its name.
    pub name: MemberName,
    /// Its worker.
    pub worker: WorkerName,
    /// `leader`, `follower`, `learner`, or nothing while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whether it serves, and if not, in which way.
    pub state: MemberState,
    /// Since when it is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The address that clients use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The address that its peers use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Why it does not serve, in the cluster's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A member's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MemberState {
    /// It has no pod yet.
    Waiting,
    /// Its pod starts or does not pass its readiness probe.
    NotReady,
    /// It serves.
    Ready,
    /// Its worker cannot be seen.
    Unknown,
    /// Its volume is gone.
    Lost,
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.as_str().to_owned()
    }
}

/// A condition, without its bookkeeping (`lastTransitionTime`, `observedGeneration`), which the dialects add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: &'static str,
    /// Whether it holds.
    pub status: Truth,
    /// `CamelCase`, bounded.
    pub reason: &'static str,
    /// For a person: what, where, and what can be done.
    pub message: String,
}

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can tell.
    Unknown,
}

impl Truth {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// An event of the master, about the database's resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether it is bad news.
    pub tone: Tone,
    /// `CamelCase`, bounded.
    pub reason: &'static str,
    /// For a person.
    pub message: String,
}

/// `type` of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// `Normal`.
    Normal,
    /// `Warning`.
    Warning,
}

/// A condition with its bookkeeping, as it stands in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusCondition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// `CamelCase`.
    pub reason: String,
    /// For a person.
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: String,
    /// The generation of the resource that this was decided for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Merges new conditions into those that stand in a status: a transition time changes only with its status, and a
/// condition that is no longer told goes.
#[must_use]
pub fn merge_conditions(
    standing: &[StatusCondition],
    told: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Vec<StatusCondition> {
    told.iter()
        .map(|condition| {
            let before = standing.iter().find(|c| c.kind == condition.kind && c.status == condition.status.as_str());
            StatusCondition {
                kind: condition.kind.to_owned(),
                status: condition.status.as_str().to_owned(),
                reason: condition.reason.to_owned(),
                message: condition.message.clone(),
                last_transition_time: before.map_or_else(|| seconds(now), |c| c.last_transition_time.clone()),
                observed_generation: Some(generation),
            }
        })
        .collect()
}

/// What a person would want to hear of: bad news when it comes, and the good news that it is over.
#[must_use]
pub fn events(standing: &[StatusCondition], told: &[Condition]) -> Vec<Event> {
    let news = told.iter().filter(|condition| {
        let before = standing.iter().find(|c| c.kind == condition.kind);
        before.is_none_or(|c| c.status != condition.status.as_str() || c.reason != condition.reason)
    });
    news.filter_map(|condition| {
        let was_ready = || standing.iter().any(|c| c.kind == "Ready" && c.status == "True");
        let tone = match (condition.kind, condition.status) {
            ("Ready" | "WorkersReleased", Truth::True) => Tone::Normal,
            ("UpToDate", Truth::False) if Kind::is_under_way(condition.reason) => Tone::Normal,
            ("Ready", _) if was_ready() => Tone::Warning,
            ("Ready" | "AddressesKnown" | "Paused", _) => return None,
            ("Deletable", Truth::False) if condition.reason == "LookingForOthers" => return None,
            ("ExposedWithoutTLS", Truth::True) | (_, Truth::False) => Tone::Warning,
            _ => return None,
        };
        Some(Event { tone, reason: condition.reason, message: condition.message.clone() })
    })
    .collect()
}

/// That a change has been carried out, if one was under way and is not told of any more.
#[must_use]
pub fn carried_out(standing: &[StatusCondition], told: &[Condition]) -> Option<Event> {
    let was =
        standing.iter().find(|condition| condition.kind == "UpToDate" && Kind::is_under_way(&condition.reason))?;
    told.iter().all(|condition| condition.kind != "UpToDate").then(|| Event {
        tone: Tone::Normal,
        reason: "CarriedOut",
        message: format!("{} is done: the database is what its manifest asks for", was.reason),
    })
}

/// A time as Kubernetes writes it: UTC, whole seconds.
#[must_use]
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
