//! Dialects are guests: each lives while the CRDs of its group are there and are ours, and is silent otherwise.

use std::{future::Future, pin::pin};

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};

use super::claim::{Standing, judge};
use crate::metrics::Metrics;

/// Runs `live` anew each time that the CRD of this name becomes ours, and drops it when it no longer is.
///
/// A CRD that is being deleted is still ours: its resources are held (DECISIONS 7), and somebody must say so.
pub async fn while_ours<F: Future<Output = ()>>(
    client: Client,
    name: &str,
    installation: &str,
    metrics: &Metrics,
    live: impl Fn() -> F,
) {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watcher(api, only).default_backoff());
    let mut found = None;
    let mut living = None;
    let mut told = None;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = go_on(&mut living) => continue,
        };
        match event {
            Some(Ok(watcher::Event::Init)) => {
                found = None;
                continue;
            }
            Some(Ok(watcher::Event::InitApply(crd))) => {
                found = Some(crd);
                continue;
            }
            Some(Ok(watcher::Event::Apply(crd))) => found = Some(crd),
            Some(Ok(watcher::Event::Delete(_))) => found = None,
            Some(Ok(watcher::Event::InitDone)) => {}
            Some(Err(error)) => {
                tracing::warn!(crd = name, %error, "the watch of a CRD failed; it is tried again");
                continue;
            }
            None => return,
        }
        let standing = judge(found.as_ref(), installation);
        metrics.dialect(name, &standing);
        if told.as_ref() != Some(&standing) {
            match &standing {
                Standing::Ours => tracing::info!(crd = name, "served"),
                standing => tracing::warn!(crd = name, %standing, "not served: neither watched nor written"),
            }
            living = matches!(standing, Standing::Ours).then(|| Box::pin(live()));
            told = Some(standing);
        }
    }
}

/// Drives what lives, and waits for ever where nothing does.
async fn go_on<F: Future<Output = ()>>(living: &mut Option<std::pin::Pin<Box<F>>>) {
    match living {
        Some(running) => {
            running.await;
            *living = None;
        }
        None => std::future::pending().await,
    }
}
