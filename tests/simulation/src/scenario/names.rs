//! Names and labels: too long, clashing, borrowed.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use serde_json::json;

use super::tools::{
    api, begin, done, everything, make, master_identity, nothing_is_left, remove, says, standing, three, uid_of,
    until_told, untouched,
};
use crate::stage::{
    Stage,
    people::{People, Wanted},
};

/// Row 53.
pub async fn names_that_are_too_long_or_clash_are_refused_in_words(stage: &impl Stage) {
    begin(stage).await;
    let long = "a".repeat(50);
    stage.create(&Wanted::named(&long)).await;
    says(&until_told(stage, &long, "Accepted", "False", "NameTooLong").await, "63");
    assert!(everything(stage, &long).await.is_empty());
    // Two resources, and one name for their objects: x with component y-etcd, and x-y with component etcd.
    let [w1, ..] = three(stage);
    stage.run(&Wanted::named("x-y").of(1).within(&[&w1])).await;
    let before = standing(stage, "x-y").await;
    let mut second = Wanted::named("x").of(1).within(&[&w1]).manifest();
    second["spec"]["componentSpecs"][0]["name"] = "y-etcd".into();
    stage.create_manifest(&second).await;
    says(&until_told(stage, "x", "WorkersAccept", "False", "ForeignObject").await, "x-y-etcd-headless");
    untouched(stage, "x-y", &before).await;
    stage.delete("x").await;
    stage.until_gone("x").await;
    untouched(stage, "x-y", &before).await;
    assert_eq!(stage.phase("x-y").await, "Running");
}

/// Row 54.
pub async fn other_peoples_objects_with_our_labels_are_neither_counted_nor_deleted(stage: &impl Stage) {
    begin(stage).await;
    let [w1, ..] = three(stage);
    stage.run(&Wanted::named("a")).await;
    let master = master_identity(stage).await;
    // Of a database of this name, but of another resource: left over from before, or copied by hand.
    let labels = json!({
        "app.kubernetes.io/managed-by": "atoll", "atoll.dev/master": master, "atoll.dev/uid": "another-uid",
        "atoll.dev/kind": "cluster.apps.kubeblocks.io", "atoll.dev/namespace": "default", "atoll.dev/name": "a",
        "atoll.dev/member": "a-etcd-7",
    });
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a-etcd-peer-7", "labels": labels },
        "spec": { "selector": { "app": "theirs" }, "ports": [{ "name": "peer", "port": 2380 }] } });
    make::<Service>(stage, &w1, service).await;
    // With our labels in full, of a kind that is none of ours.
    let pods = api::<Pod>(stage, &w1);
    let member = done(stage, "looking", async || pods.get("a-etcd-0").await).await;
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "notes", "labels": member.metadata.labels } });
    make::<ConfigMap>(stage, &w1, map).await;
    let (theirs, notes) =
        (uid_of::<Service>(stage, &w1, "a-etcd-peer-7").await, uid_of::<ConfigMap>(stage, &w1, "notes").await);
    stage.sleep(super::tools::A_WHILE).await;
    assert_eq!(stage.phase("a").await, "Running");
    stage.delete("a").await;
    stage.until_gone("a").await;
    assert_eq!(uid_of::<Service>(stage, &w1, "a-etcd-peer-7").await, theirs);
    assert_eq!(uid_of::<ConfigMap>(stage, &w1, "notes").await, notes);
    remove::<Service>(stage, &w1, "a-etcd-peer-7").await;
    nothing_is_left(stage, "a").await;
}
