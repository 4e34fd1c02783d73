//! What the process holds of one worker: the connection, if there is one, and what it shows. Every lock here is held
//! for moments and never while waiting.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use kube::Client;
use tokio::sync::{Notify, mpsc};

use super::{
    cache::{Cache, Shelf, Sync},
    fault::Fault,
    health::{Gauge, Part},
    kept::Kept,
    limits::Limits,
    pool::{Notice, Wake},
    registration::Registration,
};
use crate::{
    dialect::k8scluster::{
        health::{Contact, Health, Rights, Trouble, lacking},
        setback::Setback,
    },
    plan::{
        database::DatabaseKey,
        name::{Namespace, ObjectName, Uid, WorkerName},
        seen::{Absence, Worker, WorkerView},
        sweep::Possessions,
        terms::{Duty, Terms},
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
    /// Whether something was forbidden since the credentials' rights were last asked about.
    forbidden: AtomicBool,
    /// What it can bear: one connection after the other keeps to it.
    pub limits: Arc<Limits>,
}

#[derive(Debug)]
struct State {
    aliases: Vec<String>,
    domain: Option<String>,
    terms: Terms,
    link: Link,
    /// How long it has not been seen, while it cannot be.
    absence: Absence,
    cache: Cache,
    gauge: Gauge,
    /// When its history last went back, if ever.
    setback: Option<Setback>,
}

impl State {
    fn visible(&self) -> bool {
        matches!(self.link, Link::Up { .. }) && self.cache.check().is_ok()
    }

    /// The worker that shows this, as far as its terms let it be seen.
    fn worker(&self, shown: WorkerView) -> Worker {
        let (aliases, domain, terms) = (self.aliases.clone(), self.domain.clone(), self.terms.clone());
        Worker { view: terms.applied(shown), aliases, domain, terms }
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
                terms: Terms::default(),
                link,
                absence: Absence::Connecting,
                cache: Cache::default(),
                gauge: Gauge::default(),
                setback: None,
            }),
            wake,
            notices,
            suspicion: Arc::default(),
            forbidden: AtomicBool::new(false),
            limits: Arc::default(),
        }
    }

    pub fn name(&self) -> &WorkerName {
        &self.name
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left no half-made change that matters: every field is replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its registration says of it, besides how to get in. In force when this returns.
    pub fn describe(&self, registration: &Registration) {
        let Registration { aliases, domain, terms, .. } = registration;
        let mut state = self.state();
        if (&state.aliases, &state.domain, &state.terms) != (aliases, domain, terms) {
            state.aliases.clone_from(aliases);
            state.domain.clone_from(domain);
            state.terms.clone_from(terms);
            drop(state);
            self.wake_all();
        }
    }

    /// Why nothing may be looked at or written there although it may be in contact: a person has marked it.
    pub fn set_aside(&self) -> Option<String> {
        match self.state().terms.duty {
            Duty::Serving | Duty::NoNewMembers => None,
            Duty::Unavailable { .. } => Some("it is marked unavailable".to_owned()),
        }
    }

    pub fn link(&self) -> Link {
        self.state().link.clone()
    }

    pub fn health(&self) -> Health {
        self.state().gauge.told().clone()
    }

    /// Whether it answers again, but is not told to be well yet.
    pub fn is_on_trial(&self) -> bool {
        self.state().gauge.is_on_trial()
    }

    /// What of it cannot be read, in words.
    pub fn incomplete(&self) -> Option<String> {
        self.state().cache.incomplete()
    }

    /// When its history last went back, if that was seen.
    pub fn setback(&self) -> Option<Setback> {
        self.state().setback
    }

    pub fn failures(&self) -> u32 {
        self.state().gauge.failures(Part::Probe)
    }

    /// One database's objects by the watches, in this namespace or in any.
    pub fn view(&self, key: &DatabaseKey, home: Option<&Namespace>) -> Worker {
        let state = self.state();
        let shown = match &state.link {
            Link::Down(why) => WorkerView::Unseen { absence: state.absence, why: why.clone() },
            Link::Up { identity, .. } => match state.cache.objects(identity, key, home) {
                Ok(objects) => WorkerView::Seen(objects),
                Err(why) => WorkerView::Unseen { absence: state.absence, why },
            },
        };
        state.worker(shown)
    }

    /// What stands there with our labels, by the watches; `None` where they cannot be believed.
    pub fn possessions(&self) -> Option<Possessions> {
        let state = self.state();
        state.visible().then(|| state.cache.possessions())
    }

    /// The same worker with another view.
    pub fn with_view(&self, view: WorkerView) -> Worker {
        self.state().worker(view)
    }

    /// Connected to the cluster of this identity.
    pub fn up(&self, client: Client, contact: Contact) {
        self.change(|state| {
            let identity = contact.identity.clone();
            if let Link::Up { identity: before, .. } = &state.link
                && *before != identity
            {
                (state.cache, state.setback) = (Cache::default(), None);
            }
            state.cache.unsync();
            state.gauge.restart();
            state.gauge.reached(contact);
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
        self.down(trouble, Absence::Connecting, |gauge, trouble| gauge.failed(Part::Probe, trouble));
    }

    /// The worker must not be used, for a reason that somebody has to mend.
    pub fn wrong(&self, trouble: &Trouble) {
        self.down(trouble, Absence::Refused, Gauge::wrong);
    }

    /// The present connection serves on, but its registration has become unusable: said at once, for it will not last.
    pub fn doubt(&self, trouble: Option<Trouble>) {
        self.change(|state| {
            state.gauge.doubt(trouble);
            BTreeSet::new()
        });
    }

    /// Something was forbidden: the rights are not what they were when they were last asked about.
    pub fn forbidden(&self) {
        self.forbidden.store(true, Ordering::Release);
        self.suspicion.notify_one();
    }

    /// Whether something was forbidden since this was last asked.
    pub fn was_forbidden(&self) -> bool {
        self.forbidden.swap(false, Ordering::AcqRel)
    }

    /// What the credentials may do, as the worker says now.
    pub fn rights(&self, rights: Rights) {
        self.change(|state| {
            state.gauge.rights(rights);
            BTreeSet::new()
        });
    }

    /// `never_seen`: what its absence is called if it was never seen.
    fn down(&self, trouble: &Trouble, never_seen: Absence, count: impl FnOnce(&mut Gauge, Trouble)) {
        let mut absence_changed = false;
        self.change(|state| {
            let absence = match state.absence {
                _ if state.visible() => Absence::Since(Timestamp::now()),
                Absence::Since(since) => Absence::Since(since),
                Absence::Connecting | Absence::Refused => never_seen,
            };
            absence_changed = state.visible() || absence != state.absence;
            state.absence = absence;
            state.link = Link::Down(trouble.to_string());
            count(&mut state.gauge, trouble.clone());
            BTreeSet::new()
        });
        if absence_changed {
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
            if let Some((from, to)) = shelf.went_back() {
                state.setback = Some(Setback::follow(state.setback, from, to, Timestamp::now()));
            }
            became_visible = was_blind && state.visible();
            if became_visible {
                state.absence = Absence::Connecting;
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
                state.absence = Absence::Since(Timestamp::now());
            }
            K::shelf(&mut state.cache).sync = Sync::Broken(fault.to_string());
            let trouble = trouble(fault, &format!("watching its {}", K::PLURAL));
            if matches!(trouble, Trouble::Forbidden(_)) {
                self.forbidden.store(true, Ordering::Release);
            }
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
        let (before, unread, setback) = (state.gauge.told().clone(), state.cache.incomplete(), state.setback);
        let woken = change(&mut state);
        let told = state.gauge.told().clone();
        let unread = Some(state.cache.incomplete()).filter(|now| *now != unread);
        let setback = state.setback.filter(|now| Some(*now) != setback);
        drop(state);
        for key in woken {
            let _ = self.wake.send(Wake::Database(key));
        }
        if told != before {
            match &told {
                Health::Down(trouble) => {
                    tracing::warn!(worker = %self.name, reason = trouble.reason(), "not ready: {trouble}");
                }
                Health::Up(contact) => up(&self.name, contact),
                Health::Connecting => {}
            }
        }
        match &unread {
            Some(Some(what)) => tracing::warn!(worker = %self.name, reason = "Unreadable", "{what}"),
            Some(None) => tracing::info!(worker = %self.name, "all that it says can be read again"),
            None => {}
        }
        if let Some(setback) = setback {
            tracing::warn!(worker = %self.name, reason = "RestoredFromBackup", "{setback}");
        }
        if told != before || unread.is_some() || setback.is_some() {
            let _ = self.notices.send(Notice::Health(self.name.clone()));
        }
    }
}

fn up(worker: &WorkerName, contact: &Contact) {
    let version = &contact.version;
    if let Some(doubt) = &contact.doubt {
        tracing::warn!(%worker, reason = doubt.reason(), "the new credentials are not used: {doubt}");
        return;
    }
    match (&contact.suspicion, &contact.rights) {
        (Some(trouble), _) => tracing::warn!(%worker, reason = trouble.reason(), "does not answer: {trouble}"),
        (None, Rights::Lacking(permissions)) => tracing::warn!(%worker, %version, "{}", lacking(permissions)),
        (None, Rights::Sufficient | Rights::Unchecked(_)) => tracing::info!(%worker, %version, "ready"),
    }
}

/// What a failed request means for the worker's health.
pub(super) fn trouble(fault: &Fault, doing: &str) -> Trouble {
    let text = format!("{doing}: {fault}");
    match fault {
        Fault::Unauthorized(_) => Trouble::Unauthorized(text),
        Fault::AddressRefused(refused) => Trouble::AddressRefused(refused.to_string()),
        Fault::Untrusted(distrust) => Trouble::Untrusted(distrust.to_string()),
        Fault::Api(status) if status.is_forbidden() => {
            Trouble::Forbidden(format!("{text}; deploy/worker-role.yaml has all that Atoll makes use of"))
        }
        Fault::Api(_) | Fault::Held(_) => Trouble::Overloaded(text),
        _ => Trouble::Unreachable(text),
    }
}
