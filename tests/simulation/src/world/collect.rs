//! The garbage collector: what belongs to something that is gone goes too.
//!
//! Of the kinds that a world follows, and for owners of these kinds. That an owner is gone is asked of the API server
//! before anything is deleted.

use http::Method;
use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{PersistentVolumeClaim, Pod, Service},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use serde_json::{Value, json};

use super::{
    hand::{Fault, Part, path},
    objects::{All, Kept, Key, Objects, held_by, id, leaving},
    round::Round,
};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Deletes what has lost its owners, and lets owners go that wait for what is theirs.
pub(super) fn collect(round: &mut Round) {
    let objects = round.objects;
    deserted(round, &objects.pods);
    deserted(round, &objects.claims);
    deserted(round, &objects.services);
    deserted(round, &objects.jobs);
    waiting(round, &objects.claims);
    waiting(round, &objects.jobs);
    waiting(round, &objects.pods);
}

fn deserted<K: Kept>(round: &mut Round, all: &All<K>) {
    for (key, object) in all {
        let owners = object.meta().owner_references.as_deref().unwrap_or_default();
        if owners.is_empty() || leaving(object) {
            continue;
        }
        let Some(places) = owners.iter().map(|owner| place(owner, &key.0)).collect::<Option<Vec<_>>>() else {
            continue;
        };
        if owners.iter().any(|owner| holds(round.objects, owner, &key.0)) {
            continue;
        }
        let pause = round.settings.pace.collect;
        if !round.due("collect", id(object), pause) {
            continue;
        }
        let (key, uid) = (key.clone(), id(object).to_owned());
        let owners: Vec<_> = owners.iter().map(|owner| owner.uid.clone()).zip(places).collect();
        round.act(format!("collection of {} {}/{}", K::PLURAL, key.0, key.1), move |hand| async move {
            for (uid, path) in owners {
                match hand.send::<Value>(Method::GET, &path, None).await {
                    Err(Fault::Missing) => {}
                    Ok(found) if found["metadata"]["uid"] != uid.as_str() => {}
                    Ok(found) if takes_down(&found["metadata"]) => {}
                    Ok(_) => return Ok(None),
                    Err(fault) => return Err(fault),
                }
            }
            hand.delete::<K>(&key, &uid, None).await
        });
    }
}

/// Whether an owner is deleted together with what is its own.
fn takes_down(meta: &Value) -> bool {
    let mut finalizers = meta["finalizers"].as_array().into_iter().flatten();
    meta["deletionTimestamp"].is_string() && finalizers.any(|held| held == FOREGROUND)
}

/// Where an owner is looked for; nowhere for a kind that the world does not follow.
fn place(owner: &OwnerReference, namespace: &str) -> Option<String> {
    let key = (namespace.to_owned(), owner.name.clone());
    Some(match owner.kind.as_str() {
        "PersistentVolumeClaim" => path::<PersistentVolumeClaim>(&key),
        "Job" => path::<Job>(&key),
        "Pod" => path::<Pod>(&key),
        "Service" => path::<Service>(&key),
        _ => return None,
    })
}

/// Whether an owner is there, and is not being deleted with what is its.
fn holds(objects: &Objects, owner: &OwnerReference, namespace: &str) -> bool {
    let key: Key = (namespace.to_owned(), owner.name.clone());
    let is_it = |meta: &ObjectMeta| {
        let taking_down = meta.deletion_timestamp.is_some() && held_by(meta, FOREGROUND);
        meta.uid.as_deref() == Some(owner.uid.as_str()) && !taking_down
    };
    match owner.kind.as_str() {
        "PersistentVolumeClaim" => objects.claims.get(&key).is_some_and(|found| is_it(&found.metadata)),
        "Job" => objects.jobs.get(&key).is_some_and(|found| is_it(&found.metadata)),
        "Pod" => objects.pods.get(&key).is_some_and(|found| is_it(&found.metadata)),
        "Service" => objects.services.get(&key).is_some_and(|found| is_it(&found.metadata)),
        _ => true,
    }
}

/// An owner that is deleted with what is its (or without) goes when none of that is left (or none is its any more).
fn waiting<K: Kept>(round: &mut Round, all: &All<K>) {
    for (key, object) in all.iter().filter(|(_, object)| leaving(*object)) {
        let meta = object.meta();
        let Some(held) = [FOREGROUND, ORPHAN].into_iter().find(|held| held_by(meta, held)) else { continue };
        let theirs = dependants(round.objects, id(object), &key.0);
        if held == ORPHAN && !theirs.is_empty() {
            for (path, owners) in theirs {
                let kept: Vec<_> = owners.iter().filter(|owner| owner.uid != id(object)).cloned().collect();
                round.act(format!("owners of {path}"), move |hand| async move {
                    let patch = json!({ "metadata": { "ownerReferences": kept } });
                    hand.send::<Value>(Method::PATCH, &path, Some(patch)).await.map(|_| None)
                });
            }
        } else if theirs.is_empty() {
            let others: Vec<_> = meta.finalizers.iter().flatten().filter(|one| *one != held).cloned().collect();
            let (key, uid, version) = (key.clone(), id(object).to_owned(), meta.resource_version.clone());
            round.act(format!("finalizer of {} {}/{}", K::PLURAL, key.0, key.1), move |hand| async move {
                let patch = json!({ "metadata": { "finalizers": others, "resourceVersion": version } });
                hand.patch::<K>(&key, &uid, Part::Object, patch).await.map(|_| None)
            });
        }
    }
}

/// What names an object as its owner: where it is, and all that it names.
fn dependants(objects: &Objects, uid: &str, namespace: &str) -> Vec<(String, Vec<OwnerReference>)> {
    fn of<'a, K: Kept>(
        all: &'a All<K>,
        uid: &'a str,
        namespace: &'a str,
    ) -> impl Iterator<Item = (String, Vec<OwnerReference>)> + 'a {
        all.iter().filter(move |((at, _), _)| at == namespace).filter_map(move |(key, object)| {
            let owners = object.meta().owner_references.clone()?;
            owners.iter().any(|owner| owner.uid == uid).then(|| (path::<K>(key), owners))
        })
    }
    let pods = of(&objects.pods, uid, namespace);
    let rest = of(&objects.claims, uid, namespace).chain(of(&objects.services, uid, namespace));
    pods.chain(rest).chain(of(&objects.jobs, uid, namespace)).collect()
}
