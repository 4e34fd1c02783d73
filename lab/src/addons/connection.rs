//! Clients that wait for what is not there yet, and requests that end in time.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use http::header::{HeaderValue, USER_AGENT};
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use super::log;

/// An answer later than this is no answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// How soon a missing kubeconfig is looked for again.
const RETRY: Duration = Duration::from_secs(1);

/// A client that is being made; clones wait for the same one.
pub(super) type Connecting = Shared<BoxFuture<'static, Client>>;

/// Begins to make a client; nothing happens before somebody waits for it.
pub(super) fn connect(cluster: &str, kubeconfig: &Path) -> Connecting {
    let (cluster, kubeconfig) = (cluster.to_owned(), kubeconfig.to_owned());
    async move { wait_for_client(&cluster, &kubeconfig).await }.boxed().shared()
}

/// A client for a cluster whose kubeconfig may not be written yet.
pub(super) async fn wait_for_client(cluster: &str, kubeconfig: &Path) -> Client {
    let mut told = String::new();
    loop {
        match client(kubeconfig).await {
            Ok(client) => return client,
            Err(reason) if reason == told => {}
            Err(reason) => {
                log(cluster, &format!("waiting for a usable kubeconfig at {}: {reason}", kubeconfig.display()));
                told = reason;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn client(path: &Path) -> Result<Client, String> {
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| in_full(&error))?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| in_full(&error))?;
    config.connect_timeout = Some(Duration::from_secs(3));
    // Longer than a watch is silent, so only a dead connection is cut by it.
    config.read_timeout = Some(Duration::from_secs(30));
    // So that the audit log tells these requests from those of people and of Atoll.
    let agent = HeaderValue::from_static(concat!("atoll-lab-addons/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    Client::try_from(config).map_err(|error| in_full(&error))
}

/// An error with all that caused it: the outermost words alone seldom say what is wrong.
pub(super) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some errors repeat their cause.
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// Why a request did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The object is newer, gone, or already there: what the next pass sees decides.
    Stale,
    /// Anything else, in words.
    Refused(String),
}

/// Waits for an answer, but not for ever.
pub(super) async fn ask<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(DEADLINE, request).await {
        Err(_) => Err(Failure::Refused(format!("no answer within {} s", DEADLINE.as_secs()))),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Err(Failure::Stale),
        Ok(Err(error)) => Err(Failure::Refused(in_full(&error))),
    }
}
