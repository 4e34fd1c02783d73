//! Lists, events and answers to writes, in whatever order.

use std::collections::BTreeSet;

use super::cache::{Cache, Shelf, Sync, Unread};
use crate::plan::{
    database::{DatabaseKey, DatabaseKind},
    name::{Namespace, ObjectName, ResourceVersion, Uid},
    seen::{Job, JobOutcome, Meta},
};

fn key(name: &str) -> DatabaseKey {
    DatabaseKey {
        kind: DatabaseKind::KubeBlocksCluster,
        namespace: Namespace::from("db"),
        name: ObjectName::from(name),
    }
}

fn job(name: &str, version: u64, outcome: JobOutcome) -> Job {
    let meta = Meta {
        namespace: Namespace::from("db"),
        name: ObjectName::from(name),
        uid: Uid::new(format!("uid-{name}")),
        version: at(version),
        database: None,
        member: None,
        rendered: None,
        deleting: None,
        held_by: Vec::new(),
    };
    Job { meta, outcome }
}

fn at(version: u64) -> ResourceVersion {
    ResourceVersion::new(version.to_string())
}

fn woken(names: &[&str]) -> BTreeSet<DatabaseKey> {
    names.iter().map(|name| key(name)).collect()
}

fn gone(shelf: &mut Shelf<Job>, name: &str, version: u64) -> BTreeSet<DatabaseKey> {
    shelf.gone(&Namespace::from("db"), &ObjectName::from(name), &at(version))
}

#[test]
fn a_change_wakes_its_database_and_a_mere_new_version_wakes_nobody() {
    let mut shelf = Shelf::default();
    assert_eq!(shelf.watched(key("a"), job("j", 1, JobOutcome::Running)), woken(&["a"]));
    assert_eq!(shelf.watched(key("a"), job("j", 2, JobOutcome::Running)), woken(&[]));
    assert_eq!(shelf.watched(key("a"), job("j", 3, JobOutcome::Failed)), woken(&["a"]));
}

#[test]
fn an_older_event_never_replaces_a_newer_answer() {
    let mut shelf = Shelf::default();
    shelf.written(key("a"), job("j", 9, JobOutcome::Failed));
    assert_eq!(shelf.watched(key("a"), job("j", 5, JobOutcome::Running)), woken(&[]));
    assert_eq!(shelf.of(&key("a"), None)[&ObjectName::from("j")].outcome, JobOutcome::Failed);
    // Nine is a newer version than ten would be as text.
    assert_eq!(shelf.watched(key("a"), job("j", 10, JobOutcome::Running)), woken(&["a"]));
}

#[test]
fn a_late_answer_does_not_bring_back_what_the_watch_saw_go() {
    let mut shelf = Shelf::default();
    shelf.watched(key("a"), job("j", 5, JobOutcome::Running));
    assert_eq!(gone(&mut shelf, "j", 6), woken(&["a"]));
    assert_eq!(shelf.written(key("a"), job("j", 5, JobOutcome::Running)), woken(&[]));
    assert!(shelf.of(&key("a"), None).is_empty());
    assert_eq!(shelf.written(key("a"), job("j", 7, JobOutcome::Running)), woken(&["a"]));
}

#[test]
fn an_older_deletion_does_not_remove_a_newer_object_of_the_same_name() {
    let mut shelf = Shelf::default();
    shelf.written(key("a"), job("j", 9, JobOutcome::Running));
    assert_eq!(gone(&mut shelf, "j", 8), woken(&[]));
    assert_eq!(shelf.of(&key("a"), None).len(), 1);
}

#[test]
fn a_list_removes_what_it_does_not_show_but_not_what_was_written_since() {
    let mut shelf = Shelf::default();
    shelf.watched(key("a"), job("old", 5, JobOutcome::Running));
    shelf.watched(key("b"), job("kept", 6, JobOutcome::Running));
    shelf.written(key("c"), job("new", 12, JobOutcome::Running));
    let listed = vec![(key("b"), job("kept", 6, JobOutcome::Running)), (key("d"), job("more", 8, JobOutcome::Running))];
    assert_eq!(shelf.listed(listed, &at(10)), woken(&["a", "d"]));
    assert!(shelf.of(&key("a"), None).is_empty());
    assert_eq!(shelf.of(&key("c"), None).len(), 1);
}

#[test]
fn an_object_whose_labels_change_leaves_one_database_for_another() {
    let mut shelf = Shelf::default();
    shelf.watched(key("a"), job("j", 5, JobOutcome::Running));
    assert_eq!(shelf.watched(key("b"), job("j", 6, JobOutcome::Running)), woken(&["a", "b"]));
    assert!(shelf.of(&key("a"), None).is_empty());
}

