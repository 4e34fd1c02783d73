//! Moving: a member is reached elsewhere than its peers and clients know, because its service was made again or its load
//! balancer got another address. The record has the new one first; then a majority is told; then its pod is made anew, by
//! the rolling change, so that it tells its clients.
//!
//! One at a time. The address of a member without a vote is never changed (etcd#21694): it is called off and another one
//! joins.

use super::{
    address, budget,
    command::{Command, Wish},
    operation::{Course, Kind, Operation, fresh},
    record::{Member, Record, Recorded},
    step::Step,
    strangers,
    view::View,
};

/// The next step of a member that has moved, while there is one.
pub fn step(view: &View, record: &Recorded) -> Option<Course> {
    let operation = |member: &Member, step: String| Operation {
        kind: Kind::Moving,
        member: member.name.clone(),
        step,
        done: record.voters().filter(|member| member.former_peer.is_none()).count(),
        total: record.voters().count(),
        waiting_for: None,
    };
    let told_next = |member: &Member| {
        let peer = member.peer.clone().unwrap_or_default();
        tell(view, record, member, &peer, operation(member, format!("is at {peer} now")))
    };
    let pending = || record.voters().filter(|member| member.former_peer.is_some());
    if let Some(member) = pending().find(|member| is_free(record, member)) {
        return Some(told_next(member));
    }
    // Addresses come from the network that is recorded; another one moves nobody by itself.
    let stands = record.network == view.database.network.mode();
    let Some(moved) = stands.then(|| address::moved(view.database, record, view.seen)).flatten() else {
        return pending().next().map(told_next);
    };
    let operation = operation(moved.member, format!("is at {} now", moved.now.peer));
    // A watch that lags shows where it was before: nobody is sent back there.
    if let Err(workers) = fresh(view, record) {
        return Some(operation.does(Step::AskAgain(workers)));
    }
    let next = Member {
        peer: Some(moved.now.peer.clone()),
        client: Some(moved.now.client),
        former_peer: Some(moved.known.to_owned()),
        ..moved.member.clone()
    };
    Some(operation.does(Step::record(record.with(next))))
}

/// Whether nobody else is known at the address that a member has moved to. Load balancers pass addresses on, and two members
/// at one address are refused: who had it moves first.
fn is_free(record: &Record, moved: &Member) -> bool {
    let known = |other: &Member| other.former_peer.as_ref().or(other.peer.as_ref()) == moved.peer.as_ref();
    !record.voters().any(|other| other.name != moved.name && known(other))
}

fn tell(view: &View, record: &Recorded, member: &Member, peer: &str, operation: Operation) -> Course {
    let membership = match fresh(view, record) {
        Ok(membership) => membership,
        Err(workers) => return operation.does(Step::AskAgain(workers)),
    };
    let Some(list) = membership.list() else { return operation.waits("no majority of the voters answers") };
    if let Some(course) = strangers::step(record, membership, list, operation.clone()) {
        return course;
    }
    let listed = list.iter().find(|listed| Some(&listed.id) == member.engine_id.as_ref());
    match listed {
        Some(listed) if listed.peers != [peer] => {
            let serving: Vec<_> = record.voters().filter(|voter| budget::serves(membership, &voter.name)).collect();
            let wish = Wish::Move { member: listed.id.clone(), peer: peer.to_owned() };
            match Command::to_any(membership, &serving, wish) {
                None => operation.waits("no voter serves"),
                Some(command) => operation.does(Step::Command(command)),
            }
        }
        // Whoever is not listed any more needs no address: that is found when it is asked for as a member.
        Some(_) | None => {
            let arrived = Member { former_peer: None, ..member.clone() };
            operation.does(Step::record(Record::with(record, arrived)))
        }
    }
}
