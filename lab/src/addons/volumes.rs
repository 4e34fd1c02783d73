//! Which volumes a cluster lacks, which must grow, and which may go: a pure function of what is seen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, ObjectReference, PersistentVolume,
    PersistentVolumeClaim, PersistentVolumeSpec, VolumeNodeAffinity,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::grumble::Complaint;
use super::quantity::bytes;
use super::sight::{Key, Objects};

/// The name by which storage classes ask for these volumes.
pub const PROVISIONER: &str = "lab.atoll.dev/directory";

const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const ASKED: [&str; 2] = ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
const NOTE: &str = "lab.atoll.dev/note";
const STORAGE: &str = "storage";

/// What is to be done about the storage of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Make a storage class.
    Offer(Box<StorageClass>),
    /// Make the directory of this volume, then the volume.
    Provide(Box<PersistentVolume>),
    /// Write the larger capacity into the volume.
    GrowVolume {
        /// The volume, as it was seen.
        volume: Box<PersistentVolume>,
        /// Its size from now on.
        size: Quantity,
    },
    /// Tell the claim that it has grown.
    GrowClaim {
        /// The claim, as it was seen.
        claim: Box<PersistentVolumeClaim>,
        /// Its size from now on.
        size: Quantity,
    },
    /// Remove the directory of this released volume, then the volume.
    Remove {
        /// The volume, as it was seen.
        volume: Box<PersistentVolume>,
        /// Its directory.
        directory: PathBuf,
    },
}

/// What is seen of a cluster's storage.
pub struct Storage<'a> {
    /// All storage classes.
    pub classes: &'a Objects<StorageClass>,
    /// All claims.
    pub claims: &'a Objects<PersistentVolumeClaim>,
    /// All volumes.
    pub volumes: &'a Objects<PersistentVolume>,
    /// The directory that holds the volumes' directories.
    pub root: &'a Path,
}

/// What is missing, and what cannot be done.
#[must_use]
pub fn decide(seen: &Storage<'_>) -> (Vec<Act>, Vec<Complaint>) {
    let (mut acts, mut complaints) = (Vec::new(), Vec::new());
    acts.extend(
        offered().into_iter().filter(|class| !seen.classes.contains_key(&Key::of(class))).map(Box::new).map(Act::Offer),
    );
    for claim in seen.claims.values() {
        match serve(seen, claim) {
            Ok(Some(act)) => acts.push(act),
            Ok(None) => {}
            Err(complaint) => complaints.push(*complaint),
        }
    }
    acts.extend(seen.volumes.values().filter_map(|volume| dispose(seen.root, volume)));
    (acts, complaints)
}

/// The storage classes that every cluster of the lab has.
#[must_use]
pub fn offered() -> [StorageClass; 3] {
    let class = |name: &str, binding: &str, default: bool| StorageClass {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            annotations: Some(
                std::iter::once((NOTE.to_owned(), format!("directories on the lab's machine, binding {binding}")))
                    .chain(default.then(|| (IS_DEFAULT.to_owned(), "true".to_owned())))
                    .collect(),
            ),
            ..ObjectMeta::default()
        },
        provisioner: PROVISIONER.to_owned(),
        allow_volume_expansion: Some(true),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some(binding.to_owned()),
        ..StorageClass::default()
    };
    [
        class("standard", "Immediate", true),
        class("local-path", "WaitForFirstConsumer", false),
        class("hostpath", "Immediate", false),
    ]
}

fn serve(seen: &Storage<'_>, claim: &PersistentVolumeClaim) -> Result<Option<Act>, Box<Complaint>> {
    let Some(spec) = &claim.spec else {
        return Ok(None);
    };
    if claim.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    match &spec.volume_name {
        Some(name) if !name.is_empty() => Ok(grow(seen, claim, name)),
        _ => provide(seen, claim),
    }
}

fn provide(seen: &Storage<'_>, claim: &PersistentVolumeClaim) -> Result<Option<Act>, Box<Complaint>> {
    let annotations = claim.metadata.annotations.clone().unwrap_or_default();
    // Kubernetes writes this annotation when it is our turn.
    if !ASKED.iter().any(|key| annotations.get(*key).is_some_and(|name| name == PROVISIONER)) {
        return Ok(None);
    }
    let Some(spec) = &claim.spec else {
        return Ok(None);
    };
    let class = spec
        .storage_class_name
        .as_ref()
        .and_then(|name| seen.classes.get(&Key { namespace: String::new(), name: name.clone() }));
    let (Some(class), Some(uid)) = (class, &claim.metadata.uid) else {
        return Ok(None);
    };
    if class.provisioner != PROVISIONER {
        return Ok(None);
    }
    let node = annotations.get(SELECTED_NODE).cloned();
    if class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer") && node.is_none() {
        return Ok(None);
    }
    let name = format!("pvc-{uid}");
    if seen.volumes.contains_key(&Key { namespace: String::new(), name: name.clone() }) {
        return Ok(None);
    }
    let cannot = |note: &str| Box::new(Complaint::about(claim, "ProvisioningFailed", note));
    if spec.volume_mode.as_deref() == Some("Block") {
        return Err(cannot("the lab's volumes are directories, not block devices; ask for volumeMode Filesystem"));
    }
    if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        return Err(cannot("the lab's volumes begin empty; leave dataSource and dataSourceRef out"));
    }
    if spec.selector.is_some() {
        return Err(cannot("volumes made on demand cannot be selected by labels; leave the selector out"));
    }
    let size =
        request(claim).ok_or_else(|| cannot("the claim asks for no size; set spec.resources.requests.storage"))?;
    Ok(Some(Act::Provide(Box::new(volume(seen.root, claim, class, &name, size, node.as_deref())))))
}

