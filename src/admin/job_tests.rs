use serde_json::{Value, json};

use super::*;
use crate::{
    engine::{Exchange, Method},
    plan::name::WorkerName,
    worker::{
        gate::{Gate, LeaseLost},
        testing::Cluster,
    },
};

/// Open for so many questions, then closed.
struct Closing(std::sync::atomic::AtomicI32);

impl Gate for Closing {
    fn check(&self) -> Result<(), LeaseLost> {
        let left = self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        if left > 0 { Ok(()) } else { Err(LeaseLost) }
    }
}

/// A worker whose client is given so many times.
struct Lent<'a> {
    cluster: &'a Cluster,
    gate: Closing,
    times: std::sync::atomic::AtomicI32,
}

impl Clients for Lent<'_> {
    fn client(&self, _: &WorkerName) -> Option<Client> {
        let left = self.times.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        (left > 0).then(|| self.cluster.client())
    }

    fn gate(&self) -> &dyn Gate {
        &self.gate
    }
}

fn asked() -> (JobRoute, Question, Vec<HttpRequest>) {
    let requests = vec![HttpRequest { method: Method::Post, path: "/v3/maintenance/status".into(), body: "{}".into() }];
    let question = Question { member: "etcd-0".into(), port: 2379, exchange: Exchange::Http(requests.clone()) };
    let route = JobRoute {
        worker: "k8s-1".into(),
        namespace: "db".into(),
        address: "10.0.0.1:2379".into(),
        labels: [("app.kubernetes.io/managed-by".to_owned(), "atoll".to_owned())].into(),
    };
    (route, question, requests)
}

fn rendered() -> Value {
    let (route, question, requests) = asked();
    let job = render(&route, "atoll:1", &question, &requests).expect("a job");
    serde_json::to_value(job).expect("JSON")
}

fn pod(status: &Value) -> Pod {
    serde_json::from_value(json!({"metadata": {}, "status": status})).expect("a pod")
}

#[test]
fn the_job_asks_once_and_does_not_outlive_its_time() {
    let job = rendered();
    let spec = &job["spec"];
    assert_eq!(spec["backoffLimit"], 0);
    assert_eq!(spec["activeDeadlineSeconds"], 60);
    assert_eq!(spec["ttlSecondsAfterFinished"], 60);
    assert_eq!(
        spec["template"]["spec"]["containers"][0]["args"],
        json!([
            "ask",
            "--address=10.0.0.1:2379",
            r#"--requests=[{"method":"POST","path":"/v3/maintenance/status","body":"{}"}]"#
        ])
    );
}

#[test]
fn the_job_and_its_pod_carry_the_labels_of_the_caller() {
    let job = rendered();
    assert_eq!(job["metadata"]["generateName"], "atoll-ask-etcd-0-");
    assert_eq!(job["metadata"]["namespace"], "db");
    for labels in [&job["metadata"]["labels"], &job["spec"]["template"]["metadata"]["labels"]] {
        assert_eq!(labels["app.kubernetes.io/managed-by"], "atoll");
    }
}

#[test]
fn the_jobs_pod_meets_the_restricted_standard_and_has_no_token() {
    let job = rendered();
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(container["readOnlyRootFilesystem"], true);
}

#[test]
fn what_holds_a_job_up_is_said() {
    for (status, expected) in [
        (json!({"phase": "Pending"}), "its pod has not started"),
        (
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]}),
            "its pod is not scheduled: 0/1 nodes are available",
        ),
        (
            json!({"containerStatuses": [{"name": "ask", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}),
            "its pod waits: ImagePullBackOff",
        ),
        (
            json!({"containerStatuses": [{"name": "ask", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"running": {}}}]}),
            "its pod is running",
        ),
    ] {
        assert_eq!(progress(&pod(&status)), Progress::Waiting(expected.to_owned()));
    }
}

#[test]
fn the_last_words_of_the_container_are_the_result() {
    let ended = pod(&json!({"containerStatuses": [{"name": "ask", "image": "", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"terminated": {"exitCode": 0, "message": "words"}}}]}));
    assert_eq!(progress(&ended), Progress::Ended("words".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_lost_the_lease_makes_no_job_and_who_lost_sight_of_the_worker_deletes_none() {
    for (open, times, written) in [(0, 2, (0, 0)), (1, 2, (1, 0)), (2, 2, (1, 1)), (2, 1, (1, 0)), (2, 0, (0, 0))] {
        let cluster = Cluster::new("one");
        cluster.put("namespaces", "", "db", json!({}));
        let clients = Lent { cluster: &cluster, gate: Closing(open.into()), times: times.into() };
        let (route, question, requests) = asked();
        let way = Way { clients: &clients, image: "atoll:1" };
        let outcome = ask(way, &route, &question, &requests, Deadline::after(Duration::from_secs(5))).await;
        assert!(outcome.is_err(), "nobody runs it");
        let requests = cluster.requests();
        let count = |verb: &str| requests.iter().filter(|request| request.starts_with(verb)).count();
        assert_eq!((count("POST"), count("DELETE")), written, "{open} {times}");
    }
}
