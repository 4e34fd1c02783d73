//! Keeping a database as it should be: its services and its pods, while its volumes and its identity stand.

use super::{
    act::{Act, Change, Kind, MissingNamespace, Object, Reason, Target},
    found,
    name::Uid,
    record::{Member, Part, Recorded, Stage},
    render,
    seen::{Meta, PodPhase, Sight},
    view::View,
    volume::{self, Loss, Volume},
    wait::Obstacle,
};
use crate::engine::Start;

/// Services that are missing or that differ from what they should be.
pub fn services(view: &View, record: &Recorded, obstacles: &mut Vec<Obstacle>) -> Vec<Act> {
    let namespace = match record.stage {
        Stage::Placed { .. } => MissingNamespace::Create,
        Stage::Founding(_) | Stage::Founded(_) | Stage::Established(_) => MissingNamespace::Fail,
    };
    let mut acts = Vec::new();
    // The addresses that members know each other by hang on these services: another mode is a change of membership.
    if view.database.network.mode() != record.network {
        return acts;
    }
    for rendered in render::services(view.owner(), record) {
        let object = Object::Service(Box::new(rendered.service));
        match view.service(&rendered.worker, &rendered.name) {
            Sight::Present(service) if !ours(view, &service.meta) => {
                obstacles.push(foreign("service", &service.meta, rendered.worker.as_str()));
            }
            Sight::Present(service)
                if service.meta.deleting.is_none() && service.meta.rendered.as_deref() != Some(&rendered.digest) =>
            {
                acts.push(Act {
                    worker: rendered.worker,
                    reason: Reason::ServiceChanged,
                    change: Change::Apply(object, service.meta.uid.clone()),
                });
            }
            Sight::Present(_) => {}
            sight => {
                if sight.may_create() {
                    acts.push(Act {
                        worker: rendered.worker,
                        reason: Reason::ServiceMissing,
                        change: Change::Create(object, namespace),
                    });
                }
            }
        }
    }
    acts
}

/// Pods that are missing while their volume is there, pods that have ended, and placeholders that have done their work. A
/// member that is to join has none before the others list it: nobody would let it in.
pub fn pods(view: &View, record: &Recorded, obstacles: &mut Vec<Obstacle>) -> Vec<Act> {
    let listed = |member: &&Member| member.part != Part::Joining || member.engine_id.is_some();
    record.present().filter(listed).flat_map(|member| pods_of(view, record, member, obstacles)).collect()
}

fn pods_of(view: &View, record: &Recorded, member: &Member, obstacles: &mut Vec<Obstacle>) -> Vec<Act> {
    let mut acts = Vec::new();
    if let Sight::Present(scout) = view.sight_of_pod(&member.worker, &found::scout(view, member))
        && scout.meta.deleting.is_none()
        && ours(view, &scout.meta)
    {
        acts.push(delete_pod(member, &scout.meta, Reason::AddressKnown));
    }
    let volume = sound_volume(view, member, obstacles);
    match view.pod(member) {
        Sight::Present(pod) if !ours(view, &pod.meta) => {
            obstacles.push(foreign("pod", &pod.meta, member.worker.as_str()));
        }
        Sight::Present(pod) => {
            let ended = matches!(pod.phase, PodPhase::Failed | PodPhase::Succeeded);
            if ended && pod.meta.deleting.is_none() && volume.is_some() {
                acts.push(delete_pod(member, &pod.meta, Reason::PodEnded));
            }
        }
        sight if sight.may_create() => acts.extend(volume.map(|volume| create_pod(view, record, member, volume))),
        Sight::Absent | Sight::Unknown(_) => {}
    }
    acts
}

