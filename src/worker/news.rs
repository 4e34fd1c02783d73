//! What the registrar hears: the watches of the `K8sCluster`s and of each Secret that they name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use tokio::sync::mpsc;

use super::{
    fault::Fault,
    registration::{SecretName, SecretState, is_of_mark},
    watch::Sink,
};
use crate::{dialect::k8scluster::crd::K8sCluster, plan::name::WorkerName};

/// One piece of news from the master.
pub(super) enum Event {
    /// All registrations there are.
    Listed(BTreeMap<WorkerName, K8sCluster>),
    /// One is there, or has changed.
    Applied(Box<K8sCluster>),
    /// One went.
    Deleted(WorkerName),
    /// What is known of a Secret.
    Secret(SecretName, SecretState),
}

/// The watch of all `K8sCluster`s.
pub(super) struct Clusters(pub mpsc::UnboundedSender<Event>);

impl Clusters {
    fn send(&self, event: Event) {
        // The receiver lives as long as the watch.
        let _ = self.0.send(event);
    }
}

impl Sink<K8sCluster> for Clusters {
    type Item = K8sCluster;

    fn project(&self, mut cluster: K8sCluster) -> Option<K8sCluster> {
        // Of the field managers' bookkeeping only the age of a mark is of use here, of kubectl's copy of the kubeconfig nothing.
        if let Some(entries) = &mut cluster.metadata.managed_fields {
            entries.retain(is_of_mark);
        }
        cluster.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
        Some(cluster)
    }

    fn listed(&mut self, clusters: Vec<K8sCluster>, _version: &str) {
        let by_name = clusters.into_iter().map(|cluster| (WorkerName::new(cluster.name_any()), cluster)).collect();
        self.send(Event::Listed(by_name));
    }

    fn applied(&mut self, cluster: K8sCluster) {
        if let Some(cluster) = self.project(cluster) {
            self.send(Event::Applied(Box::new(cluster)));
        }
    }

    fn deleted(&mut self, cluster: K8sCluster) {
        self.send(Event::Deleted(WorkerName::new(cluster.name_any())));
    }

    fn bookmark(&mut self, _version: &str) {}

    fn failed(&mut self, fault: &Fault, failures: u32) {
        if failures.is_power_of_two() {
            tracing::warn!("the K8sClusters cannot be watched ({failures} times in a row): {fault}");
        }
    }
}

/// The watch of one Secret.
pub(super) struct OneSecret {
    pub name: SecretName,
    pub events: mpsc::UnboundedSender<Event>,
}

impl OneSecret {
    fn send(&self, state: SecretState) {
        let _ = self.events.send(Event::Secret(self.name.clone(), state));
    }
}

impl Sink<Secret> for OneSecret {
    type Item = SecretState;

    fn project(&self, secret: Secret) -> Option<SecretState> {
        Some(SecretState::Read(secret.data.unwrap_or_default()))
    }

    fn listed(&mut self, mut secrets: Vec<SecretState>, _version: &str) {
        self.send(secrets.pop().unwrap_or(SecretState::Absent));
    }

    fn applied(&mut self, secret: Secret) {
        self.send(SecretState::Read(secret.data.unwrap_or_default()));
    }

    fn deleted(&mut self, _secret: Secret) {
        self.send(SecretState::Absent);
    }

    fn bookmark(&mut self, _version: &str) {}

    fn failed(&mut self, fault: &Fault, failures: u32) {
        if failures.is_power_of_two() {
            tracing::warn!("Secret {} cannot be watched ({failures} times in a row): {fault}", self.name);
        }
        self.send(SecretState::Unreadable(fault.to_string()));
    }
}
