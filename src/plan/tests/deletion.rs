//! How a database goes, and what holds it.

use super::*;

#[test]
fn deletion_leaves_what_the_policy_says() {
    for (policy, left) in
        [(OnDelete::KeepVolumes, (0, 3, 0)), (OnDelete::RemoveVolumes, (0, 0, 0)), (OnDelete::Wipe, (0, 0, 0))]
    {
        let mut world = World::running(testing::database());
        world.database.on_delete = policy;
        world.delete();
        let decision = world.settle();
        assert_eq!((decision.step, world.left()), (Step::Release, left), "{policy:?}");
    }
}

#[test]
fn do_not_terminate_and_protection_hold_a_deletion_and_the_database_runs_on() {
    let hold: [Case<Database>; 2] = [
        ("DoNotTerminate", |database| database.on_delete = OnDelete::Refuse),
        ("DeletionProtected", |database| database.consent.protected = true),
    ];
    for (reason, hold) in hold {
        let mut world = World::running(testing::database());
        hold(&mut world.database);
        world.delete();
        world.pods("a").clear();
        let decision = world.settle();
        assert_eq!(condition(&decision, "Deletable"), Some((Truth::False, reason)));
        assert_eq!(world.left(), (3, 3, 3), "it is repaired while it is held");
    }
}

#[test]
fn volumes_go_after_the_pods_are_proved_gone() {
    let mut world = World::running(testing::database());
    world.delete();
    let Step::LookAgain(workers) = world.decide().step else { panic!("it must look first") };
    for worker in &workers {
        testing::objects(&mut world.seen, worker.as_str()).source = Source::Live;
    }
    let Step::Act(acts) = world.decide().step else { panic!("it must act") };
    let kinds: Vec<_> = acts
        .iter()
        .filter_map(|act| match &act.change {
            Change::Delete(target) => Some(target.kind),
            _ => None,
        })
        .collect();
    assert!(kinds.contains(&Kind::Pod) && !kinds.contains(&Kind::Claim), "{kinds:?}");
}

#[test]
fn a_deletion_is_held_by_a_worker_that_cannot_be_seen_and_says_what_is_there() {
    let mut world = World::running(testing::database());
    world.seen.workers.get_mut(&WorkerName::from("b")).unwrap().view =
        WorkerView::Unseen { since: Some(world.now), why: "timed out".into() };
    world.delete();
    let decision = world.settle();
    assert_eq!(condition(&decision, "Deletable"), Some((Truth::False, "ObjectsLeft")));
    let told = decision.report.conditions.iter().find(|c| c.kind == "Deletable").unwrap();
    assert!(told.message.contains("db-etcd-1") && told.message.contains("timed out"), "{}", told.message);
}

#[test]
fn the_brake_holds_what_goes_with_its_kind_its_namespace_or_many_others_until_confirmed() {
    let brake: [Case<Seen>; 4] = [
        ("KindBeingDeleted", |seen| seen.deletions.kind_deleting = Ending::Going),
        ("NamespaceBeingDeleted", |seen| seen.deletions.namespace_deleting = Ending::Going),
        ("NamespaceUnread", |seen| seen.deletions.namespace_deleting = Ending::Unread),
        ("ManyBeingDeleted", |seen| {
            seen.deletions.databases = 9;
            seen.deletions.asked = vec![testing::now(); 5];
        }),
    ];
    for (reason, brake) in brake {
        let mut world = World::running(testing::database());
        world.delete();
        brake(&mut world.seen);
        let decision = world.settle();
        assert_eq!(condition(&decision, "Deletable"), Some((Truth::False, reason)));
        assert_eq!(world.left(), (3, 3, 3));

        world.database.consent.confirm_delete = Some(Uid::from("somebody-else"));
        assert_eq!(world.settle().report.phase, Phase::Running, "a confirmation of another UID says nothing");
        world.database.consent.confirm_delete = Some(world.database.id.uid.clone());
        assert_eq!(world.settle().step, Step::Release);
        assert_eq!(world.left(), (0, 0, 0));
    }
}

#[test]
fn four_deletions_at_once_are_no_mass_and_neither_are_five_of_ten() {
    for (all, asked) in [(4, 4), (10, 5)] {
        let mut world = World::running(testing::database());
        world.delete();
        world.seen.deletions.databases = all;
        world.seen.deletions.asked = vec![testing::now(); asked];
        assert_eq!(world.settle().step, Step::Release, "{asked} of {all}");
    }
}

#[test]
fn keep_data_lets_the_resource_go_and_touches_nothing() {
    let mut world = World::running(testing::database());
    world.delete();
    world.seen.deletions.kind_deleting = Ending::Going;
    world.database.consent.keep_data = Some(world.database.id.uid.clone());
    assert_eq!(world.settle().step, Step::Release);
    assert_eq!(world.left(), (3, 3, 3));
}

#[test]
fn a_mass_deletion_stays_held_when_it_is_looked_at_late_and_when_the_others_are_gone() {
    let mut world = World::running(testing::database());
    world.delete();
    world.seen.deletions.databases = 6;
    world.seen.deletions.asked = vec![testing::now(); 6];
    world.known = SignedDuration::from_hours(2);
    assert_eq!(condition(&world.settle(), "Deletable"), Some((Truth::False, "ManyBeingDeleted")));
    world.seen.deletions = Deletions { databases: 1, asked: vec![testing::now()], ..Deletions::default() };
    assert_eq!(condition(&world.settle(), "Deletable"), Some((Truth::False, "ManyBeingDeleted")));
    assert_eq!(world.left(), (3, 3, 3));
    world.database.consent.confirm_delete = Some(world.database.id.uid.clone());
    assert_eq!(world.settle().step, Step::Release);
}

#[test]
fn a_paused_database_is_not_deleted() {
    let mut world = World::running(testing::database());
    world.database.consent.paused = true;
    world.delete();
    assert_eq!(condition(&world.settle(), "Deletable"), Some((Truth::False, "Paused")));
    assert_eq!(world.left(), (3, 3, 3));
}

#[test]
fn a_deletion_waits_for_its_neighbours_by_the_clock_that_measures_however_the_wall_clocks_stand() {
    for apart in [-3_600, 0, 3_600] {
        let mut world = World::running(testing::database());
        world.delete();
        let asked = testing::now() + SignedDuration::from_secs(apart);
        world.database.intent = Intent::Delete(asked);
        world.seen.deletions.asked = vec![asked];
        world.known = SignedDuration::from_secs(3);
        let decision = world.settle();
        assert_eq!(condition(&decision, "Deletable"), Some((Truth::False, "LookingForOthers")));
        assert_eq!(decision.again, Some(SignedDuration::from_secs(7)));
        assert_eq!(world.left(), (3, 3, 3));
        world.known = SignedDuration::from_secs(10);
        assert_eq!(world.settle().step, Step::Release);
    }
}

#[test]
fn a_deletion_names_what_is_left_and_whose_finalizer_holds_it() {
    let mut world = World::running(testing::database());
    world.delete();
    let objects = testing::objects(&mut world.seen, "b");
    objects.pods.clear();
    objects.services.clear();
    for claim in objects.claims.values_mut() {
        claim.meta.deleting = Some(testing::now());
        claim.meta.held_by = vec!["example.com/backup".to_owned()];
    }
    let decision = world.settle_or_give_up();
    let told = decision.report.conditions.iter().find(|c| c.kind == "Deletable").unwrap();
    assert!(told.message.contains("data-db-etcd-1 in worker b (held by example.com/backup)"), "{}", told.message);
}
