//! Founding: exactly one per database, ever (DECISIONS 1).
//!
//! An etcd that has lost its volume founds again under the same identity if it is let alone, and acknowledges writes
//! that are lost later. So all members found together: the identity is computed from their addresses and a token that
//! no other founding can have, recorded, and only then do pods exist. A pod made after the first of them has served
//! never founds.

use std::collections::BTreeSet;

use super::{
    act::{Act, Change, MissingNamespace, Object, Reason},
    address::{self, Address},
    database::Database,
    keep::ours,
    name::{MemberName, ObjectName, Uid, WorkerName},
    network::{Exposure, Network},
    record::{Identity, Member, Record, Recorded, Stage},
    render,
    seen::{Doubt, Readiness, Sight},
    step::Step,
    view::View,
    wait::Wait,
};

/// Completes a record with the identity that its members will found with.
pub fn identify(
    founder: &Uid,
    database: &Database,
    record: &mut Record,
    attempt: u32,
    addresses: &[Address],
    workers: &[Uid],
    volumes: &[Uid],
) {
    // The first volume's UID makes the token unlike that of any earlier founding, also after a restored backup of the
    // master has brought the resource's own UID back.
    let seal = volumes.first().map_or("", Uid::as_str);
    let token = format!("{founder}.{attempt}.{seal}");
    let peers: Vec<_> = record
        .members
        .iter()
        .zip(addresses)
        .map(|(member, address)| (member.name.clone(), address.peer.clone()))
        .collect();
    let expected = database.engine.kind.knowledge().expected_identity(&peers, &token);
    for (((member, address), worker), volume) in record.members.iter_mut().zip(addresses).zip(workers).zip(volumes) {
        member.peer = Some(address.peer.clone());
        member.client = Some(address.client.clone());
        member.worker_identity = Some(worker.clone());
        member.volume = Some(volume.clone());
        member.engine_id = expected.members.get(&member.name).cloned();
    }
    record.stage = Stage::Founding(Identity { attempt, token, cluster: expected.cluster });
}

/// What follows once members have workers: volumes, addresses, and with them the identity.
///
/// `missing` are the acts that already make what else is missing (services).
pub fn prepare(view: &View, record: &Recorded, attempt: u32, missing: Vec<Act>) -> (Step, Option<Wait>) {
    let mut acts = missing;
    let members: Vec<_> = record.members.iter().collect();
    acts.extend(claims(view, record, &members, MissingNamespace::Create));
    let waits = volumes(view, &members);
    if let Ok(volumes) = &waits {
        acts.extend(scouts(view, &members, volumes));
    }
    let complete = waits.and_then(|volumes| {
        let addresses = address::addresses(view.database, record, view.seen)?;
        let workers = record.members.iter().map(|member| identity_of(view, member)).collect::<Result<Vec<_>, _>>()?;
        Ok((volumes, addresses, workers))
    });
    match complete {
        Err(wait) => (Step::Act(acts), Some(wait)),
        Ok((volumes, addresses, workers)) => {
            let mut next = Record::clone(record);
            identify(&view.database.id.uid, view.database, &mut next, attempt, &addresses, &workers, &volumes);
            (Step::record(next), None)
        }
    }
}

/// Whether a founding has taken effect: a member is ready only when it has read through a quorum, and a quorum exists
/// only when the database does.
#[must_use]
pub fn took_effect(view: &View, record: &Recorded) -> bool {
    record.members.iter().any(|member| serves(view, member))
}

/// Whether every member with a vote serves.
#[must_use]
pub fn complete(view: &View, record: &Recorded) -> bool {
    record.voters().all(|member| serves(view, member))
}

/// How far a founding that has taken effect has come.
#[must_use]
pub fn progress(view: &View, record: &Recorded, identity: &Identity) -> Stage {
    if complete(view, record) { Stage::Established(identity.clone()) } else { Stage::Founded(identity.clone()) }
}

/// The record at a further stage.
#[must_use]
pub fn reached(record: &Recorded, stage: Stage) -> Record {
    Record { stage, ..Record::clone(record) }
}

fn serves(view: &View, member: &Member) -> bool {
    view.pod(member).present().is_some_and(|pod| {
        pod.meta.database.as_ref() == Some(&view.database.id.uid) && matches!(pod.ready, Readiness::Ready(_))
    })
}

/// What has become of a founding that was announced, as far as its volumes tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// All volumes are there, or nobody can tell.
    Firm,
    /// Nothing at all is in view; these workers must be read live before anyone may believe it.
    Doubtful(BTreeSet<WorkerName>),
    /// Nothing at all is there, proved: another attempt may begin.
    Gone,
    /// Some volumes are gone, others are not.
    Broken(Vec<MemberName>),
}

