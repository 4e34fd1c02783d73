//! What the watches of one worker have shown: compact projections by database. Pure.
//!
//! Three sources write here, in any order: lists, watch events and the answers to our own writes. Resource versions
//! decide who is right: an older one never replaces a newer one, and the answer to a write that the watch has already
//! gone past is dropped, for it may tell of an object that is gone again.

use std::collections::{BTreeMap, BTreeSet};

use super::kept::Projected;
use crate::plan::{
    act::Kind,
    database::DatabaseKey,
    name::{Namespace, ObjectName, ResourceVersion, Uid},
    seen::{Claim, Job, Objects, Pod, Service, Source},
    sweep::{Possessions, possess},
};

/// The projections of one worker.
#[derive(Debug, Default)]
pub struct Cache {
    /// Pods.
    pub pods: Shelf<Pod>,
    /// Volume claims.
    pub claims: Shelf<Claim>,
    /// Services.
    pub services: Shelf<Service>,
    /// Jobs.
    pub jobs: Shelf<Job>,
}

impl Cache {
    /// One database's objects, or why they cannot be told: a watch that has not listed yet or is broken.
    pub fn objects(&self, identity: &Uid, key: &DatabaseKey) -> Result<Objects, String> {
        self.check()?;
        let mut objects = Objects::none(identity.clone(), Source::Watch);
        objects.pods = self.pods.of(key);
        objects.claims = self.claims.of(key);
        objects.services = self.services.of(key);
        objects.jobs = self.jobs.of(key);
        Ok(objects)
    }

    /// Everything, by the database that it was made for.
    pub fn possessions(&self) -> Possessions {
        let mut possessions = Possessions::new();
        self.pods.add_to(&mut possessions, Kind::Pod);
        self.claims.add_to(&mut possessions, Kind::Claim);
        self.services.add_to(&mut possessions, Kind::Service);
        self.jobs.add_to(&mut possessions, Kind::Job);
        possessions
    }

    /// `Ok` when all watches have listed once and none is broken.
    pub fn check(&self) -> Result<(), String> {
        self.pods.sync.check("pods")?;
        self.claims.sync.check("persistentvolumeclaims")?;
        self.services.sync.check("services")?;
        self.jobs.sync.check("jobs")
    }

    /// Forgets that anything was listed; the objects stay, to be compared with the next lists.
    pub fn unsync(&mut self) {
        self.pods.sync = Sync::Listing;
        self.claims.sync = Sync::Listing;
        self.services.sync = Sync::Listing;
        self.jobs.sync = Sync::Listing;
    }
}

/// Whether a shelf may be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// The first list is not complete.
    #[default]
    Listing,
    /// Listed, and the watch runs.
    Fresh,
    /// The watch broke, for this reason.
    Broken(String),
}

impl Sync {
    fn check(&self, plural: &str) -> Result<(), String> {
        match self {
            Self::Fresh => Ok(()),
            Self::Listing => Err(format!("its {plural} are still being listed")),
            Self::Broken(why) => Err(format!("its {plural} cannot be watched: {why}")),
        }
    }
}

/// The projections of one kind.
#[derive(Debug)]
pub struct Shelf<T> {
    objects: BTreeMap<DatabaseKey, BTreeMap<ObjectName, T>>,
    /// How far the list and the watch have come, as a number; events up to here have been seen.
    seen_to: u64,
    /// Whether it may be believed.
    pub sync: Sync,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), seen_to: 0, sync: Sync::default() }
    }
}

/// A resource version as a number, where it is one: API servers of etcd count up, and Kubernetes promises so since 1.35.
fn number(version: &ResourceVersion) -> Option<u64> {
    version.as_str().parse().ok()
}

fn older(one: &ResourceVersion, other: &ResourceVersion) -> bool {
    matches!((number(one), number(other)), (Some(one), Some(other)) if one < other)
}

impl<T: Projected> Shelf<T> {
    /// The objects of one database.
    #[must_use]
    pub fn of(&self, key: &DatabaseKey) -> BTreeMap<ObjectName, T> {
        self.objects.get(key).cloned().unwrap_or_default()
    }

    fn add_to(&self, possessions: &mut Possessions, kind: Kind) {
        for (key, object) in self.objects.iter().flat_map(|(key, of)| of.values().map(move |object| (key, object))) {
            possess(possessions, key, kind, object.meta());
        }
    }

