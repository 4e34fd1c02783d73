//! The controller itself: killed anywhere, doubled, cut off, outvoted, with a wrong clock, fed with poison.

use std::{collections::BTreeMap, time::Duration};

use atoll::dialect::kubeblocks::Cluster;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::json;

use super::tools::{
    annotate, api, begin, done, everything, loosen_schema, nothing_is_left, observed, pod, remove, resize, says,
    standing, three, uid, until_told, until_up_to_date, untouched, volumes_untouched, within,
};
use crate::{
    entropy,
    link::{Watching, Way},
    lives::Replica,
    stage::{
        Simulated, Stage,
        people::{DATABASES, People, Wanted},
    },
};

/// Row 29.
pub async fn a_crash_between_two_writes_leaves_nothing_half_done(stage: &impl Stage) {
    begin(stage).await;
    for writes in [1, 2, 3, 5, 8, 11, 14] {
        let name = format!("d{writes}");
        stage.crash_after(writes).await;
        stage.run(&Wanted::named(&name)).await;
        assert_eq!(standing(stage, &name).await.len(), 6, "three pods on three volumes");
        stage.delete(&name).await;
        stage.crash_after(writes).await;
        stage.until_gone(&name).await;
        nothing_is_left(stage, &name).await;
    }
}

/// Row 30.
pub async fn another_replica_takes_over_and_nothing_is_done_twice(stage: &impl Stage) {
    begin(stage).await;
    stage.start(Replica(1)).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let [w1, ..] = three(stage);
    stage.stop(Replica(0)).await;
    remove::<Pod>(stage, &w1, &pod("a", 0)).await;
    let back = async || standing(stage, "a").await.len() == before.len();
    within(stage, Duration::from_secs(40), "its successor makes the pod again", back).await;
    stage.until_phase("a", "Running").await;
    stage.start(Replica(0)).await;
    stage.stop(Replica(1)).await;
    stage.run(&Wanted::named("b").of(1)).await;
}

/// Row 30, with a leader that is paused in the middle of its work, and does not know for how long.
pub async fn a_leader_that_was_paused_past_its_time_writes_nothing(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    stage.start(Replica(1)).await;
    let [w1, ..] = three(stage);
    for (name, into) in [("b", 200), ("c", 1_000), ("d", 10_300)] {
        // It has begun to make one and to take down another, and waits for an answer: what it does next is a write.
        slow(stage, Way::Slow(Duration::from_millis(400))).await;
        stage.create(&Wanted::named(name)).await;
        stage.delete("a").await;
        stage.sleep(Duration::from_millis(into)).await;
        stage.pause(Replica(0)).await;
        slow(stage, Way::Open).await;
        // Its successor does all of that, and goes on.
        stage.until_phase(name, "Running").await;
        stage.until_gone("a").await;
        stage.run(&Wanted::named("a")).await;
        remove::<Pod>(stage, &w1, &pod(name, 0)).await;
        let back = async || standing(stage, name).await.len() == 6;
        within(stage, Duration::from_mins(1), "the pod is made again", back).await;
        stage.until_phase(name, "Running").await;
        let before = [standing(stage, name).await, standing(stage, "a").await];
        stage.resume(Replica(0)).await;
        stage.sleep(Duration::from_secs(15)).await;
        untouched(stage, name, &before[0]).await;
        untouched(stage, "a", &before[1]).await;
        // It leads again once its successor is gone.
        stage.stop(Replica(1)).await;
        remove::<Pod>(stage, &w1, &pod(name, 0)).await;
        within(stage, Duration::from_mins(1), "the pod is made again", back).await;
        stage.until_phase(name, "Running").await;
        stage.start(Replica(1)).await;
    }
}

async fn slow(stage: &impl Stage, way: Way) {
    for site in stage.workers().into_iter().chain([stage.master()]) {
        stage.way(&site, way).await;
    }
}

