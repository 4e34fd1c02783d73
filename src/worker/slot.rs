//! What the process holds of one worker: the connection, if there is one, and what it shows. Every lock here is held
//! for moments and never while waiting.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use kube::Client;
use tokio::sync::{Notify, mpsc};

use super::{
    cache::{Cache, Shelf, Sync},
    fault::Fault,
    health::{Gauge, Part},
    kept::Kept,
    pool::{Notice, Wake},
};
use crate::{
    dialect::k8scluster::status::{Health, Trouble},
    plan::{
        database::DatabaseKey,
        name::{Namespace, ObjectName, ResourceVersion, Uid, WorkerName},
        seen::{Worker, WorkerView},
        sweep::Possessions,
    },
};

/// One worker.
#[derive(Debug)]
pub(super) struct Slot {
    name: WorkerName,
    state: Mutex<State>,
    wake: mpsc::UnboundedSender<Wake>,
    notices: mpsc::UnboundedSender<Notice>,
    /// Asks the worker's task for a probe now: something failed that a probe would explain.
    pub suspicion: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    aliases: Vec<String>,
    domain: Option<String>,
    link: Link,
    /// Since when it cannot be seen; `None` while it was never seen, and while it is.
    unseen: Option<Timestamp>,
    cache: Cache,
    gauge: Gauge,
}

impl State {
    fn visible(&self) -> bool {
        matches!(self.link, Link::Up { .. }) && self.cache.check().is_ok()
    }
}

/// The connection.
#[derive(Clone)]
pub(super) enum Link {
    /// None, or one that must not be used.
    Down(String),
    /// Verified to lead to the cluster of this identity.
    Up { client: Client, identity: Uid },
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Down(why) => write!(f, "Down({why})"),
            Self::Up { identity, .. } => write!(f, "Up({identity})"),
        }
    }
}

impl Slot {
    pub fn new(name: WorkerName, wake: mpsc::UnboundedSender<Wake>, notices: mpsc::UnboundedSender<Notice>) -> Self {
        let link = Link::Down("not reached yet".to_owned());
        Self {
            name,
            state: Mutex::new(State {
                aliases: Vec::new(),
                domain: None,
                link,
                unseen: None,
                cache: Cache::default(),
                gauge: Gauge::default(),
            }),
            wake,
            notices,
            suspicion: Arc::default(),
        }
    }

