//! What the watch of one kind shows, into the slot of its worker.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;

use super::{
    cache::Unread, contact::identity, fault::Fault, kept::Kept, legible::Legible, projection, slot::Slot, timing,
    watch::Sink,
};
use crate::plan::{
    database::DatabaseKey,
    name::{Namespace, ObjectName, ResourceVersion, Uid},
};

/// A watch's events, into the slot.
pub(super) struct Show<K> {
    slot: Arc<Slot>,
    client: Client,
    identity: Uid,
    kind: std::marker::PhantomData<fn(K)>,
}

impl<K> Show<K> {
    /// By this connection, which leads to the cluster of this identity.
    pub fn new(slot: Arc<Slot>, client: Client, identity: Uid) -> Self {
        Self { slot, client, identity, kind: std::marker::PhantomData }
    }
}

/// What is kept of an object while a list is read.
pub(super) enum Glimpse<T> {
    Seen(DatabaseKey, T),
    Unread(Unread),
}

fn unread(metadata: &ObjectMeta) -> Unread {
    Unread {
        namespace: metadata.namespace.as_deref().map(Namespace::new),
        name: metadata.name.as_deref().map(ObjectName::new),
        owner: projection::owner(metadata),
    }
}

impl<K: Kept> Sink<Legible<K>> for Show<K> {
    type Item = Glimpse<K::Seen>;

    fn project(&self, object: Legible<K>) -> Option<Self::Item> {
        match object {
            Legible::Read(object) => object.owned().map(|(key, seen)| Glimpse::Seen(key, seen)),
            Legible::Unread(metadata) => Some(Glimpse::Unread(unread(&metadata))),
        }
    }

    /// The connection may have broken and been opened anew since the last proof, and another cluster may answer: its list
    /// would show that everything is gone.
    async fn prove(&self) -> Result<(), Fault> {
        let found = identity(&self.client, timing::PROBE_DEADLINE).await?;
        if found == self.identity { Ok(()) } else { Err(Fault::Unreachable("another cluster answers".to_owned())) }
    }

    fn listed(&mut self, objects: Vec<Self::Item>, version: &str) {
        let (mut seen, mut unread) = (Vec::new(), Vec::new());
        for object in objects {
            match object {
                Glimpse::Seen(key, object) => seen.push((key, object)),
                Glimpse::Unread(object) => unread.push(object),
            }
        }
        self.slot.watched::<K>(|shelf| {
            let mut woken = shelf.listed_unread(unread);
            woken.append(&mut shelf.listed(seen, &ResourceVersion::new(version)));
            woken
        });
    }

    fn applied(&mut self, object: Legible<K>) {
        let owned = match &object {
            Legible::Unread(metadata) => {
                self.slot.watched::<K>(|shelf| shelf.watched_unread(unread(metadata)));
                return;
            }
            Legible::Read(object) => object.owned(),
        };
        match owned {
            Some((key, seen)) => self.slot.watched::<K>(|shelf| shelf.watched(key, seen)),
            // It stopped saying whose it is: for its database it is gone.
            None => self.deleted(object),
        }
    }

    fn deleted(&mut self, object: Legible<K>) {
        let meta = kube::Resource::meta(&object);
        // Where it was cannot be read either: the next list tells.
        let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name) else { return };
        let version = ResourceVersion::new(meta.resource_version.as_deref().unwrap_or_default());
        self.slot.watched::<K>(|shelf| {
            shelf.gone(&Namespace::new(namespace.as_str()), &ObjectName::new(name.as_str()), &version)
        });
    }

    fn bookmark(&mut self, version: &str) {
        self.slot.watched::<K>(|shelf| {
            shelf.bookmark(version);
            BTreeSet::new()
        });
    }

    fn failed(&mut self, fault: &Fault, _failures: u32) {
        self.slot.blind::<K>(fault);
    }
}
