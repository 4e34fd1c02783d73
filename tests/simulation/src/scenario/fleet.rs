//! Many workers at once.

use std::time::Duration;

use super::tools::{begin, observed, resize, standing, three, until_ready, volumes_untouched, within};
use crate::{
    link::Way,
    stage::{
        Simulated, Stage,
        people::{People, Wanted},
    },
};

/// How many workers come besides the three, and how many of them flap. Each has a Secret of its own in the master, and
/// check P2 takes more than 200 of the same kind of request within moments for a storm.
const CROWD: u8 = 150;
const FLAPPING: usize = 15;
/// How often they go and come back, and how long each takes.
const TIMES: u32 = 6;
const HALF: Duration = Duration::from_secs(15);

/// Row 15.
pub async fn a_hundred_and_fifty_workers_of_which_fifteen_come_and_go_delay_nobody(stage: &Simulated) {
    begin(stage).await;
    let [w1, _, w3] = three(stage);
    stage.run(&Wanted::named("a").of(2).within(&[&w1, &w3])).await;
    let before = standing(stage, "a").await;
    let crowd = stage.crowd(CROWD);
    for site in &crowd {
        stage.register(site).await;
    }
    for site in &crowd {
        until_ready(stage, site).await;
    }
    let requests = stage.tape.figures().requests;
    for time in 0..TIMES {
        for (way, word) in [(Way::Refused, "go away"), (Way::Open, "come back")] {
            stage.fault("worker refused", &format!("{FLAPPING} of {CROWD} workers {word}"));
            crowd[..FLAPPING].iter().for_each(|site| stage.weather.set(site, way));
            resize(stage, "a", &format!("{}m", 200 + 2 * time + u32::from(way == Way::Open))).await;
            within(stage, Duration::from_secs(1), "an edit is seen", async || observed(stage, "a").await).await;
            stage.sleep(HALF).await;
        }
    }
    // At rest each worker costs a probe each ten seconds and four watches each thirty. One that comes back costs its
    // probes meanwhile, and who it is, its version, four lists and four watches.
    let seconds = u64::from(TIMES) * 2 * HALF.as_secs();
    let at_rest = (u64::from(CROWD) + 3) * (seconds / 10 + 4 * seconds.div_ceil(30));
    let returning = FLAPPING as u64 * u64::from(TIMES) * 40;
    let sent = stage.tape.figures().requests - requests;
    assert!(sent < at_rest + returning + 600, "{sent} requests, where {at_rest} and {returning} were enough");
    for site in &crowd {
        until_ready(stage, site).await;
    }
    volumes_untouched(stage, "a", &before).await;
    stage.until_phase("a", "Running").await;
}
