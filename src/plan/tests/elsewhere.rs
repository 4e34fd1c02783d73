//! Registrations that lead to another cluster than members of a database are in: somebody's mistake, or a cluster that was
//! made anew under its old name.

use super::{
    life::{is_whole, of_size},
    *,
};
use crate::plan::{address, record::Part};

/// Registers another cluster, in which nothing is, by this worker's name; returns what is in the one before.
fn register_another(world: &mut World, worker: &str) -> Objects {
    let objects = testing::objects(&mut world.seen, worker);
    std::mem::replace(objects, Objects::none(Uid::from("another"), Source::Watch))
}

/// Goes on until this member has its volume and its address, and nobody has heard of it.
fn go_on_until_addressed(world: &mut World, member: &str) {
    let is_addressed = |world: &World| {
        let record = world.record.as_ref().unwrap();
        record.member(member).is_some_and(|member| member.peer.is_some())
    };
    for _ in 0..20 {
        if is_addressed(world) {
            return;
        }
        match world.decide().step {
            Step::Record(record) => world.record = Some(*record),
            Step::Act(acts) => acts.iter().for_each(|act| world.carry_out(act)),
            step => panic!("{step:?}"),
        }
    }
    panic!("{member} gets no address");
}

fn part(world: &World, member: &str) -> Option<Part> {
    world.record.as_ref().unwrap().member(member).map(|member| member.part)
}

#[test]
fn nobody_joins_in_a_cluster_that_has_taken_the_name_of_one_that_has_members() {
    let mut world = World::running(of_size(3));
    let before = register_another(&mut world, "a");
    world.database.replicas = 4;
    world.live();
    let fourth = world.record.as_ref().unwrap().member("db-etcd-3").expect("there is room in the others");
    assert_ne!(fourth.worker, WorkerName::from("a"));
    let there = testing::objects(&mut world.seen, "a");
    assert!(there.claims.is_empty() && there.pods.is_empty() && there.services.is_empty(), "{there:?}");
    *there = before;
    let decision = world.live();
    is_whole(&mut world, &decision, 4);
}

#[test]
fn where_a_member_may_only_go_where_another_cluster_is_by_now_it_waits_and_says_so() {
    let mut world = World::running(of_size(3));
    world.database.placement = PlacementRequest::Listed(["a", "b", "c", "a"].map(str::to_owned).to_vec());
    let before = register_another(&mut world, "a");
    world.database.replicas = 4;
    let decision = world.live();
    assert_eq!(part(&world, "db-etcd-3"), None);
    assert!(decision.report.message.contains("leads to another cluster"), "{}", decision.report.message);
    *testing::objects(&mut world.seen, "a") = before;
    let decision = world.live();
    is_whole(&mut world, &decision, 4);
}

#[test]
fn one_without_a_vote_whose_worker_leads_elsewhere_by_now_is_called_off_and_another_joins() {
    let mut world = World::running(of_size(2));
    world.database.replicas = 3;
    go_on_until_addressed(&mut world, "db-etcd-2");
    let before = register_another(&mut world, "c");
    world.live();
    assert_eq!(part(&world, "db-etcd-3"), Some(Part::Voter));
    assert_eq!(world.serving(), 3);
    // What is left of it is where nobody looks now, and is not forgotten.
    assert_eq!(part(&world, "db-etcd-2"), Some(Part::Removed));
    world.database.intent = Intent::Delete(world.now);
    let decision = world.settle();
    assert!(!matches!(decision.step, Step::Release), "{:?}", decision.step);
    let told = format!("{:?}", decision.report.conditions);
    assert!(told.contains("leads to another cluster") && told.contains("db-etcd-2"), "{told}");
    *testing::objects(&mut world.seen, "c") = before;
    assert!(!testing::objects(&mut world.seen, "c").claims.is_empty(), "its volume is there");
}

#[test]
fn another_cluster_moves_nobody() {
    let mut world = World::running(of_size(3));
    register_another(&mut world, "a");
    world.seen.workers.get_mut(&WorkerName::from("a")).unwrap().domain = Some("another.test".to_owned());
    let record = world.record.clone().unwrap();
    assert_eq!(address::moved(&world.database, &record, &world.seen), None);
    world.live();
    assert_eq!(world.record.unwrap().member("db-etcd-0").unwrap().peer, record.member("db-etcd-0").unwrap().peer);
}
