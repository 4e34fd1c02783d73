//! What scenarios look at and do, besides what [`People`] has.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use atoll::plan::{database::DatabaseKind, labels};
use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret, Service},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, CustomResourceValidation, JSONSchemaProps,
    },
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    check::condition_of,
    lives::{NAMESPACE, Replica},
    stage::{
        Stage,
        people::{DATABASES, People, Wanted, registration},
    },
    tape::Site,
};

/// A moment, for things that must not happen.
pub const A_WHILE: Duration = Duration::from_secs(20);

/// A kind of object that stands in namespaces.
pub trait Kind: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned {}

impl<K> Kind for K where K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{}

/// Three workers, by their places in the list.
pub fn three(stage: &impl Stage) -> [Site; 3] {
    let workers = stage.workers();
    [workers[0].clone(), workers[1].clone(), workers[2].clone()]
}

/// The controller runs, and every worker is registered and ready.
pub async fn begin(stage: &impl Stage) {
    stage.start(Replica(0)).await;
    stage.register_all().await;
}

/// A database runs in the first two workers, and nobody has registered the third. Says what stands of it.
pub async fn begin_beside_the_third(stage: &impl Stage) -> BTreeMap<String, String> {
    let [w1, w2, _] = three(stage);
    stage.start(Replica(0)).await;
    stage.register(&w1).await;
    stage.register(&w2).await;
    until_ready(stage, &w1).await;
    until_ready(stage, &w2).await;
    stage.run(&Wanted::named("a").within(&[&w1, &w2, &w2])).await;
    standing(stage, "a").await
}

/// A person's view of objects in the databases' namespace of a cluster.
pub fn api<K: Kind>(stage: &impl Stage, site: &Site) -> Api<K> {
    Api::namespaced(stage.person(site), DATABASES)
}

/// Does something in a cluster, again and again while it does not answer. A refusal fails the scenario.
pub async fn done<T>(stage: &impl Stage, what: &str, work: impl AsyncFn() -> kube::Result<T>) -> T {
    for _ in 0..240 {
        match work().await {
            Ok(answer) => return answer,
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 409 && status.code != 429 => {
                panic!("{what}: refused with {}: {}", status.code, status.message)
            }
            Err(_) => stage.sleep(Duration::from_millis(500)).await,
        }
    }
    panic!("{what}: not within two minutes");
}

/// One of a database's objects in a worker: `pod a-etcd-0`.
pub type Thing = String;

/// What stands of a database in a worker, with its UIDs: pods, claims, services, jobs.
pub async fn things<S: Stage>(stage: &S, site: &Site, name: &str) -> BTreeMap<Thing, String> {
    let mut found = BTreeMap::new();
    found.extend(listed::<Pod, S>(stage, site, name, "pod").await);
    found.extend(listed::<PersistentVolumeClaim, S>(stage, site, name, "claim").await);
    found.extend(listed::<Service, S>(stage, site, name, "service").await);
    found.extend(listed::<Job, S>(stage, site, name, "job").await);
    found
}

async fn listed<K: Kind, S: Stage>(stage: &S, site: &Site, name: &str, kind: &str) -> BTreeMap<Thing, String> {
    let api: Api<K> = Api::all(stage.person(site));
    let selector = format!("{}={},{}={name}", labels::MANAGED_BY, labels::MANAGER, labels::DATABASE_NAME);
    let params = ListParams::default().labels(&selector);
    let list = done(stage, "a person looks at a cluster", async || api.list(&params).await).await;
    list.items
        .into_iter()
        .map(|object| (format!("{kind} {}", object.name_any()), object.uid().unwrap_or_default()))
        .collect()
}

/// The pods and claims of a database in all workers, with their UIDs: what must not change when nobody is restarted or
/// moved.
pub async fn standing(stage: &impl Stage, name: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for site in stage.workers() {
        for (thing, uid) in things(stage, &site, name).await {
            // A job that carries a question has a pod as well, for a moment.
            if thing.starts_with("claim ") || thing.starts_with("pod ") && !thing.starts_with("pod atoll-ask-") {
                found.insert(format!("{site}: {thing}"), uid);
            }
        }
    }
    found
}

/// Everything that stands of a database, in any worker.
pub async fn everything(stage: &impl Stage, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for site in stage.workers() {
        found.extend(things(stage, &site, name).await.into_keys().map(|thing| format!("{site}: {thing}")));
    }
    found
}

/// Nothing is left of a database anywhere.
pub async fn nothing_is_left(stage: &impl Stage, name: &str) {
    let left = everything(stage, name).await;
    assert!(left.is_empty(), "L3: of {name} there is still {left:?}");
}

