//! Registrations that are in use, and workers that are let go of: kept, told, recorded, cleaned up, and never guessed.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};

use super::tools::{
    A_WHILE, annotate, annotate_worker, ask_to_unregister, begin, by_force, change, debts, everything, let_go,
    nothing_is_left, pod, register_with, remove, says, standing, things, three, uid, unregister, until_ready,
    until_state, until_told, until_unregistered, until_worker, untouched, worker_identity,
};
use crate::{
    link::{How, Shot, Way, Which},
    lives::Replica,
    stage::{
        Simulated, Stage,
        people::{People, Wanted},
    },
    tape::Site,
};

/// A database runs in three workers, of which the second cannot be seen any more, and its deletion waits for that one.
async fn held(stage: &impl Stage, name: &str) -> Site {
    let [_, w2, _] = three(stage);
    stage.run(&Wanted::named(name)).await;
    stage.way(&w2, Way::BlackHole).await;
    until_state(stage, name, 1, "Unknown").await;
    stage.delete(name).await;
    let others_are_done = async || {
        let (status, reason, _) = stage.condition(name, "Deletable").await;
        let left = everything(stage, name).await;
        status == "False" && reason == "ObjectsLeft" && left.iter().all(|thing| thing.starts_with(&format!("{w2}: ")))
    };
    stage.until("only what is in the dead worker is left", others_are_done).await;
    w2
}

async fn until_paid(stage: &impl Stage, worker: &str, name: &str) {
    let paid = async || {
        debts(stage, worker).await.is_empty() && stage.worker_condition(worker, "DebtsPaid").await.0.is_empty()
    };
    stage.until("the debt is paid", paid).await;
    nothing_is_left(stage, name).await;
}

/// Row 19.
pub async fn a_registration_in_use_names_its_databases_and_goes_when_they_are_gone(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let [_, w2, _] = three(stage);
    ask_to_unregister(stage, &w2).await;
    let message = until_worker(stage, &w2, "Deletable", "False", "InUse").await;
    says(&message, "Cluster default/a: a-etcd-1");
    stage.stays("the database runs on", A_WHILE, async || stage.phase("a").await == "Running").await;
    untouched(stage, "a", &before).await;
    // A process that has just begun knows nobody who uses it.
    stage.crash(Replica(0)).await;
    stage.sleep(A_WHILE).await;
    assert_eq!(stage.worker_condition(&w2, "Deletable").await.1, "InUse");
    // It is served on, but nothing new goes there.
    remove::<Pod>(stage, &w2, &pod("a", 1)).await;
    stage.until("its member comes back", async || standing(stage, "a").await.len() == before.len()).await;
    stage.until_phase("a", "Running").await;
    stage.run(&Wanted::named("b").of(2)).await;
    assert!(things(stage, &w2, "b").await.is_empty());
    stage.create(&Wanted::named("c").of(1).within(&[&w2])).await;
    says(&until_told(stage, "c", "Placed", "False", "WorkerBeingDeleted").await, &w2);
    stage.delete("a").await;
    stage.until_gone("a").await;
    until_unregistered(stage, &w2).await;
    // Registered anew, it is as good as any.
    stage.register(&w2).await;
    stage.until_phase("c", "Running").await;
}

/// Row 19.
pub async fn a_registration_that_leads_nowhere_can_be_deleted_at_once(stage: &impl Stage) {
    begin(stage).await;
    register_with(stage, "remote", "<Your K8s credential>").await;
    until_worker(stage, "remote", "Ready", "False", "InvalidKubeconfig").await;
    unregister(stage, "remote").await;
    // One that was used, and is not any more, as well.
    let [_, w2, _] = three(stage);
    stage.run(&Wanted::named("a")).await;
    stage.delete("a").await;
    stage.until_gone("a").await;
    unregister(stage, &w2).await;
}

