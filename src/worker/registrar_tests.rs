//! The registrar between a master and workers in memory.

use std::{sync::Arc, time::Duration};

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use super::{
    contexts::Contexts,
    gate::Open,
    ledger::Ledger,
    pool::{Master, Pool},
    registrar::{self, Settings},
    registration::SecretNamespaces,
    testing::{Cluster, Clusters, kubeconfig},
};
use crate::plan::{
    name::{Namespace, Uid, WorkerName},
    usage::{User, Users},
};

struct World {
    master: Cluster,
    clusters: Clusters,
    pool: Pool,
    task: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    fn new(contexts: Option<Contexts>, used: &'static [&'static str]) -> Self {
        let (master, clusters) = (Cluster::new("master-uid"), Clusters::default());
        let (wake, _) = mpsc::unbounded_channel();
        let (notice, notices) = mpsc::unbounded_channel();
        let namespace = Namespace::from("default");
        let ledger = Arc::new(Ledger::new(master.client(), Arc::new(Open), notice.clone()));
        let known = Master { uid: Uid::from("master-uid"), client: master.client(), namespace: namespace.clone() };
        let pool = Pool::new(Arc::new(clusters.clone()), known, Arc::new(Open), wake, notice);
        let settings = Settings {
            namespaces: SecretNamespaces { own: namespace, listed: [].into() },
            contexts,
            users: Arc::new(|name| used_by(used, name)),
            ledger,
        };
        let task = tokio::spawn(registrar::run(pool.clone(), Arc::new(Open), settings, notices));
        Self { master, clusters, pool, task }
    }

    fn worker(&self, host: &str) -> Cluster {
        let cluster = Cluster::new(&format!("uid-of-{host}"));
        self.clusters.add(host, &cluster);
        cluster
    }

    fn register(&self, name: &str, spec: &Value) {
        let object = json!({ "apiVersion": "k8s.oceanbase.com/v1alpha1", "kind": "K8sCluster",
            "metadata": { "generation": 1 }, "spec": spec });
        self.master.put("k8sclusters", "", name, object);
    }

    fn secret(&self, text: &str) {
        let data = base64::engine::general_purpose::STANDARD.encode(text);
        self.master.put("secrets", "default", "clusters", json!({ "data": { "kubeconfig": data } }));
    }

    fn told(&self, name: &str) -> Option<String> {
        let cluster = self.master.get("k8sclusters", "", name)?;
        let condition = &cluster["status"]["conditions"][0];
        Some(format!("{} {}", condition["status"].as_str()?, condition["reason"].as_str()?))
    }
}

fn used_by(used: &[&str], name: &WorkerName) -> Users {
    let database = crate::plan::testing::database();
    let user = User { database: database.id.key(), members: vec!["db-etcd-0".into()] };
    Users::Known(if used.contains(&name.as_str()) { vec![user] } else { Vec::new() })
}

fn contexts() -> Contexts {
    Contexts::new("clusters", [], &Namespace::from("default"))
}

#[tokio::test(start_paused = true)]
async fn a_registration_is_told_once_and_then_the_master_hears_nothing() {
    let world = World::new(None, &[]);
    world.worker("one");
    world.register("k8s-1", &json!({ "name": "one", "kubeConfig": kubeconfig(&["one"], "t") }));
    world.register("k8s-remote", &json!({ "name": "remote", "kubeConfig": "<Your K8s credential> # here" }));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.told("k8s-1").as_deref(), Some("True Connected"));
    assert_eq!(world.told("k8s-remote").as_deref(), Some("False InvalidKubeconfig"));
    let pinned = world.master.get("k8sclusters", "", "k8s-1").unwrap()["status"]["identity"].clone();
    assert_eq!(pinned, "uid-of-one");
    let writes = world.master.requests().into_iter().filter(|request| request.starts_with("PATCH")).count();
    assert_eq!(writes, 2);
    sleep(Duration::from_mins(4)).await;
    assert_eq!(world.master.requests(), Vec::<String>::new());
    assert!(world.pool.is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_is_deleted_is_forgotten() {
    let world = World::new(None, &[]);
    world.worker("one");
    world.register("k8s-1", &json!({ "name": "one", "kubeConfig": kubeconfig(&["one"], "t") }));
    sleep(Duration::from_secs(3)).await;
    assert!(world.pool.client(&WorkerName::from("k8s-1")).is_some());
    world.master.remove("k8sclusters", "", "k8s-1");
    sleep(Duration::from_secs(3)).await;
    assert!(world.pool.workers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn contexts_come_and_go_with_their_secret_without_a_restart() {
    let world = World::new(Some(contexts()), &["three"]);
    for host in ["one", "two", "three"] {
        world.worker(host);
    }
    sleep(Duration::from_secs(1)).await;
    world.secret(&kubeconfig(&["one", "two"], "t"));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.told("one").as_deref(), Some("True Connected"));
    assert_eq!(world.told("two").as_deref(), Some("True Connected"));
    world.secret(&kubeconfig(&["one", "three"], "t"));
    sleep(Duration::from_secs(3)).await;
    assert!(world.master.get("k8sclusters", "", "two").is_none());
    assert_eq!(world.told("three").as_deref(), Some("True Connected"));
    // One that databases use is kept, and what it had serves on.
    world.secret(&kubeconfig(&["one"], "t"));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.told("three").as_deref(), Some("True Connected"));
    let three = world.master.get("k8sclusters", "", "three").unwrap();
    assert_eq!(three["status"]["conditions"][1]["reason"], "ContextNotFound");
    assert!(world.pool.client(&WorkerName::from("three")).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_appears_later_heals_its_registration() {
    let world = World::new(None, &[]);
    world.worker("one");
    world.register("k8s-1", &json!({ "name": "one", "kubeConfigSecretRef": { "name": "clusters" } }));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.told("k8s-1").as_deref(), Some("False SecretNotFound"));
    world.secret(&kubeconfig(&["one"], "t"));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.told("k8s-1").as_deref(), Some("True Connected"));
}
