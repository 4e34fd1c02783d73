//! Deletion: what holds it, what goes in which order, and when the resource may be let go.
//!
//! It ends, or says why not: what is left in which worker (DESIGN 5.7). Nothing is believed gone but by a live list of
//! a verified worker.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::{
    act::{Act, Change, Kind, Reason},
    adopt, brake,
    database::{Consent, Intent, OnDelete},
    debt::{Entry, Volumes},
    keep::{ours, target},
    name::WorkerName,
    record::Record,
    release::{self, LetGo, Standing},
    report::{Phase, Report},
    seen::{Meta, Objects, Source, WorkerView},
    step::{Decision, Step},
    tell,
    view::View,
    wait::Obstacle,
};

/// How long a deletion waits for its neighbours, so that many at once are seen as many (DECISIONS 7).
pub const NEIGHBOURS: SignedDuration = SignedDuration::from_secs(10);

/// Why a deletion is held; the database runs on meanwhile. `None` where nothing is deleted or nothing holds it.
#[must_use]
pub fn held(view: &View) -> Option<Obstacle> {
    let database = view.database;
    let Intent::Delete(_) = database.intent else {
        return None;
    };
    let says_us = |uid: &Option<_>| uid.as_ref() == Some(&database.id.uid);
    if says_us(&database.consent.keep_data) {
        return None;
    }
    let held = |reason, why: String| Some(Obstacle::new("Deletable", reason, why));
    if database.consent.paused {
        return held("Paused", "deletion was asked for, but atoll.dev/paused is set: nothing is changed".to_owned());
    }
    if database.on_delete == OnDelete::Refuse {
        return held(
            "DoNotTerminate",
            "deletion was asked for, but the termination policy is DoNotTerminate: the database runs on. Change the \
             policy to Halt, Delete or WipeOut to let it go"
                .to_owned(),
        );
    }
    if database.consent.protected {
        return held(
            "DeletionProtected",
            "deletion was asked for, but atoll.dev/deletion-protection is set: the database runs on. Remove that \
             annotation to let it go"
                .to_owned(),
        );
    }
    if says_us(&database.consent.confirm_delete) {
        return None;
    }
    braked(view).map(|(reason, why)| {
        let (kind, id) = (database.id.kind.plural(), &database.id);
        Obstacle::new(
            "Deletable",
            reason,
            format!(
                "{why}; the database runs on, with its data. To delete it: kubectl annotate {kind} -n {} {} \
                 atoll.dev/confirm-delete={}. To let the resource go and keep pods and volumes: atoll.dev/keep-data={}",
                id.namespace, id.name, id.uid, id.uid
            ),
        )
    })
}

/// Why the brake holds this deletion, now or since it once did.
fn braked(view: &View) -> Option<(&'static str, String)> {
    let latched = || Some((brake::MANY_BEING_DELETED, view.record?.held.clone()?));
    brake::holds(view).or_else(latched)
}

/// The record with the hold in it, where the brake holds this deletion for the company that it is in, and that is not
/// recorded yet. The others may be confirmed, or be gone, before anyone looks at this one.
#[must_use]
pub fn latched(view: &View) -> Option<Record> {
    let record = view.record.filter(|record| record.held.is_none() && record.uid == view.database.id.uid)?;
    match brake::holds(view) {
        Some((brake::MANY_BEING_DELETED, why)) => Some(Record { held: Some(why), ..Record::clone(record) }),
        Some(_) | None => None,
    }
}

/// Deletes, in this order: pods, jobs and services, then (if the policy says so) volumes, then the resource.
pub fn decide(view: &View) -> Decision {
    let database = view.database;
    let confirmed = database.consent.confirm_delete.as_ref() == Some(&database.id.uid);
    let keep_all = database.consent.keep_data.as_ref() == Some(&database.id.uid);
    if keep_all {
        // What is kept is owed by nobody.
        let withdrawn = release::withdrawn(view, &Consent::default());
        let step = if withdrawn.is_empty() { Step::Release } else { Step::Book(withdrawn) };
        return told(view, step, Vec::new(), None);
    }
    let age = view.known;
    if !confirmed && age < NEIGHBOURS {
        let waiting =
            Obstacle::new("Deletable", "LookingForOthers", "waiting 10 s to see whether many are deleted at once");
        return told(view, Step::Act(Vec::new()), vec![waiting], Some(NEIGHBOURS - age));
    }
    let workers = concerned(view);
    let watched: BTreeSet<_> = workers
        .iter()
        .filter(|name| objects(view, name).is_some_and(|objects| objects.source == Source::Watch))
        .cloned()
        .collect();
    if !watched.is_empty() {
        return told(view, Step::LookAgain(watched), Vec::new(), None);
    }
    let mut acts = Vec::new();
    let mut left = Vec::new();
    let (mut entries, mut released) = (Vec::new(), BTreeMap::new());
    for name in &workers {
        match objects(view, name) {
            Some(objects) => {
                let (next, remaining) = take_down(view, name, objects);
                acts.extend(next);
                left.extend(remaining);
            }
            None => match release::standing(view, name) {
                Standing::Holds => left.push(release::unseen(view, name)),
                Standing::Owes(due) => entries.push(Entry::Owe(name.clone(), due)),
                Standing::LetGo(how) => drop(released.insert(name.clone(), how)),
            },
        }
    }
    entries.extend(release::withdrawn(view, &view.database.consent));
    if !entries.is_empty() {
        return told(view, Step::Book(entries), Vec::new(), None);
    }
    if left.is_empty() {
        return released_to(told(view, Step::Release, Vec::new(), None), &released);
    }
    let obstacle = Obstacle::new("Deletable", "ObjectsLeft", format!("still there: {}", left.join("; ")));
    // A worker that returns wakes this up; the timer only catches an object that goes without an event.
    released_to(told(view, Step::Act(acts), vec![obstacle], Some(SignedDuration::from_secs(15))), &released)
}

