//! Changes of who belongs to a database: members join without a vote, leave through a majority, and are replaced when
//! their volumes are gone.

use super::*;
use crate::plan::{
    membership::Ballot,
    record::{Member, Part, Stage},
    render,
};

pub(super) fn of_size(members: u32) -> Database {
    Database { replicas: members, ..testing::database() }
}

fn names(world: &World) -> Vec<String> {
    world.record.as_ref().unwrap().members.iter().map(|member| member.name.to_string()).collect()
}

/// It is what was asked for: so many voters, all of which serve, and nothing else anywhere.
pub(super) fn is_whole(world: &mut World, decision: &Decision, members: u32) {
    let record = world.record.clone().unwrap();
    assert_eq!(decision.report.phase, Phase::Running, "{:?}", decision.report);
    assert!(record.members.iter().all(|member| member.part == Part::Voter), "{record:?}");
    assert_eq!(record.members.len(), members as usize);
    assert!(world.engine.list.iter().all(|listed| listed.ballot == Ballot::Voter));
    let mut listed: Vec<_> = world.engine.list.iter().map(|listed| listed.id.clone()).collect();
    let mut recorded: Vec<_> = record.members.iter().filter_map(|member| member.engine_id.clone()).collect();
    listed.sort();
    recorded.sort();
    assert_eq!(listed, recorded);
    assert_eq!(world.serving(), members as usize);
    let workers = record.workers().len();
    assert_eq!(world.left(), (members as usize, members as usize, workers));
}

#[test]
fn a_database_grows_and_shrinks_one_member_at_a_time_and_no_ordinal_comes_twice() {
    let mut world = World::running(of_size(3));
    for members in [5, 3, 1, 3, 4, 2, 5, 1] {
        world.database.replicas = members;
        let decision = world.live();
        is_whole(&mut world, &decision, members);
    }
    let mut placed: Vec<_> =
        world.pods_made.iter().filter(|(_, state)| !state.is_empty()).map(|(name, _)| name.clone()).collect();
    placed.sort();
    placed.dedup();
    // 3, and 2 + 2 + 1 + 3 that joined later.
    assert_eq!(placed.len(), 11, "{placed:?}");
    assert_eq!(world.record.as_ref().unwrap().next_ordinal(), 11);
}

#[test]
fn a_lone_founder_is_made_anew_before_others_join_it() {
    let mut world = World::running(of_size(1));
    world.database.replicas = 3;
    let decision = world.live();
    is_whole(&mut world, &decision, 3);
    let pods: Vec<_> =
        ["a", "b", "c"].iter().flat_map(|w| world.pods(w).values().cloned().collect::<Vec<_>>()).collect();
    assert!(pods.iter().all(|pod| pod.founders.is_none()), "one could found again: {pods:?}");
}

#[test]
fn who_joins_goes_where_the_fewest_are_or_where_the_manifest_says() {
    let mut world = World::running(of_size(3));
    world.database.replicas = 5;
    world.live();
    let workers = |world: &World| -> Vec<_> {
        world.record.as_ref().unwrap().members.iter().map(|member| member.worker.to_string()).collect()
    };
    assert_eq!(workers(&world), ["a", "b", "c", "a", "b"]);
    let listed = PlacementRequest::Listed(vec!["a".into(), "b".into(), "c".into(), "c".into()]);
    let mut world = World::running(Database { placement: listed, ..of_size(3) });
    world.database.replicas = 4;
    world.live();
    assert_eq!(workers(&world), ["a", "b", "c", "c"]);
}

#[test]
fn a_member_whose_volume_is_gone_is_replaced_by_a_new_one_in_its_place() {
    for (worker, lost) in [("a", "db-etcd-0"), ("b", "db-etcd-1"), ("c", "db-etcd-2")] {
        let mut world = World::running(of_size(3));
        let objects = testing::objects(&mut world.seen, worker);
        objects.pods.clear();
        objects.claims.clear();
        let decision = world.live();
        is_whole(&mut world, &decision, 3);
        assert!(!names(&world).contains(&lost.to_owned()));
        assert!(names(&world).contains(&"db-etcd-3".to_owned()));
        let there = world.record.as_ref().unwrap().member("db-etcd-3").unwrap();
        assert_eq!(there.worker, WorkerName::from(worker));
    }
}

