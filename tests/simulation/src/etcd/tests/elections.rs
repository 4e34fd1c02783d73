use super::*;

#[test]
fn three_founders_elect_one_leader_under_the_identities_that_the_product_expects() {
    use atoll::engine::EngineKind;
    let town = Town::founded(1);
    let names: Vec<_> = ["a", "b", "c"].iter().map(|name| ((*name).into(), format!("{name}:2380"))).collect();
    let expected = EngineKind::Etcd.knowledge().expected_identity(&names, TOKEN);
    for view in town.views() {
        assert_eq!(view.cluster_id.expect("founded").to_string(), expected.cluster);
        assert_eq!(view.member_id.expect("founded").to_string(), expected.members[&view.name.as_str().into()]);
        assert_eq!(view.voters.len(), 3);
    }
    assert_eq!(town.views().iter().filter(|view| view.role == Role::Leader).count(), 1);
    let foundings = town.etcds.foundings();
    assert_eq!(foundings.len(), 3);
    assert!(foundings.iter().all(|founding| founding.token == TOKEN && founding.owner == "db"));
}

#[test]
fn one_of_three_founders_serves_nobody_and_two_do() {
    let mut town = Town::new(2);
    town.start("a", "new", "abc");
    town.run(10);
    assert!(!town.view("a").serving && town.put("a", "k", "v") == Outcome::Refused("nobody answers".to_owned()));
    assert_eq!(town.get("a", 2381, "/livez"), Some((200, "ok\n".to_owned())));
    assert_eq!(town.get("a", 2381, "/readyz"), None);
    town.start("b", "new", "abc");
    town.run(4);
    town.acknowledged("a", "k", "v");
}

#[test]
fn a_lone_founder_serves_at_once() {
    let mut town = Town::new(3);
    town.start("a", "new", "a");
    town.run(1);
    town.acknowledged("a", "k", "v");
    assert_eq!(town.read("a", "k"), value("v"));
    assert_eq!(town.read("a", "other"), Read::NoKey);
}

