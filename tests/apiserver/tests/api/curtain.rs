//! The hand behind the curtain.

use std::sync::{Arc, Mutex};

use apiserver::{Admission, Place};
use serde_json::{Value, json};

use crate::{MAPS, PODS, Server, config_map, pod};

#[test]
fn every_change_is_told_with_before_and_after() {
    let server = Server::with(&[]);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (ear, asked) = (heard.clone(), server.0.clone());
    server.0.on_commit(Arc::new(move |commit| {
        // Nothing is locked here.
        assert!(asked.version() >= commit.version);
        let there = |object: &Option<Arc<Value>>| if object.is_some() { "object" } else { "nothing" };
        let line = format!("{} {}: {} → {}", commit.verb, commit.place, there(&commit.before), there(&commit.after));
        ear.lock().unwrap().push(line);
    }));
    server.make(&config_map("a", "1"));
    server.merge(&format!("{MAPS}/a"), &json!({ "data": { "key": "2" } }));
    server.delete(&format!("{MAPS}/a"), &Value::Null);
    let expected = [
        "create configmaps/ns/a: nothing → object",
        "patch configmaps/ns/a: object → object",
        "delete configmaps/ns/a: object → nothing",
    ];
    assert_eq!(*heard.lock().unwrap(), expected);
}

#[test]
fn a_namespace_can_be_wiped_out() {
    let server = Server::with(&[config_map("a", "1"), pod("p")]);
    server.0.wipe_namespace("ns");
    assert!(server.0.get(&Place::cluster("namespaces", "ns")).is_none());
    assert!(server.0.list("pods").is_empty());
}

#[test]
fn an_identity_can_be_swapped() {
    let server = Server::bare();
    assert_eq!(server.get("/api/v1/namespaces/kube-system").1["metadata"]["uid"], "the-identity");
    server.0.set_identity("another".into());
    assert_eq!(server.get("/api/v1/namespaces/kube-system").1["metadata"]["uid"], "another");
}

#[test]
fn admission_does_what_it_is_told() {
    let server = Server::with(&[]);
    for (rule, code, words) in [
        (Admission::deny("not here"), 403, "denied the request: not here"),
        (Admission::unavailable("connection refused"), 500, "failed calling webhook"),
    ] {
        server.0.admission(Some(rule));
        let (answered, status) = server.post(MAPS, &config_map("a", "1"));
        assert_eq!(answered, code);
        assert!(status["message"].as_str().unwrap().contains(words), "{status}");
    }
    server.0.admission(Some(Admission::add_label("mesh", "yes")));
    assert_eq!(server.post(PODS, &pod("p")).1["metadata"]["labels"]["mesh"], "yes");
    server.0.admission(None);
    assert_eq!(server.post(MAPS, &config_map("a", "1")).0, 201);
}

#[test]
fn an_older_server_drops_what_it_does_not_know() {
    let server = Server::with(&[]);
    let path = ["spec", "automountServiceAccountToken"].map(str::to_owned).to_vec();
    server.0.drop_fields(vec![("pods".to_owned(), path)]);
    let (code, made) = server.post(PODS, &pod("p"));
    assert_eq!((code, &made["spec"]["automountServiceAccountToken"]), (201, &Value::Null));
}

#[test]
fn two_servers_of_one_seed_do_the_same() {
    let history = || {
        let server = Server::with(&[pod("p"), config_map("a", "1")]);
        server.delete(&format!("{PODS}/p"), &Value::Null);
        server.get(PODS).1.to_string() + &server.get(MAPS).1.to_string()
    };
    assert_eq!(history(), history());
}

#[test]
fn both_kinds_of_events_are_one() {
    let server = Server::with(&[]);
    let event = json!({
        "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": { "name": "e" }, "note": "words",
        "regarding": { "kind": "Pod", "namespace": "ns", "name": "p" }, "reason": "R", "type": "Normal", "action": "A",
        "eventTime": "2023-11-14T22:13:20.000000Z", "reportingController": "c.example/c", "reportingInstance": "c-1",
    });
    let (code, made) = server.post("/apis/events.k8s.io/v1/namespaces/ns/events", &event);
    assert_eq!((code, &made["note"]), (201, &json!("words")), "{made}");
    let (_, core) = server.get("/api/v1/namespaces/ns/events/e");
    assert_eq!((&core["message"], &core["involvedObject"]["name"]), (&json!("words"), &json!("p")));
}
