//! The manifests that document 001 prints, and what users of such a component write besides.

use serde_json::{Value, json};

use super::Cluster;
use crate::{
    dialect::{Dialect, Settings},
    plan::{
        database::{Database, OnDelete, PlacementRequest},
        network::{Exposure, MemberServices, Network, Spread},
    },
};

const CLOUD: &str = include_str!("../../../examples/kubeblocks-etcd/cloud.yaml");
const CROSS_CLOUD: &str = include_str!("../../../examples/kubeblocks-etcd/cross-cloud.yaml");
const SELF_HOSTED: &str = include_str!("../../../examples/kubeblocks-etcd/self-hosted.yaml");

fn named(mut cluster: Cluster) -> Cluster {
    cluster.metadata.name = Some("etcdx7k2p".into());
    cluster
}

fn printed(manifest: &str) -> Database {
    named(serde_saphyr::from_str(manifest).unwrap()).compile(&Settings::default())
}

/// The third manifest of the document with `change` merged into its component.
fn changed(change: &Value) -> Database {
    let mut manifest: Value = serde_saphyr::from_str(SELF_HOSTED).unwrap();
    let component = manifest["spec"]["componentSpecs"][0].as_object_mut().unwrap();
    component.extend(change.as_object().unwrap().clone());
    named(serde_json::from_value(manifest).unwrap()).compile(&Settings::default())
}

fn services(database: &Database) -> &MemberServices {
    match &database.network {
        Network::MemberServices(services) => services,
        Network::PodNames => panic!("there is no service"),
    }
}

#[test]
fn the_printed_manifests_mean_what_their_document_says() {
    let alibaba = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type";
    for (manifest, exposure, spread, size, annotation) in [
        (CLOUD, Exposure::LoadBalancer, Spread::Unique, "20Gi", (alibaba, "intranet")),
        (CROSS_CLOUD, Exposure::LoadBalancer, Spread::Unique, "20Gi", (alibaba, "internet")),
        (SELF_HOSTED, Exposure::ClusterIp, Spread::Mirror, "1Gi", ("service.cilium.io/global", "true")),
    ] {
        let database = printed(manifest);
        assert_eq!((&database.problems, &database.ignored), (&Vec::new(), &Vec::new()));
        assert_eq!(database.replicas, 3);
        assert_eq!(database.names.prefix, "etcdx7k2p-etcd");
        assert_eq!(database.placement, PlacementRequest::Listed(["k8s-1", "k8s-2", "k8s-3"].map(Into::into).into()));
        assert_eq!(database.on_delete, OnDelete::Wipe);
        assert_eq!((database.volumes.data.name.as_str(), database.volumes.data.size.0.as_str()), ("data", size));
        assert_eq!(database.volumes.others, []);
        let limits = database.pod.resources.limits.clone().unwrap();
        assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("100m", "100M"));
        let services = services(&database);
        assert_eq!((services.name.as_str(), services.exposure, services.spread), ("peer", exposure, spread));
        assert_eq!(services.annotations.get(annotation.0).map(String::as_str), Some(annotation.1));
        let ours = "apps.kubeblocks.io/multi-cluster-service-placement";
        assert!(!services.annotations.contains_key(ours), "it speaks to us, not to the cloud");
    }
}

#[test]
fn a_service_among_the_volumes_is_a_service() {
    let database = printed(CLOUD);
    assert_eq!(services(&database).name, "peer");
    assert_eq!(database.volumes.iter().count(), 1);
}

#[test]
fn without_a_service_for_members_peers_are_pod_names() {
    assert_eq!(changed(&json!({ "services": [] })).network, Network::PodNames);
}

#[test]
fn without_the_annotation_members_may_go_anywhere() {
    for listed in [None, Some(""), Some(" , ")] {
        let mut cluster: Cluster = named(serde_saphyr::from_str(SELF_HOSTED).unwrap());
        let annotations = cluster.metadata.annotations.as_mut().unwrap();
        annotations.remove(super::compile::PLACEMENT);
        if let Some(listed) = listed {
            annotations.insert(super::compile::PLACEMENT.into(), listed.into());
        }
        assert_eq!(cluster.compile(&Settings::default()).placement, PlacementRequest::Spread, "{listed:?}");
    }
}

