//! Edits: wrong ones, many, and such as change the members of what runs.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::tools::{
    A_WHILE, begin, members, nothing_is_left, pod, remove, resize, respec, says, standing, three, uid_of, until_of,
    until_told, until_up_to_date, untouched, volumes_untouched,
};
use crate::{
    stage::{
        Stage,
        people::{People, Wanted},
    },
    tape::Site,
    world::Goods,
};

/// Row 58.
pub async fn a_manifest_that_was_spoilt_and_repaired_heals_without_hands(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let good = stage.resource("a").await["spec"]["componentSpecs"][0].clone();
    for (field, bad, reason) in [
        ("componentDef", json!("mysql-8.0"), ""),
        ("serviceVersion", json!("99.0.0"), ""),
        ("replicas", json!(0), "NoMembers"),
        ("volumeClaimTemplates", json!([]), "NoDataVolume"),
    ] {
        respec(stage, "a", |component| component[field] = bad.clone()).await;
        let told = async || {
            let (status, why, _) = stage.condition("a", "Accepted").await;
            status == "False" && (reason.is_empty() || why == reason)
        };
        stage.until(&format!("{field} = {bad} is told"), told).await;
        untouched(stage, "a", &before).await;
        respec(stage, "a", |component| *component = good.clone()).await;
        until_up_to_date(stage, "a").await;
    }
    untouched(stage, "a", &before).await;
}

/// Row 58: what can never start.
pub async fn a_change_that_can_never_start_stops_after_one_member_and_its_revert_heals(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let good = stage.resource("a").await["spec"]["componentSpecs"][0].clone();
    for (field, bad) in [
        ("schedulingPolicy", json!({ "nodeSelector": { "disk": "made-of-gold" } })),
        ("resources", json!({ "requests": { "memory": "900Ti" } })),
    ] {
        let pods = standing(stage, "a").await;
        respec(stage, "a", |component| component[field] = bad.clone()).await;
        until_told(stage, "a", "PodsStart", "False", "Unschedulable").await;
        stage.sleep(A_WHILE).await;
        let (status, reason, message) = stage.condition("a", "UpToDate").await;
        assert_eq!((status.as_str(), reason.as_str()), ("False", "RollingChange"));
        says(&message, "serves");
        assert_eq!(stage.phase("a").await, "Updating");
        let now = standing(stage, "a").await;
        let same = pods.iter().filter(|(thing, uid)| now.get(*thing) == Some(uid)).count();
        assert_eq!(same, 5, "one pod was made anew, and everything else is as it was: {now:?}");
        respec(stage, "a", |component| *component = good.clone()).await;
        until_up_to_date(stage, "a").await;
    }
    volumes_untouched(stage, "a", &before).await;
}

/// Row 67.
pub async fn twenty_edits_in_ten_seconds_come_to_the_last_one(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    for number in 0..20 {
        if number % 2 == 0 {
            resize(stage, "a", &format!("{}m", 100 + number * 10)).await;
        } else {
            respec(stage, "a", |component| component["replicas"] = json!(3 + number % 4)).await;
        }
        stage.sleep(Duration::from_millis(500)).await;
    }
    respec(stage, "a", |component| component["replicas"] = json!(3)).await;
    resize(stage, "a", "100m").await;
    until_of(stage, "a", 3).await;
}

/// Row 62: somebody else is down when a change is to be carried out.
pub async fn a_rolling_change_waits_for_whoever_is_down_by_himself(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [w1, w2, w3] = three(stage);
    take_down(stage, &w3).await;
    let serving =
        async || [uid_of::<Pod>(stage, &w1, &pod("a", 0)).await, uid_of::<Pod>(stage, &w2, &pod("a", 1)).await];
    let before = serving().await;
    resize(stage, "a", "200m").await;
    says(&until_told(stage, "a", "UpToDate", "False", "RollingChange").await, "until a-etcd-2 serves");
    stage.stays("nobody who serves is taken down beside it", A_WHILE, async || serving().await == before).await;
    stage.world(&w3).provide(Goods::Scheduling);
    until_up_to_date(stage, "a").await;
}

/// Row 63: somebody is down when others are to join.
pub async fn nobody_gets_a_vote_while_that_could_cost_the_majority(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, _, w3] = three(stage);
    take_down(stage, &w3).await;
    respec(stage, "a", |component| component["replicas"] = json!(5)).await;
    until_told(stage, "a", "UpToDate", "False", "ScalingOut").await;
    stage.stays("three vote, and no more", A_WHILE, async || members(stage, "a").await.1 == 3).await;
    stage.world(&w3).provide(Goods::Scheduling);
    until_of(stage, "a", 5).await;
}

/// The member in this worker, the third, ends, and finds no node.
async fn take_down(stage: &impl Stage, site: &Site) {
    stage.fault("unschedulable", &format!("{site} schedules nothing"));
    stage.world(site).withhold(Goods::Scheduling);
    remove::<Pod>(stage, site, &pod("a", 2)).await;
    stage.until_phase("a", "Abnormal").await;
}

/// Row 61: a database grows, shrinks and grows again, over all workers.
pub async fn a_database_grows_and_shrinks_as_its_manifest_says(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    for replicas in [5, 3, 1, 3] {
        respec(stage, "a", |component| component["replicas"] = json!(replicas)).await;
        until_of(stage, "a", replicas).await;
    }
    stage.delete("a").await;
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
}

/// A change of resources, and one of the version, come to every member, one at a time.
pub async fn a_change_comes_to_every_member_and_no_volume_is_touched(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    resize(stage, "a", "200m").await;
    until_up_to_date(stage, "a").await;
    let resized = standing(stage, "a").await;
    respec(stage, "a", |component| component["serviceVersion"] = json!("3.6.16")).await;
    until_up_to_date(stage, "a").await;
    let upgraded = standing(stage, "a").await;
    for (earlier, later) in [(&before, &resized), (&resized, &upgraded)] {
        let same = earlier.iter().filter(|(thing, uid)| later.get(*thing) == Some(uid)).count();
        assert_eq!(same, 3, "three volumes stay and three pods are others: {later:?}");
    }
    volumes_untouched(stage, "a", &before).await;
    // There is no way down: that is said, and nothing is done.
    respec(stage, "a", |component| component["serviceVersion"] = json!("3.5.35")).await;
    says(&until_told(stage, "a", "UpToDate", "False", "UpgradeRefused").await, "restore a snapshot");
    untouched(stage, "a", &upgraded).await;
}
