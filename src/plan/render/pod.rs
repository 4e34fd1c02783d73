//! Pods: a member's own, and the placeholder that finds out a member's node.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, PersistentVolumeClaimVolumeSource, Pod, PodSecurityContext, PodSpec, SeccompProfile,
        SecurityContext, Volume, VolumeDevice, VolumeMount,
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};

use super::{Owner, digest::digest};
use crate::{
    engine::Start,
    plan::{
        database, labels,
        name::{ObjectName, Uid},
        record::{Member, Record, Recorded},
    },
};

/// Who members run as: not root, so that pods pass Pod Security "restricted". Volumes are made writable by `fsGroup`.
const USER: i64 = 10_001;

/// The pod of one member, on the data volume `volume`.
///
/// Only a written record makes one: its arguments are the identity that the record announces.
#[must_use]
pub fn pod(owner: Owner, record: &Recorded, member: &Member, volume: &Uid, start: Start) -> Pod {
    let database = owner.database;
    let name = ObjectName::from(&member.name);
    // What the pod was made from, apart from how it starts and who else there is: a member that has founded, or that has
    // seen others join, is no drift.
    let alone = record.alone(member);
    // One that forgets the others each time it starts is made anew when it has done so once.
    let steady = if start == Start::Alone { Start::Alone } else { Start::Join };
    let spec_alone = spec(owner, member, container(owner, &alone, member, steady));
    let made_from = digest(&(&spec_alone, &database.pod.labels, &database.pod.annotations));
    let running = spec(owner, member, container(owner, record, member, start));
    let mut pod = shell(owner, member, &name, volume, labels::PART_MEMBER, running);
    let labels = pod.metadata.labels.get_or_insert_default();
    for (key, value) in &database.pod.labels {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.extend(database.pod.annotations.clone());
    annotations.insert(labels::RENDERED.to_owned(), made_from);
    annotations.insert(labels::VERSION.to_owned(), record.runs.version.clone());
    if start == Start::Join {
        annotations.insert(labels::PEERS.to_owned(), peers(record, member));
    }
    if start == Start::Alone {
        annotations.insert(labels::ALONE.to_owned(), "true".to_owned());
    }
    if start == Start::Found {
        annotations.insert(labels::FOUNDERS.to_owned(), record.members.len().to_string());
    }
    pod
}

/// A digest of whom a member is told of when it joins. A member that has data goes by that; one that has none yet must be told
/// of exactly those that are there when it starts.
#[must_use]
pub fn peers(record: &Record, member: &Member) -> String {
    digest(&record.peers_of(member).collect::<Vec<_>>())
}

/// A pod that runs nothing, on the member's volume and under its scheduling rules: where it lands, the member will.
#[must_use]
pub fn scout(owner: Owner, member: &Member, volume: &Uid) -> Pod {
    let container = Container {
        name: "address".to_owned(),
        image: Some(owner.database.engine.image.clone()),
        command: Some(owner.database.engine.kind.knowledge().no_op()),
        resources: Some(owner.database.pod.resources.clone()),
        ..Container::default()
    };
    let name = owner.database.names.scout(&member.name);
    let mut spec = spec(owner, member, container);
    spec.restart_policy = Some("Never".to_owned());
    shell(owner, member, &name, volume, labels::PART_ADDRESS, spec)
}

/// Metadata and ownership. The owner is the data volume in the same worker: `kubectl drain` then works without
/// `--force`, and garbage collection can only ever follow a volume that is truly gone (DESIGN section 4).
fn shell(owner: Owner, member: &Member, name: &ObjectName, volume: &Uid, part: &str, spec: PodSpec) -> Pod {
    let data = &owner.database.volumes.data;
    let home = member.home(&owner.database.id);
    let mut metadata = super::metadata(home, name);
    let mut labels = labels::of_member(owner.master, owner.database, &member.name, home);
    labels.insert(labels::PART.to_owned(), part.to_owned());
    metadata.labels = Some(labels);
    metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "PersistentVolumeClaim".to_owned(),
        name: owner.database.names.claim(&data.name, &member.name).to_string(),
        uid: volume.to_string(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    Pod { metadata, spec: Some(spec), status: None }
}

fn spec(owner: Owner, member: &Member, container: Container) -> PodSpec {
    let database = owner.database;
    let template = &database.pod;
    PodSpec {
        hostname: Some(member.name.to_string()),
        subdomain: Some(database.names.headless().to_string()),
        containers: vec![hardened(container)],
        volumes: Some(database.volumes.iter().map(|volume| claimed(owner, member, volume)).collect()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        service_account_name: template.service_account.clone(),
        affinity: template.affinity.clone(),
        node_selector: some(template.node_selector.clone()),
        tolerations: some(template.tolerations.clone()),
        topology_spread_constraints: some(template.topology_spread.clone()),
        scheduler_name: template.scheduler.clone(),
        priority_class_name: template.priority_class.clone(),
        image_pull_secrets: some(template.image_pull_secrets.clone()),
        termination_grace_period_seconds: Some(30),
        ..PodSpec::default()
    }
}

/// The recorded image; of the same version, the manifest's own, which knows the mirrors of today.
fn image(owner: Owner, record: &Record) -> String {
    let engine = &owner.database.engine;
    if engine.version.as_str() == record.runs.version { engine.image.clone() } else { record.runs.image.clone() }
}

/// The engine's container with what the manifest adds to it.
fn container(owner: Owner, record: &Record, member: &Member, start: Start) -> Container {
    let database = owner.database;
    let mut container = database.engine.kind.knowledge().container(record, member, start);
    container.image = Some(image(owner, record));
    container.resources = Some(database.pod.resources.clone());
    let mut env = database.pod.env.clone();
    // What a manifest may not set is refused before; of anything else, its word counts.
    let own = container.env.take().unwrap_or_default();
    env.extend(own.into_iter().filter(|own| database.pod.env.iter().all(|var| var.name != own.name)));
    container.env = some(env);
    for volume in database.volumes.iter() {
        let Some(path) = &volume.mount else { continue };
        if volume.mode.as_deref() == Some("Block") {
            container
                .volume_devices
                .get_or_insert_default()
                .push(VolumeDevice { name: volume.name.clone(), device_path: path.clone() });
        } else {
            container.volume_mounts.get_or_insert_default().push(VolumeMount {
                name: volume.name.clone(),
                mount_path: path.clone(),
                ..VolumeMount::default()
            });
        }
    }
    container
}

fn claimed(owner: Owner, member: &Member, volume: &database::Volume) -> Volume {
    Volume {
        name: volume.name.clone(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: owner.database.names.claim(&volume.name, &member.name).to_string(),
            read_only: None,
        }),
        ..Volume::default()
    }
}

/// What Pod Security "restricted" asks of a container.
fn hardened(mut container: Container) -> Container {
    container.security_context = Some(SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    });
    // What it says as it ends is what conditions tell of it, and whether its data is spoilt.
    container.termination_message_policy = Some("FallbackToLogsOnError".to_owned());
    container
}

/// Nothing at all rather than an empty collection: an API server would drop it, and we would see drift.
fn some<T: IntoIterator + Default + PartialEq>(collection: T) -> Option<T> {
    (collection != T::default()).then_some(collection)
}
