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
            Change::Delete(target) | Change::DeleteUnchanged(target, _) => Some(target.kind),
            _ => None,
        })
        .collect();
    assert!(kinds.contains(&Kind::Pod) && !kinds.contains(&Kind::Claim), "{kinds:?}");
}

#[test]
fn a_deletion_is_held_by_a_worker_that_cannot_be_seen_and_says_what_is_there() {
    let mut world = World::running(testing::database());
    world.seen.workers.get_mut(&WorkerName::from("b")).unwrap().view =
        WorkerView::Unseen { absence: Absence::Since(world.now), why: "timed out".into() };
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
fn a_deletion_that_waits_for_the_masters_word_asks_again_by_itself() {
    let unread: [Case<World>; 2] = [
        ("KindUnread", |world| world.seen.deletions.kind_deleting = Ending::Unread),
        ("NamespaceUnread", |world| world.seen.deletions.namespace_deleting = Ending::Unread),
    ];
    for (reason, spoil) in unread {
        let mut world = World::running(testing::database());
        world.delete();
        spoil(&mut world);
        let decision = world.settle();
        assert_eq!(condition(&decision, "Deletable"), Some((Truth::False, reason)));
        assert!(decision.again.is_some(), "{reason}");
        world.database.consent.paused = true;
        assert_eq!(world.settle().again, None, "what a person holds is not asked about");
    }
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

/// A database that runs in three registered workers, of which `b` cannot be seen, and that is being deleted.
fn without_b() -> World {
    let mut world = World::running(testing::database());
    for worker in ["a", "b", "c"] {
        let account = Account { pinned: Some(Uid::new(format!("uid-{worker}"))), ending: Ending::Staying, owed: None };
        world.seen.accounts.insert(WorkerName::from(worker), account);
    }
    cut_b(&mut world);
    world.delete();
    world
}

fn cut_b(world: &mut World) {
    world.seen.workers.get_mut(&WorkerName::from("b")).unwrap().view =
        WorkerView::Unseen { absence: Absence::Since(testing::now()), why: "timed out".into() };
}

fn let_go(world: &mut World, uid: &str, worker: &str) {
    world.database.consent.released = [(Uid::from(uid), WorkerName::from(worker))].into();
}

fn owed(world: &World) -> Option<&Owed> {
    world.seen.accounts[&WorkerName::from("b")].owed.as_ref()
}

#[test]
fn a_deletion_that_is_held_by_a_worker_names_members_volumes_since_when_and_the_way_out() {
    let mut world = without_b();
    let decision = world.settle();
    let told = decision.report.conditions.iter().find(|c| c.kind == "Deletable").unwrap();
    for words in [
        "db-etcd-1 with volume claim data-db-etcd-1",
        "since 2026-01-01T00:01:00Z",
        "atoll release db -n default --worker b",
    ] {
        assert!(told.message.contains(words), "{words}: {}", told.message);
    }
}

#[test]
fn a_worker_that_a_person_lets_go_of_holds_nothing_once_the_debt_is_written() {
    for (policy, volumes) in [(OnDelete::Wipe, Volumes::Delete), (OnDelete::KeepVolumes, Volumes::Keep)] {
        let mut world = without_b();
        world.database.on_delete = policy;
        assert_ne!(world.settle().step, Step::Release);
        let_go(&mut world, "uid-db", "b");
        let decision = world.settle();
        assert_eq!(decision.step, Step::Release);
        let debt = owed(&world).expect("it is written before the resource goes");
        assert_eq!((debt.uid.as_str(), debt.volumes, debt.worker_identity.as_str()), ("uid-db", volumes, "uid-b"));
        assert_eq!(debt.members, ["db-etcd-1".into()]);
        assert_eq!(condition(&decision, "WorkersReleased"), Some((Truth::True, "DebtRecorded")));
    }
}

#[test]
fn a_word_for_another_database_another_worker_or_a_worker_that_can_be_seen_lets_go_of_nothing() {
    for (uid, worker) in [("uid-of-another", "b"), ("uid-db", "c"), ("uid-db", "a")] {
        let mut world = without_b();
        let_go(&mut world, uid, worker);
        assert_ne!(world.settle().step, Step::Release, "{uid}/{worker}");
        assert!(world.seen.accounts.values().all(|account| account.owed.is_none()), "{uid}/{worker}");
    }
}

#[test]
fn a_debt_is_taken_back_with_the_word_and_when_the_data_is_to_be_kept() {
    let take_back: [fn(&mut World); 2] = [
        |world| world.database.consent.released.clear(),
        |world| world.database.consent.keep_data = Some(Uid::from("uid-db")),
    ];
    for take_back in take_back {
        let mut world = without_b();
        let_go(&mut world, "uid-db", "b");
        world.settle();
        assert!(owed(&world).is_some());
        take_back(&mut world);
        world.settle();
        assert_eq!(owed(&world), None);
    }
}

#[test]
fn a_debt_says_what_the_policy_says_when_the_resource_goes() {
    let mut world = without_b();
    let_go(&mut world, "uid-db", "b");
    world.settle();
    world.database.on_delete = OnDelete::KeepVolumes;
    world.settle();
    assert_eq!(owed(&world).unwrap().volumes, Volumes::Keep);
}

#[test]
fn a_worker_without_a_registration_that_leads_to_the_members_is_let_go_of_without_a_debt() {
    let unrecorded: [fn(&mut World); 2] = [
        |world| drop(world.seen.accounts.remove(&WorkerName::from("b"))),
        |world| world.seen.accounts.get_mut(&WorkerName::from("b")).unwrap().pinned = Some(Uid::from("another")),
    ];
    for spoil in unrecorded {
        let mut world = without_b();
        spoil(&mut world);
        assert_ne!(world.settle().step, Step::Release, "not without a person's word");
        let_go(&mut world, "uid-db", "b");
        let decision = world.settle();
        assert_eq!(decision.step, Step::Release);
        assert_eq!(condition(&decision, "WorkersReleased"), Some((Truth::True, "Unrecorded")));
    }
}

#[test]
fn a_registration_that_was_made_anew_and_not_reached_yet_owes_what_stands_in_the_members_cluster() {
    let mut world = without_b();
    world.seen.accounts.get_mut(&WorkerName::from("b")).unwrap().pinned = None;
    let_go(&mut world, "uid-db", "b");
    let decision = world.settle();
    assert_eq!(decision.step, Step::Release);
    assert_eq!(owed(&world).expect("the record says where they are").worker_identity.as_str(), "uid-b");
    assert_eq!(condition(&decision, "WorkersReleased"), Some((Truth::True, "DebtRecorded")));
}

#[test]
fn while_the_registrations_have_not_been_read_nobody_is_let_go_of() {
    let mut world = without_b();
    world.seen.accounts.clear();
    world.seen.registry = Registry::Unread;
    let_go(&mut world, "uid-db", "b");
    assert_ne!(world.settle().step, Step::Release);
}

#[test]
fn no_new_members_go_to_a_worker_whose_registration_is_being_deleted() {
    let mut world = World::new(testing::database());
    let account = Account { pinned: Some(Uid::from("uid-b")), ending: Ending::Going, owed: None };
    world.seen.accounts.insert(WorkerName::from("b"), account);
    let Step::Record(record) = world.decide().step else { panic!("two workers are left") };
    assert!(!record.workers().contains(&WorkerName::from("b")), "{record:?}");
    world.database.placement = PlacementRequest::Listed(vec!["a".into(), "b".into()]);
    let decision = world.settle();
    assert_eq!(condition(&decision, "Placed"), Some((Truth::False, "WorkerBeingDeleted")));
}
