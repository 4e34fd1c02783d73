//! Changes of a manifest: which pods are behind it; and those that this version does not carry out on a database that
//! exists, which are told, never silently dropped, and never half done.

use super::{
    database::PlacementRequest,
    place::{Match, resolve},
    record::{Member, Record, Recorded, Stage},
    render,
    report::{Condition, Truth},
    seen::Pod,
    view::View,
};
use crate::engine::Start;

/// Condition `UpToDate`, where it does not hold.
#[must_use]
pub fn pending(view: &View, record: Option<&Record>) -> Option<Condition> {
    let record = record.filter(|record| matches!(record.stage, Stage::Founded(_) | Stage::Established(_)))?;
    let changes: Vec<_> =
        [network(view, record), placement(view, record), volumes(view, record)].into_iter().flatten().collect();
    (!changes.is_empty()).then(|| Condition {
        kind: "UpToDate",
        status: Truth::False,
        reason: "ChangeNotCarriedOut",
        message: format!(
            "{}; this version of Atoll does not carry that out on a database that exists, which runs on",
            changes.join("; ")
        ),
    })
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
    record.present().find_map(|member| {
        let word = &words[member.slot() as usize % words.len()];
        let elsewhere = match resolve(word, &view.seen.workers) {
            Match::One(name) => name != &member.worker,
            Match::None | Match::Several(_) => false,
        };
        elsewhere.then(|| format!("the manifest places {} in {word}, it is in {}", member.name, member.worker))
    })
}

/// Whether a member's pod was made from something else than what is recorded and asked for now.
#[must_use]
pub fn is_outdated(view: &View, record: &Recorded, member: &Member, pod: &Pod) -> bool {
    let Some(volume) = &member.volume else { return false };
    let wanted = render::pod(view.owner(), record, member, volume, Start::Join);
    let digest = wanted.metadata.annotations.as_ref().and_then(|all| all.get(super::labels::RENDERED));
    // A pod that does not say what it was made from is no reason to make it anew, again and again.
    pod.meta.rendered.is_some() && digest.is_some() && pod.meta.rendered.as_ref() != digest
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
