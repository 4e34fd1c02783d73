//! What the watches of one worker have shown: compact projections by database. Pure.
//!
//! Three sources write here, in any order: lists, watch events and the answers to our own writes. Resource versions
//! decide who is right: an older one never replaces a newer one, and the answer to a write that the watch has already
//! gone past is dropped, for it may tell of an object that is gone again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

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
    /// One database's objects in this namespace, or in any, where its record does not name one; or why they cannot be
    /// told: a watch that has not listed yet or is broken, or an object of it that cannot be read.
    pub fn objects(&self, identity: &Uid, key: &DatabaseKey, home: Option<&Namespace>) -> Result<Objects, String> {
        self.check()?;
        if let Some((plural, place)) = self.unread().find(|(_, unread)| unread.owner.as_ref() == Some(key)) {
            return Err(format!("one of its {plural} cannot be read: {place}"));
        }
        let mut objects = Objects::none(identity.clone(), Source::Watch);
        objects.pods = self.pods.of(key, home);
        objects.claims = self.claims.of(key, home);
        objects.services = self.services.of(key, home);
        objects.jobs = self.jobs.of(key, home);
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

    /// What cannot be read there, in words; `None` when all can be.
    #[must_use]
    pub fn incomplete(&self) -> Option<String> {
        const NAMED: usize = 5;
        let mut named: Vec<_> = self.unread().map(|(plural, unread)| format!("{plural} {unread}")).collect();
        let more = named.len().saturating_sub(NAMED);
        named.truncate(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        (!named.is_empty()).then(|| {
            format!(
                "what it says of {}{more} is not as Kubernetes describes it; nothing is done to the databases that they \
                 belong to there, and nothing of them counts as gone",
                named.join(", ")
            )
        })
    }

    fn unread(&self) -> impl Iterator<Item = (&'static str, &Unread)> {
        let kinds = [
            ("pods", &self.pods.unread),
            ("persistentvolumeclaims", &self.claims.unread),
            ("services", &self.services.unread),
            ("jobs", &self.jobs.unread),
        ];
        kinds.into_iter().flat_map(|(plural, unread)| unread.iter().map(move |unread| (plural, unread)))
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

/// An object that is there and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// Its namespace, where that can be read.
    pub namespace: Option<Namespace>,
    /// Its name, where that can be read.
    pub name: Option<ObjectName>,
    /// The database that it belongs to, by its labels, or as it was when it could still be read.
    pub owner: Option<DatabaseKey>,
}

impl Unread {
    fn is_at(&self, namespace: &Namespace, name: &ObjectName) -> bool {
        self.namespace.as_ref() == Some(namespace) && self.name.as_ref() == Some(name)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => write!(f, "{namespace}/{name}"),
            (None, Some(name)) => write!(f, "{name}"),
            (_, None) => f.write_str("(without a name)"),
        }
    }
}

/// The projections of one kind.
#[derive(Debug)]
pub struct Shelf<T> {
    /// What is there and cannot be read. A view that leaves it out would be wrong about its database.
    unread: BTreeSet<Unread>,
    objects: BTreeMap<DatabaseKey, BTreeMap<(Namespace, ObjectName), T>>,
    /// How far the list and the watch have come, as a number; events up to here have been seen.
    seen_to: u64,
    /// From where to where the last list went back, until somebody asks.
    went_back: Option<(u64, u64)>,
    /// Whether it may be believed.
    pub sync: Sync,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { unread: BTreeSet::new(), objects: BTreeMap::new(), seen_to: 0, went_back: None, sync: Sync::default() }
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
    /// The objects of one database in this namespace, or in any.
    #[must_use]
    pub fn of(&self, key: &DatabaseKey, home: Option<&Namespace>) -> BTreeMap<ObjectName, T> {
        let of = self.objects.get(key).into_iter().flatten();
        let here = of.filter(|((namespace, _), _)| home.is_none_or(|home| home == namespace));
        here.map(|((_, name), object)| (name.clone(), object.clone())).collect()
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
        let shown = self.objects.get(&key).is_some_and(|of| of.contains_key(&place(&object)));
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
        let mut woken = self.legible(namespace, name);
        woken.append(&mut self.take(namespace, name, |held| !older(version, &held.meta().version)));
        woken
    }

    /// The answer to a delete of ours says that this very object is gone.
    pub fn deleted(&mut self, namespace: &Namespace, name: &ObjectName, uid: &Uid) -> BTreeSet<DatabaseKey> {
        self.take(namespace, name, |held| &held.meta().uid == uid)
    }

    /// A list shows that these are there and cannot be read, and no others. Comes before [`Shelf::listed`], which takes
    /// away what is held of them from when they could be.
    pub fn listed_unread(&mut self, unread: impl IntoIterator<Item = Unread>) -> BTreeSet<DatabaseKey> {
        let unread: BTreeSet<_> = unread.into_iter().map(|unread| self.with_owner(unread)).collect();
        let changed = self.unread.symmetric_difference(&unread).filter_map(|unread| unread.owner.clone()).collect();
        self.unread = unread;
        changed
    }

    /// A watch shows an object that cannot be read, or no longer.
    pub fn watched_unread(&mut self, unread: Unread) -> BTreeSet<DatabaseKey> {
        let unread = self.with_owner(unread);
        let mut woken: BTreeSet<_> = unread.owner.clone().into_iter().collect();
        if let (Some(namespace), Some(name)) = (&unread.namespace, &unread.name) {
            woken.append(&mut self.legible(namespace, name));
            woken.append(&mut self.take(namespace, name, |_| true));
        }
        self.unread.insert(unread);
        woken
    }

    fn with_owner(&self, unread: Unread) -> Unread {
        let (Some(namespace), Some(name)) = (&unread.namespace, &unread.name) else { return unread };
        let at = (namespace.clone(), name.clone());
        let held = || self.objects.iter().find(|(_, of)| of.contains_key(&at));
        let known =
            || self.unread.iter().find(|known| known.is_at(namespace, name)).and_then(|known| known.owner.clone());
        let owner = unread.owner.clone().or_else(|| held().map(|(key, _)| key.clone())).or_else(known);
        Unread { owner, ..unread }
    }

    /// What is at this place can be read again, or is gone.
    fn legible(&mut self, namespace: &Namespace, name: &ObjectName) -> BTreeSet<DatabaseKey> {
        self.unread.extract_if(.., |unread| unread.is_at(namespace, name)).filter_map(|unread| unread.owner).collect()
    }

    /// A list shows everything there is at `version`. What it does not show went, except what we wrote since.
    pub fn listed(&mut self, objects: Vec<(DatabaseKey, T)>, version: &ResourceVersion) -> BTreeSet<DatabaseKey> {
        let mut woken = BTreeSet::new();
        if let Some(listed) = number(version)
            && listed < self.seen_to
        {
            // An API server whose etcd was restored or replaced counts anew: nothing that is held compares with the list.
            self.went_back = Some((self.seen_to, listed));
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

    /// From where to where the history of this kind went back, if a list has shown that since this was last asked.
    pub fn went_back(&mut self) -> Option<(u64, u64)> {
        self.went_back.take()
    }

    /// The watch came this far without showing anything.
    pub fn bookmark(&mut self, version: &str) {
        self.seen_to = self.seen_to.max(version.parse().unwrap_or(0));
    }

    fn put(&mut self, key: DatabaseKey, object: T) -> BTreeSet<DatabaseKey> {
        let at = place(&object);
        let mut woken = self.legible(&at.0, &at.1);
        let held = self.objects.get(&key).and_then(|of| of.get(&at));
        match held {
            Some(held) if older(&object.meta().version, &held.meta().version) => return woken,
            Some(held) if same(held, &object) => {}
            Some(_) => {
                woken.insert(key.clone());
            }
            None => {
                // Its labels may have changed: then another database has lost it.
                woken.append(&mut self.take(&at.0, &at.1, |_| true));
                woken.insert(key.clone());
            }
        }
        self.objects.entry(key).or_default().insert(at, object);
        woken
    }

    fn take(&mut self, namespace: &Namespace, name: &ObjectName, really: impl Fn(&T) -> bool) -> BTreeSet<DatabaseKey> {
        let at = (namespace.clone(), name.clone());
        let keys: Vec<_> = self
            .objects
            .iter()
            .filter(|(_, of)| of.get(&at).is_some_and(&really))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &keys {
            if let Some(of) = self.objects.get_mut(key) {
                of.remove(&at);
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
