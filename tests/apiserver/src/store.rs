//! What etcd and the watch cache are to the real server: objects by resource, their changes in order, and who waits for
//! more of them.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{Arc, OnceLock},
    task::Waker,
};

use bytes::Bytes;
use serde_json::Value;

/// How many changes of one resource are remembered. Whoever lags behind more loses his watch.
const REMEMBERED: usize = 50_000;

/// An object as it is stored, with what it looks like on the wire.
#[derive(Debug)]
pub(crate) struct Stored {
    pub value: Arc<Value>,
    /// Whether etcd has less than this: some defaults are filled in when the object is read, and only the next write
    /// writes them, even one that changes nothing else.
    pub raw: bool,
    json: OnceLock<Bytes>,
    item: OnceLock<Bytes>,
}

/// A change of an object.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub version: u64,
    pub key: String,
    pub before: Option<Arc<Stored>>,
    /// The object now; where it is gone, as it last was, with the version of its end.
    pub after: Arc<Stored>,
    pub gone: bool,
}

/// The objects of one resource.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub objects: BTreeMap<String, Arc<Stored>>,
    log: VecDeque<Change>,
    /// Changes up to this version are not in the log.
    forgotten: u64,
    sleepers: BTreeMap<u64, Waker>,
}

/// All objects of a cluster.
#[derive(Debug)]
pub(crate) struct Store {
    shelves: BTreeMap<Arc<str>, Shelf>,
    version: u64,
    /// Versions before this one are expired.
    pub floor: u64,
    wakers: Vec<Waker>,
}

/// Every object at some moment.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    shelves: BTreeMap<Arc<str>, BTreeMap<String, Arc<Stored>>>,
    pub version: u64,
}

impl Stored {
    pub(crate) fn new(value: Value) -> Self {
        Self { value: Arc::new(value), raw: false, json: OnceLock::new(), item: OnceLock::new() }
    }

    /// An object of which etcd has less than this.
    pub(crate) fn raw(value: Value) -> Self {
        Self { raw: true, ..Self::new(value) }
    }

    /// The whole object.
    pub(crate) fn json(&self) -> &Bytes {
        self.json.get_or_init(|| bytes_of(&self.value))
    }

    /// The object as lists of built-in kinds have it: without saying what it is.
    pub(crate) fn item(&self) -> &Bytes {
        self.item.get_or_init(|| bytes_of(&untyped(&self.value)))
    }
}

/// An object that does not say what it is.
pub(crate) fn untyped(object: &Value) -> Value {
    let Some(map) = object.as_object() else { return object.clone() };
    let rest = map.iter().filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind"));
    Value::Object(rest.map(|(name, value)| (name.clone(), value.clone())).collect())
}

pub(crate) fn bytes_of(value: &Value) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

impl Shelf {
    /// The objects whose keys begin so, from this key on.
    pub(crate) fn range<'a>(
        &'a self,
        prefix: &'a str,
        from: &str,
    ) -> impl Iterator<Item = (&'a String, &'a Arc<Stored>)> + Clone {
        range(&self.objects, prefix, from)
    }

    /// The objects as they were at a version, if they differ from those of now.
    pub(crate) fn at(&self, version: u64) -> Option<BTreeMap<String, Arc<Stored>>> {
        if self.log.back().is_none_or(|change| change.version <= version) {
            return None;
        }
        let mut objects = self.objects.clone();
        for change in self.log.iter().rev().take_while(|change| change.version > version) {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), before.clone()),
                None => objects.remove(&change.key),
            };
        }
        Some(objects)
    }

    /// The changes after one version up to another; `None` if not all of them are remembered.
    pub(crate) fn changes(&self, after: u64, until: u64) -> Option<impl Iterator<Item = &Change>> {
        if after < self.forgotten {
            return None;
        }
        let first = self.log.partition_point(|change| change.version <= after);
        Some(self.log.range(first..).take_while(move |change| change.version <= until))
    }

    /// Wakes this watcher at the next change.
    pub(crate) fn sleep(&mut self, watcher: u64, waker: &Waker) {
        match self.sleepers.get_mut(&watcher) {
            Some(sleeper) => sleeper.clone_from(waker),
            None => {
                self.sleepers.insert(watcher, waker.clone());
            }
        }
    }

    pub(crate) fn forget_sleeper(&mut self, watcher: u64) {
        self.sleepers.remove(&watcher);
    }

    fn note(&mut self, change: Change) {
        if self.log.len() == REMEMBERED
            && let Some(oldest) = self.log.pop_front()
        {
            self.forgotten = oldest.version;
        }
        self.log.push_back(change);
    }
}