/// The volume that the record names, if it is there and sound. On another one a pod would run with an identity whose
/// data is gone; and a pod whose volume is about to go is not stopped by us, because that would be its end.
fn sound_volume<'a>(view: &View<'a>, member: &'a Member, obstacles: &mut Vec<Obstacle>) -> Option<&'a Uid> {
    let (reason, what) = match volume::of(view, member) {
        Volume::Sound(volume) => return Some(volume),
        Volume::NotYet | Volume::NotInView | Volume::Unknown | Volume::Gone(Loss::Absent) => return None,
        Volume::Gone(Loss::Replaced) => {
            ("VolumeReplaced", "is not the one that this member's data was on: no pod of it is started")
        }
        Volume::Going => {
            ("VolumeBeingDeleted", "is being deleted: its pod runs on while it can, and is not started again")
        }
        Volume::Gone(Loss::Lost) => ("VolumeLost", "has lost its volume: no pod of it is started"),
        Volume::Gone(Loss::Spoilt) => (
            "VolumeSpoilt",
            "holds data with which this member cannot go on, as it says each time it starts: where a majority of three or \
             more serves, a new member takes its place; else the data has to be put right by hand",
        ),
    };
    let name = view.database.names.claim(&view.database.volumes.data.name, &member.name);
    let message = format!("volume claim {name} of {} in worker {} {what}", member.name, member.worker);
    obstacles.push(Obstacle::new("VolumesPresent", reason, message));
    None
}

fn create_pod(view: &View, record: &Recorded, member: &Member, volume: &Uid) -> Act {
    let start = match record.stage {
        Stage::Founding(_) => Start::Found,
        _ if record.recovering.as_ref() == Some(&member.name) => Start::Alone,
        Stage::Placed { .. } | Stage::Founded(_) | Stage::Established(_) => Start::Join,
    };
    Act {
        worker: member.worker.clone(),
        reason: Reason::PodMissing,
        change: Change::Create(
            Object::Pod(Box::new(render::pod(view.owner(), record, member, volume, start))),
            MissingNamespace::Fail,
        ),
    }
}

/// Objects that still carry the UID of the resource that a person had this one take over from.
pub fn take_over(view: &View, record: &Recorded) -> Vec<Act> {
    let Some(old) = view.database.consent.adopt.as_ref().filter(|old| *old != &view.database.id.uid) else {
        return Vec::new();
    };
    let mut acts = Vec::new();
    for worker in record.workers() {
        let Some(objects) = view.seen.workers.get(worker).and_then(|sight| sight.view.objects()) else {
            continue;
        };
        let claims = objects.claims.values().map(|claim| (Kind::Claim, &claim.meta));
        let services = objects.services.values().map(|service| (Kind::Service, &service.meta));
        let pods = objects.pods.values().map(|pod| (Kind::Pod, &pod.meta));
        let theirs = claims.chain(services).chain(pods).filter(|(_, meta)| meta.database.as_ref() == Some(old));
        acts.extend(theirs.map(|(kind, meta)| Act {
            worker: worker.clone(),
            reason: Reason::Adopted,
            change: Change::TakeOver(target(kind, meta), view.database.id.uid.clone()),
        }));
    }
    acts
}

/// Exactly this object.
pub fn target(kind: Kind, meta: &Meta) -> Target {
    Target { kind, namespace: meta.namespace.clone(), name: meta.name.clone(), uid: meta.uid.clone() }
}

/// Whether an object was made for this very database.
pub fn ours(view: &View, meta: &Meta) -> bool {
    meta.database.as_ref() == Some(&view.database.id.uid)
}

/// Deletes a member's pod, by UID.
pub fn delete_pod(member: &Member, meta: &Meta, reason: Reason) -> Act {
    Act { worker: member.worker.clone(), reason, change: Change::Delete(target(Kind::Pod, meta)) }
}

fn foreign(kind: &str, meta: &Meta, worker: &str) -> Obstacle {
    let owner = meta.database.as_ref().map_or("nobody that Atoll knows", |uid| uid.as_str());
    Obstacle::new(
        "NamesFree",
        "NameTaken",
        format!(
            "{kind} {} in worker {worker} belongs to {owner}; Atoll neither changes nor deletes it. Remove it there, and \
             this goes on by itself",
            meta.name
        ),
    )
}
