//! The master's resources of one kind, as the watch and our own writes have them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use kube::{
    Api, Client, Resource,
    core::{DeserializeGuard, ObjectMeta},
};
use tokio::sync::mpsc;

use crate::{
    dialect::Dialect,
    plan::{
        database::DatabaseKey,
        name::{Namespace, ObjectName, Uid, WorkerName},
        usage::{Known, User, Users},
    },
    worker::{
        fault::Fault,
        pool::Wake,
        timing,
        watch::{self, Scope, Sink},
    },
};

/// The resources of one kind.
pub struct Shelf<D> {
    resources: Mutex<BTreeMap<DatabaseKey, Arc<D>>>,
    /// How far lists and the watch have come, as a number.
    seen_to: AtomicU64,
    /// Whether they have all been listed since the process began.
    listed: AtomicBool,
    /// Those that are there and were never read: nobody knows what their records say.
    unreadable: Mutex<BTreeSet<DatabaseKey>>,
}

impl<D> Default for Shelf<D> {
    fn default() -> Self {
        Self {
            resources: Mutex::default(),
            seen_to: AtomicU64::new(0),
            listed: AtomicBool::new(false),
            unreadable: Mutex::default(),
        }
    }
}

impl<D: Dialect> Shelf<D> {
    /// The resource of this name.
    #[must_use]
    pub fn get(&self, key: &DatabaseKey) -> Option<Arc<D>> {
        self.lock().get(key).cloned()
    }

    /// Every name.
    #[must_use]
    pub fn keys(&self) -> Vec<DatabaseKey> {
        self.lock().keys().cloned().collect()
    }

    /// How many there are, and when those that are being deleted were asked to go.
    #[must_use]
    pub fn deletions(&self) -> (usize, Vec<Timestamp>) {
        let resources = self.lock();
        let asked = resources.values().filter_map(|resource| resource.meta().deletion_timestamp.as_ref());
        (resources.len(), asked.map(|time| time.0).collect())
    }

    /// How many are in which phase.
    #[must_use]
    pub fn phases(&self) -> BTreeMap<String, usize> {
        let mut phases = BTreeMap::new();
        for resource in self.lock().values() {
            *phases.entry(resource.phase().unwrap_or("None").to_owned()).or_default() += 1;
        }
        phases
    }

    /// Whether all of them have been read, so that what is not here is not there.
    fn is_whole(&self) -> bool {
        self.listed.load(Ordering::Acquire) && self.unreadable().is_empty()
    }

    /// Which of these databases have members in this worker, by their records. While one of them could not be read,
    /// nobody can tell.
    #[must_use]
    pub fn users(&self, worker: &WorkerName) -> Users {
        if !self.is_whole() {
            return Users::Unread;
        }
        let resources = self.lock();
        let users = resources.iter().filter_map(|(key, resource)| User::of(key, resource.record()?, worker));
        Users::Known(users.collect())
    }

    /// Whether the database of this UID is among these.
    #[must_use]
    pub fn knows(&self, uid: &Uid) -> Known {
        let is_it = |resource: &Arc<D>| resource.meta().uid.as_deref() == Some(uid.as_str());
        if !self.is_whole() || self.lock().values().any(is_it) { Known::Perhaps } else { Known::No }
    }

    /// The workers that the record of a database names.
    #[must_use]
    pub fn workers_of(&self, key: &DatabaseKey) -> BTreeSet<WorkerName> {
        let resource = self.get(key);
        let record = resource.as_deref().and_then(Dialect::record);
        record.map(|record| record.workers().into_iter().cloned().collect()).unwrap_or_default()
    }

    /// Takes in what a write of ours returned, so that the next decision sees it.
    pub fn written(&self, resource: D) {
        let key = key_of::<D>(resource.meta());
        let mut resources = self.lock();
        if resources.get(&key).is_none_or(|known| newer(resource.meta(), known.meta())) {
            resources.insert(key, Arc::new(resource));
        }
    }

    /// Takes out a resource that we have let go, and not another one that has come under its name. The watch brings it
    /// back if somebody else still holds it.
    pub fn released(&self, key: &DatabaseKey, resource: &D) {
        self.lost(key, resource.meta());
    }

