//! The registrar between a master and workers in memory.

use std::{sync::Arc, time::Duration};

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use super::{
    allowances::Allowances,
    contexts::Contexts,
    gate::Open,
    ledger::Ledger,
    pool::{Master, Pool},
    registrar::{self, Settings},
    registration::SecretNamespaces,
    testing::{Cluster, Clusters, kubeconfig},
};
use crate::{
    metrics::Metrics,
    plan::{
        name::{Namespace, Uid, WorkerName},
        usage::{User, Users},
    },
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
            kubeconfigs: Allowances::default(),
            metrics: Metrics::new(),
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
        self.condition(name, "Ready")
    }

    fn condition(&self, name: &str, kind: &str) -> Option<String> {
        let cluster = self.master.get("k8sclusters", "", name)?;
        let condition = cluster["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == kind)?;
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
async fn what_is_told_of_a_registration_never_lands_on_its_successor() {
    let world = World::new(None, &[]);
    let one = world.worker("one");
    world.worker("two");
    let leading_to = |host: &str| json!({ "name": host, "kubeConfig": kubeconfig(&[host], "t") });
    let identity = || world.master.get("k8sclusters", "", "k8s-1").unwrap()["status"]["identity"].clone();
    world.register("k8s-1", &leading_to("one"));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(identity(), "uid-of-one");
    let successor = json!({ "metadata": { "generation": 1 }, "spec": leading_to("two") });
    world.master.replace_in_silence("k8sclusters", "", "k8s-1", successor);
    one.cut(true);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(identity(), Value::Null);
    let there = world.master.get("k8sclusters", "", "k8s-1").unwrap();
    world.master.put("k8sclusters", "", "k8s-1", there);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(identity(), "uid-of-two");
    assert_eq!(world.told("k8s-1").as_deref(), Some("True Connected"));
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_told_is_written_again_after_a_conflict_that_no_change_follows() {
    let world = World::new(None, &[]);
    world.worker("one");
    let status = "PATCH k8sclusters";
    world.master.refuse(status, 409, "Conflict", "please apply your changes to the latest version", json!({}));
    world.register("k8s-1", &json!({ "name": "one", "kubeConfig": kubeconfig(&["one"], "t") }));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.told("k8s-1"), None);
    let refused = world.master.requests().into_iter().filter(|request| request.starts_with("PATCH")).count();
    assert!((2..=12).contains(&refused), "{refused} in half a minute");
    world.master.accept(status);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.told("k8s-1").as_deref(), Some("True Connected"));
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
    assert_eq!(world.condition("three", "CredentialsCurrent").as_deref(), Some("False ContextNotFound"));
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

/// A token that lives from `iat` for an hour.
fn hour(iat: i64) -> String {
    let claims = format!(r#"{{"iat":{iat},"exp":{}}}"#, iat + 3600);
    format!("e30.{}.sig", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims))
}

/// The type of a condition that tells of the end of credentials.
fn ending(condition: &Value) -> Option<String> {
    condition["type"].as_str().filter(|kind| kind.starts_with("CredentialsExpir")).map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn the_end_of_credentials_is_told_with_an_event_and_taken_back_when_they_are_renewed() {
    let world = World::new(None, &[]);
    world.worker("one");
    world.register("k8s-1", &json!({ "name": "one", "kubeConfigSecretRef": { "name": "clusters" } }));
    // Only tokio's clock is the test's: these ends are already near, or past, by the machine's.
    let now = jiff::Timestamp::now().as_second();
    let told = || {
        let cluster = world.master.get("k8sclusters", "", "k8s-1").unwrap();
        let conditions = cluster["status"]["conditions"].as_array().unwrap().clone();
        let kinds: Vec<_> = conditions.iter().filter_map(ending).collect();
        let events = world.master.requests().iter().filter(|request| *request == "POST events").count();
        (kinds, cluster["status"]["credentialsExpire"].as_str().map(str::to_owned), events)
    };
    let date = |seconds: i64| Some(jiff::Timestamp::from_second(seconds).unwrap().to_string());
    for (token, kinds, expires, events) in [
        (hour(now), &[][..], date(now + 3600), 0),
        (hour(now - 3400), &["CredentialsExpiring"], date(now + 200), 1),
        (hour(now - 3600), &["CredentialsExpired"], date(now), 1),
        (hour(now), &[], date(now + 3600), 0),
        ("opaque".to_owned(), &[], None, 0),
    ] {
        world.secret(&kubeconfig(&["one"], &token));
        sleep(Duration::from_secs(3)).await;
        assert_eq!(told(), (kinds.iter().map(|kind| (*kind).to_owned()).collect(), expires, events), "{token}");
        sleep(Duration::from_mins(4)).await;
        assert_eq!(world.master.requests(), Vec::<String>::new(), "nothing is written at rest");
    }
}

#[tokio::test]
async fn an_end_that_comes_near_is_told_while_nothing_else_happens() {
    let world = World::new(None, &[]);
    world.worker("one");
    // The last tenth of the hour begins in two seconds.
    let token = hour(jiff::Timestamp::now().as_second() - 3600 + 360 + 2);
    world.register("k8s-1", &json!({ "name": "one", "kubeConfig": kubeconfig(&["one"], &token) }));
    let kinds = || {
        let cluster = world.master.get("k8sclusters", "", "k8s-1").unwrap();
        let conditions = cluster["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().filter_map(ending).collect::<Vec<_>>()
    };
    sleep(Duration::from_millis(800)).await;
    assert!(kinds().is_empty(), "{:?}", kinds());
    sleep(Duration::from_millis(2_200)).await;
    assert_eq!(kinds(), ["CredentialsExpiring"]);
}
