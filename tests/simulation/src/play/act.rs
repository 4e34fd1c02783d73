//! Carries out the steps of a script.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, ResourceQuota, Service};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde_json::json;

use super::registrations;
use crate::{
    entropy,
    link::{Watching, Way},
    lives::Replica,
    place::Place,
    script::{Act, Base, NEXT_VERSION, NO_VERSION, Network, Step},
    stage::{
        Load, Stage,
        people::{DATABASES, People, Services, Wanted},
        simulated::{Behind, Simulated},
    },
    tape::Site,
};

/// How long a person tries.
const TRIES: u32 = 60;

/// Carries out one step at its time, and undoes it when it has lasted.
pub(super) async fn perform(stage: &Simulated, step: &Step) {
    let at = Duration::from_millis(step.at);
    stage.sleep(at.saturating_sub(entropy::elapsed())).await;
    stage.fault(step.act.kind(), &format!("{:?} for {} ms", step.act, step.lasts));
    let lasts = Duration::from_millis(step.lasts);
    match &step.act {
        Act::Request(site, shot) if site == "*" => stage.weather.shoot_anywhere(shot.clone()),
        Act::Request(site, shot) => stage.weather.shoot(&Site::from(site.as_str()), shot.clone()),
        Act::Refuse(site) => way(stage, site, Way::Refused, lasts).await,
        Act::BlackHole(site) => way(stage, site, Way::BlackHole, lasts).await,
        Act::Overload(site) => {
            let site = Site::from(site.as_str());
            stage.load(&site, Load::TooMuch).await;
            stage.sleep(lasts).await;
            stage.load(&site, Load::Bearable).await;
        }
        Act::OneWay(site) => way(stage, site, Way::OneWay, lasts).await,
        Act::Pause(site) => way(stage, site, Way::Asleep, lasts).await,
        Act::Slow(site, by) => way(stage, site, Way::Slow(Duration::from_millis(*by)), lasts).await,
        Act::StallWatches(site) => watching(stage, site, Watching::Stall, lasts).await,
        Act::LagWatches(site, by) => watching(stage, site, Watching::Lag(Duration::from_millis(*by)), lasts).await,
        Act::CloseWatches(site) => stage.server(site).close_watches(),
        Act::Compact(site) => stage.server(site).compact(),
        act => cluster(stage, act, lasts).await,
    }
}

async fn way(stage: &Simulated, site: &str, way: Way, lasts: Duration) {
    let site = Site::from(site);
    stage.weather.set(&site, way);
    stage.sleep(lasts).await;
    stage.weather.set(&site, Way::Open);
}

async fn watching(stage: &Simulated, site: &str, how: Watching, lasts: Duration) {
    let site = Site::from(site);
    stage.weather.watching(&site, how);
    stage.sleep(lasts).await;
    stage.weather.watching(&site, Watching::Flow);
}

/// What befalls whole clusters.
async fn cluster(stage: &Simulated, act: &Act, lasts: Duration) {
    use crate::link::Power;
    match act {
        Act::Freeze(site) => {
            stage.server(site).freeze_cache();
            stage.sleep(lasts).await;
            stage.server(site).thaw_cache();
        }
        Act::Down(site) => {
            let site = Site::from(site.as_str());
            stage.weather.power(&site, Power::Off);
            stage.server(&site).close_watches();
            stage.sleep(lasts).await;
            stage.weather.power(&site, Power::On);
        }
        Act::Restore(site, age) => {
            // The step begins when the backup is taken, and ends with its return.
            let backup = stage.server(site).snapshot();
            stage.sleep(Duration::from_millis(*age)).await;
            stage.server(site).restore(&backup);
        }
        Act::Swap(site) => {
            let site = Site::from(site.as_str());
            stage.lead(&site, Behind::Another);
            stage.sleep(lasts).await;
            stage.lead(&site, Behind::Itself);
        }
        Act::Quota(site) => {
            let api: Api<ResourceQuota> = Api::namespaced(stage.person(&Site::from(site.as_str())), DATABASES);
            let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "none" },
                "spec": { "hard": { "pods": "0", "persistentvolumeclaims": "0", "services": "0" } } });
            let quota: ResourceQuota = serde_json::from_value(quota).expect("a quota");
            tried(stage, async || api.create(&PostParams::default(), &quota).await).await;
            stage.sleep(lasts).await;
            tried(stage, async || api.delete("none", &DeleteParams::default()).await).await;
        }
        Act::Deny(site) => {
            stage.server(site).admission(Some(apiserver::Admission::deny("policy.example denies it")));
            stage.sleep(lasts).await;
            stage.server(site).admission(None);
        }
        Act::Wipe(site) => {
            stage.server(site).wipe_namespace(DATABASES);
            stage.sleep(lasts.max(Duration::from_secs(3))).await;
            // What the condition asks a person to do.
            let api: Api<Namespace> = Api::all(stage.person(&Site::from(site.as_str())));
            let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": DATABASES } });
            let namespace: Namespace = serde_json::from_value(namespace).expect("a namespace");
            tried(stage, async || api.create(&PostParams::default(), &namespace).await).await;
        }
        Act::WithholdVolumes(site) => withhold(stage, site, crate::world::Goods::Volumes, lasts).await,
        Act::WithholdLoadBalancers(site) => withhold(stage, site, crate::world::Goods::LoadBalancers, lasts).await,
        Act::WithholdScheduling(site) => withhold(stage, site, crate::world::Goods::Scheduling, lasts).await,
        Act::Partition(one, other) => {
            stage.net().cut(&Place::of(one), &Place::of(other));
            stage.sleep(lasts).await;
            stage.net().heal(&Place::of(one), &Place::of(other));
        }
        act => member(stage, act, lasts).await,
    }
}

