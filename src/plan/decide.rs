//! The decision: a pure function of what is asked for, what is recorded and what is seen.

use jiff::SignedDuration;

use super::{
    act::Act,
    adopt, brake, change,
    database::{Intent, PlacementRequest},
    delete, found, keep, leave, members, moving,
    name::{MemberName, WorkerName},
    operation::{Course, Kind, Operation},
    place::{self, Spot, place},
    record::{Member, Record, Recorded, Stage},
    recover, roll,
    seen::{Ending, Registry, Seen},
    step::{Decision, Step},
    switchover, tell, upgrade,
    view::View,
    wait::{Obstacle, Wait},
};

/// Decides.
#[must_use]
pub fn decide(view: &View) -> Decision {
    match (view.database.intent, delete::held(view)) {
        (Intent::Delete(_), None) => delete::decide(view),
        (Intent::Delete(_) | Intent::Run, held) => {
            let unread = held.as_ref().is_some_and(|Obstacle(held)| brake::UNREAD.contains(&held.reason));
            let mut decision = run(view, held);
            // Nothing else would tell that it can be read now.
            decision.again = decision.again.or(unread.then_some(brake::ASKED_AGAIN));
            if let Some(latched) = delete::latched(view) {
                decision.step = Step::record(latched);
            }
            decision
        }
    }
}

fn run(view: &View, held: Option<Obstacle>) -> Decision {
    let mut obstacles: Vec<_> = held.into_iter().collect();
    let record = view.record.filter(|record| record.uid == view.database.id.uid);
    let (step, again, operation) = match record {
        _ if !view.database.problems.is_empty() => (Step::Act(Vec::new()), None, None),
        None => {
            let (step, again) = begin(view, &mut obstacles);
            (step, again, None)
        }
        Some(record) => {
            let course = go_on(view, record, &mut obstacles);
            (course.step, course.again, course.operation)
        }
    };
    let step = match step {
        Step::Act(_) | Step::Record(_) | Step::AskAgain(_) | Step::Command(_) if view.database.consent.paused => {
            obstacles.push(Obstacle::new(
                "Paused",
                "Paused",
                "atoll.dev/paused is set: Atoll watches and changes nothing",
            ));
            Step::Act(Vec::new())
        }
        step => step,
    };
    // What is told stands beside what is recorded, in one write: so it is about the record as it will be.
    let record = match &step {
        Step::Record(next) => Some(&**next),
        Step::Book(_) | Step::LookAgain(_) | Step::AskAgain(_) | Step::Act(_) | Step::Command(_) | Step::Release => {
            record.map(|record| &**record)
        }
    };
    let report = tell::report(view, record, obstacles, operation);
    Decision { step, report, again }
}

/// A database without a record: choose its workers, unless something stands in its place already.
fn begin(view: &View, obstacles: &mut Vec<Obstacle>) -> (Step, Option<SignedDuration>) {
    if let Some(leftover) = adopt::leftover(view.seen) {
        return (taken(view, &leftover, obstacles), None);
    }
    if matches!(view.database.intent, Intent::Delete(_)) {
        return (Step::Act(Vec::new()), None);
    }
    if view.seen.registry == Registry::Unread {
        obstacles.push(Obstacle::waiting("Placed", &Wait::WorkersUnread));
        return (Step::Act(Vec::new()), Some(SignedDuration::from_secs(1)));
    }
    let staying = staying(view);
    let seen = staying.as_ref().unwrap_or(view.seen);
    let placed = place(view.database, seen, view.known).and_then(|spots| none_leaves(view, spots));
    match placed.and_then(|spots| all_seen(view, spots)) {
        Err(wait) => {
            let again = matches!(wait, Wait::WorkerConnecting { .. }).then_some(place::GRACE);
            obstacles.push(Obstacle::waiting("Placed", &wait));
            (Step::Act(Vec::new()), again)
        }
        Ok(spots) => {
            let member = |(Spot { worker, namespace }, ordinal)| {
                let identity =
                    seen.workers.get(&worker).and_then(|worker| worker.view.objects()).map(|it| it.identity.clone());
                Member::placed(view.database.names.member(ordinal), ordinal, worker)
                    .inside(namespace)
                    .in_cluster(identity)
            };
            let members = spots.into_iter().zip(0..).map(member).collect();
            (Step::record(Record::placed(view.database, 1, members)), None)
        }
    }
}

