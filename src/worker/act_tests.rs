//! Acts, carried out in clusters in memory.

use std::sync::Arc;

use serde_json::json;

use super::{
    gate::{Gate, LeaseLost, Open},
    outcome::{ActError, Done},
    pool_tests::{World, create, in_view, pod},
    testing::Cluster,
};
use crate::plan::{
    act::{Act, Change, Kind, MissingNamespace, Object, Reason, Target},
    adopt::ClaimRecord,
    labels,
    name::{Namespace, ObjectName, ResourceVersion, Uid, WorkerName},
};

#[tokio::test(start_paused = true)]
async fn a_created_object_is_in_view_at_once_and_created_once() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    let act = create("k8s-1", pod("etcd-0", "db"));
    assert_eq!(world.pool.carry_out(&act).await, Ok(Done::Changed));
    assert!(in_view(&world.view("k8s-1"), "etcd-0"));
    assert_eq!(world.pool.carry_out(&act).await, Ok(Done::Already));
    let foreign = world.pool.carry_out(&create("k8s-1", pod("etcd-0", "another"))).await;
    let Err(error @ ActError::Foreign { .. }) = foreign else { panic!("{foreign:?}") };
    assert!(error.to_string().contains("pod default/etcd-0 in worker k8s-1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_namespace_is_made_only_where_the_act_says_so() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    cluster.remove("namespaces", "", "default");
    let mut act = create("k8s-1", pod("etcd-0", "db"));
    let Change::Create(object, _) = act.change.clone() else { unreachable!() };
    act.change = Change::Create(object.clone(), MissingNamespace::Fail);
    assert!(matches!(world.pool.carry_out(&act).await, Err(ActError::NamespaceGone { .. })));
    act.change = Change::Create(object, MissingNamespace::Create);
    assert_eq!(world.pool.carry_out(&act).await, Ok(Done::Changed));
    let namespace = cluster.get("namespaces", "", "default").unwrap();
    assert_eq!(namespace["metadata"]["labels"][labels::MANAGED_BY], labels::MANAGER);
}

/// The pod `etcd-0`, if it has this UID.
fn target(uid: &str) -> Target {
    Target {
        kind: Kind::Pod,
        namespace: Namespace::from("default"),
        name: ObjectName::from("etcd-0"),
        uid: Uid::from(uid),
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_hits_exactly_the_object_that_was_seen() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    let made = cluster.put("pods", "default", "etcd-0", serde_json::to_value(pod("etcd-0", "db")).unwrap());
    let delete = |uid: &str| Act {
        worker: WorkerName::from("k8s-1"),
        reason: Reason::PodEnded,
        change: Change::Delete(target(uid)),
    };
    assert_eq!(world.pool.carry_out(&delete("another")).await, Ok(Done::Already));
    assert!(cluster.get("pods", "default", "etcd-0").is_some());
    let uid = made["metadata"]["uid"].as_str().unwrap();
    assert_eq!(world.pool.carry_out(&delete(uid)).await, Ok(Done::Changed));
    assert!(cluster.get("pods", "default", "etcd-0").is_none());
    assert!(!in_view(&world.view("k8s-1"), "etcd-0"));
    assert_eq!(world.pool.carry_out(&delete(uid)).await, Ok(Done::Already));
}

#[tokio::test(start_paused = true)]
async fn what_a_volume_tells_of_its_member_is_changed_on_exactly_that_claim() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    let claim =
        json!({ "metadata": { "annotations": { "somebody": "else", labels::MEMBER_RECORD: "{}" } }, "spec": {} });
    let made = cluster.put("persistentvolumeclaims", "default", "etcd-0", claim);
    let told = ClaimRecord { database: Uid::from("uid-db"), ordinal: 0, attempt: 1, founders: 0 };
    let tell = |uid: &str| Act {
        worker: WorkerName::from("k8s-1"),
        reason: Reason::FounderLeft,
        change: Change::Tell(Target { kind: Kind::Claim, ..target(uid) }, told.clone()),
    };
    let annotations =
        || cluster.get("persistentvolumeclaims", "default", "etcd-0").unwrap()["metadata"]["annotations"].clone();
    assert!(matches!(world.pool.carry_out(&tell("another")).await, Err(ActError::Replaced { .. })));
    assert_eq!(annotations()[labels::MEMBER_RECORD], "{}");
    assert_eq!(world.pool.carry_out(&tell(made["metadata"]["uid"].as_str().unwrap())).await, Ok(Done::Changed));
    assert_eq!(annotations(), json!({ "somebody": "else", labels::MEMBER_RECORD: told.to_text() }));
}

#[tokio::test(start_paused = true)]
async fn a_delete_of_what_was_seen_so_hits_nothing_that_has_changed_since() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    let made = cluster.put("pods", "default", "etcd-0", serde_json::to_value(pod("etcd-0", "db")).unwrap());
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let delete = |version: &str| Act {
        worker: WorkerName::from("k8s-1"),
        reason: Reason::PodOutdated,
        change: Change::DeleteUnchanged(
            target(made["metadata"]["uid"].as_str().unwrap()),
            ResourceVersion::from(version),
        ),
    };
    let earlier = (version.parse::<u64>().unwrap() - 1).to_string();
    assert!(matches!(world.pool.carry_out(&delete(&earlier)).await, Err(ActError::Replaced { .. })));
    assert!(cluster.get("pods", "default", "etcd-0").is_some());
    assert_eq!(world.pool.carry_out(&delete(version)).await, Ok(Done::Changed));
    assert!(cluster.get("pods", "default", "etcd-0").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_apply_hits_exactly_the_object_that_was_seen() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    let made = cluster.put("pods", "default", "etcd-0", serde_json::to_value(pod("etcd-0", "db")).unwrap());
    let apply = |uid: &str| {
        let mut pod = pod("etcd-0", "db");
        pod.metadata.annotations = Some([(labels::RENDERED.to_owned(), "new".to_owned())].into());
        let change = Change::Apply(Object::Pod(Box::new(pod)), Uid::from(uid));
        Act { worker: WorkerName::from("k8s-1"), reason: Reason::ServiceChanged, change }
    };
    assert!(matches!(world.pool.carry_out(&apply("another")).await, Err(ActError::Replaced { .. })));
    let uid = made["metadata"]["uid"].as_str().unwrap();
    assert_eq!(world.pool.carry_out(&apply(uid)).await, Ok(Done::Changed));
    let view = world.view("k8s-1");
    let seen = view.pod(&ObjectName::from("etcd-0")).present().unwrap().meta.rendered.clone();
    assert_eq!(seen.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn without_the_lease_no_write_leaves() {
    struct Shut;
    impl Gate for Shut {
        fn check(&self) -> Result<(), LeaseLost> {
            Err(LeaseLost)
        }
    }
    let (mut world, cluster) = (World::new(Arc::new(Shut)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    cluster.requests();
    let act = create("k8s-1", pod("etcd-0", "db"));
    assert_eq!(world.pool.carry_out(&act).await, Err(ActError::Lease(LeaseLost)));
    assert!(cluster.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_an_api_server_refuses_is_told_by_kind_and_in_its_words() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    let cases = [
        (403, "Forbidden", "pods \"etcd-0\" is forbidden: exceeded quota: few, requested: pods=1", "QuotaExceeded"),
        (
            403,
            "Forbidden",
            "pods \"etcd-0\" is forbidden: error looking up service account default/default: serviceaccount \"default\" not found",
            "ServiceAccountMissing",
        ),
        (403, "Forbidden", "pods is forbidden: User \"u\" cannot create resource \"pods\"", "NotPermitted"),
        (
            403,
            "Forbidden",
            "pods \"etcd-0\" is forbidden: violates PodSecurity \"restricted:latest\"",
            "AdmissionDenied",
        ),
        (
            403,
            "Forbidden",
            "pods \"etcd-0\" is forbidden: unable to create new content in namespace default because it is being terminated",
            "NamespaceTerminating",
        ),
        (400, "BadRequest", "admission webhook \"w\" denied the request: no", "AdmissionDenied"),
        (422, "Invalid", "Pod \"etcd-0\" is invalid: spec.containers: Required value", "Invalid"),
        (500, "InternalError", "failed calling webhook \"w\"", "Busy"),
    ];
    for (code, reason, words, expected) in cases {
        cluster.refuse("POST pods", code, reason, words, json!({}));
        let error = world.pool.carry_out(&create("k8s-1", pod("etcd-0", "db"))).await.unwrap_err();
        assert_eq!(error.reason(), expected, "{words}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("pod default/etcd-0"), "{error}");
    }
}
