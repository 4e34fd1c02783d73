//! What is read from whole objects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::projection::{claim, job, owner, pod, service};
use crate::plan::{
    database::DatabaseKind,
    labels,
    seen::{ClaimPhase, JobOutcome, PodPhase, Readiness},
};

fn object<T: serde::de::DeserializeOwned>(mut body: Value) -> T {
    let metadata = json!({ "name": "etcd-0", "namespace": "db", "uid": "u", "resourceVersion": "7" });
    body["metadata"] = metadata;
    serde_json::from_value(body).unwrap()
}

fn trouble(status: Value) -> Option<String> {
    pod(&object(json!({ "status": status }))).unwrap().trouble
}

#[test]
fn the_reason_why_a_pod_does_not_serve_is_found_wherever_the_cluster_says_it() {
    let waiting = |reason: &str, message: &str| {
        json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "True" }],
            "containerStatuses": [{ "name": "etcd", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": reason, "message": message } } }] })
    };
    let mut crash = waiting("CrashLoopBackOff", "back-off 10s restarting");
    crash["phase"] = json!("Running");
    crash["containerStatuses"][0]["lastState"] =
        json!({ "terminated": { "exitCode": 2, "reason": "Error", "message": "no data dir" } });
    let ended = |code: i32| {
        json!({ "phase": if code == 0 { "Succeeded" } else { "Failed" },
            "containerStatuses": [{ "name": "etcd", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": { "exitCode": code, "reason": "OOMKilled" } } }] })
    };
    let not_ready = |phase: &str| {
        json!({ "phase": phase, "conditions": [{ "type": "Ready", "status": "False", "reason": "ContainersNotReady",
            "message": "containers with unready status: [etcd]" }] })
    };
    let unschedulable = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu." }] });
    let init = json!({ "phase": "Pending", "initContainerStatuses": [{ "name": "init", "image": "", "imageID": "",
        "ready": false, "restartCount": 0, "state": { "waiting": { "reason": "ErrImagePull", "message": "no such tag" } } }] });
    let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory." });
    let cases = [
        (unschedulable, Some("Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.")),
        (waiting("ImagePullBackOff", "Back-off pulling"), Some("container etcd: ImagePullBackOff: Back-off pulling")),
        (
            waiting("CreateContainerConfigError", "secret \"tls\" not found"),
            Some("container etcd: CreateContainerConfigError: secret \"tls\" not found"),
        ),
        (init, Some("container init: ErrImagePull: no such tag")),
        (
            crash,
            Some(
                "container etcd: CrashLoopBackOff: back-off 10s restarting; \
                 last time: Error (exit code 2): no data dir",
            ),
        ),
        (ended(137), Some("container etcd: OOMKilled (exit code 137)")),
        (ended(0), None),
        (evicted, Some("Evicted: The node was low on resource: memory.")),
        (not_ready("Running"), Some("ContainersNotReady: containers with unready status: [etcd]")),
        (not_ready("Pending"), None),
        (waiting("ContainerCreating", ""), None),
        (json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] }), None),
        (json!({}), None),
    ];
    for (status, expected) in cases {
        assert_eq!(trouble(status.clone()).as_deref(), expected, "{status}");
    }
}

#[test]
fn words_of_a_cluster_are_cut_to_what_a_condition_can_hold() {
    let status = json!({ "phase": "Failed", "reason": "Evicted", "message": "ä".repeat(5000) });
    assert!(trouble(status).unwrap().chars().count() < 500);
}

#[test]
fn a_pod_says_where_it_is_and_since_when_it_serves() {
    let seen = pod(&object(json!({
        "spec": { "nodeName": "n1", "containers": [] },
        "status": { "phase": "Running", "podIP": "10.0.0.1", "hostIP": "192.168.0.1",
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z" }],
            "containerStatuses": [{ "name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 2 }] }
    })))
    .unwrap();
    assert_eq!(seen.phase, PodPhase::Running);
    assert_eq!(seen.ready, Readiness::Ready(Some("2026-01-02T03:04:05Z".parse().unwrap())));
    assert_eq!((seen.ip.as_deref(), seen.host_ip.as_deref()), (Some("10.0.0.1"), Some("192.168.0.1")));
    assert_eq!((seen.node.as_deref(), seen.restarts), (Some("n1"), 2));
}

#[test]
fn a_service_says_its_addresses() {
    let seen = |body: Value| service(&object(body)).unwrap();
    let balanced = seen(json!({
        "spec": { "clusterIP": "10.1.0.1", "ports": [{ "name": "peer", "port": 2380, "nodePort": 30080 }, { "port": 1 }] },
        "status": { "loadBalancer": { "ingress": [{ "hostname": "lb.example" }, { "ip": "1.2.3.4" }] } }
    }));
    assert_eq!(balanced.ingress.as_deref(), Some("lb.example"));
    assert_eq!(balanced.cluster_ip.as_deref(), Some("10.1.0.1"));
    assert_eq!(balanced.node_ports.get("peer"), Some(&30080));
    assert_eq!(balanced.node_ports.len(), 1);
    let headless = seen(json!({ "spec": { "clusterIP": "None" } }));
    assert_eq!((headless.cluster_ip, headless.ingress), (None, None));
}

#[test]
fn a_claim_says_its_phase_size_and_class() {
    let seen = claim(&object(json!({
        "spec": { "storageClassName": "fast", "resources": { "requests": { "storage": "10Gi" } } },
        "status": { "phase": "Lost" }
    })))
    .unwrap();
    assert_eq!((seen.requested.as_deref(), seen.class.as_deref()), (Some("10Gi"), Some("fast")));
    assert_eq!(seen.phase, ClaimPhase::Lost);
    assert_eq!(claim(&object(json!({}))).unwrap().phase, ClaimPhase::Pending);
}

#[test]
fn a_job_says_how_it_ended() {
    let outcome = |kind: &str, status: &str| {
        job(&object(json!({ "status": { "conditions": [{ "type": kind, "status": status }] } }))).unwrap().outcome
    };
    assert_eq!(outcome("Complete", "True"), JobOutcome::Succeeded);
    assert_eq!(outcome("Failed", "True"), JobOutcome::Failed);
    assert_eq!(outcome("Failed", "False"), JobOutcome::Running);
}

#[test]
fn an_object_belongs_to_the_database_on_its_labels_and_only_where_it_was_made() {
    let metadata = |namespace: &str, kind: &str| {
        serde_json::from_value(json!({ "namespace": namespace, "labels": {
            labels::DATABASE_KIND: kind, labels::DATABASE_NAMESPACE: "db", labels::DATABASE_NAME: "etcd" } }))
        .unwrap()
    };
    let kind = DatabaseKind::KubeBlocksCluster.label();
    assert_eq!(owner(&metadata("db", kind)).unwrap().to_string(), "db/etcd");
    assert!(owner(&metadata("restored", kind)).is_none());
    assert!(owner(&metadata("db", "statefulset.apps")).is_none());
    let mapped = |namespace: &str| {
        let mut metadata: ObjectMeta = metadata(namespace, kind);
        let made_in = (labels::WORKER_NAMESPACE.to_owned(), "tenant".to_owned());
        metadata.labels.get_or_insert_default().extend([made_in]);
        metadata
    };
    assert_eq!(owner(&mapped("tenant")).unwrap().to_string(), "db/etcd");
    for elsewhere in ["db", "restored"] {
        assert!(owner(&mapped(elsewhere)).is_none(), "{elsewhere}");
    }
    assert!(owner(&serde_json::from_value(json!({ "namespace": "db" })).unwrap()).is_none());
}
