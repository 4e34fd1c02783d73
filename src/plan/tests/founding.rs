//! How a database comes about.

use super::*;

#[test]
fn a_database_is_placed_then_identified_then_founded_and_each_is_recorded_before_it_is_done() {
    let world = World::running(testing::database());
    let stages: Vec<_> = world.records.iter().map(|record| record.stage.clone()).collect();
    assert!(
        matches!(stages.as_slice(), [Stage::Placed { attempt: 1 }, Stage::Founding(a), Stage::Established(b)] if a == b),
        "{stages:?}"
    );
    assert!(world.pods_made.iter().all(|(_, state)| state == "--initial-cluster-state=new"));
    assert_eq!(world.left(), (3, 3, 3));
}

#[test]
fn a_pod_made_after_the_first_member_has_served_does_not_found() {
    let mut world = World::new(testing::database());
    world.settle();
    world.pods("c").clear();
    world.start_pods();
    let decision = world.settle();
    assert!(matches!(world.record.as_ref().unwrap().stage, Stage::Founded(_)));
    assert_eq!(decision.report.phase, Phase::Creating, "it is not whole yet");
    assert_eq!(world.pods_made.last().unwrap().1, "--initial-cluster-state=existing");
    world.start_pods();
    assert_eq!(world.settle().report.phase, Phase::Running);
}

#[test]
fn every_network_mode_comes_up() {
    for (exposure, spread, services) in [
        (Exposure::LoadBalancer, Spread::Unique, 6),
        (Exposure::LoadBalancer, Spread::Mirror, 12),
        (Exposure::ClusterIp, Spread::Mirror, 12),
        (Exposure::ClusterIp, Spread::Unique, 6),
        (Exposure::NodePort, Spread::Unique, 6),
    ] {
        let world = World::running(with_network(exposure, spread));
        assert_eq!(world.left(), (3, 3, services), "{exposure:?} {spread:?}");
    }
}

#[test]
fn a_listed_worker_that_cannot_be_seen_is_waited_for_before_anything_is_recorded() {
    let mut database = testing::database();
    database.placement = PlacementRequest::Listed(["a", "b", "c"].map(Into::into).into());
    let mut world = World::new(database);
    world.seen.workers.get_mut(&WorkerName::from("b")).unwrap().view =
        WorkerView::Unseen { absence: Absence::Connecting, why: "timed out".into() };
    let decision = world.settle();
    assert_eq!(condition(&decision, "Placed"), Some((Truth::False, "WorkerUnseen")));
    assert_eq!(world.record, None);
}

#[test]
fn a_worker_that_leads_to_another_cluster_before_the_founding_is_left_alone() {
    let mut world = World::new(testing::database());
    let Step::Record(placed) = world.decide().step else { panic!("all workers are seen") };
    world.record = Some(*placed);
    testing::objects(&mut world.seen, "b").identity = Uid::from("another");
    let decision = world.decide();
    let Step::Act(acts) = decision.step else { panic!("services and volumes are missing") };
    assert!(!acts.is_empty());
    assert!(acts.iter().all(|act| act.worker != WorkerName::from("b")), "{acts:?}");
}

#[test]
fn no_pod_is_made_before_the_identity_is_recorded() {
    let mut world = World::new(testing::database());
    loop {
        let decision = world.decide();
        let founding = world.record.as_ref().is_some_and(|record| record.identity().is_some());
        match decision.step {
            Step::Record(record) => world.record = Some(*record),
            Step::Act(acts) if acts.is_empty() => break,
            Step::Act(acts) => {
                let pods = acts.iter().filter(|act| matches!(act.change, Change::Create(Object::Pod(_), _))).count();
                assert!(founding || pods == 0);
                for act in &acts {
                    world.carry_out(act);
                }
            }
            step => panic!("{step:?}"),
        }
    }
    assert_eq!(world.left().0, 3);
}

#[test]
fn a_volume_that_is_gone_is_never_made_again_under_a_running_identity() {
    let mut world = World::running(testing::database());
    world.pods("b").clear();
    testing::objects(&mut world.seen, "b").claims.clear();
    let (made, lost) = (world.pods_made.len(), world.record.as_ref().unwrap().members[1].volume.clone());
    world.live();
    assert!(world.pods_made[made..].iter().all(|(name, _)| name != "db-etcd-1"), "{:?}", world.pods_made);
    let volumes = world.record.as_ref().unwrap().members.iter().map(|member| &member.volume);
    assert!(volumes.clone().all(|volume| *volume != lost));
    assert_eq!(world.left(), (3, 3, 3));
}

#[test]
fn a_founding_that_lost_everything_before_it_served_is_tried_again_with_another_token() {
    let mut world = World::new(testing::database());
    world.settle();
    let first = world.record.as_ref().and_then(Record::identity).unwrap().clone();
    for worker in ["a", "b", "c"] {
        let objects = testing::objects(&mut world.seen, worker);
        objects.pods.clear();
        objects.claims.clear();
    }
    world.settle();
    let second = world.record.as_ref().and_then(Record::identity).unwrap().clone();
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_ne!(first.token, second.token);
}