pub(crate) fn range<'a>(
    objects: &'a BTreeMap<String, Arc<Stored>>,
    prefix: &'a str,
    from: &str,
) -> impl Iterator<Item = (&'a String, &'a Arc<Stored>)> + Clone {
    let start = if from > prefix { from } else { prefix };
    objects
        .range::<str, _>((Bound::Included(start), Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(prefix))
}

impl Store {
    pub(crate) fn new(version: u64) -> Self {
        Self { shelves: BTreeMap::new(), version, floor: 0, wakers: Vec::new() }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn shelf(&self, name: &str) -> Option<&Shelf> {
        self.shelves.get(name)
    }

    pub(crate) fn shelf_mut(&mut self, name: &Arc<str>) -> &mut Shelf {
        self.shelves.entry(name.clone()).or_default()
    }

    pub(crate) fn shelves(&self) -> impl Iterator<Item = (&Arc<str>, &Shelf)> {
        self.shelves.iter()
    }

    pub(crate) fn get(&self, shelf: &str, key: &str) -> Option<&Arc<Stored>> {
        self.shelves.get(shelf)?.objects.get(key)
    }

    /// Stores an object under the next version.
    pub(crate) fn put(&mut self, shelf: &Arc<str>, key: &str, value: Value) -> Change {
        self.put_as(shelf, key, value, false)
    }

    /// The same, for an object that is `raw` or not.
    pub(crate) fn put_as(&mut self, shelf: &Arc<str>, key: &str, mut value: Value, raw: bool) -> Change {
        self.version += 1;
        let version = self.version;
        set_version(&mut value, version);
        let after = Arc::new(Stored { raw, ..Stored::new(value) });
        let room = self.shelves.entry(shelf.clone()).or_default();
        let before = room.objects.insert(key.to_owned(), after.clone());
        let change = Change { version, key: key.to_owned(), before, after, gone: false };
        room.note(change.clone());
        self.wakers.extend(std::mem::take(&mut room.sleepers).into_values());
        change
    }

    /// Removes an object.
    pub(crate) fn remove(&mut self, shelf: &Arc<str>, key: &str) -> Option<Change> {
        let room = self.shelves.get_mut(shelf)?;
        let before = room.objects.remove(key)?;
        self.version += 1;
        let version = self.version;
        let mut last = (*before.value).clone();
        set_version(&mut last, version);
        let after = Arc::new(Stored::new(last));
        let change = Change { version, key: key.to_owned(), before: Some(before), after, gone: true };
        room.note(change.clone());
        self.wakers.extend(std::mem::take(&mut room.sleepers).into_values());
        Some(change)
    }

    /// Everybody who waits for something, to be woken once nothing is locked.
    pub(crate) fn woken(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    /// Wakes everybody.
    pub(crate) fn wake_all(&mut self) {
        for shelf in self.shelves.values_mut() {
            self.wakers.extend(std::mem::take(&mut shelf.sleepers).into_values());
        }
    }

    pub(crate) fn save(&self) -> Saved {
        let shelves = self.shelves.iter().map(|(name, shelf)| (name.clone(), shelf.objects.clone()));
        Saved { shelves: shelves.collect(), version: self.version }
    }

    /// As it was, version included; what came before and after is forgotten.
    pub(crate) fn restore(&mut self, saved: &Saved) {
        self.wake_all();
        self.shelves.clear();
        for (name, objects) in &saved.shelves {
            let shelf = Shelf { objects: objects.clone(), forgotten: saved.version, ..Shelf::default() };
            self.shelves.insert(name.clone(), shelf);
        }
        self.version = saved.version;
        self.floor = saved.version;
    }
}

pub(crate) fn set_version(object: &mut Value, version: u64) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), version.to_string().into());
        metadata.remove("selfLink");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, value: u64) -> Value {
        json!({ "metadata": { "name": name }, "value": value })
    }

    fn names(objects: &BTreeMap<String, Arc<Stored>>) -> Vec<String> {
        objects.iter().map(|(key, stored)| format!("{key}={}", stored.value["value"])).collect()
    }

    #[test]
    fn the_past_can_be_seen() {
        let (mut store, pods) = (Store::new(10), Arc::from("pods"));
        store.put(&pods, "n/a", object("a", 1));
        store.put(&pods, "n/b", object("b", 2));
        store.put(&pods, "n/a", object("a", 3));
        store.remove(&pods, "n/b");
        let shelf = store.shelf("pods").expect("a shelf");
        assert_eq!(names(&shelf.at(12).expect("another state")), ["n/a=1", "n/b=2"]);
        assert_eq!(names(&shelf.at(13).expect("another state")), ["n/a=3", "n/b=2"]);
        assert!(shelf.at(14).is_none(), "that is now");
        let changes: Vec<u64> = shelf.changes(12, 13).expect("remembered").map(|change| change.version).collect();
        assert_eq!(changes, [13]);
    }

    #[test]
    fn lists_are_sorted_as_etcd_sorts_keys() {
        let (mut store, pods) = (Store::new(0), Arc::from("pods"));
        for key in ["a/x", "a-b/x", "a/y", "b/x"] {
            store.put(&pods, key, object(key, 0));
        }
        let shelf = store.shelf("pods").expect("a shelf");
        let keys = |prefix, from| shelf.range(prefix, from).map(|(key, _)| key.as_str()).collect::<Vec<_>>();
        assert_eq!(keys("", ""), ["a-b/x", "a/x", "a/y", "b/x"]);
        assert_eq!(keys("a/", ""), ["a/x", "a/y"]);
        assert_eq!(keys("a/", "a/x\0"), ["a/y"]);
    }
}
