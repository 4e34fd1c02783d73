//! Volumes, pods and nodes: deleted by hand, replaced, pending, lost.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use kube::api::EvictParams;
use serde_json::{Value, json};

use super::tools::{
    A_WHILE, api, ask_to_go, begin, by_force, claim, done, everything, make, members, nothing_is_left, pod, remove,
    resize, respec, says, standing, state, three, uid_of, until_of, until_state, until_told, until_up_to_date,
    untouched, volumes,
};
use crate::{
    entropy,
    etcd::Outcome,
    link::Way,
    place::Place,
    stage::{
        Simulated, Stage,
        people::{DATABASES, People, Wanted},
    },
    tape::Site,
    world::Goods,
};

/// Row 33.
pub async fn a_volume_made_anew_by_hand_between_two_looks_is_not_taken_for_the_former_one(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    stage.way(&w2, Way::Refused).await;
    until_state(stage, "a", 1, "Unknown").await;
    let claims = api::<PersistentVolumeClaim>(stage, &w2);
    let before = done(stage, "looking", async || claims.get(&claim("a", 1)).await).await;
    ask_to_go::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await;
    remove::<Pod>(stage, &w2, &pod("a", 1)).await;
    let gone = async || uid_of::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await.is_none();
    stage.until("the claim is gone", gone).await;
    // The same name, the same labels, the same annotations, and nothing on it.
    let twin = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": claim("a", 1), "labels": before.metadata.labels, "annotations": before.metadata.annotations },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    make::<PersistentVolumeClaim>(stage, &w2, twin).await;
    let twin = uid_of::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await;
    stage.way(&w2, Way::Open).await;
    // Its member is replaced by one with a name, a volume and an identity of its own.
    let replaced = async || uid_of::<Pod>(stage, &w2, &pod("a", 3)).await.is_some();
    stage.until("the member is replaced", replaced).await;
    until_up_to_date(stage, "a").await;
    let no_pod = async || uid_of::<Pod>(stage, &w2, &pod("a", 1)).await.is_none();
    stage.stays("no pod is started on it", A_WHILE, no_pod).await;
    assert_eq!(uid_of::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await, twin, "it is not deleted either");
    stage.until("the former one is forgotten", async || members(stage, "a").await == (3, 3)).await;
    stage.delete("a").await;
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
}

/// Row 44.
pub async fn a_volume_that_cannot_be_made_is_waited_for_and_never_deleted(stage: &impl Stage) {
    begin(stage).await;
    let [w1, w2, w3] = three(stage);
    stage.fault("volume pending", &format!("{w2} makes no volumes"));
    stage.world(&w2).withhold(Goods::Volumes);
    stage.create(&Wanted::named("a")).await;
    stage.run(&Wanted::named("b").of(2).within(&[&w1, &w3])).await;
    let there = async || uid_of::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await.is_some();
    stage.until("the claim is made", there).await;
    let waiting = uid_of::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await;
    stage.sleep(Duration::from_mins(1)).await;
    says(&until_told(stage, "a", "PodsStart", "False", "Unschedulable").await, &pod("a", 1));
    assert_eq!(uid_of::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await, waiting);
    stage.world(&w2).provide(Goods::Volumes);
    stage.until_phase("a", "Running").await;
    assert_eq!(uid_of::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await, waiting);
}

/// Row 44: a storage class that nobody has.
pub async fn an_unknown_storage_class_is_waited_for_until_the_database_is_deleted(stage: &impl Stage) {
    begin(stage).await;
    let mut wanted = Wanted::named("a").manifest();
    wanted["spec"]["componentSpecs"][0]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = "nowhere".into();
    stage.create_manifest(&wanted).await;
    until_told(stage, "a", "PodsStart", "False", "Unschedulable").await;
    let before = standing(stage, "a").await;
    stage.sleep(Duration::from_mins(1)).await;
    untouched(stage, "a", &before).await;
    stage.delete("a").await;
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
}

