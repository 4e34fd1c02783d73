//! A majority that is lost: nothing without a person's word, which is obeyed or refused once.

use super::{
    life::{is_whole, of_size},
    *,
};
use crate::plan::{database::Recover, name::MemberName, record::Part};

fn lose_two(world: &mut World) {
    let absence = Absence::Since(world.now);
    for worker in ["b", "c"] {
        world.seen.workers.get_mut(&WorkerName::from(worker)).unwrap().view =
            WorkerView::Unseen { absence, why: "timed out".into() };
    }
}

fn wish_to_recover(world: &mut World, from: &str) {
    let of = world.database.id.uid.clone();
    world.database.consent.recover = Some(Recover { words: format!("{of}/{from}/1"), from: from.into(), of });
}

#[test]
fn a_lost_majority_is_told_with_the_command_that_goes_on_without_it_and_nothing_is_done() {
    let mut world = World::running(of_size(3));
    world.ask();
    lose_two(&mut world);
    let before = (world.record.clone(), world.engine.list.clone(), world.made);
    let decision = world.live();
    assert_eq!((world.record.clone(), world.engine.list.clone(), world.made), before);
    assert_eq!(condition(&decision, "MajorityServes"), Some((Truth::False, "MajorityLost")));
    let told = decision.report.conditions.iter().find(|c| c.kind == "MajorityServes").unwrap();
    assert!(told.message.ends_with("atoll recover db -n default --from db-etcd-0"), "{}", told.message);
}

#[test]
fn one_survivor_goes_on_and_others_join_it_as_new_members() {
    let mut world = World::running(of_size(3));
    world.ask();
    lose_two(&mut world);
    wish_to_recover(&mut world, "db-etcd-0");
    world.live();
    let made: Vec<_> = world.pods_made.iter().map(|(name, _)| name.as_str()).skip(3).collect();
    assert_eq!(
        made[..3],
        ["db-etcd-0", "db-etcd-0", "db-etcd-3"],
        "alone, then as usual, and only then somebody joins: whoever starts alone once more forgets everybody"
    );
    let record = world.record.clone().unwrap();
    assert_eq!(record.recovering, None);
    let parts: Vec<_> = record.members.iter().map(|member| (member.name.as_str(), member.part)).collect();
    assert!(
        parts.contains(&("db-etcd-1", Part::GivenUp)) && parts.contains(&("db-etcd-2", Part::GivenUp)),
        "{parts:?}"
    );
    // The new ones went where somebody can be seen.
    assert_eq!(world.serving(), 3);
    let pod = world.pods("a").get(&ObjectName::from("db-etcd-0")).cloned().unwrap();
    assert!(!pod.alone && pod.founders.is_none());
    // What was given up is stopped when it is seen again, and its volumes stay.
    let before = world.left();
    for worker in ["b", "c"] {
        let meta = |name: &str| testing::meta(&world.database, &ObjectName::from(name), Some(name));
        let n = if worker == "b" { 1 } else { 2 };
        let member = record.member(&format!("db-etcd-{n}")).unwrap().clone();
        let mut objects = Objects::none(Uid::new(format!("uid-{worker}")), Source::Watch);
        let (claim, kept) = testing::claim(&world.database, &member);
        let kept = Claim { meta: Meta { uid: member.volume.clone().unwrap(), ..kept.meta }, ..kept };
        objects.claims.insert(claim, kept);
        let (pod, zombie) = testing::ready_pod(&world.database, &member);
        objects.pods.insert(pod, Pod { meta: Meta { ..meta(member.name.as_str()) }, ..zombie });
        world.seen.workers.get_mut(&WorkerName::from(worker)).unwrap().view = WorkerView::Seen(objects);
    }
    let decision = world.live();
    assert_eq!(decision.report.phase, Phase::Running, "{:?}", decision.report);
    assert_eq!((world.left().0, world.left().1), (before.0, before.1 + 2), "no zombie runs, and two volumes are kept");
    assert!(world.record.as_ref().unwrap().members.iter().all(|member| member.part == Part::Voter));
}

