//! One instance of the whole controller: it waits for the lease, then registers workers, watches, and goes round.
//!
//! What touches a network comes in from outside ([`Surroundings`]): `atoll run` hands in real connections, the
//! simulation its own. Everything else, from the lease to the last write, is this code in both.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Instant,
};

use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{Ask, Clients, Ladder, Patience},
    controller::{
        Reconciler, Shelf, Waiting,
        census::Census,
        guests::while_ours,
        lease::{Ended, Identity, Lease, Times},
        run::rounds,
        sweep::{self, Sweeper},
    },
    dialect::{self, Dialect, kubeblocks::Cluster},
    metrics::Metrics,
    plan::{database::DatabaseKind, name::WorkerName},
    server::Health,
    worker::{
        allowances::Allowances,
        connect::Connect,
        contexts::Contexts,
        gate::Gate,
        ledger::Ledger,
        pool::{Master, Pool},
        registrar,
        registration::SecretNamespaces,
    },
};

/// What an installation decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which installation this is: only CRDs that name it in annotation `atoll.dev/owner` are served.
    pub installation: String,
    /// The Lease that only one instance holds.
    pub lease: String,
    /// This instance's name in it.
    pub identity: Identity,
    /// Where kubeconfig Secrets may be.
    pub secrets: SecretNamespaces,
    /// What kubeconfigs may do beyond the ordinary.
    pub kubeconfigs: Allowances,
    /// The Secret of many contexts, if one is named.
    pub contexts: Option<Contexts>,
    /// What is added to every manifest.
    pub manifests: dialect::Settings,
    /// Kinds of database that are left alone although their CRDs are ours.
    pub disabled: BTreeSet<DatabaseKind>,
    /// Sets the retries of this instance apart from those of another one.
    pub jitter: u64,
}

/// Makes the way to members, which may lead through the workers' clients.
pub type MakeAsk = Box<dyn FnOnce(Arc<dyn Clients>) -> Arc<dyn Ask> + Send>;

/// What lies outside: workers, members, and whoever scrapes.
pub struct Surroundings {
    /// The way to workers.
    pub connect: Arc<dyn Connect>,
    /// The way to members.
    pub ask: MakeAsk,
    /// What is counted.
    pub metrics: Metrics,
    /// How the process is.
    pub health: Health,
}

/// Runs until `stop` ends, or the lease is lost: then the process must end, so that only its successor writes.
pub async fn run(
    master: Master,
    settings: Settings,
    surroundings: Surroundings,
    stop: impl Future<Output = ()>,
) -> Ended {
    let lease = Lease::with(
        &master.client,
        master.namespace.as_str(),
        &settings.lease,
        settings.identity.clone(),
        Times::default(),
    );
    let stopping = CancellationToken::new();
    let (metrics, health) = (surroundings.metrics.clone(), surroundings.health.clone());
    let stop = async {
        stop.await;
        tracing::info!("asked to stop; rounds that have begun come to their end");
        health.stop();
        stopping.cancel();
    };
    let work = |gate| {
        health.lead();
        Box::pin(lead(master, settings, surroundings, gate, stopping.clone()))
    };
    lease.lead(stop, &metrics, work).await
}

/// What is done while the lease is held.
async fn lead(
    master: Master,
    settings: Settings,
    surroundings: Surroundings,
    gate: Arc<dyn Gate>,
    stopping: CancellationToken,
) {
    let Surroundings { connect, ask, metrics, .. } = surroundings;
    let (wake, wakes) = mpsc::unbounded_channel();
    let (notices, noticed) = mpsc::unbounded_channel();
    let ledger = Arc::new(Ledger::new(master.client.clone(), gate.clone(), notices.clone()));
    let pool = Pool::new(connect, master.clone(), gate.clone(), wake.clone(), notices);
    let _ended_with_this = pool.tasks();
    let ask = ask(Arc::new(PoolClients(pool.clone())));
    let reporter = Reporter { controller: "atoll".to_owned(), instance: None };
    let clusters = Arc::new(Reconciler::<Cluster> {
        master: master.clone(),
        pool: pool.clone(),
        ladder: Arc::new(Ladder::new(ask, Patience::default())),
        shelf: Shelf::default(),
        gate: gate.clone(),
        recorder: Recorder::new(master.client.clone(), reporter),
        metrics: metrics.clone(),
        settings: settings.manifests,
        answers: Arc::default(),
        wake: wake.clone(),
        started: Instant::now(),
        known: Mutex::default(),
        ledger: ledger.clone(),
        used: Mutex::default(),
        waiting: Waiting::default(),
        unsettled: Mutex::default(),
    });
    let census = Census(vec![clusters.clone()]);
    let sweeping = sweep::run(Sweeper { pool: pool.clone(), ledger: ledger.clone(), census: census.clone() });
    let registering = registrar::Settings {
        namespaces: settings.secrets,
        kubeconfigs: settings.kubeconfigs,
        metrics: metrics.clone(),
        contexts: settings.contexts,
        users: Arc::new(move |worker: &WorkerName| census.users(worker)),
        ledger,
    };
    let registering = registrar::run(pool, gate, registering, noticed);
    let kubeblocks = async {
        if settings.disabled.contains(&Cluster::KIND) {
            return std::future::pending().await;
        }
        let name = Cluster::KIND.plural();
        let follow = || clusters.shelf.follow(master.client.clone(), &wake);
        while_ours(master.client.clone(), name, &settings.installation, &metrics, follow).await;
    };
    let rounds = rounds(clusters.clone(), wakes, metrics.clone(), stopping.cancelled(), settings.jitter);
    tokio::select! {
        () = registering => {}
        () = kubeblocks => {}
        () = sweeping => {}
        () = rounds => {}
    }
}

struct PoolClients(Pool);

impl Clients for PoolClients {
    fn client(&self, worker: &WorkerName) -> Option<Client> {
        // A question may be a job, which is a write; and what a marked worker's members say is not believed anyway.
        self.0.client(worker).filter(|_| !self.0.is_set_aside(worker))
    }

    fn gate(&self) -> &dyn Gate {
        self.0.gate()
    }
}
