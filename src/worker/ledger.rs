//! The ledger: what registrations hold besides the way into a worker. The finalizer that keeps one in use, and the
//! debts of databases that were let go of. Every write is refused by the master if the registration has changed since.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::{
    fault::{Fault, call},
    gate::{Gate, LeaseLost},
    pool::Notice,
};
use crate::{
    dialect::k8scluster::{
        crd::K8sCluster,
        usage::{FINALIZER, Findings, holding},
    },
    plan::{
        debt::{Account, Debt, Entry, MOST},
        labels::MANAGER,
        name::{Uid, WorkerName},
        seen::Ending,
        sweep::{Hold, Holding},
    },
};

/// Why something could not be written into a registration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LedgerError {
    /// Another instance may be at work.
    #[error(transparent)]
    Lease(#[from] LeaseLost),
    /// The master's API server does not answer, or refuses.
    #[error("K8sCluster {worker} cannot be written: {fault}")]
    Fault {
        /// Whose registration.
        worker: WorkerName,
        /// What the API server said.
        fault: Fault,
    },
    /// The finalizer is being taken off at this moment.
    #[error("K8sCluster {0} is being let go of at this moment")]
    Busy(WorkerName),
    /// It is not registered any more.
    #[error("there is no K8sCluster {0}")]
    NotRegistered(WorkerName),
    /// It is being deleted, and carries no finalizer of ours: nothing new may begin there.
    #[error("K8sCluster {0} is being deleted")]
    Leaving(WorkerName),
    /// It has too many debts already.
    #[error("K8sCluster {0} has {MOST} debts already: wait until it returns, or strike them by hand")]
    Full(WorkerName),
}

impl LedgerError {
    /// Whether the registration has changed meanwhile: look again, it is no failure.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Busy(_) | Self::NotRegistered(_) => true,
            Self::Fault { fault, .. } => {
                fault.is_not_found() || fault.status().is_some_and(|status| status.code == 409)
            }
            Self::Lease(_) | Self::Leaving(_) | Self::Full(_) => false,
        }
    }
}

/// The registrations, as the watch and our own writes have them.
pub struct Ledger {
    client: Client,
    gate: Arc<dyn Gate>,
    notices: mpsc::UnboundedSender<Notice>,
    state: Mutex<State>,
    /// Something has changed that the sweeper may have to do with.
    pub stirred: Notify,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<WorkerName, Registered>,
    /// Workers that a record is about to name.
    reserved: BTreeMap<WorkerName, usize>,
    /// Workers whose finalizer is being taken off.
    leaving: BTreeSet<WorkerName>,
    findings: BTreeMap<WorkerName, Findings>,
}

/// What is kept of a `K8sCluster`: not its kubeconfig.
#[derive(Clone, Debug)]
struct Registered {
    uid: Option<String>,
    version: Option<String>,
    finalizers: Vec<String>,
    holding: Holding,
}

impl Registered {
    fn of(cluster: &K8sCluster) -> Self {
        Self {
            uid: cluster.uid(),
            version: cluster.resource_version(),
            finalizers: cluster.finalizers().to_vec(),
            holding: holding(cluster),
        }
    }
}

