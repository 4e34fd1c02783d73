//! Leaving: leadership goes first, then the vote, through a majority; then the pod, then, by policy, the volumes (S8).

use std::collections::BTreeSet;

use super::{
    act::{self, Act, Change, Reason, Target},
    budget::{self, Leave, majority},
    command::{Command, Wish},
    debt::Volumes,
    delete,
    keep::ours,
    members,
    name::WorkerName,
    operation::{Course, Kind, Operation, fresh},
    record::{Member, Part, Record, Recorded},
    roll,
    seen::{Meta, Objects, Source},
    step::Step,
    strangers,
    view::View,
};

/// Records who leaves next.
pub fn begin(view: &View, record: &Recorded, member: &Member) -> Course {
    let leaving = Member { part: Part::Leaving, ..member.clone() };
    operation(view, record, member, "is to leave").does(Step::record(record.with(leaving)))
}

/// The next step of a member that is to leave.
pub fn step(view: &View, record: &Recorded, member: &Member) -> Course {
    let operation = |step: &str| operation(view, record, member, step);
    let membership = match fresh(view, record) {
        Ok(membership) => membership,
        Err(workers) => return operation("leaves").does(Step::AskAgain(workers)),
    };
    let Some(list) = membership.list() else {
        return operation("leaves").waits("no majority of the voters answers");
    };
    if let Some(course) = strangers::step(record, membership, list, operation("leaves")) {
        return course;
    }
    let Some(listed) = list.iter().find(|listed| Some(&listed.id) == member.engine_id.as_ref()) else {
        let left = Member { part: Part::Removed, ..member.clone() };
        return operation("has left").does(Step::record(record.with(left)));
    };
    let others: Vec<_> = record.voters().filter(|other| other.name != member.name).collect();
    let serving: Vec<_> = others.iter().copied().filter(|other| budget::serves(membership, &other.name)).collect();
    if serving.is_empty() || serving.len() < majority(others.len()) {
        let why = format!("{} of the {} others serve, which is no majority", serving.len(), others.len());
        return operation("leaves").waits(why);
    }
    if budget::serves(membership, &member.name) {
        if let Err(held) = budget::ask(record, membership, member, Leave::ForGood) {
            return operation("leaves").waits(held.to_string());
        }
        if membership.leader() == Some(&member.name) {
            return match roll::hand_over(record, membership, member) {
                Some(command) => operation("hands leadership over").does(Step::Command(command)),
                None => operation("leaves").waits("nobody is there to take over leadership"),
            };
        }
    }
    match Command::to_any(membership, &serving, Wish::Leave { member: listed.id.clone() }) {
        None => operation("leaves").waits("no other voter serves"),
        Some(command) => operation("is removed").does(Step::Command(command)),
    }
}

fn operation(view: &View, record: &Record, member: &Member, step: &str) -> Operation {
    let wanted = view.database.replicas as usize;
    let staying = record.members.iter().filter(|member| member.part == Part::Voter).count();
    let kind = if staying < wanted { Kind::Replacing } else { Kind::ScalingIn };
    members::operation(view, record, kind, &member.name, step)
}

/// What is left of members that have left, and is to go now. A volume goes only where a live list shows that no pod uses it.
pub fn tidy(view: &View, record: &Recorded) -> Vec<Act> {
    let mut acts: Vec<_> =
        left(view, record).filter(|(act, source)| !takes_volume(act) || *source == Source::Live).collect();
    // Two members that have left one worker leave its headless service once.
    acts.sort_by_key(|(act, _)| target_of(act).cloned());
    acts.dedup_by(|(one, _), (other, _)| target_of(one).is_some() && target_of(one) == target_of(other));
    acts.into_iter().map(|(act, _)| act).collect()
}