/// Row 45.
pub async fn a_member_on_a_lost_node_is_replaced_and_its_volume_is_not_made_anew(stage: &impl Stage) {
    begin(stage).await;
    let mut wanted = Wanted::named("a").manifest();
    wanted["spec"]["componentSpecs"][0]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = "local-path".into();
    stage.create_manifest(&wanted).await;
    stage.until_phase("a", "Running").await;
    let before = volumes(&standing(stage, "a").await);
    let [_, w2, _] = three(stage);
    let node = node_of(stage, &w2, &pod("a", 1)).await;
    stage.fault("node lost", &format!("{node} of {w2} is gone for good"));
    stage.world(&w2).lose_node(&node);
    // What is known of it is that its volume has lost its data: the others remove it, and let in another one.
    let replaced = async || uid_of::<Pod>(stage, &w2, &pod("a", 3)).await.is_some();
    stage.until("the member is replaced", replaced).await;
    until_up_to_date(stage, "a").await;
    // What is left of it waits for a kubelet that will never come.
    by_force(stage, &w2, &pod("a", 1)).await;
    until_of(stage, "a", 3).await;
    let after = volumes(&standing(stage, "a").await);
    let stayed = before.iter().filter(|volume| after.contains(volume)).count();
    assert_eq!((after.len(), stayed), (3, 2), "{after:?}");
    assert!(uid_of::<Pod>(stage, &w2, &pod("a", 3)).await.is_some(), "the new one is where the former one was");
}

/// Row 46: no budget of one cluster knows of the other one; the change that is under way waits for both.
pub async fn members_drained_in_two_clusters_at_once_come_back_and_the_third_is_left_alone(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [w1, w2, w3] = three(stage);
    let before = volumes(&standing(stage, "a").await);
    let third = uid_of::<Pod>(stage, &w3, &pod("a", 2)).await;
    for (site, member) in [(&w1, 0), (&w2, 1)] {
        stage.fault("node drained", &format!("the nodes of {site} take nothing, and {} is evicted", pod("a", member)));
        stage.world(site).withhold(Goods::Scheduling);
    }
    for (site, member) in [(&w1, 0), (&w2, 1)] {
        evict(stage, site, &pod("a", member)).await;
    }
    // A change comes now of all times.
    resize(stage, "a", "250m").await;
    stage.until_phase("a", "Failed").await;
    until_told(stage, "a", "MajorityServes", "False", "MajorityLost").await;
    let left_alone = async || uid_of::<Pod>(stage, &w3, &pod("a", 2)).await == third;
    stage.stays("the third is left alone", Duration::from_mins(1), left_alone).await;
    stage.world(&w1).provide(Goods::Scheduling);
    stage.until_phase("a", "Updating").await;
    stage.stays("the third is left alone while another one is down", A_WHILE, left_alone).await;
    stage.world(&w2).provide(Goods::Scheduling);
    until_up_to_date(stage, "a").await;
    assert_eq!(volumes(&standing(stage, "a").await), before, "on the volumes that they had");
    assert!(!left_alone().await, "the change has come to the third as well");
}

/// Row 65: under the same claim. Nothing in Kubernetes tells; the member does, which has promised what it lacks now.
pub async fn a_volume_put_back_to_an_old_snapshot_costs_its_member_its_identity(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let volume = disk_of(stage, &pod("a", 1));
    let etcds = stage.processes().etcds();
    let old = etcds.copy_volume(&volume);
    for number in 0..20 {
        write(stage, "a", &number.to_string()).await;
    }
    stage.fault("restored from backup", &format!("{volume} is put back to what it held"));
    etcds.put_volume(&volume, old);
    is_replaced(stage, "a", 1).await;
}

/// Row 65: one of two copies that differ is wrong, and nobody can tell which. It is told, and nobody is removed.
pub async fn a_member_that_differs_from_its_peers_is_told_and_nobody_is_removed(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    let before = volumes(&standing(stage, "a").await);
    write(stage, "a", "here before").await;
    let volume = disk_of(stage, &pod("a", 1));
    stage.fault("data spoilt", &format!("{volume} holds other values than were written to it"));
    stage.processes().etcds().corrupt_volume(&volume);
    // It is found when the member starts next.
    remove::<Pod>(stage, &w2, &pod("a", 1)).await;
    let told = async || stage.condition("a", "Ready").await.2.contains("found data inconsistency with peers");
    stage.until("what it says is told", told).await;
    let all_stay =
        async || members(stage, "a").await == (3, 3) && uid_of::<Pod>(stage, &w2, &pod("a", 3)).await.is_none();
    stage.stays("nobody is removed", Duration::from_mins(2), all_stay).await;
    assert_eq!(volumes(&standing(stage, "a").await), before, "nobody's volume is touched");
    // A person decides that this is the one. Its pod, which crashes again and again, would keep the claim.
    ask_to_go::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await;
    is_replaced(stage, "a", 1).await;
}