    pub fn name(&self) -> &WorkerName {
        &self.name
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left no half-made change that matters: every field is replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What manifests may call it, and its domain.
    pub fn describe(&self, aliases: Vec<String>, domain: Option<String>) {
        let mut state = self.state();
        if state.aliases != aliases || state.domain != domain {
            state.aliases = aliases;
            state.domain = domain;
            drop(state);
            self.wake_all();
        }
    }

    pub fn link(&self) -> Link {
        self.state().link.clone()
    }

    pub fn health(&self) -> Health {
        self.state().gauge.told().clone()
    }

    pub fn failures(&self) -> u32 {
        self.state().gauge.failures(Part::Probe)
    }

    /// One database's objects by the watches.
    pub fn view(&self, key: &DatabaseKey) -> Worker {
        let state = self.state();
        let view = match &state.link {
            Link::Down(why) => WorkerView::Unseen { since: state.unseen, why: why.clone() },
            Link::Up { identity, .. } => match state.cache.objects(identity, key) {
                Ok(objects) => WorkerView::Seen(objects),
                Err(why) => WorkerView::Unseen { since: state.unseen, why },
            },
        };
        Worker { aliases: state.aliases.clone(), domain: state.domain.clone(), view }
    }

    /// What stands there with our labels, by the watches; `None` where they cannot be believed.
    pub fn possessions(&self) -> Option<Possessions> {
        let state = self.state();
        state.visible().then(|| state.cache.possessions())
    }

    /// The same worker with another view.
    pub fn with_view(&self, view: WorkerView) -> Worker {
        let state = self.state();
        Worker { aliases: state.aliases.clone(), domain: state.domain.clone(), view }
    }

    /// Connected to the cluster of this identity.
    pub fn up(&self, client: Client, identity: Uid, version: String) {
        self.change(|state| {
            if let Link::Up { identity: before, .. } = &state.link
                && *before != identity
            {
                state.cache = Cache::default();
            }
            state.cache.unsync();
            state.gauge.restart();
            state.gauge.reached(identity.clone(), version);
            state.link = Link::Up { client, identity };
            BTreeSet::new()
        });
    }

    /// A probe of the present connection succeeded.
    pub fn alive(&self) {
        self.change(|state| {
            state.gauge.worked(Part::Probe);
            BTreeSet::new()
        });
    }

    /// Contact was lost, for a reason that may pass.
    pub fn lost(&self, trouble: &Trouble) {
        self.down(trouble, |gauge, trouble| gauge.failed(Part::Probe, trouble));
    }

    /// The worker must not be used, for a reason that somebody has to mend.
    pub fn wrong(&self, trouble: &Trouble) {
        self.down(trouble, Gauge::wrong);
    }

    /// The present connection serves on, but its registration has become unusable: said at once, for it will not last.
    pub fn doubt(&self, trouble: Option<Trouble>) {
        self.change(|state| {
            state.gauge.doubt(trouble);
            BTreeSet::new()
        });
    }

    fn down(&self, trouble: &Trouble, count: impl FnOnce(&mut Gauge, Trouble)) {
        let mut became_blind = false;
        self.change(|state| {
            became_blind = state.visible();
            if became_blind {
                state.unseen = Some(Timestamp::now());
            }
            state.link = Link::Down(trouble.to_string());
            count(&mut state.gauge, trouble.clone());
            BTreeSet::new()
        });
        if became_blind {
            self.wake_all();
        }
    }

    /// The answer to a write of ours.
    pub fn written<K: Kept>(&self, object: &K) {
        if let Some((key, seen)) = object.owned() {
            self.change(|state| K::shelf(&mut state.cache).written(key, seen));
        }
    }

    /// A delete of ours has removed the object.
    pub fn deleted<K: Kept>(&self, namespace: &Namespace, name: &ObjectName, uid: &Uid) {
        self.change(|state| K::shelf(&mut state.cache).deleted(namespace, name, uid));
    }

    /// Changes one kind's shelf as a healthy watch shows it.
    pub fn watched<K: Kept>(&self, change: impl FnOnce(&mut Shelf<K::Seen>) -> BTreeSet<DatabaseKey>) {
        let mut became_visible = false;
        self.change(|state| {
            let was_blind = !state.visible();
            let shelf = K::shelf(&mut state.cache);
            let touched = change(shelf);
            if shelf.sync != Sync::Fresh {
                shelf.sync = Sync::Fresh;
                state.gauge.worked(Part::Watch(<K as Kept>::KIND));
            }
            became_visible = was_blind && state.visible();
            if became_visible {
                state.unseen = None;
            }
            touched
        });
        if became_visible {
            self.wake_all();
        }
    }

    /// A watch broke.
    pub fn blind<K: Kept>(&self, fault: &Fault) {
        let mut became_blind = false;
        self.change(|state| {
            became_blind = state.visible();
            if became_blind {
                state.unseen = Some(Timestamp::now());
            }
            K::shelf(&mut state.cache).sync = Sync::Broken(fault.to_string());
            let trouble = trouble(fault, &format!("watching its {}", K::PLURAL));
            state.gauge.failed(Part::Watch(<K as Kept>::KIND), trouble);
            BTreeSet::new()
        });
        self.suspicion.notify_one();
        if became_blind {
            self.wake_all();
        }
    }

    /// Tells of objects that went with the worker's registration.
    pub fn wake_all(&self) {
        // Nobody listens any more only while the process ends.
        let _ = self.wake.send(Wake::Worker(self.name.clone()));
    }

    fn change(&self, change: impl FnOnce(&mut State) -> BTreeSet<DatabaseKey>) {
        let mut state = self.state();
        let before = state.gauge.told().clone();
        let woken = change(&mut state);
        let told = state.gauge.told().clone();
        drop(state);
        for key in woken {
            let _ = self.wake.send(Wake::Database(key));
        }
        if told != before {
            match &told {
                Health::NotReady(trouble) => {
                    tracing::warn!(worker = %self.name, reason = trouble.reason(), "not ready: {trouble}");
                }
                Health::Ready { version, .. } => tracing::info!(worker = %self.name, %version, "ready"),
                Health::Connecting => {}
            }
            let _ = self.notices.send(Notice::Health(self.name.clone()));
        }
    }
}

/// What a failed request means for the worker's health.
pub(super) fn trouble(fault: &Fault, doing: &str) -> Trouble {
    let text = format!("{doing}: {fault}");
    match fault {
        Fault::Unauthorized(_) => Trouble::Unauthorized(text),
        Fault::Api(status) if status.is_forbidden() => Trouble::Forbidden(text),
        _ => Trouble::Unreachable(text),
    }
}

/// A watch's events, into the slot.
pub(super) struct Show<K> {
    slot: Arc<Slot>,
    kind: std::marker::PhantomData<fn(K)>,
}

impl<K> Show<K> {
    pub fn new(slot: Arc<Slot>) -> Self {
        Self { slot, kind: std::marker::PhantomData }
    }
}

impl<K: Kept> super::watch::Sink<K> for Show<K> {
    type Item = (DatabaseKey, K::Seen);

    fn project(&self, object: K) -> Option<Self::Item> {
        object.owned()
    }

    fn listed(&mut self, objects: Vec<Self::Item>, version: &str) {
        self.slot.watched::<K>(|shelf| shelf.listed(objects, &ResourceVersion::new(version)));
    }

    fn applied(&mut self, object: K) {
        match object.owned() {
            Some((key, seen)) => self.slot.watched::<K>(|shelf| shelf.watched(key, seen)),
            // It stopped saying whose it is: for its database it is gone.
            None => self.deleted(object),
        }
    }

    fn deleted(&mut self, object: K) {
        if let Some(meta) = super::projection::meta(k8s_openapi::Metadata::metadata(&object)) {
            self.slot.watched::<K>(|shelf| shelf.gone(&meta.namespace, &meta.name, &meta.version));
        }
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
