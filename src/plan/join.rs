//! Joining: a member is recorded, gets its volume and its address, is listed without a vote, starts, catches up, and then
//! gets its vote (DECISIONS 4).

use super::{
    act::MissingNamespace,
    address,
    budget::{self, majority},
    command::{Command, Wish},
    decide, found, members,
    membership::{Ballot, Listed, Membership},
    name::{MemberName, ObjectName, WorkerName},
    operation::{Course, Kind, Operation, fresh},
    place::{self, Spot},
    record::{Member, Part, Record, Recorded},
    roll,
    seen::Process,
    step::Step,
    strangers,
    view::View,
    volume::{self, Volume},
    wait::Wait,
};
use crate::engine::Version;

/// Records who joins next, beside those that are there and stay.
///
/// `None` while a pod that could be somebody alone has to be made anew first: the rolling change does that.
pub fn begin(view: &View, record: &Recorded, sound: &[&Member]) -> Option<Course> {
    let engine = &view.database.engine;
    let taken = |slot: &u32| sound.iter().all(|member| member.slot() != *slot);
    let slot = (0..view.database.replicas).find(taken)?;
    let former = record.members.iter().find(|member| member.slot() == slot);
    let ordinal =
        (record.next_ordinal()..=u32::MAX).find(|ordinal| is_free(view, &view.database.names.member(*ordinal)))?;
    let name = view.database.names.member(ordinal);
    let kind = if former.is_some() { Kind::Replacing } else { Kind::ScalingOut };
    let worker = former.map(|former| &former.worker);
    let operation = members::operation(view, record, kind, &name, "joins next");
    if let Err(why) = engine.kind.knowledge().may_grow(&Version::new(record.runs.version.clone())) {
        return Some(operation.waits(why));
    }
    if roll::stands_alone(view, record) {
        return None;
    }
    match spot(view, record, slot, worker) {
        Err(wait) => Some(operation.waits(wait.message())),
        Ok(Spot { worker, namespace }) => {
            let identity = view.seen.workers.get(&worker).and_then(|worker| worker.view.objects());
            let identity = identity.map(|objects| objects.identity.clone());
            let mut member = Member::placed(name, ordinal, worker).inside(namespace).in_cluster(identity);
            member.part = Part::Joining;
            member.slot = (slot != ordinal).then_some(slot);
            let mut next = Record::clone(record);
            next.members.push(member);
            next.next = Some(ordinal + 1);
            Some(operation.does(Step::record(next)))
        }
    }
}

/// Whether nothing of this name stands anywhere in sight: the record may have come back from a backup of the master.
fn is_free(view: &View, name: &MemberName) -> bool {
    let claim = view.database.names.claim(&view.database.volumes.data.name, name);
    let mut objects = view.seen.workers.values().filter_map(|worker| worker.view.objects());
    objects.all(|objects| !objects.claims.contains_key(&claim) && !objects.pods.contains_key(&ObjectName::from(name)))
}

fn spot(view: &View, record: &Record, slot: u32, former: Option<&WorkerName>) -> Result<Spot, Wait> {
    let staying = decide::staying(view);
    let seen = staying.as_ref().unwrap_or(view.seen);
    let there: Vec<_> = record.present().map(|member| (&member.worker, member.namespace.as_ref())).collect();
    let spot = place::one_more(view.database, seen, view.known, &there, slot, former)?;
    let spots = decide::none_leaves(view, vec![spot]).and_then(|spots| decide::all_seen(view, spots))?;
    spots.into_iter().next().ok_or(Wait::NoWorkerReady { registered: view.seen.workers.len(), closed: 0 })
}

/// The next step of a member that is to join.
pub fn step(view: &View, record: &Recorded, member: &Member) -> Course {
    let kind = if member.slot.is_some() { Kind::Replacing } else { Kind::ScalingOut };
    let operation = |step: &str| members::operation(view, record, kind, &member.name, step);
    if let Some(why) = called_off(view, record, member) {
        // Watches may lag behind the lists by which it was to come: the two would undo each other's work without end.
        return match fresh(view, record) {
            Ok(_) => call_off(view, record, member, operation(why)),
            Err(workers) => operation(why).does(Step::AskAgain(workers)),
        };
    }
    let Some(peer) = &member.peer else {
        return prepare(view, record, member, operation("gets its volume and address"));
    };
    let membership = match fresh(view, record) {
        Ok(membership) => membership,
        Err(workers) => return operation("joins").does(Step::AskAgain(workers)),
    };
    let Some(list) = membership.list() else {
        return operation("joins").waits("no majority of the voters answers");
    };
    if let Some(course) = strangers::step(record, membership, list, operation("joins")) {
        return course;
    }
    // It looked alive when this one was to come first; nobody is let in beside one that is dead.
    if member.engine_id.is_none()
        && find(list, member, peer).is_none()
        && let Some(dead) = dead(view, record, membership)
    {
        let leaving = Member { part: Part::Leaving, ..dead.clone() };
        return operation("waits for the removal of one that is lost").does(Step::record(record.with(leaving)));
    }
    let become_part = |part: Part, listed: &Listed| {
        let next = Member { part, engine_id: Some(listed.id.clone()), ..member.clone() };
        Step::record(record.with(next))
    };
    match (find(list, member, peer), &member.engine_id) {
        (Some(listed), _) if listed.ballot == Ballot::Voter => {
            operation("votes").does(become_part(Part::Voter, listed))
        }
        (Some(listed), None) => operation("is listed").does(become_part(Part::Joining, listed)),
        (None, Some(_)) => {
            let gone = Member { part: Part::Removed, ..member.clone() };
            operation("was removed by somebody else").does(Step::record(record.with(gone)))
        }
        (None, None) => {
            tell(record, membership, operation("is let in without a vote"), Wish::Join { peer: peer.clone() })
        }
        (Some(listed), Some(_)) => {
            if let Some(step) = roll::learner(view, record, member) {
                return operation("is made anew").does(step);
            }
            let runs = view.pod(member).present().is_some_and(|pod| pod.process == Process::Runs);
            if !runs {
                let trouble = view.pod(member).present().and_then(|pod| pod.trouble.clone());
                let why = trouble.unwrap_or_else(|| format!("until {} runs", member.name));
                return operation("is started").waits(why);
            }
            tell(
                record,
                membership,
                operation("catches up, and gets its vote"),
                Wish::Promote { member: listed.id.clone() },
            )
        }
    }
}

