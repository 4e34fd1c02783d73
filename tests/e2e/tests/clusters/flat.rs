//! A flat network: pods reach each other across clusters.

use std::time::Duration;

use e2e::database::Member;
use e2e::etcd::Etcd;
use e2e::runner::{Case, always, full};
use e2e::{Manifest, Outcome, World, ensure, programs};
use serde_json::json;

const UP: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(20);

pub fn cases() -> Vec<Case> {
    vec![
        always(
            "an etcd whose peers are pod names is healthy, and its roles are read by the members' addresses",
            pod_names,
        ),
        always("the third manifest of document 001, byte for byte, is healthy by a global service", global_service),
        full("members spread over the workers where no placement is given", spread),
        always(
            "the K8sCluster of document 000 applies, and a condition says what is wrong with its placeholder",
            placeholder,
        ),
        always(
            "an unknown componentDef is a condition, and the database comes up when it is mended",
            unknown_definition,
        ),
        full("several components are a condition, and the database comes up when one is left", several_components),
        always(
            "an unregistered worker is a condition, and the database comes up when the placement is mended",
            unregistered_worker,
        ),
        full(
            "a Secret that is missing in a worker is a condition, and the member comes up when it is there",
            missing_secret,
        ),
    ]
}

/// A member's pod name in its worker's domain.
pub fn by_pod_name(member: &Member) -> Result<(), String> {
    let end = format!(".svc.{}.lab:2380", member.worker);
    let begin = format!("{}.", member.name);
    let fits = member.peer.starts_with(&begin) && member.peer.ends_with(&end);
    if fits { Ok(()) } else { Err(format!("it should be {begin}…{end}")) }
}

fn pod_names(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").text())?;
    database.wait_until_running(UP)?;
    database.one_attempt()?;
    let etcd = Etcd::of(&database)?;
    let placed: Vec<_> = etcd.members.iter().map(|member| member.worker.as_str()).collect();
    ensure!(placed == ["k8s-1", "k8s-2", "k8s-3"], "placed in {placed:?}");
    etcd.healthy(by_pod_name)?;
    let told = database.wait_for_roles(SOON)?;
    database.wait_for_condition("MembersReachable", "True", "Address", SOON)?;
    let leader = etcd.leader()?;
    let says = told.iter().find(|member| member.role == "leader").map(|member| member.name.as_str());
    ensure!(says == Some(leader.name.as_str()), "the status says that {says:?} leads, etcd says {}", leader.name);
    let kinds: Vec<_> = database.everything()?;
    let jobs = kinds.iter().any(|object| object.contains("/jobs/"));
    ensure!(!jobs && kinds.len() == 3 * 3, "each worker has a pod, a claim and a service, and nothing else: {kinds:?}");
    Ok(())
}

fn global_service(world: &World) -> Outcome {
    let database = world.create(&programs::example("kubeblocks-etcd/self-hosted.yaml")?)?;
    database.wait_until_running(UP)?;
    let name = database.name.clone();
    let etcd = Etcd::of(&database)?;
    etcd.healthy(|member| {
        let ordinal = member.name.rsplit('-').next().unwrap_or_default();
        let expected = format!("{name}-etcd-peer-{ordinal}.default.svc:2380");
        if member.peer == expected { Ok(()) } else { Err(format!("it should be {expected}")) }
    })
}

fn spread(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().text())?;
    database.wait_until_running(UP)?;
    let mut placed: Vec<_> = database.members()?.into_iter().map(|member| member.worker).collect();
    placed.sort();
    ensure!(placed == ["k8s-1", "k8s-2", "k8s-3"], "placed in {placed:?}");
    Ok(())
}

fn placeholder(world: &World) -> Outcome {
    let manifest = programs::example("oceanbase/k8s_cluster.yaml")?;
    world.kubectl("master", &["apply", "-f", "-"], Some(&manifest))?;
    let told = e2e::until("the placeholder has no condition", SOON, || {
        let path = format!("{}/k8s-remote", e2e::world::WORKERS);
        let found = world.rest("master").and_then(|rest| rest.get(&path)).map_err(|trouble| trouble.0)?;
        e2e::database::condition(&found, "Ready").ok_or_else(|| found["status"].to_string())
    })?;
    ensure!(told.status == "False" && told.reason == "InvalidKubeconfig", "{told:?}");
    ensure!(!told.message.contains("<Your K8s credential>"), "a kubeconfig is never told: {}", told.message);
    let table = world.kubectl("master", &["get", "k8scluster"], None)?;
    let columns: Vec<_> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    ensure!(columns == ["NAME", "AGE", "CLUSTERNAME"], "kubectl get k8scluster prints {columns:?}");
    // Without the age, which may have changed meanwhile.
    let names = |kind| world.kubectl("master", &["get", kind, "-o", "name"], None);
    ensure!(names("kc")? == names("k8scluster")?, "the short name kc shows the same");
    world.kubectl("master", &["delete", "k8scluster", "k8s-remote", "--timeout=10s"], None)?;
    Ok(())
}

fn unknown_definition(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().with("componentDef", json!("qdrant-1.0")).text())?;
    let told = database.wait_for_condition("Accepted", "False", "", SOON)?;
    ensure!(told.message.contains("qdrant-1.0"), "the message names what is not known: {told:?}");
    ensure!(database.everything()?.is_empty(), "nothing is made for it");
    let mended: serde_json::Value = serde_json::from_str(&Manifest::new().text())?;
    database.patch(&json!({ "spec": { "componentSpecs": mended["spec"]["componentSpecs"] } }))?;
    database.wait_until_running(UP)
}

fn several_components(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().and_component("other").text())?;
    database.wait_for_condition("Accepted", "False", "SeveralComponents", SOON)?;
    let mended: serde_json::Value = serde_json::from_str(&Manifest::new().text())?;
    database.patch(&json!({ "spec": { "componentSpecs": mended["spec"]["componentSpecs"] } }))?;
    database.wait_until_running(UP)
}

fn unregistered_worker(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-9").text())?;
    let told = database.wait_for_condition("Placed", "False", "WorkerNotRegistered", SOON)?;
    ensure!(told.message.contains("k8s-9"), "the message names the worker: {told:?}");
    database.annotate("apps.kubeblocks.io/multi-cluster-placement", Some("k8s-1,k8s-2,k8s-3"))?;
    database.wait_until_running(UP)
}

fn missing_secret(world: &World) -> Outcome {
    let env = json!([{ "name": "SOME", "valueFrom": { "secretKeyRef": { "name": "some-secret", "key": "some" } } }]);
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").with("env", env).text())?;
    let named = |text: &str| text.contains("some-secret");
    e2e::until("no condition names the Secret", SOON, || {
        let resource = database.resource().map_err(|trouble| trouble.0)?;
        let conditions = &resource["status"]["conditions"];
        if named(&conditions.to_string()) { Ok(()) } else { Err(conditions.to_string()) }
    })?;
    for worker in world.workers() {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "some-secret" }, "stringData": { "some": "thing" } });
        world.rest(&worker)?.create("/api/v1/namespaces/default/secrets", &secret)?;
    }
    // The kubelet tries again by itself, after a pause that grows.
    database.wait_until_running(Duration::from_mins(2))?;
    for worker in world.workers() {
        world.rest(&worker)?.delete("/api/v1/namespaces/default/secrets/some-secret")?;
    }
    Ok(())
}
