//! What a world knows of its API server's objects, as its lists and watches tell it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{Namespace, Node, PersistentVolumeClaim, Pod, Service, ServiceAccount},
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use serde::de::DeserializeOwned;

/// Namespace and name. Objects of the whole cluster have no namespace.
pub(super) type Key = (String, String);
/// Objects of one kind.
pub(super) type All<K> = BTreeMap<Key, K>;

/// Every object of every kind that somebody in the world looks at.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) pods: All<Pod>,
    pub(super) claims: All<PersistentVolumeClaim>,
    pub(super) services: All<Service>,
    pub(super) jobs: All<Job>,
    pub(super) nodes: All<Node>,
    pub(super) namespaces: All<Namespace>,
    pub(super) classes: All<StorageClass>,
    pub(super) accounts: All<ServiceAccount>,
    /// Kinds that were listed at least once.
    listed: BTreeSet<&'static str>,
}

/// How many kinds there are.
const KINDS: usize = 8;

/// A kind that the world follows.
pub(super) trait Kept:
    Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
    /// Its plural, for messages and to know what was listed.
    const PLURAL: &'static str;
    /// Which of its objects matter, as a field selector.
    const FIELDS: &'static str = "";
    /// Where its objects are kept.
    fn all(objects: &mut Objects) -> &mut All<Self>;
}

macro_rules! kept {
    ($($kind:ty, $plural:literal, $field:ident $(, $fields:literal)?;)*) => {
        $(impl Kept for $kind {
            const PLURAL: &'static str = $plural;
            $(const FIELDS: &'static str = $fields;)?
            fn all(objects: &mut Objects) -> &mut All<Self> {
                &mut objects.$field
            }
        })*
    };
}

kept! {
    Pod, "pods", pods;
    PersistentVolumeClaim, "persistentvolumeclaims", claims;
    Service, "services", services;
    Job, "jobs", jobs;
    Node, "nodes", nodes;
    Namespace, "namespaces", namespaces;
    StorageClass, "storageclasses", classes;
    ServiceAccount, "serviceaccounts", accounts, "metadata.name=default";
}

impl Objects {
    /// Whether every kind was listed once: before that, nothing can be said to be missing.
    pub(super) fn complete(&self) -> bool {
        self.listed.len() == KINDS
    }

    /// Everything of a kind, anew.
    pub(super) fn listed<K: Kept>(&mut self, found: Vec<K>) {
        *K::all(self) = found.into_iter().map(|object| (key(&object), object)).collect();
        self.listed.insert(K::PLURAL);
    }

    /// An object as an event or an answer shows it, unless a newer one is known.
    pub(super) fn shown<K: Kept>(&mut self, object: K) {
        let all = K::all(self);
        let key = key(&object);
        let older = all.get(&key).is_some_and(|known| version(&object) < version(known));
        if !older {
            all.insert(key, object);
        }
    }

    /// An object went; as it last was.
    pub(super) fn went<K: Kept>(&mut self, object: &K) {
        let all = K::all(self);
        let key = key(object);
        if all.get(&key).is_some_and(|known| version(known) <= version(object)) {
            all.remove(&key);
        }
    }

    /// The API server does not know an object.
    pub(super) fn unknown<K: Kept>(&mut self, key: &Key, uid: &str) {
        let all = K::all(self);
        if all.get(key).is_some_and(|known| id(known) == uid) {
            all.remove(key);
        }
    }
}

/// Namespace and name of an object.
pub(super) fn key<K: Resource>(object: &K) -> Key {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// An object's UID.
pub(super) fn id<K: Resource>(object: &K) -> &str {
    object.meta().uid.as_deref().unwrap_or_default()
}

/// Whether an object is being deleted.
pub(super) fn leaving<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

/// Whether it has a finalizer.
pub(super) fn held_by(meta: &ObjectMeta, finalizer: &str) -> bool {
    meta.finalizers.iter().flatten().any(|held| held == finalizer)
}

fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}
