//! Switchover: a person has one member lead, by annotation [`SWITCHOVER`](super::database::SWITCHOVER).
//!
//! What was asked is recorded when it is done, or when it cannot be: it is done once, and leadership moves on later as it
//! likes.

use super::{
    budget,
    command::{Command, Wish},
    operation::{Course, Kind, Operation, fresh},
    record::{Member, Part, Record, Recorded},
    step::Step,
    view::View,
};

/// The next step of what a person asked for last, while it is not done.
pub fn step(view: &View, record: &Recorded) -> Option<Course> {
    let asked = view.database.consent.switchover.as_ref()?;
    if record.handed_over.as_ref() == Some(&asked.words) {
        return None;
    }
    let operation = |step: &str| Operation {
        kind: Kind::Switchover,
        member: asked.to.clone(),
        step: step.to_owned(),
        done: 0,
        total: 1,
        waiting_for: None,
    };
    let done = || Step::record(Record { handed_over: Some(asked.words.clone()), ..Record::clone(record) });
    let Some(to) = record.member(asked.to.as_str()).filter(|member| member.part == Part::Voter) else {
        // One that joins may have a vote soon; one that is not there never will, for no name comes twice.
        if record.present().any(|member| member.name == asked.to && member.part == Part::Joining) {
            return Some(operation("is to lead").waits("it has no vote yet"));
        }
        let voters: Vec<_> = record.voters().map(|member| member.name.as_str()).collect();
        let why = format!("does not come to lead: it is no voter; these are: {}", voters.join(", "));
        return Some(operation(&why).does(done()));
    };
    let membership = match fresh(view, record) {
        Ok(membership) => membership,
        Err(workers) => return Some(operation("is to lead").does(Step::AskAgain(workers))),
    };
    let leader = membership.leader();
    if leader == Some(&to.name) {
        return Some(operation("leads").does(done()));
    }
    let Some(leader) = leader else {
        return Some(operation("is to lead").waits("nobody leads now who could hand over"));
    };
    if !budget::serves(membership, &to.name) {
        return Some(operation("is to lead").waits(format!("until {} serves", to.name)));
    }
    Some(match identity(to) {
        None => operation("is to lead").waits("its identity is not recorded"),
        Some(to) => {
            let command = Command::to(leader, Wish::HandOver { to });
            operation("is handed leadership").does(Step::Command(command))
        }
    })
}

fn identity(member: &Member) -> Option<super::membership::EngineId> {
    member.engine_id.clone()
}
