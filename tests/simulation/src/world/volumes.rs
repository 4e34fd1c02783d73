//! Storage: claims get volumes, volumes grow, and a claim that is deleted goes when no pod uses it.
//!
//! Volumes themselves are no objects here: a claim says that it is bound, and its UID is its data's.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use k8s_openapi::{
    api::{
        core::v1::{PersistentVolumeClaim, Pod},
        storage::v1::StorageClass,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{Resource as _, api::ObjectList};
use serde_json::json;

use super::{
    Goods,
    hand::{Part, shown},
    objects::{Key, Objects, held_by, id, leaving},
    round::Round,
};

/// Where a volume of the second kind is, as schedulers say it.
pub(super) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Marks the class that a claim gets which names none.
pub(super) const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// Volumes that every node reaches.
pub(super) const NETWORK: &str = "network.world.sim";
/// Volumes on a node's own disk.
pub(super) const LOCAL: &str = "local.world.sim";
/// Holds a claim that is deleted while a pod uses it.
const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// When a claim gets its volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// At once.
    AtOnce,
    /// When a pod uses it, near to that pod.
    WhenUsed,
}

fn class<'a>(objects: &'a Objects, claim: &PersistentVolumeClaim) -> Option<&'a StorageClass> {
    let name = claim.spec.as_ref()?.storage_class_name.clone()?;
    let class = objects.classes.get(&(String::new(), name))?;
    matches!(class.provisioner.as_str(), NETWORK | LOCAL).then_some(class)
}

/// When a claim gets its volume; never, if nobody makes volumes of its class.
pub(super) fn binding(objects: &Objects, claim: &PersistentVolumeClaim) -> Option<Binding> {
    match class(objects, claim)?.volume_binding_mode.as_deref() {
        Some("WaitForFirstConsumer") => Some(Binding::WhenUsed),
        _ => Some(Binding::AtOnce),
    }
}

/// Whether a claim has its volume.
pub(super) fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

/// The node that a claim's volume is to be on.
pub(super) fn selected_node(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.metadata.annotations.as_ref()?.get(SELECTED_NODE).map(String::as_str)
}

/// The node to which a claim's volume is bound, if it is bound to one.
pub(super) fn node<'a>(objects: &Objects, claim: &'a PersistentVolumeClaim) -> Option<&'a str> {
    let local = class(objects, claim).is_some_and(|class| class.provisioner == LOCAL);
    selected_node(claim).filter(|_| local && is_bound(claim))
}

/// Binds, grows and lets go.
pub(super) fn provide(round: &mut Round, lost: &BTreeSet<String>) {
    let objects = round.objects;
    for (key, claim) in &objects.claims {
        if leaving(claim) {
            release(round, key, claim);
        } else if lost.contains(id(claim)) {
            lose(round, key, claim);
        } else if round.has(Goods::Volumes) {
            serve(round, key, claim);
        }
    }
}

fn serve(round: &mut Round, key: &Key, claim: &PersistentVolumeClaim) {
    if claim.spec.as_ref().is_some_and(|spec| spec.storage_class_name.is_none()) {
        return classify(round, key, claim);
    }
    let ready = match binding(round.objects, claim) {
        None => return,
        Some(Binding::AtOnce) => true,
        Some(Binding::WhenUsed) => selected_node(claim).is_some(),
    };
    let Some(spec) = claim.spec.as_ref().filter(|_| ready) else { return };
    let requested = storage(spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
    let has = storage(claim.status.as_ref().and_then(|status| status.capacity.as_ref()));
    let bound = is_bound(claim);
    if bound && requested == has {
        return;
    }
    let pause = round.settings.pace.bind;
    if !round.due("bind", &format!("{} {}", id(claim), requested.unwrap_or_default()), pause) {
        return;
    }
    let (part, patch) = if spec.volume_name.as_deref().unwrap_or_default().is_empty() {
        (Part::Object, json!({ "spec": { "volumeName": format!("pvc-{}", id(claim)) } }))
    } else {
        let status =
            json!({ "phase": "Bound", "accessModes": spec.access_modes, "capacity": { "storage": requested } });
        (Part::Status, json!({ "status": status }))
    };
    write(round, key, claim, part, patch);
}

/// A claim that came before there was a default class gets it now.
fn classify(round: &mut Round, key: &Key, claim: &PersistentVolumeClaim) {
    let is_default = |class: &&StorageClass| {
        let annotations = class.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get(DEFAULT_CLASS)).is_some_and(|value| value == "true")
    };
    let default = round.objects.classes.values().find(is_default).and_then(|class| class.metadata.name.clone());
    if let Some(default) = default {
        write(round, key, claim, Part::Object, json!({ "spec": { "storageClassName": default } }));
    }
}

fn storage(quantities: Option<&BTreeMap<String, Quantity>>) -> Option<&str> {
    quantities?.get("storage").map(|quantity| quantity.0.as_str())
}

fn lose(round: &mut Round, key: &Key, claim: &PersistentVolumeClaim) {
    if claim.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Lost") {
        write(round, key, claim, Part::Status, json!({ "status": { "phase": "Lost" } }));
    }
}

fn write(round: &mut Round, key: &Key, claim: &PersistentVolumeClaim, part: Part, patch: serde_json::Value) {
    let (key, uid) = (key.clone(), id(claim).to_owned());
    round.act(format!("volume of claim {}/{}", key.0, key.1), move |hand| async move {
        hand.patch::<PersistentVolumeClaim>(&key, &uid, part, patch).await
    });
}

/// Lets a deleted claim go once nobody uses it. What is known may be old, so the API server is asked.
fn release(round: &mut Round, key: &Key, claim: &PersistentVolumeClaim) {
    if !held_by(&claim.metadata, PROTECTION) || round.objects.pods.values().any(|pod| uses(pod, key)) {
        return;
    }
    let pause = round.settings.pace.collect;
    if !round.due("release", id(claim), pause) {
        return;
    }
    let others: Vec<_> =
        claim.metadata.finalizers.iter().flatten().filter(|held| *held != PROTECTION).cloned().collect();
    let (key, uid, version) = (key.clone(), id(claim).to_owned(), claim.metadata.resource_version.clone());
    round.act(format!("protection of claim {}/{}", key.0, key.1), move |hand| async move {
        let path = Pod::url_path(&(), Some(&key.0));
        let pods = hand.send::<ObjectList<Pod>>(Method::GET, &path, None).await?;
        if let Some(user) = pods.items.into_iter().find(|pod| uses(pod, &key)) {
            return Ok(shown(user));
        }
        let patch = json!({ "metadata": { "finalizers": others, "resourceVersion": version } });
        // Without a finalizer it is gone, and the answer shows how it last was.
        hand.patch::<PersistentVolumeClaim>(&key, &uid, Part::Object, patch).await.map(|_| None)
    });
}

/// Whether a pod that has a node uses a claim.
fn uses(pod: &Pod, (namespace, name): &Key) -> bool {
    let Some(spec) = pod.spec.as_ref().filter(|spec| spec.node_name.is_some()) else { return false };
    let mut volumes = spec.volumes.iter().flatten();
    pod.metadata.namespace.as_ref() == Some(namespace)
        && volumes
            .any(|volume| volume.persistent_volume_claim.as_ref().is_some_and(|source| source.claim_name == *name))
}
