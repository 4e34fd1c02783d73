//! The rolling change: pods that were made from an earlier manifest are made anew, one voter at a time over all workers,
//! the leader last.
//!
//! What stands still is made anew at once, because that takes nobody down: so a manifest that can never start stops after
//! the first member, and goes back without hands.

use super::{
    act::{self, Act, Change, Reason},
    budget::{self, Leave, majority},
    change::is_outdated,
    command::{Command, Wish},
    keep::{delete_pod, ours, target},
    membership::Membership,
    operation::{Course, Kind, Operation, fresh},
    record::{Member, Part, Record, Recorded, Stage},
    render,
    seen::{Doubt, Pod, Process, Readiness, Sight},
    step::Step,
    view::View,
    volume::{self, Volume},
};

/// Pods of an earlier manifest in which nothing runs, of voters one at a time, also before they have served: a manifest that
/// fitted nowhere is repaired without a new database. None that has started since it was seen: a
/// watch may lag, and a kubelet that is cut off says nothing.
pub fn at_once(view: &View, record: &Recorded) -> Vec<Act> {
    if record.recovering.is_some() {
        return Vec::new();
    }
    let standing = outdated(view, record).into_iter().filter(|(_, pod)| pod.process == Process::Stands);
    let (joining, voters): (Vec<_>, Vec<_>) = standing.partition(|(member, _)| member.part == Part::Joining);
    let voter = voters.iter().find(|(member, _)| who_is_away(view, record, member).is_none());
    joining.iter().chain(voter).map(|(member, pod)| delete_unchanged(member, pod)).collect()
}

/// Makes the pod of a member anew that was made from an earlier manifest. It has no vote, as the members have just said.
pub fn learner(view: &View, record: &Recorded, member: &Member) -> Option<Step> {
    let (_, pod) = outdated(view, record).into_iter().find(|(other, _)| other.name == member.name)?;
    Some(Step::Act(vec![delete_unchanged(member, pod)]))
}

/// The next step of the rolling change, while there is one.
pub fn step(view: &View, record: &Recorded) -> Option<Course> {
    let outdated = outdated(view, record);
    let unready: Vec<_> = record.voters().filter(|member| !is_ready(view, member)).collect();
    let operation = |member: &Member, step: &str| Operation {
        kind: Kind::RollingChange,
        member: member.name.clone(),
        step: step.to_owned(),
        done: record.voters().count() - outdated.len(),
        total: record.voters().count(),
        waiting_for: None,
    };
    let Some((first, _)) = outdated.first() else {
        record.under_way?;
        let Some(member) = unready.first() else {
            let over = Record { under_way: None, ran: None, ..Record::clone(record) };
            return Some(operation(record.voters().next()?, "serves").does(Step::record(over)));
        };
        return Some(operation(member, "has its new pod").waits(format!("until {} serves", member.name)));
    };
    if record.under_way != Some(Kind::RollingChange) {
        let begun = Record { under_way: Some(Kind::RollingChange), ..Record::clone(record) };
        return Some(operation(first, "is next").does(Step::record(begun)));
    }
    // Watches tell of those that are not ready; there is no need to ask anyone.
    let healthy_and_others_not = |(member, _): &&(&Member, &Pod)| {
        is_ready(view, member) && unready.iter().all(|other| other.name != member.name)
    };
    if let Some(other) = unready.first()
        && outdated.iter().all(|pair| healthy_and_others_not(&pair))
    {
        return Some(operation(other, "comes before the next").waits(format!("until {} serves", other.name)));
    }
    let membership = match fresh(view, record) {
        Ok(membership) => membership,
        Err(workers) => return Some(operation(first, "is next").does(Step::AskAgain(workers))),
    };
    // One that runs, is not ready and does not serve: it serves nobody where all have answered, for then somebody is alone
    // among them, or all lack their majority, and else it serves as soon as they are back. Where somebody is silent, it is
    // needed by nobody only if a majority serves without it: who does not answer us may still vote (S1).
    let all_answer = record.voters().all(|member| membership.answers.contains_key(&member.name));
    let voters = record.voters().count();
    let without_it = record.voters().filter(|member| budget::serves(membership, &member.name)).count();
    let useless = |(member, _): &&(&Member, &Pod)| {
        let answers = membership.answers.contains_key(&member.name);
        let serves = budget::serves(membership, &member.name);
        !is_ready(view, member) && !serves && (all_answer || !answers && without_it >= majority(voters))
    };
    let leads = |member: &Member| membership.leader() == Some(&member.name);
    let useless = outdated.iter().find(useless);
    let next = useless.or_else(|| outdated.iter().find(|(member, _)| !leads(member))).or(outdated.first());
    let (member, pod) = next.copied()?;
    if let Some(other) = who_is_away(view, record, member) {
        return Some(operation(member, "is next").waits(format!("until {} has its new pod", other.name)));
    }
    if useless.is_some() {
        return Some(operation(member, "is made anew").does(Step::Act(vec![delete_unchanged(member, pod)])));
    }
    match budget::ask(record, membership, member, Leave::ForAMoment) {
        Err(held) => Some(operation(member, "is next").waits(held.to_string())),
        Ok(()) if leads(member) && record.voters().count() > 1 => match hand_over(record, membership, member) {
            Some(command) => Some(operation(member, "hands leadership over").does(Step::Command(command))),
            None => Some(operation(member, "is next").waits("nobody is there to take over leadership")),
        },
        Ok(()) => {
            let act = delete_pod(member, &pod.meta, Reason::PodOutdated);
            Some(operation(member, "is made anew").does(Step::Act(vec![act])))
        }
    }
}

