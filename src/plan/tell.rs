//! Telling: from a decision's view to the report that people read.

use super::{
    address, exposure,
    membership::EngineId,
    network::Network,
    operation::{Kind, Operation},
    record::{Member, Part, Record, Stage},
    recover,
    report::{Condition, MemberReport, MemberState, Phase, Report, Truth, seconds},
    seen::{ClaimPhase, PodPhase, Readiness, Sight, WorkerView},
    view::View,
    wait::{Obstacle, Wait},
};

/// The report on one database.
#[must_use]
pub fn report(view: &View, record: Option<&Record>, obstacles: Vec<Obstacle>, operation: Option<Operation>) -> Report {
    let members: Vec<_> = record.map(|record| members(view, record)).unwrap_or_default();
    let voters: Vec<_> = members.iter().filter(|report| votes(record, report)).collect();
    let stands = addresses_stand(view, record);
    let phase = match phase(view, record, &voters, operation.as_ref()) {
        Phase::Running | Phase::Updating if stands.is_some() => Phase::Degraded,
        phase => phase,
    };
    let mut conditions = vec![accepted(view)];
    if let Some(record) = record {
        conditions.push(holds("Placed", "Recorded", placed(record)));
    }
    conditions.extend(starts(&members));
    conditions.extend(reachable(view, record));
    conditions.extend(stands);
    conditions.extend(record.filter(|_| phase == Phase::Failed).and_then(|record| recover::offer(view, record)));
    conditions.extend(differs(view, record));
    conditions.extend(operation.as_ref().map(Operation::condition).or_else(|| super::change::pending(view, record)));
    if let Network::MemberServices(services) = &view.database.network {
        conditions.extend(exposure::condition(services, &members));
    }
    for Obstacle(condition) in obstacles {
        // One condition of each type: the first obstacle stands for the others of its kind.
        conditions.retain(|c| c.kind != condition.kind || c.status == Truth::False);
        if conditions.iter().all(|c| c.kind != condition.kind) {
            conditions.push(condition);
        }
    }
    let ready = ready(phase, &voters, &conditions);
    let message = match &operation {
        Some(operation) if ready.status == Truth::True || operation.kind == Kind::Replacing => {
            operation.condition().message
        }
        Some(_) | None => ready.message.clone(),
    };
    conditions.push(ready);
    Report { phase, message, members, conditions, operation }
}

fn votes(record: Option<&Record>, report: &MemberReport) -> bool {
    record.and_then(|record| record.member(report.name.as_str())).is_some_and(Member::votes)
}

fn members(view: &View, record: &Record) -> Vec<MemberReport> {
    record.present().map(|member| member_report(view, record, member)).collect()
}

fn member_report(view: &View, record: &Record, member: &Member) -> MemberReport {
    let (state, since, why) = state(view, member);
    let answer = view.seen.membership.as_ref().and_then(|membership| membership.answers.get(&member.name));
    let heard = state == MemberState::Ready || member.part == Part::Joining;
    let told = answer.filter(|_| heard && record.identity().is_some());
    MemberReport {
        name: member.name.clone(),
        worker: member.worker.clone(),
        role: told.map(|answer| answer.role.into()),
        state,
        since,
        client: member.client.clone(),
        peer: member.peer.clone(),
        why,
    }
}

fn state(view: &View, member: &Member) -> (MemberState, Option<String>, Option<String>) {
    match view.worker(&member.worker) {
        None => return (MemberState::Unknown, None, Some(view.unseen(&member.worker).message())),
        Some(hidden @ (WorkerView::Unseen { .. } | WorkerView::Unavailable { .. })) => {
            let since = hidden.hidden_since().map(seconds);
            return (MemberState::Unknown, since, Some(view.unseen(&member.worker).message()));
        }
        Some(WorkerView::Seen(_)) => {}
    }
    let claim = view.claim(member, &view.database.volumes.data.name);
    if let (Sight::Present(claim), Some(volume)) = (claim, &member.volume)
        && (&claim.meta.uid != volume || claim.phase == ClaimPhase::Lost)
    {
        return (MemberState::Lost, None, Some(format!("volume claim {} is not the recorded one", claim.meta.name)));
    }
    match view.pod(member) {
        Sight::Present(pod) => match pod.ready {
            Readiness::Ready(since) if pod.phase == PodPhase::Running => (MemberState::Ready, since.map(seconds), None),
            Readiness::Ready(since) | Readiness::NotReady(since) => {
                (MemberState::NotReady, since.map(seconds), pod.trouble.clone())
            }
        },
        Sight::Absent | Sight::Unknown(_) => {
            let why = match claim {
                Sight::Absent => Some("its volume claim is gone"),
                Sight::Unknown(_) => Some("its volume claim is not in view"),
                Sight::Present(_) => None,
            };
            let why = why.filter(|_| member.volume.is_some());
            (MemberState::Waiting, None, why.map(str::to_owned))
        }
    }
}

