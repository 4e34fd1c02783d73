use serde_json::{Value, json};

use super::*;
use crate::engine::{Exchange, Method};

fn rendered() -> Value {
    let requests = vec![HttpRequest { method: Method::Post, path: "/v3/maintenance/status".into(), body: "{}".into() }];
    let question = Question { member: "etcd-0".into(), port: 2379, exchange: Exchange::Http(requests.clone()) };
    let route = JobRoute {
        worker: "k8s-1".into(),
        namespace: "db".into(),
        address: "10.0.0.1:2379".into(),
        labels: [("app.kubernetes.io/managed-by".to_owned(), "atoll".to_owned())].into(),
    };
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