fn volume(
    root: &Path,
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    name: &str,
    size: Quantity,
    node: Option<&str>,
) -> PersistentVolume {
    // As Rancher's local-path does it. Nothing but this affinity ties the data to the node.
    let remark = match node {
        Some(_) => {
            "a directory on the lab's machine; bound to one node as a local disk would be, though every node could see it"
        }
        None => "a directory on the lab's machine; every node of this cluster sees it",
    };
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            annotations: Some(BTreeMap::from([
                (PROVISIONED_BY.to_owned(), PROVISIONER.to_owned()),
                (NOTE.to_owned(), remark.to_owned()),
            ])),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: claim.spec.as_ref().and_then(|spec| spec.access_modes.clone()),
            capacity: Some(BTreeMap::from([(STORAGE.to_owned(), size)])),
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolumeClaim".to_owned()),
                namespace: claim.metadata.namespace.clone(),
                name: claim.metadata.name.clone(),
                uid: claim.metadata.uid.clone(),
                ..ObjectReference::default()
            }),
            host_path: Some(HostPathVolumeSource {
                path: root.join(name).to_string_lossy().into_owned(),
                // Not DirectoryOrCreate: lost data must not come back as an empty directory.
                type_: Some("Directory".to_owned()),
            }),
            node_affinity: node.map(only_on),
            persistent_volume_reclaim_policy: class.reclaim_policy.clone(),
            storage_class_name: class.metadata.name.clone(),
            volume_mode: Some("Filesystem".to_owned()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

fn only_on(node: &str) -> VolumeNodeAffinity {
    let hostname = NodeSelectorRequirement {
        key: "kubernetes.io/hostname".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_expressions: Some(vec![hostname]), match_fields: None };
    VolumeNodeAffinity { required: Some(NodeSelector { node_selector_terms: vec![term] }) }
}

/// The volume first, then the claim's status: the order in which Kubernetes' own resizer tells it.
fn grow(seen: &Storage<'_>, claim: &PersistentVolumeClaim, volume: &str) -> Option<Act> {
    let volume = seen
        .volumes
        .get(&Key { namespace: String::new(), name: volume.to_owned() })
        .filter(|volume| is_ours(volume))?;
    let spec = volume.spec.as_ref()?;
    let claimed = spec.claim_ref.as_ref().is_some_and(|reference| reference.uid == claim.metadata.uid);
    let status = claim.status.as_ref().filter(|status| status.phase.as_deref() == Some("Bound") && claimed)?;
    let size = request(claim)?;
    let wanted = bytes(&size.0)?;
    if capacity(spec.capacity.as_ref()) < wanted {
        return Some(Act::GrowVolume { volume: Box::new((**volume).clone()), size });
    }
    let resizing = ["Resizing", "FileSystemResizePending"];
    let unsettled = status.conditions.iter().flatten().any(|condition| resizing.contains(&condition.type_.as_str()));
    let size = spec.capacity.as_ref()?.get(STORAGE)?.clone();
    (capacity(status.capacity.as_ref()) < wanted || unsettled)
        .then(|| Act::GrowClaim { claim: Box::new(claim.clone()), size })
}

/// A released volume of ours goes, if its policy says so and its directory is really one of ours.
fn dispose(root: &Path, volume: &PersistentVolume) -> Option<Act> {
    let spec = volume.spec.as_ref()?;
    let released = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released");
    if !released || !is_ours(volume) || spec.persistent_volume_reclaim_policy.as_deref() != Some("Delete") {
        return None;
    }
    let directory =
        root.join(volume.metadata.name.as_ref().filter(|name| !name.contains('/') && !name.starts_with('.'))?);
    (Path::new(&spec.host_path.as_ref()?.path) == directory)
        .then(|| Act::Remove { volume: Box::new(volume.clone()), directory })
}

fn is_ours(volume: &PersistentVolume) -> bool {
    let annotations = volume.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(PROVISIONED_BY)).is_some_and(|name| name == PROVISIONER)
}

fn request(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get(STORAGE).cloned()
}

fn capacity(sizes: Option<&BTreeMap<String, Quantity>>) -> u128 {
    sizes.and_then(|sizes| sizes.get(STORAGE)).and_then(|size| bytes(&size.0)).unwrap_or(0)
}

/// Whether a live read still shows the volume that was to be removed.
#[must_use]
pub fn still_removable(root: &Path, seen: &PersistentVolume, live: &PersistentVolume) -> bool {
    seen.metadata.uid == live.metadata.uid && dispose(root, live).is_some()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
#[path = "volumes_tests.rs"]
mod tests;
