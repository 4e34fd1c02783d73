//! Keeps the pool in step with the master: watches the `K8sCluster`s and the Secrets that they name, and tells each
//! worker's health in its status. One task; it never waits for a worker.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    core::Status,
    runtime::events::{Event as KubeEvent, EventType, Recorder, Reporter},
};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use super::{
    allowances::Allowances,
    contexts::{self, Contexts, Step, Steps, steps},
    endings::{End, Endings},
    expiry,
    fault::{Fault, call},
    gate::Gate,
    ledger::Ledger,
    news::{Clusters, Event, OneSecret},
    pool::{Notice, Pool},
    registration::{Access, SecretName, SecretNamespaces, SecretState, registration, secret_of},
    watch::{Scope, follow},
};
use crate::{
    dialect::k8scluster::{
        self,
        crd::K8sCluster,
        setback,
        status::status,
        usage::{self, Usage},
    },
    metrics::Metrics,
    plan::{
        labels::MANAGER,
        name::WorkerName,
        report::{self, Tone},
        usage::Users,
    },
};

/// How long a watch in the master lasts.
const MASTER_WATCH_SECONDS: u32 = 290;
/// How soon a write that failed, or that had to wait for the lease, is tried again.
const AGAIN: Duration = Duration::from_secs(3);
/// How soon a `K8sCluster` that was kept because databases use it is looked at again.
const HELD: Duration = Duration::from_mins(1);

/// Says which databases have members in a worker.
pub type WhoUses = Arc<dyn Fn(&WorkerName) -> Users + Send + Sync>;

/// How workers are registered.
pub struct Settings {
    /// Where kubeconfig Secrets may be.
    pub namespaces: SecretNamespaces,
    /// What kubeconfigs may do beyond the ordinary.
    pub kubeconfigs: Allowances,
    /// The Secret of many contexts, if one is named.
    pub contexts: Option<Contexts>,
    /// Where the end of credentials is told.
    pub metrics: Metrics,
    /// Who uses a worker: while anybody does, its `K8sCluster` is not removed with its context.
    pub users: WhoUses,
    /// What registrations hold besides the way into a worker.
    pub ledger: Arc<Ledger>,
}

/// Keeps the pool in step with the master.
struct Registrar {
    pool: Pool,
    gate: Arc<dyn Gate>,
    settings: Settings,
    clusters: BTreeMap<WorkerName, K8sCluster>,
    endings: Endings,
    recorder: Recorder,
    listed: bool,
    secrets: BTreeMap<SecretName, Watched>,
    events: mpsc::UnboundedSender<Event>,
    /// Whose status may have to be written.
    dirty: BTreeSet<WorkerName>,
    /// What was last said about the Secret of many contexts, so that it is said once.
    said: Option<Steps>,
}

/// A Secret that is being watched.
struct Watched {
    state: SecretState,
    task: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs until dropped.
pub async fn run(pool: Pool, gate: Arc<dyn Gate>, settings: Settings, mut notices: mpsc::UnboundedReceiver<Notice>) {
    let (events, mut incoming) = mpsc::unbounded_channel();
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: None };
    let recorder = Recorder::new(pool.master().client.clone(), reporter);
    let api: Api<K8sCluster> = Api::all(pool.master().client.clone());
    let scope = Scope { seconds: MASTER_WATCH_SECONDS, ..Scope::default() };
    let clusters = follow("k8sclusters", api, scope, Clusters(events.clone()));
    let mut registrar = Registrar {
        pool,
        gate,
        settings,
        clusters: BTreeMap::new(),
        endings: Endings::default(),
        recorder,
        listed: false,
        secrets: BTreeMap::new(),
        events,
        dirty: BTreeSet::new(),
        said: None,
    };
    let work = async {
        let mut pause = None;
        loop {
            tokio::select! {
                event = incoming.recv() => match event {
                    Some(event) => registrar.hear(event),
                    None => return,
                },
                notice = notices.recv() => match notice {
                    Some(notice) => registrar.notice(notice),
                    None => return,
                },
                () = wait(pause) => {}
            }
            registrar.look_at_the_clock();
            let left = registrar.write().await;
            pause = left.into_iter().chain(registrar.next_look()).min();
        }
    };
    tokio::select! {
        () = clusters => {}
        () = work => {}
    }
}

async fn wait(pause: Option<Duration>) {
    match pause {
        Some(pause) => sleep(pause).await,
        None => std::future::pending().await,
    }
}

