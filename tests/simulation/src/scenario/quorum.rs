//! Majorities: lost, and only seen by a minority.

use std::time::Duration;

use super::tools::{
    annotate, begin, claim, members, says, standing, state, things, three, uid, until_told, until_up_to_date, untouched,
};
use crate::{
    link::Power,
    place::Place,
    stage::{
        Simulated, Stage,
        people::{People, Wanted},
    },
};

/// Row 66.
pub async fn a_lost_majority_is_told_and_nothing_is_forced(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let [_, w2, w3] = three(stage);
    stage.power(&w2, Power::Off).await;
    stage.power(&w3, Power::Off).await;
    stage.until_phase("a", "Failed").await;
    let message = until_told(stage, "a", "Ready", "False", "NoMajorityServes").await;
    says(&message, &w2);
    stage.sleep(Duration::from_mins(1)).await;
    assert_eq!(stage.phase("a").await, "Failed");
    stage.power(&w2, Power::On).await;
    stage.power(&w3, Power::On).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Row 66: a person gives the majority up, and names who goes on.
pub async fn a_lost_majority_is_given_up_by_a_persons_word_and_the_survivor_goes_on(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [w1, w2, w3] = three(stage);
    let before = things(stage, &w1, "a").await;
    let islands = [(&w1, &w2), (&w1, &w3), (&w2, &w3)].map(|(one, other)| (Place::of(one), Place::of(other)));
    stage.fault("cluster down", &format!("{w2} and {w3} are gone, with their networks"));
    for (one, other) in &islands {
        stage.net().cut(one, other);
    }
    stage.power(&w2, Power::Off).await;
    stage.power(&w3, Power::Off).await;
    stage.until_phase("a", "Failed").await;
    let message = until_told(stage, "a", "MajorityServes", "False", "MajorityLost").await;
    says(&message, "atoll recover a -n default --from a-etcd-0");
    stage.sleep(Duration::from_mins(1)).await;
    assert_eq!(things(stage, &w1, "a").await, before, "nothing is done without a person's word");
    let words = format!("{}/a-etcd-0/2026-01-01T00:00:00Z", uid(stage, "a").await);
    annotate(stage, "a", "atoll.dev/recover", words).await;
    until_up_to_date(stage, "a").await;
    let voters = async || members(stage, "a").await.1 == 3;
    stage.until("three vote again, all of them where somebody can be seen", voters).await;
    let here = things(stage, &w1, "a").await;
    assert_eq!(here.keys().filter(|thing| thing.starts_with("pod ")).count(), 3, "{here:?}");
    // Those who were given up are stopped when they are seen again; what they had stays.
    for (one, other) in &islands {
        stage.net().heal(one, other);
    }
    stage.power(&w2, Power::On).await;
    stage.power(&w3, Power::On).await;
    let forgotten = async || members(stage, "a").await == (3, 3);
    stage.until("those who were given up are gone", forgotten).await;
    for (site, number) in [(&w2, 1), (&w3, 2)] {
        let left = things(stage, site, "a").await;
        assert!(left.keys().eq([&format!("claim {}", claim("a", number))]), "{site}: {left:?}");
    }
    assert_eq!(stage.phase("a").await, "Running");
}

/// Row 68.
pub async fn what_an_isolated_member_says_of_itself_is_not_believed(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let told = async || leaders(stage).await.len() == 1;
    stage.until("one leader is told", told).await;
    let leader = leaders(stage).await.remove(0);
    let sites = three(stage);
    stage.fault("peers partitioned", &format!("the leader in {} hears nothing of the others", sites[leader]));
    for other in (0..3).filter(|other| *other != leader) {
        stage.net().cut(&Place::of(&sites[leader]), &Place::of(&sites[other]));
    }
    let told = async || {
        let leaders = leaders(stage).await;
        leaders.len() == 1 && leaders[0] != leader && state(stage, "a", leader).await == "NotReady"
    };
    stage.until("the leader of the majority is told", told).await;
    assert_eq!(stage.phase("a").await, "Abnormal");
    untouched(stage, "a", &before).await;
    for other in (0..3).filter(|other| *other != leader) {
        stage.net().heal(&Place::of(&sites[leader]), &Place::of(&sites[other]));
    }
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Which members are told to lead.
async fn leaders(stage: &Simulated) -> Vec<usize> {
    let found = stage.resource("a").await;
    let members = found["status"]["members"].as_array().cloned().unwrap_or_default();
    (0..members.len()).filter(|number| members[*number]["role"] == "leader").collect()
}