    /// This very resource is gone.
    fn lost(&self, key: &DatabaseKey, meta: &ObjectMeta) {
        self.unreadable().remove(key);
        let mut resources = self.lock();
        if resources.get(key).is_some_and(|known| known.meta().uid == meta.uid) {
            resources.remove(key);
        }
    }

    fn gone(&self, key: &DatabaseKey) {
        self.unreadable().remove(key);
        self.lock().remove(key);
    }

    fn unreadable(&self) -> std::sync::MutexGuard<'_, BTreeSet<DatabaseKey>> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches until dropped. A watch that fails goes on after a pause; what is known stays known. With the watch it is
    /// forgotten: whoever else is given these resources changes them from then on.
    pub async fn follow(&self, client: Client, wake: &mpsc::UnboundedSender<Wake>) {
        let api: Api<DeserializeGuard<D>> = Api::all(client);
        let scope = Scope { seconds: timing::WATCH_SECONDS_HTTP1, ..Scope::default() };
        let _followed = Followed(self);
        watch::follow(&D::plural(&()), api, scope, OnShelf { shelf: self, wake }).await;
    }

    fn saw(&self, version: Option<&str>) {
        self.seen_to.fetch_max(number(version), Ordering::AcqRel);
    }

    /// Takes in one resource as the master shows it, if it is news.
    fn take_in(&self, resource: DeserializeGuard<D>) -> Option<DatabaseKey> {
        let key = key_of::<D>(resource.meta());
        match resource.0 {
            Ok(resource) => {
                let same = |known: &Arc<D>| {
                    known.meta().uid == resource.meta().uid
                        && known.meta().resource_version == resource.meta().resource_version
                };
                let news = !self.get(&key).as_ref().is_some_and(same);
                self.unreadable().remove(&key);
                self.written(resource);
                news.then_some(key)
            }
            Err(error) => {
                if self.get(&key).is_none() {
                    self.unreadable().insert(key.clone());
                }
                tracing::error!(resource = %key, %error, "the resource cannot be read; it is left alone until it is edited");
                None
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<DatabaseKey, Arc<D>>> {
        self.resources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of<D: Dialect>(meta: &ObjectMeta) -> DatabaseKey {
    DatabaseKey {
        kind: D::KIND,
        namespace: Namespace::new(meta.namespace.clone().unwrap_or_default()),
        name: ObjectName::new(meta.name.clone().unwrap_or_default()),
    }
}

/// A shelf that is kept up to date. It is emptied when that ends.
struct Followed<'a, D: Dialect>(&'a Shelf<D>);

impl<D: Dialect> Drop for Followed<'_, D> {
    fn drop(&mut self) {
        self.0.listed.store(false, Ordering::Release);
        self.0.seen_to.store(0, Ordering::Release);
        self.0.unreadable().clear();
        self.0.lock().clear();
    }
}

/// The watch of the master's resources, onto a shelf.
struct OnShelf<'a, D> {
    shelf: &'a Shelf<D>,
    wake: &'a mpsc::UnboundedSender<Wake>,
}

impl<D: Dialect> OnShelf<'_, D> {
    fn wake(&self, touched: impl IntoIterator<Item = DatabaseKey>) {
        for key in touched {
            // Nobody listens any more only while the process ends.
            let _ = self.wake.send(Wake::Database(key));
        }
    }
}

impl<D: Dialect> Sink<DeserializeGuard<D>> for OnShelf<'_, D> {
    type Item = DeserializeGuard<D>;

    fn project(&self, resource: DeserializeGuard<D>) -> Option<Self::Item> {
        Some(resource)
    }