/// What is seen but for the workers whose registrations are being deleted, or lead to another cluster than members of this
/// database are in, where members may go anywhere and there are such workers.
pub(super) fn staying(view: &View) -> Option<Seen> {
    let anywhere = view.database.placement == PlacementRequest::Spread;
    let stays = |worker: &WorkerName| !leaves(view, worker) && view.worker(worker).is_some();
    if !anywhere || view.seen.workers.keys().all(stays) {
        return None;
    }
    let mut seen = view.seen.clone();
    seen.workers.retain(|worker, _| stays(worker));
    Some(seen)
}

fn leaves(view: &View, worker: &WorkerName) -> bool {
    view.seen.accounts.get(worker).is_some_and(|account| account.ending == Ending::Going)
}

/// Nobody goes where the registration is being deleted.
pub(super) fn none_leaves(view: &View, spots: Vec<Spot>) -> Result<Vec<Spot>, Wait> {
    match spots.iter().find(|spot| leaves(view, &spot.worker)) {
        Some(spot) => Err(Wait::WorkerLeaving { worker: spot.worker.clone() }),
        None => Ok(spots),
    }
}

/// A worker that cannot be seen may hold what an earlier resource of this name left there; and members that are in one
/// worker by name are in one cluster.
pub(super) fn all_seen(view: &View, spots: Vec<Spot>) -> Result<Vec<Spot>, Wait> {
    let seen = |spot: &Spot| view.worker(&spot.worker).is_some_and(|seen| seen.objects().is_some());
    match spots.iter().find(|spot| !seen(spot)) {
        Some(spot) => Err(view.unseen(&spot.worker)),
        None => Ok(spots),
    }
}

/// Something stands under this database's names: nothing is founded over it.
fn taken(view: &View, leftover: &adopt::Leftover, obstacles: &mut Vec<Obstacle>) -> Step {
    let old = &leftover.database;
    let message = if view.database.consent.adopt.as_ref() == Some(old) {
        match adopt::rebuild(view.database, view.seen, old) {
            Ok(record) => return Step::record(record),
            Err(why) => {
                format!("atoll.dev/adopt names {old}, but it cannot be taken over yet: {why}")
            }
        }
    } else {
        format!(
            "this resource has no record, but {} in worker {} belongs to a database of the same name (UID {old}); nothing \
             is founded over it. To take it over with its data: kubectl annotate {} -n {} {} atoll.dev/adopt={old}. To \
             start afresh, delete what is left there first",
            leftover.object,
            leftover.worker,
            view.database.id.kind.plural(),
            view.database.id.namespace,
            view.database.id.name,
        )
    };
    obstacles.push(Obstacle::new("RecordFound", "RecordLost", message));
    Step::Act(Vec::new())
}

/// What comes next, and what of it is told.
struct Next {
    step: Step,
    again: Option<SignedDuration>,
    operation: Option<Operation>,
}

impl From<Step> for Next {
    fn from(step: Step) -> Self {
        Self { step, again: None, operation: None }
    }
}

impl From<Course> for Next {
    fn from(course: Course) -> Self {
        let again = course.again();
        Self { step: course.step, again, operation: Some(course.operation) }
    }
}

fn go_on(view: &View, record: &Recorded, obstacles: &mut Vec<Obstacle>) -> Next {
    let adopted = keep::take_over(view, record);
    if !adopted.is_empty() {
        return Step::Act(adopted).into();
    }
    let services = keep::services(view, record, obstacles);
    let step = match &record.stage {
        // Nobody is known by any address yet: so a manifest that was repaired is taken at its word.
        Stage::Placed { .. } if record.network != view.database.network.mode() => {
            Step::record(Record { network: view.database.network.mode(), ..Record::clone(record) })
        }
        Stage::Placed { attempt } => {
            let (step, wait) = found::prepare(view, record, *attempt, services);
            obstacles.extend(wait.map(|wait| Obstacle::waiting("AddressesKnown", &wait)));
            step
        }
        Stage::Founding(identity) => {
            if found::took_effect(view, record) {
                return Step::record(found::reached(record, found::progress(view, record, identity))).into();
            }
            match found::ground(view, record) {
                found::Ground::Firm => {
                    let pods = keep::pods(view, record, obstacles);
                    acts(services, pods.into_iter().chain(roll::at_once(view, record)))
                }
                found::Ground::Doubtful(workers) => Step::LookAgain(workers),
                found::Ground::Gone => Step::record(another_attempt(record, identity.attempt + 1)),
                found::Ground::Broken(members) => {
                    obstacles.push(broken(view, &members));
                    Step::Act(services)
                }
            }
        }
        Stage::Founded(identity) if found::complete(view, record) => {
            Step::record(found::reached(record, Stage::Established(identity.clone())))
        }
        Stage::Founded(_) | Stage::Established(_) => return live(view, record, services, obstacles),
    };
    step.into()
}