/// Tells of workers that were let go of as well.
fn released_to(mut decision: Decision, released: &BTreeMap<WorkerName, LetGo>) -> Decision {
    decision.report.conditions.extend(release::told(released));
    decision
}

/// The workers that may hold something: those of the record, and those in which something is seen.
fn concerned(view: &View) -> BTreeSet<WorkerName> {
    let recorded = view.record.iter().flat_map(|record| record.workers()).cloned();
    let seen = view.seen.workers.iter().filter(|(_, worker)| {
        worker.view.objects().is_some_and(|objects| all(objects).any(|(_, meta)| ours(view, meta)))
    });
    recorded.chain(seen.map(|(name, _)| name.clone())).collect()
}

fn objects<'a>(view: &View<'a>, name: &WorkerName) -> Option<&'a Objects> {
    view.worker_of_all(name).and_then(WorkerView::objects)
}

/// All objects, whatever their kinds.
pub(super) fn all(objects: &Objects) -> impl Iterator<Item = (Kind, &Meta)> {
    let pods = objects.pods.values().map(|pod| (Kind::Pod, &pod.meta));
    let jobs = objects.jobs.values().map(|job| (Kind::Job, &job.meta));
    let services = objects.services.values().map(|service| (Kind::Service, &service.meta));
    let claims = objects.claims.values().map(|claim| (Kind::Claim, &claim.meta));
    pods.chain(jobs).chain(services).chain(claims)
}

/// What to delete now in one worker, and what is left there.
fn take_down(view: &View, worker: &WorkerName, objects: &Objects) -> (Vec<Act>, Vec<String>) {
    let mine: Vec<_> = all(objects).filter(|(_, meta)| ours(view, meta)).collect();
    let volumes = Volumes::from(view.database.on_delete);
    let (mut acts, mut left) = clear(worker, Reason::DatabaseDeleted, volumes, &mine);
    let record = view.record.filter(|record| record.uid == view.database.id.uid);
    if let (Volumes::Keep, Some(record)) = (volumes, record) {
        // Whoever takes them over must not take those for members who have left.
        for act in adopt::outdated(view, record, worker, objects) {
            if let Change::Tell(claim, _) = &act.change {
                left.push(format!(
                    "volume claim {} in worker {worker}, which is to tell that members left",
                    claim.name
                ));
            }
            acts.push(act);
        }
    }
    (acts, left)
}

/// What to delete now of one database's objects in one worker, and which of them are left.
pub(super) fn clear(
    worker: &WorkerName,
    reason: Reason,
    volumes: Volumes,
    mine: &[(Kind, &Meta)],
) -> (Vec<Act>, Vec<String>) {
    let volumes_go = volumes == Volumes::Delete;
    let pods_left = mine.iter().any(|(kind, _)| *kind == Kind::Pod);
    let going = mine.iter().filter(|(kind, _)| *kind != Kind::Claim || volumes_go);
    let left = going.clone().map(|(kind, meta)| remaining(worker, *kind, meta)).collect();
    let acts = going
        .filter(|(kind, meta)| meta.deleting.is_none() && (*kind != Kind::Claim || !pods_left))
        .map(|(kind, meta)| Act { worker: worker.clone(), reason, change: Change::Delete(target(*kind, meta)) })
        .collect();
    (acts, left)
}

/// An object that is still there, and whose finalizers keep it.
fn remaining(worker: &WorkerName, kind: Kind, meta: &Meta) -> String {
    let held = match meta.held_by.as_slice() {
        [] => String::new(),
        holders => format!(" (held by {})", holders.join(", ")),
    };
    format!("{} {} in worker {worker}{held}", kind.as_str(), meta.name)
}

fn told(view: &View, step: Step, obstacles: Vec<Obstacle>, again: Option<SignedDuration>) -> Decision {
    let record = view.record.map(|record| &**record);
    let mut report: Report = tell::report(view, record, obstacles, None);
    report.phase = Phase::Deleting;
    Decision { step, report, again }
}