/// Row 34.
pub async fn a_deletion_held_by_a_dead_worker_is_released_and_cleaned_up_later(stage: &impl Stage) {
    begin(stage).await;
    let w2 = held(stage, "a").await;
    let left = things(stage, &w2, "a").await;
    assert!(!left.is_empty());
    let message = stage.condition("a", "Deletable").await.2;
    says(&message, "a-etcd-1 with volume claim data-a-etcd-1");
    says(&message, &format!("atoll release a -n default --worker {w2}"));
    // What names another resource says nothing.
    annotate(stage, "a", "atoll.dev/release-worker", format!("another-uid/{w2}")).await;
    stage.stays("the resource stays", A_WHILE, async || stage.database("a").await.is_some()).await;
    let_go(stage, "a", &w2).await;
    stage.until_gone("a").await;
    says(&until_worker(stage, &w2, "DebtsPaid", "False", "WorkerUnseen").await, "Cluster default/a");
    assert_eq!(debts(stage, &w2).await, ["a"]);
    ask_to_unregister(stage, &w2).await;
    until_worker(stage, &w2, "Deletable", "False", "InDebt").await;
    stage.crash(Replica(0)).await;
    stage.sleep(A_WHILE).await;
    assert_eq!(things(stage, &w2, "a").await, left, "nobody has seen it since");
    stage.way(&w2, Way::Open).await;
    until_unregistered(stage, &w2).await;
    nothing_is_left(stage, "a").await;
}

/// Row 19: whoever has read nothing knows nobody who uses a worker, and a dead worker shows nothing of anybody.
pub async fn a_process_that_has_not_read_all_databases_lets_no_registration_go(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    stage.way(&w2, Way::BlackHole).await;
    until_state(stage, "a", 1, "Unknown").await;
    ask_to_unregister(stage, &w2).await;
    until_worker(stage, &w2, "Deletable", "False", "InUse").await;
    for skip in 0..8 {
        stage.crash(Replica(0)).await;
        stage.fault("delay", "the master's answer to one of the first lists comes late");
        stage.weather.shoot(&stage.master(), Shot { which: Which::List, skip, times: 1, how: How::Delay(8_000) });
        stage.sleep(A_WHILE).await;
        stage.weather.relieve(&stage.master());
        assert_eq!(stage.worker_condition(&w2, "Deletable").await.1, "InUse", "after list {skip} came late");
    }
    stage.way(&w2, Way::Open).await;
    stage.delete("a").await;
    stage.until_gone("a").await;
    until_unregistered(stage, &w2).await;
}

/// Row 34.
pub async fn a_debt_stands_while_somebody_elses_finalizer_holds_what_is_owed(stage: &impl Stage) {
    const PEER: &str = "a-etcd-peer-1";
    begin(stage).await;
    let w2 = held(stage, "a").await;
    let_go(stage, "a", &w2).await;
    stage.until_gone("a").await;
    let hold = |finalizers: serde_json::Value| serde_json::json!({ "metadata": { "finalizers": finalizers } });
    change::<Service>(stage, &w2, PEER, hold(serde_json::json!(["example.com/not-yet"]))).await;
    stage.way(&w2, Way::Open).await;
    says(&until_worker(stage, &w2, "DebtsPaid", "False", "ObjectsLeft").await, PEER);
    let all_else_is_gone = async || things(stage, &w2, "a").await.len() == 1;
    stage.until("all else is gone", all_else_is_gone).await;
    let stands = async || debts(stage, &w2).await == ["a"];
    stage.stays("the debt stands", Duration::from_mins(1), stands).await;
    change::<Service>(stage, &w2, PEER, hold(serde_json::Value::Null)).await;
    until_paid(stage, &w2, "a").await;
}

/// Row 34.
pub async fn a_new_database_of_the_name_is_not_touched_for_what_the_former_one_owes(stage: &impl Stage) {
    begin(stage).await;
    let [w1, _, w3] = three(stage);
    let w2 = held(stage, "a").await;
    let former = uid(stage, "a").await;
    let_go(stage, "a", &w2).await;
    stage.until_gone("a").await;
    stage.run(&Wanted::named("a").within(&[&w1, &w3, &w1])).await;
    assert_ne!(uid(stage, "a").await, former);
    let mut before = standing(stage, "a").await;
    before.retain(|thing, _| !thing.starts_with(&format!("{w2}: ")));
    stage.way(&w2, Way::Open).await;
    let paid = async || debts(stage, &w2).await.is_empty();
    stage.until("the debt is paid", paid).await;
    assert!(things(stage, &w2, "a").await.is_empty(), "what the former one left is gone");
    stage.stays("the new one runs on", A_WHILE, async || stage.phase("a").await == "Running").await;
    untouched(stage, "a", &before).await;
}

