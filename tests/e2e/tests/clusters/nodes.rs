//! Pods and nodes that go, and come back.

use std::time::Duration;

use e2e::etcd::{Canary, Etcd};
use e2e::runner::{Case, always, full};
use e2e::{Cut, Manifest, Outcome, World, ensure, rest, until};

const UP: Duration = Duration::from_mins(1);

pub fn cases() -> Vec<Case> {
    vec![
        always("a pod that is deleted comes back on its volume, with its data and its identity", pod_deleted),
        full("a paused database is left as it is, and kept again when the pause ends", paused),
        full("a worker that cannot be seen is waited for by name, and the database comes up when it is back", unseen),
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

fn paused(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").text())?;
    database.wait_until_running(UP)?;
    database.annotate("atoll.dev/paused", Some("true"))?;
    until("the pause is not told", UP, || {
        let told = database.condition("Paused").map_err(|trouble| trouble.0)?;
        told.ok_or_else(|| "no condition Paused".to_owned())
    })?;
    let member = &database.members()?[1];
    let path = format!("{}/{}", database.objects_path("pods"), member.name);
    world.rest(&member.worker)?.delete_within(&path, 1)?;
    std::thread::sleep(Duration::from_secs(8));
    ensure!(world.rest(&member.worker)?.find(&path)?.is_none(), "{} was made although it is paused", member.name);
    database.annotate("atoll.dev/paused", None)?;
    database.wait_until_running(UP)
}

fn unseen(world: &World) -> Outcome {
    world.lab().cut("k8s-2", Cut::Api)?;
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").text())?;
    let named = until("no condition names the worker", UP, || {
        let resource = database.resource().map_err(|trouble| trouble.0)?;
        let message = resource["status"]["message"].as_str().unwrap_or_default().to_owned();
        if message.contains("k8s-2") && message.contains("cannot be seen") { Ok(message) } else { Err(message) }
    })?;
    let pods = database.world.objects_of_atoll_in(&["k8s-1", "k8s-3"])?;
    let pods = pods.iter().filter(|object| object.contains("/pods/")).count();
    ensure!(pods == 0, "nobody founds while one founder's worker is not seen ({named}): {pods} pods");
    world.lab().heal("k8s-2")?;
    database.wait_until_running(Duration::from_mins(2))?;
    database.one_attempt()
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