/// The pod of a member: by name.
pub fn pod(name: &str, member: u32) -> String {
    format!("{name}-etcd-{member}")
}

/// The claim of a member: by name.
pub fn claim(name: &str, member: u32) -> String {
    format!("data-{name}-etcd-{member}")
}

/// The UID of an object, if it is there.
pub async fn uid_of<K: Kind>(stage: &impl Stage, site: &Site, name: &str) -> Option<String> {
    let api: Api<K> = api(stage, site);
    done(stage, "a person looks for an object", async || api.get_opt(name).await).await.and_then(|object| object.uid())
}

/// A person deletes an object, and waits until this very one is gone.
pub async fn remove<K: Kind>(stage: &impl Stage, site: &Site, name: &str) {
    let before = uid_of::<K>(stage, site, name).await;
    ask_to_go::<K>(stage, site, name).await;
    stage.until(&format!("{name} goes from {site}"), async || uid_of::<K>(stage, site, name).await != before).await;
}

/// A person deletes an object.
pub async fn ask_to_go<K: Kind>(stage: &impl Stage, site: &Site, name: &str) {
    stage.say(&format!("deletes {name} in {site}"));
    let api: Api<K> = api(stage, site);
    let gone = async || match api.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(|_| ()),
    };
    done(stage, "a person deletes an object", gone).await;
}

/// A person deletes a pod without waiting for its kubelet.
pub async fn by_force(stage: &impl Stage, site: &Site, name: &str) {
    stage.say(&format!("deletes {name} in {site} by force"));
    let pods = api::<Pod>(stage, site);
    let force = DeleteParams::default().grace_period(0);
    done(stage, "a pod is deleted by force", async || pods.delete(name, &force).await).await;
}

/// A person creates an object.
pub async fn make<K: Kind + serde::Serialize>(stage: &impl Stage, site: &Site, object: Value) {
    let object: K = serde_json::from_value(object).expect("an object");
    stage.say(&format!("makes {} in {site}", object.name_any()));
    let api: Api<K> = api(stage, site);
    done(stage, "a person makes an object", async || api.create(&PostParams::default(), &object).await).await;
}

/// A person changes an object by a merge patch.
pub async fn change<K: Kind>(stage: &impl Stage, site: &Site, name: &str, patch: Value) {
    stage.say(&format!("changes {name} in {site}: {patch}"));
    let api: Api<K> = api(stage, site);
    let params = PatchParams::default();
    done(stage, "a person changes an object", async || api.patch(name, &params, &Patch::Merge(&patch)).await).await;
}

/// A person annotates a database. `null` takes the annotation away.
pub async fn annotate(stage: &impl Stage, name: &str, key: &str, value: impl Into<Value>) {
    stage.edit(name, annotation(key, value.into())).await;
}

fn annotation(key: &str, value: Value) -> Value {
    json!({ "metadata": { "annotations": { key: value } } })
}

/// The UID of a database's resource.
pub async fn uid(stage: &impl Stage, name: &str) -> String {
    stage.database(name).await.and_then(|found| found.uid()).unwrap_or_default()
}

/// What the status says of a member: `Ready`, `Unknown` …
pub async fn state(stage: &impl Stage, name: &str, member: usize) -> String {
    stage.resource(name).await["status"]["members"][member]["state"].as_str().unwrap_or_default().to_owned()
}