impl Ledger {
    /// An empty one. `notices` hears of registrations whose usage may have changed.
    #[must_use]
    pub fn new(client: Client, gate: Arc<dyn Gate>, notices: mpsc::UnboundedSender<Notice>) -> Self {
        Self { client, gate, notices, state: Mutex::default(), stirred: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left no half-made change that matters: every field is replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A registration as the master shows it.
    pub fn saw(&self, cluster: &K8sCluster) {
        let number = |version: &Option<String>| version.as_deref().and_then(|version| version.parse::<u64>().ok());
        let seen = Registered::of(cluster);
        let name = WorkerName::new(cluster.name_any());
        let mut state = self.state();
        match state.entries.get(&name) {
            // The answer to a write of ours can be ahead of the watch.
            Some(known) if known.uid == seen.uid && number(&known.version) > number(&seen.version) => return,
            Some(_) | None => drop(state.entries.insert(name, seen)),
        }
        drop(state);
        self.stirred.notify_one();
    }

    /// Every registration as a list shows it: of an older version as well, for a master that was restored counts anew.
    pub fn listed(&self, clusters: &BTreeMap<WorkerName, K8sCluster>) {
        let entries = clusters.iter().map(|(name, cluster)| (name.clone(), Registered::of(cluster))).collect();
        self.state().entries = entries;
        self.stirred.notify_one();
    }

    /// A registration is gone.
    pub fn gone(&self, name: &WorkerName) {
        let mut state = self.state();
        state.entries.remove(name);
        state.findings.remove(name);
    }

    /// Every registration by name, with what it holds.
    #[must_use]
    pub fn holdings(&self) -> BTreeMap<WorkerName, Holding> {
        self.state().entries.iter().map(|(name, entry)| (name.clone(), entry.holding.clone())).collect()
    }

    /// What one registration holds.
    #[must_use]
    pub fn holding(&self, name: &WorkerName) -> Option<Holding> {
        self.state().entries.get(name).map(|entry| entry.holding.clone())
    }

    /// The newest version known of the registration of this name and UID.
    #[must_use]
    pub fn version(&self, name: &WorkerName, uid: Option<&str>) -> Option<String> {
        let state = self.state();
        let entry = state.entries.get(name).filter(|entry| entry.uid.as_deref() == uid);
        entry.and_then(|entry| entry.version.clone())
    }

    /// What every registration says to the database of this UID.
    #[must_use]
    pub fn accounts(&self, database: &Uid) -> BTreeMap<WorkerName, Account> {
        let state = self.state();
        let account = |entry: &Registered| Account {
            pinned: entry.holding.pinned.clone(),
            ending: entry.holding.ending,
            owed: entry.holding.debts.iter().find(|debt| debt.uid == *database).cloned(),
        };
        state.entries.iter().map(|(name, entry)| (name.clone(), account(entry))).collect()
    }

    /// What the sweeper has found in a worker.
    #[must_use]
    pub fn findings(&self, name: &WorkerName) -> Findings {
        self.state().findings.get(name).cloned().unwrap_or_default()
    }

    /// Keeps what the sweeper has found; whoever writes statuses hears of it if it is news.
    pub fn found(&self, name: &WorkerName, findings: Findings) {
        let mut state = self.state();
        let before = state.findings.entry(name.clone()).or_default();
        if *before != findings {
            *before = findings;
            drop(state);
            self.changed([name.clone()]);
        }
    }

    /// Says that the usage of these workers may be another one now.
    pub fn changed(&self, workers: impl IntoIterator<Item = WorkerName>) {
        for worker in workers {
            // Nobody listens any more only while the process ends.
            let _ = self.notices.send(Notice::Usage(worker));
        }
        self.stirred.notify_one();
    }

    /// Makes sure that these registrations stay, before a record names them. While what is returned lives, nobody lets
    /// go of them. A worker that is not registered has nothing to be kept.
    ///
    /// # Errors
    /// A finalizer that is missing cannot be put on now.
    pub async fn reserve(self: &Arc<Self>, workers: Vec<WorkerName>) -> Result<Reserved, LedgerError> {
        let reserved = {
            let mut state = self.state();
            if let Some(busy) = workers.iter().find(|worker| state.leaving.contains(*worker)) {
                return Err(LedgerError::Busy(busy.clone()));
            }
            for worker in &workers {
                *state.reserved.entry(worker.clone()).or_default() += 1;
            }
            Reserved { ledger: self.clone(), workers }
        };
        for worker in &reserved.workers {
            match self.hold(worker).await {
                Ok(()) | Err(LedgerError::NotRegistered(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(reserved)
    }

    /// Puts the finalizer on, unless it is there.
    ///
    /// # Errors
    /// It cannot be put on.
    pub async fn hold(&self, worker: &WorkerName) -> Result<(), LedgerError> {
        let entry = self.entry(worker)?;
        if entry.holding.hold == Hold::Held {
            return Ok(());
        }
        if entry.holding.ending == Ending::Going {
            return Err(LedgerError::Leaving(worker.clone()));
        }
        let finalizers = entry.finalizers.iter().cloned().chain([FINALIZER.to_owned()]).collect();
        self.write_finalizers(worker, &entry, finalizers).await
    }

    /// Takes the finalizer off, unless a record is about to name the worker.
    ///
    /// # Errors
    /// It cannot be taken off now.
    pub async fn let_go(&self, worker: &WorkerName) -> Result<(), LedgerError> {
        let entry = self.entry(worker)?;
        {
            let mut state = self.state();
            if state.reserved.contains_key(worker) || !state.leaving.insert(worker.clone()) {
                return Err(LedgerError::Busy(worker.clone()));
            }
        }
        let finalizers = entry.finalizers.iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
        let written = self.write_finalizers(worker, &entry, finalizers).await;
        self.state().leaving.remove(worker);
        written
    }

    /// Writes debts, or takes them back. When this returns, they stand.
    ///
    /// # Errors
    /// One could not be written.
    pub async fn book(&self, entries: &[Entry]) -> Result<(), LedgerError> {
        for entry in entries {
            match entry {
                Entry::Owe(worker, due) => {
                    self.hold(worker).await?;
                    let owed = due.at(Timestamp::now());
                    self.debts(worker, |debts| {
                        debts.retain(|debt| debt.uid != owed.uid);
                        debts.push(owed);
                    })
                    .await?;
                }
                Entry::Withdraw(worker, uid) => self.strike(worker, uid).await?,
            }
        }
        Ok(())
    }

    /// Takes a debt out of a registration: it is paid, or nobody owes it any more.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn strike(&self, worker: &WorkerName, database: &Uid) -> Result<(), LedgerError> {
        self.debts(worker, |debts| debts.retain(|debt| debt.uid != *database)).await
    }

    async fn debts(&self, worker: &WorkerName, change: impl FnOnce(&mut Vec<Debt>)) -> Result<(), LedgerError> {
        let entry = self.entry(worker)?;
        let mut debts: Vec<Debt> = entry.holding.debts.iter().map(|owed| Debt::clone(owed)).collect();
        change(&mut debts);
        if debts.len() > MOST {
            return Err(LedgerError::Full(worker.clone()));
        }
        // None at all is no field at all: an empty list would stand in every status for ever.
        let debts = if debts.is_empty() { Value::Null } else { json!(debts) };
        self.gate.check()?;
        let patch = json!({
            "metadata": { "uid": entry.uid, "resourceVersion": entry.version }, "status": { "debts": debts },
        });
        let written = call(self.api().patch_status(worker.as_str(), &params(), &Patch::Merge(&patch))).await;
        self.wrote(worker, written)
    }

    async fn write_finalizers(
        &self,
        worker: &WorkerName,
        entry: &Registered,
        finalizers: Vec<String>,
    ) -> Result<(), LedgerError> {
        self.gate.check()?;
        let patch = json!({ "metadata": {
            "uid": entry.uid, "resourceVersion": entry.version, "finalizers": finalizers,
        }});
        let written = call(self.api().patch(worker.as_str(), &params(), &Patch::Merge(&patch))).await;
        self.wrote(worker, written)
    }

    fn wrote(&self, worker: &WorkerName, written: Result<K8sCluster, Fault>) -> Result<(), LedgerError> {
        let written = written.map_err(|fault| LedgerError::Fault { worker: worker.clone(), fault })?;
        self.saw(&written);
        self.changed([worker.clone()]);
        Ok(())
    }

    fn entry(&self, worker: &WorkerName) -> Result<Registered, LedgerError> {
        self.state().entries.get(worker).cloned().ok_or_else(|| LedgerError::NotRegistered(worker.clone()))
    }

    fn api(&self) -> Api<K8sCluster> {
        Api::all(self.client.clone())
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// Registrations that nobody lets go of while this lives.
pub struct Reserved {
    ledger: Arc<Ledger>,
    workers: Vec<WorkerName>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut state = self.ledger.state();
        for worker in &self.workers {
            if let Some(count) = state.reserved.get_mut(worker) {
                *count -= 1;
                if *count == 0 {
                    state.reserved.remove(worker);
                }
            }
        }
        drop(state);
        self.ledger.changed(std::mem::take(&mut self.workers));
    }
}
