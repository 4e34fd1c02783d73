//! What a person says of workers: unavailable, unschedulable, for some namespaces only.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::tools::{
    A_WHILE, begin, by_force, done, everything, nothing_is_left, pod, says, standing, state, things, three, uid_of,
    until_ready, until_state, until_told, untouched, why, within,
};
use crate::{
    link::Power,
    lives::Replica,
    stage::{
        Stage,
        people::{People, Wanted},
    },
};

/// A person changes what a registration says.
pub(super) async fn respec_worker(stage: &impl Stage, name: &str, spec: Value) {
    stage.say(&format!("changes the registration {name}: {spec}"));
    let clusters = stage.registrations();
    let (params, patch) = (PatchParams::default(), json!({ "spec": spec }));
    done(stage, "a registration is changed", async || clusters.patch(name, &params, &Patch::Merge(&patch)).await).await;
}

/// A person marks a worker, or takes the mark away.
async fn mark(stage: &impl Stage, name: &str, unavailable: impl Into<Value>) {
    respec_worker(stage, name, json!({ "unavailable": unavailable.into() })).await;
}

/// How soon what a person says is to be seen everywhere.
const SOON: Duration = Duration::from_secs(10);

/// Waits until a database runs that does not need to wait for anybody.
async fn runs_soon(stage: &impl Stage, wanted: &Wanted) {
    stage.create(wanted).await;
    let placed = async || stage.condition(&wanted.name, "Placed").await.0 == "True";
    within(stage, SOON, "it is placed without a grace for anybody", placed).await;
    stage.until_phase(&wanted.name, "Running").await;
}

/// Row 69: document 001, "Cluster failure".
pub async fn a_worker_that_is_marked_unavailable_is_told_of_and_left_alone(stage: &impl Stage) {
    begin(stage).await;
    let [w1, w2, w3] = three(stage);
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    stage.power(&w2, Power::Off).await;
    mark(stage, &w2, true).await;
    let told = async || why(stage, "a", 1).await.contains("marked unavailable since");
    within(stage, SOON, "its member is told to be gone", told).await;
    assert_eq!(state(stage, "a", 1).await, "Unknown");
    assert_eq!(stage.phase("a").await, "Abnormal");
    says(&why(stage, "a", 1).await, &format!("atoll worker mark-available {w2}"));
    let since = stage.resource("a").await["status"]["members"][1]["since"].clone();
    assert!(since.is_string(), "{since}");
    // Whoever does not name it goes on without it, and whoever does is told.
    runs_soon(stage, &Wanted::named("b").of(2)).await;
    stage.create(&Wanted::named("c").of(1).within(&[&w2])).await;
    says(&until_told(stage, "c", "Placed", "False", "WorkerUnavailable").await, &w2);
    // A new process says the same, and waits for nobody.
    stage.crash(Replica(0)).await;
    runs_soon(stage, &Wanted::named("d").of(2)).await;
    let same = async || {
        let a = stage.resource("a").await;
        a["status"]["phase"] == "Abnormal" && a["status"]["members"][1]["since"] == since
    };
    stage.stays("the status of a stays true", A_WHILE, same).await;
    for name in ["b", "d"] {
        assert!(things_in(stage, &w2, name).await.is_empty());
        assert!(!things_in(stage, &w1, name).await.is_empty() && !things_in(stage, &w3, name).await.is_empty());
    }
    stage.power(&w2, Power::On).await;
    mark(stage, &w2, Value::Null).await;
    until_ready(stage, &w2).await;
    stage.until_phase("a", "Running").await;
    stage.until_phase("c", "Running").await;
    untouched(stage, "a", &before).await;
}

/// What stands of a database in a worker. One whose API server does not run holds nothing new.
async fn things_in<S: Stage>(stage: &S, site: &crate::tape::Site, name: &str) -> Vec<String> {
    let pods: kube::Api<Pod> = kube::Api::all(stage.person(site));
    match pods.list(&kube::api::ListParams::default().labels(&format!("atoll.dev/name={name}"))).await {
        Ok(list) => list.items.iter().map(kube::ResourceExt::name_any).collect(),
        Err(_) => Vec::new(),
    }
}

