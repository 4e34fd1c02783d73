//! All workers: what the rest of Atoll knows of them, and its only way into them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use super::{
    act::Writer,
    connect::Connect,
    gate::Gate,
    identity::Claims,
    live,
    outcome::{ActError, Done, Refusal},
    registration::Registration,
    slot::{Link, Slot},
    task,
};
use crate::{
    dialect::k8scluster::{
        health::{Health, Trouble},
        setback::Setback,
    },
    plan::{
        act::Act,
        database::DatabaseKey,
        name::{Namespace, Uid, WorkerName},
        record::Homes,
        seen::{Absence, Worker, WorkerView},
        sweep::Possessions,
        terms::Terms,
    },
};

/// The cluster that Atoll runs in.
#[derive(Clone)]
pub struct Master {
    /// The UID of its kube-system namespace: part of every label in every worker.
    pub uid: Uid,
    /// Its client.
    pub client: Client,
    /// The namespace that Atoll runs in.
    pub namespace: Namespace,
}

/// Who has something to look at anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// An object of this database has changed.
    Database(DatabaseKey),
    /// This worker came into sight, went out of it, or is called otherwise: everything may be concerned.
    Worker(WorkerName),
}

/// What whoever registers workers needs to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// [`Pool::health`] of this worker, or [`Pool::incomplete`], tells something else than before.
    Health(WorkerName),
    /// The worker does not accept its credentials: there may be newer ones.
    Unauthorized(WorkerName),
    /// Who uses this worker, or what is owed there, may be something else than before.
    Usage(WorkerName),
}

/// All workers.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// What all workers' tasks share.
pub(super) struct Shared {
    pub connect: Arc<dyn Connect>,
    pub master: Master,
    gate: Arc<dyn Gate>,
    wake: mpsc::UnboundedSender<Wake>,
    notices: mpsc::UnboundedSender<Notice>,
    claims: Mutex<Claims>,
    workers: RwLock<BTreeMap<WorkerName, Entry>>,
    registered: AtomicBool,
}

struct Entry {
    slot: Arc<Slot>,
    registration: watch::Sender<Arc<Registration>>,
    task: AbortHandle,
}

impl Entry {
    /// Why nothing may be decided about this worker, or written there, although it is in contact: which cluster it is
    /// does not stand in its `K8sCluster` yet. A successor of this process must find what we knew when we wrote.
    fn unrecorded(&self) -> Option<String> {
        let Link::Up { identity, .. } = self.slot.link() else { return None };
        let recorded = self.registration.borrow().pinned.as_ref() == Some(&identity);
        (!recorded).then(|| "its identity is still being recorded in its K8sCluster".to_owned())
    }

    fn view(&self, key: &DatabaseKey, home: Option<&Namespace>) -> Worker {
        let worker = self.slot.view(key, home);
        match self.unrecorded() {
            None => worker,
            Some(why) => self.slot.with_view(WorkerView::Unseen { absence: Absence::Connecting, why }),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    pub fn verify(&self, registration: &Registration, found: &Uid) -> Result<(), Trouble> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).verdict(registration, found).into()
    }

    pub fn notice(&self, notice: Notice) {
        // Nobody listens any more only while the process ends.
        let _ = self.notices.send(notice);
    }

    fn slot(&self, name: &WorkerName) -> Option<Arc<Slot>> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.get(name).map(|entry| entry.slot.clone())
    }

    fn unrecorded(&self, name: &WorkerName) -> Option<String> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.get(name).and_then(Entry::unrecorded)
    }
}