/// Row 20.
pub async fn what_nobody_recorded_is_reported_and_never_deleted(stage: &impl Stage) {
    begin(stage).await;
    let w2 = held(stage, "a").await;
    let former = uid(stage, "a").await;
    // Somebody has no patience, and takes the finalizer off: nobody owes anything.
    stage.edit("a", serde_json::json!({ "metadata": { "finalizers": null } })).await;
    stage.until_gone("a").await;
    let left = things(stage, &w2, "a").await;
    stage.way(&w2, Way::Open).await;
    let message = until_worker(stage, &w2, "OrphansFound", "True", "ObjectsLeft").await;
    says(&message, "Cluster default/a");
    says(&message, &former);
    says(&message, "atoll.dev/adopt");
    stage.crash(Replica(0)).await;
    stage.sleep(Duration::from_mins(1)).await;
    assert_eq!(things(stage, &w2, "a").await, left, "nothing of it is touched");
    assert_eq!(stage.worker_condition(&w2, "OrphansFound").await.0, "True");
    // A person throws it away, and it is not told any more.
    by_force(stage, &w2, &pod("a", 1)).await;
    for thing in left.keys() {
        match thing.split_once(' ') {
            Some(("claim", name)) => remove::<PersistentVolumeClaim>(stage, &w2, name).await,
            Some(("service", name)) => remove::<Service>(stage, &w2, name).await,
            _ => {}
        }
    }
    let silent = async || stage.worker_condition(&w2, "OrphansFound").await.0.is_empty();
    stage.until("nothing is told any more", silent).await;
}

/// Row 21.
pub async fn debts_in_a_cluster_that_was_rebuilt_are_struck_when_a_person_accepts_it(stage: &impl Stage) {
    begin(stage).await;
    let w2 = held(stage, "a").await;
    let_go(stage, "a", &w2).await;
    stage.until_gone("a").await;
    stage.rebuild(&w2).await;
    stage.way(&w2, Way::Open).await;
    let message = until_worker(stage, &w2, "Ready", "False", "IdentityChanged").await;
    stage.stays("the debt stands", A_WHILE, async || debts(stage, &w2).await == ["a"]).await;
    let found = message.split("accept-identity=").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default();
    annotate_worker(stage, &w2, "atoll.dev/accept-identity", found).await;
    until_ready(stage, &w2).await;
    stage.until("the new identity is pinned", async || worker_identity(stage, &w2).await == found).await;
    stage.until("the debt is struck", async || debts(stage, &w2).await.is_empty()).await;
    unregister(stage, &w2).await;
}

/// Row 29.
pub async fn a_debt_outlives_every_crash_and_every_answer_that_is_lost(stage: &Simulated) {
    begin(stage).await;
    let master = stage.master();
    for writes in 1..=6 {
        let name = format!("d{writes}");
        let w2 = held(stage, &name).await;
        stage.crash_after(writes).await;
        let_go(stage, &name, &w2).await;
        stage.until_gone(&name).await;
        assert_eq!(debts(stage, &w2).await, [name.as_str()]);
        stage.crash_after(writes).await;
        stage.way(&w2, Way::Open).await;
        until_paid(stage, &w2, &name).await;
        until_ready(stage, &w2).await;
    }
    for skip in 0..4 {
        let name = format!("e{skip}");
        let w2 = held(stage, &name).await;
        stage.fault("lost reply", &format!("{master} and {w2} lose an answer"));
        let lost = Shot { which: Which::Step, skip, times: 1, how: How::LoseReply };
        stage.weather.shoot(&master, lost.clone());
        let_go(stage, &name, &w2).await;
        stage.until_gone(&name).await;
        stage.weather.shoot(&w2, lost.clone());
        stage.weather.shoot(&master, lost.clone());
        stage.way(&w2, Way::Open).await;
        until_paid(stage, &w2, &name).await;
        until_ready(stage, &w2).await;
    }
}
