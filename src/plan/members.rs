//! Who belongs to the database: the next change of its membership, one at a time (DECISIONS 3 to 6).
//!
//! A change is recorded first, as a member's part; then it is carried out through a majority of the voters, who are asked
//! before each step. What the manifest asks for is looked at again whenever no change is under way, so the newest one
//! counts.

use super::{
    budget, join, leave,
    name::MemberName,
    operation::{Course, Kind, Operation},
    record::{Member, Part, Record, Recorded},
    roll,
    seen::Process,
    step::Step,
    view::View,
    volume::{self, Volume},
};

/// What the membership needs next, if anything.
pub fn step(view: &View, record: &Recorded) -> Option<Course> {
    if let Some(doubtful) = doubtful(view, record) {
        return Some(doubtful);
    }
    let of = |part: Part| record.members.iter().filter(move |member| member.part == part);
    let is_dead = |member: &Member| !keeps_its_volume(view, member) && !roll::is_ready(view, member);
    // Whoever is dead goes before whoever is alive, whose vote that needs.
    let leaving = of(Part::Leaving).min_by_key(|member| !is_dead(member));
    match (of(Part::Joining).next(), leaving) {
        // Nobody is let in beside one that is dead: it is removed first.
        (Some(joining), Some(leaving)) if joining.engine_id.is_none() => {
            return Some(leave::step(view, record, leaving));
        }
        (Some(joining), _) => return Some(join::step(view, record, joining)),
        (None, Some(leaving)) => {
            let dead = of(Part::Voter).find(|member| is_dead(member)).filter(|_| !is_dead(leaving));
            let first = dead.and_then(|dead| lost(view, record, dead));
            return Some(first.unwrap_or_else(|| leave::step(view, record, leaving)));
        }
        (None, None) => {}
    }
    let wanted = view.database.replicas as usize;
    let (sound, hurt): (Vec<_>, Vec<_>) = record.voters().partition(|member| keeps_its_volume(view, member));
    let (dead, alive): (Vec<_>, Vec<_>) = hurt.into_iter().partition(|member| is_dead(member));
    // Whoever is dead leaves first, whoever is alive when its successor is there.
    if let Some(member) = dead.first() {
        return lost(view, record, member);
    }
    if sound.len() < wanted {
        return join::begin(view, record, &sound);
    }
    let last = || sound.iter().copied().max_by_key(|member| (member.slot(), member.ordinal));
    let leaver = alive.first().copied().or_else(|| (sound.len() > wanted).then(last).flatten())?;
    Some(leave::begin(view, record, leaver))
}

/// How many members are as the manifest asks, of how many.
pub fn operation(view: &View, record: &Record, kind: Kind, member: &MemberName, step: &str) -> Operation {
    let wanted = view.database.replicas as usize;
    let staying = record.members.iter().filter(|member| member.part == Part::Voter).count();
    let done = match kind {
        Kind::ScalingIn => record.members.len().min(wanted),
        Kind::ScalingOut
        | Kind::Replacing
        | Kind::RollingChange
        | Kind::Moving
        | Kind::Recovering
        | Kind::Switchover => staying.min(wanted),
    };
    Operation { kind, member: member.clone(), step: step.to_owned(), done, total: wanted, waiting_for: None }
}

/// Whether a voter will have its volume still when its pod is made again, as far as anyone can tell.
pub fn keeps_its_volume(view: &View, member: &Member) -> bool {
    match volume::of(view, member) {
        Volume::NotYet | Volume::Sound(_) | Volume::NotInView | Volume::Unknown => true,
        Volume::Going | Volume::Gone(_) => false,
    }
}

/// Volumes that are not in view are looked for before anything is concluded from it.
fn doubtful(view: &View, record: &Recorded) -> Option<Course> {
    let unseen = |member: &Member| matches!(volume::of(view, member), Volume::NotInView);
    let missing: Vec<_> = record.members.iter().filter(|member| member.part == Part::Voter && unseen(member)).collect();
    let first = missing.first()?;
    let workers = missing.iter().map(|member| member.worker.clone()).collect();
    let operation = operation(view, record, Kind::Replacing, &first.name, "may have lost its volume");
    Some(operation.does(Step::LookAgain(workers)))
}

/// A voter that has lost its volume and does not serve is to leave.
fn lost(view: &View, record: &Recorded, member: &Member) -> Option<Course> {
    let is_lost = match volume::of(view, member) {
        Volume::Gone(_) => true,
        // It goes when its pod has gone. One that stands, because its container crashes again and again or no node takes
        // it, would keep it for good.
        Volume::Going => view.pod(member).present().is_none_or(|pod| pod.process == Process::Stands),
        Volume::NotYet | Volume::Sound(_) | Volume::NotInView | Volume::Unknown => false,
    };
    // Of fewer there would be nobody left to decide it: what was lost is not replaced by what never had it.
    (is_lost && record.voters().count() >= budget::SPARE).then(|| leave::begin(view, record, member))
}
