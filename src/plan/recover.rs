//! Recovery from a lost majority: never by itself, and only from the member that a person names.
//!
//! etcd's own procedure: the survivor is started once so that it forgets all others (`--force-new-cluster`), then like any
//! member, and others join it as new ones. What only the others had is lost; that is why a person must say it. The others
//! are given up for good: their pods go wherever they are seen, their volumes stay.

use super::{
    act::Reason,
    budget,
    database::Recover,
    keep::delete_pod,
    membership::Answer,
    name::MemberName,
    operation::{Course, Kind, Operation, fresh},
    record::{Member, Part, Record, Recorded},
    report::{Condition, Truth},
    roll::is_ready,
    step::Step,
    view::View,
    volume::{self, Volume},
};

/// The next step of a recovery, while one is asked for or under way.
///
/// A word is obeyed or refused once, and either is recorded: one that stayed would be obeyed on some later day, about which
/// nobody has said anything.
pub fn step(view: &View, record: &Recorded) -> Option<Course> {
    let asked = view.database.consent.recover.as_ref().filter(|asked| asked.of == view.database.id.uid);
    let asked = asked.filter(|asked| record.recovered.as_ref() != Some(&asked.words));
    let survivor = record.recovering.as_ref().and_then(|name| record.member(name.as_str()));
    match (asked, survivor) {
        (Some(asked), _) => Some(begin(view, record, asked)),
        (None, Some(survivor)) => Some(go_on(view, record, survivor)),
        (None, None) => None,
    }
}

fn begin(view: &View, record: &Recorded, asked: &Recover) -> Course {
    let operation = |step: &str| operation(&asked.from, step);
    let refuse = |why: &str| {
        let refused = Record { recovered: Some(asked.words.clone()), ..Record::clone(record) };
        let told = format!("does not go on alone, and nobody is given up: {why}");
        operation(&told).does(Step::record(refused))
    };
    // While one goes on alone, those who were given up for it may be all that there is in the end.
    let has_a_say = |member: &&Member| member.votes() || record.recovering.is_some() && member.part == Part::GivenUp;
    let Some(survivor) = record.member(asked.from.as_str()).filter(has_a_say) else {
        return refuse("it has no vote");
    };
    match volume::of(view, survivor) {
        Volume::Sound(_) => {}
        Volume::Unknown | Volume::NotInView => {
            return operation("is to go on alone").waits("its volume cannot be seen");
        }
        Volume::NotYet | Volume::Going | Volume::Gone(_) => return refuse("its volume is gone, or goes"),
    }
    let membership = match fresh(view, record) {
        Ok(membership) => membership,
        Err(workers) => return operation("is to go on alone").does(Step::AskAgain(workers)),
    };
    // Between two leaders nobody answers for a majority, though it is there.
    let ready = record.voters().filter(|voter| is_ready(view, voter)).count();
    if membership.list().is_some() || ready >= budget::majority(record.voters().count()) {
        return refuse("a majority of the members answers");
    }
    let given_up = |member: &Member| {
        let part = match member.part {
            _ if member.name == survivor.name => Part::Voter,
            Part::Removed => Part::Removed,
            Part::Voter | Part::Leaving | Part::Joining | Part::GivenUp => Part::GivenUp,
        };
        Member { part, ..member.clone() }
    };
    let next = Record {
        members: record.members.iter().map(given_up).collect(),
        recovering: Some(survivor.name.clone()),
        recovered: Some(asked.words.clone()),
        next: Some(record.next_ordinal()),
        under_way: None,
        ..Record::clone(record)
    };
    operation("is to go on alone").does(Step::record(next))
}

fn operation(member: &MemberName, step: &str) -> Operation {
    Operation {
        kind: Kind::Recovering,
        member: member.clone(),
        step: step.to_owned(),
        done: 0,
        total: 1,
        waiting_for: None,
    }
}

fn go_on(view: &View, record: &Recorded, member: &Member) -> Course {
    let operation = |step: &str| operation(&member.name, step);
    let Some(pod) = view.pod(member).present() else {
        return operation("is started").waits(format!("until {} is there", member.name));
    };
    if !pod.alone {
        let step = match pod.meta.deleting {
            None => Step::Act(vec![delete_pod(member, &pod.meta, Reason::MajorityLost)]),
            Some(_) => Step::Act(Vec::new()),
        };
        let waits = Some(format!("until the pod of {} that knows the others has ended", member.name));
        return Course { step, operation: Operation { waiting_for: waits, ..operation("is stopped") } };
    }
    if !is_ready(view, member) {
        return operation("forgets the others").waits(format!("until {} serves", member.name));
    }
    let membership = match fresh(view, record) {
        Ok(membership) => membership,
        Err(workers) => return operation("forgets the others").does(Step::AskAgain(workers)),
    };
    let own = membership.answers.get(&member.name).and_then(Answer::voters);
    if own.is_none_or(|voters| voters.len() != 1) {
        return operation("forgets the others").waits(format!("until {} lists nobody but itself", member.name));
    }
    operation("goes on alone").does(Step::record(Record { recovering: None, ..Record::clone(record) }))
}

/// What a person can do about a lost majority, as a condition; nothing is done by itself.
#[must_use]
pub fn offer(view: &View, record: &Record) -> Option<Condition> {
    if record.recovering.is_some() {
        return None;
    }
    let voters: Vec<_> = record.voters().collect();
    let (serve, lost): (Vec<_>, Vec<_>) = voters.iter().copied().partition(|member| is_ready(view, member));
    if voters.len() < 2 || serve.len() >= budget::majority(voters.len()) {
        return None;
    }
    let sound = |member: &&&Member| matches!(volume::of(view, member), Volume::Sound(_));
    // One that has its volume, best one that runs.
    let survivor = serve.iter().find(sound).or_else(|| voters.iter().find(sound));
    let id = &view.database.id;
    let lost: Vec<_> = lost.iter().map(|member| format!("{} in {}", member.name, member.worker)).collect();
    let advice = survivor.map_or_else(
        || "No volume of any member can be seen".to_owned(),
        |survivor| {
            format!(
                "Nothing is done by itself. If they are lost for good, this goes on with what {0} has, and without what only \
                 they had: atoll recover {1} -n {2} --from {0}",
                survivor.name, id.name, id.namespace
            )
        },
    );
    Some(Condition {
        kind: "MajorityServes",
        status: Truth::False,
        reason: "MajorityLost",
        message: format!("{} of {} voters do not serve: {}. {advice}", lost.len(), voters.len(), lost.join(", ")),
    })
}
