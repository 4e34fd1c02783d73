use super::*;

fn dials(town: &Town) -> u64 {
    town.wires.0.lock().expect("wires").dials
}

#[test]
fn quiet_time_costs_nothing_and_changes_nothing() {
    let mut town = Town::founded(1);
    town.run(3);
    let views = town.views();
    let before = dials(&town);
    town.run(3_600);
    assert_eq!(town.views(), views);
    assert_eq!(dials(&town), before, "somebody was dialled");
}

#[test]
fn after_quiet_time_patience_is_as_long_as_ever() {
    let mut town = Town::founded(2);
    town.run(600);
    let (leader, followers) = (town.leader(), town.followers());
    town.cut(&leader, &followers.concat());
    town.now += Duration::from_millis(500);
    town.etcds.tick(town.now);
    assert_eq!(town.view(&leader).role, Role::Leader, "half a second is not enough to depose it");
    assert!(followers.iter().all(|name| town.view(name).role == Role::Follower));
    town.run(4);
    assert_ne!(town.leader(), leader);
}

#[test]
fn a_member_that_is_down_for_long_does_not_make_time_dear() {
    let mut town = Town::founded(3);
    let gone = town.followers().remove(0);
    town.stop(&gone);
    town.run(10);
    let before = dials(&town);
    town.run(600);
    assert_eq!(dials(&town), before);
    town.start(&gone, "existing", "abc");
    town.run(3);
    assert!(town.view(&gone).serving);
}

#[test]
fn a_member_that_is_cut_off_for_long_does_not_make_time_dear() {
    let mut town = Town::founded(4);
    let (leader, followers) = (town.leader(), town.followers());
    town.cut(&followers[0], &format!("{leader}{}", followers[1]));
    town.run(10);
    let before = dials(&town);
    town.run(600);
    assert_eq!(dials(&town), before);
}

#[test]
fn the_same_seed_makes_the_same_world_and_another_another() {
    let world = |seed| {
        let mut town = Town::founded(seed);
        town.stop("a");
        town.run(3);
        town.start("a", "existing", "abc");
        town.run(7);
        format!("{:?}", town.views())
    };
    assert_eq!(world(5), world(5));
    assert!((6..16).any(|seed| world(seed) != world(5)));
}

#[test]
fn every_seed_elects_somebody_soon() {
    for seed in 0..200 {
        let mut town = Town::new(seed);
        for name in ["a", "b", "c"] {
            town.start(name, "new", "abc");
        }
        town.run_until("all serve", |town| town.views().iter().filter(|view| view.serving).count() == 3);
        assert!(town.now < Duration::from_secs(8), "seed {seed}: {:?}", town.now);
    }
}