    /// A watch shows an object as it now is. Answers which databases to wake.
    pub fn watched(&mut self, key: DatabaseKey, object: T) -> BTreeSet<DatabaseKey> {
        self.seen_to = self.seen_to.max(number(&object.meta().version).unwrap_or(0));
        self.put(key, object)
    }

    /// The answer to a write of ours shows an object as it now is.
    pub fn written(&mut self, key: DatabaseKey, object: T) -> BTreeSet<DatabaseKey> {
        let passed = number(&object.meta().version).is_some_and(|version| version <= self.seen_to);
        let shown = self.objects.get(&key).is_some_and(|of| of.contains_key(&object.meta().name));
        if passed && !shown { BTreeSet::new() } else { self.put(key, object) }
    }

    /// A watch shows that an object went, or stopped carrying our labels.
    pub fn gone(
        &mut self,
        namespace: &Namespace,
        name: &ObjectName,
        version: &ResourceVersion,
    ) -> BTreeSet<DatabaseKey> {
        self.seen_to = self.seen_to.max(number(version).unwrap_or(0));
        self.take(namespace, name, |held| !older(version, &held.meta().version))
    }

    /// The answer to a delete of ours says that this very object is gone.
    pub fn deleted(&mut self, namespace: &Namespace, name: &ObjectName, uid: &Uid) -> BTreeSet<DatabaseKey> {
        self.take(namespace, name, |held| &held.meta().uid == uid)
    }

    /// A list shows everything there is at `version`. What it does not show went, except what we wrote since.
    pub fn listed(&mut self, objects: Vec<(DatabaseKey, T)>, version: &ResourceVersion) -> BTreeSet<DatabaseKey> {
        let mut woken = BTreeSet::new();
        if number(version).is_some_and(|listed| listed < self.seen_to) {
            // An API server whose etcd was restored or replaced counts anew: nothing that is held compares with the list.
            woken.extend(std::mem::take(&mut self.objects).into_keys());
        }
        let names: BTreeSet<_> = objects.iter().map(|(_, object)| place(object)).collect();
        let gone: Vec<_> = self
            .objects
            .values()
            .flat_map(BTreeMap::values)
            .filter(|held| !names.contains(&place(*held)) && !older(version, &held.meta().version))
            .map(place)
            .collect();
        for (namespace, name) in gone {
            woken.append(&mut self.take(&namespace, &name, |_| true));
        }
        for (key, object) in objects {
            woken.append(&mut self.put(key, object));
        }
        self.seen_to = number(version).unwrap_or(0);
        woken
    }

    /// The watch came this far without showing anything.
    pub fn bookmark(&mut self, version: &str) {
        self.seen_to = self.seen_to.max(version.parse().unwrap_or(0));
    }

    fn put(&mut self, key: DatabaseKey, object: T) -> BTreeSet<DatabaseKey> {
        let (namespace, name) = place(&object);
        let held = self.objects.get(&key).and_then(|of| of.get(&name));
        let mut woken = BTreeSet::new();
        match held {
            Some(held) if older(&object.meta().version, &held.meta().version) => return woken,
            Some(held) if same(held, &object) => {}
            Some(_) => {
                woken.insert(key.clone());
            }
            None => {
                // Its labels may have changed: then another database has lost it.
                woken = self.take(&namespace, &name, |_| true);
                woken.insert(key.clone());
            }
        }
        self.objects.entry(key).or_default().insert(name, object);
        woken
    }

    fn take(&mut self, namespace: &Namespace, name: &ObjectName, really: impl Fn(&T) -> bool) -> BTreeSet<DatabaseKey> {
        let keys: Vec<_> = self
            .objects
            .iter()
            .filter(|(key, of)| &key.namespace == namespace && of.get(name).is_some_and(&really))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &keys {
            if let Some(of) = self.objects.get_mut(key) {
                of.remove(name);
                if of.is_empty() {
                    self.objects.remove(key);
                }
            }
        }
        keys.into_iter().collect()
    }
}

fn place<T: Projected>(object: &T) -> (Namespace, ObjectName) {
    (object.meta().namespace.clone(), object.meta().name.clone())
}

/// Whether nothing that anybody looks at has changed: a new resource version alone wakes nobody.
fn same<T: Projected>(held: &T, object: &T) -> bool {
    let mut held = held.clone();
    held.meta_mut().version = object.meta().version.clone();
    held == *object
}
