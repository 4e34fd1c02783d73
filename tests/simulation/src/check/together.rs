//! Checks of processes, with processes that run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Check,
    budget::Budget,
    exclusive::NoForce,
    founding::OneBootstrap,
    liveness::durable,
    look::uid,
    request::DATABASES,
    sight::Sight,
    status::HonestStatus,
    testing::{Scene, seconds},
};
use crate::{
    etcd::{Outcome, Place, ProcessId},
    tape::{Event, Written},
};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// A database of three members that serve.
fn whole() -> (Scene, std::sync::Arc<Value>, Vec<ProcessId>) {
    let mut scene = Scene::new();
    let database = scene.database("a", "established");
    let processes = (0..3).map(|n| scene.starts(&database, n, "new")).collect();
    scene.passes(seconds(10));
    let database = scene.records_identities(&database);
    assert!(scene.truth.etcds.inspect().iter().all(|view| view.serving), "{:?}", scene.truth.etcds.inspect());
    (scene, database, processes)
}

fn writes(scene: &Scene, key: &str, value: &str) -> bool {
    let from = Place::Cluster("w3".to_owned());
    let put = (0..3).map(|n| scene.truth.etcds.client_put(scene.now, &from, &format!("10.0.0.{n}:2379"), key, value));
    put.into_iter().any(|outcome| matches!(outcome, Outcome::Acknowledged { .. }))
}

#[test]
fn a_member_is_spared_while_the_others_serve_and_not_when_one_is_down() {
    let (mut scene, database, processes) = whole();
    let pod = scene.pod(&database, 0, &[]);
    let pod = scene.create("w1", PODS, &pod);
    let body = json!({ "preconditions": { "uid": uid(&pod) } });
    let sent = scene.sends(1, "w1", "DELETE", &format!("{PODS}/a-etcd-0"), &body);
    scene.see(&mut Budget::default(), &sent).expect("all serve");
    scene.truth.etcds.stop(processes[1]);
    scene.passes(seconds(3));
    let words = scene.see(&mut Budget::default(), &sent).expect_err("one is down");
    assert!(words.contains("only 1 would be left"), "{words}");
    let other = json!({ "preconditions": { "uid": "another" } });
    let sent = scene.sends(1, "w1", "DELETE", &format!("{PODS}/a-etcd-0"), &other);
    scene.see(&mut Budget::default(), &sent).expect("it will be refused");
}

#[test]
fn a_deleted_database_is_taken_down_member_by_member_whatever_serves() {
    let (mut scene, database, processes) = whole();
    let pod = scene.pod(&database, 0, &[]);
    let pod = scene.create("w1", PODS, &pod);
    scene.truth.etcds.stop(processes[1]);
    scene.passes(seconds(3));
    let mut check = Budget::default();
    for event in scene.person_deletes(&database) {
        scene.see(&mut check, &event).expect("people do as they like");
    }
    let body = json!({ "preconditions": { "uid": uid(&pod) } });
    let sent = scene.sends(1, "w1", "DELETE", &format!("{PODS}/a-etcd-0"), &body);
    scene.see(&mut check, &sent).expect_err("it has not waited");
    scene.now += seconds(11);
    scene.see(&mut check, &sent).expect("it has waited");
}

#[test]
fn a_pod_is_not_struck_out_while_its_process_runs() {
    let (mut scene, _, processes) = whole();
    let forced = json!({ "gracePeriodSeconds": 0 });
    let sent = scene.sends(1, "w1", "DELETE", &format!("{PODS}/a-etcd-0"), &forced);
    scene.see(&mut NoForce, &sent).expect_err("it runs");
    scene.truth.etcds.stop(processes[0]);
    scene.see(&mut NoForce, &sent).expect("it does not");
}

#[test]
fn a_volume_that_was_lost_under_a_pod_that_founds_is_a_second_founding() {
    let (mut scene, database, processes) = whole();
    let mut check = OneBootstrap::new(Sight::default());
    scene.see(&mut check, &Event::Glance).expect("founded once");
    scene.truth.etcds.stop(processes[2]);
    scene.passes(seconds(2));
    scene.starts(&database, 2, "new");
    scene.passes(seconds(5));
    scene.see(&mut check, &Event::Glance).expect("its data was there");
    // With the others there, it would hear that it has founded already, and end.
    processes.iter().take(2).for_each(|process| scene.truth.etcds.stop(*process));
    scene.truth.etcds.lose_volume("volume-2");
    scene.starts(&database, 2, "new");
    scene.passes(seconds(5));
    let words = scene.see(&mut check, &Event::Glance).expect_err("its data was not");
    assert!(words.contains("a second time"), "{words}");
}

