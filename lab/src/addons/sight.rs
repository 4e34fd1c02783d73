//! What the process sees of one kind of object in one cluster, kept up to date by a watch.
//!
//! A cluster that cannot be reached leaves the last sight as it was; before the first complete list there is
//! none at all. So an add-on can always tell "there is no such object" from "nobody knows".

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch as channel;

use super::connection::{Connecting, in_full};
use super::log;

/// A watch that says nothing is renewed after this many seconds, so a dead connection is noticed soon after.
const WATCH_SECONDS: u32 = 20;

/// Where an object is: its namespace (empty when it has none) and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The namespace; empty for what has none.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// The place of this object.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self { namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}", self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// All objects of one kind, as last seen.
pub type Objects<K> = BTreeMap<Key, Arc<K>>;

/// A shared view of one kind of object in one cluster.
pub(super) struct Sight<K> {
    objects: Arc<Mutex<Option<Objects<K>>>>,
    version: channel::Sender<u64>,
}

impl<K> Clone for Sight<K> {
    fn clone(&self) -> Self {
        Self { objects: Arc::clone(&self.objects), version: self.version.clone() }
    }
}

impl<K> Sight<K> {
    fn empty() -> Self {
        Self { objects: Arc::default(), version: channel::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Objects<K>>> {
        // Nobody panics while holding it, and the map is whole after each step anyway.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was last seen; `None` before the first complete list.
    pub(super) fn objects(&self) -> Option<Objects<K>> {
        self.lock().clone()
    }

    /// Something that tells when the view has changed.
    pub(super) fn waker(&self) -> channel::Receiver<u64> {
        self.version.subscribe()
    }

    fn wake(&self) {
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }
}

impl<K: Resource> Sight<K> {
    /// Takes in the answer to a write of ours, which the watch may only tell later.
    ///
    /// Without it a second pass would decide on the state before the write. An object that the watch has
    /// meanwhile seen deleted, or seen newer, stays as the watch says.
    pub(super) fn learn(&self, written: K) {
        let key = Key::of(&written);
        if let Some(known) = self.lock().as_mut().and_then(|objects| objects.get_mut(&key))
            && known.meta().uid == written.meta().uid
            && revision(known.as_ref()) < revision(&written)
        {
            *known = Arc::new(written);
        }
    }
}

/// API servers count resource versions up, and Kubernetes promises since 1.33 that they may be compared.
fn revision<K: Resource>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_ref()?.parse().ok()
}

/// Begins to watch all objects of a kind that match the label selector (empty: all).
pub(super) fn watch<K>(client: &Client, cluster: &str, labels: &str) -> Sight<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    watch_later(futures::future::ready(client.clone()).boxed().shared(), cluster, labels)
}

/// The same for a cluster whose client is not there yet.
pub(super) fn watch_later<K>(client: Connecting, cluster: &str, labels: &str) -> Sight<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let sight = Sight::empty();
    let (fed, cluster, labels) = (sight.clone(), cluster.to_owned(), labels.to_owned());
    tokio::spawn(async move { feed(&fed, client.await, &cluster, &labels).await });
    sight
}

async fn feed<K>(sight: &Sight<K>, client: Client, cluster: &str, labels: &str)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let config = watcher::Config::default().labels(labels).timeout(WATCH_SECONDS);
    let mut events = pin!(
        watcher(Api::<K>::all(client), config).modify(|object| object.managed_fields_mut().clear()).backoff(Steady)
    );
    let (mut relist, mut trouble) = (Objects::new(), false);
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                if !trouble {
                    let (kind, why) = (K::plural(&()), in_full(&error));
                    log(cluster, &format!("{kind} are not seen: {why}; what was seen last stays"));
                }
                trouble = true;
                continue;
            }
        };
        // `Init` only announces that a list will be tried.
        if trouble && !matches!(event, Event::Init) {
            trouble = false;
            log(cluster, &format!("{} are seen again", K::plural(&())));
        }
        if take_in(&mut sight.lock(), &mut relist, event) {
            sight.wake();
        }
    }
}

/// Applies one event; true when it changed what is seen.
fn take_in<K: Resource>(objects: &mut Option<Objects<K>>, relist: &mut Objects<K>, event: Event<K>) -> bool {
    match (event, objects) {
        (Event::Init, _) => relist.clear(),
        (Event::InitApply(object), _) => {
            relist.insert(Key::of(&object), Arc::new(object));
        }
        (Event::InitDone, objects) => {
            // Objects that went away unseen disappear here.
            *objects = Some(std::mem::take(relist));
            return true;
        }
        (Event::Apply(object), Some(objects)) => {
            objects.insert(Key::of(&object), Arc::new(object));
            return true;
        }
        (Event::Delete(object), Some(objects)) => {
            return objects.remove(&Key::of(&object)).is_some();
        }
        // A change before the first complete list is in that list.
        (Event::Apply(_) | Event::Delete(_), None) => {}
    }
    false
}

/// One second after a failure, the next try: a lab is small, and people wait for it.
struct Steady;

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}

impl Backoff for Steady {
    fn reset(&mut self) {}
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn object(name: &str, version: &str) -> ConfigMap {
        let meta = |text: &str| Some(text.to_owned());
        ConfigMap {
            metadata: ObjectMeta {
                namespace: meta("default"),
                name: meta(name),
                uid: Some(format!("uid of {name}")),
                resource_version: meta(version),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    fn seen(names: &[&str]) -> Sight<ConfigMap> {
        let sight = Sight::empty();
        let mut relist = Objects::new();
        take_in(&mut sight.lock(), &mut relist, Event::Init);
        for name in names {
            assert!(!take_in(&mut sight.lock(), &mut relist, Event::InitApply(object(name, "5"))));
        }
        assert!(take_in(&mut sight.lock(), &mut relist, Event::InitDone));
        sight
    }

    fn names(sight: &Sight<ConfigMap>) -> Vec<String> {
        sight.objects().unwrap().into_keys().map(|key| key.to_string()).collect()
    }

    #[test]
    fn nothing_is_seen_before_the_first_list_is_complete() {
        let sight = Sight::empty();
        let mut relist = Objects::new();
        take_in(&mut sight.lock(), &mut relist, Event::InitApply(object("a", "1")));
        take_in(&mut sight.lock(), &mut relist, Event::Apply(object("b", "2")));
        assert!(sight.objects().is_none());
    }

    #[test]
    fn a_new_list_keeps_the_old_sight_until_it_is_complete() {
        let sight = seen(&["a", "b"]);
        let mut relist = Objects::new();
        take_in(&mut sight.lock(), &mut relist, Event::Init);
        take_in(&mut sight.lock(), &mut relist, Event::InitApply(object("c", "9")));
        assert_eq!(names(&sight), ["default/a", "default/b"]);
        take_in(&mut sight.lock(), &mut relist, Event::InitDone);
        assert_eq!(names(&sight), ["default/c"]);
    }

    #[test]
    fn the_answer_to_a_write_counts_only_where_it_is_newer_than_the_watch() {
        let sight = seen(&["a"]);
        let version = || sight.objects().unwrap().values().next().unwrap().metadata.resource_version.clone().unwrap();
        sight.learn(object("a", "12"));
        assert_eq!(version(), "12");
        sight.learn(object("a", "9"));
        assert_eq!(version(), "12");
        let mut reborn = object("a", "20");
        reborn.metadata.uid = Some("another".into());
        sight.learn(reborn);
        assert_eq!(version(), "12");
        sight.learn(object("deleted meanwhile", "30"));
        assert_eq!(names(&sight), ["default/a"]);
    }
}
