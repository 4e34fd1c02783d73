use super::*;

/// A follower and the other one, the leader last.
fn cast(town: &Town) -> (String, String, String) {
    let mut followers = town.followers();
    let (one, other) = (followers.remove(0), followers.remove(0));
    (one, other, town.leader())
}

fn wipe(town: &Town, name: &str) {
    town.stop(name);
    town.etcds.lose_volume(&format!("vol-{name}"));
}

#[test]
fn a_wiped_founder_that_founds_again_helps_to_lose_what_was_acknowledged() {
    let mut town = Town::founded(1);
    let (wiped, behind, leader) = cast(&town);
    // One member is away while the two others acknowledge.
    town.cut(&behind, &format!("{wiped}{leader}"));
    town.run(3);
    town.acknowledged(&leader, "k", "v");
    // Then one of the two loses its disk and is started as on the first day, where nobody tells it what it was.
    wipe(&town, &wiped);
    town.cut(&wiped, &format!("{behind}{leader}"));
    town.start(&wiped, "new", "abc");
    town.run(1);
    town.heal();
    town.cut(&leader, &format!("{wiped}{behind}"));
    town.run_until("a leader of the two", |town| town.view(&behind).serving);
    assert_eq!(town.read(&behind, "k"), Read::NoKey, "the write is lost");
    assert_eq!(town.etcds.foundings().len(), 4);
    assert_eq!(town.view(&wiped).cluster_id, town.view(&leader).cluster_id);
    // The one that knows better is not heard any more.
    town.acknowledged(&behind, "k", "other");
    town.heal();
    town.run(5);
    assert_eq!(town.etcds.history("db").len(), 1);
    assert_eq!(town.etcds.history("db")[0].keys["k"], "other");
}

#[test]
fn a_wiped_founder_that_joins_with_its_old_identity_helps_to_lose_it_too() {
    let mut town = Town::founded(2);
    let (wiped, behind, leader) = cast(&town);
    town.cut(&behind, &format!("{wiped}{leader}"));
    town.run(3);
    town.acknowledged(&leader, "k", "v");
    wipe(&town, &wiped);
    town.heal();
    town.cut(&leader, &format!("{wiped}{behind}"));
    // An empty log votes for every log: only a new identity is safe, and a member in nobody's list cannot join.
    town.start(&wiped, "existing", "abc");
    town.run_until("a leader of the two", |town| town.view(&behind).serving);
    assert_eq!(town.read(&behind, "k"), Read::NoKey);
    assert_eq!(town.etcds.foundings().len(), 3);
}

#[test]
fn a_wiped_member_that_its_cluster_reaches_does_not_found_again() {
    let mut town = Town::founded(3);
    let (wiped, ..) = cast(&town);
    wipe(&town, &wiped);
    town.start(&wiped, "new", "abc");
    town.run(2);
    let exit = town.exit(&wiped).expect("it ends");
    assert_eq!(exit.code, 1);
    assert!(exit.words.contains("has already been bootstrapped"), "{}", exit.words);
    assert_eq!(town.etcds.foundings().len(), 3);
}

#[test]
fn a_wiped_member_panics_under_the_leader_that_knew_it_and_recovers_under_the_next() {
    let mut town = Town::founded(4);
    let (wiped, other, leader) = cast(&town);
    town.acknowledged(&leader, "k", "v");
    wipe(&town, &wiped);
    for _ in 0..2 {
        town.start(&wiped, "existing", "abc");
        town.run(2);
        let exit = town.exit(&wiped).expect("it ends");
        assert_eq!(exit.code, 2);
        assert!(exit.words.contains("is out of range [lastIndex(0)]"), "{}", exit.words);
    }
    let body = format!(r#"{{"targetID":"{}"}}"#, town.member(&other).0);
    accepted(town.post(&leader, "/v3/maintenance/transfer-leadership", &body));
    town.start(&wiped, "existing", "abc");
    town.run(3);
    assert_eq!(town.read(&wiped, "k"), value("v"));
}

#[test]
fn what_a_majority_has_survives_any_one_wiped_member_that_joins_under_a_new_identity() {
    let mut town = Town::founded(5);
    let (wiped, _, leader) = cast(&town);
    town.acknowledged(&leader, "k", "v");
    let old = town.member(&wiped);
    wipe(&town, &wiped);
    town.run(1);
    accepted(town.about(&leader, "remove", old));
    town.run(6);
    accepted(town.add(&leader, "d", false));
    let rest: String = ["a", "b", "c"].iter().filter(|name| **name != wiped).copied().collect();
    town.start("d", "existing", &format!("{rest}d"));
    town.run(3);
    assert_eq!(town.read("d", "k"), value("v"));
}

#[test]
fn a_lost_volume_takes_its_process_with_it() {
    let mut town = Town::founded(6);
    town.etcds.lose_volume("vol-a");
    assert_eq!(town.exit("a").expect("it ends").code, 1);
    town.run(4);
    town.acknowledged("b", "k", "v");
}

#[test]
fn a_volume_can_be_copied_and_put_back() {
    let mut town = Town::founded(7);
    town.acknowledged("a", "k", "1");
    let copy = town.etcds.copy_volume("vol-a");
    town.acknowledged("a", "k", "2");
    town.stop("a");
    town.etcds.put_volume("vol-a", copy);
    town.start("a", "existing", "abc");
    town.run(5);
    let back = town.exit("a").is_some() || town.read("a", "k") == value("2");
    assert!(back, "it is caught up, or panics as one whose log is too short: {:?}", town.read("a", "k"));
    assert!(matches!(town.etcds.copy_volume("nobody's"), Data(None)));
}

#[test]
fn restored_majorities_lose_what_came_after_and_the_third_is_stuck_with_it() {
    let mut town = Town::founded(8);
    let (one, other, leader) = cast(&town);
    let copies: Vec<_> = [&one, &other].iter().map(|name| town.etcds.copy_volume(&format!("vol-{name}"))).collect();
    for round in 0..5 {
        town.acknowledged(&leader, "k", &round.to_string());
    }
    for name in [&one, &other, &leader] {
        town.stop(name);
    }
    for (name, copy) in [&one, &other].iter().zip(copies) {
        town.etcds.put_volume(&format!("vol-{name}"), copy);
        town.start(name, "existing", "abc");
    }
    town.run_until("they serve", |town| town.view(&one).serving);
    assert_eq!(town.read(&one, "k"), Read::NoKey);
    town.start(&leader, "existing", "abc");
    town.run(10);
    // Its log is longer, so it may even lead again; but two histories never serve side by side.
    assert!(town.etcds.history("db").len() <= 1);
}

#[test]
fn a_spoilt_volume_is_noticed_at_the_next_start() {
    let mut town = Town::founded(9);
    town.acknowledged("a", "k", "v");
    town.etcds.corrupt_volume("vol-a");
    assert_eq!(town.read("a", "k"), value("v (spoilt)"));
    assert_eq!(town.read("b", "k"), value("v"));
    town.stop("a");
    town.start("a", "existing", "abc");
    town.run(1);
    let exit = town.exit("a").expect("it ends");
    assert!(exit.words.contains("found data inconsistency with peers"), "{}", exit.words);
}

#[test]
fn two_processes_never_have_one_directory_open() {
    let mut town = Town::founded(10);
    let first = town.process("a");
    town.start("a", "existing", "abc");
    town.run(3);
    assert_eq!(town.view("a").role, Role::Starting);
    town.etcds.stop(first);
    town.run(3);
    assert!(town.view("a").serving);
}
