//! Operations: the changes of a database that take more than one step, as people follow them.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    membership::{Asked, Membership},
    name::{MemberName, WorkerName},
    record::Record,
    report::{Condition, Truth},
    step::Step,
    view::View,
};

/// How often a database is looked at whose operation waits for what no watch shows.
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(2);

/// What an operation comes to now.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The next step.
    pub step: Step,
    /// How far it is.
    pub operation: Operation,
}

impl Course {
    /// When to look again although nothing has changed by then.
    #[must_use]
    pub fn again(&self) -> Option<SignedDuration> {
        self.operation.waiting_for.as_ref().map(|_| PATIENCE)
    }
}

/// What members say now.
///
/// # Errors
/// Where they were not asked for this very decision: the workers that are looked at again with them.
pub fn fresh<'a>(view: &View<'a>, record: &Record) -> Result<&'a Membership, BTreeSet<WorkerName>> {
    match &view.seen.membership {
        Some(membership) if membership.asked == Asked::Now => Ok(membership),
        Some(_) | None => {
            let in_view = |worker: &&WorkerName| view.worker(worker).is_some_and(|view| view.objects().is_some());
            let workers = record.present().map(|member| &member.worker).filter(in_view);
            Err(workers.cloned().collect())
        }
    }
}

/// A change that is being carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which.
    pub kind: Kind,
    /// Whom the present step is about.
    pub member: MemberName,
    /// What is done to it, as a half sentence.
    pub step: String,
    /// How many members are as they should be.
    pub done: usize,
    /// How many there are to be.
    pub total: usize,
    /// What the next step waits for, if it waits.
    pub waiting_for: Option<String>,
}

/// The kinds of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// Pods are made anew, one at a time.
    RollingChange,
    /// Members join.
    ScalingOut,
    /// Members leave.
    ScalingIn,
    /// A member that has lost its volume is replaced.
    Replacing,
    /// A member is reached elsewhere.
    Moving,
    /// A majority was given up, and one member goes on.
    Recovering,
    /// Leadership is handed over.
    Switchover,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::RollingChange,
        Self::ScalingOut,
        Self::ScalingIn,
        Self::Replacing,
        Self::Moving,
        Self::Recovering,
        Self::Switchover,
    ];

    /// `CamelCase`, for conditions and status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RollingChange => "RollingChange",
            Self::ScalingOut => "ScalingOut",
            Self::ScalingIn => "ScalingIn",
            Self::Replacing => "Replacing",
            Self::Moving => "Moving",
            Self::Recovering => "Recovering",
            Self::Switchover => "Switchover",
        }
    }

    /// Whether this reason of a condition says that an operation is under way.
    #[must_use]
    pub fn is_under_way(reason: &str) -> bool {
        Self::ALL.iter().any(|kind| kind.as_str() == reason)
    }
}

impl Operation {
    /// It goes on with this step.
    #[must_use]
    pub fn does(self, step: Step) -> Course {
        Course { step, operation: self }
    }

    /// It waits for this.
    #[must_use]
    pub fn waits(self, why: impl Into<String>) -> Course {
        Course { step: Step::Act(Vec::new()), operation: Self { waiting_for: Some(why.into()), ..self } }
    }

    /// Condition `UpToDate` while it is carried out.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let waits = self.waiting_for.as_ref().map(|why| format!(", waiting: {why}")).unwrap_or_default();
        Condition {
            kind: "UpToDate",
            status: Truth::False,
            reason: self.kind.as_str(),
            message: format!("{} of {} done; {} {}{waits}", self.done, self.total, self.member, self.step),
        }
    }

    /// As it stands in a status, where `standing` is what stands there now.
    #[must_use]
    pub fn told(&self, standing: Option<&StatusOperation>, now: &str) -> StatusOperation {
        let same = standing.filter(|standing| standing.name == self.kind.as_str());
        StatusOperation {
            name: self.kind.as_str().to_owned(),
            step: format!("{} {}", self.member, self.step),
            done: u32::try_from(self.done).unwrap_or(u32::MAX),
            total: u32::try_from(self.total).unwrap_or(u32::MAX),
            waiting_for: self.waiting_for.clone(),
            since: same.map_or_else(|| now.to_owned(), |same| same.since.clone()),
        }
    }
}

/// The change that is being carried out, in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusOperation {
    /// `RollingChange`, `ScalingOut`, `ScalingIn`, `Replacing`, `Moving`, `Recovering` or `Switchover`.
    pub name: String,
    /// Who is changed, and how.
    pub step: String,
    /// How many members are as they should be.
    pub done: u32,
    /// How many there are to be.
    pub total: u32,
    /// What the next step waits for, if it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Since when it is carried out.
    pub since: String,
}
