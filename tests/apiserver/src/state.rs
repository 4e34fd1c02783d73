//! Everything behind the lock.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    account::{Account, Rights},
    content::{self, Kind},
    events,
    hook::Admission,
    place::key,
    query::Query,
    random::Random,
    route::Target,
    server::{Commit, Options},
    store::{Change, Store, Stored, bytes_of, untyped},
};

/// A kind at one of its versions, and where its objects are.
#[derive(Debug)]
pub(crate) struct Served {
    pub kind: Kind,
    /// `pods`, `jobs.batch`.
    pub shelf: Arc<str>,
    /// The group and version that objects are stored as.
    pub stored_as: String,
    /// Whether its definition is on its way out, so that nothing can be made any more.
    pub ending: bool,
}

/// Everything behind the lock.
pub(crate) struct State {
    pub store: Store,
    pub served: BTreeMap<(String, String, String), Arc<Served>>,
    pub accounts: BTreeMap<String, Account>,
    pub random: Random,
    pub options: Options,
    /// Up to where a lagging replica sees.
    pub frozen: Option<u64>,
    /// Counts up when all watches break off.
    pub epoch: u64,
    pub watchers: u64,
    pub hook: Option<Admission>,
    /// Fields that this server does not know, by resource.
    pub unknown: Vec<(String, Vec<String>)>,
    /// What was changed and not yet told.
    pub news: Vec<Commit>,
    /// Who is served at this moment.
    pub actor: String,
}

/// One request to a resource.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub served: Arc<Served>,
    pub target: &'a Target,
    pub query: Query,
    pub rights: &'a Rights,
    pub user: &'a str,
    /// For managed fields.
    pub manager: String,
    pub content_type: &'a str,
    pub body: &'a Bytes,
}

impl Ask<'_> {
    pub(crate) fn kind(&self) -> &Kind {
        &self.served.kind
    }

    pub(crate) fn name(&self) -> &str {
        &self.target.name
    }

    /// Empty for kinds of the whole cluster, namespaces themselves included.
    pub(crate) fn namespace(&self) -> &str {
        if self.served.kind.namespaced { &self.target.namespace } else { "" }
    }

    pub(crate) fn key(&self) -> String {
        key(self.namespace(), self.name())
    }

    /// What the keys of a list begin with.
    pub(crate) fn prefix(&self) -> String {
        let namespace = self.namespace();
        if namespace.is_empty() { String::new() } else { format!("{namespace}/") }
    }
}