#[test]
fn a_minority_that_is_cut_off_acknowledges_nothing_and_lists_nobody() {
    let mut town = Town::founded(4);
    let leader = town.leader();
    let others: String = town.followers().concat();
    town.acknowledged(&leader, "k", "1");
    town.cut(&leader, &others);
    assert_eq!(town.put(&leader, "k", "2"), Outcome::NoAnswer);
    assert_eq!(town.read(&leader, "k"), Read::NoAnswer);
    assert_eq!(town.post(&leader, "/v3/cluster/member/list", r#"{"linearizable":true}"#), None);
    accepted(town.post(&leader, "/v3/cluster/member/list", "{}"));
    town.run(4);
    assert_eq!(town.view(&leader).role, Role::Candidate, "a leader without a majority steps down");
    let other = &others[..1];
    town.acknowledged(other, "k", "3");
    assert_eq!(town.read(other, "k"), value("3"));
}

#[test]
fn who_comes_back_takes_what_the_majority_has_and_drops_what_nobody_acknowledged() {
    let mut town = Town::founded(5);
    let leader = town.leader();
    let others: String = town.followers().concat();
    town.cut(&leader, &others);
    assert_eq!(town.put(&leader, "lost", "1"), Outcome::NoAnswer);
    town.run(4);
    town.acknowledged(&others[..1], "kept", "2");
    town.heal();
    town.run(3);
    assert_eq!(town.read(&leader, "kept"), value("2"));
    assert_eq!(town.read(&leader, "lost"), Read::NoKey);
    assert_eq!(town.etcds.history("db").len(), 1);
}

#[test]
fn a_write_without_answer_may_come_true_later() {
    let mut town = Town::founded(6);
    let (leader, followers) = (town.leader(), town.followers());
    for follower in &followers {
        town.stop(follower);
    }
    assert_eq!(town.put(&leader, "k", "v"), Outcome::NoAnswer);
    town.start(&followers[0], "existing", "abc");
    town.run_until("a leader", |town| town.view(&followers[0]).serving);
    assert_eq!(town.read(&followers[0], "k"), value("v"));
}

#[test]
fn a_member_that_was_cut_off_disturbs_nobody_when_it_returns() {
    let mut town = Town::founded(7);
    let (leader, term) = (town.leader(), town.views()[0].term);
    let follower = town.followers().remove(0);
    let others: String = town.views().into_iter().map(|view| view.name).filter(|name| *name != follower).collect();
    town.cut(&follower, &others);
    town.run(30);
    town.heal();
    town.run(3);
    assert_eq!((town.leader(), town.views()[0].term), (leader, term));
}

#[test]
fn a_restarted_member_ignores_its_initial_flags() {
    let mut town = Town::founded(8);
    town.acknowledged("a", "k", "v");
    for name in ["a", "b", "c"] {
        town.stop(name);
    }
    town.start("a", "new", "a");
    town.start("b", "existing", "b");
    town.run(5);
    assert_eq!(town.read("a", "k"), value("v"));
    assert_eq!(town.view("a").voters.len(), 3);
    assert_eq!(town.etcds.foundings().len(), 3);
}

#[test]
fn what_was_acknowledged_is_told_from_what_was_written_over() {
    let town = Town::founded(9);
    let Outcome::Acknowledged { index, term, .. } = town.put("b", "k", "1") else { panic!("acknowledged") };
    town.acknowledged("c", "k", "2");
    let history = town.etcds.history("db").remove(0);
    assert_eq!(history.keys["k"], "2");
    assert!(history.holds(index, term) && !history.holds(index, term + 1) && !history.holds(index + 9, term));
}

#[test]
fn who_answers_at_a_peers_address_must_be_that_peer() {
    let mut town = Town::founded(10);
    town.start_on("x", "vol-x", "new", "x");
    town.run(2);
    let stranger = town.process("x");
    // With equal pod networks, a's addresses for b and c lead to a stranger, and theirs for a do as well.
    town.wires.change(|wires| {
        for (from, to) in [("a", "b"), ("a", "c"), ("b", "a"), ("c", "a")] {
            wires.local.insert((place(from), to.to_owned()), stranger);
        }
    });
    town.run(4);
    assert!(!town.view("a").serving && town.view("b").serving && town.view("x").serving);
    assert_eq!(town.view("x").voters.len(), 1);
}

#[test]
fn one_direction_of_dialling_is_enough() {
    let mut town = Town::founded(11);
    // Nobody finds a, but a finds them, and peers answer through connections that are there.
    town.wires.change(|wires| {
        let stranger = wires.hosts["b"];
        wires.local.insert((place("b"), "a".to_owned()), stranger);
        wires.local.insert((place("c"), "a".to_owned()), stranger);
    });
    town.run(10);
    assert!(town.view("a").serving);
}

#[test]
fn packets_that_pass_one_way_connect_nobody() {
    let mut town = Town::founded(12);
    town.wires.change(|wires| {
        wires.cut.extend([(place("a"), place("b")), (place("a"), place("c"))]);
    });
    town.run(4);
    assert!(!town.view("a").serving && town.view("b").serving);
}

#[test]
fn leadership_is_handed_over_to_a_voter() {
    let town = Town::founded(13);
    let (leader, follower) = (town.leader(), town.followers().remove(0));
    let body = format!(r#"{{"targetID":"{}"}}"#, town.member(&follower).0);
    refused(town.post(&follower, "/v3/maintenance/transfer-leadership", &body), 400, "not leader");
    refused(
        town.post(&leader, "/v3/maintenance/transfer-leadership", r#"{"targetID":"17"}"#),
        400,
        "bad leader transferee",
    );
    accepted(town.post(&leader, "/v3/maintenance/transfer-leadership", &body));
    assert_eq!(town.leader(), follower);
    assert_eq!(town.view(&leader).role, Role::Follower);
}