fn phase(view: &View, record: Option<&Record>, voters: &[&MemberReport], operation: Option<&Operation>) -> Phase {
    let unready: Vec<_> = voters.iter().filter(|member| member.state != MemberState::Ready).collect();
    let majority = (voters.len() - unready.len()) * 2 > voters.len();
    // Whatever is being done, or waits: who belongs to it is about to change.
    let changes = record.is_some_and(|record| record.present().any(|member| member.part != Part::Voter));
    // One that was lost is missed until another has its vote.
    let missed = operation.is_some_and(|operation| operation.kind == Kind::Replacing)
        && voters.len() - unready.len() < view.database.replicas as usize;
    let changed = |member: &MemberReport| operation.is_some_and(|operation| operation.member == member.name);
    match record.map(|record| &record.stage) {
        None => Phase::Waiting,
        Some(Stage::Placed { .. } | Stage::Founding(_) | Stage::Founded(_)) => Phase::Creating,
        Some(Stage::Established(_)) if !majority => Phase::Failed,
        Some(Stage::Established(_)) if missed => Phase::Degraded,
        Some(Stage::Established(_)) if unready.is_empty() && operation.is_none() && !changes => Phase::Running,
        Some(Stage::Established(_)) if unready.iter().all(|member| changed(member)) => Phase::Updating,
        Some(Stage::Established(_)) => Phase::Degraded,
    }
}

fn accepted(view: &View) -> Condition {
    let database = view.database;
    match database.problems.first() {
        Some(problem) => Condition {
            kind: "Accepted",
            status: Truth::False,
            reason: problem.reason,
            message: database.problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "),
        },
        None if database.ignored.is_empty() => {
            let engine = &database.engine;
            holds("Accepted", "Understood", format!("{} {}", engine.kind.as_str(), engine.version.as_str()))
        }
        None => holds("Accepted", "FieldsIgnored", format!("these fields do nothing: {}", database.ignored.join(", "))),
    }
}

fn placed(record: &Record) -> String {
    let place = |member: &Member| match &member.namespace {
        None => format!("{} in {}", member.name, member.worker),
        Some(namespace) => format!("{} in {} (namespace {namespace} there)", member.name, member.worker),
    };
    record.present().map(place).collect::<Vec<_>>().join(", ")
}

/// What keeps a pod from starting, where the worker's words for it are ones that a person can do something about.
fn starts(members: &[MemberReport]) -> Option<Condition> {
    members.iter().filter(|member| member.state == MemberState::NotReady).find_map(|member| {
        let why = member.why.as_deref()?;
        let (_, reason) = STUMBLES.into_iter().find(|(words, _)| why.contains(words))?;
        let message = format!("{} in worker {}: {why}", member.name, member.worker);
        Some(Condition { kind: "PodsStart", status: Truth::False, reason, message })
    })
}

/// What kubelets and schedulers call it, and what we do.
const STUMBLES: [(&str, &str); 9] = [
    ("CreateContainerConfigError", "ReferenceMissing"),
    ("FailedMount", "ReferenceMissing"),
    ("ErrImagePull", "ImageNotPulled"),
    ("ImagePullBackOff", "ImageNotPulled"),
    ("ErrImageNeverPull", "ImageNotPulled"),
    ("InvalidImageName", "ImageNotPulled"),
    ("Unschedulable", "Unschedulable"),
    ("CrashLoopBackOff", "CrashLooping"),
    ("OOMKilled", "OutOfMemory"),
];

