//! Connections to workers: refused, cut, half-open, slow, lying.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::api::PostParams;
use serde_json::json;

use super::tools::{
    api, begin, done, nothing_is_left, observed, pod, remove, resize, says, standing, state, three, uid_of,
    until_ready, until_state, until_told, until_worker, untouched, why, within,
};
use crate::{
    link::{How, Power, Shot, Watching, Way, Which},
    lives::Replica,
    stage::{
        Simulated, Stage,
        people::{People, Wanted},
    },
};

/// What a worker that cannot be reached means for the others: nothing. And it comes back by itself.
async fn others_go_on(stage: &impl Stage) {
    let [w1, w2, w3] = three(stage);
    until_state(stage, "a", 1, "Unknown").await;
    assert_eq!(stage.phase("a").await, "Abnormal");
    says(&why(stage, "a", 1).await, &w2);
    stage.create(&Wanted::named("b").of(2).within(&[&w1, &w3])).await;
    within(stage, Duration::from_mins(1), "a database elsewhere runs", async || stage.phase("b").await == "Running")
        .await;
    stage.create(&Wanted::named("c").of(1).within(&[&w2])).await;
    says(&until_told(stage, "c", "Placed", "False", "WorkerUnseen").await, &w2);
    until_worker(stage, &w2, "Ready", "False", "Unreachable").await;
}