/// The life of a database that has served: it is kept as it is; then it is brought to what the manifest asks for, its
/// membership first.
fn live(view: &View, record: &Recorded, mut acts: Vec<Act>, obstacles: &mut Vec<Obstacle>) -> Next {
    acts.extend(keep::pods(view, record, obstacles));
    acts.extend(leave::tidy(view, record));
    acts.extend(roll::at_once(view, record));
    // What keeps members is done in any case; what changes them comes with it or after it.
    let next = changed(view, record, obstacles).unwrap_or_else(|| Step::Act(Vec::new()).into());
    // Where a majority is lost, what keeps members may be refused for good; a person's word does not wait for it.
    let recovers = next.operation.as_ref().is_some_and(|operation| operation.kind == Kind::Recovering);
    let step = match next.step {
        Step::Act(last) => {
            if acts.is_empty() || recovers {
                acts.extend(last);
            }
            // Workers may refuse these: so they come with what is done anyhow, and hold up nothing but forgetting. A member
            // whose volume is full may be the one that is waited for.
            acts.extend(outdated_volumes(view, record));
            acts.extend(change::grow(view, record));
            Step::Act(acts)
        }
        step if acts.is_empty() || recovers => step,
        _ => Step::Act(acts),
    };
    Next { step, ..next }
}

fn outdated_volumes<'a>(view: &'a View, record: &'a Recorded) -> impl Iterator<Item = Act> + 'a {
    let seen = |worker| Some((worker, view.worker_of_all(worker)?.objects()?));
    let seen = record.workers().into_iter().filter_map(seen);
    seen.flat_map(|(worker, objects)| adopt::outdated(view, record, worker, objects))
}

fn changed(view: &View, record: &Recorded, obstacles: &mut Vec<Obstacle>) -> Option<Next> {
    if let Some(course) = recover::step(view, record) {
        return Some(course.into());
    }
    match upgrade::step(view, record) {
        Ok(Some(course)) => return Some(course.into()),
        Ok(None) => {}
        Err(obstacle) => obstacles.push(obstacle),
    }
    let course = moving::step(view, record)
        .or_else(|| members::step(view, record))
        .or_else(|| roll::step(view, record))
        .or_else(|| switchover::step(view, record));
    match course {
        Some(course) if course.step != Step::Act(Vec::new()) => Some(course.into()),
        // Nobody waits for what is left of members that have left.
        waiting => match leave::forget(view, record).filter(|_| outdated_volumes(view, record).next().is_none()) {
            Some(step) => Some(Next { step, again: None, operation: waiting.map(|course| course.operation) }),
            None => waiting.map(Next::from),
        },
    }
}

fn acts(mut first: Vec<Act>, second: impl IntoIterator<Item = Act>) -> Step {
    first.extend(second);
    Step::Act(first)
}

fn another_attempt(record: &Record, attempt: u32) -> Record {
    let again = |m: &Member| {
        let placed = Member::placed(m.name.clone(), m.ordinal, m.worker.clone());
        placed.inside(m.namespace.clone()).in_cluster(m.worker_identity.clone())
    };
    let members = record.members.iter().map(again);
    Record { stage: Stage::Placed { attempt }, members: members.collect(), ..record.clone() }
}

fn broken(view: &View, members: &[MemberName]) -> Obstacle {
    let names = members.iter().map(MemberName::as_str).collect::<Vec<_>>().join(", ");
    Obstacle::new(
        "VolumesPresent",
        "FoundingBroken",
        format!(
            "the volumes of {names} went before the database had served for the first time; it holds no data yet. Delete \
             {} {} and create it again",
            view.database.id.kind.plural(),
            view.database.id.name
        ),
    )
}
