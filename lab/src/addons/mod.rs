//! What a cloud, or a person, would have installed in a cluster before Atoll came: storage, load balancer
//! addresses, and (as a stand-in that says it is one) Cilium's global Services.
//!
//! One process per cluster runs [`run`] inside the cluster's network namespace. Everything is level-triggered:
//! each add-on looks at the objects it watches, works out what is missing with a pure function, and does that.
//! Nothing is remembered but what the API server and the storage directory hold, so the process may be killed
//! at any moment, and a cluster in which nothing changes gets no writes at all.
//!
//! | module | what it does | its pure part |
//! |---|---|---|
//! | [`provisioner`] | a volume for each claim, bigger when the claim grows | [`volumes`] |
//! | [`loadbalancer`] | an address for each `LoadBalancer` Service | [`allocation`] |
//! | [`global_services`] | one Service over several clusters | [`mirror`] |

pub mod allocation;
pub mod config;
pub mod global_services;
pub mod loadbalancer;
pub mod mirror;
pub mod provisioner;
pub mod quantity;
pub mod volumes;

mod connection;
mod grumble;
mod level;
mod sight;

use std::path::PathBuf;

pub use config::{AddressRange, Balancer, Config, Peer};

use self::level::Addon;

/// The part of every label, annotation and provisioner name that says: this is the lab's.
pub const GROUP: &str = "lab.atoll.dev";

/// Why the add-ons of a cluster could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system gave no runtime (threads, timers, sockets).
    #[error("the add-ons of cluster {cluster} could not start their runtime: {source}")]
    Runtime {
        /// The cluster this process serves.
        cluster: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The directory for volumes cannot be made or used.
    #[error(
        "the add-ons of cluster {cluster} cannot use {} for volumes: {source}; make it a writable directory, \
         or name another one as storage_root", path.display()
    )]
    Storage {
        /// The cluster this process serves.
        cluster: String,
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// An add-on ended although it should run for ever.
    #[error("the {addon} of cluster {cluster} stopped: {reason}; see the log above, and start the add-ons again")]
    Stopped {
        /// The cluster this process serves.
        cluster: String,
        /// Which add-on.
        addon: &'static str,
        /// What is known about it.
        reason: String,
    },
}

/// Serves one cluster until the process is ended; returns only when that is impossible.
///
/// Logs go to stderr. An API server that cannot be reached is waited for, here and at the peers.
pub fn run(config: Config) -> Result<(), Error> {
    let cluster = config.cluster.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Runtime { cluster, source })?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Error> {
    std::fs::create_dir_all(&config.storage_root).map_err(|source| Error::Storage {
        cluster: config.cluster.clone(),
        path: config.storage_root.clone(),
        source,
    })?;
    let client = connection::wait_for_client(&config.cluster, &config.kubeconfig).await;
    log(&config.cluster, "add-ons serve this cluster");

    let mut addons = tokio::task::JoinSet::new();
    let services = sight::watch(&client, &config.cluster, "");
    spawn(&mut addons, provisioner::Provisioner::new(&config, &client));
    if config.balancer == Balancer::Lab {
        spawn(&mut addons, loadbalancer::LoadBalancer::new(&config, &client, services.clone()));
    }
    if config.global_services {
        spawn(&mut addons, global_services::GlobalServices::new(&config, &client, services));
    }
    let (addon, reason) = match addons.join_next().await {
        Some(Ok(name)) => (name, "its loop ended".to_owned()),
        Some(Err(error)) => ("add-on", error.to_string()),
        None => ("add-on", "none was started".to_owned()),
    };
    Err(Error::Stopped { cluster: config.cluster, addon, reason })
}

fn spawn(addons: &mut tokio::task::JoinSet<&'static str>, addon: impl Addon) {
    addons.spawn(async move {
        let name = addon.name();
        level::keep(addon).await;
        name
    });
}

/// One line on stderr; the process manager puts it in a file.
fn log(cluster: &str, line: &str) {
    eprintln!("addons {cluster}: {line}");
}
