//! Manifests of databases, for tests that need another one than the documents print.

use serde_json::{Value, json};

/// A `Cluster` of etcd, by pod names and on three members unless it is told otherwise.
#[derive(Clone, Debug)]
pub struct Manifest(Value);

impl Default for Manifest {
    fn default() -> Self {
        Self::new()
    }
}

impl Manifest {
    /// Three members, wherever Atoll places them.
    #[must_use]
    pub fn new() -> Self {
        Self(json!({
            "apiVersion": "apps.kubeblocks.io/v1alpha1",
            "kind": "Cluster",
            "metadata": { "namespace": "default", "generateName": "etcd", "annotations": {} },
            "spec": {
                "terminationPolicy": "WipeOut",
                "componentSpecs": [{
                    "componentDef": "etcd-0.9.0",
                    "name": "etcd",
                    "replicas": 3,
                    "resources": { "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "cpu": "1", "memory": "256Mi" } },
                    "volumeClaimTemplates": [{
                        "name": "data",
                        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
                    }],
                }],
            },
        }))
    }

    fn component(&mut self) -> &mut Value {
        &mut self.0["spec"]["componentSpecs"][0]
    }

    /// In these workers, in this order.
    #[must_use]
    pub fn placed(self, workers: &str) -> Self {
        self.annotated("apps.kubeblocks.io/multi-cluster-placement", workers)
    }

    /// With an annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][key] = value.into();
        self
    }

    /// Under exactly this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        if let Some(metadata) = self.0["metadata"].as_object_mut() {
            metadata.remove("generateName");
            metadata.insert("name".to_owned(), name.into());
        }
        self
    }

    /// On no node at all: Atoll does all that it does for a database, and this machine nothing.
    #[must_use]
    pub fn nowhere(self) -> Self {
        self.with("schedulingPolicy", json!({ "nodeSelector": { "lab.atoll.dev/nowhere": "true" } }))
    }

    /// With this termination policy.
    #[must_use]
    pub fn policy(mut self, policy: &str) -> Self {
        self.0["spec"]["terminationPolicy"] = policy.into();
        self
    }

    /// In this namespace of the master (and of the workers).
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.0["metadata"]["namespace"] = namespace.into();
        self
    }

    /// With a service for each member's peers.
    #[must_use]
    pub fn service(mut self, kind: &str, annotations: &Value) -> Self {
        self.component()["services"] =
            json!([{ "name": "peer", "serviceType": kind, "podService": true, "annotations": annotations }]);
        self
    }

    /// With a load balancer for each member.
    #[must_use]
    pub fn load_balanced(self) -> Self {
        self.service("LoadBalancer", &json!({ "apps.kubeblocks.io/multi-cluster-service-placement": "unique" }))
    }

    /// With something else in a field of the component.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.component()[field] = value;
        self
    }

    /// With a further component.
    #[must_use]
    pub fn and_component(mut self, name: &str) -> Self {
        let mut other = self.component().clone();
        other["name"] = name.into();
        if let Some(components) = self.0["spec"]["componentSpecs"].as_array_mut() {
            components.push(other);
        }
        self
    }

    /// As text that kubectl takes.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.to_string()
    }
}
