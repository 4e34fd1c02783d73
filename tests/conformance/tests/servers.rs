//! The lab's bare API servers and the bad ways to them (`lab::bare`) do what they say.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use http::Request;
use kube::Client;
use lab::bare::{Mode, Options, Proxy, Server, ServiceAccounts};
use serde_json::{Value, json};

async fn client(kubeconfig: &str) -> Client {
    let mut config = lab::kubeconfig::config(kubeconfig).await.unwrap();
    config.connect_timeout = Some(Duration::from_secs(2));
    Client::try_from(config).unwrap()
}

/// The answer, the status code of an error, or 0 where none came within two seconds or the connection broke.
async fn ask(client: &Client, request: http::request::Builder, body: &Value) -> Result<Value, u16> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = request.header("content-type", "application/json").body(body).unwrap();
    match tokio::time::timeout(Duration::from_secs(2), client.request::<Value>(request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(status.code),
        Ok(Err(_)) | Err(_) => Err(0),
    }
}

async fn get(client: &Client, path: &str) -> Result<Value, u16> {
    ask(client, Request::get(path), &Value::Null).await
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn make(client: &Client, name: &str) -> Result<Value, u16> {
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
    ask(client, Request::post(MAPS), &map).await
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

async fn soon(mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < Duration::from_secs(10), "not within ten seconds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn four_servers_start_together_and_know_nothing_of_each_other() {
    let begun = Instant::now();
    let names = ["master", "k8s-1", "k8s-2", "k8s-3"];
    let servers = Server::start_all(names.map(Options::named)).await.unwrap();
    println!("4 servers in {:.1} s", begun.elapsed().as_secs_f32());
    let mut identities = Vec::new();
    for (server, name) in servers.iter().zip(names) {
        assert_eq!(server.name(), name);
        let system = get(&server.client().await.unwrap(), "/api/v1/namespaces/kube-system").await.unwrap();
        identities.push(system["metadata"]["uid"].as_str().unwrap().to_owned());
    }
    identities.sort_unstable();
    identities.dedup();
    assert_eq!(identities.len(), 4);
    let foreign = servers[0].kubeconfig().replace(&servers[0].url(), &servers[1].url());
    assert_eq!(get(&client(&foreign).await, "/api/v1/namespaces").await, Err(0), "another authority");
    let (directory, url) = (servers[3].directory().to_owned(), servers[3].url());
    assert!(directory.join("audit.log").exists() && url.starts_with("https://127."));
    drop(servers);
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_pod_needs_its_service_account_unless_asked_otherwise() {
    let options =
        [Options::named("strict"), Options { service_accounts: ServiceAccounts::Ignored, ..Options::named("lax") }];
    let servers = Server::start_all(options).await.unwrap();
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" },
        "spec": { "containers": [{ "name": "a", "image": "a" }] } });
    let path = "/api/v1/namespaces/default/pods";
    let strict = ask(&servers[0].client().await.unwrap(), Request::post(path), &pod).await;
    assert_eq!(strict, Err(403));
    ask(&servers[1].client().await.unwrap(), Request::post(path), &pod).await.unwrap();
}

#[tokio::test]
async fn a_further_user_has_the_rights_that_are_bound_to_it() {
    let server = Server::start(Options { users: vec!["guest".into()], ..Options::named("k8s-1") }).await.unwrap();
    let guest = client(&server.kubeconfig_of("guest").unwrap()).await;
    assert_eq!(get(&guest, MAPS).await, Err(403));
    assert_eq!(get(&client(&server.kubeconfig_of("nobody").unwrap()).await, MAPS).await, Err(401));
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "guest" }, "subjects": [{ "kind": "User", "name": "guest" }],
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:aggregate-to-view" } });
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    ask(&server.client().await.unwrap(), Request::post(path), &binding).await.unwrap();
    soon(async || get(&guest, MAPS).await.is_ok()).await;
    let asked = server.audit(None).unwrap();
    assert!(asked.iter().any(|entry| entry.user == "guest" && entry.resource == "configmaps" && entry.code == 403));
}

