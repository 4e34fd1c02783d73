//! Deleting.

use serde_json::{Value, json};

use crate::{MAPS, PODS, Server, config_map, pod, told};

#[test]
fn what_is_deleted_is_gone_and_its_status_says_so() {
    let server = Server::with(&[config_map("a", "1")]);
    let path = format!("{MAPS}/a");
    let (_, seen) = server.get(&path);
    let (code, status) = server.delete(&path, &Value::Null);
    assert_eq!((code, &status["status"]), (200, &json!("Success")));
    assert_eq!(status["details"]["uid"], seen["metadata"]["uid"]);
    assert_eq!(server.get(&path).0, 404);
    assert_eq!(server.delete(&path, &Value::Null).0, 404);
}

#[test]
fn a_deletion_of_another_object_of_that_name_is_a_conflict() {
    let server = Server::with(&[config_map("a", "1")]);
    let path = format!("{MAPS}/a");
    for preconditions in [json!({ "uid": "another" }), json!({ "resourceVersion": "1" })] {
        let (code, status) = server.delete(&path, &json!({ "preconditions": preconditions }));
        assert_eq!((code, &status["reason"]), (409, &json!("Conflict")), "{status}");
    }
    let (_, status) = server.delete(&path, &json!({ "preconditions": { "uid": "another" } }));
    assert!(status["message"].as_str().unwrap().contains("the UID in the precondition (another) does not match"));
}

#[test]
fn a_finalizer_holds_an_object_until_it_is_taken_away() {
    let mut object = config_map("a", "1");
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let server = Server::with(&[object]);
    let path = format!("{MAPS}/a");
    let (code, going) = server.delete(&path, &Value::Null);
    assert_eq!((code, &going["metadata"]["deletionGracePeriodSeconds"]), (200, &json!(0)));
    let version = server.0.version();
    server.delete(&path, &Value::Null);
    assert_eq!(server.0.version(), version, "a second deletion changes nothing");
    let (code, _) =
        server.merge(&path, &json!({ "metadata": { "finalizers": ["example.com/hold", "example.com/more"] } }));
    assert_eq!(code, 422, "no finalizer comes to what goes");
    let (_, again) = server.post(MAPS, &config_map("a", "1"));
    assert_eq!(again["message"], "object is being deleted: configmaps \"a\" already exists");
    server.merge(&path, &json!({ "metadata": { "finalizers": [] } }));
    assert_eq!(server.get(&path).0, 404);
}

