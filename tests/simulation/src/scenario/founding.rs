//! Founding: exactly once, whatever happens meanwhile.

use std::time::Duration;

use super::tools::{begin, standing, state, three, until_told, untouched};
use crate::{
    link::Way,
    lives::Replica,
    place::Place,
    stage::{
        Simulated, Stage,
        people::{People, Wanted},
    },
};

/// Row 60.
pub async fn a_worker_lost_while_a_database_is_founded_brings_no_second_founding(stage: &impl Stage) {
    begin(stage).await;
    let [_, w2, _] = three(stage);
    stage.create(&Wanted::named("a")).await;
    until_told(stage, "a", "ApplyResources", "True", "ApplyResourcesSucceed").await;
    stage.way(&w2, Way::BlackHole).await;
    stage.crash(Replica(0)).await;
    stage.sleep(Duration::from_secs(50)).await;
    let token = token(stage).await;
    stage.way(&w2, Way::Open).await;
    stage.until_phase("a", "Running").await;
    assert_eq!(self::token(stage).await, token, "it is the founding that was announced");
    assert_eq!(standing(stage, "a").await.len(), 6, "three pods on three volumes");
}

async fn token(stage: &impl Stage) -> String {
    stage.resource("a").await["status"]["atoll"]["stage"]["token"].as_str().unwrap_or_default().to_owned()
}

/// Row 60: the members cannot reach each other, and later they can.
pub async fn members_that_cannot_reach_each_other_found_nothing_alone(stage: &Simulated) {
    begin(stage).await;
    let sites = three(stage);
    stage.fault("peers partitioned", "no worker's pods reach another one's");
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        stage.net().cut(&Place::of(&sites[one]), &Place::of(&sites[other]));
    }
    stage.create(&Wanted::named("a")).await;
    stage.sleep(Duration::from_mins(3)).await;
    assert_eq!(stage.phase("a").await, "Creating");
    for member in 0..3 {
        assert_eq!(state(stage, "a", member).await, "NotReady");
    }
    let before = standing(stage, "a").await;
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        stage.net().heal(&Place::of(&sites[one]), &Place::of(&sites[other]));
    }
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}