/// Why the status says so.
pub async fn why(stage: &impl Stage, name: &str, member: usize) -> String {
    stage.resource(name).await["status"]["members"][member]["why"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the status says this of a member.
pub async fn until_state(stage: &impl Stage, name: &str, member: usize, wanted: &str) {
    let so = async || state(stage, name, member).await == wanted;
    stage.until(&format!("member {member} of {name} is {wanted}"), so).await;
}

/// Waits until a database's condition is so, and gives its message.
pub async fn until_told(stage: &impl Stage, name: &str, kind: &str, status: &str, reason: &str) -> String {
    let so = async || {
        let (is, why, _) = stage.condition(name, kind).await;
        is == status && why == reason
    };
    stage.until(&format!("{name} says {kind}={status} {reason}"), so).await;
    stage.condition(name, kind).await.2
}

/// Waits until the condition of a worker's registration is so, and gives its message.
pub async fn until_worker(stage: &impl Stage, name: &str, kind: &str, status: &str, reason: &str) -> String {
    let so = async || {
        let (is, why, _) = stage.worker_condition(name, kind).await;
        is == status && why == reason
    };
    stage.until(&format!("K8sCluster {name} says {kind}={status} {reason}"), so).await;
    stage.worker_condition(name, kind).await.2
}

/// Waits until a worker is ready.
pub async fn until_ready(stage: &impl Stage, name: &str) {
    until_worker(stage, name, "Ready", "True", "Connected").await;
}

/// Changes the component of a database's manifest.
pub async fn respec(stage: &impl Stage, name: &str, alter: impl Fn(&mut Value)) {
    let mut found = stage.resource(name).await;
    let components = &mut found["spec"]["componentSpecs"];
    alter(&mut components[0]);
    stage.edit(name, json!({ "spec": { "componentSpecs": components } })).await;
}

/// Gives a database's members so much CPU.
pub async fn resize(stage: &impl Stage, name: &str, cpu: &str) {
    let resources = json!({ "limits": { "cpu": cpu, "memory": "100M" }, "requests": { "cpu": cpu, "memory": "100M" } });
    respec(stage, name, |component| component["resources"] = resources.clone()).await;
}

/// Edits a database so that nobody is restarted for it: its members' services say something else.
pub async fn touch(stage: &impl Stage, name: &str, what: &str) {
    respec(stage, name, |component| component["services"][0]["annotations"]["example.com/note"] = what.into()).await;
}

/// Whether the status is about the manifest as it is now.
pub async fn observed(stage: &impl Stage, name: &str) -> bool {
    let found = stage.resource(name).await;
    found["status"]["observedGeneration"] == found["metadata"]["generation"]
}

/// Waits until something is so, at most so long.
pub async fn within(stage: &impl Stage, limit: Duration, what: &str, so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        stage.sleep(Duration::from_millis(100)).await;
    }
}

/// That a message has these words.
#[track_caller]
pub fn says(message: &str, words: &str) {
    assert!(message.contains(words), "the message should say {words:?}: {message}");
}

/// That nobody was restarted, replaced or moved.
pub async fn untouched(stage: &impl Stage, name: &str, before: &BTreeMap<String, String>) {
    assert_eq!(&standing(stage, name).await, before, "the pods and volumes of {name} are those from before");
}

/// A person deletes a worker's registration, and waits until it is gone.
pub async fn unregister(stage: &impl Stage, name: &str) {
    ask_to_unregister(stage, name).await;
    until_unregistered(stage, name).await;
}

/// A person deletes a worker's registration.
pub async fn ask_to_unregister(stage: &impl Stage, name: &str) {
    stage.say(&format!("deletes the registration {name}"));
    let clusters = stage.registrations();
    done(stage, "a registration is deleted", async || clusters.delete(name, &DeleteParams::default()).await).await;
}

/// Waits until a worker's registration is gone.
pub async fn until_unregistered(stage: &impl Stage, name: &str) {
    let clusters = stage.registrations();
    let gone = async || matches!(clusters.get_opt(name).await, Ok(None));
    stage.until(&format!("registration {name} is gone"), gone).await;
}

/// A person deletes a worker's registration, has no patience, and takes off what keeps it.
pub async fn unregister_by_force(stage: &impl Stage, name: &str) {
    ask_to_unregister(stage, name).await;
    let clusters = stage.registrations();
    let off = json!({ "metadata": { "finalizers": null } });
    let params = PatchParams::default();
    let gone = async || match clusters.patch(name, &params, &Patch::Merge(&off)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(|_| ()),
    };
    done(stage, "its finalizers go", gone).await;
    until_unregistered(stage, name).await;
}

/// What a worker owes: the names of databases that were let go of.
pub async fn debts(stage: &impl Stage, name: &str) -> Vec<String> {
    let clusters = stage.registrations();
    let found = done(stage, "looking at a registration", async || clusters.get_opt(name).await).await;
    let debts = found.and_then(|cluster| cluster.status).map(|status| status.debts).unwrap_or_default();
    debts.into_iter().map(|debt| debt.name.to_string()).collect()
}

/// A person lets go of a worker that a database's deletion waits for.
pub async fn let_go(stage: &impl Stage, name: &str, worker: &str) {
    let word = format!("{}/{worker}", uid(stage, name).await);
    annotate(stage, name, "atoll.dev/release-worker", word).await;
}

/// Registers a worker with this kubeconfig, whatever it is worth.
pub async fn register_with(stage: &impl Stage, name: &str, kubeconfig: &str) {
    stage.say(&format!("registers {name} with a kubeconfig of {} bytes", kubeconfig.len()));
    stage.put_kubeconfig(name, kubeconfig).await;
    let (clusters, cluster) = (stage.registrations(), registration(name));
    done(stage, "a K8sCluster is registered", async || clusters.create(&PostParams::default(), &cluster).await).await;
}

/// The identity that is pinned for a worker.
pub async fn worker_identity(stage: &impl Stage, name: &str) -> String {
    let clusters = stage.registrations();
    let found = done(stage, "looking at a registration", async || clusters.get_opt(name).await).await;
    found.and_then(|cluster| cluster.status?.identity).unwrap_or_default()
}

/// A person annotates a worker's registration.
pub async fn annotate_worker(stage: &impl Stage, name: &str, key: &str, value: &str) {
    stage.say(&format!("annotates the registration {name} with {key}={value}"));
    let clusters = stage.registrations();
    let patch = annotation(key, value.into());
    let params = PatchParams::default();
    done(stage, "a registration is annotated", async || clusters.patch(name, &params, &Patch::Merge(&patch)).await)
        .await;
}

/// A person deletes the Secret that holds a worker's kubeconfig.
pub async fn drop_secret(stage: &impl Stage, name: &str) {
    stage.say(&format!("deletes the Secret of {name}"));
    let secrets: Api<Secret> = Api::namespaced(stage.person(&stage.master()), NAMESPACE);
    let secret = format!("kubeconfig-{name}");
    done(stage, "a Secret is deleted", async || secrets.delete(&secret, &DeleteParams::default()).await).await;
}

/// The UID by which the master is known in labels.
pub async fn master_identity(stage: &impl Stage) -> String {
    let namespaces: Api<Namespace> = Api::all(stage.person(&stage.master()));
    let found = done(stage, "looking at the master", async || namespaces.get("kube-system").await).await;
    found.uid().unwrap_or_default()
}

/// Lets the API server of the master take databases of any shape, as a later version's schema might.
pub async fn loosen_schema(stage: &impl Stage) {
    stage.say("a later version's CRD is installed, which allows more");
    let crds: Api<CustomResourceDefinition> = Api::all(stage.person(&stage.master()));
    let name = DatabaseKind::KubeBlocksCluster.plural();
    let loosen = async || {
        let mut crd = crds.get(name).await?;
        for version in &mut crd.spec.versions {
            let schema = JSONSchemaProps {
                type_: Some("object".to_owned()),
                x_kubernetes_preserve_unknown_fields: Some(true),
                ..JSONSchemaProps::default()
            };
            version.schema = Some(CustomResourceValidation { open_api_v3_schema: Some(schema) });
        }
        crds.replace(name, &PostParams::default(), &crd).await
    };
    done(stage, "a CRD is replaced", loosen).await;
}

/// That every volume is the one from before, whoever was restarted.
pub async fn volumes_untouched(stage: &impl Stage, name: &str, before: &BTreeMap<String, String>) {
    assert_eq!(volumes(&standing(stage, name).await), volumes(before), "the volumes of {name} are those from before");
}

/// The volumes of what stands.
pub fn volumes(all: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let volumes = all.iter().filter(|(thing, _)| thing.contains(": claim "));
    volumes.map(|(thing, uid)| (thing.clone(), uid.clone())).collect()
}

/// Waits until a database runs, and is what its manifest asks for now.
pub async fn until_up_to_date(stage: &impl Stage, name: &str) {
    // Of one look: between two, an edit may come.
    let so = async || {
        let found = stage.resource(name).await;
        let told = |kind| condition_of(&found, kind)["status"].as_str().unwrap_or_default().to_owned();
        let observed = found["status"]["observedGeneration"] == found["metadata"]["generation"];
        observed && found["status"]["phase"] == "Running" && told("Ready") == "True" && told("UpToDate").is_empty()
    };
    stage.until(&format!("{name} is what its manifest asks for"), so).await;
}

/// Waits until a database has so many members, all with a vote, is what its manifest asks for, and nothing is left of
/// others.
pub async fn until_of(stage: &impl Stage, name: &str, replicas: usize) {
    until_up_to_date(stage, name).await;
    let so = async || members(stage, name).await == (replicas, replicas);
    stage.until(&format!("{name} has {replicas} members, and knows of no others"), so).await;
    let left = standing(stage, name).await;
    assert_eq!(left.len(), 2 * replicas, "a pod and a volume each: {left:?}");
}

/// How many members the record has, and how many of them have a vote and nothing else to do.
pub async fn members(stage: &impl Stage, name: &str) -> (usize, usize) {
    let found = stage.resource(name).await;
    let members = found["status"]["atoll"]["members"].as_array().cloned().unwrap_or_default();
    (members.len(), members.iter().filter(|member| member["part"].is_null()).count())
}