/// Looks at the volumes of a founding that has not taken effect yet.
#[must_use]
pub fn ground(view: &View, record: &Recorded) -> Ground {
    let data = &view.database.volumes.data.name;
    let sights: Vec<_> = record
        .members
        .iter()
        .map(|member| {
            let claim = view.claim(member, data);
            let replaced = claim.present().is_some_and(|claim| Some(&claim.meta.uid) != member.volume.as_ref());
            let pod = view.pod(member).present().is_some();
            (member, claim, replaced, pod)
        })
        .collect();
    let lost = |(_, claim, replaced, _): &&(_, Sight<_>, bool, bool)| *replaced || !matches!(claim, Sight::Present(_));
    let unseen = |(_, claim, ..): &&(_, Sight<_>, bool, bool)| matches!(claim, Sight::Unknown(Doubt::WorkerUnseen));
    if sights.iter().any(|sight| unseen(&sight)) || !sights.iter().any(|sight| lost(&sight)) {
        return Ground::Firm;
    }
    let nothing = sights.iter().all(|sight| lost(&sight) && !sight.2 && !sight.3);
    let proved = sights.iter().all(|(_, claim, ..)| matches!(claim, Sight::Absent));
    match (nothing, proved) {
        (true, true) => Ground::Gone,
        (true, false) => Ground::Doubtful(record.workers().into_iter().cloned().collect()),
        (false, _) => Ground::Broken(sights.iter().filter(lost).map(|(member, ..)| member.name.clone()).collect()),
    }
}

/// The volumes that these members lack.
pub fn claims(view: &View, record: &Recorded, members: &[&Member], namespace: MissingNamespace) -> Vec<Act> {
    let missing = members.iter().flat_map(|member| {
        let volumes = view.database.volumes.iter();
        volumes.filter(|volume| view.claim(member, &volume.name).may_create()).map(move |volume| (member, volume))
    });
    missing
        .map(|(member, volume)| Act {
            worker: member.worker.clone(),
            reason: Reason::VolumeMissing,
            change: Change::Create(
                Object::Claim(Box::new(render::claim(view.owner(), record, member, volume))),
                namespace,
            ),
        })
        .collect()
}

/// The data volume of each of these members, once all of its volumes are there: a pod would wait for the others for ever.
///
/// # Errors
/// The first volume that is waited for.
pub fn volumes(view: &View, members: &[&Member]) -> Result<Vec<Uid>, Wait> {
    let claimed = |member: &Member, volume: &str| match view.claim(member, volume) {
        Sight::Present(claim) if !ours(view, &claim.meta) => {
            let claim = claim.meta.name.clone();
            Err(Wait::VolumeTaken { claim, worker: member.worker.clone() })
        }
        Sight::Present(claim) if claim.meta.deleting.is_none() => Ok(claim.meta.uid.clone()),
        Sight::Unknown(Doubt::WorkerUnseen) => Err(view.unseen(&member.worker)),
        _ => {
            Err(Wait::Volume { claim: view.database.names.claim(volume, &member.name), worker: member.worker.clone() })
        }
    };
    let of_member = |member: &Member| {
        for other in &view.database.volumes.others {
            claimed(member, &other.name)?;
        }
        claimed(member, &view.database.volumes.data.name)
    };
    members.iter().copied().map(of_member).collect()
}

/// The placeholders that these members lack, where their addresses are those of their nodes.
pub fn scouts(view: &View, members: &[&Member], volumes: &[Uid]) -> Vec<Act> {
    match &view.database.network {
        Network::MemberServices(services) if services.exposure == Exposure::NodePort => {}
        Network::MemberServices(_) | Network::PodNames => return Vec::new(),
    }
    members
        .iter()
        .zip(volumes)
        .filter(|(member, _)| view.sight_of_pod(&member.worker, &scout(view, member)).may_create())
        .map(|(member, volume)| Act {
            worker: member.worker.clone(),
            reason: Reason::AddressNeeded,
            change: Change::Create(
                Object::Pod(Box::new(render::scout(view.owner(), member, volume))),
                MissingNamespace::Fail,
            ),
        })
        .collect()
}

/// The name of a member's placeholder.
#[must_use]
pub fn scout(view: &View, member: &Member) -> ObjectName {
    view.database.names.scout(&member.name)
}

/// The identity of a member's worker.
///
/// # Errors
/// Where it cannot be seen.
pub fn identity_of(view: &View, member: &Member) -> Result<Uid, Wait> {
    view.seen
        .workers
        .get(&member.worker)
        .and_then(|worker| worker.view.objects())
        .map(|objects| objects.identity.clone())
        .ok_or_else(|| view.unseen(&member.worker))
}