/// Ends the workers' tasks when it goes: whoever made the pool is over, and nothing of it may live on.
pub struct Tasks(Arc<Shared>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.workers.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Pool {
    /// Ties the life of the workers' tasks to that of what is returned.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        Tasks(self.shared.clone())
    }

    /// A pool without workers. Every write asks `gate` first; `wake` hears of databases whose objects changed,
    /// `notices` of workers whose health did.
    #[must_use]
    pub fn new(
        connect: Arc<dyn Connect>,
        master: Master,
        gate: Arc<dyn Gate>,
        wake: mpsc::UnboundedSender<Wake>,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Self {
        let shared = Shared {
            connect,
            master,
            gate,
            wake,
            notices,
            claims: Mutex::default(),
            workers: RwLock::default(),
            registered: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The cluster that Atoll runs in.
    #[must_use]
    pub fn master(&self) -> &Master {
        &self.shared.master
    }

    /// Registers a worker, or changes how it is registered. Returns at once.
    ///
    /// Of several registrations that are known from an earlier life, hand in those with a pinned identity first.
    pub fn apply(&self, registration: Registration) {
        self.shared.claims.lock().unwrap_or_else(PoisonError::into_inner).remember(&registration);
        let mut workers = self.shared.workers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = workers.get(&registration.name) {
            // Here and not in the worker's task, which may wait for an answer just now: a mark is in force at once.
            entry.slot.describe(&registration);
            let mut pinned = false;
            entry.registration.send_if_modified(|known| {
                let news = **known != registration;
                if news {
                    pinned = known.pinned != registration.pinned;
                    *known = Arc::new(registration);
                }
                news
            });
            if pinned {
                entry.slot.wake_all();
            }
            return;
        }
        let name = registration.name.clone();
        let slot = Arc::new(Slot::new(name.clone(), self.shared.wake.clone(), self.shared.notices.clone()));
        slot.describe(&registration);
        let (sender, receiver) = watch::channel(Arc::new(registration));
        let task = tokio::spawn(task::live(self.shared.clone(), slot.clone(), receiver)).abort_handle();
        workers.insert(name, Entry { slot, registration: sender, task });
    }

    /// Takes over what a registration says of a worker that is known, but not how to get in: that is still being read.
    pub fn describe(&self, registration: &Registration) {
        if let Some(slot) = self.shared.slot(&registration.name) {
            slot.describe(registration);
        }
    }

    /// Whether anything may be written.
    #[must_use]
    pub fn gate(&self) -> &dyn Gate {
        self.shared.gate.as_ref()
    }

    /// Lets go of a worker: its connection, its watches and what they showed. Nothing in the worker changes.
    pub fn forget(&self, name: &WorkerName) {
        let entry = self.shared.workers.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.shared.claims.lock().unwrap_or_else(PoisonError::into_inner).forget(name);
        if let Some(entry) = entry {
            entry.slot.wake_all();
        }
    }

    /// Whether every worker that is registered in the master has been handed in. Before that, a name that is not
    /// known may well be a worker's.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.shared.registered.load(Ordering::Acquire)
    }

    /// Says that all are in.
    pub fn registered(&self) {
        self.shared.registered.store(true, Ordering::Release);
    }

    /// What the watches show of one database, in every registered worker. No request is sent. In the workers of its
    /// record that is what stands in the namespace that the record names.
    #[must_use]
    pub fn view(&self, key: &DatabaseKey, homes: &Homes) -> BTreeMap<WorkerName, Worker> {
        let workers = self.shared.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(|(name, entry)| (name.clone(), entry.view(key, homes.get(name)))).collect()
    }

    /// What one worker holds of one database right now: the identity checked, then everything listed, at the most
    /// recent state. Ten seconds for each request at most; any failure is [`WorkerView::Unseen`].
    pub async fn live(&self, name: &WorkerName, key: &DatabaseKey, homes: &Homes) -> Worker {
        let unseen = |why: String| WorkerView::Unseen { absence: Absence::Connecting, why };
        let Some(slot) = self.shared.slot(name) else {
            let view = unseen("it is not registered".to_owned());
            return Worker { aliases: Vec::new(), domain: None, terms: Terms::default(), view };
        };
        if let Some(why) = slot.set_aside() {
            return slot.with_view(unseen(why));
        }
        if let Some(why) = self.shared.unrecorded(name) {
            return slot.with_view(unseen(why));
        }
        let view = match slot.link() {
            Link::Down(_) => slot.view(key, homes.get(name)).view,
            Link::Up { client, identity } => {
                match live::objects(&client, &identity, &self.shared.master.uid, key, homes.get(name)).await {
                    Ok(objects) => WorkerView::Seen(objects),
                    Err(why) => {
                        slot.suspicion.notify_one();
                        unseen(why)
                    }
                }
            }
        };
        slot.with_view(view)
    }

    /// What stands in one worker with our labels, by the watches; `None` where it cannot be seen. No request is sent.
    #[must_use]
    pub fn possessions(&self, name: &WorkerName) -> Option<Possessions> {
        self.seen(name).and_then(|slot| slot.possessions())
    }

    /// The same by live lists, after the identity was checked; `None` where it is known that it cannot be seen.
    pub async fn live_possessions(&self, name: &WorkerName) -> Option<Result<Possessions, String>> {
        let slot = self.seen(name)?;
        let Link::Up { client, identity } = slot.link() else { return None };
        Some(live::possessions(&client, &identity, &self.shared.master.uid).await)
    }

    fn seen(&self, name: &WorkerName) -> Option<Arc<Slot>> {
        self.shared.slot(name).filter(|_| self.shared.unrecorded(name).is_none())
    }

    /// Carries out one act: at most four requests, ten seconds each. The answers are in [`Pool::view`] when this
    /// returns. An act whose answer was lost may be carried out again: it finds what it made.
    pub async fn carry_out(&self, act: &Act) -> Result<Done, ActError> {
        let worker = &act.worker;
        let slot = self.shared.slot(worker).ok_or_else(|| ActError::NotRegistered(worker.clone()))?;
        if let Some(why) = slot.set_aside().or_else(|| self.shared.unrecorded(worker)) {
            return Err(ActError::Unseen { worker: worker.clone(), why });
        }
        let client = match slot.link() {
            Link::Up { client, .. } => client,
            Link::Down(why) => return Err(ActError::Unseen { worker: worker.clone(), why }),
        };
        let gate = self.shared.gate.as_ref();
        let writer = Writer { client, gate, slot: &slot, master: &self.shared.master.uid };
        let done = writer.carry_out(&act.change).await;
        match &done {
            Err(ActError::Fault { .. }) => slot.suspicion.notify_one(),
            Err(ActError::Refused { refusal: Refusal::NotPermitted, .. }) => slot.forbidden(),
            Ok(_) | Err(_) => {}
        }
        done
    }

    /// A client of one worker, if it is in contact: for port-forwards and other reads. Whoever writes uses
    /// [`Pool::carry_out`].
    #[must_use]
    pub fn client(&self, name: &WorkerName) -> Option<Client> {
        match self.shared.slot(name)?.link() {
            Link::Up { client, .. } => Some(client),
            Link::Down(_) => None,
        }
    }

    /// Whether a person has marked this worker unavailable.
    #[must_use]
    pub fn is_set_aside(&self, name: &WorkerName) -> bool {
        self.shared.slot(name).is_some_and(|slot| slot.set_aside().is_some())
    }

    /// What people are told of one worker.
    #[must_use]
    pub fn health(&self, name: &WorkerName) -> Option<Health> {
        self.shared.slot(name).map(|slot| slot.health())
    }

    /// When a worker's history last went back, if that was seen. [`Notice::Health`] says when this changes.
    #[must_use]
    pub fn setback(&self, name: &WorkerName) -> Option<Setback> {
        self.shared.slot(name)?.setback()
    }

    /// What a worker says and cannot be read, in words for a condition; `None` when all can be. [`Notice::Health`] says
    /// when this changes.
    #[must_use]
    pub fn incomplete(&self, name: &WorkerName) -> Option<String> {
        self.shared.slot(name)?.incomplete()
    }

    /// What people are told of every worker.
    #[must_use]
    pub fn workers(&self) -> BTreeMap<WorkerName, Health> {
        let workers = self.shared.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(|(name, entry)| (name.clone(), entry.slot.health())).collect()
    }
}
