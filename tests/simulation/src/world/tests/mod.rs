//! Worlds around in-memory API servers, in virtual time.

mod controllers;
mod pods;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use apiserver::{ApiServer, Options, Place, Who};
use futures::FutureExt as _;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    Container, Exit, Programs, RunId, Settings, World,
    hand::{Fault, Hand},
    net::{Mode, Net},
};
use crate::check::condition_of as condition;

/// A cluster on the bench: `w1`, of two nodes.
struct Bench {
    server: ApiServer,
    hand: Hand,
    world: World,
    fake: Arc<Fake>,
    net: Net,
    /// Every change, as `verb resource/namespace/name`.
    history: Arc<Mutex<Vec<String>>>,
    /// Whether the API server answers nobody.
    down: Arc<AtomicBool>,
}

impl Bench {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let start = Instant::now();
        let clock = Arc::new(move || {
            let elapsed = SignedDuration::try_from(start.elapsed()).expect("short");
            Timestamp::from_second(1_767_225_600).expect("a time") + elapsed
        });
        let options =
            Options { identity: "identity".to_owned(), version: "v1.34.4".to_owned(), clock: clock.clone(), seed: 7 };
        let server = ApiServer::new(options);
        let history = Arc::new(Mutex::new(Vec::new()));
        let kept = history.clone();
        server.on_commit(Arc::new(move |commit| {
            kept.lock().expect("kept").push({
                let Place { resource, namespace, name } = &commit.place;
                format!("{} {resource}/{namespace}/{name}", commit.verb)
            });
        }));
        let down = Arc::new(AtomicBool::new(false));
        let client = client(&server, &down);
        let net = Net::new(Mode::Flat);
        let fake = Arc::new(Fake::default());
        let mut settings = Settings::new("w1", 2, 1, clock);
        change(&mut settings);
        let world = World::start(client.clone(), settings, fake.clone(), net.clone());
        let bench = Self { server, hand: Hand::new(client), world, fake, net, history, down };
        bench
            .until("the cluster is up", |bench| {
                bench.read("serviceaccounts", "default").is_object() && bench.nodes_are_ready()
            })
            .await;
        bench
    }

    fn nodes_are_ready(&self) -> bool {
        let nodes = self.server.list("nodes");
        let well = |node: &Arc<Value>| {
            condition(node, "Ready")["status"] == "True" && node["spec"]["taints"].as_array().is_none_or(Vec::is_empty)
        };
        nodes.len() == 2 && nodes.iter().all(well)
    }

    /// Makes an object in namespace `default`, unless it says another.
    async fn make(&self, object: Value) -> Value {
        self.try_make(object).await.expect("made")
    }

    async fn try_make(&self, mut object: Value) -> Result<Value, Fault> {
        let kind = object["kind"].as_str().expect("a kind").to_owned();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let path = match kind.as_str() {
            "Namespace" => "/api/v1/namespaces".to_owned(),
            "Job" => format!("/apis/batch/v1/namespaces/{namespace}/jobs"),
            "ConfigMap" | "Pod" | "Service" | "PersistentVolumeClaim" => {
                format!("/api/v1/namespaces/{namespace}/{}s", kind.to_lowercase())
            }
            other => panic!("{other} is not known on the bench"),
        };
        object["apiVersion"] = if kind == "Job" { "batch/v1".into() } else { "v1".into() };
        self.hand.send::<Value>(Method::POST, &path, Some(object)).await
    }

    async fn patch(&self, path: &str, patch: Value) -> Value {
        self.hand.send(Method::PATCH, path, Some(patch)).await.expect("patched")
    }

    async fn delete(&self, path: &str) {
        self.hand.send::<Value>(Method::DELETE, path, None).await.expect("deleted");
    }

    async fn force_delete(&self, path: &str) {
        let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0 });
        self.hand.send::<Value>(Method::DELETE, path, Some(options)).await.expect("deleted");
    }

    /// An object of namespace `default` as it is; null if it is not there.
    fn read(&self, resource: &str, name: &str) -> Value {
        let found = self.server.get(&Place::namespaced(resource, "default", name));
        found.map_or(Value::Null, |found| (*found).clone())
    }

    fn pod(&self, name: &str) -> Value {
        self.read("pods", name)
    }

    fn is_ready(&self, pod: &str) -> bool {
        condition(&self.pod(pod), "Ready")["status"] == "True"
    }

    /// Waits at most five minutes.
    async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !so(self) {
            assert!(start.elapsed() < Duration::from_mins(5), "never: {what}\n{}", self.history().join("\n"));
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn run_pod(&self, pod: Value) -> Value {
        let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        self.make(pod).await;
        self.until(&format!("{name} is ready"), |bench| bench.is_ready(&name)).await;
        self.pod(&name)
    }

    fn history(&self) -> Vec<String> {
        self.history.lock().expect("kept").clone()
    }
}