#[test]
fn what_cannot_be_served_is_a_problem_in_words() {
    for (change, reason) in [
        (json!({ "componentDef": "mysql-8.0" }), "UnknownComponentDefinition"),
        (json!({ "componentDef": null }), "UnknownComponentDefinition"),
        (json!({ "serviceVersion": "2.3.8" }), "UnknownVersion"),
        (json!({ "replicas": 0 }), "NoMembers"),
        (json!({ "replicas": 100_000 }), "TooManyMembers"),
        (json!({ "volumeClaimTemplates": [] }), "NoDataVolume"),
        (json!({ "env": [{ "name": "ETCD_FORCE_NEW_CLUSTER", "value": "true" }] }), "UnsafeEnvironment"),
        (json!({ "name": "a-component-with-a-name-that-is-far-too-long-for-a-pod" }), "NameTooLong"),
        (
            json!({ "services": [{ "name": "peer", "podService": true,
                "annotations": { "apps.kubeblocks.io/multi-cluster-service-placement": "both" } }] }),
            "UnknownServicePlacement",
        ),
    ] {
        let problems = changed(&change).problems;
        assert_eq!(problems.iter().map(|p| p.reason).collect::<Vec<_>>(), [reason], "{change}");
    }
}

#[test]
fn a_cluster_of_several_components_is_told_so() {
    let mut cluster: Cluster = named(serde_saphyr::from_str(SELF_HOSTED).unwrap());
    let second = cluster.spec.component_specs[0].clone();
    cluster.spec.component_specs.push(second);
    assert_eq!(cluster.compile(&Settings::default()).problems[0].reason, "SeveralComponents");
    cluster.spec.component_specs.clear();
    assert_eq!(cluster.compile(&Settings::default()).problems[0].reason, "NoComponent");
}

#[test]
fn fields_that_do_nothing_are_named() {
    let database = changed(&json!({
        "monitor": true,
        "services": [{ "name": "client", "serviceType": "NodePort" }],
    }));
    assert_eq!(
        database.ignored,
        ["spec.componentSpecs[0].monitor", "spec.componentSpecs[0].services[client] (without podService)"]
    );
}

#[test]
fn scheduling_reaches_the_pods_in_its_newer_and_in_its_older_form() {
    let newer = changed(&json!({ "schedulingPolicy": {
        "nodeSelector": { "disk": "ssd" },
        "tolerations": [{ "key": "db", "operator": "Exists" }],
        "schedulerName": "mine",
    }}));
    assert_eq!(newer.pod.node_selector["disk"], "ssd");
    assert_eq!((newer.pod.tolerations.len(), newer.pod.scheduler.as_deref()), (1, Some("mine")));

    let older = changed(&json!({ "affinity": {
        "podAntiAffinity": "Required", "topologyKeys": ["kubernetes.io/hostname"], "nodeLabels": { "disk": "ssd" },
    }}));
    assert_eq!(older.pod.node_selector["disk"], "ssd");
    let anti = older.pod.affinity.unwrap().pod_anti_affinity.unwrap();
    let terms = anti.required_during_scheduling_ignored_during_execution.unwrap();
    assert_eq!(terms[0].topology_key, "kubernetes.io/hostname");
}

#[test]
fn a_status_that_tells_the_same_is_not_written() {
    use crate::dialect::News;
    use crate::plan::report::{Phase, Report};

    let cluster = named(serde_saphyr::from_str(SELF_HOSTED).unwrap());
    let database = cluster.compile(&Settings::default());
    let report = |phase, message: &str| Report {
        operation: None,
        phase,
        message: message.to_owned(),
        members: Vec::new(),
        conditions: Vec::new(),
    };
    let now = crate::plan::testing::now();
    let told = cluster.told(&database, None, &report(Phase::Creating, "one"), now);
    let again = told.told(&database, None, &report(Phase::Creating, "one"), now);
    let detail = told.told(&database, None, &report(Phase::Creating, "two"), now);
    let headline = told.told(&database, None, &report(Phase::Running, "two"), now);
    assert_eq!(
        [cluster.news(&told), told.news(&again), told.news(&detail), told.news(&headline)],
        [News::Headline, News::None, News::Detail, News::Headline]
    );
}
