//! From a pod to its programs, and back.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Bench, claim, condition, pod};
use crate::place;

fn reason(pod: &Value) -> &str {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].as_str().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_pod_gets_a_node_its_volume_and_an_address_and_is_ready() {
    for class in ["standard", "local-path"] {
        let bench = Bench::new().await;
        let claim = bench.make(claim("data", class)).await;
        let found = bench.run_pod(pod("db-0", "data")).await;
        let claimed = bench.read("persistentvolumeclaims", "data");
        assert_eq!(claimed["status"]["phase"], "Bound", "{class}");
        assert_eq!(claimed["status"]["capacity"]["storage"], "1Gi");
        let status = &found["status"];
        assert_eq!(status["phase"], "Running");
        assert_eq!(status["hostIP"], "172.18.0.1");
        let ip = status["podIP"].as_str().expect("an address");
        let run = bench.net.dial(&place::Place::Master, &format!("{ip}:2379")).expect("somebody answers");
        bench.fake.with(|faked| {
            let what = &faked.runs[&run.0.0];
            assert_eq!(what.pod_uid, found["metadata"]["uid"].as_str().expect("a UID"));
            assert_eq!(what.claims["data"], claim["metadata"]["uid"].as_str().expect("a UID"));
            assert_eq!((what.ip.as_str(), what.node.as_str()), (ip, "w1-n1"));
        });
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_probe_and_is_written_only_when_it_changes() {
    let bench = Bench::new().await;
    bench.run_pod(pod("db-0", "")).await;
    let before = bench.server.version();
    sleep(Duration::from_mins(10)).await;
    assert_eq!(bench.server.version(), before, "at rest: {:?}", bench.history());
    bench.fake.is_unwell("db-0", true);
    sleep(Duration::from_secs(3)).await;
    assert!(bench.is_ready("db-0"), "it takes three failures");
    bench.until("not ready", |bench| !bench.is_ready("db-0")).await;
    let found = bench.pod("db-0");
    assert_eq!(condition(&found, "Ready")["message"], "containers with unready status: [main]");
    assert_eq!(bench.server.version(), before + 1);
    bench.fake.is_unwell("db-0", false);
    bench.until("ready", |bench| bench.is_ready("db-0")).await;
    assert_eq!(bench.server.version(), before + 2);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_dies_is_started_again_at_once_and_later_after_pauses() {
    let bench = Bench::new().await;
    bench.run_pod(pod("db-0", "")).await;
    bench.world.crash_pod("default", "db-0");
    let restarts = |bench: &Bench| bench.pod("db-0")["status"]["containerStatuses"][0]["restartCount"].as_i64();
    bench.until("restarted", |bench| restarts(bench) == Some(1) && bench.is_ready("db-0")).await;
    let found = bench.pod("db-0");
    assert_eq!(found["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    assert_eq!(found["status"]["phase"], "Running");
    bench.world.crash_pod("default", "db-0");
    bench.until("it waits", |bench| reason(&bench.pod("db-0")) == "CrashLoopBackOff").await;
    sleep(Duration::from_secs(9)).await;
    assert_eq!((restarts(&bench), bench.fake.started("db-0")), (Some(1), 2));
    bench.until("restarted", |bench| restarts(bench) == Some(2) && bench.is_ready("db-0")).await;
    assert_eq!(bench.fake.running("db-0"), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_ends_is_not_started_again_where_the_pod_says_so() {
    for (command, phase) in [("true", "Succeeded"), ("false", "Failed")] {
        let bench = Bench::new().await;
        let mut one = pod("once", "");
        one["spec"]["restartPolicy"] = "Never".into();
        one["spec"]["containers"][0]["command"] = json!([command]);
        bench.make(one).await;
        bench.until(phase, |bench| bench.pod("once")["status"]["phase"] == phase).await;
        let found = bench.pod("once");
        let ended = &found["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(ended["message"], format!("said {command}"));
        assert_eq!(bench.fake.started("once"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_deleted_ends_before_its_claim_goes_and_the_data_goes_last() {
    let bench = Bench::new().await;
    bench.make(claim("data", "standard")).await;
    bench.run_pod(pod("db-0", "data")).await;
    bench.delete("/api/v1/namespaces/default/persistentvolumeclaims/data").await;
    sleep(Duration::from_mins(1)).await;
    assert!(bench.read("persistentvolumeclaims", "data").is_object(), "a pod uses it");
    bench.delete("/api/v1/namespaces/default/pods/db-0").await;
    assert!(bench.pod("db-0").is_object(), "it has its time to end");
    bench.until("all is gone", |bench| bench.read("persistentvolumeclaims", "data").is_null()).await;
    let history = bench.history();
    let at = |what: &str| history.iter().rposition(|line| line.contains(what)).expect(what);
    assert!(at("pods/default/db-0") < at("persistentvolumeclaims/default/data"), "{history:?}");
    sleep(Duration::from_secs(1)).await;
    assert_eq!((bench.fake.running("db-0").len(), bench.fake.with(|faked| faked.lost.len())), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_run_says_why() {
    let bench = Bench::new().await;
    let mut missing = pod("missing", "");
    missing["spec"]["containers"][0]["image"] = "db:missing".into();
    bench.make(missing).await;
    bench.until("a pull fails", |bench| reason(&bench.pod("missing")) == "ErrImagePull").await;
    bench.until("it is put off", |bench| reason(&bench.pod("missing")) == "ImagePullBackOff").await;
    let mut far = pod("far", "");
    far["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": "nowhere" });
    let mut large = pod("large", "");
    large["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "20" } });
    bench.make(claim("slow", "no-such-class")).await;
    let cases = [
        (far, "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."),
        (large, "0/2 nodes are available: 2 Insufficient cpu."),
        (pod("homeless", "nothing"), "persistentvolumeclaim \"nothing\" not found"),
        (pod("waiting", "slow"), "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
    ];
    for (pod, words) in cases {
        let made = bench.make(pod).await;
        let name = made["metadata"]["name"].as_str().expect("a name");
        let says = |bench: &Bench| condition(&bench.pod(name), "PodScheduled")["message"] == words;
        bench.until(words, says).await;
        assert_eq!(condition(&bench.pod(name), "PodScheduled")["reason"], "Unschedulable");
    }
    let before = bench.server.version();
    sleep(Duration::from_mins(10)).await;
    assert_eq!(bench.server.version(), before, "nothing more is said");
}

#[tokio::test(start_paused = true)]
async fn pods_that_avoid_each_other_are_on_different_nodes_while_there_are_some() {
    let bench = Bench::new().await;
    let alone = |name: &str| {
        let mut pod = pod(name, "");
        pod["spec"]["affinity"] = json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
            { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "db" } } }] } });
        pod
    };
    let node = |pod: &Value| pod["spec"]["nodeName"].clone();
    let (one, two) = (bench.run_pod(alone("db-0")).await, bench.run_pod(alone("db-1")).await);
    assert_ne!(node(&one), node(&two));
    bench.make(alone("db-2")).await;
    let words = "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.";
    bench.until(words, |bench| condition(&bench.pod("db-2"), "PodScheduled")["message"] == words).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_on_a_cordoned_cluster_waits_until_it_is_opened() {
    let bench = Bench::new().await;
    for node in bench.world.nodes() {
        bench.world.cordon(&node, true).await.expect("cordoned");
    }
    bench.make(pod("db-0", "")).await;
    let words = "0/2 nodes are available: 2 node(s) were unschedulable.";
    bench.until(words, |bench| condition(&bench.pod("db-0"), "PodScheduled")["message"] == words).await;
    bench.world.cordon("w1-n2", false).await.expect("opened");
    bench.until("it runs", |bench| bench.is_ready("db-0")).await;
    assert_eq!(bench.pod("db-0")["spec"]["nodeName"], "w1-n2");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_history() {
    let mut histories = Vec::new();
    for _ in 0..2 {
        let bench = Bench::new().await;
        for number in 0..3 {
            bench.make(claim(&format!("data-{number}"), "local-path")).await;
            bench.make(pod(&format!("db-{number}"), &format!("data-{number}"))).await;
        }
        bench.until("all are ready", |bench| (0..3).all(|number| bench.is_ready(&format!("db-{number}")))).await;
        histories.push(bench.history());
    }
    assert_eq!(histories[0], histories[1]);
}