/// Deletes a pod, unless it is not any more as it was seen: then it may serve.
fn delete_unchanged(member: &Member, pod: &Pod) -> Act {
    Act {
        worker: member.worker.clone(),
        reason: Reason::PodOutdated,
        change: Change::DeleteUnchanged(target(act::Kind::Pod, &pod.meta), pod.meta.version.clone()),
    }
}

/// Another voter that has no pod to stay, and will have one at once: most likely it was taken down by our own hand.
fn who_is_away<'r>(view: &View, record: &'r Record, member: &Member) -> Option<&'r Member> {
    let has_pod = |other: &Member| match view.pod(other) {
        Sight::Present(pod) => pod.meta.deleting.is_none(),
        Sight::Absent | Sight::Unknown(Doubt::NotInView) => false,
        Sight::Unknown(Doubt::WorkerUnseen) => true,
    };
    let away = |other: &&Member| !has_pod(other) && matches!(volume::of(view, other), Volume::Sound(_));
    record.voters().filter(|other| other.name != member.name).find(away)
}

/// Has a leader hand over to a voter that serves and stays.
pub fn hand_over(record: &Record, membership: &Membership, leader: &Member) -> Option<Command> {
    let stays = |member: &&Member| {
        member.name != leader.name && member.part == Part::Voter && budget::serves(membership, &member.name)
    };
    let to = record.members.iter().find(stays)?.engine_id.clone()?;
    Some(Command::to(&leader.name, Wish::HandOver { to }))
}

/// The members whose pods were made from an earlier manifest, could be somebody alone beside a database that has served, or
/// can never start. A pod whose volume is not sound is not stopped: it would not come back.
fn outdated<'a>(view: &View<'a>, record: &'a Recorded) -> Vec<(&'a Member, &'a Pod)> {
    let founds = matches!(record.stage, Stage::Founding(_));
    let pods = record.present().filter_map(|member| Some((member, view.pod(member).present()?)));
    let stale = |(member, pod): &(&Member, &Pod)| {
        let stays = pod.meta.deleting.is_none() && ours(view, &pod.meta);
        stays
            && matches!(volume::of(view, member), Volume::Sound(_))
            && (is_outdated(view, record, member, pod)
                || !founds && could_be_alone(view, record, pod)
                || was_told_of_others(record, member, pod))
    };
    pods.filter(stale).collect()
}

/// Whether a pod stands whose member may have no data yet, and was told of others than there are now: it could never start.
/// So is one that founds later than the others, until all have served.
fn was_told_of_others(record: &Record, member: &Member, pod: &Pod) -> bool {
    let may_be_new = member.part == Part::Joining || matches!(record.stage, Stage::Founded(_));
    may_be_new
        && pod.process == Process::Stands
        && pod.peers.as_ref().is_some_and(|told| *told != render::peers(record, member))
}

/// Whether there is a voter whose pod could be somebody alone, beside a database that is to grow.
#[must_use]
pub fn stands_alone(view: &View, record: &Record) -> bool {
    record.voters().any(|member| view.pod(member).present().is_some_and(|pod| could_be_alone(view, record, pod)))
}

/// Whether a pod that is only started again could leave the others: one that founds, should its volume be emptied, with
/// fewer than a majority of those that there will be (DECISIONS 1); or one that forgets all others each time it starts.
fn could_be_alone(view: &View, record: &Record, pod: &Pod) -> bool {
    let voters = record.voters().count().max(view.database.replicas as usize);
    pod.alone || pod.founders.is_some_and(|founders| founders < majority(voters))
}

/// Whether a member's pod is ready, and is to stay.
#[must_use]
pub fn is_ready(view: &View, member: &Member) -> bool {
    view.pod(member)
        .present()
        .is_some_and(|pod| matches!(pod.ready, Readiness::Ready(_)) && pod.meta.deleting.is_none())
}