#[test]
fn our_own_delete_removes_exactly_that_object() {
    let mut shelf = Shelf::default();
    shelf.watched(key("a"), job("j", 5, JobOutcome::Running));
    let (namespace, name) = (Namespace::from("db"), ObjectName::from("j"));
    assert_eq!(shelf.deleted(&namespace, &name, &Uid::from("another")), woken(&[]));
    assert_eq!(shelf.deleted(&namespace, &name, &Uid::from("uid-j")), woken(&["a"]));
}

fn unread(name: &str, owner: Option<&str>) -> Unread {
    Unread { namespace: Some(Namespace::from("db")), name: Some(ObjectName::from(name)), owner: owner.map(key) }
}

fn cache(jobs: Shelf<Job>) -> Cache {
    let mut cache = Cache { jobs, ..Cache::default() };
    cache.pods.sync = Sync::Fresh;
    cache.claims.sync = Sync::Fresh;
    cache.services.sync = Sync::Fresh;
    cache.jobs.sync = Sync::Fresh;
    cache
}

fn told(cache: &Cache, name: &str) -> Result<usize, String> {
    cache.objects(&Uid::from("uid"), &key(name), None).map(|objects| objects.jobs.len())
}

#[test]
fn an_object_that_cannot_be_read_makes_its_database_unseen_and_no_other() {
    let mut jobs = Shelf::default();
    jobs.listed_unread([unread("bad", Some("a"))]);
    jobs.listed(
        vec![(key("a"), job("j", 1, JobOutcome::Running)), (key("b"), job("k", 2, JobOutcome::Running))],
        &at(5),
    );
    let cache = cache(jobs);
    assert_eq!(told(&cache, "a"), Err("one of its jobs cannot be read: db/bad".to_owned()));
    assert_eq!(told(&cache, "b"), Ok(1));
    let words = cache.incomplete().unwrap();
    assert!(words.contains("jobs db/bad"), "{words}");
}

#[test]
fn an_object_that_becomes_unreadable_stays_its_databases_even_without_labels() {
    let mut jobs = Shelf::default();
    jobs.watched(key("a"), job("j", 1, JobOutcome::Running));
    assert_eq!(jobs.watched_unread(unread("j", None)), woken(&["a"]));
    assert!(jobs.of(&key("a"), None).is_empty(), "nothing of before is believed");
    assert_eq!(jobs.listed_unread([unread("j", None)]), woken(&[]), "the next list changes nothing");
    assert!(told(&cache(jobs), "a").is_err());
}

#[test]
fn an_object_that_can_be_read_again_or_is_gone_wakes_its_database() {
    for mend in [
        |jobs: &mut Shelf<Job>| jobs.watched(key("a"), job("j", 7, JobOutcome::Running)),
        |jobs: &mut Shelf<Job>| gone(jobs, "j", 7),
        |jobs: &mut Shelf<Job>| jobs.listed_unread([]),
    ] {
        let mut jobs = Shelf::default();
        jobs.watched_unread(unread("j", Some("a")));
        assert_eq!(mend(&mut jobs), woken(&["a"]));
        let cache = cache(jobs);
        assert_eq!((told(&cache, "a").is_ok(), cache.incomplete()), (true, None));
    }
}

#[test]
fn objects_of_one_name_in_two_namespaces_do_not_stand_for_each_other() {
    let elsewhere = |version| {
        let mut job = job("j", version, JobOutcome::Failed);
        job.meta.namespace = Namespace::from("tenant");
        job
    };
    let mut shelf = Shelf::default();
    shelf.listed(vec![(key("a"), job("j", 1, JobOutcome::Running)), (key("a"), elsewhere(2))], &at(2));
    let outcome = |shelf: &Shelf<Job>, home: &str| {
        shelf.of(&key("a"), Some(&Namespace::from(home))).values().map(|job| job.outcome).collect::<Vec<_>>()
    };
    assert_eq!(outcome(&shelf, "db"), [JobOutcome::Running]);
    assert_eq!(outcome(&shelf, "tenant"), [JobOutcome::Failed]);
    assert_eq!(outcome(&shelf, "nowhere"), []);
    assert_eq!(gone(&mut shelf, "j", 3), woken(&["a"]));
    assert_eq!((outcome(&shelf, "db"), outcome(&shelf, "tenant")), (vec![], vec![JobOutcome::Failed]));
    assert_eq!(shelf.watched(key("a"), elsewhere(4)), woken(&[]), "it is known there");
}
