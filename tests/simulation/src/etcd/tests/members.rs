use super::*;

#[test]
fn a_learner_joins_catches_up_and_is_promoted() {
    let mut town = Town::founded(1);
    town.acknowledged("a", "k", "v");
    town.run(6);
    accepted(town.add("a", "d", true));
    refused(town.add("a", "e", true), 400, "too many learner members");
    refused(town.add("a", "d", false), 400, "etcdserver: ");
    town.start("d", "existing", "abcd");
    town.run(3);
    let learner = town.view("d");
    assert_eq!(
        (learner.role, learner.serving, learner.voters.len(), learner.learners.len()),
        (Role::Learner, false, 3, 1)
    );
    assert_eq!(town.get("d", 2381, "/readyz").expect("an answer").0, 503);
    assert_eq!(town.get("d", 2381, "/livez").expect("an answer").0, 200);
    refused(town.post("d", "/v3/cluster/member/list", "{}"), 503, "rpc not supported for learner");
    accepted(town.post("d", "/v3/kv/range", r#"{"key":"aw==","serializable":true}"#));
    assert!(matches!(town.put("d", "k", "w"), Outcome::Refused(_)));
    // Any member hands a promotion on to the leader.
    for follower in town.followers().iter().filter(|name| *name != "d").take(1) {
        accepted(town.about(follower, "promote", learner.member_id.expect("a member")));
    }
    refused(town.about("a", "promote", learner.member_id.expect("a member")), 400, "can only promote a learner member");
    town.run(1);
    assert_eq!(town.view("d").voters.len(), 4);
    assert_eq!(town.read("d", "k"), value("v"));
}

#[test]
fn a_learner_that_has_nothing_yet_is_not_promoted() {
    let mut town = Town::founded(2);
    town.run(6);
    accepted(town.add("a", "d", true));
    let learner = *town.view("a").learners.first().expect("a learner");
    refused(town.about("a", "promote", learner), 400, "in sync with leader");
    refused(town.about("a", "promote", MemberId(17)), 404, "member not found");
}

#[test]
fn a_learner_counts_for_no_majority() {
    let mut town = Town::founded(3);
    town.run(6);
    accepted(town.add("a", "d", true));
    town.start("d", "existing", "abcd");
    town.run(3);
    let (leader, followers) = (town.leader(), town.followers());
    for follower in followers.iter().filter(|name| *name != "d") {
        town.stop(follower);
    }
    assert_eq!(town.put(&leader, "k", "v"), Outcome::NoAnswer);
}

#[test]
fn nobody_is_added_while_too_few_have_been_connected_for_five_seconds() {
    let mut town = Town::founded(4);
    let leader = town.leader();
    town.run(6);
    let follower = town.followers().remove(0);
    town.stop(&follower);
    town.run(1);
    refused(town.add(&leader, "d", true), 503, "etcdserver: unhealthy cluster");
    town.start(&follower, "existing", "abc");
    town.run(2);
    refused(town.add(&leader, "d", true), 503, "etcdserver: unhealthy cluster");
    town.run(7);
    accepted(town.add(&leader, "d", true));
}

#[test]
fn nobody_is_removed_who_is_needed_and_who_is_down_may_go() {
    let mut town = Town::founded(5);
    town.run(6);
    let (leader, followers) = (town.leader(), town.followers());
    let gone = town.member(&followers[0]);
    let needed = town.member(&followers[1]);
    town.stop(&followers[0]);
    town.run(1);
    refused(town.about(&leader, "remove", needed), 503, "etcdserver: unhealthy cluster");
    refused(town.about(&leader, "remove", MemberId(17)), 404, "member not found");
    accepted(town.about(&leader, "remove", gone));
    assert_eq!(town.view(&leader).voters.len(), 2);
    town.acknowledged(&leader, "k", "v");
}

#[test]
fn the_last_member_that_has_started_stays() {
    let mut town = Town::new(6);
    town.start("a", "new", "a");
    town.run(1);
    refused(town.about("a", "remove", town.member("a")), 500, "not enough started members");
    accepted(town.add("a", "b", false));
    // One of two has started: a third would be one too many, and nothing is decided before the second comes.
    assert_eq!(town.put("a", "k", "v"), Outcome::NoAnswer);
    refused(town.add("a", "c", false), 500, "not enough started members");
    town.start("b", "existing", "ab");
    town.run(4);
    town.acknowledged("b", "k", "v");
}

#[test]
fn a_removed_member_ends_and_ends_again_when_it_is_started() {
    let mut town = Town::founded(7);
    town.run(6);
    let (leader, gone) = (town.leader(), town.followers().remove(0));
    accepted(town.about(&leader, "remove", town.member(&gone)));
    town.run(2);
    for _ in 0..2 {
        let exit = town.exit(&gone).expect("it ends");
        assert_eq!((exit.code, exit.words.as_str()), (0, "the member has been permanently removed from the cluster"));
        town.stop(&gone);
        town.start(&gone, "existing", "abc");
        town.run(3);
    }
}

#[test]
fn a_member_that_was_removed_while_it_was_away_learns_it_from_the_others() {
    let mut town = Town::founded(8);
    let (leader, gone) = (town.leader(), town.followers().remove(0));
    let member = town.member(&gone);
    let others: String = ["a", "b", "c"].iter().filter(|name| **name != gone).copied().collect();
    town.cut(&gone, &others);
    town.run(7);
    accepted(town.about(&leader, "remove", member));
    town.run(2);
    assert_eq!(town.exit(&gone), None, "it cannot know");
    town.heal();
    town.run(2);
    assert_eq!(town.exit(&gone).expect("it ends").code, 0);
}

#[test]
fn a_leader_that_removes_itself_leaves_another_to_lead() {
    let mut town = Town::founded(9);
    town.run(6);
    let leader = town.leader();
    accepted(town.about(&leader, "remove", town.member(&leader)));
    town.run(4);
    assert_eq!(town.exit(&leader).expect("it ends").code, 0);
    assert_ne!(town.leader(), leader);
    assert_eq!(town.views().len(), 2);
}

#[test]
fn addresses_are_changed_and_never_shared() {
    let mut town = Town::founded(10);
    town.run(6);
    let (leader, follower) = (town.leader(), town.followers().remove(0));
    let id = town.member(&follower);
    let update = |urls: &str| {
        town.post(&leader, "/v3/cluster/member/update", &format!(r#"{{"ID":"{}","peerURLs":[{urls}]}}"#, id.0))
    };
    refused(update(&format!(r#""http://{leader}:2380""#)), 400, "Peer URLs already exists");
    refused(update(r#""nonsense""#), 400, "given member URLs are invalid");
    accepted(update(r#""http://elsewhere:2380""#));
    let list = town.post(&leader, "/v3/cluster/member/list", "{}").expect("a list").body;
    assert!(list.contains("http://elsewhere:2380"), "{list}");
}

#[test]
fn a_change_of_members_while_another_is_under_way_is_not_done() {
    let mut town = Town::founded(11);
    town.run(6);
    let (leader, followers) = (town.leader(), town.followers());
    town.cut(&leader, &followers.concat());
    let member = town.member(&followers[0]);
    let update = |url: &str| format!(r#"{{"ID":"{}","peerURLs":["{url}"]}}"#, member.0);
    assert_eq!(town.post(&leader, "/v3/cluster/member/update", &update("http://one:2380")), None);
    assert_eq!(town.post(&leader, "/v3/cluster/member/update", &update("http://two:2380")), None);
    town.heal();
    town.run(3);
    let list = town.post(&leader, "/v3/cluster/member/list", "{}").expect("a list").body;
    assert!(!list.contains("two"), "{list}");
}

#[test]
fn who_joins_must_be_listed_with_all_the_others() {
    for (all, add, words) in [
        ("abcd", false, "member count is unequal"),
        ("abd", true, "member count is unequal"),
        ("abxd", true, "no match found"),
        ("dx", true, "cannot fetch cluster info from peer urls"),
        ("abc", true, "couldn't find local name"),
    ] {
        let mut town = Town::founded(12);
        town.run(6);
        if add {
            accepted(town.add("a", "d", true));
        }
        town.start("d", "existing", all);
        town.run(1);
        let exit = town.exit("d").expect("it ends");
        assert_eq!(exit.code, 1);
        assert!(exit.words.contains(words), "{all}: {}", exit.words);
    }
}