#[test]
fn a_founding_that_lost_one_volume_before_it_served_waits_for_a_person() {
    let mut world = World::new(testing::database());
    world.settle();
    let objects = testing::objects(&mut world.seen, "b");
    objects.pods.clear();
    objects.claims.clear();
    let decision = world.settle();
    assert_eq!(condition(&decision, "VolumesPresent"), Some((Truth::False, "FoundingBroken")));
    assert_eq!(world.record.as_ref().and_then(Record::identity).unwrap().attempt, 1);
}

#[test]
fn a_volume_that_came_back_from_an_earlier_database_is_not_founded_on() {
    let mut world = World::new(testing::database());
    world.settle();
    world.record = Some(world.records[0].clone());
    let claim = testing::objects(&mut world.seen, "b").claims.values_mut().next().unwrap();
    claim.meta.database = Some(Uid::from("uid-old"));
    let decision = world.decide();
    assert_eq!(condition(&decision, "AddressesKnown"), Some((Truth::False, "NameTaken")));
    assert!(matches!(decision.step, Step::Act(_)), "{:?}", decision.step);
}

#[test]
fn names_that_are_taken_found_nothing_until_a_person_has_them_taken_over() {
    let mut world = World::running(testing::database());
    let old = world.record.clone().unwrap();
    world.database.id.uid = Uid::from("uid-new");
    world.record = None;
    world.pods_made.clear();
    let decision = world.settle();
    assert_eq!(condition(&decision, "RecordFound"), Some((Truth::False, "RecordLost")));
    assert!(decision.report.message.contains("atoll.dev/adopt=uid-db"), "{}", decision.report.message);
    assert_eq!(world.record, None);

    world.database.consent.adopt = Some(Uid::from("uid-db"));
    let decision = world.settle();
    assert_eq!(decision.report.phase, Phase::Running, "{}", decision.report.message);
    let new = world.record.clone().unwrap();
    assert_eq!(new.identity(), old.identity());
    assert_eq!(new.members, old.members);
    assert_eq!(world.pods_made, [], "no pod is restarted");
}

#[test]
fn nothing_is_placed_before_the_registrations_have_been_read() {
    let mut world = World::new(testing::database());
    world.seen.registry = Registry::Unread;
    assert_eq!(condition(&world.settle(), "Placed"), Some((Truth::False, "WorkersUnread")));
    assert_eq!(world.record, None);
}

#[test]
fn members_that_would_share_one_address_are_not_founded() {
    let mut world = World::new(with_network(Exposure::ClusterIp, Spread::Unique));
    world.alike = true;
    let decision = world.settle();
    assert_eq!(condition(&decision, "AddressesKnown"), Some((Truth::False, "AddressesAlike")));
    assert_eq!(world.left().0, 0);
}

#[test]
fn an_identity_waits_for_every_volume_not_only_for_the_data() {
    let mut database = testing::database();
    let log = Volume { name: "log".into(), mount: None, ..database.volumes.data.clone() };
    database.volumes.others.push(log);
    let mut world = World::new(database);
    world.refuse = Some("log-db-etcd-1");
    let decision = world.settle_or_give_up();
    assert_eq!(condition(&decision, "AddressesKnown"), Some((Truth::False, "WaitingForVolumeClaim")));
    world.refuse = None;
    world.settle();
    assert_eq!(world.left(), (3, 6, 3));
}

#[test]
fn a_network_that_is_repaired_before_the_founding_is_the_one_that_counts() {
    let mut world = World::new(testing::database());
    let Step::Record(placed) = world.decide().step else { panic!("all workers are seen") };
    world.record = Some(*placed);
    world.database.network = with_network(Exposure::ClusterIp, Spread::Mirror).network;
    world.settle();
    world.start_pods();
    assert_eq!(world.settle().report.phase, Phase::Running);
}

#[test]
fn a_manifest_that_fitted_nowhere_is_repaired_before_the_database_has_served() {
    let mut world = World::new(testing::database());
    world.settle();
    let waiting = |world: &mut World| {
        for worker in ["a", "b", "c"] {
            for pod in world.pods(worker).values_mut() {
                (pod.phase, pod.process) = (PodPhase::Pending, Process::Stands);
            }
        }
    };
    waiting(&mut world);
    assert_eq!(world.pods_made.len(), 3);
    world.database.pod.labels.insert("repaired".to_owned(), "yes".to_owned());
    for _ in 0..4 {
        world.settle();
        waiting(&mut world);
    }
    assert_eq!(world.pods_made.len(), 6, "each was made anew, and once");
    assert!(world.pods_made.iter().all(|(_, state)| state == "--initial-cluster-state=new"));
    world.start_pods();
    assert_eq!(world.settle().report.phase, Phase::Running);
}