async fn withhold(stage: &Simulated, site: &str, what: crate::world::Goods, lasts: Duration) {
    let world = stage.world(&Site::from(site));
    world.withhold(what);
    stage.sleep(lasts).await;
    world.provide(what);
}

/// What befalls single members.
async fn member(stage: &Simulated, act: &Act, lasts: Duration) {
    match act {
        Act::CrashPod(database, member) => {
            for site in stage.workers() {
                stage.world(&site).crash_pod(DATABASES, &pod(database, *member));
            }
        }
        Act::DeletePod(database, member) => remove::<Pod>(stage, &pod(database, *member)).await,
        Act::DeleteClaim(database, member) => {
            remove::<PersistentVolumeClaim>(stage, &format!("data-{}", pod(database, *member))).await;
        }
        Act::DeleteService(database, member) => {
            remove::<Service>(stage, &format!("{database}-etcd-peer-{member}")).await;
        }
        Act::CutNode(database, member) => {
            for site in stage.workers() {
                let place = apiserver::Place::namespaced("pods", DATABASES, &pod(database, *member));
                let Some(found) = stage.server(&site).get(&place) else { continue };
                let Some(node) = found["spec"]["nodeName"].as_str() else { continue };
                stage.world(&site).cut_node(node);
                stage.sleep(lasts).await;
                stage.world(&site).heal_node(node);
                return;
            }
        }
        act => controller(stage, act, lasts).await,
    }
}

fn pod(database: &str, member: u32) -> String {
    format!("{database}-etcd-{member}")
}

async fn remove<K>(stage: &Simulated, name: &str)
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    for site in stage.workers() {
        let api: Api<K> = Api::namespaced(stage.person(&site), DATABASES);
        let _ = api.delete(name, &DeleteParams::default()).await;
    }
}

/// What befalls the controller.
async fn controller(stage: &Simulated, act: &Act, lasts: Duration) {
    match act {
        Act::Crash => stage.lives.crash(Replica(0)),
        Act::Suspend => {
            stage.lives.pause(Replica(0));
            stage.sleep(lasts).await;
            stage.lives.resume(Replica(0));
        }
        Act::CrashAfter(writes) => stage.links.crash_after(*writes),
        Act::Second => {
            stage.lives.start(Replica(1));
            stage.sleep(lasts).await;
            stage.lives.stop(Replica(1));
        }
        Act::Isolate => {
            let Some(life) = stage.lives.life(Replica(0)) else { return };
            stage.weather.set_for(life, &stage.master(), Way::BlackHole);
            stage.sleep(lasts).await;
            stage.weather.set_for(life, &stage.master(), Way::Open);
        }
        Act::Clock(ahead) => {
            entropy::set_clock_ahead(*ahead);
            stage.sleep(lasts).await;
            entropy::set_clock_ahead(0);
        }
        act => person(stage, act, lasts).await,
    }
}

/// What people do to databases.
async fn person(stage: &Simulated, act: &Act, lasts: Duration) {
    match act {
        Act::Create(base) => create(stage, base).await,
        Act::Delete(name) => {
            let api = stage.databases();
            tried(stage, async || api.delete(name, &DeleteParams::default()).await).await;
        }
        Act::Release(name) => release(stage, name, lasts).await,
        Act::Recreate(name) => recreate(stage, name, |_| BTreeMap::new()).await,
        Act::HandOver(name) => {
            let consent = |former: &str| BTreeMap::from([("atoll.dev/adopt".to_owned(), former.to_owned())]);
            recreate(stage, name, consent).await;
        }
        Act::Edit(name) => {
            let resources = |cpu: &str| json!({ "limits": { "cpu": cpu }, "requests": { "cpu": cpu } });
            edit(stage, name, "resources", resources("200m"), lasts).await;
        }
        Act::Scale(name, replicas) => change(stage, name, "replicas", json!(replicas)).await,
        Act::Upgrade(name) => change(stage, name, "serviceVersion", json!(NEXT_VERSION)).await,
        Act::Spoil(name) => edit(stage, name, "serviceVersion", json!(NO_VERSION), lasts).await,
        act => registrations::perform(stage, act, lasts).await,
    }
}

