//! What people do: register workers, create and delete databases, look at them, wait.

use std::time::Duration;

use atoll::dialect::{k8scluster::crd::K8sCluster, kubeblocks::Cluster};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::Stage;
use crate::{check::condition_of, lives::NAMESPACE, tape::Site};

/// How long anything may take that should happen (B of the liveness properties: five minutes).
pub const PATIENCE: Duration = Duration::from_mins(5);
/// The namespace of databases, unless they name another.
pub const DATABASES: &str = "default";

/// A database that a person wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its members.
    pub replicas: u32,
    /// In which workers, in order; all of them where none is named.
    pub workers: Vec<Site>,
    /// How members know each other.
    pub services: Services,
    /// What its deletion leaves.
    pub policy: &'static str,
}

/// How members know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Services {
    /// By a load balancer each.
    LoadBalancers,
    /// By services that are the same in every worker.
    Global,
    /// By node ports.
    NodePorts,
}

impl Wanted {
    /// Three members behind load balancers, of which nothing stays.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            replicas: 3,
            workers: Vec::new(),
            services: Services::LoadBalancers,
            policy: "WipeOut",
        }
    }

    /// So many members.
    #[must_use]
    pub fn of(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// In these workers.
    #[must_use]
    pub fn within(mut self, workers: &[&Site]) -> Self {
        self.workers = workers.iter().map(|site| (*site).clone()).collect();
        self
    }

    /// With this termination policy.
    #[must_use]
    pub fn leaving(mut self, policy: &'static str) -> Self {
        self.policy = policy;
        self
    }

    /// With these services.
    #[must_use]
    pub fn known_by(mut self, services: Services) -> Self {
        self.services = services;
        self
    }

    /// The manifest, as document 001 has it.
    pub fn manifest(&self) -> Value {
        let service = match self.services {
            Services::LoadBalancers => json!({ "name": "peer", "serviceType": "LoadBalancer", "podService": true,
                "annotations": { "apps.kubeblocks.io/multi-cluster-service-placement": "unique" } }),
            Services::Global => json!({ "name": "peer", "serviceType": "ClusterIP", "podService": true,
                "annotations": { "service.cilium.io/global": "true" } }),
            Services::NodePorts => json!({ "name": "peer", "serviceType": "NodePort", "podService": true,
                "annotations": { "apps.kubeblocks.io/multi-cluster-service-placement": "unique" } }),
        };
        let mut manifest = json!({
            "apiVersion": "apps.kubeblocks.io/v1alpha1",
            "kind": "Cluster",
            "metadata": { "namespace": DATABASES, "name": self.name, "annotations": {} },
            "spec": {
                "terminationPolicy": self.policy,
                "componentSpecs": [{
                    "componentDef": "etcd-0.9.0",
                    "name": "etcd",
                    "replicas": self.replicas,
                    "resources": { "limits": { "cpu": "100m", "memory": "100M" }, "requests": { "cpu": "100m", "memory": "100M" } },
                    "volumeClaimTemplates": [{ "name": "data", "spec": { "accessModes": ["ReadWriteOnce"],
                        "resources": { "requests": { "storage": "1Gi" } } } }],
                    "services": [service],
                }],
            },
        });
        if !self.workers.is_empty() {
            let placement = self.workers.join(",");
            manifest["metadata"]["annotations"]["apps.kubeblocks.io/multi-cluster-placement"] = placement.into();
        }
        manifest
    }
}

/// What people do. Each call says so on the tape. A refusal by the API server is the caller's to expect.
pub trait People: Stage {
    /// Registers a worker under its own name.
    fn register(&self, site: &Site) -> impl Future<Output = ()> {
        async move { self.register_as(site, site).await }
    }

    /// Registers a worker under a name, with its kubeconfig in a Secret of Atoll's namespace.
    fn register_as(&self, site: &Site, name: &str) -> impl Future<Output = ()> {
        async move {
            self.say(&format!("registers {site} as {name}"));
            self.put_kubeconfig(name, &self.kubeconfig(site)).await;
            let (clusters, cluster) = (self.registrations(), registration(name));
            until_done(self, "a K8sCluster is registered", async || {
                clusters.create(&PostParams::default(), &cluster).await
            })
            .await;
        }
    }