#[test]
fn a_member_whose_volume_is_being_deleted_stays_until_its_successor_has_a_vote() {
    let mut world = World::running(of_size(3));
    for claim in testing::objects(&mut world.seen, "b").claims.values_mut() {
        claim.meta.deleting = Some(testing::now());
    }
    let decision = world.live();
    is_whole(&mut world, &decision, 3);
    assert_eq!(names(&world), ["db-etcd-0", "db-etcd-2", "db-etcd-3"]);
}

#[test]
fn a_volume_that_is_deleted_and_kept_by_a_pod_that_cannot_run_is_given_up() {
    let mut world = World::running(of_size(3));
    let objects = testing::objects(&mut world.seen, "b");
    for claim in objects.claims.values_mut() {
        claim.meta.deleting = Some(testing::now());
    }
    for pod in objects.pods.values_mut() {
        (pod.ready, pod.process) = (Readiness::NotReady(None), Process::Stands);
        world.stuck.insert(pod.meta.name.clone());
    }
    let decision = world.live();
    is_whole(&mut world, &decision, 3);
    assert_eq!(names(&world), ["db-etcd-0", "db-etcd-2", "db-etcd-3"]);
}

#[test]
fn a_volume_that_only_is_not_in_view_is_looked_for_and_nobody_is_replaced() {
    let mut world = World::running(of_size(3));
    let claims = std::mem::take(&mut testing::objects(&mut world.seen, "b").claims);
    let Step::LookAgain(workers) = world.decide().step else { panic!("it must be proved") };
    assert_eq!(workers, BTreeSet::from([WorkerName::from("b")]));
    testing::objects(&mut world.seen, "b").claims = claims;
    let decision = world.live();
    is_whole(&mut world, &decision, 3);
}

#[test]
fn a_lost_volume_is_not_replaced_where_no_majority_could_decide_it() {
    for members in [1, 2] {
        let mut world = World::running(of_size(members));
        let objects = testing::objects(&mut world.seen, "a");
        objects.pods.clear();
        objects.claims.clear();
        let before = names(&world);
        let decision = world.live();
        assert_eq!(names(&world), before);
        assert_eq!(decision.report.phase, Phase::Failed);
    }
    let mut world = World::running(of_size(3));
    for worker in ["a", "b"] {
        let objects = testing::objects(&mut world.seen, worker);
        objects.pods.clear();
        objects.claims.clear();
    }
    world.ask();
    let list = world.engine.list.clone();
    let decision = world.live();
    assert_eq!(world.engine.list, list, "nobody is removed without a majority");
    assert_eq!(decision.report.phase, Phase::Failed);
}

#[test]
fn the_newest_manifest_counts_between_two_steps() {
    let mut world = World::running(of_size(3));
    world.database.replicas = 5;
    // The first of the two is on its way when the manifest goes back.
    for _ in 0..6 {
        if world.record.as_ref().unwrap().members.len() == 4 {
            break;
        }
        if let Step::Record(record) = world.decide().step {
            world.record = Some(*record);
        }
    }
    world.database.replicas = 3;
    let decision = world.live();
    is_whole(&mut world, &decision, 3);
    assert!(world.engine.list.len() == 3);
}

#[test]
fn a_version_that_forgets_votes_does_not_grow_and_says_why() {
    let mut database = of_size(3);
    database.engine.version = crate::engine::Version::new("3.5.6");
    database.engine.image = "gcr.io/etcd-development/etcd:v3.5.6".into();
    let mut world = World::running(database);
    world.database.replicas = 5;
    let decision = world.live();
    assert_eq!(world.engine.list.len(), 3);
    let told = decision.report.conditions.iter().find(|c| c.kind == "UpToDate").unwrap();
    assert!(told.reason == "ScalingOut" && told.message.contains("3.5.35"), "{}", told.message);
}