#[tokio::test]
async fn a_server_is_killed_paused_restored_and_compacted() {
    let server = Server::start(Options::named("k8s-1")).await.unwrap();
    let api = server.client().await.unwrap();
    let first = make(&api, "first").await.unwrap();

    server.kill().unwrap();
    assert_eq!(get(&api, MAPS).await, Err(0));
    server.start_again().await.unwrap();
    assert_eq!(get(&api, &format!("{MAPS}/first")).await.unwrap(), first);

    server.pause().unwrap();
    assert_eq!(get(&api, MAPS).await, Err(0));
    server.resume().unwrap();
    soon(async || get(&api, MAPS).await.is_ok()).await;

    let before = version(&get(&api, MAPS).await.unwrap());
    let snapshot = server.snapshot().await.unwrap();
    let second = make(&api, "second").await.unwrap();
    server.restore(&snapshot).await.unwrap();
    assert_eq!(get(&api, &format!("{MAPS}/second")).await, Err(404));
    assert_eq!(get(&api, &format!("{MAPS}/first")).await.unwrap(), first);
    let after = version(&get(&api, MAPS).await.unwrap());
    println!("version {before}, then {}, restored {after}", version(&second));

    for name in ["a", "b", "c"] {
        make(&api, name).await.unwrap();
    }
    let page = get(&api, &format!("{MAPS}?limit=1")).await.unwrap();
    let rest = format!("{MAPS}?limit=1&continue={}", page["metadata"]["continue"].as_str().unwrap());
    get(&api, &rest).await.unwrap();
    make(&api, "d").await.unwrap();
    server.compact().await.unwrap();
    server.compact().await.unwrap();
    server.kill().unwrap();
    server.start_again().await.unwrap();
    assert_eq!(get(&api, &rest).await, Err(410));
}

#[tokio::test]
async fn the_way_to_a_server_can_be_bad_in_many_ways() {
    let server = Server::start(Options::named("k8s-1")).await.unwrap();
    let twin = server.twin("twin");
    let (direct, way) = (server.client().await.unwrap(), Proxy::start(&server).unwrap());
    let by_way = client(way.kubeconfig()).await;
    make(&by_way, "pass").await.unwrap();
    assert_eq!(way.connections(), 1);

    way.set(Mode::OneWay);
    assert_eq!(make(&by_way, "one-way").await, Err(0));
    get(&direct, &format!("{MAPS}/one-way")).await.unwrap();
    assert_eq!(make(&client(way.kubeconfig()).await, "no-handshake").await, Err(0));
    way.set(Mode::Pass);
    get(&by_way, MAPS).await.unwrap();

    let held = {
        let by_way = by_way.clone();
        way.set(Mode::BlackHole);
        tokio::spawn(async move {
            let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "held" } });
            by_way.request::<Value>(Request::post(MAPS).body(map.to_string().into_bytes()).unwrap()).await
        })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!held.is_finished());
    assert_eq!(get(&direct, &format!("{MAPS}/held")).await, Err(404));
    way.set(Mode::Pass);
    held.await.unwrap().unwrap();

    way.set(Mode::Refuse);
    soon(async || way.connections() == 0).await;
    soon(async || tokio::net::TcpStream::connect(way.address()).await.is_err()).await;
    assert_eq!(get(&by_way, MAPS).await, Err(0));
    way.set(Mode::Delay(Duration::from_millis(100)));
    soon(async || get(&by_way, MAPS).await.is_ok()).await;
    let begun = Instant::now();
    get(&by_way, MAPS).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());

    way.set(Mode::CutAfter(100));
    assert_eq!(get(&by_way, MAPS).await, Err(0));
    way.set(Mode::Pass);
    get(&by_way, MAPS).await.unwrap();

    let twin = Server::start(twin).await.unwrap();
    way.lead_to(&twin);
    soon(async || get(&by_way, &format!("{MAPS}/pass")).await == Err(404)).await;
    way.reset();
    soon(async || way.connections() == 0).await;
    server.kill().unwrap();
    way.lead_to(&server);
    assert_eq!(get(&by_way, MAPS).await, Err(0));
}
