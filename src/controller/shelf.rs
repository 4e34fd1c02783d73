//! The master's resources of one kind, as the watch and our own writes have them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use kube::{
    Api, Client, Resource,
    core::{DeserializeGuard, ObjectMeta},
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::mpsc;

use crate::{
    dialect::Dialect,
    plan::{
        database::DatabaseKey,
        name::{Namespace, ObjectName, WorkerName},
    },
    worker::pool::Wake,
};

/// The resources of one kind.
pub struct Shelf<D> {
    resources: Mutex<BTreeMap<DatabaseKey, Arc<D>>>,
    /// Whether they have all been listed since the process began.
    listed: AtomicBool,
}

impl<D> Default for Shelf<D> {
    fn default() -> Self {
        Self { resources: Mutex::default(), listed: AtomicBool::new(false) }
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

    /// Whether any of these databases may have a member in this worker. While they have not been listed, any may.
    #[must_use]
    pub fn may_have_member_in(&self, worker: &WorkerName) -> bool {
        if !self.listed.load(Ordering::Acquire) {
            return true;
        }
        let holds = |resource: &Arc<D>| resource.record().is_some_and(|record| record.workers().contains(worker));
        self.lock().values().any(holds)
    }

    /// Takes in what a write of ours returned, so that the next decision sees it.
    pub fn written(&self, resource: D) {
        let key = key_of::<D>(resource.meta());
        let mut resources = self.lock();
        if resources.get(&key).is_none_or(|known| newer(resource.meta(), known.meta())) {
            resources.insert(key, Arc::new(resource));
        }
    }

    /// Takes out a resource that we have let go. The watch brings it back if somebody else still holds it.
    pub fn released(&self, key: &DatabaseKey) {
        self.gone(key);
    }

    fn gone(&self, key: &DatabaseKey) {
        self.lock().remove(key);
    }

    /// Watches until the stream is dropped. A watch that fails goes on after a pause; what is known stays known.
    pub async fn follow(&self, client: Client, wake: &mpsc::UnboundedSender<Wake>) {
        let api: Api<DeserializeGuard<D>> = Api::all(client);
        let stream = watcher(api, watcher::Config::default().page_size(250)).default_backoff();
        self.take_in(stream, wake).await;
    }

    async fn take_in(
        &self,
        stream: impl Stream<Item = Result<watcher::Event<DeserializeGuard<D>>, watcher::Error>>,
        wake: &mpsc::UnboundedSender<Wake>,
    ) {
        let mut listed: Vec<DatabaseKey> = Vec::new();
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            let touched = match event {
                Ok(watcher::Event::Init) => {
                    listed.clear();
                    Vec::new()
                }
                Ok(watcher::Event::InitApply(resource)) => {
                    // One that cannot be read is there all the same, as it was when it last could.
                    listed.push(key_of::<D>(resource.meta()));
                    self.applied(resource).into_iter().collect()
                }
                Ok(watcher::Event::InitDone) => {
                    self.listed.store(true, Ordering::Release);
                    let vanished: Vec<_> = self.keys().into_iter().filter(|key| !listed.contains(key)).collect();
                    for key in &vanished {
                        self.gone(key);
                    }
                    vanished
                }
                Ok(watcher::Event::Apply(resource)) => self.applied(resource).into_iter().collect(),
                Ok(watcher::Event::Delete(resource)) => {
                    let key = key_of::<D>(resource.meta());
                    self.gone(&key);
                    vec![key]
                }
                Err(error) => {
                    tracing::warn!(kind = %D::plural(&()), %error, "the watch of the master failed; it is tried again");
                    Vec::new()
                }
            };
            for key in touched {
                // Nobody listens any more only while the process ends.
                let _ = wake.send(Wake::Database(key));
            }
        }
    }

    fn applied(&self, resource: DeserializeGuard<D>) -> Option<DatabaseKey> {
        let key = key_of::<D>(resource.meta());
        match resource.0 {
            Ok(resource) => {
                self.written(resource);
                Some(key)
            }
            Err(error) => {
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

/// Another object of the same name is always news; of the same object only a later version is.
fn newer(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    let version = |meta: &ObjectMeta| meta.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok());
    one.uid != other.uid || version(one) >= version(other)
}
