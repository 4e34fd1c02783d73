//! Changes that make pods anew: one at a time, the leader last, and only while everybody else serves.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::*;
use crate::plan::{database::Switchover, operation};

fn of_size(members: u32) -> Database {
    Database { replicas: members, ..testing::database() }
}

fn with_memory(world: &mut World, memory: &str) {
    let requests = BTreeMap::from([("memory".to_owned(), Quantity(memory.to_owned()))]);
    world.database.pod.resources.requests = Some(requests);
}

fn to_version(world: &mut World, version: &str) {
    world.database.engine.version = crate::engine::Version::new(version);
    world.database.engine.image = format!("gcr.io/etcd-development/etcd:v{version}");
}

/// Whether every pod was made from what is asked for now.
fn is_up_to_date(world: &World, decision: &Decision) -> bool {
    condition(decision, "UpToDate").is_none() && world.record.as_ref().unwrap().under_way.is_none()
}

#[test]
fn a_change_of_resources_makes_every_pod_anew_and_hands_leadership_over_once() {
    for members in 1..=5 {
        let mut world = World::running(of_size(members));
        let made = world.pods_made.len();
        with_memory(&mut world, "2Gi");
        let decision = world.live();
        assert!(is_up_to_date(&world, &decision), "{:?}", decision.report);
        assert_eq!(decision.report.phase, Phase::Running);
        let made = &world.pods_made[made..];
        assert_eq!(made.len(), members as usize);
        assert!(made.iter().all(|(_, state)| state == "--initial-cluster-state=existing"), "{made:?}");
        assert_eq!(world.engine.handed_over, u32::from(members > 1));
    }
}

#[test]
fn nothing_is_made_anew_that_is_as_it_should_be() {
    let mut world = World::running(of_size(3));
    let before = (world.record.clone(), world.pods_made.len());
    let decision = world.live();
    assert_eq!((world.record.clone(), world.pods_made.len()), before);
    assert!(is_up_to_date(&world, &decision));
}

#[test]
fn while_another_member_is_down_nobody_who_serves_is_taken_down_and_the_reason_is_told() {
    let mut world = World::running(of_size(3));
    for pod in world.pods("c").values_mut() {
        pod.ready = Readiness::NotReady(Some(testing::now()));
    }
    with_memory(&mut world, "2Gi");
    // The one that is not ready runs and answers nobody: it is made anew. Whoever waits, waits for it.
    let decision = world.settle();
    assert_eq!(condition(&decision, "UpToDate"), Some((Truth::False, "RollingChange")));
    assert_eq!(world.left().0, 3);
    let operation = decision.report.operation.clone().unwrap();
    assert_eq!(operation.kind, operation::Kind::RollingChange);
    assert!(operation.waiting_for.is_some(), "{operation:?}");
}

#[test]
fn nobody_is_taken_down_before_the_one_that_was_has_its_new_pod() {
    let mut world = World::running(of_size(3));
    for pod in world.pods("c").values_mut() {
        pod.ready = Readiness::NotReady(Some(testing::now()));
    }
    for pod in world.pods("b").values_mut() {
        pod.meta.deleting = Some(testing::now());
    }
    with_memory(&mut world, "2Gi");
    let decision = world.settle();
    assert!(world.pods("c").values().all(|pod| pod.meta.deleting.is_none() && pod.ready != Readiness::NotReady(None)));
    let operation = decision.report.operation.clone().unwrap();
    assert_eq!(operation.waiting_for.as_deref(), Some("until db-etcd-1 has its new pod"));
    world.pods("b").clear();
    let decision = world.live();
    assert!(is_up_to_date(&world, &decision));
}

#[test]
fn a_worker_that_cannot_be_seen_holds_the_change_and_the_others_run_on() {
    let mut world = World::running(of_size(3));
    let absence = Absence::Since(world.now);
    world.seen.workers.get_mut(&WorkerName::from("b")).unwrap().view =
        WorkerView::Unseen { absence, why: "timed out".into() };
    let made = world.pods_made.len();
    with_memory(&mut world, "2Gi");
    let decision = world.live();
    assert_eq!(world.pods_made.len(), made);
    assert_eq!(condition(&decision, "UpToDate"), Some((Truth::False, "RollingChange")));
    let told = decision.report.conditions.iter().find(|c| c.kind == "UpToDate").unwrap();
    assert!(told.message.contains("until db-etcd-1 serves"), "{}", told.message);
}