/// Row 69: a mark is believed rather than what is seen.
pub async fn a_mark_on_a_worker_that_is_well_keeps_everybody_off_it(stage: &impl Stage) {
    begin(stage).await;
    let [_, w2, _] = three(stage);
    stage.run(&Wanted::named("a")).await;
    mark(stage, &w2, true).await;
    until_state(stage, "a", 1, "Unknown").await;
    let before = things(stage, &w2, "a").await;
    // What a person takes away there meanwhile is made again when the mark goes, and no sooner.
    let member = pod("a", 1);
    by_force(stage, &w2, &member).await;
    let gone = async || uid_of::<Pod>(stage, &w2, &member).await.is_none();
    stage.until("the pod is gone", gone).await;
    stage.stays("nobody makes it again", A_WHILE, gone).await;
    assert_eq!(stage.phase("a").await, "Abnormal");
    assert_eq!(state(stage, "a", 1).await, "Unknown");
    mark(stage, &w2, false).await;
    stage.until_phase("a", "Running").await;
    let after = things(stage, &w2, "a").await;
    assert_eq!(after.len(), before.len());
    assert_eq!(after.get("claim data-a-etcd-1"), before.get("claim data-a-etcd-1"), "it is on its volume again");
}

/// Row 69: what is deleted meanwhile waits, with what is left where.
pub async fn a_deletion_waits_for_a_marked_worker(stage: &impl Stage) {
    begin(stage).await;
    let [_, w2, _] = three(stage);
    stage.run(&Wanted::named("a")).await;
    mark(stage, &w2, true).await;
    until_state(stage, "a", 1, "Unknown").await;
    stage.delete("a").await;
    let held = async || stage.condition("a", "Deletable").await.2.contains("marked unavailable");
    stage.until("the deletion says what it waits for", held).await;
    let there = things(stage, &w2, "a").await;
    assert!(there.contains_key("pod a-etcd-1") && there.contains_key("claim data-a-etcd-1"), "{there:?}");
    stage.crash(Replica(0)).await;
    stage.sleep(A_WHILE).await;
    assert_eq!(things(stage, &w2, "a").await, there);
    mark(stage, &w2, Value::Null).await;
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
}

/// Row 70.
pub async fn a_worker_that_takes_no_new_members_keeps_those_it_has(stage: &impl Stage) {
    begin(stage).await;
    let [_, w2, _] = three(stage);
    stage.run(&Wanted::named("a")).await;
    respec_worker(stage, &w2, json!({ "unschedulable": true })).await;
    stage.create(&Wanted::named("c").of(1).within(&[&w2])).await;
    says(&until_told(stage, "c", "Placed", "False", "WorkerUnschedulable").await, &w2);
    stage.run(&Wanted::named("b").of(2)).await;
    assert!(things(stage, &w2, "b").await.is_empty());
    // A pod that goes there comes back there.
    let member = pod("a", 1);
    let before = uid_of::<Pod>(stage, &w2, &member).await;
    by_force(stage, &w2, &member).await;
    let again = async || uid_of::<Pod>(stage, &w2, &member).await.is_some_and(|uid| Some(uid) != before);
    stage.until("its pod is made again", again).await;
    stage.until_phase("a", "Running").await;
    assert!(everything(stage, "c").await.is_empty());
    respec_worker(stage, &w2, json!({ "unschedulable": null })).await;
    stage.until_phase("c", "Running").await;
}

/// Row 70.
pub async fn a_list_of_namespaces_that_is_narrowed_hurts_no_member(stage: &impl Stage) {
    begin(stage).await;
    let [_, w2, _] = three(stage);
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    respec_worker(stage, &w2, json!({ "allowedNamespaces": ["shop"] })).await;
    stage.create(&Wanted::named("c").of(1).within(&[&w2])).await;
    let message = until_told(stage, "c", "Placed", "False", "NamespaceNotAllowed").await;
    says(&message, &w2);
    says(&message, "from namespace default");
    stage.run(&Wanted::named("b").of(2)).await;
    assert!(things(stage, &w2, "b").await.is_empty());
    // Who may come in is another question than who may stay.
    assert_eq!(stage.phase("a").await, "Running");
    untouched(stage, "a", &before).await;
    let member = pod("a", 1);
    by_force(stage, &w2, &member).await;
    let again =
        async || uid_of::<Pod>(stage, &w2, &member).await.is_some_and(|uid| before.values().all(|old| *old != uid));
    stage.until("its pod is made again", again).await;
    stage.until_phase("a", "Running").await;
    stage.make_namespace(&stage.master(), "shop").await;
    let mut shop = Wanted::named("d").of(1).within(&[&w2]).manifest();
    shop["metadata"]["namespace"] = "shop".into();
    stage.create_manifest(&shop).await;
    stage.until_phase("shop/d", "Running").await;
    respec_worker(stage, &w2, json!({ "allowedNamespaces": ["shop", "default"] })).await;
    stage.until_phase("c", "Running").await;
}
