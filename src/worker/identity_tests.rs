//! Who may serve which cluster.

use super::{
    identity::{Claims, Verdict},
    registration::{Access, Registration},
};
use crate::plan::{
    name::{Uid, WorkerName},
    terms::Terms,
};

fn registration(name: &str, pinned: Option<&str>) -> Registration {
    Registration {
        name: WorkerName::from(name),
        aliases: Vec::new(),
        domain: None,
        terms: Terms::default(),
        pinned: pinned.map(Uid::from),
        accepted: None,
        access: Access::Pending,
    }
}

#[test]
fn the_one_that_was_pinned_in_an_earlier_life_serves_whoever_asks_first() {
    let mut claims = Claims::default();
    claims.remember(&registration("old", Some("x")));
    assert_eq!(
        claims.verdict(&registration("young", None), &Uid::from("x")),
        Verdict::DuplicateOf(WorkerName::from("old"))
    );
    assert_eq!(claims.verdict(&registration("old", Some("x")), &Uid::from("x")), Verdict::Ours);
}

#[test]
fn another_identity_is_refused_until_a_person_accepts_that_very_one() {
    let mut claims = Claims::default();
    let mut known = registration("w", Some("x"));
    let changed = Verdict::Changed { pinned: Uid::from("x"), found: Uid::from("y") };
    assert_eq!(claims.verdict(&known, &Uid::from("y")), changed);
    known.accepted = Some(Uid::from("z"));
    assert_eq!(claims.verdict(&known, &Uid::from("y")), changed);
    known.accepted = Some(Uid::from("y"));
    assert_eq!(claims.verdict(&known, &Uid::from("y")), Verdict::Ours);
    // The old cluster is free for a registration of its own.
    assert_eq!(claims.verdict(&registration("other", None), &Uid::from("x")), Verdict::Ours);
}

#[test]
fn a_cluster_is_free_again_when_its_registration_is_gone() {
    let mut claims = Claims::default();
    assert_eq!(claims.verdict(&registration("a", None), &Uid::from("x")), Verdict::Ours);
    claims.forget(&WorkerName::from("a"));
    assert_eq!(claims.verdict(&registration("b", None), &Uid::from("x")), Verdict::Ours);
}
