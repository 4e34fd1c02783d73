//! Which cluster is which: credentials that lead elsewhere, registrations that come twice, clusters that were rebuilt.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};
use serde_json::json;

use super::tools::{
    A_WHILE, annotate, annotate_worker, api, begin, begin_beside_the_third, done, make, nothing_is_left, pod, remove,
    says, standing, state, things, three, uid_of, unregister, unregister_by_force, until_ready, until_state,
    until_told, until_worker, untouched, why, within, worker_identity,
};
use crate::{
    lives::Replica,
    stage::{
        Simulated, Stage,
        people::{People, Wanted},
    },
};

/// Row 16.
pub async fn credentials_that_lead_to_another_cluster_are_not_used(stage: &impl Stage) {
    let [w1, _, w3] = three(stage);
    let before = begin_beside_the_third(stage).await;
    stage.say(&format!("the kubeconfig of {w1} now leads to {w3}"));
    stage.put_kubeconfig(&w1, &stage.kubeconfig(&w3)).await;
    let message = until_worker(stage, &w1, "CredentialsCurrent", "False", "IdentityChanged").await;
    says(&message, "another cluster");
    assert_eq!(stage.worker_condition(&w1, "Ready").await.0, "True", "the connection from before serves on");
    assert_eq!(stage.phase("a").await, "Running");
    // After a restart there is no connection from before.
    stage.crash(Replica(0)).await;
    let message = until_worker(stage, &w1, "Ready", "False", "IdentityChanged").await;
    says(&message, "atoll.dev/accept-identity=");
    until_state(stage, "a", 0, "Unknown").await;
    let nothing = async || things(stage, &w3, "a").await.is_empty();
    stage.stays("nothing is written into the other cluster", A_WHILE, nothing).await;
    stage.put_kubeconfig(&w1, &stage.kubeconfig(&w1)).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Row 17.
pub async fn a_cluster_that_is_registered_twice_is_served_once(stage: &impl Stage) {
    begin(stage).await;
    let [w1, ..] = three(stage);
    stage.register_as(&w1, "twin").await;
    says(&until_worker(stage, "twin", "Ready", "False", "DuplicateOf").await, &w1);
    assert_eq!(stage.worker_condition(&w1, "Ready").await.0, "True");
    let mut wanted = Wanted::named("a").of(1);
    wanted.workers = vec!["twin".into()];
    stage.create(&wanted).await;
    until_told(stage, "a", "Placed", "False", "WorkerUnseen").await;
    let nothing = async || things(stage, &w1, "a").await.is_empty();
    stage.stays("nothing is placed by its second name", A_WHILE, nothing).await;
    // It stays so after a restart.
    stage.crash(Replica(0)).await;
    stage.sleep(A_WHILE).await;
    assert_eq!(stage.worker_condition("twin", "Ready").await.1, "DuplicateOf");
    assert_eq!(stage.worker_condition(&w1, "Ready").await.0, "True");
    unregister(stage, "twin").await;
    says(&until_told(stage, "a", "Placed", "False", "WorkerNotRegistered").await, "twin");
    annotate(stage, "a", "apps.kubeblocks.io/multi-cluster-placement", &*w1).await;
    stage.until_phase("a", "Running").await;
}

/// Row 18.
pub async fn a_registration_made_anew_for_another_cluster_shows_nothing_of_the_former_one(stage: &impl Stage) {
    let [w1, _, w3] = three(stage);
    let before = begin_beside_the_third(stage).await;
    unregister_by_force(stage, &w1).await;
    stage.register_as(&w3, &w1).await;
    until_ready(stage, &w1).await;
    until_state(stage, "a", 0, "Unknown").await;
    says(&why(stage, "a", 0).await, "another cluster");
    assert_eq!(stage.phase("a").await, "Abnormal");
    let nothing = async || things(stage, &w3, "a").await.is_empty();
    stage.stays("its member is not made in the other cluster", A_WHILE, nothing).await;
    unregister_by_force(stage, &w1).await;
    stage.register(&w1).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Row 19, where somebody takes off by hand what keeps the registration.
pub async fn a_registration_deleted_in_use_loses_no_member(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let [_, w2, _] = three(stage);
    unregister_by_force(stage, &w2).await;
    until_state(stage, "a", 1, "Unknown").await;
    says(&why(stage, "a", 1).await, &w2);
    assert_eq!(stage.phase("a").await, "Abnormal");
    stage.sleep(A_WHILE).await;
    untouched(stage, "a", &before).await;
    // Another one goes where there are workers.
    stage.run(&Wanted::named("b").of(2)).await;
    stage.register(&w2).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Row 21.
pub async fn a_cluster_rebuilt_empty_is_not_taken_for_the_former_one(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    stage.rebuild(&w2).await;
    let message = until_worker(stage, &w2, "Ready", "False", "IdentityChanged").await;
    until_state(stage, "a", 1, "Unknown").await;
    assert_eq!(stage.phase("a").await, "Abnormal");
    stage.sleep(A_WHILE).await;
    assert_eq!(state(stage, "a", 1).await, "Unknown", "what is not there is not proved gone");
    // A person accepts it: the worker can be used again, and the member stays lost.
    let found = message.split("accept-identity=").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default();
    annotate_worker(stage, &w2, "atoll.dev/accept-identity", found).await;
    until_ready(stage, &w2).await;
    let pinned = async || worker_identity(stage, &w2).await == found;
    stage.until("the new identity is pinned", pinned).await;
    stage.sleep(A_WHILE).await;
    assert_eq!(state(stage, "a", 1).await, "Unknown");
    assert_eq!(stage.phase("a").await, "Abnormal");
    says(&why(stage, "a", 1).await, "another cluster");
}

/// Row 22.
pub async fn what_another_master_has_made_is_neither_changed_nor_taken_over(stage: &impl Stage) {
    begin(stage).await;
    let [_, w2, w3] = three(stage);
    let theirs = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "a-etcd-peer-1", "labels": {
            "app.kubernetes.io/managed-by": "atoll", "atoll.dev/master": "another-master", "atoll.dev/uid": "another-uid",
            "atoll.dev/kind": "cluster.apps.kubeblocks.io", "atoll.dev/namespace": "default", "atoll.dev/name": "a",
        } },
        "spec": { "type": "ClusterIP", "selector": { "app": "theirs" }, "ports": [{ "name": "peer", "port": 2380 }] },
    });
    make::<Service>(stage, &w2, theirs).await;
    let before = uid_of::<Service>(stage, &w2, "a-etcd-peer-1").await;
    stage.create(&Wanted::named("a")).await;
    let message = until_told(stage, "a", "WorkersAccept", "False", "ForeignObject").await;
    says(&message, "a-etcd-peer-1");
    says(&message, &w2);
    stage.run(&Wanted::named("b").of(1).within(&[&w3])).await;
    stage.sleep(Duration::from_mins(1)).await;
    let api = api::<Service>(stage, &w2);
    let there = done(stage, "looking", async || api.get("a-etcd-peer-1").await).await;
    assert_eq!(there.metadata.uid, before);
    let selector = there.spec.and_then(|spec| spec.selector).unwrap_or_default();
    assert_eq!(selector.get("app").map(String::as_str), Some("theirs"));
    remove::<Service>(stage, &w2, "a-etcd-peer-1").await;
    stage.until_phase("a", "Running").await;
}

