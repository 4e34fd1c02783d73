//! Document 001, "Cluster failure": a whole Kubernetes cluster is lost, and a person says so.

use std::time::{Duration, Instant};

use e2e::etcd::{Canary, Etcd};
use e2e::runner::{Case, always};
use e2e::say::seconds;
use e2e::{Cut, Database, Manifest, Outcome, World, ensure, rest, until};

const UP: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(15);
const AT_ONCE: Duration = Duration::from_secs(5);
/// The cluster that is lost.
const LOST: &str = "k8s-2";

pub fn cases() -> Vec<Case> {
    vec![always(
        "a worker is lost and marked unavailable, a restart does not mind, a deletion is held, released and cleaned up after",
        cluster_failure,
    )]
}

/// What was measured here, and what the peers were measured to do.
struct Table(Vec<[String; 3]>);

impl Table {
    fn row(&mut self, what: &str, took: Duration, peers: &str) {
        self.0.push([what.to_owned(), seconds(took), peers.to_owned()]);
    }

    fn print(&self) {
        for [what, took, peers] in &self.0 {
            println!("           {took:>7}  {what:<52}  {peers}");
        }
    }
}

fn cluster_failure(world: &World) -> Outcome {
    let mut table = Table(Vec::new());
    let running = |manifest: Manifest| -> Outcome<(Database, Duration)> {
        let begun = Instant::now();
        let database = world.create(&manifest.text())?;
        database.wait_until_running(UP)?;
        Ok((database, begun.elapsed()))
    };
    let (database, _) = running(Manifest::new().placed("k8s-1,k8s-2,k8s-3"))?;
    let (doomed, _) = running(Manifest::new().placed("k8s-1,k8s-2,k8s-3"))?;
    let etcd = Etcd::of(&database)?;
    let canary = Canary::start(&etcd, "before the failure")?;

    let begun = Instant::now();
    world.lab().cut(LOST, Cut::All)?;
    told(&database, "Unknown", "")?;
    table.row("the lost member is told in the database's status", begun.elapsed(), "all three peers: nothing is shown");
    let begun = Instant::now();
    said(world, &["worker", "mark-unavailable", LOST])?;
    told(&database, "Unknown", "unavailable")?;
    table.row("marked unavailable: its status says so", begun.elapsed(), "KubeBlocks: a restart with other flags");
    ensure!(database.phase()? == "Abnormal", "a majority serves: {}", database.phase()?);

    let (elsewhere, took) = running(Manifest::new().placed("k8s-1,k8s-3,k8s-1"))?;
    table.row("a new database on the other two runs", took, "Go baseline 2.3–2.9 s, KubeBlocks 4.5–5.3 s");
    let (anywhere, took) = running(Manifest::new())?;
    table.row(
        "one that may go anywhere runs, behind those",
        took,
        "Go baseline 47 s behind one that spans the dead one",
    );
    let workers: Vec<_> = anywhere.members()?.into_iter().map(|member| member.worker).collect();
    ensure!(!workers.iter().any(|worker| worker == LOST), "nothing new goes to {LOST}: {workers:?}");
    let waiting = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").text())?;
    let told_so = waiting.wait_for_condition("Placed", "False", "WorkerUnavailable", SOON)?;
    ensure!(told_so.message.contains(LOST), "one that names {LOST} waits and says so: {told_so:?}");

    let begun = Instant::now();
    world.operate(&[])?;
    let (after, _) = running(Manifest::new())?;
    let peers = "Go baseline 40 s or never; KubeBlocks: nothing until the heal";
    table.row("killed and started again: a further database runs", begun.elapsed(), peers);
    told(&database, "Unknown", "unavailable")?;
    ensure!(database.phase()? == "Abnormal", "its status stays true: {}", database.phase()?);

    let begun = Instant::now();
    doomed.delete()?;
    let held = until("it is not told what is left", UP, || {
        let condition = doomed.condition("Deletable").map_err(|trouble| trouble.0)?;
        condition.clone().filter(|told| told.message.contains("atoll release")).ok_or_else(|| format!("{condition:?}"))
    })?;
    println!("           Deletable={} {}: {}", held.status, held.reason, held.message);
    ensure!(held.message.contains(LOST), "it says where: {held:?}");
    let others = || -> Outcome<usize> {
        let all = ["k8s-1", "k8s-3"].map(|worker| doomed.objects(worker, "pods"));
        all.into_iter().map(|pods| pods.map(|pods| pods.len())).sum()
    };
    until("its other members do not go", UP, || match others() {
        Ok(0) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    let peers = "KubeBlocks: healthy workers untouched too";
    table.row("deleted: gone from the others, held with what is left", begun.elapsed(), peers);
    let begun = Instant::now();
    said(world, &["release", &doomed.name, "-n", &doomed.namespace, "--worker", LOST])?;
    doomed.wait_until_gone(SOON)?;
    table.row(
        "released: the resource is gone, a debt is recorded",
        begun.elapsed(),
        "ob-operator: 1 pod and 3 PVCs left for ever",
    );
    let owed = || -> Outcome<usize> {
        let cluster = world.rest("master")?.get(&format!("{}/{LOST}", e2e::world::WORKERS))?;
        Ok(cluster["status"]["debts"].as_array().map_or(0, Vec::len))
    };
    ensure!(owed()? == 1, "the debt stands in K8sCluster {LOST}");
    println!("{}", world.kubectl("master", &["get", "k8scluster", "-o", "wide"], None)?);

    let begun = Instant::now();
    world.lab().heal(LOST)?;
    said(world, &["worker", "mark-available", LOST])?;
    until("what was released is not cleaned up", UP, || {
        let left = ["pods", "services", "persistentvolumeclaims"].map(|kind| doomed.objects(LOST, kind));
        let left: Outcome<Vec<_>> = left.into_iter().collect();
        let left: Vec<_> = left.map_err(|trouble| trouble.0)?.concat();
        if left.is_empty() { Ok(()) } else { Err(left.iter().map(rest::name).collect::<Vec<_>>().join(", ")) }
    })?;
    table.row(
        "healed: what was released is cleaned up",
        begun.elapsed(),
        "KubeBlocks 43.6 s after the heal; ob-operator never",
    );
    until("the debt is not paid", SOON, || match owed() {
        Ok(0) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    database.wait_until_running(UP)?;
    waiting.wait_until_running(UP)?;
    table.row("all databases run, also the one that waited", begun.elapsed(), "");
    canary.alive(&etcd)?;
    for database in [&database, &elsewhere, &anywhere, &waiting, &after] {
        database.one_attempt()?;
    }
    table.print();
    Ok(())
}

/// Runs `atoll`, which must succeed.
fn said(world: &World, arguments: &[&str]) -> Outcome {
    let (said, code) = world.atoll(arguments)?;
    ensure!(code == 0, "atoll {}: {said}", arguments.join(" "));
    for line in said.lines() {
        println!("           > {line}");
    }
    Ok(())
}

/// Waits until the status tells this of the member in the lost cluster.
fn told(database: &Database, state: &str, words: &str) -> Outcome {
    let limit = if words.is_empty() { SOON } else { AT_ONCE };
    until(&format!("{} does not tell of {LOST}", database.name), limit, || {
        let resource = database.resource().map_err(|trouble| trouble.0)?;
        let members = resource["status"]["members"].as_array().cloned().unwrap_or_default();
        let lost = members.into_iter().find(|member| member["worker"] == LOST).unwrap_or_default();
        let why = lost["why"].as_str().unwrap_or_default();
        if lost["state"] == state && why.contains(words) { Ok(()) } else { Err(lost.to_string()) }
    })
}
