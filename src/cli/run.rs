//! `atoll run`: the controller.

use std::{collections::BTreeSet, net::SocketAddr, process::ExitCode, sync::Arc};

use clap::builder::TypedValueParser;

use super::{dialects::DialectName, kubeconfigs, logs, master};
use crate::{
    admin::{Ask, Carrier},
    controller::lease,
    dialect,
    engine::etcd::versions::Mirror,
    metrics::Metrics,
    operator::{self, Settings, Surroundings},
    plan::name::Namespace,
    server,
    worker::{
        allowances::Allowances, connect::KubeConnect, contexts::Contexts, failpoint::Failpoint, pool::Master,
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
    #[command(flatten)]
    kubeconfigs: kubeconfigs::Args,
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
    let allowances = args.kubeconfigs.allowances()?;
    let failpoint = args.crash_after_write.map(Failpoint::after).unwrap_or_default();
    let master = args.master.connect(&failpoint).await?;
    let metrics = Metrics::new();
    let health = server::Health::default();
    let serving = server::serve(args.listen, metrics.clone(), health.clone()).await?;
    tracing::info!(master = %master.uid, namespace = %master.namespace, listen = %args.listen, "started");

    let settings = settings(&args, &master, allowances);
    let addresses = args.kubeconfigs.addresses();
    let job_image = args.job_image;
    let surroundings = Surroundings {
        connect: Arc::new(KubeConnect { failpoint, metrics: metrics.clone(), addresses }),
        ask: Box::new(move |clients| Arc::new(Carrier::new(clients, job_image)) as Arc<dyn Ask>),
        metrics,
        health,
    };
    let ended = operator::run(master, settings, surroundings, super::stop::asked()).await;
    serving.abort();
    match ended {
        lease::Ended::Stopped => Ok(ExitCode::SUCCESS),
        lease::Ended::Lost => {
            Err("the lease was lost; this process ends, so that only its successor writes".to_owned())
        }
    }
}

fn settings(args: &Args, master: &Master, kubeconfigs: Allowances) -> Settings {
    let secret = args.multi_cluster_kubeconfig.as_deref();
    Settings {
        installation: args.installation.clone(),
        lease: args.lease.clone(),
        identity: lease::identity(),
        secrets: SecretNamespaces {
            own: master.namespace.clone(),
            listed: args.secret_namespaces.iter().map(|name| Namespace::from(name.as_str())).collect::<BTreeSet<_>>(),
        },
        kubeconfigs,
        contexts: secret
            .map(|secret| Contexts::new(secret, args.multi_cluster_contexts.iter().cloned(), &master.namespace)),
        manifests: dialect::Settings { mirrors: args.registry_mirror.clone() },
        disabled: args.disable_dialects.iter().map(|dialect| dialect.database()).collect(),
        jitter: u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15),
    }
}