impl Registrar {
    fn hear(&mut self, event: Event) {
        match event {
            Event::Listed(clusters) => {
                // One that was made anew meanwhile has nothing of the former one but its name.
                let stays = |name: &WorkerName, known: &K8sCluster| {
                    clusters.get(name).is_some_and(|there| there.uid() == known.uid())
                };
                let gone = self.clusters.iter().filter(|(name, known)| !stays(name, known));
                for name in gone.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
                    self.forget(&name);
                }
                self.settings.ledger.listed(&clusters);
                self.clusters = clusters;
                self.listed = true;
                self.watch_secrets();
                self.register_all();
                self.pool.registered();
            }
            Event::Applied(cluster) => {
                let name = WorkerName::new(cluster.name_any());
                match self.clusters.get(&name) {
                    Some(known) if is_older(&cluster, known) => return,
                    Some(known) if known.uid() != cluster.uid() => self.forget(&name),
                    Some(_) | None => {}
                }
                self.settings.ledger.saw(&cluster);
                self.clusters.insert(name.clone(), *cluster);
                self.watch_secrets();
                self.register(&name);
            }
            Event::Deleted(name) => {
                self.forget(&name);
                self.watch_secrets();
            }
            Event::Secret(secret, state) => {
                let Some(watched) = self.secrets.get_mut(&secret) else { return };
                // What was read once stays in use while the master cannot be asked.
                if !matches!((&watched.state, &state), (SecretState::Read(_), SecretState::Unreadable(_))) {
                    watched.state = state;
                    self.register_all();
                }
            }
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Health(name) | Notice::Usage(name) => {
                self.dirty.insert(name);
            }
            Notice::Unauthorized(name) => {
                let namespaces = &self.settings.namespaces;
                if let Some(secret) = self.clusters.get(&name).and_then(|cluster| secret_of(cluster, namespaces))
                    && namespaces.permit(&secret.namespace)
                {
                    tokio::spawn(read(self.pool.master().client.clone(), secret, self.events.clone()));
                }
            }
        }
    }

    fn forget(&mut self, name: &WorkerName) {
        self.clusters.remove(name);
        self.endings.forget(name);
        self.settings.ledger.gone(name);
        self.dirty.remove(name);
        self.pool.forget(name);
    }

    /// Registers those with a pinned identity first, and older ones before younger ones: of two registrations of one
    /// cluster, the same one serves after every restart.
    fn register_all(&mut self) {
        let mut names: Vec<_> = self.clusters.iter().map(|(name, cluster)| (order(cluster), name.clone())).collect();
        names.sort();
        for (_, name) in names {
            self.register(&name);
        }
    }

    fn register(&mut self, name: &WorkerName) {
        let Some(cluster) = self.clusters.get(name) else { return };
        let unread = SecretState::Unread;
        let namespaces = &self.settings.namespaces;
        let secret = secret_of(cluster, namespaces).and_then(|secret| self.secrets.get(&secret));
        let secret = secret.map_or(&unread, |watched| &watched.state);
        let registration = registration(cluster, namespaces, secret, &self.settings.kubeconfigs);
        if let Access::Credentials(credentials) = &registration.access {
            let expiry = expiry::first(credentials);
            self.settings.metrics.credentials_expire(name, expiry.map(|expiry| expiry.at()));
            self.endings.know(name, expiry, Timestamp::now());
        }
        // One that is known already is better served by what it has than by nothing.
        if registration.access != Access::Pending || self.pool.health(name).is_none() {
            self.pool.apply(registration);
        } else {
            self.pool.describe(&registration);
        }
        self.dirty.insert(name.clone());
    }

    /// Credentials come nearer to their end, and what was told for a time is over, while nothing else happens.
    fn look_at_the_clock(&mut self) {
        let now = Timestamp::now();
        self.dirty.extend(self.endings.turned(now));
        let over = self.setbacks(now).filter(|(_, left)| left.is_zero()).map(|(name, _)| name.clone());
        self.dirty.extend(over.collect::<Vec<_>>());
    }

    /// How long until the clock alone can change what is to be told.
    fn next_look(&self) -> Option<Duration> {
        let now = Timestamp::now();
        let setbacks = self.setbacks(now).map(|(_, left)| left.max(AGAIN));
        self.endings.next(now).into_iter().chain(setbacks).min()
    }

    /// Which registrations tell of a setback, and how long.
    fn setbacks(&self, now: Timestamp) -> impl Iterator<Item = (&WorkerName, Duration)> {
        self.clusters
            .iter()
            .filter_map(move |(name, cluster)| Some((name, setback::ends_in(cluster.status.as_ref()?, now)?)))
    }

    /// Watches exactly the Secrets that are named and may be read, each by name.
    fn watch_secrets(&mut self) {
        let namespaces = &self.settings.namespaces;
        let mut named: BTreeSet<_> =
            self.clusters.values().filter_map(|cluster| secret_of(cluster, namespaces)).collect();
        named.extend(self.settings.contexts.iter().map(|contexts| contexts.secret.clone()));
        named.retain(|secret| namespaces.permit(&secret.namespace));
        self.secrets.retain(|secret, _| named.contains(secret));
        for secret in named {
            let (client, events) = (self.pool.master().client.clone(), self.events.clone());
            self.secrets.entry(secret).or_insert_with_key(|secret| {
                let api: Api<Secret> = Api::namespaced(client, secret.namespace.as_str());
                let scope = Scope {
                    labels: None,
                    fields: Some(format!("metadata.name={}", secret.name)),
                    seconds: MASTER_WATCH_SECONDS,
                };
                let sink = OneSecret { name: secret.clone(), events };
                let name = format!("secret {secret}");
                let task = tokio::spawn(async move { follow(&name, api, scope, sink).await });
                Watched { state: SecretState::Unread, task }
            });
        }
    }

    /// Writes what is due; answers when to come again, if anything is left.
    async fn write(&mut self) -> Option<Duration> {
        let left = self.write_contexts().await;
        let dirty = std::mem::take(&mut self.dirty);
        for name in dirty {
            if self.write_status(&name).await.is_err() {
                self.dirty.insert(name);
            }
        }
        if self.dirty.is_empty() { left } else { Some(AGAIN) }
    }

    async fn write_status(&mut self, name: &WorkerName) -> Result<(), ()> {
        let (Some(cluster), Some(health)) = (self.clusters.get(name), self.pool.health(name)) else { return Ok(()) };
        let standing = cluster.status.clone().unwrap_or_default();
        let generation = cluster.metadata.generation.unwrap_or_default();
        let (now, usage) = (Timestamp::now(), self.usage(name));
        let unreadable = self.pool.incomplete(name);
        let mut wanted = status(&standing, &health, unreadable.as_deref(), generation, now);
        let mut tell = |ending| k8scluster::expiry::tell(&mut wanted, &standing, ending, generation, now);
        match self.endings.of(name, now) {
            End::Unread => {}
            End::Unsaid => tell(None),
            End::Said(ending) => tell(Some(&ending)),
        }
        setback::tell(&mut wanted, &standing, self.pool.setback(name).as_ref(), generation, now);
        let wanted = usage::tell(wanted, &standing, &usage, generation, now);
        if wanted == standing {
            return Ok(());
        }
        if self.gate.check().is_err() {
            return Err(());
        }
        let api: Api<K8sCluster> = Api::all(self.pool.master().client.clone());
        // With the version, so that the status of one registration never lands on its successor of the same name. A UID
        // would not do: the status of a resource is written without a look at it.
        let version = self.settings.ledger.version(name, cluster.metadata.uid.as_deref());
        let version = version.or_else(|| cluster.metadata.resource_version.clone());
        let patch = serde_json::json!({ "metadata": { "resourceVersion": version }, "status": usage::patch(&wanted) });
        match call(api.patch_status(name.as_str(), &PatchParams::default(), &Patch::Merge(patch))).await {
            Ok(written) => {
                for event in k8scluster::events(&standing, &wanted) {
                    self.publish(&written, event).await;
                }
                self.settings.ledger.saw(&written);
                self.clusters.insert(name.clone(), written);
                self.register(name);
                self.dirty.remove(name);
                Ok(())
            }
            // It went: the watch will say.
            Err(fault) if fault.is_not_found() => Ok(()),
            // Another one came, or somebody has changed it, and the watch will say. Or nobody has, an API server under load
            // may also refuse so, and no watch will ever say anything.
            Err(fault) if fault.status().is_some_and(Status::is_conflict) => Err(()),
            Err(fault) => {
                tracing::warn!(worker = %name, "the status of K8sCluster {name} cannot be written: {fault}");
                Err(())
            }
        }
    }

    /// One that cannot be published is only logged: a condition tells the same.
    async fn publish(&self, cluster: &K8sCluster, event: report::Event) {
        if self.gate.check().is_err() {
            return;
        }
        let published = KubeEvent {
            type_: match event.tone {
                Tone::Normal => EventType::Normal,
                Tone::Warning => EventType::Warning,
            },
            reason: event.reason.to_owned(),
            note: Some(event.message),
            action: "Register".to_owned(),
            secondary: None,
        };
        let reference = cluster.object_ref(&());
        if let Err(fault) = call(self.recorder.publish(&published, &reference)).await {
            tracing::debug!(%fault, reason = event.reason, "an event could not be published");
        }
    }

    fn usage(&self, name: &WorkerName) -> Usage {
        let Settings { users, ledger, .. } = &self.settings;
        let (ending, debts) = ledger.holding(name).map(|holding| (holding.ending, holding.debts)).unwrap_or_default();
        Usage { users: users(name), ending, debts, findings: ledger.findings(name) }
    }

    async fn write_contexts(&mut self) -> Option<Duration> {
        let contexts = self.settings.contexts.as_ref()?;
        if !self.listed {
            return None;
        }
        let state = if self.settings.namespaces.permit(&contexts.secret.namespace) {
            match &self.secrets.get(&contexts.secret)?.state {
                SecretState::Unread => return None,
                state => state.clone(),
            }
        } else {
            SecretState::Unreadable("its namespace is not among secretNamespaces".to_owned())
        };
        let in_use = |worker: &WorkerName| !(self.settings.users)(worker).are_none();
        let steps = steps(contexts, &state, &self.clusters, &in_use);
        let news = self.said.as_ref() != Some(&steps);
        if news {
            contexts.say(&steps);
        }
        self.said = Some(steps.clone());
        let secret = contexts.secret.clone();
        let mut left = if steps.held.is_empty() { None } else { Some(HELD) };
        for step in &steps.steps {
            if self.gate.check().is_err() {
                return Some(AGAIN);
            }
            if let Err(fault) = self.take(step).await {
                tracing::warn!("registering the contexts of Secret {secret}: {fault}");
                left = Some(AGAIN);
            }
        }
        left
    }

    async fn take(&mut self, step: &Step) -> Result<(), Fault> {
        let Some(Contexts { secret, .. }) = &self.settings.contexts else { return Ok(()) };
        let api: Api<K8sCluster> = Api::all(self.pool.master().client.clone());
        let there = match step {
            Step::Create(name, context) => {
                call(api.create(&PostParams::default(), &contexts::cluster(name, context, secret))).await
            }
            Step::Point(name, context) => {
                let cluster = contexts::cluster(name, context, secret);
                let spec = serde_json::json!({
                    "metadata": { "annotations": cluster.metadata.annotations },
                    "spec": { "kubeConfigSecretRef": cluster.spec.kube_config_secret_ref },
                });
                call(api.patch(name.as_str(), &PatchParams::default(), &Patch::Merge(spec))).await
            }
            Step::Delete(name, uid) => {
                let preconditions = Preconditions { uid: Some(uid.to_string()), resource_version: None };
                let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
                return match call(api.delete(name.as_str(), &params)).await {
                    Ok(_) => {
                        // With a finalizer it stays a while; the watch says when it is gone.
                        Ok(())
                    }
                    Err(fault) if fault.is_not_found() => Ok(()),
                    Err(fault) => Err(fault),
                };
            }
        };
        match there {
            Ok(there) => {
                self.hear(Event::Applied(Box::new(there)));
                Ok(())
            }
            // The watch will show whose it is.
            Err(fault) if fault.status().is_some_and(Status::is_already_exists) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

/// The answer to a write of ours can be ahead of the watch.
fn is_older(cluster: &K8sCluster, known: &K8sCluster) -> bool {
    let version = |cluster: &K8sCluster| cluster.resource_version().and_then(|version| version.parse::<u64>().ok());
    cluster.uid() == known.uid() && version(cluster) < version(known)
}

/// In which order registrations are made: those with a pinned identity first, and older ones before younger ones.
#[must_use]
pub fn order(cluster: &K8sCluster) -> (bool, Option<Timestamp>) {
    let pinned = cluster.status.as_ref().is_some_and(|status| status.identity.is_some());
    (!pinned, cluster.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// Reads a Secret once, because a worker does not accept what was last read.
async fn read(client: kube::Client, name: SecretName, events: mpsc::UnboundedSender<Event>) {
    let state = secret_state(client, &name).await;
    let _ = events.send(Event::Secret(name, state));
}

/// What a Secret of the master holds now.
pub async fn secret_state(client: kube::Client, name: &SecretName) -> SecretState {
    let api: Api<Secret> = Api::namespaced(client, name.namespace.as_str());
    match call(api.get_opt(name.name.as_str())).await {
        Ok(Some(secret)) => SecretState::Read(secret.data.unwrap_or_default()),
        Ok(None) => SecretState::Absent,
        Err(fault) => SecretState::Unreadable(fault.to_string()),
    }
}