    fn listed(&mut self, resources: Vec<Self::Item>, version: &str) {
        let shelf = self.shelf;
        // A resource that cannot be read is there all the same, as it was when it last could.
        let there: BTreeSet<_> = resources.iter().map(|resource| key_of::<D>(resource.meta())).collect();
        shelf.unreadable().retain(|key| there.contains(key));
        let vanished: Vec<_> = shelf.keys().into_iter().filter(|key| !there.contains(key)).collect();
        for key in &vanished {
            shelf.gone(key);
        }
        if number(Some(version)) < shelf.seen_to.swap(number(Some(version)), Ordering::AcqRel) {
            // A master whose etcd was restored counts anew: nothing that is held compares with the list.
            for resource in resources.iter().filter(|resource| resource.0.is_ok()) {
                shelf.gone(&key_of::<D>(resource.meta()));
            }
        }
        let touched: Vec<_> = resources.into_iter().filter_map(|resource| shelf.take_in(resource)).collect();
        shelf.listed.store(true, Ordering::Release);
        self.wake(vanished.into_iter().chain(touched));
    }

    fn applied(&mut self, resource: DeserializeGuard<D>) {
        self.shelf.saw(resource.meta().resource_version.as_deref());
        self.wake(self.shelf.take_in(resource));
    }

    fn deleted(&mut self, resource: DeserializeGuard<D>) {
        self.shelf.saw(resource.meta().resource_version.as_deref());
        let key = key_of::<D>(resource.meta());
        self.shelf.lost(&key, resource.meta());
        self.wake([key]);
    }

    fn bookmark(&mut self, version: &str) {
        self.shelf.saw(Some(version));
    }

    fn failed(&mut self, fault: &Fault, failures: u32) {
        if failures.is_power_of_two() {
            tracing::warn!(kind = %D::plural(&()), "the master cannot be watched ({failures} times in a row): {fault}");
        }
    }
}

/// A resource version as a number, where it is one.
fn number(version: Option<&str>) -> u64 {
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// Another object of the same name is always news; of the same object only a later version is.
fn newer(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    let version = |meta: &ObjectMeta| meta.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok());
    one.uid != other.uid || version(one) >= version(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::kubeblocks::Cluster;

    fn resource(uid: &str, version: &str) -> Cluster {
        let text = serde_json::json!({
            "apiVersion": "apps.kubeblocks.io/v1alpha1", "kind": "Cluster", "spec": { "terminationPolicy": "Delete" },
            "metadata": { "name": "a", "namespace": "shop", "uid": uid, "resourceVersion": version },
        });
        serde_json::from_value(text).unwrap()
    }

    fn uid(shelf: &Shelf<Cluster>) -> Option<String> {
        shelf.get(&key_of::<Cluster>(resource("", "").meta()))?.meta().uid.clone()
    }

    #[test]
    fn what_came_under_the_name_of_one_that_goes_is_not_forgotten_with_it() {
        let (shelf, (wake, mut woken)) = (Shelf::default(), mpsc::unbounded_channel());
        let (former, next) = (resource("former", "7"), resource("next", "8"));
        let key = key_of::<Cluster>(former.meta());
        shelf.written(former.clone());
        // The watch is faster than the answer to the write that lets the former one go.
        let mut watched = OnShelf { shelf: &shelf, wake: &wake };
        watched.deleted(DeserializeGuard(Ok(former.clone())));
        watched.applied(DeserializeGuard(Ok(next)));
        assert_eq!(woken.len(), 2);
        shelf.released(&key, &former);
        assert_eq!(uid(&shelf).as_deref(), Some("next"));
        // As is an event that comes late.
        OnShelf { shelf: &shelf, wake: &wake }.deleted(DeserializeGuard(Ok(former)));
        assert_eq!(uid(&shelf).as_deref(), Some("next"));
        OnShelf { shelf: &shelf, wake: &wake }.deleted(DeserializeGuard(Ok(resource("next", "9"))));
        assert_eq!(uid(&shelf), None);
        assert!(woken.try_recv().is_ok());
    }

    #[test]
    fn what_is_followed_no_more_is_known_no_more() {
        let shelf = Shelf::<Cluster>::default();
        let followed = Followed(&shelf);
        shelf.written(resource("one", "1"));
        shelf.listed.store(true, Ordering::Release);
        assert_eq!(shelf.knows(&Uid::from("two")), Known::No);
        drop(followed);
        assert_eq!((uid(&shelf), shelf.keys().len()), (None, 0));
        assert_eq!(shelf.knows(&Uid::from("two")), Known::Perhaps, "somebody else may have it");
        assert!(matches!(shelf.users(&WorkerName::from("a")), Users::Unread));
    }
}