#[test]
fn a_change_that_never_starts_stops_after_the_first_member_and_its_revert_heals_without_hands() {
    for members in 3..=5 {
        let mut world = World::running(of_size(members));
        world.bad = Some(|spec| spec.scheduler_name.as_deref() == Some("nobody"));
        world.database.pod.scheduler = Some("nobody".into());
        let decision = world.live();
        assert_eq!(world.stuck.len(), 1, "only one was made from it");
        assert_eq!(decision.report.phase, Phase::Updating);
        assert_eq!(world.serving(), members as usize - 1);
        world.database.pod.scheduler = None;
        let decision = world.live();
        assert_eq!(decision.report.phase, Phase::Running, "{}", decision.report.message);
        assert!(is_up_to_date(&world, &decision) && world.stuck.is_empty());
    }
}

#[test]
fn an_upgrade_is_recorded_first_and_rolled_out_then() {
    let mut world = World::running(of_size(3));
    to_version(&mut world, "3.6.16");
    let decision = world.live();
    assert!(is_up_to_date(&world, &decision), "{:?}", decision.report);
    let record = world.record.clone().unwrap();
    assert_eq!((record.runs.version.as_str(), record.ran), ("3.6.16", None));
    let versions: Vec<_> =
        ["a", "b", "c"].iter().flat_map(|w| world.pods(w).values().cloned().collect::<Vec<_>>()).collect();
    assert!(versions.iter().all(|pod| pod.version.as_deref() == Some("3.6.16")), "{versions:?}");
}

#[test]
fn an_upgrade_goes_back_while_some_member_has_never_run_the_newer_version_and_not_later() {
    let mut world = World::running(of_size(3));
    world.bad = Some(|spec| spec.containers[0].image.as_deref().is_some_and(|image| image.contains("3.6.16")));
    to_version(&mut world, "3.6.16");
    world.live();
    assert_eq!(world.stuck.len(), 1);
    to_version(&mut world, "3.5.35");
    let decision = world.live();
    assert!(is_up_to_date(&world, &decision), "{:?}", decision.report);
    assert_eq!(world.record.as_ref().unwrap().runs.version, "3.5.35");

    let mut world = World::running(of_size(3));
    to_version(&mut world, "3.6.16");
    world.live();
    to_version(&mut world, "3.5.35");
    let decision = world.live();
    assert_eq!(condition(&decision, "UpToDate"), Some((Truth::False, "UpgradeRefused")));
    assert_eq!(world.record.as_ref().unwrap().runs.version, "3.6.16");
    let told = decision.report.conditions.iter().find(|c| c.kind == "UpToDate").unwrap();
    assert!(told.message.contains("restore a snapshot"), "{}", told.message);
}

#[test]
fn a_minor_version_waits_until_all_members_run_the_one_before() {
    let mut world = World::running(of_size(3));
    to_version(&mut world, "3.5.26");
    world.bad = Some(|spec| spec.containers[0].image.as_deref().is_some_and(|image| image.contains("3.5.26")));
    world.live();
    to_version(&mut world, "3.6.16");
    let decision = world.settle();
    let told = decision.report.conditions.iter().find(|c| c.kind == "UpToDate").unwrap();
    assert_eq!(told.reason, "RollingChange");
    assert_eq!(world.record.as_ref().unwrap().runs.version, "3.5.26");
    // What can run lets it go on.
    world.bad = None;
    world.stuck.clear();
    let decision = world.live();
    assert_eq!(world.record.as_ref().unwrap().runs.version, "3.6.16");
    assert!(is_up_to_date(&world, &decision), "{:?}", decision.report);
}

/// What all volume claims ask for.
fn sizes(world: &World) -> Vec<String> {
    let objects = world.seen.workers.values().filter_map(|worker| worker.view.objects());
    objects.flat_map(|objects| objects.claims.values().filter_map(|claim| claim.requested.clone())).collect()
}

