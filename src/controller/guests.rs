//! Dialects are guests: each lives while the CRDs of its group are there and are ours, and is silent otherwise.

use std::{future::Future, pin::pin};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};
use tokio::sync::mpsc;

use super::claim::{Standing, judge};
use crate::{
    metrics::Metrics,
    worker::{
        fault::Fault,
        timing,
        watch::{Scope, Sink, follow},
    },
};

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
    let only = Scope {
        fields: Some(format!("metadata.name={name}")),
        seconds: timing::WATCH_SECONDS_HTTP1,
        ..Scope::default()
    };
    let (events, mut heard) = mpsc::unbounded_channel();
    let mut following = pin!(follow(name, api, only, OneKind { name, events }));
    let mut living = None;
    let mut told = None;
    loop {
        let found = tokio::select! {
            () = &mut following => return,
            found = heard.recv() => found.flatten(),
            () = go_on(&mut living) => continue,
        };
        let standing = judge(found.as_deref(), installation);
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

/// The watch of one CRD: what it is now, if it is there.
struct OneKind<'a> {
    name: &'a str,
    events: mpsc::UnboundedSender<Option<Box<CustomResourceDefinition>>>,
}

impl OneKind<'_> {
    fn send(&self, found: Option<CustomResourceDefinition>) {
        // The receiver lives as long as the watch.
        let _ = self.events.send(found.map(Box::new));
    }
}

impl Sink<CustomResourceDefinition> for OneKind<'_> {
    type Item = CustomResourceDefinition;

    fn project(&self, crd: CustomResourceDefinition) -> Option<Self::Item> {
        Some(crd)
    }

    fn listed(&mut self, mut found: Vec<Self::Item>, _version: &str) {
        self.send(found.pop());
    }

    fn applied(&mut self, crd: CustomResourceDefinition) {
        self.send(Some(crd));
    }

    fn deleted(&mut self, _crd: CustomResourceDefinition) {
        self.send(None);
    }

    fn bookmark(&mut self, _version: &str) {}

    fn failed(&mut self, fault: &Fault, failures: u32) {
        if failures.is_power_of_two() {
            tracing::warn!(crd = self.name, "a CRD cannot be watched ({failures} times in a row): {fault}");
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
