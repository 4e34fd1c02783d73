//! Changes of a manifest that this version does not carry out on a database that exists: told, never silently dropped,
//! and never half done.

use super::{
    database::PlacementRequest,
    place::{Match, resolve},
    record::{Record, Recorded, Stage},
    render,
    report::{Condition, Truth},
    seen::Sight,
    view::View,
};
use crate::engine::Start;

/// Condition `UpToDate`, where it does not hold.
#[must_use]
pub fn pending(view: &View, record: Option<&Record>) -> Option<Condition> {
    let record = record.filter(|record| matches!(record.stage, Stage::Founded(_) | Stage::Established(_)))?;
    let changes: Vec<_> = [
        members(view, record),
        version(view, record),
        network(view, record),
        placement(view, record),
        pods(view, record),
        volumes(view, record),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!changes.is_empty()).then(|| Condition {
        kind: "UpToDate",
        status: Truth::False,
        reason: "ChangeNotCarriedOut",
        message: format!(
            "{}; this version of Atoll does not change the members of a database that exists, which \
             runs on",
            changes.join("; ")
        ),
    })
}

fn members(view: &View, record: &Record) -> Option<String> {
    let (wanted, has) = (view.database.replicas as usize, record.members.len());
    (wanted != has).then(|| format!("the manifest asks for {wanted} members, the database has {has}"))
}

fn version(view: &View, record: &Record) -> Option<String> {
    let (wanted, runs) = (view.database.engine.version.as_str(), record.runs.version.as_str());
    (wanted != runs).then(|| format!("the manifest asks for version {wanted}, the database runs {runs}"))
}

fn network(view: &View, record: &Record) -> Option<String> {
    let (wanted, has) = (view.database.network.mode(), &record.network);
    (&wanted != has).then(|| format!("the manifest asks for the network {wanted}, members know each other by {has}"))
}

/// An edited list never moves a member (DESIGN 5.6); a list that only names the same workers otherwise is no change.
fn placement(view: &View, record: &Record) -> Option<String> {
    let PlacementRequest::Listed(words) = &view.database.placement else {
        return None;
    };
    record.members.iter().find_map(|member| {
        let word = &words[member.ordinal as usize % words.len()];
        let elsewhere = match resolve(word, &view.seen.workers) {
            Match::One(name) => name != &member.worker,
            Match::None | Match::Several(_) => false,
        };
        elsewhere.then(|| format!("the manifest places {} in {word}, it is in {}", member.name, member.worker))
    })
}

fn pods(view: &View, record: &Record) -> Option<String> {
    let recorded = Recorded::from_status(record.clone());
    record.members.iter().find_map(|member| {
        let Sight::Present(pod) = view.pod(member) else {
            return None;
        };
        let volume = member.volume.as_ref()?;
        let wanted = render::pod(view.owner(), &recorded, member, volume, Start::Join);
        let digest = wanted.metadata.annotations.as_ref()?.get(super::labels::RENDERED)?;
        let made_from = pod.meta.rendered.as_ref()?;
        (made_from != digest).then(|| {
            format!(
                "the pod of {} was made from an earlier manifest, and takes the new one when it is made again",
                member.name
            )
        })
    })
}

fn volumes(view: &View, record: &Record) -> Option<String> {
    let data = &view.database.volumes.data;
    record.members.iter().find_map(|member| {
        let claim = view.claim(member, &data.name).present()?;
        let requested = claim.requested.as_ref()?;
        (requested != &data.size.0)
            .then(|| format!("the manifest asks for volumes of {}, {} has {requested}", data.size.0, claim.meta.name))
    })
}