/// Which route reached the members that serve (DESIGN section 4, the ladder).
fn reachable(view: &View, record: Option<&Record>) -> Option<Condition> {
    let membership = view.seen.membership.as_ref().filter(|_| record.is_some())?;
    let silent: Vec<_> = membership.silent.iter().map(|(member, why)| format!("{member}: {why}")).collect();
    if !silent.is_empty() {
        let message = format!("{}. Roles are not known; the database itself is not affected", silent.join("; "));
        return Some(Condition { kind: "MembersReachable", status: Truth::False, reason: "NoRoute", message });
    }
    let rung = membership.answers.values().map(|answer| answer.rung).max()?;
    let ways: Vec<_> =
        membership.answers.iter().map(|(member, answer)| format!("{member} by {}", answer.rung.as_str())).collect();
    Some(holds("MembersReachable", rung.as_str(), ways.join(", ")))
}

/// Whether a member is still where the others know it.
fn addresses_stand(view: &View, record: Option<&Record>) -> Option<Condition> {
    let record = record.filter(|record| matches!(record.stage, Stage::Established(_)))?;
    // A manifest that wants another network says nothing about the services that are there.
    if record.network != view.database.network.mode() {
        return None;
    }
    let moved = address::moved(view.database, record, view.seen)?;
    Some(Condition {
        kind: "AddressesStand",
        status: Truth::False,
        reason: "AddressChanged",
        message: format!(
            "{} in worker {} is at {} now, but its peers and clients know it at {}; it serves through connections of its \
             own at best. The others are told where it is as soon as a majority of them answers",
            moved.member.name, moved.member.worker, moved.now.peer, moved.known
        ),
    })
}

/// Whether every member that answered lists exactly the recorded voters.
fn differs(view: &View, record: Option<&Record>) -> Option<Condition> {
    let membership = view.seen.membership.as_ref()?;
    let record = record?;
    // Who joins may vote already, and who leaves may have left: that is found when the members are asked for it.
    if record.members.iter().any(|member| member.part != Part::Voter) {
        return None;
    }
    let mut recorded: Vec<_> = record.voters().filter_map(|member| member.engine_id.as_ref()).collect();
    recorded.sort_unstable();
    let lists = || membership.answers.iter().filter_map(|(name, answer)| Some((name, answer.voters()?)));
    lists().next()?;
    let other = lists().find(|(_, voters)| *voters != recorded);
    Some(match other {
        None => {
            holds("IdentityVerified", "AsComputed", "every member lists the voters with the computed identities".into())
        }
        Some((name, voters)) => Condition {
            kind: "IdentityVerified",
            status: Truth::False,
            reason: "VotersDiffer",
            message: format!(
                "{name} lists voters {}, but the record has {}; Atoll changes no member until a person has looked",
                join(&voters),
                join(&recorded)
            ),
        },
    })
}

fn join(ids: &[&EngineId]) -> String {
    ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ")
}

fn ready(phase: Phase, members: &[&MemberReport], conditions: &[Condition]) -> Condition {
    let blocking = conditions.iter().find(|c| c.status == Truth::False && BLOCKING.contains(&c.kind));
    let serving = members.iter().filter(|member| member.state == MemberState::Ready).count();
    let all = matches!(phase, Phase::Running | Phase::Updating) && serving == members.len();
    if all && blocking.is_none() {
        return holds("Ready", "AllMembersServe", format!("{serving} of {} members serve", members.len()));
    }
    if let Some(condition) = blocking {
        return Condition { kind: "Ready", ..condition.clone() };
    }
    let first = members.iter().find(|member| member.state != MemberState::Ready);
    let wait = Wait::Members {
        ready: serving,
        total: members.len(),
        first: first.map(|first| describe(first)).unwrap_or_default(),
    };
    Condition {
        reason: match phase {
            Phase::Degraded | Phase::Updating => "MajorityServes",
            Phase::Failed => "NoMajorityServes",
            _ => wait.reason(),
        },
        ..wait.condition("Ready")
    }
}

/// The conditions that keep a database from being ready while they do not hold.
const BLOCKING: [&str; 7] =
    ["Accepted", "Placed", "RecordFound", "NamesFree", "AddressesKnown", "VolumesPresent", "IdentityVerified"];

fn describe(member: &MemberReport) -> String {
    let state = match member.state {
        MemberState::Waiting => "has no pod yet",
        MemberState::NotReady => "is not ready",
        MemberState::Ready => "serves",
        MemberState::Unknown => "is unknown",
        MemberState::Lost => "has lost its volume",
    };
    let why = member.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let since = member.since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    format!("{} in {} {state}{since}{why}", member.name, member.worker)
}

fn holds(kind: &'static str, reason: &'static str, message: String) -> Condition {
    Condition { kind, status: Truth::True, reason, message }
}
