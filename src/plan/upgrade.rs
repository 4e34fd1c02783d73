//! The version: from the manifest into the record, where the engine allows the step. What is recorded is rolled out like
//! any other change.

use super::{
    operation::{Course, Kind, Operation},
    record::{Record, Recorded, Runs},
    step::Step,
    view::View,
    wait::Obstacle,
};
use crate::engine::{Upgrade, Version};

/// The step that records another version or image, as part of the rolling change that it begins.
///
/// # Errors
/// Why the database keeps the version that it has.
pub fn step(view: &View, recorded: &Recorded) -> Result<Option<Course>, Obstacle> {
    let Some(next) = record(view, recorded)? else { return Ok(None) };
    let Some(first) = recorded.voters().next() else { return Ok(None) };
    let operation = Operation {
        kind: Kind::RollingChange,
        member: first.name.clone(),
        step: format!("is to run {}", next.runs.version),
        done: 0,
        total: recorded.voters().count(),
        waiting_for: None,
    };
    Ok(Some(operation.does(Step::record(next))))
}

/// The record with the version and the image that the manifest asks for, where it is another one.
///
/// # Errors
/// Why the database keeps the version that it has.
fn record(view: &View, record: &Recorded) -> Result<Option<Record>, Obstacle> {
    let engine = &view.database.engine;
    let wanted = Runs { version: engine.version.as_str().to_owned(), image: engine.image.clone() };
    if wanted == record.runs {
        return Ok(None);
    }
    let under_way = record.under_way.is_some();
    // Where the version stays, or goes to and fro while not all have changed, the older one of the two is remembered.
    let former = if under_way { record.ran.clone() } else { None };
    let next = |ran: Option<Runs>| Ok(Some(Record { runs: wanted.clone(), ran, ..Record::clone(record) }));
    if wanted.version == record.runs.version {
        return next(former);
    }
    if let Some(ran) = record.ran.as_ref().filter(|ran| ran.version == wanted.version)
        && runs_somewhere(view, record, &ran.version)
    {
        return next(Some(record.runs.clone()));
    }
    let (from, to) = (Version::new(record.runs.version.clone()), &engine.version);
    match engine.kind.knowledge().upgrade(&from, to) {
        Err(why) => Err(refused("UpgradeRefused", format!("the database stays at {}: {why}", record.runs.version))),
        Ok(Upgrade::OneWay) if !runs_everywhere(view, record) => Err(refused(
            Kind::RollingChange.as_str(),
            format!("{} comes when all members run {}", wanted.version, record.runs.version),
        )),
        Ok(Upgrade::OneWay | Upgrade::Alike) => next(former.or_else(|| Some(record.runs.clone()))),
    }
}

fn refused(reason: &'static str, message: String) -> Obstacle {
    Obstacle::new("UpToDate", reason, message)
}

/// Whether some voter was made to run this version: so not all have ever run the other one, and there is a way back.
fn runs_somewhere(view: &View, record: &Record, version: &str) -> bool {
    record.voters().any(|member| pod_version(view, member) == Some(version))
}

/// Whether all voters were made to run the recorded version.
fn runs_everywhere(view: &View, record: &Record) -> bool {
    record.voters().all(|member| pod_version(view, member) == Some(record.runs.version.as_str()))
}

fn pod_version<'a>(view: &View<'a>, member: &super::record::Member) -> Option<&'a str> {
    view.pod(member).present()?.version.as_deref()
}
