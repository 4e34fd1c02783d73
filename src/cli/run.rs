//! `atoll run`: the controller.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Instant,
};

use clap::builder::TypedValueParser;
use jiff::Timestamp;
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{dialects::DialectName, logs, master};
use crate::{
    admin::{Carrier, Clients, Ladder, Patience},
    controller::{
        Reconciler, Shelf,
        guests::while_ours,
        lease::{self, Lease},
        run::rounds,
    },
    dialect::{Dialect, Settings, kubeblocks::Cluster},
    engine::etcd::versions::Mirror,
    metrics::Metrics,
    plan::name::{Namespace, WorkerName},
    server,
    worker::{
        connect::KubeConnect,
        contexts::Contexts,
        failpoint::Failpoint,
        gate::Gate,
        pool::{Master, Pool},
        registrar,
        registration::SecretNamespaces,
    },
};

/// What the controller can be told.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    master: master::Args,
    /// A Secret of type kubernetes.kubeconfig, key "kubeconfig": each context in it becomes a worker.
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    multi_cluster_kubeconfig: Option<String>,
    /// The contexts of that Secret to use; all of them if not given, also those added later.
    #[arg(long, value_name = "CONTEXT,…", value_delimiter = ',')]
    multi_cluster_contexts: Vec<String>,
    /// Namespaces, besides Atoll's own, whose Secrets a K8sCluster may name.
    #[arg(long, value_name = "NAMESPACE,…", value_delimiter = ',')]
    secret_namespaces: Vec<String>,
    /// A registry that stands in for another, for the images that Atoll chooses. May be repeated.
    #[arg(long, value_name = "FROM=TO", value_parser = clap::builder::StringValueParser::new().try_map(|text| text.parse::<Mirror>()))]
    registry_mirror: Vec<Mirror>,
    /// Atoll's own image, for jobs in workers: the last way to members that the master cannot reach otherwise.
    #[arg(long, value_name = "IMAGE")]
    job_image: Option<String>,
    /// Dialects to leave alone although their CRDs are ours.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    disable_dialects: Vec<DialectName>,
    /// Which installation this is: only CRDs with this in annotation atoll.dev/owner are served.
    #[arg(long, value_name = "NAME", default_value = super::crds::INSTALLATION)]
    installation: String,
    /// Where /metrics, /livez and /readyz are served.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// The Lease that only one controller holds.
    #[arg(long, value_name = "NAME", default_value = "atoll")]
    lease: String,
    /// What is logged: error, warn, info, debug, or a filter such as "info,atoll::worker=debug".
    #[arg(long, value_name = "FILTER", env = "ATOLL_LOG", default_value = "info,kube_client=off")]
    log: String,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = logs::Format::Text)]
    log_format: logs::Format,
    /// For tests: end, as by kill -9, after so many writes.
    #[arg(long, value_name = "N", hide = true)]
    crash_after_write: Option<u64>,
}

/// Runs until it is told to stop, or loses its lease.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    logs::start(&args.log, args.log_format)?;
    let failpoint = args.crash_after_write.map(Failpoint::after).unwrap_or_default();
    let master = args.master.connect(&failpoint).await?;
    let metrics = Metrics::new();
    let health = server::Health::default();
    let serving = server::serve(args.listen, metrics.clone(), health.clone()).await?;
    tracing::info!(master = %master.uid, namespace = %master.namespace, listen = %args.listen, "started");

    let lease = Lease::new(&master.client, master.namespace.as_str(), &args.lease);
    let stopping = CancellationToken::new();
    let stop = async {
        super::stop::asked().await;
        tracing::info!("asked to stop; rounds that have begun come to their end");
        health.stop();
        stopping.cancel();
    };
    let worked = lease
        .lead(stop, &metrics, |gate| {
            health.lead();
            control(&args, &master, &metrics, failpoint.clone(), gate, stopping.clone())
        })
        .await;
    serving.abort();
    match worked {
        lease::Ended::Stopped => Ok(ExitCode::SUCCESS),
        lease::Ended::Lost => {
            Err("the lease was lost; this process ends, so that only its successor writes".to_owned())
        }
    }
}

/// The controller proper, while the lease is held.
async fn control(
    args: &Args,
    master: &Master,
    metrics: &Metrics,
    failpoint: Failpoint,
    gate: Arc<dyn Gate>,
    stopping: CancellationToken,
) {
    let (wake, wakes) = mpsc::unbounded_channel();
    let (notices, noticed) = mpsc::unbounded_channel();
    let connect = Arc::new(KubeConnect { failpoint, metrics: metrics.clone() });
    let pool = Pool::new(connect, master.clone(), gate.clone(), wake.clone(), notices);
    let carrier = Carrier::new(Arc::new(PoolClients(pool.clone())), args.job_image.clone());
    let reporter = Reporter { controller: "atoll".to_owned(), instance: None };
    let clusters = Arc::new(Reconciler::<Cluster> {
        master: master.clone(),
        pool: pool.clone(),
        ladder: Arc::new(Ladder::new(Arc::new(carrier), Patience::default())),
        shelf: Shelf::default(),
        gate: gate.clone(),
        recorder: Recorder::new(master.client.clone(), reporter),
        metrics: metrics.clone(),
        settings: Settings { mirrors: args.registry_mirror.clone() },
        answers: Arc::default(),
        wake: wake.clone(),
        started: Instant::now(),
        since: Timestamp::now(),
        unsettled: Mutex::default(),
    });
    let registering = registrar::run(pool, gate, registrar_settings(args, master, &clusters), noticed);
    let kubeblocks = async {
        if args.disable_dialects.contains(&DialectName::Kubeblocks) {
            return std::future::pending().await;
        }
        let name = Cluster::KIND.plural();
        let follow = || clusters.shelf.follow(master.client.clone(), &wake);
        while_ours(master.client.clone(), name, &args.installation, metrics, follow).await;
    };
    let rounds = rounds(clusters.clone(), wakes, metrics.clone(), stopping.cancelled());
    tokio::select! {
        () = registering => {}
        () = kubeblocks => {}
        () = rounds => {}
    }
}

fn registrar_settings(args: &Args, master: &Master, clusters: &Arc<Reconciler<Cluster>>) -> registrar::Settings {
    let clusters = clusters.clone();
    let secret = args.multi_cluster_kubeconfig.as_deref();
    registrar::Settings {
        namespaces: SecretNamespaces {
            own: master.namespace.clone(),
            listed: args.secret_namespaces.iter().map(|name| Namespace::from(name.as_str())).collect::<BTreeSet<_>>(),
        },
        contexts: secret
            .map(|secret| Contexts::new(secret, args.multi_cluster_contexts.iter().cloned(), &master.namespace)),
        in_use: Arc::new(move |worker: &WorkerName| clusters.shelf.may_have_member_in(worker)),
    }
}

struct PoolClients(Pool);

impl Clients for PoolClients {
    fn client(&self, worker: &WorkerName) -> Option<Client> {
        self.0.client(worker)
    }
}
