//! What has become of a member's data volume.

use super::{
    name::Uid,
    record::Member,
    seen::{ClaimPhase, Doubt, Readiness, Sight},
    view::View,
};

/// How a member's data volume stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volume<'a> {
    /// There is none on record yet.
    NotYet,
    /// It is the recorded one.
    Sound(&'a Uid),
    /// It is the recorded one, and goes as soon as its pod stops.
    Going,
    /// It is gone for good: another one stands under its name, or it has lost its data, or it is proved not to be there.
    Gone(Loss),
    /// It is not in view; a live list would tell.
    NotInView,
    /// Its worker cannot be seen.
    Unknown,
}

/// How a volume was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Another claim has its name.
    Replaced,
    /// The claim says that its volume is gone.
    Lost,
    /// The claim is not there.
    Absent,
    /// It is there, and the member cannot go on with what is on it.
    Spoilt,
}

/// So often a member is started again before it is believed that it cannot go on with its data.
const TRIES: i32 = 2;

/// Whether a member that does not serve has said, again and again, that its data is no good. An older copy that was put back
/// is no good either: the member has promised what it does not have any more.
fn is_spoilt(view: &View, member: &Member) -> bool {
    let Sight::Present(pod) = view.pod(member) else { return false };
    let engine = view.database.engine.kind.knowledge();
    pod.restarts >= TRIES
        && !matches!(pod.ready, Readiness::Ready(_))
        && pod.last_words.as_ref().is_some_and(|words| engine.is_spoilt(words))
}

/// How this member's data volume stands.
#[must_use]
pub fn of<'a>(view: &View<'a>, member: &'a Member) -> Volume<'a> {
    let Some(recorded) = &member.volume else { return Volume::NotYet };
    match view.claim(member, &view.database.volumes.data.name) {
        Sight::Present(claim) if claim.meta.uid != *recorded => Volume::Gone(Loss::Replaced),
        Sight::Present(claim) if claim.phase == ClaimPhase::Lost => Volume::Gone(Loss::Lost),
        Sight::Present(claim) if claim.meta.deleting.is_some() => Volume::Going,
        Sight::Present(_) if is_spoilt(view, member) => Volume::Gone(Loss::Spoilt),
        Sight::Present(_) => Volume::Sound(recorded),
        Sight::Absent => Volume::Gone(Loss::Absent),
        Sight::Unknown(Doubt::NotInView) => Volume::NotInView,
        Sight::Unknown(Doubt::WorkerUnseen) => Volume::Unknown,
    }
}