/// `pods`, `jobs.batch`.
pub(crate) fn shelf_of(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

impl Served {
    fn new(kind: Kind, stored_as: String, ending: bool) -> Self {
        // Both kinds of events are one.
        let shelf = if kind.group == events::GROUP && kind.plural == "events" {
            "events".to_owned()
        } else {
            shelf_of(&kind.group, &kind.plural)
        };
        Self { kind, shelf: shelf.into(), stored_as, ending }
    }

    pub(crate) fn is_stored_as_served(&self) -> bool {
        self.stored_as == self.kind.api_version()
    }

    /// An object in the version that is served.
    pub(crate) fn load(&self, stored: &Stored) -> Arc<Value> {
        if self.is_stored_as_served() {
            return stored.value.clone();
        }
        let mut value = (*stored.value).clone();
        if self.kind.custom {
            value["apiVersion"] = self.kind.api_version().into();
        } else {
            events::from_core(&mut value);
        }
        Arc::new(value)
    }

    /// An object in the version that is stored.
    pub(crate) fn save(&self, mut value: Value) -> Value {
        if !self.is_stored_as_served() {
            if self.kind.custom {
                value["apiVersion"] = self.stored_as.as_str().into();
            } else {
                events::to_core(&mut value);
            }
        }
        value
    }

    pub(crate) fn json(&self, stored: &Stored) -> Bytes {
        if self.is_stored_as_served() { stored.json().clone() } else { bytes_of(&self.load(stored)) }
    }

    /// As it stands in a list.
    pub(crate) fn item(&self, stored: &Stored) -> Bytes {
        match (self.kind.custom, self.is_stored_as_served()) {
            (true, _) => self.json(stored),
            (false, true) => stored.item().clone(),
            (false, false) => bytes_of(&untyped(&self.load(stored))),
        }
    }
}

impl State {
    pub(crate) fn new(options: Options) -> Self {
        let mut served = BTreeMap::new();
        for kind in content::builtin_kinds() {
            let stored_as = if kind.group == events::GROUP { "v1".to_owned() } else { kind.api_version() };
            let place = (kind.group.clone(), kind.version.clone(), kind.plural.clone());
            served.insert(place, Arc::new(Served::new(kind, stored_as, false)));
        }
        Self {
            store: Store::new(1),
            served,
            accounts: BTreeMap::new(),
            random: Random::new(options.seed),
            options,
            frozen: None,
            epoch: 0,
            watchers: 0,
            hook: None,
            unknown: Vec::new(),
            news: Vec::new(),
            actor: String::new(),
        }
    }

    pub(crate) fn serve(&mut self, kind: Kind, stored_as: String, ending: bool) {
        let place = (kind.group.clone(), kind.version.clone(), kind.plural.clone());
        self.served.insert(place, Arc::new(Served::new(kind, stored_as, ending)));
    }

    /// What is served at a path.
    pub(crate) fn at(&self, target: &Target) -> Option<Arc<Served>> {
        let place = (target.group.clone(), target.version.clone(), target.resource.clone());
        self.served.get(&place).cloned()
    }

    /// Any version of a resource: `pods`, `jobs.batch`.
    pub(crate) fn of_shelf(&self, shelf: &str) -> Option<Arc<Served>> {
        self.served.values().find(|served| &*served.shelf == shelf).cloned()
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.options.clock)()
    }

    /// Now, as metadata have it.
    pub(crate) fn stamp(&self) -> String {
        written(self.now())
    }

    /// Up to which version a lagging replica shows the world.
    pub(crate) fn visible(&self) -> u64 {
        self.frozen.unwrap_or_else(|| self.store.version())
    }

    /// An object of a built-in kind.
    pub(crate) fn object(&self, shelf: &str, namespace: &str, name: &str) -> Option<&Arc<Stored>> {
        self.store.get(shelf, &key(namespace, name))
    }

    /// The objects of a namespace, or of the whole cluster.
    pub(crate) fn objects(&self, shelf: &str, namespace: &str) -> Vec<Arc<Value>> {
        let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let Some(shelf) = self.store.shelf(shelf) else { return Vec::new() };
        shelf.range(&prefix, "").map(|(_, stored)| stored.value.clone()).collect()
    }

    pub(crate) fn put(&mut self, shelf: &Arc<str>, key: &str, verb: &'static str, value: Value) -> Arc<Stored> {
        let change = self.store.put(shelf, key, value);
        self.tell(shelf, verb, &change);
        change.after
    }

    /// Stores a new object.
    pub(crate) fn put_new(
        &mut self,
        shelf: &Arc<str>,
        key: &str,
        verb: &'static str,
        value: Value,
        raw: bool,
    ) -> Arc<Stored> {
        let change = self.store.put_as(shelf, key, value, raw);
        self.tell(shelf, verb, &change);
        change.after
    }

    /// As it last was, with the version of its end.
    pub(crate) fn remove(&mut self, shelf: &Arc<str>, key: &str) -> Option<Arc<Stored>> {
        let change = self.store.remove(shelf, key)?;
        self.tell(shelf, "delete", &change);
        Some(change.after)
    }

    fn tell(&mut self, shelf: &str, verb: &'static str, change: &Change) {
        let metadata = &change.after.value["metadata"];
        let word = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        self.news.push(Commit {
            user: self.actor.clone(),
            verb,
            place: crate::Place { resource: shelf.to_owned(), namespace: word("namespace"), name: word("name") },
            before: change.before.as_ref().map(|stored| stored.value.clone()),
            after: (!change.gone).then(|| change.after.value.clone()),
            version: change.version,
        });
    }
}

/// A time, as metadata have it.
pub(crate) fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A text in an object, empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    path.iter().try_fold(object, |value, name| value.get(name)).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of a list in an object.
pub(crate) fn texts<'a>(object: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a str> {
    let list = path.iter().try_fold(object, |value, name| value.get(name)).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// Takes a field out of an object, if it is there.
pub(crate) fn take(object: &mut Value, path: &[&str], name: &str) -> Option<Value> {
    let inner = path.iter().try_fold(object, |value, name| value.get_mut(name))?;
    inner.as_object_mut()?.remove(name)
}
