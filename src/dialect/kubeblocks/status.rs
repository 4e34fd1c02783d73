//! The plan's state, told in KubeBlocks' words.

use jiff::Timestamp;

use super::{
    compile,
    crd::{Cluster, ClusterStatus, ComponentStatus, MemberStatus, ReplicaRole},
};
use crate::{
    dialect::{Dialect, News, Settings},
    plan::{
        database::{Database, DatabaseKind},
        membership::Role,
        record::Record,
        report::{
            Condition, MemberReport, MemberState, Phase, Report, StatusCondition, Truth, merge_conditions, seconds,
        },
    },
};

impl Dialect for Cluster {
    const KIND: DatabaseKind = DatabaseKind::KubeBlocksCluster;

    fn compile(&self, settings: &Settings) -> Database {
        compile(self, settings)
    }

    fn record(&self) -> Option<&Record> {
        self.status.as_ref()?.atoll.as_ref()
    }

    fn phase(&self) -> Option<&str> {
        self.status.as_ref()?.phase.as_deref()
    }

    fn conditions(&self) -> &[StatusCondition] {
        self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }

    fn told(&self, database: &Database, record: Option<&Record>, report: &Report, now: Timestamp) -> Self {
        let none = ClusterStatus::default();
        let standing = self.status.as_ref().unwrap_or(&none);
        let told = status(database, record, report, standing, now);
        Self { metadata: self.metadata.clone(), spec: self.spec.clone(), status: Some(told) }
    }

    fn news(&self, told: &Self) -> News {
        let headline =
            |cluster: &Self| cluster.status.as_ref().map(|status| (status.phase.clone(), status.observed_generation));
        if headline(self) != headline(told) {
            News::Headline
        } else if self.status != told.status {
            News::Detail
        } else {
            News::None
        }
    }
}

/// The status of a `Cluster` after `report`, where `standing` is what it says now. The same report gives the same
/// status, to the letter: it is written only when it differs.
#[must_use]
pub fn status(
    database: &Database,
    record: Option<&Record>,
    report: &Report,
    standing: &ClusterStatus,
    now: Timestamp,
) -> ClusterStatus {
    let phase = phase(report.phase).to_owned();
    let all_ready = !report.members.is_empty() && report.members.iter().all(ready);
    let component = ComponentStatus {
        phase: Some(phase.clone()),
        pods_ready: Some(all_ready),
        members_status: report.members.iter().map(member).collect(),
    };
    let mut conditions = report.conditions.clone();
    conditions.extend(vendor_conditions(record, all_ready));
    ClusterStatus {
        observed_generation: Some(database.generation),
        phase: Some(phase),
        message: Some(report.message.clone()),
        components: [(database.component.clone(), component)].into_iter().collect(),
        conditions: merge_conditions(&standing.conditions, &conditions, database.generation, now),
        members: report.members.clone(),
        operation: report
            .operation
            .as_ref()
            .map(|operation| operation.told(standing.operation.as_ref(), &seconds(now))),
        atoll: record.cloned(),
    }
}

/// The conditions that the vendor's tools wait for, beside our own; `Ready` is the same in both.
fn vendor_conditions(record: Option<&Record>, all_ready: bool) -> [Condition; 3] {
    let condition = |kind, holds: bool, [yes, no]: [&'static str; 2], message: [&str; 2]| Condition {
        kind,
        status: if holds { Truth::True } else { Truth::False },
        reason: if holds { yes } else { no },
        message: message[usize::from(!holds)].to_owned(),
    };
    let started = record.is_some();
    let applied = record.is_some_and(|record| record.identity().is_some());
    [
        condition(
            "ProvisioningStarted",
            started,
            ["PreCheckSucceed", "PreCheckFailed"],
            ["members have workers", "members have no workers yet; see Accepted and Placed"],
        ),
        condition(
            "ApplyResources",
            applied,
            ["ApplyResourcesSucceed", "ApplyResourcesFailed"],
            [
                "volumes and services are there",
                "volumes, services or addresses are missing yet; see Placed and AddressesKnown",
            ],
        ),
        condition(
            "ReplicasReady",
            all_ready,
            ["AllReplicasReady", "ReplicasNotReady"],
            ["all members serve", "not all members serve; see Ready"],
        ),
    ]
}

/// The vendor's phases (`kubectl get cluster`, column STATUS).
fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting | Phase::Creating => "Creating",
        Phase::Updating => "Updating",
        Phase::Running => "Running",
        Phase::Degraded => "Abnormal",
        Phase::Failed => "Failed",
        Phase::Deleting => "Deleting",
    }
}

fn ready(member: &MemberReport) -> bool {
    member.state == MemberState::Ready
}

fn member(member: &MemberReport) -> MemberStatus {
    MemberStatus {
        pod_name: member.name.to_string(),
        ready: ready(member),
        role: member.role.as_deref().map(|role| ReplicaRole {
            name: role.to_owned(),
            access_mode: if role == Role::Leader.as_str() { "ReadWrite" } else { "Readonly" }.to_owned(),
            can_vote: role != Role::Learner.as_str(),
            is_leader: role == Role::Leader.as_str(),
        }),
    }
}
