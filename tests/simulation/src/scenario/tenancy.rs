//! Workers that have other namespaces than the master.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{Api, ResourceExt, api::PostParams};
use serde_json::{Value, json};

use super::{
    marks::respec_worker,
    tools::{A_WHILE, Kind, begin, done, nothing_is_left, says, standing, three, until_told, untouched},
};
use crate::{
    lives::Replica,
    stage::{
        Stage,
        people::{People, Wanted},
    },
    tape::Site,
};

/// A database's manifest in a namespace of its own.
fn in_namespace(wanted: &Wanted, namespace: &str) -> Value {
    let mut manifest = wanted.manifest();
    manifest["metadata"]["namespace"] = namespace.into();
    manifest
}

/// A person's view of objects in a namespace of a cluster.
fn within<K: Kind>(stage: &impl Stage, site: &Site, namespace: &str) -> Api<K> {
    Api::namespaced(stage.person(site), namespace)
}

/// The namespaces in which a worker has pods of a database.
async fn homes(stage: &impl Stage, site: &Site, name: &str) -> Vec<String> {
    let api: Api<Pod> = Api::all(stage.person(site));
    let params = kube::api::ListParams::default().labels(&format!("atoll.dev/name={name},atoll.dev/part=member"));
    let pods = done(stage, "a person looks at pods", async || api.list(&params).await).await;
    pods.items.iter().filter_map(ResourceExt::namespace).collect()
}

/// Row 71.
pub async fn members_live_in_the_namespace_that_their_worker_has_for_them(stage: &impl Stage) {
    begin(stage).await;
    let [w1, w2, w3] = three(stage);
    respec_worker(stage, &w2, json!({ "namespaceMapping": { "shop": "tenant-shop" } })).await;
    stage.make_namespace(&stage.master(), "shop").await;
    stage.create_manifest(&in_namespace(&Wanted::named("a"), "shop")).await;
    stage.until_phase("shop/a", "Running").await;
    assert_eq!(homes(stage, &w1, "a").await, ["shop"]);
    assert_eq!(homes(stage, &w2, "a").await, ["tenant-shop"]);
    says(&stage.condition("shop/a", "Placed").await.2, &format!("a-etcd-1 in {w2} (namespace tenant-shop there)"));
    let before = standing(stage, "a").await;
    // The mapping is edited, and the controller starts anew: nobody moves, and what goes comes back where it was.
    respec_worker(stage, &w2, json!({ "namespaceMapping": { "shop": "elsewhere" } })).await;
    stage.crash(Replica(0)).await;
    stage.sleep(A_WHILE).await;
    untouched(stage, "a", &before).await;
    assert_eq!(stage.phase("shop/a").await, "Running");
    let pods = within::<Pod>(stage, &w2, "tenant-shop");
    let force = kube::api::DeleteParams::default().grace_period(0);
    done(stage, "a pod is deleted by force", async || pods.delete("a-etcd-1", &force).await).await;
    let again = async || matches!(pods.get_opt("a-etcd-1").await, Ok(Some(pod)) if before.values().all(|uid| Some(uid) != pod.metadata.uid.as_ref()));
    stage.until("its pod is made again", again).await;
    stage.until_phase("shop/a", "Running").await;
    assert_eq!(homes(stage, &w2, "a").await, ["tenant-shop"]);
    // Only new members go by the new mapping.
    stage.create_manifest(&in_namespace(&Wanted::named("b").of(2).within(&[&w2, &w3]), "shop")).await;
    stage.until_phase("shop/b", "Running").await;
    assert_eq!(homes(stage, &w2, "b").await, ["elsewhere"]);
    stage.delete("shop/a").await;
    stage.until_gone("shop/a").await;
    nothing_is_left(stage, "a").await;
}

/// Row 71: names that meet are refused in words, as everybody's else.
pub async fn two_namespaces_in_one_do_not_share_a_name(stage: &impl Stage) {
    begin(stage).await;
    let [w1, ..] = three(stage);
    respec_worker(stage, &w1, json!({ "namespaceMapping": { "shop": "both", "bank": "both" } })).await;
    for namespace in ["shop", "bank"] {
        stage.make_namespace(&stage.master(), namespace).await;
    }
    let wanted = Wanted::named("a").of(1).within(&[&w1]);
    stage.create_manifest(&in_namespace(&wanted, "shop")).await;
    stage.until_phase("shop/a", "Running").await;
    let before = standing(stage, "a").await;
    stage.create_manifest(&in_namespace(&wanted, "bank")).await;
    says(&until_told(stage, "bank/a", "WorkersAccept", "False", "ForeignObject").await, "both/");
    untouched(stage, "a", &before).await;
    assert_eq!(stage.phase("shop/a").await, "Running");
    // Whoever waits gets the names when they are free.
    stage.delete("shop/a").await;
    stage.until_gone("shop/a").await;
    stage.until_phase("bank/a", "Running").await;
    stage.delete("bank/a").await;
    stage.until_gone("bank/a").await;
    nothing_is_left(stage, "a").await;
}

/// Row 71: a backup that was restored into another namespace, also into the one of the database's own name.
pub async fn a_copy_in_another_namespace_belongs_to_nobody(stage: &impl Stage) {
    begin(stage).await;
    let [_, w2, _] = three(stage);
    respec_worker(stage, &w2, json!({ "namespaceMapping": { "shop": "tenant-shop" } })).await;
    stage.make_namespace(&stage.master(), "shop").await;
    stage.create_manifest(&in_namespace(&Wanted::named("a"), "shop")).await;
    stage.until_phase("shop/a", "Running").await;
    let claims = within::<PersistentVolumeClaim>(stage, &w2, "tenant-shop");
    let claim = done(stage, "looking", async || claims.get("data-a-etcd-1").await).await;
    for namespace in ["shop", "restored"] {
        stage.make_namespace(&w2, namespace).await;
        let copy = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": "data-a-etcd-1", "labels": claim.metadata.labels, "annotations": claim.metadata.annotations },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
        let copy: PersistentVolumeClaim = serde_json::from_value(copy).expect("a claim");
        let api = within::<PersistentVolumeClaim>(stage, &w2, namespace);
        done(stage, "a copy is restored", async || api.create(&PostParams::default(), &copy).await).await;
    }
    stage.sleep(A_WHILE).await;
    assert_eq!(stage.phase("shop/a").await, "Running");
    stage.delete("shop/a").await;
    stage.until_gone("shop/a").await;
    for namespace in ["shop", "restored"] {
        let api = within::<PersistentVolumeClaim>(stage, &w2, namespace);
        let copy = done(stage, "looking", async || api.get_opt("data-a-etcd-1").await).await;
        assert!(copy.is_some_and(|copy| copy.metadata.deletion_timestamp.is_none()), "the copy in {namespace} stays");
    }
    assert!(matches!(claims.get_opt("data-a-etcd-1").await, Ok(None)));
}
