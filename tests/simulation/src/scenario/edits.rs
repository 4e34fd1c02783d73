//! Edits: wrong ones, and many.

use serde_json::json;

use super::tools::{begin, observed, resize, respec, says, standing, until_told, untouched};
use crate::stage::{
    Stage,
    people::{People, Wanted},
};

/// Row 58.
pub async fn a_manifest_that_was_spoilt_and_repaired_heals_without_hands(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let good = stage.resource("a").await["spec"]["componentSpecs"][0].clone();
    for (field, bad, kind, reason) in [
        ("componentDef", json!("mysql-8.0"), "Accepted", ""),
        ("serviceVersion", json!("99.0.0"), "Accepted", ""),
        ("replicas", json!(0), "Accepted", "NoMembers"),
        ("volumeClaimTemplates", json!([]), "Accepted", "NoDataVolume"),
        ("replicas", json!(5), "UpToDate", "ChangeNotCarriedOut"),
        ("schedulingPolicy", json!({ "nodeSelector": { "disk": "made-of-gold" } }), "UpToDate", "ChangeNotCarriedOut"),
        ("resources", json!({ "requests": { "memory": "900Ti" } }), "UpToDate", "ChangeNotCarriedOut"),
    ] {
        respec(stage, "a", |component| component[field] = bad.clone()).await;
        let told = async || {
            let (status, why, _) = stage.condition("a", kind).await;
            status == "False" && (reason.is_empty() || why == reason)
        };
        stage.until(&format!("{field} = {bad} is told"), told).await;
        untouched(stage, "a", &before).await;
        respec(stage, "a", |component| *component = good.clone()).await;
        let well = async || {
            stage.condition("a", "Accepted").await.0 == "True"
                && stage.condition("a", "UpToDate").await.0.is_empty()
                && stage.condition("a", "Ready").await.0 == "True"
        };
        stage.until(&format!("{field} is repaired"), well).await;
    }
    assert_eq!(stage.phase("a").await, "Running");
    untouched(stage, "a", &before).await;
}

/// Row 67.
pub async fn twenty_edits_in_ten_seconds_come_to_the_last_one(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    for number in 0..20 {
        if number % 2 == 0 {
            resize(stage, "a", &format!("{}m", 100 + number * 10)).await;
        } else {
            respec(stage, "a", |component| component["replicas"] = json!(3 + number % 4)).await;
        }
        stage.sleep(std::time::Duration::from_millis(500)).await;
    }
    says(&until_told(stage, "a", "UpToDate", "False", "ChangeNotCarriedOut").await, "members");
    respec(stage, "a", |component| component["replicas"] = json!(3)).await;
    resize(stage, "a", "100m").await;
    let settled = async || stage.condition("a", "UpToDate").await.0.is_empty() && observed(stage, "a").await;
    stage.until("the last manifest is the one that counts", settled).await;
    untouched(stage, "a", &before).await;
    assert_eq!(stage.phase("a").await, "Running");
}
