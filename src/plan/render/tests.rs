//! What Atoll puts in a worker.

use super::{Owner, claim, pod, scout, services};
use crate::{
    engine::Start,
    plan::{
        address,
        database::Database,
        found, labels,
        name::Uid,
        network::{Exposure, MemberServices, Network, Spread},
        record::Recorded,
        testing,
    },
};

/// The record of a database whose identity is computed.
fn recorded(database: &Database) -> Recorded {
    let mut record = testing::placed(database);
    let addresses = address::addresses(database, &record, &testing::founded_world(database)).unwrap();
    let uids = |what: &str| -> Vec<_> { (0..3).map(|n| Uid::new(format!("{what}-{n}"))).collect() };
    let uid = &database.id.uid;
    found::identify(uid, database, &mut record, 1, &addresses, &uids("worker"), &uids("volume"));
    Recorded::from_status(record)
}

fn master() -> Uid {
    Uid::from("uid-master")
}

#[test]
fn a_founder_knows_all_members_and_a_later_pod_never_founds() {
    let database = testing::database();
    let (record, master) = (recorded(&database), master());
    let owner = Owner { master: &master, database: &database };
    for (start, state) in [(Start::Found, "new"), (Start::Join, "existing")] {
        let pod = pod(owner, &record, &record.members[1], &Uid::from("volume-1"), start);
        let args = pod.spec.unwrap().containers[0].args.clone().unwrap();
        assert!(args.contains(&format!("--initial-cluster-state={state}")), "{args:?}");
        let initial = args.iter().find(|arg| arg.starts_with("--initial-cluster=")).unwrap();
        for (member, worker) in [("db-etcd-0", "a"), ("db-etcd-1", "b"), ("db-etcd-2", "c")] {
            let url = format!("{member}=http://{member}.db-etcd-headless.default.svc.{worker}.test:2380");
            assert!(initial.contains(&url), "{initial}");
        }
        assert!(args.contains(&"--initial-cluster-token=uid-db.1.volume-0".to_owned()), "{args:?}");
    }
}

#[test]
fn how_a_member_starts_is_no_drift() {
    let database = testing::database();
    let (record, master) = (recorded(&database), master());
    let owner = Owner { master: &master, database: &database };
    let made_from = |start| {
        let pod = pod(owner, &record, &record.members[0], &Uid::from("volume-0"), start);
        pod.metadata.annotations.unwrap()[labels::RENDERED].clone()
    };
    assert_eq!(made_from(Start::Found), made_from(Start::Join));
}

#[test]
fn a_pods_only_owner_is_its_own_volume_in_the_same_worker() {
    let database = testing::database();
    let (record, master) = (recorded(&database), master());
    let owner = Owner { master: &master, database: &database };
    let member = &record.members[0];
    for pod in
        [pod(owner, &record, member, &Uid::from("volume-0"), Start::Join), scout(owner, member, &Uid::from("volume-0"))]
    {
        let owners = pod.metadata.owner_references.unwrap();
        assert_eq!(owners.len(), 1);
        assert_eq!((owners[0].kind.as_str(), owners[0].uid.as_str()), ("PersistentVolumeClaim", "volume-0"));
        assert_eq!((owners[0].controller, owners[0].block_owner_deletion), (Some(true), None));
    }
    for service in services(owner, &record) {
        assert_eq!(service.service.metadata.owner_references, None);
    }
    let claim = claim(owner, &record, member, &database.volumes.data);
    assert_eq!(claim.metadata.owner_references, None);
}

#[test]
fn pods_pass_pod_security_restricted_and_hold_no_token() {
    let database = testing::database();
    let (record, master) = (recorded(&database), master());
    let owner = Owner { master: &master, database: &database };
    let member = &record.members[0];
    let volume = Uid::from("volume-0");
    for pod in [pod(owner, &record, member, &volume, Start::Join), scout(owner, member, &volume)] {
        let spec = pod.spec.unwrap();
        assert_eq!(spec.automount_service_account_token, Some(false));
        let security = spec.security_context.unwrap();
        assert_eq!(security.run_as_non_root, Some(true));
        assert_eq!(security.seccomp_profile.unwrap().type_, "RuntimeDefault");
        for container in spec.containers {
            let security = container.security_context.unwrap();
            assert_eq!(security.allow_privilege_escalation, Some(false));
            assert_eq!(security.capabilities.unwrap().drop.unwrap(), ["ALL"]);
        }
    }
}

#[test]
fn a_manifests_labels_and_annotations_never_override_ours() {
    let mut database = testing::database();
    for key in [labels::MANAGED_BY, labels::DATABASE_UID, labels::MEMBER, "mine"] {
        database.pod.labels.insert(key.to_owned(), "theirs".to_owned());
        database.pod.annotations.insert(labels::RENDERED.to_owned(), "theirs".to_owned());
    }
    let (record, master) = (recorded(&database), master());
    let owner = Owner { master: &master, database: &database };
    let pod = pod(owner, &record, &record.members[0], &Uid::from("volume-0"), Start::Join);
    let labels = pod.metadata.labels.unwrap();
    assert_eq!(labels[labels::MANAGED_BY], "atoll");
    assert_eq!(labels[labels::DATABASE_UID], "uid-db");
    assert_eq!(labels[labels::MEMBER], "db-etcd-0");
    assert_eq!(labels["mine"], "theirs");
    assert_ne!(pod.metadata.annotations.unwrap()[labels::RENDERED], "theirs");
}

#[test]
fn services_select_pods_that_they_are_for_and_no_placeholders() {
    let mut database = testing::database();
    database.network = Network::MemberServices(MemberServices {
        name: "peer".into(),
        exposure: Exposure::NodePort,
        spread: Spread::Unique,
        annotations: std::collections::BTreeMap::new(),
    });
    let (record, master) = (recorded(&database), master());
    let owner = Owner { master: &master, database: &database };
    let volume = Uid::from("volume-0");
    let labels_of = |pod: k8s_openapi::api::core::v1::Pod| pod.metadata.labels.unwrap();
    let member = labels_of(pod(owner, &record, &record.members[0], &volume, Start::Join));
    let placeholder = labels_of(scout(owner, &record.members[0], &volume));
    for service in services(owner, &record) {
        let spec = service.service.spec.unwrap();
        let selector = spec.selector.unwrap();
        let selects = |labels: &std::collections::BTreeMap<String, String>| {
            selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let is_for_it = !service.name.as_str().contains("-peer-") || service.name.as_str().ends_with("-0");
        assert_eq!((selects(&member), selects(&placeholder)), (is_for_it, false), "{}", service.name);
        assert_eq!(spec.publish_not_ready_addresses, Some(true), "etcd becomes ready through its peers");
    }
}

#[test]
fn a_services_annotations_reach_it_and_change_its_digest() {
    let with = |annotations: &[(&str, &str)]| {
        let mut database = testing::database();
        database.network = Network::MemberServices(MemberServices {
            name: "peer".into(),
            exposure: Exposure::LoadBalancer,
            spread: Spread::Unique,
            annotations: annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        });
        let (record, master) = (recorded(&database), master());
        let all = services(Owner { master: &master, database: &database }, &record);
        all.into_iter().find(|service| service.name.as_str() == "db-etcd-peer-0").unwrap()
    };
    let plain = with(&[]);
    let annotated = with(&[("cloud", "intranet")]);
    assert_eq!(annotated.service.metadata.annotations.as_ref().unwrap()["cloud"], "intranet");
    assert_ne!(plain.digest, annotated.digest);
}