#[test]
fn ready_is_believed_while_processes_serve() {
    let (mut scene, _, processes) = whole();
    let mut check = HonestStatus::new(Sight::default());
    scene.see(&mut check, &Event::Glance).expect("they serve");
    let says = |scene: &mut Scene, check: &mut dyn Check, phase: &str| {
        let there = scene.get("master", DATABASES, "default", "a").expect("it is there");
        let mut told = there.as_ref().clone();
        told["status"]["phase"] = json!(phase);
        told["status"]["message"] = json!(format!("at {:?}", scene.now));
        told["status"]["observedGeneration"] = told["metadata"]["generation"].clone();
        let events = scene.does(1, "master", "PUT", &format!("{}/a/status", Scene::DATABASES), &told);
        events.iter().try_for_each(|event| check.see(scene.now, event, &scene.truth))
    };
    says(&mut scene, &mut check, "Running").expect("they serve");
    processes.iter().take(2).for_each(|process| scene.truth.etcds.stop(*process));
    scene.passes(seconds(30));
    says(&mut scene, &mut check, "Running").expect("not known for long");
    scene.passes(seconds(40));
    says(&mut scene, &mut check, "Failed").expect("that is so");
    says(&mut scene, &mut check, "Running").expect_err("that is not");
}

#[test]
fn what_was_acknowledged_is_asked_for_in_the_end() {
    let (mut scene, mut database, processes) = whole();
    assert!(writes(&scene, "key-1", "value-1") && writes(&scene, "key-2", "value-2"));
    let id = uid(&database).to_owned();
    let by = scene.truth.etcds.inspect()[0].cluster_id.expect("a cluster");
    let by_database = |id: &str, key: &str, value: &str| {
        BTreeMap::from([((id.to_owned(), key.to_owned()), Written { by, value: value.to_owned() })])
    };
    let acknowledged = |key: &str, value: &str| by_database(&id, key, value);
    let none = Vec::<String>::new();
    assert_eq!(durable(&scene.truth, &acknowledged("key-1", "value-1")), none);
    assert_eq!(durable(&scene.truth, &acknowledged("key-1", "value-0")), none, "a later one is there");
    assert!(durable(&scene.truth, &acknowledged("key-2", "value-3"))[0].contains("key-2 is value-2"));
    assert!(durable(&scene.truth, &acknowledged("key-3", "value-3"))[0].contains("is gone"));
    // Another resource had the data before this one took it over.
    assert_eq!(durable(&scene.truth, &by_database("former", "key-2", "value-2")), none);
    assert!(durable(&scene.truth, &by_database("former", "key-3", "value-3"))[0].contains("is gone"));
    // Nobody leads. That is for somebody to answer for, unless a majority of volumes is gone.
    processes.iter().take(2).for_each(|process| scene.truth.etcds.stop(*process));
    scene.passes(seconds(10));
    assert_eq!(durable(&scene.truth, &acknowledged("key-1", "value-1")), none, "no volume is there");
    let mut changed = database.as_ref().clone();
    (0..3).for_each(|n| scene.claim_as_recorded(&mut changed, n));
    database = scene.records_identities(&changed);
    assert!(durable(&scene.truth, &acknowledged("key-1", "value-1"))[0].contains("nobody leads"), "{database}");
}

#[test]
fn what_an_earlier_resources_members_acknowledge_is_not_asked_of_its_successor() {
    let (mut scene, earlier, _) = whole();
    let by = scene.truth.etcds.inspect()[0].cluster_id.expect("a cluster");
    let mut later = scene.database("b", "established").as_ref().clone();
    (0..3).for_each(|n| scene.claim_as_recorded(&mut later, n));
    scene.does(1, "master", "PUT", &format!("{}/b/status", Scene::DATABASES), &later);
    let written = Written { by, value: "value-1".to_owned() };
    let acknowledged = BTreeMap::from([((uid(&later).to_owned(), "key-1".to_owned()), written)]);
    assert_ne!(
        durable(&scene.truth, &acknowledged),
        Vec::<String>::new(),
        "both are there: one has answered for the other"
    );
    scene.forget(&earlier);
    assert_eq!(durable(&scene.truth, &acknowledged), Vec::<String>::new());
}
