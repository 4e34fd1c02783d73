//! The way into the master.

use std::path::PathBuf;

use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{
    plan::name::Namespace,
    worker::{
        connect::agent,
        contact::identity,
        failpoint::Failpoint,
        fault::{Fault, root_of},
        pool::Master,
        timing,
    },
};

/// Where kube looks for a proxy.
const PROXIES: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];

fn is_named_by(variable: &str, proxy: &http::Uri) -> bool {
    std::env::var(variable).is_ok_and(|value| value.parse::<http::Uri>().is_ok_and(|named| named == *proxy))
}

/// Which cluster is the master.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The master's kubeconfig. Without it: $KUBECONFIG, ~/.kube/config, or the pod's own service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context in it; its current one if not given.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The namespace that Atoll runs in: its Lease and its kubeconfig Secrets are there.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    namespace: Option<String>,
}

impl Args {
    /// Connects to the master.
    pub async fn client(&self, failpoint: &Failpoint) -> Result<(Client, Namespace), String> {
        let mut config = self.config().await?;
        // kube takes a proxy from the environment too, and then fails, because it is built without any here.
        config.proxy_url = config.proxy_url.filter(|proxy| !PROXIES.iter().any(|name| is_named_by(name, proxy)));
        config.connect_timeout = Some(timing::CONNECT_DEADLINE);
        config.read_timeout = None;
        config.default_retry = false;
        config.headers.push(agent());
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let builder = ClientBuilder::try_from(config).map_err(|error| format!("the master's kubeconfig: {error}"))?;
        Ok((builder.with_layer(failpoint).build(), Namespace::new(namespace)))
    }

    /// Connects to the master and learns who it is.
    pub async fn connect(&self, failpoint: &Failpoint) -> Result<Master, String> {
        let (client, namespace) = self.client(failpoint).await?;
        let uid = identity(&client, timing::CALL_DEADLINE)
            .await
            .map_err(|fault| format!("the master cannot be reached: {fault}"))?;
        Ok(Master { uid, client, namespace })
    }

    async fn config(&self) -> Result<Config, String> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let told = |error: &dyn std::error::Error| root_of(error);
        match &self.kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(path)
                    .map_err(|_| format!("{} is no kubeconfig that can be read", path.display()))?;
                Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(|error| format!("{}: {}", path.display(), told(&error)))
            }
            None if self.context.is_some() => {
                Config::from_kubeconfig(&options).await.map_err(|error| format!("the kubeconfig: {}", told(&error)))
            }
            None => Config::infer().await.map_err(|error| {
                format!("neither a kubeconfig nor a pod's service account leads to the master: {}", told(&error))
            }),
        }
    }
}

/// Why a database was not read, for people.
pub fn unread_database(called: &str, fault: &Fault) -> String {
    if fault.is_not_found() {
        format!("there is no database {called}; `atoll status` lists those there are")
    } else {
        format!("database {called} cannot be read: {fault}")
    }
}