/// Row 30, with a leader that does not know that it is none.
pub async fn a_leader_cut_off_from_the_master_writes_nothing_after_its_time(stage: &Simulated) {
    begin(stage).await;
    stage.start(Replica(1)).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let leader = stage.lives.life(Replica(0)).expect("a life");
    let [w1, ..] = three(stage);
    stage.fault("controller isolated", "the leader does not reach the master any more; its requests arrive later");
    stage.weather.set_for(leader, &stage.master(), Way::Asleep);
    // It sees this, and may do something about it for as long as it leads.
    stage.sleep(Duration::from_secs(12)).await;
    remove::<Pod>(stage, &w1, &pod("a", 0)).await;
    let back = async || standing(stage, "a").await.len() == before.len();
    within(stage, Duration::from_secs(40), "its successor makes the pod again", back).await;
    stage.delete("a").await;
    stage.until_gone("a").await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    // What it had sent arrives only now.
    stage.weather.set_for(leader, &stage.master(), Way::Open);
    stage.sleep(Duration::from_secs(30)).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Row 31.
pub async fn a_watch_that_lags_makes_nobody_create_twice(stage: &Simulated) {
    begin(stage).await;
    for site in stage.workers() {
        stage.fault("watch lags", &format!("{site}'s watches are 8 s late"));
        stage.weather.watching(&site, Watching::Lag(Duration::from_secs(8)));
    }
    stage.create(&Wanted::named("a")).await;
    let mut lives: BTreeMap<String, String> = BTreeMap::new();
    while stage.phase("a").await != "Running" {
        assert!(entropy::elapsed() < Duration::from_mins(8), "it never runs");
        for (thing, uid) in standing(stage, "a").await {
            let first = lives.entry(thing.clone()).or_insert_with(|| uid.clone()).clone();
            assert_eq!(first, uid, "{thing} was made twice");
        }
        stage.sleep(Duration::from_millis(250)).await;
    }
    // A pod that is deleted and made again is made once.
    let [w1, ..] = three(stage);
    remove::<Pod>(stage, &w1, &pod("a", 0)).await;
    let back = async || standing(stage, "a").await.len() == 6;
    stage.until("the pod is made again", back).await;
    let second = standing(stage, "a").await;
    stage.sleep(Duration::from_secs(30)).await;
    untouched(stage, "a", &second).await;
    for site in stage.workers() {
        stage.weather.watching(&site, Watching::Flow);
    }
    stage.until_phase("a", "Running").await;
}

/// Row 32.
pub async fn an_old_deletion_that_a_lagging_master_shows_again_deletes_nothing(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    stage.delete("a").await;
    stage.sleep(Duration::from_secs(2)).await;
    let master = stage.master();
    stage.fault("stale cache", "the master's watch cache stands still");
    // From here on the cache shows the first database of this name, on its way out.
    stage.server(&master).freeze_cache();
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
    stage.create(&Wanted::named("a")).await;
    stage.crash(Replica(0)).await;
    stage.until_phase("a", "Running").await;
    let before = standing(stage, "a").await;
    stage.crash(Replica(0)).await;
    stage.sleep(Duration::from_mins(1)).await;
    untouched(stage, "a", &before).await;
    stage.server(&master).thaw_cache();
    stage.sleep(Duration::from_mins(1)).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Row 35.
pub async fn a_rival_writer_of_the_same_resource_holds_up_nothing(stage: &impl Stage) {
    begin(stage).await;
    let rival = async {
        let api = stage.databases();
        for number in 0..600u32 {
            let patch = json!({ "metadata": { "annotations": { "example.com/rival": number.to_string() } } });
            // There may be nothing yet; and nothing may come of it.
            let _ = api.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await;
            stage.sleep(Duration::from_millis(50)).await;
        }
    };
    let owner = async {
        stage.run(&Wanted::named("a")).await;
        stage.delete("a").await;
        stage.until_gone("a").await;
    };
    futures::join!(rival, owner);
    nothing_is_left(stage, "a").await;
}

/// Row 36.
pub async fn manifests_that_cannot_be_served_stop_nobody_else(stage: &impl Stage) {
    begin(stage).await;
    let [w1, ..] = three(stage);
    let poison = [
        ("none", json!({ "replicas": 0 }), "NoMembers"),
        ("many", json!({ "replicas": 100_000 }), "TooManyMembers"),
        ("old", json!({ "componentDef": "etcd-0.0.0-\u{1F480}" }), ""),
        ("blank", json!({ "volumeClaimTemplates": [] }), "NoDataVolume"),
        (
            "block",
            json!({ "volumeClaimTemplates": [{ "name": "data", "spec": { "volumeMode": "Block",
            "resources": { "requests": { "storage": "1Gi" } } } }] }),
            "DataVolumeIsBlock",
        ),
        ("env", json!({ "env": [{ "name": "ETCD_INITIAL_CLUSTER_STATE", "value": "new" }] }), "UnsafeEnvironment"),
        (
            "size",
            json!({ "volumeClaimTemplates": [{ "name": "data", "spec": {
            "resources": { "requests": { "storage": "as much as there is" } } } }] }),
            "",
        ),
    ];
    for (name, fields, _) in &poison {
        let mut wanted = Wanted::named(name).of(1).within(&[&w1]).manifest();
        for (field, value) in fields.as_object().into_iter().flatten() {
            wanted["spec"]["componentSpecs"][0][field] = value.clone();
        }
        stage.create_manifest(&wanted).await;
    }
    stage.run(&Wanted::named("a")).await;
    for (name, _, reason) in poison.iter().filter(|(.., reason)| !reason.is_empty()) {
        until_told(stage, name, "Accepted", "False", reason).await;
        assert!(everything(stage, name).await.is_empty(), "nothing is made of {name}");
    }
    for (name, ..) in &poison {
        stage.delete(name).await;
        stage.until_gone(name).await;
    }
    assert_eq!(stage.phase("a").await, "Running");
}

/// Row 37.
pub async fn a_clock_that_jumps_neither_hurries_nor_holds_up_anything(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    for ahead in [3_600, -3_600, 7_200] {
        stage.fault("clock jump", &format!("the controller's clock is {ahead} s ahead"));
        entropy::set_clock_ahead(ahead);
        stage.sleep(Duration::from_secs(40)).await;
        untouched(stage, "a", &before).await;
        stage.run(&Wanted::named("b").of(1)).await;
        stage.delete("b").await;
        let by = entropy::elapsed() + Duration::from_mins(1);
        stage
            .stays("its neighbours are waited for", Duration::from_secs(8), async || {
                !everything(stage, "b").await.is_empty()
            })
            .await;
        stage.until_gone("b").await;
        assert!(entropy::elapsed() < by, "a deletion waits ten seconds, not an hour");
    }
    entropy::set_clock_ahead(0);
    stage.sleep(Duration::from_secs(30)).await;
    assert_eq!(stage.phase("a").await, "Running");
    untouched(stage, "a", &before).await;
}

/// Row 38.
pub async fn what_a_newer_version_has_written_is_left_alone_and_stops_nobody(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    stage.run(&Wanted::named("b").of(1)).await;
    let before = standing(stage, "a").await;
    loosen_schema(stage).await;
    stage.say("a newer version of Atoll writes into the record of a");
    let master = stage.person(&stage.master());
    let api: Api<DynamicObject> = Api::namespaced_with(master, DATABASES, &ApiResource::erase::<Cluster>(&()));
    let patch = json!({ "status": { "atoll": { "stage": { "phase": "FromTheFuture" } } } });
    let params = PatchParams::default();
    done(stage, "a status is written", async || api.patch_status("a", &params, &Patch::Merge(&patch)).await).await;
    stage.crash(Replica(0)).await;
    stage.run(&Wanted::named("c")).await;
    stage.delete("b").await;
    stage.until_gone("b").await;
    untouched(stage, "a", &before).await;
}

/// Row 41.
pub async fn a_database_runs_on_without_its_master_and_is_looked_after_when_it_returns(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let [_, w2, _] = three(stage);
    let master = stage.master();
    stage.power(&master, crate::link::Power::Off).await;
    stage.sleep(Duration::from_secs(20)).await;
    remove::<Pod>(stage, &w2, &pod("a", 1)).await;
    let without = standing(stage, "a").await;
    stage.sleep(Duration::from_secs(90)).await;
    assert_eq!(standing(stage, "a").await, without, "whoever has no lease writes nothing");
    stage.power(&master, crate::link::Power::On).await;
    let back = async || standing(stage, "a").await.len() == before.len();
    within(stage, Duration::from_mins(1), "the pod is made again", back).await;
    stage.until_phase("a", "Running").await;
    assert!(observed(stage, "a").await);
}

/// Row 32: resource versions go back under a controller that runs on.
pub async fn a_master_restored_under_a_running_controller_is_believed_as_it_is_now(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    stage.run(&Wanted::named("c").of(1)).await;
    let before = standing(stage, "a").await;
    let master = stage.master();
    let backup = stage.back_up(&master).await;
    // Versions that nobody will come to again soon.
    let notes = api::<ConfigMap>(stage, &master);
    for number in 0..400 {
        let data = json!({ "number": number.to_string() });
        let note = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "notes" }, "data": data });
        let params = PatchParams::apply("person");
        done(stage, "a note", async || notes.patch("notes", &params, &Patch::Apply(&note)).await).await;
    }
    resize(stage, "a", "200m").await;
    until_up_to_date(stage, "a").await;
    stage.run(&Wanted::named("b").of(1)).await;
    let of_b = standing(stage, "b").await;
    stage.restore(&master, &backup).await;
    stage.sleep(Duration::from_mins(1)).await;
    untouched(stage, "b", &of_b).await;
    resize(stage, "a", "300m").await;
    within(stage, Duration::from_mins(1), "an edit is seen", async || observed(stage, "a").await).await;
    until_up_to_date(stage, "a").await;
    volumes_untouched(stage, "a", &before).await;
    stage.delete("c").await;
    stage.until_gone("c").await;
    nothing_is_left(stage, "c").await;
}

/// Row 32, in full: the master's etcd comes back from a backup in which nobody knows of the database.
pub async fn a_master_restored_from_before_a_database_founds_nothing_over_it(stage: &impl Stage) {
    begin(stage).await;
    let master = stage.master();
    let backup = stage.back_up(&master).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let old = uid(stage, "a").await;
    stage.restore(&master, &backup).await;
    stage.stop(Replica(0)).await;
    stage.start(Replica(0)).await;
    stage.sleep(Duration::from_secs(30)).await;
    assert!(stage.resource("a").await.is_null());
    untouched(stage, "a", &before).await;
    stage.create(&Wanted::named("a")).await;
    says(&until_told(stage, "a", "RecordFound", "False", "RecordLost").await, &old);
    untouched(stage, "a", &before).await;
    annotate(stage, "a", "atoll.dev/adopt", old).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}