#[test]
fn a_larger_volume_is_asked_for_in_place_and_a_smaller_one_is_told_of() {
    let mut world = World::running(of_size(3));
    let before = world.pods_made.len();
    world.database.volumes.data.size = Quantity("2Gi".into());
    let decision = world.live();
    assert!(is_up_to_date(&world, &decision), "{:?}", decision.report);
    assert_eq!(sizes(&world), ["2Gi"; 3]);
    assert_eq!(world.pods_made.len(), before, "nobody is restarted for it");
    world.database.volumes.data.size = Quantity("2048Mi".into());
    assert!(is_up_to_date(&world, &world.decide()), "it is the same size");
    world.database.volumes.data.size = Quantity("1Gi".into());
    let decision = world.live();
    assert_eq!(sizes(&world), ["2Gi"; 3]);
    assert_eq!(condition(&decision, "UpToDate"), Some((Truth::False, "ChangeNotCarriedOut")));
}

#[test]
fn leadership_goes_where_a_person_wants_it_once() {
    let mut world = World::running(of_size(3));
    world.ask();
    let wish = |to: &str, when: &str| Some(Switchover { to: to.into(), words: format!("{to}/{when}") });
    world.database.consent.switchover = wish("db-etcd-2", "1");
    let decision = world.live();
    assert!(is_up_to_date(&world, &decision), "{:?}", decision.report);
    assert_eq!(world.engine.handed_over, 1);
    let leader = world.seen.membership.as_ref().unwrap().leader().unwrap().clone();
    assert_eq!(leader.as_str(), "db-etcd-2");
    // It may move on by itself, and is not called back.
    world.engine.leader = world.engine.list.first().map(|listed| listed.id.clone());
    world.live();
    assert_eq!(world.engine.handed_over, 1);
    world.database.consent.switchover = wish("db-etcd-2", "2");
    world.live();
    assert_eq!(world.engine.handed_over, 2);
    world.database.consent.switchover = wish("db-etcd-9", "3");
    let decision = world.decide();
    let told = decision.report.operation.unwrap();
    assert!(told.step.contains("db-etcd-0, db-etcd-1, db-etcd-2"), "{told:?}");
    let decision = world.live();
    assert!(is_up_to_date(&world, &decision), "who cannot lead is waited for by nobody: {:?}", decision.report);
}

#[test]
fn a_change_is_told_by_an_event_when_it_begins_and_when_it_is_done() {
    let mut world = World::running(of_size(3));
    let before = world.settle().report.conditions;
    with_memory(&mut world, "2Gi");
    let during = world.decide().report.conditions;
    let standing =
        |told: &[crate::plan::report::Condition]| crate::plan::report::merge_conditions(&[], told, 1, world.now);
    let begun = crate::plan::report::events(&standing(&before), &during);
    assert!(begun.iter().any(|event| event.reason == "RollingChange" && event.message.contains("0 of 3")), "{begun:?}");
    assert_eq!(crate::plan::report::carried_out(&standing(&before), &during), None);
    let over = crate::plan::report::carried_out(&standing(&during), &before).unwrap();
    assert_eq!(over.reason, "CarriedOut");
}

#[test]
fn a_voter_that_only_we_cannot_hear_is_not_taken_down_while_it_is_needed() {
    let mut world = World::running(of_size(3));
    world.seen.workers.get_mut(&WorkerName::from("c")).unwrap().view =
        WorkerView::Unseen { absence: Absence::Since(world.now), why: "timed out".into() };
    // Its node does not reach its API server: it is called not ready, and votes.
    for pod in world.pods("b").values_mut() {
        pod.ready = Readiness::NotReady(Some(testing::now()));
    }
    world.engine.mute.insert("db-etcd-1".into());
    let before = world.pods_made.len();
    with_memory(&mut world, "2Gi");
    let decision = world.live();
    assert_eq!((world.pods_made.len(), world.pods("b").len()), (before, 1), "{:?}", decision.report);
}

#[test]
fn volumes_grow_while_a_member_that_has_no_room_left_is_waited_for() {
    let mut world = World::running(of_size(3));
    for pod in world.pods("b").values_mut() {
        (pod.ready, pod.process) = (Readiness::NotReady(Some(testing::now())), Process::Stands);
    }
    world.stuck.insert(ObjectName::from("db-etcd-1"));
    world.record.as_mut().unwrap().under_way = Some(operation::Kind::RollingChange);
    world.database.volumes.data.size.0 = "2Gi".to_owned();
    world.live();
    assert_eq!(sizes(&world), ["2Gi"; 3]);
}