#[test]
fn a_deletion_that_takes_the_last_finalizer_cannot_ask_for_a_version() {
    let mut object = config_map("a", "1");
    object["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
    let server = Server::with(&[object]);
    let path = format!("{MAPS}/a");
    let (_, made) = server.get(&path);
    let mut options = json!({ "propagationPolicy": "Background",
        "preconditions": { "resourceVersion": made["metadata"]["resourceVersion"] } });
    let (code, status) = server.delete(&path, &options);
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    assert!(status["message"].as_str().unwrap().contains("ResourceVersion in precondition: , "), "{status}");
    assert_eq!(server.get(&path), (200, made), "it stays as it was");
    options["preconditions"] = json!({});
    let mut pretended = options.clone();
    pretended["dryRun"] = json!(["All"]);
    let (code, nobody) = server.delete(&path, &pretended);
    assert_eq!((code, &nobody["kind"], &nobody["metadata"]), (200, &json!("ConfigMap"), &json!({})));
    assert_eq!(server.delete(&path, &options).0, 200);
    assert_eq!(server.get(&path).0, 404);
}

#[tokio::test]
async fn a_pod_that_runs_nowhere_goes_at_once_and_any_other_with_grace() {
    let server = Server::with(&[pod("a"), pod("b")]);
    let node = json!({ "kind": "Binding", "apiVersion": "v1", "metadata": { "name": "b" }, "target": { "name": "n" } });
    assert_eq!(server.post(&format!("{PODS}/b/binding"), &node).0, 201);
    let mut watch = server.watch(&format!("{PODS}?watch=true&resourceVersion={}", server.0.version()));
    let (_, a) = server.delete(&format!("{PODS}/a"), &Value::Null);
    assert_eq!(a["metadata"]["deletionGracePeriodSeconds"], 0);
    let (_, b) = server.delete(&format!("{PODS}/b"), &Value::Null);
    assert_eq!(b["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(b["metadata"]["deletionTimestamp"], "2023-11-14T22:13:50Z");
    let (_, shorter) = server.delete(&format!("{PODS}/b"), &json!({ "gracePeriodSeconds": 5 }));
    assert_eq!(shorter["metadata"]["deletionTimestamp"], "2023-11-14T22:13:25Z");
    server.delete(&format!("{PODS}/b"), &json!({ "gracePeriodSeconds": 0 }));
    let events = Server::events(&mut watch).await;
    let expected =
        ["MODIFIED a", "DELETED a", "MODIFIED b", "MODIFIED b", "MODIFIED b", "DELETED b"].map(str::to_owned);
    assert_eq!(told(&events), expected);
}

#[test]
fn what_becomes_of_dependents_is_a_finalizer() {
    let job = json!({ "kind": "Job", "apiVersion": "batch/v1", "metadata": { "name": "j" }, "spec": { "template": {
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }] } } } });
    let server = Server::with(&[config_map("a", "1"), config_map("b", "1"), job]);
    let (_, a) = server.delete(&format!("{MAPS}/a"), &json!({ "propagationPolicy": "Foreground" }));
    assert_eq!(a["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    let (_, b) = server.delete(&format!("{MAPS}/b"), &json!({ "propagationPolicy": "Background" }));
    assert_eq!(b["status"], "Success");
    let (_, job) = server.delete("/apis/batch/v1/namespaces/ns/jobs/j", &Value::Null);
    assert_eq!(job["metadata"]["finalizers"], json!(["orphan"]));
}

#[test]
fn a_namespace_waits_for_its_controller() {
    let server = Server::with(&[]);
    let path = "/api/v1/namespaces/ns";
    let (code, going) = server.delete(path, &Value::Null);
    assert_eq!((code, &going["status"]["phase"]), (200, &json!("Terminating")));
    assert_eq!(server.delete(path, &Value::Null).0, 200);
    assert_eq!(server.get(path).0, 200);
    let mut finished = going;
    finished["spec"]["finalizers"] = json!([]);
    assert_eq!(server.put(&format!("{path}/finalize"), &finished).0, 200);
    assert_eq!(server.get(path).0, 404);
    let (code, status) = server.delete("/api/v1/namespaces/default", &Value::Null);
    assert_eq!(code, 403);
    assert_eq!(status["message"], "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

#[test]
fn a_collection_is_deleted_by_its_selector() {
    let server = Server::with(&[pod("a"), pod("b")]);
    assert_eq!(server.delete(&format!("{PODS}?labelSelector=app%3Da"), &Value::Null).0, 200);
    assert_eq!((server.get(&format!("{PODS}/a")).0, server.get(&format!("{PODS}/b")).0), (404, 200));
}

#[test]
fn a_disruption_budget_holds_an_eviction() {
    let budget = json!({ "kind": "PodDisruptionBudget", "apiVersion": "policy/v1", "metadata": { "name": "one" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "a" } } } });
    let server = Server::with(&[pod("a"), budget]);
    let ready = json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } });
    server.merge(&format!("{PODS}/a/status"), &ready);
    let eviction = json!({ "kind": "Eviction", "apiVersion": "policy/v1", "metadata": { "name": "a" } });
    let (code, status) = server.post(&format!("{PODS}/a/eviction"), &eviction);
    assert_eq!((code, &status["details"]["causes"][0]["reason"]), (429, &json!("DisruptionBudget")));
    server.delete("/apis/policy/v1/namespaces/ns/poddisruptionbudgets/one", &Value::Null);
    assert_eq!(server.post(&format!("{PODS}/a/eviction"), &eviction).0, 201);
    assert_eq!(server.get(&format!("{PODS}/a")).0, 404);
}