/// Deletes a database, and lets go of every worker that it still waits for after a while.
async fn release(stage: &Simulated, name: &str, lasts: Duration) {
    let api = stage.databases();
    tried(stage, async || api.delete(name, &DeleteParams::default()).await).await;
    stage.sleep(lasts).await;
    let found = stage.resource(name).await;
    if !found["metadata"]["deletionTimestamp"].is_string() {
        return;
    }
    let uid = found["metadata"]["uid"].as_str().unwrap_or_default();
    let mut words = Vec::new();
    for member in found["status"]["atoll"]["members"].as_array().into_iter().flatten() {
        let worker = member["worker"].as_str().unwrap_or_default();
        if stage.worker_condition(worker, "Ready").await.0 != "True" {
            words.push(format!("{uid}/{worker}"));
        }
    }
    if words.is_empty() {
        return;
    }
    let word = json!({ "metadata": { "uid": uid, "annotations": { "atoll.dev/release-worker": words.join(",") } } });
    let params = PatchParams::default();
    tried(stage, async || api.patch(name, &params, &Patch::Merge(&word)).await).await;
}

/// Creates a database, unless there is one of its name.
pub(super) async fn create(stage: &Simulated, base: &Base) {
    let services = match stage.network {
        Network::Flat => Services::Global,
        Network::Islands | Network::EqualIslands => Services::LoadBalancers,
    };
    let wanted = Wanted::named(&base.name).of(base.replicas).leaving(base.policy.as_str()).known_by(services);
    let manifest = serde_json::from_value(wanted.manifest()).expect("a Cluster");
    let api = stage.databases();
    tried(stage, async || api.create(&PostParams::default(), &manifest).await).await;
}

/// Deletes a database, and creates it again, with annotations that follow from its former UID.
async fn recreate(stage: &Simulated, name: &str, annotations: impl Fn(&str) -> BTreeMap<String, String>) {
    let api = stage.databases();
    let Ok(Some(before)) = api.get_opt(name).await else { return };
    tried(stage, async || api.delete(name, &DeleteParams::default()).await).await;
    let mut again = before.clone();
    again.metadata = kube::core::ObjectMeta {
        name: before.metadata.name.clone(),
        namespace: before.metadata.namespace.clone(),
        annotations: before.uid().map(|former| annotations(&former)),
        ..Default::default()
    };
    again.status = None;
    for _ in 0..240 {
        match api.get_opt(name).await {
            Ok(None) => return tried(stage, async || api.create(&PostParams::default(), &again).await).await,
            // Somebody else was quicker.
            Ok(Some(there)) if there.uid() != before.uid() => return,
            Ok(Some(_)) | Err(_) => stage.sleep(Duration::from_secs(1)).await,
        }
    }
}

/// Changes a field of the only component, and changes it back when that has lasted.
async fn edit(stage: &Simulated, name: &str, field: &str, value: serde_json::Value, lasts: Duration) {
    let api = stage.databases();
    let Ok(Some(before)) = api.get_opt(name).await else { return };
    let Ok(manifest) = serde_json::to_value(&before) else { return };
    let mut spec = manifest["spec"].clone();
    let former = spec["componentSpecs"][0].as_object_mut().and_then(|component| component.remove(field));
    spec["componentSpecs"][0][field] = value;
    let params = PatchParams::default();
    tried(stage, async || {
        api.patch(name, &params, &Patch::Merge(json!({ "spec": { "componentSpecs": spec["componentSpecs"] } }))).await
    })
    .await;
    stage.sleep(lasts).await;
    if let Some(component) = spec["componentSpecs"][0].as_object_mut() {
        component.remove(field);
        component.extend(former.map(|former| (field.to_owned(), former)));
    }
    tried(stage, async || {
        api.patch(name, &params, &Patch::Merge(json!({ "spec": { "componentSpecs": spec["componentSpecs"] } }))).await
    })
    .await;
}

/// Changes a field of the only component.
async fn change(stage: &Simulated, name: &str, field: &str, value: serde_json::Value) {
    let api = stage.databases();
    let Ok(Some(before)) = api.get_opt(name).await else { return };
    let Ok(manifest) = serde_json::to_value(&before) else { return };
    let mut components = manifest["spec"]["componentSpecs"].clone();
    components[0][field] = value;
    let patch = json!({ "spec": { "componentSpecs": components } });
    let params = PatchParams::default();
    tried(stage, async || api.patch(name, &params, &Patch::Merge(&patch)).await).await;
}

/// Tries as a person does: again while the cluster is away, not again when it says no.
pub(super) async fn tried<T>(stage: &Simulated, work: impl AsyncFn() -> kube::Result<T>) {
    for _ in 0..TRIES {
        match work().await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code < 500 => return,
            Err(_) => stage.sleep(Duration::from_secs(1)).await,
        }
    }
}