/// Row 1.
pub async fn a_worker_whose_api_server_is_dead_stops_nobody_else(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let [_, w2, _] = three(stage);
    stage.power(&w2, Power::Off).await;
    others_go_on(stage).await;
    stage.power(&w2, Power::On).await;
    until_ready(stage, &w2).await;
    stage.until_phase("a", "Running").await;
    stage.until_phase("c", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Row 2.
pub async fn a_worker_whose_packets_vanish_stops_nobody_else(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let [_, w2, _] = three(stage);
    stage.way(&w2, Way::BlackHole).await;
    let unknown = async || state(stage, "a", 1).await == "Unknown";
    within(stage, Duration::from_secs(25), "its member is told to be unknown", unknown).await;
    others_go_on(stage).await;
    stage.way(&w2, Way::Open).await;
    until_ready(stage, &w2).await;
    stage.until_phase("a", "Running").await;
    stage.until_phase("c", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Row 3.
pub async fn a_watch_that_falls_silent_is_not_believed_for_long(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    stage.fault("watch stalled", &format!("{w2}'s watches stand and say nothing"));
    stage.weather.watching(&w2, Watching::Stall);
    let before = standing(stage, "a").await;
    remove::<Pod>(stage, &w2, &pod("a", 1)).await;
    let back = async || standing(stage, "a").await.len() == before.len();
    within(stage, Duration::from_secs(90), "the pod that nobody told of is made again", back).await;
    stage.weather.watching(&w2, Watching::Flow);
    stage.until_phase("a", "Running").await;
}

/// Row 4.
pub async fn a_request_that_is_never_answered_holds_up_nothing_for_ever(stage: &Simulated) {
    begin(stage).await;
    for (skip, how) in [(3, How::Drop), (6, How::LoseReply), (9, How::Drop), (12, How::LoseReply), (14, How::Drop)] {
        stage.weather.shoot_anywhere(Shot { which: Which::Step, skip, times: 1, how });
    }
    stage.fault("reply lost", "some writes, or their answers, vanish");
    stage.run(&Wanted::named("a")).await;
    assert_eq!(standing(stage, "a").await.len(), 6, "three pods on three volumes");
    stage.weather.shoot_anywhere(Shot { which: Which::Delete, skip: 1, times: 3, how: How::LoseReply });
    stage.delete("a").await;
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
}

/// Row 5.
pub async fn a_slow_worker_takes_only_its_own_time(stage: &impl Stage) {
    begin(stage).await;
    let [w1, w2, w3] = three(stage);
    stage.way(&w2, Way::Slow(Duration::from_secs(2))).await;
    stage.create(&Wanted::named("a")).await;
    stage.create(&Wanted::named("b").of(2).within(&[&w1, &w3])).await;
    within(stage, Duration::from_mins(1), "a database elsewhere runs", async || stage.phase("b").await == "Running")
        .await;
    stage.until_phase("a", "Running").await;
    // Slower than a probe may be: told like a worker that does not answer.
    stage.way(&w2, Way::Slow(Duration::from_secs(8))).await;
    until_state(stage, "a", 1, "Unknown").await;
    stage.create(&Wanted::named("c").of(2).within(&[&w1, &w3])).await;
    within(stage, Duration::from_mins(1), "another one runs", async || stage.phase("c").await == "Running").await;
    stage.way(&w2, Way::Open).await;
    stage.until_phase("a", "Running").await;
}

/// Row 6.
pub async fn a_worker_that_asks_to_come_again_in_an_hour_is_asked_sooner(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [w1, w2, _] = three(stage);
    stage.fault("error status", &format!("{w2} answers 429 with Retry-After 3600"));
    stage.weather.shoot(&w2, Shot { which: Which::Any, skip: 0, times: 15, how: How::TooMany });
    remove::<Pod>(stage, &w2, &pod("a", 1)).await;
    remove::<Pod>(stage, &w1, &pod("a", 0)).await;
    let back = async || standing(stage, "a").await.contains_key(&format!("{w1}: pod {}", pod("a", 0)));
    within(stage, Duration::from_secs(30), "a pod elsewhere is made again", back).await;
    stage.until_phase("a", "Running").await;
    until_ready(stage, &w2).await;
}

/// Row 7.
pub async fn errors_and_lost_answers_make_nothing_twice(stage: &Simulated) {
    begin(stage).await;
    stage.fault("error status", "some creates fail, and some answers get lost");
    for (skip, times, how) in [
        (0, 2, How::Status(500)),
        (3, 1, How::BreakReply),
        (4, 2, How::Status(503)),
        (7, 2, How::LoseReply),
        (10, 1, How::Status(504)),
        (12, 2, How::BreakReply),
    ] {
        stage.weather.shoot_anywhere(Shot { which: Which::Step, skip, times, how });
    }
    stage.run(&Wanted::named("a")).await;
    assert_eq!(standing(stage, "a").await.len(), 6, "three pods on three volumes");
}

/// Row 8.
pub async fn history_that_is_forgotten_is_listed_again_and_nothing_is_missed(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    let before = standing(stage, "a").await;
    stage.way(&w2, Way::Refused).await;
    until_state(stage, "a", 1, "Unknown").await;
    // What happens now is never told by a watch: neither that these went, nor that they were there.
    remove::<Pod>(stage, &w2, &pod("a", 1)).await;
    remove::<Service>(stage, &w2, "a-etcd-headless").await;
    stage.compact(&w2).await;
    stage.compact(&stage.master()).await;
    stage.way(&w2, Way::Open).await;
    stage.until_phase("a", "Running").await;
    let after = standing(stage, "a").await;
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    let back = async || uid_of::<Service>(stage, &w2, "a-etcd-headless").await.is_some();
    stage.until("the service is made again", back).await;
}

/// Row 8. A watch comes to its own end, and the version at which it would go on is forgotten by then.
pub async fn a_watch_that_cannot_go_on_begins_with_a_list(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    let before = uid_of::<Pod>(stage, &w2, &pod("a", 1)).await;
    // Longer than any watch lasts.
    for number in 0..100 {
        let noise =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("noise-{number}") } });
        let noise = serde_json::from_value(noise).expect("a ConfigMap");
        let all = api::<ConfigMap>(stage, &w2);
        done(stage, "a ConfigMap is made", async || all.create(&PostParams::default(), &noise).await).await;
        stage.compact(&w2).await;
        stage.sleep(Duration::from_millis(400)).await;
    }
    remove::<Pod>(stage, &w2, &pod("a", 1)).await;
    let again = async || {
        let now = uid_of::<Pod>(stage, &w2, &pod("a", 1)).await;
        now.is_some() && now != before
    };
    within(stage, Duration::from_mins(1), "the pod is made again", again).await;
    stage.until_phase("a", "Running").await;
}

/// Row 10.
pub async fn garbage_from_one_worker_is_its_own_trouble(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let [w1, w2, w3] = three(stage);
    stage.fault("reply corrupt", &format!("{w2} answers garbage"));
    stage.server(&w2).close_watches();
    stage.weather.shoot(&w2, Shot { which: Which::Any, skip: 0, times: 20, how: How::Corrupt });
    stage.create(&Wanted::named("b").of(2).within(&[&w1, &w3])).await;
    within(stage, Duration::from_mins(1), "a database elsewhere runs", async || stage.phase("b").await == "Running")
        .await;
    stage.until_phase("a", "Running").await;
    until_ready(stage, &w2).await;
    untouched(stage, "a", &before).await;
}

/// Row 11.
pub async fn a_worker_at_the_edge_of_its_deadline_does_not_flap(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let [_, w2, _] = three(stage);
    for _ in 0..10 {
        stage.way(&w2, Way::Slow(Duration::from_millis(3_100))).await;
        stage
            .stays("the worker is told to be ready", Duration::from_secs(6), async || {
                stage.worker_condition(&w2, "Ready").await.0 == "True"
            })
            .await;
        stage.way(&w2, Way::Slow(Duration::from_millis(1_500))).await;
        stage
            .stays("the worker is told to be ready", Duration::from_secs(24), async || {
                stage.worker_condition(&w2, "Ready").await.0 == "True"
            })
            .await;
    }
    stage.way(&w2, Way::Open).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Row 12.
pub async fn a_worker_that_hears_and_is_not_heard_does_nothing_twice(stage: &impl Stage) {
    begin(stage).await;
    let [_, w2, _] = three(stage);
    stage.create(&Wanted::named("a")).await;
    stage.way(&w2, Way::OneWay).await;
    stage.sleep(Duration::from_secs(30)).await;
    stage.way(&w2, Way::Open).await;
    stage.until_phase("a", "Running").await;
    assert_eq!(standing(stage, "a").await.len(), 6, "three pods on three volumes");
    stage.delete("a").await;
    stage.sleep(Duration::from_secs(9)).await;
    stage.way(&w2, Way::OneWay).await;
    stage.sleep(Duration::from_secs(30)).await;
    assert!(stage.database("a").await.is_some(), "what is in {w2} is not known to be gone");
    stage.way(&w2, Way::Open).await;
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
}

/// Row 13.
pub async fn twenty_databases_answer_within_a_second_beside_a_dead_worker(stage: &Simulated) {
    begin(stage).await;
    let [w1, w2, w3] = three(stage);
    let names: Vec<_> = (0..20).map(|number| format!("d{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let home = if number % 2 == 0 { &w1 } else { &w3 };
        stage.create(&Wanted::named(name).of(1).within(&[home])).await;
    }
    for name in &names {
        stage.until_phase(name, "Running").await;
    }
    stage.run(&Wanted::named("lost").of(1).within(&[&w2])).await;
    stage.way(&w2, Way::BlackHole).await;
    for name in &names {
        resize(stage, name, "200m").await;
        within(stage, Duration::from_secs(1), "the edit is seen", async || observed(stage, name).await).await;
        stage.sleep(Duration::from_millis(700)).await;
    }
    stage.way(&w2, Way::Open).await;
    stage.until_phase("lost", "Running").await;
}

/// Row 14.
pub async fn a_start_waits_for_no_worker(stage: &impl Stage) {
    let [w1, w2, w3] = three(stage);
    // The clusters have been there for a while.
    stage.sleep(Duration::from_secs(5)).await;
    stage.power(&w2, Power::Off).await;
    for site in stage.workers() {
        stage.register(&site).await;
    }
    stage.start(Replica(0)).await;
    for site in [&w1, &w3] {
        let ready = async || stage.worker_condition(site, "Ready").await.0 == "True";
        within(stage, Duration::from_secs(20), "the others are ready", ready).await;
    }
    stage.create(&Wanted::named("b").of(2).within(&[&w1, &w3])).await;
    within(stage, Duration::from_mins(1), "a database elsewhere runs", async || stage.phase("b").await == "Running")
        .await;
    until_worker(stage, &w2, "Ready", "False", "Unreachable").await;
    stage.power(&w2, Power::On).await;
    until_ready(stage, &w2).await;
    stage.run(&Wanted::named("a")).await;
}