/// Row 28. Where clusters give out the same addresses, what answers at a member's may be another member, next door.
pub async fn members_with_the_same_address_are_not_mistaken_for_each_other(stage: &Simulated) {
    begin(stage).await;
    let [w1, w2, _] = three(stage);
    stage.register_as(&stage.master(), "home").await;
    until_ready(stage, "home").await;
    let mut wanted = Wanted::named("a");
    wanted.workers = vec!["home".into(), w1.clone(), w2.clone()];
    stage.run(&wanted).await;
    let leaders = async || {
        let status = stage.resource("a").await;
        let told = status["status"]["components"]["etcd"]["membersStatus"].as_array().cloned().unwrap_or_default();
        told.iter().filter(|member| member["role"]["name"] == "leader").count()
    };
    let one = async || leaders().await == 1;
    for member in [0, 1] {
        within(stage, Duration::from_mins(1), "one member is called the leader", one).await;
        stage.stays("one member is called the leader", Duration::from_mins(1), one).await;
        // Another one leads from now on, if this one did.
        let site = if member == 0 { stage.master() } else { w1.clone() };
        remove::<Pod>(stage, &site, &pod("a", member)).await;
        stage.sleep(Duration::from_mins(1)).await;
        stage.until_phase("a", "Running").await;
    }
    within(stage, Duration::from_mins(1), "one member is called the leader", one).await;
}

/// Row 28.
pub async fn the_master_may_be_a_worker_as_well(stage: &impl Stage) {
    begin(stage).await;
    let [w1, w2, _] = three(stage);
    let master = stage.master();
    stage.register_as(&master, "home").await;
    until_ready(stage, "home").await;
    let mut wanted = Wanted::named("a");
    wanted.workers = vec!["home".into(), w1.clone(), w2.clone()];
    stage.run(&wanted).await;
    assert!(things(stage, &master, "a").await.contains_key("pod a-etcd-0"));
    stage.delete("a").await;
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
    assert!(things(stage, &master, "a").await.is_empty());
    assert!(stage.resource("a").await.is_null());
}
