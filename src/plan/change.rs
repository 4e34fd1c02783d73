//! Changes of a manifest: which pods are behind it; and those that this version does not carry out on a database that
//! exists, which are told, never silently dropped, and never half done.

use super::{
    act::{Act, Change, Kind, Reason},
    database::{PlacementRequest, Volume},
    keep::{ours, target},
    place::{Match, resolve},
    quantity,
    record::{Member, Record, Recorded, Stage},
    render,
    report::{Condition, Truth},
    seen::{Claim, Pod},
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

/// Volumes do not shrink.
fn volumes(view: &View, record: &Record) -> Option<String> {
    let (claim, volume) = sizes(view, record).find(|(claim, volume)| size(claim) > quantity::parse(&volume.size.0))?;
    let requested = claim.requested.as_deref().unwrap_or_default();
    Some(format!("the manifest asks for volumes of {}, {} has {requested}", volume.size.0, claim.meta.name))
}

/// Claims of volumes that the manifest wants larger. Whether their storage class lets them grow, the worker says.
#[must_use]
pub fn grow(view: &View, record: &Record) -> Vec<Act> {
    let small = sizes(view, record).filter(|(claim, volume)| size(claim) < quantity::parse(&volume.size.0));
    let stays =
        small.filter(|(claim, _)| claim.meta.deleting.is_none() && ours(view, &claim.meta) && size(claim).is_some());
    let worker = |claim: &Claim| {
        let of = claim.meta.member.as_deref().and_then(|member| record.member(member));
        of.map(|member| member.worker.clone())
    };
    stays
        .filter_map(|(claim, volume)| {
            Some(Act {
                worker: worker(claim)?,
                reason: Reason::VolumeTooSmall,
                change: Change::Grow(target(Kind::Claim, &claim.meta), volume.size.clone()),
            })
        })
        .collect()
}

/// Every claim of the members in view, with what the manifest says of its volume.
fn sizes<'a>(view: &View<'a>, record: &Record) -> impl Iterator<Item = (&'a Claim, &'a Volume)> {
    let claims = record.present().flat_map(|member| {
        let volumes = view.database.volumes.iter();
        volumes.filter_map(|volume| Some((view.claim(member, &volume.name).present()?, volume)))
    });
    claims.collect::<Vec<_>>().into_iter()
}

fn size(claim: &Claim) -> Option<u128> {
    claim.requested.as_deref().and_then(quantity::parse)
}