#[test]
fn nobody_is_given_up_while_a_majority_answers_or_by_a_word_about_another_database() {
    let mut world = World::running(of_size(3));
    wish_to_recover(&mut world, "db-etcd-0");
    let (refused, decision) = refusal(&mut world);
    assert!(refused.contains("a majority of the members answers"), "{refused}");
    assert_eq!((world.serving(), decision.report.operation), (3, None));
    // What was refused once is not obeyed on some later day.
    lose_two(&mut world);
    world.live();
    assert_eq!(world.record.as_ref().unwrap().voters().count(), 3);
    wish_to_recover(&mut world, "db-etcd-0");
    let wish = world.database.consent.recover.as_mut().unwrap();
    (wish.of, wish.words) = ("another".into(), "another/db-etcd-0/2".to_owned());
    let decision = world.live();
    assert!(decision.report.operation.is_none(), "{:?}", decision.report.operation);
}

/// What is told as a word is refused, and the decision after that.
fn refusal(world: &mut World) -> (String, Decision) {
    let written = world.records.len();
    for _ in 0..5 {
        let decision = world.decide();
        match decision.step {
            Step::AskAgain(_) => world.ask(),
            Step::Record(record) => {
                assert_eq!((record.recovering.as_ref(), written), (None, world.records.len()));
                world.record = Some(*record);
                return (decision.report.operation.unwrap().step, world.live());
            }
            step => panic!("{step:?}"),
        }
    }
    panic!("it is asked for ever")
}

#[test]
fn who_has_no_vote_or_no_volume_does_not_go_on_alone_and_nothing_waits_for_it() {
    for (from, why) in [("db-etcd-9", "no vote"), ("db-etcd-1", "volume")] {
        let mut world = World::running(of_size(3));
        for claim in testing::objects(&mut world.seen, "b").claims.values_mut() {
            claim.meta.deleting = Some(testing::now());
        }
        wish_to_recover(&mut world, from);
        let (refused, decision) = refusal(&mut world);
        assert!(refused.contains(why), "{refused}");
        is_whole(&mut world, &decision, 3);
    }
}

#[test]
fn between_two_leaders_nobody_is_given_up() {
    let mut world = World::running(of_size(3));
    wish_to_recover(&mut world, "db-etcd-0");
    // All are ready, and none of them answers for a majority at this moment.
    world.ask();
    for answer in world.seen.membership.as_mut().unwrap().answers.values_mut() {
        answer.listed = None;
    }
    let Step::Record(record) = world.decide().step else { panic!("it is refused") };
    assert_eq!((record.recovering.as_ref(), record.voters().count()), (None, 3));
}

#[test]
fn another_survivor_is_chosen_when_the_first_is_lost_as_well() {
    let mut world = World::running(of_size(3));
    let lost = |world: &mut World, worker: &str| {
        let view = WorkerView::Unseen { absence: Absence::Since(world.now), why: "burnt down".into() };
        std::mem::replace(&mut world.seen.workers.get_mut(&WorkerName::from(worker)).unwrap().view, view)
    };
    world.ask();
    let b = lost(&mut world, "b");
    lost(&mut world, "c");
    world.ask();
    wish_to_recover(&mut world, "db-etcd-0");
    let Step::Record(record) = world.decide().step else { panic!("{:?}", world.decide().step) };
    assert_eq!(record.recovering.as_ref().map(MemberName::as_str), Some("db-etcd-0"));
    world.record = Some(*record);
    // Its worker is lost, too, and another one is seen again.
    lost(&mut world, "a");
    world.seen.workers.get_mut(&WorkerName::from("b")).unwrap().view = b;
    for pod in world.pods("b").values_mut() {
        pod.ready = Readiness::NotReady(Some(testing::now()));
    }
    wish_to_recover(&mut world, "db-etcd-1");
    world.ask();
    let Step::Record(record) = world.decide().step else { panic!("{:?}", world.decide().step) };
    assert_eq!(record.recovering.as_ref().map(MemberName::as_str), Some("db-etcd-1"));
    let voters: Vec<_> = record.voters().map(|member| member.name.as_str()).collect();
    assert_eq!(voters, ["db-etcd-1"]);
}