/// A voter that has lost its volume and does not serve, where the others are enough to remove it.
fn dead<'a>(view: &View, record: &'a Recorded, membership: &Membership) -> Option<&'a Member> {
    let lost = |member: &&Member| {
        member.part == Part::Voter
            && !members::keeps_its_volume(view, member)
            && !budget::serves(membership, &member.name)
    };
    record.members.iter().find(lost).filter(|_| record.voters().count() >= budget::SPARE)
}

/// Tells whoever leads, or else anyone who serves, if those that serve are a majority of one more.
fn tell(record: &Record, membership: &Membership, operation: Operation, wish: Wish) -> Course {
    let serving: Vec<_> = record.voters().filter(|voter| budget::serves(membership, &voter.name)).collect();
    let (voters, with_it) = (record.voters().count(), record.voters().count() + 1);
    if serving.len() + 1 < majority(with_it) {
        let why =
            format!("{} of {voters} voters serve, which with it would be no majority of {with_it}", serving.len());
        return operation.waits(why);
    }
    match Command::to_any(membership, &serving, wish) {
        None => operation.waits("no voter serves"),
        Some(command) => operation.does(Step::Command(command)),
    }
}

fn find<'a>(list: &'a [Listed], member: &Member, peer: &String) -> Option<&'a Listed> {
    list.iter().find(|listed| match &member.engine_id {
        Some(id) => listed.id == *id,
        None => listed.peers.contains(peer),
    })
}

/// Its volume, its services and its address, which are recorded before anyone hears of it.
fn prepare(view: &View, record: &Recorded, member: &Member, operation: Operation) -> Course {
    let members = [member];
    // Where somebody was before, a namespace that is gone held data, and a person must know.
    let namespace = if member.slot.is_some() { MissingNamespace::Fail } else { MissingNamespace::Create };
    let mut acts = found::claims(view, record, &members, namespace);
    let volumes = found::volumes(view, &members);
    if let Ok(volumes) = &volumes {
        acts.extend(found::scouts(view, &members, volumes));
    }
    if !acts.is_empty() {
        return operation.does(Step::Act(acts));
    }
    let complete = volumes.and_then(|volumes| {
        let address = address::of_joining(view.database, record, member, view.seen)?;
        Ok((volumes, address, found::identity_of(view, member)?))
    });
    match complete {
        Err(wait) => operation.waits(wait.message()),
        Ok((volumes, address, identity)) => {
            let next = Member {
                volume: volumes.into_iter().next(),
                peer: Some(address.peer),
                client: Some(address.client),
                worker_identity: Some(identity),
                ..member.clone()
            };
            operation.does(Step::record(record.with(next)))
        }
    }
}

/// Why a member that was to join is not wanted any more.
fn called_off(view: &View, record: &Record, member: &Member) -> Option<&'static str> {
    let staying = |voter: &&Member| voter.part == Part::Voter && members::keeps_its_volume(view, voter);
    if record.voters().filter(staying).count() >= view.database.replicas as usize {
        return Some("is not wanted any more");
    }
    // By another network than the recorded one nobody is reached yet.
    let stands = record.network == view.database.network.mode();
    if stands && address::has_moved(view.database, member, view.seen) {
        return Some("is reached elsewhere than the others know");
    }
    // It holds nothing that the others do not have, and where it is nobody leads any more.
    if view.is_elsewhere(member) {
        return Some("is in another cluster than its worker's registration leads to");
    }
    match volume::of(view, member) {
        Volume::Gone(_) | Volume::Going => Some("has lost its volume before it had a vote"),
        Volume::NotYet | Volume::Sound(_) | Volume::NotInView | Volume::Unknown => None,
    }
}

/// Takes back that a member was to join, also where the word that it does is still on its way.
fn call_off(view: &View, record: &Recorded, member: &Member, operation: Operation) -> Course {
    let gone = || Step::record(record.with(Member { part: Part::Removed, ..member.clone() }));
    let Some(peer) = &member.peer else { return operation.does(gone()) };
    let membership = match fresh(view, record) {
        Ok(membership) => membership,
        Err(workers) => return operation.does(Step::AskAgain(workers)),
    };
    let Some(list) = membership.list() else { return operation.waits("no majority of the voters answers") };
    if let Some(course) = strangers::step(record, membership, list, operation.clone()) {
        return course;
    }
    match find(list, member, peer) {
        None => operation.does(gone()),
        Some(listed) if listed.ballot == Ballot::Voter => {
            let voter = Member { part: Part::Voter, engine_id: Some(listed.id.clone()), ..member.clone() };
            operation.does(Step::record(record.with(voter)))
        }
        Some(listed) => {
            let serving: Vec<_> = record.voters().filter(|voter| budget::serves(membership, &voter.name)).collect();
            match Command::to_any(membership, &serving, Wish::Leave { member: listed.id.clone() }) {
                None => operation.waits("no voter serves"),
                Some(command) => operation.does(Step::Command(command)),
            }
        }
    }
}
