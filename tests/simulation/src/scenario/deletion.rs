//! Deletion: it ends, or says why not, and takes nothing that it could not see.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::tools::{
    A_WHILE, api, begin, by_force, change, claim, done, everything, nothing_is_left, pod, remove, says, things, three,
    uid, uid_of, until_ready, until_state, until_told, until_up_to_date,
};
use crate::{
    link::{How, Shot, Way, Which},
    lives::Replica,
    stage::{
        Simulated, Stage,
        people::{People, Wanted},
    },
};

/// Row 9.
pub async fn a_deletion_does_not_trust_a_cache_that_stands_still(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    stage.fault("stale cache", &format!("{w2}'s watch cache stands still"));
    // From here on it tells nobody of what goes: neither the controller nor the kubelets.
    stage.server(&w2).freeze_cache();
    stage.delete("a").await;
    let message = until_told(stage, "a", "Deletable", "False", "ObjectsLeft").await;
    says(&message, &w2);
    stage.crash(Replica(0)).await;
    stage
        .stays("the resource stays while anything is left", Duration::from_mins(1), async || {
            stage.database("a").await.is_some() || everything(stage, "a").await.is_empty()
        })
        .await;
    stage.server(&w2).thaw_cache();
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
    stage.run(&Wanted::named("a")).await;
}

/// Row 20.
pub async fn a_worker_restored_from_a_backup_is_seen_as_it_is_now(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    let backup = stage.back_up(&w2).await;
    let at_backup = things(stage, &w2, "a").await;
    // Later than the backup: the pod is another one, and a database has come.
    remove::<Pod>(stage, &w2, &pod("a", 1)).await;
    stage.until("the pod is made again", async || things(stage, &w2, "a").await.len() == at_backup.len()).await;
    stage.until_phase("a", "Running").await;
    stage.run(&Wanted::named("b")).await;
    stage.restore(&w2, &backup).await;
    // Its member of b is gone with its volume, as far as anybody can tell: it is replaced by a new one, and never made
    // again.
    let replaced = async || things(stage, &w2, "b").await.contains_key("pod b-etcd-3");
    stage.until("the member is replaced", replaced).await;
    until_up_to_date(stage, "b").await;
    stage.until_phase("a", "Running").await;
    stage.sleep(A_WHILE).await;
    assert_eq!(things(stage, &w2, "a").await.keys().collect::<Vec<_>>(), at_backup.keys().collect::<Vec<_>>());
    let again = things(stage, &w2, "b").await.keys().any(|thing| thing.ends_with("b-etcd-1"));
    assert!(!again, "a member whose volume is gone is not started on another one");
    stage.delete("b").await;
    stage.until_gone("b").await;
    stage.until_phase("a", "Running").await;
}

/// Row 20: what was deleted comes back.
pub async fn what_a_backup_brings_back_of_a_deleted_database_is_not_taken_for_a_new_one(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    let old = uid(stage, "a").await;
    let backup = stage.back_up(&w2).await;
    stage.delete("a").await;
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
    // Its nodes are down as well. A kubelet would start what the backup says, whose volume is empty by now.
    let world = stage.world(&w2);
    let nodes = world.nodes();
    for node in &nodes {
        world.cut_node(node);
    }
    stage.restore(&w2, &backup).await;
    let returned = things(stage, &w2, "a").await;
    assert!(!returned.is_empty());
    stage.sleep(Duration::from_mins(1)).await;
    stage.create(&Wanted::named("a")).await;
    says(&until_told(stage, "a", "RecordFound", "False", "RecordLost").await, &old);
    // A person throws away what is left, and it goes on by itself.
    by_force(stage, &w2, &pod("a", 1)).await;
    remove::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await;
    for service in things(stage, &w2, "a").await.keys().filter_map(|thing| thing.strip_prefix("service ")) {
        remove::<Service>(stage, &w2, service).await;
    }
    for node in &nodes {
        world.heal_node(node);
    }
    stage.until_phase("a", "Running").await;
    assert_ne!(uid(stage, "a").await, old);
}