    /// Writes the Secret that holds a worker's kubeconfig.
    fn put_kubeconfig(&self, name: &str, kubeconfig: &str) -> impl Future<Output = ()> {
        async move {
            let secrets: Api<Secret> = Api::namespaced(self.person(&self.master()), NAMESPACE);
            let name = format!("kubeconfig-{name}");
            let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name },
                "data": { "kubeconfig": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, kubeconfig) } });
            let params = PatchParams::apply("person").force();
            until_done(self, "a Secret is written", async || {
                secrets.patch(&name, &params, &Patch::Apply(&secret)).await
            })
            .await;
        }
    }

    /// Registers every worker, and waits until each is ready.
    fn register_all(&self) -> impl Future<Output = ()> {
        async move {
            for site in self.workers() {
                self.register(&site).await;
            }
            for site in self.workers() {
                self.until(&format!("{site} is ready"), async || {
                    self.worker_condition(&site, "Ready").await.0 == "True"
                })
                .await;
            }
        }
    }

    /// Creates a database.
    fn create(&self, wanted: &Wanted) -> impl Future<Output = ()> {
        async move {
            self.say(&format!("creates {}", wanted.name));
            let manifest: Cluster = serde_json::from_value(wanted.manifest()).expect("a Cluster");
            let api = self.databases();
            until_done(self, "a database is created", async || api.create(&PostParams::default(), &manifest).await)
                .await;
        }
    }

    /// Creates a database as a manifest has it, in the namespace that it names.
    fn create_manifest(&self, manifest: &Value) -> impl Future<Output = ()> {
        async move {
            let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
            let namespace = manifest["metadata"]["namespace"].as_str().unwrap_or(DATABASES);
            self.say(&format!("creates {namespace}/{name}: {}", manifest["spec"]));
            let database: Cluster = serde_json::from_value(manifest.clone()).expect("a Cluster");
            let api: Api<Cluster> = Api::namespaced(self.person(&self.master()), namespace);
            let create = async || api.create(&PostParams::default(), &database).await;
            until_done(self, "a database is created", create).await;
        }
    }

    /// Creates a database and waits until it runs.
    fn run(&self, wanted: &Wanted) -> impl Future<Output = ()> {
        async move {
            self.create(wanted).await;
            self.until_phase(&wanted.name, "Running").await;
        }
    }

    /// Deletes a database.
    fn delete(&self, name: &str) -> impl Future<Output = ()> {
        async move {
            self.say(&format!("deletes {name}"));
            let (api, name) = self.named(name);
            until_done(self, "a deletion is asked for", async || api.delete(name, &DeleteParams::default()).await)
                .await;
        }
    }

    /// Changes a database's manifest by a merge patch.
    fn edit(&self, name: &str, patch: Value) -> impl Future<Output = ()> {
        async move {
            self.say(&format!("edits {name}: {patch}"));
            let (api, name) = self.named(name);
            let params = PatchParams::default();
            until_done(self, "an edit is made", async || api.patch(name, &params, &Patch::Merge(&patch)).await).await;
        }
    }

    /// The registrations' API.
    fn registrations(&self) -> Api<K8sCluster> {
        Api::all(self.person(&self.master()))
    }

    /// The databases' API.
    fn databases(&self) -> Api<Cluster> {
        Api::namespaced(self.person(&self.master()), DATABASES)
    }

    /// A database's API and its own name: `a` is in the databases' namespace, `shop/a` in another one.
    fn named<'a>(&self, name: &'a str) -> (Api<Cluster>, &'a str) {
        match name.split_once('/') {
            Some((namespace, name)) => (Api::namespaced(self.person(&self.master()), namespace), name),
            None => (self.databases(), name),
        }
    }

    /// A database, if it is there.
    fn database(&self, name: &str) -> impl Future<Output = Option<Cluster>> {
        async move {
            let (api, name) = self.named(name);
            api.get_opt(name).await.ok().flatten()
        }
    }

    /// A database as JSON; null where there is none.
    fn resource(&self, name: &str) -> impl Future<Output = Value> {
        async move { as_json(self.database(name).await) }
    }

    /// The phase of a database; empty for none.
    fn phase(&self, name: &str) -> impl Future<Output = String> {
        async move { self.resource(name).await["status"]["phase"].as_str().unwrap_or_default().to_owned() }
    }

    /// Status, reason and message of a database's condition; empty where there is none.
    fn condition(&self, name: &str, kind: &str) -> impl Future<Output = (String, String, String)> {
        async move { told(&self.resource(name).await, kind) }
    }

    /// The same of a worker's registration.
    fn worker_condition(&self, name: &str, kind: &str) -> impl Future<Output = (String, String, String)> {
        async move { told(&as_json(self.registrations().get_opt(name).await.ok().flatten()), kind) }
    }

    /// Waits for a phase.
    fn until_phase(&self, name: &str, phase: &str) -> impl Future<Output = ()> {
        async move { self.until(&format!("{name} is {phase}"), async || self.phase(name).await == phase).await }
    }

    /// Waits until a database's resource is gone.
    fn until_gone(&self, name: &str) -> impl Future<Output = ()> {
        async move {
            let (api, short) = self.named(name);
            let gone = async || matches!(api.get_opt(short).await, Ok(None));
            self.until(&format!("{name} is gone"), gone).await;
        }
    }

    /// Waits until something is so, at most five minutes. That it never becomes so fails the scenario.
    fn until(&self, what: &str, so: impl AsyncFn() -> bool) -> impl Future<Output = ()> {
        async move {
            let mut waited = Duration::ZERO;
            while !so().await {
                assert!(waited < PATIENCE, "L1: not within five minutes: {what}");
                let pause = Duration::from_millis(500);
                self.sleep(pause).await;
                waited += pause;
            }
        }
    }

    /// Watches that something stays so.
    fn stays(&self, what: &str, long: Duration, so: impl AsyncFn() -> bool) -> impl Future<Output = ()> {
        async move {
            let mut waited = Duration::ZERO;
            while waited < long {
                assert!(so().await, "after {waited:?} no longer: {what}");
                let pause = Duration::from_secs(1);
                self.sleep(pause).await;
                waited += pause;
            }
        }
    }

    /// Makes a namespace.
    fn make_namespace(&self, site: &Site, name: &str) -> impl Future<Output = ()> {
        async move {
            let api: Api<Namespace> = Api::all(self.person(site));
            let namespace = Namespace {
                metadata: kube::core::ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
                ..Namespace::default()
            };
            match api.create(&PostParams::default(), &namespace).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => panic!("namespace {name} in {site}: {error}"),
            }
        }
    }
}

impl<S: Stage> People for S {}

/// A worker's registration under a name, whose kubeconfig [`People::put_kubeconfig`] writes.
pub fn registration(name: &str) -> K8sCluster {
    let registration = json!({
        "apiVersion": "k8s.oceanbase.com/v1alpha1", "kind": "K8sCluster", "metadata": { "name": name },
        "spec": { "name": name, "kubeConfigSecretRef": { "name": format!("kubeconfig-{name}") } },
    });
    serde_json::from_value(registration).expect("a K8sCluster")
}

fn as_json(resource: Option<impl serde::Serialize>) -> Value {
    resource.and_then(|resource| serde_json::to_value(resource).ok()).unwrap_or_default()
}

fn told(object: &Value, kind: &str) -> (String, String, String) {
    let condition = condition_of(object, kind);
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

/// Tries until the API server has done it: people try again when a cluster is away.
async fn until_done<T>(stage: &(impl Stage + ?Sized), what: &str, work: impl AsyncFn() -> kube::Result<T>) {
    for _ in 0..120 {
        match work().await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 409 => {
                panic!("{what}: refused: {}", status.message)
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => return,
            Err(_) => stage.sleep(Duration::from_secs(1)).await,
        }
    }
    panic!("{what}: not within two minutes");
}