#[test]
fn volumes_of_those_who_left_stay_where_the_policy_keeps_them() {
    let mut world = World::running(Database { on_delete: OnDelete::KeepVolumes, ..of_size(5) });
    world.database.replicas = 3;
    let decision = world.live();
    assert_eq!(decision.report.phase, Phase::Running);
    assert_eq!(world.left(), (3, 5, 3));
    assert_eq!(names(&world).len(), 3);
}

#[test]
fn who_has_left_is_forgotten_only_when_nothing_of_it_is_left_where_it_was() {
    let mut world = World::running(of_size(5));
    world.database.replicas = 4;
    let absence = Absence::Since(world.now);
    let hidden = WorkerView::Unseen { absence, why: "timed out".into() };
    // db-etcd-4 is in b: it leaves by the votes of the others, and what is left of it waits.
    let b = WorkerName::from("b");
    let seen = std::mem::replace(&mut world.seen.workers.get_mut(&b).unwrap().view, hidden);
    world.live();
    let part = world.record.as_ref().unwrap().member("db-etcd-4").map(|member| member.part);
    assert_eq!(part, Some(Part::Removed), "three of the other four serve, and nobody sees what is left");
    world.seen.workers.get_mut(&b).unwrap().view = seen;
    let decision = world.live();
    is_whole(&mut world, &decision, 4);
}

/// Two of three members, in workers that cannot be seen any more.

#[test]
fn one_that_dies_while_its_successor_is_about_to_join_is_removed_first() {
    let mut world = World::running(of_size(3));
    for claim in testing::objects(&mut world.seen, "b").claims.values_mut() {
        claim.meta.deleting = Some(testing::now());
    }
    // Its successor is recorded, and then its pod goes, and its volume with it.
    for _ in 0..20 {
        if world.record.as_ref().unwrap().members.len() == 4 {
            break;
        }
        match world.decide().step {
            Step::Record(record) => world.record = Some(*record),
            step => panic!("{step:?}"),
        }
    }
    let objects = testing::objects(&mut world.seen, "b");
    objects.pods.remove(&ObjectName::from("db-etcd-1"));
    objects.claims.remove(&ObjectName::from("data-db-etcd-1"));
    let decision = world.live();
    is_whole(&mut world, &decision, 3);
    assert_eq!(names(&world), ["db-etcd-0", "db-etcd-2", "db-etcd-3"]);
}

#[test]
fn one_that_joins_and_was_told_of_an_address_that_is_another_by_now_is_made_anew() {
    let mut world = World::running(Database { network: testing::load_balancers(), ..of_size(3) });
    world.database.replicas = 4;
    world.bad = Some(|_| true);
    world.live();
    let pod = |world: &mut World| {
        let pods = &testing::objects(&mut world.seen, "a").pods;
        pods.get(&ObjectName::from("db-etcd-3")).map(|pod| pod.meta.uid.clone())
    };
    let first = pod(&mut world);
    assert!(first.is_some(), "it was made, and stands");
    world.live();
    assert_eq!(pod(&mut world), first, "it stays while all others are where it was told");
    let services = &mut testing::objects(&mut world.seen, "b").services;
    services.get_mut(&ObjectName::from("db-etcd-peer-1")).unwrap().ingress = Some("198.51.100.1".into());
    world.bad = None;
    let decision = world.live();
    assert_eq!((decision.report.phase, world.serving()), (Phase::Running, 4), "{:?}", decision.report);
}

#[test]
fn one_that_founds_late_and_was_told_of_an_address_that_is_another_by_now_is_made_anew() {
    let mut world = World::running(Database { network: testing::load_balancers(), ..of_size(3) });
    let record = world.record.as_mut().unwrap();
    record.stage = Stage::Founded(record.identity().unwrap().clone());
    let told = render::peers(record, record.member("db-etcd-2").unwrap());
    let name = ObjectName::from("db-etcd-2");
    let pod = world.pods("c").get_mut(&name).unwrap();
    (pod.ready, pod.process, pod.peers) = (Readiness::NotReady(None), Process::Stands, Some(told));
    let first = pod.meta.uid.clone();
    world.stuck.insert(name.clone());
    world.live();
    assert_eq!(world.pods("c")[&name].meta.uid, first, "it stays while all others are where it was told");
    let services = &mut testing::objects(&mut world.seen, "b").services;
    services.get_mut(&ObjectName::from("db-etcd-peer-1")).unwrap().ingress = Some("198.51.100.1".into());
    let decision = world.live();
    assert_eq!((decision.report.phase, world.serving()), (Phase::Running, 3), "{:?}", decision.report);
    assert_ne!(world.pods("c")[&name].meta.uid, first);
}

