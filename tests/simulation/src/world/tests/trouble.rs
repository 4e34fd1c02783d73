//! Nodes that are cut off or lost, disks that are wiped, API servers that are away.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Bench, claim, condition, pod};
use crate::world::{Addresses, Goods};

fn node(bench: &Bench, pod: &str) -> String {
    bench.pod(pod)["spec"]["nodeName"].as_str().expect("a node").to_owned()
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().expect("a UID").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_runs_on_and_its_pods_are_told_not_ready() {
    let bench = Bench::new().await;
    bench.run_pod(pod("db-0", "")).await;
    let on = node(&bench, "db-0");
    bench.world.cut_node(&on);
    sleep(Duration::from_secs(30)).await;
    assert!(bench.is_ready("db-0"), "nobody knows yet");
    bench.until("it is found out", |bench| !bench.is_ready("db-0")).await;
    assert_eq!(condition(&bench.pod("db-0"), "Ready")["reason"], "NodeNotReady");
    bench.world.crash_pod("default", "db-0");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.fake.running("db-0"), [2], "its kubelet needs nobody to start it again");
    let before = bench.server.version();
    bench.world.heal_node(&on);
    bench.until("it is ready again", |bench| bench.is_ready("db-0") && bench.nodes_are_ready()).await;
    assert!(bench.server.version() > before);
    assert_eq!(bench.fake.running("db-0"), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_deleted_by_force_lives_on_where_its_node_is_cut_off() {
    let bench = Bench::new().await;
    bench.make(claim("data", "standard")).await;
    let zombie = uid(&bench.run_pod(pod("db-0", "data")).await);
    let on = node(&bench, "db-0");
    bench.world.cut_node(&on);
    sleep(Duration::from_mins(1)).await;
    bench.force_delete("/api/v1/namespaces/default/pods/db-0").await;
    bench.make(pod("db-0", "data")).await;
    sleep(Duration::from_mins(2)).await;
    assert_eq!(bench.fake.running("db-0"), [1], "two nodes never have one volume");
    assert_ne!(uid(&bench.pod("db-0")), zombie);
    assert!(bench.net.place_of(&zombie).is_some(), "it answers still");
    bench.world.heal_node(&on);
    bench.until("the new one runs", |bench| bench.is_ready("db-0")).await;
    assert_eq!(bench.fake.running("db-0"), [2]);
    assert!(bench.net.place_of(&zombie).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_lost_takes_its_own_disks_with_it_and_no_others() {
    let bench = Bench::new().await;
    bench.make(claim("own", "local-path")).await;
    bench.make(claim("shared", "standard")).await;
    let leaves = |name: &str, claim: &str| {
        let mut pod = pod(name, claim);
        pod["spec"]["tolerations"] = json!([{ "key": "node.kubernetes.io/unreachable", "operator": "Exists",
            "effect": "NoExecute", "tolerationSeconds": 20 }]);
        pod
    };
    bench.run_pod(leaves("a", "own")).await;
    let on = node(&bench, "a");
    let mut second = leaves("b", "shared");
    second["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": on });
    bench.run_pod(second).await;
    bench.world.lose_node(&on);
    assert!(bench.fake.running("a").is_empty() && bench.fake.running("b").is_empty());
    let phase = |bench: &Bench, name: &str| bench.read("persistentvolumeclaims", name)["status"]["phase"].clone();
    bench.until("its own volume is lost", |bench| phase(bench, "own") == "Lost").await;
    bench
        .until("its pods are asked to go", |bench| {
            ["a", "b"].iter().all(|pod| bench.pod(pod)["metadata"]["deletionTimestamp"].is_string())
        })
        .await;
    sleep(Duration::from_mins(5)).await;
    assert!(bench.pod("a").is_object(), "nobody confirms that it has ended");
    bench.force_delete("/api/v1/namespaces/default/pods/b").await;
    bench.run_pod(pod("b", "shared")).await;
    assert_ne!(node(&bench, "b"), on);
    assert_eq!(phase(&bench, "shared"), "Bound");
    assert_eq!(bench.fake.with(|faked| faked.lost.clone()), [uid(&bench.read("persistentvolumeclaims", "own"))]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_back_starts_its_pods_once_more() {
    let bench = Bench::new().await;
    bench.make(claim("data", "standard")).await;
    let before = uid(&bench.run_pod(pod("db-0", "data")).await);
    let on = node(&bench, "db-0");
    bench.world.lose_node(&on);
    sleep(Duration::from_secs(20)).await;
    bench.world.heal_node(&on);
    bench.until("it runs again", |bench| !bench.fake.running("db-0").is_empty() && bench.is_ready("db-0")).await;
    let found = bench.pod("db-0");
    assert_eq!(uid(&found), before);
    assert_eq!(found["status"]["containerStatuses"][0]["restartCount"], 1);
}

#[tokio::test(start_paused = true)]
async fn what_runs_on_a_disk_that_is_wiped_dies_and_begins_anew() {
    let bench = Bench::new().await;
    let data = uid(&bench.make(claim("data", "standard")).await);
    bench.run_pod(pod("db-0", "data")).await;
    bench.world.wipe_volume(&data);
    bench.until("it runs again", |bench| bench.fake.running("db-0") == [2]).await;
    assert!(bench.fake.with(|faked| faked.lost.iter().eq([&data])));
    bench.world.lose_volume(&data);
    let phase = |bench: &Bench| bench.read("persistentvolumeclaims", "data")["status"]["phase"].clone();
    bench.until("the claim says so", |bench| phase(bench) == "Lost").await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_was_away_finds_the_world_going_on() {
    let bench = Bench::new().await;
    bench.run_pod(pod("db-0", "")).await;
    bench.down.store(true, Ordering::Relaxed);
    bench.server.close_watches();
    bench.world.crash_pod("default", "db-0");
    sleep(Duration::from_mins(2)).await;
    assert_eq!(bench.fake.running("db-0"), [2], "started again without a word");
    bench.down.store(false, Ordering::Relaxed);
    let restarts = |bench: &Bench| bench.pod("db-0")["status"]["containerStatuses"][0]["restartCount"].clone();
    bench.until("it is told", |bench| restarts(bench) == 1).await;
    bench.run_pod(pod("db-1", "")).await;
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_restored_is_what_kubelets_follow() {
    let bench = Bench::new().await;
    bench.run_pod(pod("old", "")).await;
    let backup = bench.server.snapshot();
    bench.delete("/api/v1/namespaces/default/pods/old").await;
    bench.until("the old pod is gone", |bench| bench.pod("old").is_null()).await;
    bench.run_pod(pod("new", "")).await;
    bench.server.restore(&backup);
    bench
        .until("the old one runs, the new one does not", |bench| {
            bench.fake.running("new").is_empty() && bench.fake.running("old").len() == 1
        })
        .await;
    sleep(Duration::from_secs(30)).await;
    let before = bench.server.version();
    sleep(Duration::from_mins(10)).await;
    assert_eq!(bench.server.version(), before, "{:?}", bench.history());
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_deletion_is_undone_by_a_backup_is_started_once_more() {
    let bench = Bench::with(|settings| settings.pace.stop = Duration::from_secs(5)).await;
    bench.run_pod(pod("db-0", "")).await;
    let backup = bench.server.snapshot();
    bench.delete("/api/v1/namespaces/default/pods/db-0").await;
    bench.until("its program has ended", |bench| bench.fake.running("db-0").is_empty()).await;
    bench.server.restore(&backup);
    bench.until("it runs again", |bench| bench.is_ready("db-0") && !bench.fake.running("db-0").is_empty()).await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(bench.fake.running("db-0").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_scheduled_or_pulled_while_that_is_withheld() {
    let bench = Bench::new().await;
    bench.world.withhold(Goods::Scheduling);
    bench.world.withhold(Goods::Images);
    bench.make(pod("db-0", "")).await;
    sleep(Duration::from_mins(1)).await;
    assert!(bench.pod("db-0")["spec"]["nodeName"].is_null());
    bench.world.provide(Goods::Scheduling);
    let waits =
        |bench: &Bench| bench.pod("db-0")["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    bench.until("no image", |bench| waits(bench) == "ImagePullBackOff").await;
    bench.world.provide(Goods::Images);
    bench.until("it runs", |bench| bench.is_ready("db-0")).await;
}

#[tokio::test(start_paused = true)]
async fn clusters_of_the_same_addresses_give_them_to_different_pods() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let bench = Bench::with(|settings| settings.flavour.addresses = Addresses::Alike).await;
        let pod = bench.run_pod(pod("db-0", "")).await;
        seen.push(pod["status"]["podIP"].clone());
    }
    assert_eq!(seen[0], seen[1]);
}