/// A member cannot go on with its data: it is told, removed, and another one takes its place in the same worker.
async fn is_replaced(stage: &impl Stage, name: &str, member: u32) {
    let site = three(stage)[member as usize].clone();
    let replaced = async || uid_of::<Pod>(stage, &site, &pod(name, 3)).await.is_some();
    stage.until("the member is replaced", replaced).await;
    until_of(stage, name, 3).await;
    let gone = async || uid_of::<Pod>(stage, &site, &pod(name, member)).await.is_none();
    stage.until("it runs no more", gone).await;
    stage.until("it is forgotten", async || members(stage, name).await == (3, 3)).await;
}

/// The volume that a member's process has its data on.
fn disk_of(stage: &impl Stage, pod: &str) -> String {
    let views = stage.processes().etcds().inspect();
    views.into_iter().find(|view| view.pod == pod).expect("its process").volume
}

/// A client writes through whoever leads.
async fn write(stage: &impl Stage, name: &str, value: &str) {
    let etcds = stage.processes().etcds();
    for site in three(stage) {
        let pods = api::<Pod>(stage, &site);
        let labelled =
            kube::api::ListParams::default().labels(&format!("{}={name}", atoll::plan::labels::DATABASE_NAME));
        let found = done(stage, "a client looks for a member", async || pods.list(&labelled).await).await;
        let address = found.items.into_iter().find_map(|pod| pod.status?.pod_ip).expect("an address");
        let written = etcds.client_put(entropy::elapsed(), &Place::of(&site), &format!("{address}:2379"), "k", value);
        if matches!(written, Outcome::Acknowledged { .. }) {
            return;
        }
    }
    panic!("nobody acknowledges {value}");
}

/// A person drains a node by hand.
async fn evict(stage: &impl Stage, site: &Site, name: &str) {
    stage.say(&format!("evicts {name} in {site}"));
    let pods = api::<Pod>(stage, site);
    done(stage, "a pod is evicted", async || pods.evict(name, &EvictParams::default()).await).await;
}

/// Row 47.
pub async fn a_pod_deleted_by_force_from_a_node_that_is_cut_off_never_runs_twice(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    let node = node_of(stage, &w2, &pod("a", 1)).await;
    stage.fault("node cut", &format!("{node} of {w2} does not reach its API server; what runs there runs on"));
    stage.world(&w2).cut_node(&node);
    stage.until_phase("a", "Abnormal").await;
    by_force(stage, &w2, &pod("a", 1)).await;
    stage.sleep(Duration::from_mins(1)).await;
    assert_ne!(state(stage, "a", 1).await, "Ready", "its volume is still held by the node that is cut off");
    stage.world(&w2).heal_node(&node);
    stage.until_phase("a", "Running").await;
    assert_eq!(standing(stage, "a").await.len(), 6, "three pods on three volumes");
}

/// Row 64: who was replaced runs on where nobody can stop it, and comes back.
pub async fn who_was_replaced_and_runs_on_serves_nobody_and_ends_when_it_is_seen(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    let node = node_of(stage, &w2, &pod("a", 1)).await;
    stage.fault("node cut", &format!("{node} of {w2} does not reach its API server; what runs there runs on"));
    stage.world(&w2).cut_node(&node);
    stage.until_phase("a", "Abnormal").await;
    // A person gives it up: its volume, and its pod by force, though its process cannot be asked.
    ask_to_go::<PersistentVolumeClaim>(stage, &w2, &claim("a", 1)).await;
    by_force(stage, &w2, &pod("a", 1)).await;
    until_of(stage, "a", 3).await;
    assert!(uid_of::<Pod>(stage, &w2, &pod("a", 3)).await.is_some(), "the new one is where the former one was");
    stage.world(&w2).heal_node(&node);
    stage.sleep(A_WHILE).await;
    until_of(stage, "a", 3).await;
}