#[test]
fn one_that_founds_late_is_told_of_the_addresses_that_the_others_know() {
    let mut world = World::running(Database { network: testing::load_balancers(), ..of_size(3) });
    let record = world.record.as_mut().unwrap();
    record.stage = Stage::Founded(record.identity().unwrap().clone());
    let (late, known) = (record.member("db-etcd-2").unwrap().clone(), record.member("db-etcd-1").unwrap().clone());
    let told = render::peers(record, &late);
    // Its new address is recorded, and there is no majority yet that could be told of it.
    let moved = Member { former_peer: known.peer.clone(), peer: Some("198.51.100.1:2380".to_owned()), ..known };
    let moving = record.with(moved.clone());
    assert_eq!(render::peers(&moving, &late), told);
    assert_ne!(render::peers(&moving, &moved), render::peers(record, record.member("db-etcd-1").unwrap()));
    let arrived = moving.with(Member { former_peer: None, ..moved });
    assert_ne!(render::peers(&arrived, &late), told);
}

#[test]
fn one_that_dies_while_another_leaves_is_removed_before_it() {
    for (members, wanted, left) in [(3, 1, 1), (3, 2, 2), (5, 3, 3)] {
        let mut world = World::running(of_size(members));
        world.database.replicas = wanted;
        let Step::Record(record) = world.decide().step else { panic!("somebody is to leave") };
        let leaver = record.members.iter().find(|member| member.part == Part::Leaving).expect("somebody leaves");
        assert_ne!(leaver.worker, WorkerName::from("a"));
        world.record = Some(*record);
        let objects = testing::objects(&mut world.seen, "a");
        objects.pods.remove(&ObjectName::from("db-etcd-0"));
        objects.claims.remove(&ObjectName::from("data-db-etcd-0"));
        let decision = world.live();
        is_whole(&mut world, &decision, left);
        assert!(!names(&world).contains(&"db-etcd-0".to_owned()), "{:?}", names(&world));
    }
}

#[test]
fn a_watch_that_lags_calls_nobody_off_whom_a_list_had_come() {
    for members in [1, 3] {
        let mut world = World::running(of_size(members));
        let going = |world: &mut World, since: Option<Timestamp>| {
            for claim in testing::objects(&mut world.seen, "a").claims.values_mut() {
                if claim.meta.name.as_str() == "data-db-etcd-0" {
                    claim.meta.deleting = since;
                }
            }
        };
        going(&mut world, Some(testing::now()));
        let Step::Record(record) = world.decide().step else { panic!("its successor comes") };
        assert!(record.members.iter().any(|member| member.part == Part::Joining), "{record:?}");
        world.record = Some(*record);
        going(&mut world, None);
        let decision = world.decide();
        let Step::AskAgain(workers) = decision.step else { panic!("{members}: {decision:?}") };
        assert!(workers.contains(&WorkerName::from("a")), "{workers:?}");
    }
}

#[test]
fn a_volume_that_was_made_for_one_who_was_called_off_goes_as_well() {
    let mut world = World::running(of_size(3));
    world.database.replicas = 4;
    // Its claim is made, and is not recorded yet.
    for _ in 0..20 {
        if world.left().1 == 4 {
            break;
        }
        match world.decide().step {
            Step::Record(record) => world.record = Some(*record),
            Step::Act(acts) => acts.iter().for_each(|act| world.carry_out(act)),
            step => panic!("{step:?}"),
        }
    }
    world.database.replicas = 3;
    let decision = world.live();
    is_whole(&mut world, &decision, 3);
}