/// What is left of members that have left, and by which sight it is to go now.
fn left<'a>(view: &'a View, record: &'a Recorded) -> impl Iterator<Item = (Act, Source)> + 'a {
    let removed = record.members.iter().filter(|member| member.has_left());
    removed.flat_map(move |member| {
        let workers = record.workers().into_iter();
        let seen = workers.filter_map(|worker| objects(view, member, worker).map(|objects| (worker, objects)));
        seen.flat_map(move |(worker, objects)| {
            // Of a member that was given up nobody knows what only it had.
            let volumes = match member.part {
                Part::GivenUp => Volumes::Keep,
                _ => Volumes::from(view.database.on_delete),
            };
            let all = delete::all(objects);
            let mine: Vec<_> = all.filter(|(kind, meta)| is_of(view, record, member, worker, *kind, meta)).collect();
            let acts = delete::clear(worker, Reason::MemberLeft, volumes, &mine).0;
            acts.into_iter().map(|act| (act, objects.source))
        })
    })
}

/// The workers that must be listed before volumes of members that have left can go there.
fn unproved(view: &View, record: &Recorded) -> BTreeSet<WorkerName> {
    let volumes = left(view, record).filter(|(act, source)| takes_volume(act) && *source == Source::Watch);
    volumes.map(|(act, _)| act.worker).collect()
}

fn takes_volume(act: &Act) -> bool {
    target_of(act).is_some_and(|target| target.kind == act::Kind::Claim)
}

fn target_of(act: &Act) -> Option<&Target> {
    match &act.change {
        Change::Delete(target) | Change::DeleteUnchanged(target, _) => Some(target),
        Change::Create(..) | Change::Apply(..) | Change::Grow(..) | Change::TakeOver(..) | Change::Tell(..) => None,
    }
}

/// Looks for what volumes of members that have left wait for, and forgets those of which nothing is left, as live lists show.
pub fn forget(view: &View, record: &Recorded) -> Option<Step> {
    let unproved = unproved(view, record);
    if !unproved.is_empty() {
        return Some(Step::LookAgain(unproved));
    }
    let clean = |member: &&Member| {
        let volumes_stay = member.part == Part::GivenUp || Volumes::from(view.database.on_delete) == Volumes::Keep;
        member.has_left()
            && record.workers().into_iter().all(|worker| {
                objects(view, member, worker).is_some_and(|objects| {
                    let mut mine =
                        delete::all(objects).filter(|(kind, meta)| is_of(view, record, member, worker, *kind, meta));
                    mine.all(|(kind, _)| kind == act::Kind::Claim && volumes_stay)
                })
            })
    };
    let member = record.members.iter().find(clean)?;
    let workers = record.workers();
    let watched = |worker: &&&WorkerName| {
        let objects = view.worker(worker).and_then(|view| view.objects());
        objects.is_some_and(|objects| objects.source == Source::Watch)
    };
    let watched: BTreeSet<_> = workers.iter().filter(watched).map(|worker| (*worker).clone()).collect();
    if !watched.is_empty() {
        return Some(Step::LookAgain(watched));
    }
    let members = record.members.iter().filter(|other| other.name != member.name).cloned().collect();
    let next = Some(record.next_ordinal());
    Some(Step::record(Record { members, next, ..Record::clone(record) }))
}

/// What is seen in a worker of a member that has left: nothing in its own, where that leads to another cluster by now.
fn objects<'a>(view: &View<'a>, member: &Member, worker: &WorkerName) -> Option<&'a Objects> {
    let elsewhere = *worker == member.worker && view.is_elsewhere(member);
    view.worker(worker).filter(|_| !elsewhere)?.objects()
}

/// Whether an object is of a member that has left: its own, and, where it was the last in its worker, the services there
/// by which it and the others found each other.
fn is_of(view: &View, record: &Record, member: &Member, worker: &WorkerName, kind: act::Kind, meta: &Meta) -> bool {
    let was_last = || *worker == member.worker && record.present().all(|other| other.worker != *worker);
    let data = view.database.names.claim(&view.database.volumes.data.name, &member.name);
    // Another claim that has taken the name of the volume was made by somebody else, for a purpose that we do not know.
    let another = kind == act::Kind::Claim
        && meta.name == data
        && member.volume.as_ref().is_some_and(|volume| *volume != meta.uid);
    let own = meta.member.as_deref() == Some(member.name.as_str());
    ours(view, meta) && !another && (own || kind == act::Kind::Service && was_last())
}