/// A client that an API server answers after a millisecond, unless it is down.
fn client(server: &ApiServer, down: &Arc<AtomicBool>) -> Client {
    let (server, down) = (server.clone(), down.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (server, down) = (server.clone(), down.clone());
        async move {
            sleep(Duration::from_millis(1)).await;
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            if down.load(Ordering::Relaxed) {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            Ok(server.answer(&Who::Admin, Request::from_parts(parts, body)))
        }
        .boxed()
    });
    Client::new(service, "default")
}

fn claim(name: &str, class: &str) -> Value {
    json!({ "kind": "PersistentVolumeClaim", "metadata": { "name": name }, "spec": { "storageClassName": class,
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } })
}

/// A pod of one container with a probe; `claim` is mounted, if it is not empty.
fn pod(name: &str, claim: &str) -> Value {
    let mut pod = json!({ "kind": "Pod", "metadata": { "name": name, "labels": { "app": "db" } }, "spec": {
        "hostname": name, "subdomain": "pods",
        "containers": [{ "name": "main", "image": "db:1", "command": ["db"],
            "ports": [{ "name": "client", "containerPort": 2379 }],
            "readinessProbe": { "periodSeconds": 2, "httpGet": { "path": "/readyz", "port": 2381 } } }] } });
    if !claim.is_empty() {
        pod["spec"]["volumes"] = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": claim } }]);
    }
    pod
}

/// A job whose container runs this command once.
fn job(name: &str, command: &str) -> Value {
    json!({ "kind": "Job", "metadata": { "name": name }, "spec": { "backoffLimit": 0, "template": { "spec": {
        "restartPolicy": "Never", "containers": [{ "name": "main", "image": "tool:1", "command": [command] }] } } } })
}

/// Programs that do as their command says: `true` ends well, `false` does not, all others run on.
#[derive(Default)]
struct Fake(Mutex<Faked>);

#[derive(Default)]
struct Faked {
    runs: BTreeMap<u64, Container>,
    alive: BTreeSet<u64>,
    /// Pods whose probes go wrong.
    unwell: BTreeSet<String>,
    lost: Vec<String>,
}

impl Fake {
    fn with<T>(&self, work: impl FnOnce(&mut Faked) -> T) -> T {
        work(&mut self.0.lock().expect("faked"))
    }

    /// What runs in a pod now.
    fn running(&self, pod: &str) -> Vec<u64> {
        self.with(|faked| faked.alive.iter().filter(|run| faked.runs[run].pod == pod).copied().collect())
    }

    fn started(&self, pod: &str) -> usize {
        self.with(|faked| faked.runs.values().filter(|what| what.pod == pod).count())
    }

    fn is_unwell(&self, pod: &str, unwell: bool) {
        self.with(|faked| if unwell { faked.unwell.insert(pod.to_owned()) } else { faked.unwell.remove(pod) });
    }
}

impl Programs for Fake {
    fn start(&self, what: Container) -> RunId {
        self.with(|faked| {
            let id = faked.runs.len() as u64 + 1;
            faked.runs.insert(id, what);
            faked.alive.insert(id);
            RunId(id)
        })
    }

    fn stop(&self, id: RunId) {
        self.with(|faked| assert!(faked.alive.remove(&id.0), "{id:?} does not run"));
    }

    fn exited(&self, id: RunId) -> Option<Exit> {
        self.with(|faked| {
            let command = faked.runs[&id.0].command.join(" ");
            let code = match command.as_str() {
                "true" => 0,
                "false" => 1,
                _ => return None,
            };
            faked.alive.remove(&id.0);
            Some(Exit { code, words: format!("said {command}") })
        })
    }

    fn probe(&self, id: RunId, port: u16, path: &str) -> bool {
        assert_eq!((port, path), (2381, "/readyz"));
        self.with(|faked| !faked.unwell.contains(&faked.runs[&id.0].pod))
    }

    fn lose_volume(&self, claim: &str) {
        self.with(|faked| faked.lost.push(claim.to_owned()));
    }
}
