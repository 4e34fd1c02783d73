//! How a database that exists is kept, and told of.

use super::*;

#[test]
fn a_pod_that_goes_after_the_founding_comes_back_on_its_volume_and_never_founds() {
    let mut world = World::running(testing::database());
    world.pods("b").clear();
    world.settle();
    let (name, state) = world.pods_made.last().unwrap();
    assert_eq!((name.as_str(), state.as_str()), ("db-etcd-1", "--initial-cluster-state=existing"));
}

#[test]
fn a_pod_is_not_made_on_a_volume_that_is_not_the_recorded_one() {
    let spoil: [Case<Claim>; 3] = [
        ("VolumeReplaced", |claim| claim.meta.uid = Uid::from("another")),
        ("VolumeBeingDeleted", |claim| claim.meta.deleting = Some(testing::now())),
        ("VolumeLost", |claim| claim.phase = ClaimPhase::Lost),
    ];
    for (reason, spoil) in spoil {
        // Of two, one cannot decide that the other is replaced.
        let mut world = World::running(Database { replicas: 2, ..testing::database() });
        world.pods("b").clear();
        testing::objects(&mut world.seen, "b").claims.values_mut().for_each(spoil);
        let decision = world.settle();
        assert_eq!(condition(&decision, "VolumesPresent"), Some((Truth::False, reason)));
        assert_eq!(world.left().0, 1);
    }
}

#[test]
fn a_pod_whose_volume_is_being_deleted_is_told_and_never_stopped() {
    let mut world = World::running(Database { replicas: 2, ..testing::database() });
    let claims = &mut testing::objects(&mut world.seen, "b").claims;
    for claim in claims.values_mut() {
        claim.meta.deleting = Some(testing::now());
    }
    let decision = world.settle();
    assert_eq!(condition(&decision, "VolumesPresent"), Some((Truth::False, "VolumeBeingDeleted")));
    assert!(world.pods("b").contains_key(&ObjectName::from("db-etcd-1")));
}

#[test]
fn what_keeps_a_pod_from_starting_is_told_in_the_workers_own_words() {
    for (trouble, reason) in [
        ("CreateContainerConfigError: secret \"s3\" not found", "ReferenceMissing"),
        ("ImagePullBackOff: Back-off pulling image", "ImageNotPulled"),
        ("Unschedulable: 0/3 nodes are available", "Unschedulable"),
    ] {
        let mut world = World::new(testing::database());
        world.settle();
        for pod in world.pods("b").values_mut() {
            pod.trouble = Some(trouble.into());
        }
        let decision = world.settle();
        assert_eq!(condition(&decision, "PodsStart"), Some((Truth::False, reason)));
        let told = decision.report.conditions.iter().find(|c| c.kind == "PodsStart").unwrap();
        assert!(told.message.contains("db-etcd-1 in worker b") && told.message.contains(trouble), "{}", told.message);
    }
}

#[test]
fn a_worker_that_cannot_be_seen_is_unknown_and_nothing_is_done_about_it() {
    let mut world = World::running(testing::database());
    let absence = Absence::Since(world.now);
    world.seen.workers.get_mut(&WorkerName::from("b")).unwrap().view =
        WorkerView::Unseen { absence, why: "timed out".into() };
    let decision = world.settle();
    assert_eq!(decision.report.phase, Phase::Degraded);
    assert!(decision.report.message.contains("db-etcd-1 in b is unknown since"), "{}", decision.report.message);
    assert_eq!(condition(&decision, "Ready"), Some((Truth::False, "MajorityServes")));
}

#[test]
fn an_edited_placement_moves_nothing_and_is_told() {
    let mut database = testing::database();
    database.placement = PlacementRequest::Listed(vec!["a".into(), "b".into(), "c".into()]);
    let mut world = World::running(database);
    let before = world.record.clone();
    world.database.placement = PlacementRequest::Listed(vec!["c".into(), "b".into(), "a".into()]);
    let decision = world.settle();
    assert_eq!(world.record, before);
    assert_eq!(condition(&decision, "UpToDate"), Some((Truth::False, "ChangeNotCarriedOut")));
}