/// Row 56.
pub async fn what_a_person_deletes_by_hand_comes_back_and_who_lost_its_data_is_replaced(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [w1, w2, w3] = three(stage);
    let volume = uid_of::<PersistentVolumeClaim>(stage, &w1, &claim("a", 0)).await;
    remove::<Pod>(stage, &w1, &pod("a", 0)).await;
    stage.until("the pod is made again", async || uid_of::<Pod>(stage, &w1, &pod("a", 0)).await.is_some()).await;
    assert_eq!(uid_of::<PersistentVolumeClaim>(stage, &w1, &claim("a", 0)).await, volume, "on the same volume");
    stage.until_phase("a", "Running").await;
    remove::<Service>(stage, &w2, "a-etcd-headless").await;
    let again = async || uid_of::<Service>(stage, &w2, "a-etcd-headless").await.is_some();
    stage.until("the service is made again", again).await;
    stage.until_phase("a", "Running").await;
    // The data goes with its volume: its member serves until another one has its vote, and leaves then.
    ask_to_go::<PersistentVolumeClaim>(stage, &w3, &claim("a", 2)).await;
    let gone = async || uid_of::<PersistentVolumeClaim>(stage, &w3, &claim("a", 2)).await.is_none();
    stage.until("the claim goes", gone).await;
    until_of(stage, "a", 3).await;
    let nothing = async || gone().await && uid_of::<Pod>(stage, &w3, &pod("a", 2)).await.is_none();
    stage.stays("neither is made again", A_WHILE, nothing).await;
    assert!(uid_of::<Pod>(stage, &w3, &pod("a", 3)).await.is_some(), "the new one is where the former one was");
    // With its pod, at once: it is dead, and is removed before another one joins.
    ask_to_go::<PersistentVolumeClaim>(stage, &w1, &claim("a", 0)).await;
    remove::<Pod>(stage, &w1, &pod("a", 0)).await;
    let replaced = async || uid_of::<Pod>(stage, &w1, &pod("a", 4)).await.is_some();
    stage.until("the member is replaced", replaced).await;
    until_of(stage, "a", 3).await;
}

/// Row 57: what is asked by a job is asked again by another one, and none of them stays.
pub async fn jobs_that_never_end_leave_roles_unknown_and_nothing_behind(stage: &Simulated) {
    begin(stage).await;
    for site in stage.workers() {
        stage.world(&site).withhold(Goods::Jobs);
    }
    stage.run(&Wanted::named("a")).await;
    for site in stage.workers() {
        stage.world(&site).provide(Goods::Jobs);
    }
    stage.delete("a").await;
    stage.until_gone("a").await;
    assert!(everything(stage, "a").await.is_empty());
}

/// Row 58, as far as pods need not be made again: see `edits`.
pub async fn a_node_selector_that_fits_nowhere_is_told_in_the_schedulers_words(stage: &impl Stage) {
    begin(stage).await;
    let [w1, _, w3] = three(stage);
    let mut wanted = Wanted::named("a").manifest();
    wanted["spec"]["componentSpecs"][0]["schedulingPolicy"] = json!({ "nodeSelector": { "disk": "made-of-gold" } });
    stage.create_manifest(&wanted).await;
    until_told(stage, "a", "PodsStart", "False", "Unschedulable").await;
    stage.run(&Wanted::named("b").of(2).within(&[&w1, &w3])).await;
    respec(stage, "a", |component| component["schedulingPolicy"] = Value::Null).await;
    stage.delete("a").await;
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
    stage.run(&Wanted::named("a")).await;
}

/// The node that a pod is on.
async fn node_of(stage: &impl Stage, site: &Site, name: &str) -> String {
    let pods = api::<Pod>(stage, site);
    assert_eq!(DATABASES, "default");
    let found = done(stage, "looking for a pod's node", async || pods.get(name).await).await;
    found.spec.and_then(|spec| spec.node_name).expect("it runs somewhere")
}
