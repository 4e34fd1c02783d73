//! Pods and nodes that go, and come back.

use std::time::Duration;

use e2e::etcd::{Canary, Etcd};
use e2e::runner::{Case, always};
use e2e::{Manifest, Outcome, World, ensure, rest, until};

const UP: Duration = Duration::from_mins(1);

pub fn cases() -> Vec<Case> {
    vec![
        always("a pod that is deleted comes back on its volume, with its data and its identity", pod_deleted),
        always("a plain kubectl drain of a worker's node works, and after uncordon the member comes back", drain),
    ]
}

fn pod_deleted(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").text())?;
    database.wait_until_running(UP)?;
    let etcd = Etcd::of(&database)?;
    let canary = Canary::start(&etcd, "here before")?;
    let member = etcd.in_worker("k8s-2")?;
    let before = database.pod(member)?;
    let path = format!("{}/{}", database.objects_path("pods"), member.name);
    world.rest(&member.worker)?.delete(&path)?;
    until("there is no new pod", UP, || {
        let pod = database.pod(member).map_err(|trouble| trouble.0)?;
        if rest::uid(&pod) == rest::uid(&before) { Err("still the old one".to_owned()) } else { Ok(()) }
    })?;
    database.wait_until_running(UP)?;
    let after = database.pod(member)?;
    let args = after["spec"]["containers"][0]["args"].to_string();
    ensure!(args.contains("--initial-cluster-state=existing"), "a pod made later never founds: {args}");
    canary.alive(&etcd)?;
    etcd.healthy(super::flat::by_pod_name)
}

fn drain(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").text())?;
    database.wait_until_running(UP)?;
    let etcd = Etcd::of(&database)?;
    let canary = Canary::start(&etcd, "before the drain")?;
    let node = "k8s-3-n1";
    world.kubectl("k8s-3", &["drain", node, "--ignore-daemonsets", "--timeout=60s"], None)?;
    let phase = until("the drained member is not missed", UP, || {
        let phase = database.phase().map_err(|trouble| trouble.0)?;
        if phase == "Running" { Err(phase) } else { Ok(phase) }
    })?;
    ensure!(phase == "Abnormal", "without one of three members it is Abnormal, not {phase}");
    world.kubectl("k8s-3", &["uncordon", node], None)?;
    database.wait_until_running(UP)?;
    canary.alive(&etcd)
}