#[test]
fn a_pod_that_is_made_again_runs_the_recorded_version_whatever_the_manifest_says_by_then() {
    let mut world = World::running(testing::database());
    // There is no way down, so the record stays as it is.
    world.database.engine.version = crate::engine::Version::new("3.5.6");
    world.database.engine.image = "gcr.io/etcd-development/etcd:v3.5.6".into();
    world.pods("b").clear();
    let Step::Act(acts) = world.decide().step else { panic!("a pod is missing") };
    let images: Vec<_> = acts
        .iter()
        .filter_map(|act| match &act.change {
            Change::Create(Object::Pod(pod), _) => pod.spec.as_ref()?.containers[0].image.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(images, ["gcr.io/etcd-development/etcd:v3.5.35"]);
    assert_eq!(condition(&world.settle(), "UpToDate"), Some((Truth::False, "UpgradeRefused")));
}

#[test]
fn a_worker_that_became_another_cluster_proves_nothing() {
    let mut world = World::new(testing::database());
    world.settle();
    for worker in ["a", "b", "c"] {
        let objects = testing::objects(&mut world.seen, worker);
        *objects = Objects::none(Uid::new(format!("another-{worker}")), Source::Live);
    }
    let decision = world.settle();
    assert_eq!(world.record.as_ref().unwrap().attempt(), 1, "nothing was proved gone");
    assert!(decision.report.members.iter().all(|member| member.state == MemberState::Unknown));
    world.delete();
    let decision = world.settle();
    assert_eq!(condition(&decision, "Deletable"), Some((Truth::False, "ObjectsLeft")));
}

#[test]
fn another_network_mode_is_told_and_leaves_the_services_that_addresses_hang_on() {
    let mut world = World::running(with_network(Exposure::LoadBalancer, Spread::Unique));
    world.database.network = with_network(Exposure::ClusterIp, Spread::Mirror).network;
    let decision = world.settle();
    assert_eq!(world.left(), (3, 3, 6));
    assert_eq!(condition(&decision, "UpToDate"), Some((Truth::False, "ChangeNotCarriedOut")));
    let alibaba = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type";
    world.database.network = with_network(Exposure::LoadBalancer, Spread::Unique).network;
    if let Network::MemberServices(services) = &mut world.database.network {
        services.annotations.insert(alibaba.into(), "internet".into());
    }
    assert_eq!(world.decide().step, Step::Act(Vec::new()), "an annotation that moves the address moves members");
}

#[test]
fn a_changed_service_annotation_is_applied_in_place() {
    let mut world = World::running(with_network(Exposure::LoadBalancer, Spread::Unique));
    if let Network::MemberServices(services) = &mut world.database.network {
        services.annotations.insert("cloud".into(), "intranet".into());
    }
    let Step::Act(acts) = world.decide().step else { panic!() };
    assert!(acts.len() == 3 && acts.iter().all(|act| matches!(act.change, Change::Apply(..))), "{acts:?}");
}

#[test]
fn a_paused_database_is_told_and_left_alone() {
    let mut world = World::running(testing::database());
    world.database.consent.paused = true;
    world.pods("a").clear();
    let decision = world.settle();
    assert_eq!(condition(&decision, "Paused").map(|c| c.1), Some("Paused"));
    assert_eq!(world.left().0, 2);
}

#[test]
fn a_member_at_another_address_is_told_of_to_the_others_first_and_made_anew_then() {
    for members in [1, 3, 5] {
        let mut database = with_network(Exposure::LoadBalancer, Spread::Unique);
        database.replicas = members;
        let mut world = World::running(database);
        let (service, member) = (ObjectName::from("db-etcd-peer-0"), "db-etcd-0");
        testing::objects(&mut world.seen, "a").services.get_mut(&service).unwrap().ingress =
            Some("198.51.100.1".into());
        let made = world.pods_made.len();
        let decision = world.live();
        assert_eq!(decision.report.phase, Phase::Running, "{:?}", decision.report);
        let record = world.record.clone().unwrap();
        let moved = record.member(member).unwrap();
        assert_eq!((moved.peer.as_deref(), moved.former_peer.as_deref()), (Some("198.51.100.1:2380"), None));
        let listed = world.engine.list.iter().find(|listed| Some(&listed.id) == moved.engine_id.as_ref()).unwrap();
        assert_eq!(listed.peers, ["198.51.100.1:2380"]);
        let made: Vec<_> = world.pods_made[made..].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(made, [member], "only its own pod tells its clients");
        assert!(condition(&decision, "AddressesStand").is_none());
    }
}

#[test]
fn who_has_an_address_that_was_passed_on_moves_before_the_one_that_it_was_passed_on_to() {
    let mut world = World::running(with_network(Exposure::LoadBalancer, Spread::Unique));
    let mut give = |worker: &str, service: &str, address: &str| {
        let services = &mut testing::objects(&mut world.seen, worker).services;
        services.get_mut(&ObjectName::from(service)).unwrap().ingress.replace(address.into())
    };
    let passed_on = give("c", "db-etcd-peer-2", "198.51.100.1").unwrap();
    give("a", "db-etcd-peer-0", &passed_on);
    let decision = world.live();
    assert_eq!(decision.report.phase, Phase::Running, "{:?}", decision.report);
    assert!(world.record.as_ref().unwrap().members.iter().all(|member| member.former_peer.is_none()));
    let peers: Vec<_> = world.engine.list.iter().map(|listed| listed.peers[0].clone()).collect();
    assert!(
        peers.contains(&format!("{passed_on}:2380")) && peers.contains(&"198.51.100.1:2380".to_owned()),
        "{peers:?}"
    );
}

#[test]
fn an_address_that_only_a_watch_shows_moves_nobody() {
    let mut world = World::running(with_network(Exposure::LoadBalancer, Spread::Unique));
    let shown = |world: &mut World, address: Option<String>| {
        let services = &mut testing::objects(&mut world.seen, "a").services;
        std::mem::replace(&mut services.get_mut(&ObjectName::from("db-etcd-peer-0")).unwrap().ingress, address)
    };
    let now = shown(&mut world, Some("198.51.100.1".into()));
    let Step::AskAgain(workers) = world.decide().step else { panic!("it must be looked at first") };
    shown(&mut world, now);
    world.look(&workers);
    world.ask();
    let decision = world.decide();
    assert_eq!(decision.step, Step::Act(Vec::new()));
}

#[test]
fn an_address_that_changes_without_a_majority_is_told_and_waits() {
    let mut world = World::running(with_network(Exposure::LoadBalancer, Spread::Unique));
    let absence = Absence::Since(world.now);
    for worker in ["a", "c"] {
        world.seen.workers.get_mut(&WorkerName::from(worker)).unwrap().view =
            WorkerView::Unseen { absence, why: "timed out".into() };
    }
    let services = &mut testing::objects(&mut world.seen, "b").services;
    services.get_mut(&ObjectName::from("db-etcd-peer-1")).unwrap().ingress = Some("198.51.100.1".into());
    world.ask();
    let list = world.engine.list.clone();
    let decision = world.live();
    assert_eq!(world.engine.list, list);
    assert_eq!(condition(&decision, "UpToDate"), Some((Truth::False, "Moving")));
}