/// Row 34.
pub async fn a_database_of_the_same_name_does_not_inherit_from_a_worker_that_was_away(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let old = uid(stage, "a").await;
    let [w1, w2, w3] = three(stage);
    stage.way(&w2, Way::BlackHole).await;
    until_state(stage, "a", 1, "Unknown").await;
    stage.delete("a").await;
    let message = until_told(stage, "a", "Deletable", "False", "ObjectsLeft").await;
    says(&message, &w2);
    stage.stays("the resource stays while anything may be left", A_WHILE, async || uid(stage, "a").await == old).await;
    assert!(things(stage, &w1, "a").await.is_empty() && things(stage, &w3, "a").await.is_empty());
    // Somebody has no patience, and takes the finalizer off.
    stage.edit("a", json!({ "metadata": { "finalizers": null } })).await;
    stage.until_gone("a").await;
    stage.create(&Wanted::named("a").within(&[&w1, &w2, &w3])).await;
    says(&until_told(stage, "a", "Placed", "False", "WorkerUnseen").await, &w2);
    assert!(things(stage, &w1, "a").await.is_empty(), "nothing is founded over what may be there");
    stage.way(&w2, Way::Open).await;
    says(&until_told(stage, "a", "RecordFound", "False", "RecordLost").await, &old);
    let left = things(stage, &w2, "a").await;
    assert!(!left.is_empty());
    stage.sleep(A_WHILE).await;
    assert_eq!(things(stage, &w2, "a").await, left, "and nothing of it is touched");
    for thing in left.keys() {
        match thing.split_once(' ') {
            Some(("pod", name)) => remove::<Pod>(stage, &w2, name).await,
            Some(("claim", name)) => super::tools::ask_to_go::<PersistentVolumeClaim>(stage, &w2, name).await,
            Some(("service", name)) => remove::<Service>(stage, &w2, name).await,
            _ => panic!("a person does not know {thing}"),
        }
    }
    stage.until_phase("a", "Running").await;
}

/// Row 40.
pub async fn one_list_that_fails_makes_no_whole_of_the_others(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    stage.fault("error status", &format!("{w2} answers lists with 500"));
    stage.weather.shoot(&w2, Shot { which: Which::List, skip: 0, times: 40, how: How::Status(500) });
    stage.delete("a").await;
    stage
        .stays("the resource stays while one list fails", Duration::from_secs(40), async || {
            stage.database("a").await.is_some() || everything(stage, "a").await.is_empty()
        })
        .await;
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
    until_ready(stage, &w2).await;
}

/// Row 55.
pub async fn somebody_elses_finalizer_holds_a_deletion_which_says_so(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    let held = json!({ "metadata": { "finalizers": ["kubernetes.io/pvc-protection", "example.com/backup"] } });
    change::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1), held).await;
    stage.delete("a").await;
    let told = async || {
        let (status, _, message) = stage.condition("a", "Deletable").await;
        status == "False" && message.contains(&claim("a", 1)) && message.contains(&*w2) && !message.contains("pod ")
    };
    stage.until("the condition names what is left, and where", told).await;
    says(&stage.condition("a", "Deletable").await.2, "example.com/backup");
    stage.stays("the resource stays", A_WHILE, async || stage.phase("a").await == "Deleting").await;
    assert_eq!(everything(stage, "a").await, [format!("{w2}: claim {}", claim("a", 1))]);
    stage.say("takes the finalizer off");
    let claims = api::<PersistentVolumeClaim>(stage, &w2);
    let off = json!({ "metadata": { "finalizers": null } });
    let name = claim("a", 1);
    done(stage, "a finalizer goes", async || claims.patch(&name, &PatchParams::default(), &Patch::Merge(&off)).await)
        .await;
    stage.until_gone("a").await;
    assert!(uid_of::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await.is_none());
}
