//! Majorities: lost, and only seen by a minority.

use std::time::Duration;

use super::tools::{begin, says, standing, state, three, until_told, untouched};
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
