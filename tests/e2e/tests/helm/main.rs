//! `helm install` on real clusters: document 001's two values, its Secret, and its third manifest.
//!
//! One test, because each step stands on the one before: this is the life of a release. Needs root.
#![allow(missing_docs)]

mod image;
mod release;
mod rights;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use e2e::database::Member;
use e2e::etcd::{Canary, Etcd};
use e2e::say::seconds;
use e2e::world::{NAMESPACE, SECRET, WORKERS};
use e2e::{As, Cut, Database, Options, Outcome, World, ensure, programs, rest, until, wait};
use jiff::Timestamp;
use release::{Helm, RELEASE};
use serde_json::json;

const UP: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(20);
const KINDS: [&str; 2] = ["clusters.apps.kubeblocks.io", "k8sclusters.k8s.oceanbase.com"];

#[test]
fn the_chart_installs_atoll_and_what_it_runs_outlives_every_upgrade_and_uninstall() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    if uids.split_whitespace().nth(1) != Some("0") {
        say(None, "skipped: real clusters need root");
        return;
    }
    wait::heed_interrupts();
    let mut world = None;
    if let Err(trouble) = life(&mut world) {
        let seen = world.as_ref().map(|world| format!("{}\n{}", world.diagnosis(), logs(world)));
        panic!("{trouble}\n{}", seen.unwrap_or_default());
    }
}

fn life(place: &mut Option<World>) -> Outcome {
    step("the chart is sound, and deploy/atoll.yaml is made of it", release::offline)?;
    step("the lab's programs are built", programs::build)?;
    let image = step("a static atoll is built", || image::image(&release::default_image()?))?;
    let options = Options { master_node: true, ..Options::default() };
    let world = place.insert(step("a lab with a node in the master", || World::up(options))?);
    step("the image is in every node", || Ok(world.lab().load_image(&image, &[])?))?;
    // Only its Secret is of use here: the operator is the chart's.
    world.register_workers(As::Document)?;
    let (world, helm) = (&*world, Helm::new(world)?);

    let secret = format!("multiCluster.kubeConfig={SECRET}");
    let as_list = [secret.as_str(), "multiCluster.contexts={k8s-1,k8s-2,k8s-3}"];
    let as_string = [secret.as_str(), r"multiCluster.contexts=k8s-1\,k8s-2\,k8s-3", "logFormat=json"];

    let since = Timestamp::now();
    let notes = step("helm install, with the contexts as a list", || helm.install(&as_list))?;
    ensure!(notes.contains("contexts k8s-1,k8s-2,k8s-3"), "the notes say what is used: {notes}");
    step("the workers are registered", || world.wait_for_workers(SOON))?;
    let manifest = programs::example("kubeblocks-etcd/self-hosted.yaml")?;
    let database = step("kubectl create -f self-hosted.yaml gives a running database", || running(world, &manifest))?;
    let etcd = Etcd::of(&database)?;
    step("it is healthy", || etcd.healthy(|member| by_global_service(&database, member)))?;
    let canary = Canary::start(&etcd, "written before the upgrade")?;
    step("its members are asked at their addresses", || reached(&database, "Address"))?;
    step("neither its policy nor its protection lets it be deleted", || refused(&database))?;
    let before = identities(&database)?;

    step("helm upgrade, with the contexts as a string", || helm.upgrade(&as_string))?;
    step("the new pod leads", || leads(world))?;
    world.wait_for_workers(SOON)?;
    ensure!(identities(&database)? == before, "the upgrade has touched what runs: {before:?}");
    canary.alive(&etcd)?;

    step("where nothing else reaches them, jobs with Atoll's image ask the members", || by_job(&database))?;
    canary.alive(&etcd)?;
    let count = step("no request of Atoll was refused in the master", || rights::enough(world, since))?;
    step("Atoll may do nothing else there", || rights::nothing_else(world))?;

    let before = identities(&database)?;
    let told = step("helm uninstall", || helm.uninstall())?;
    ensure!(KINDS.iter().all(|kind| told.contains(kind)), "helm says what it keeps: {told}");
    step("the database runs on, and what describes it stays", || left(&database, &before, &canary))?;
    let lost = etcd.in_worker("k8s-2")?;
    world.rest("k8s-2")?.delete_within(&format!("{}/{}", database.objects_path("pods"), lost.name), 0)?;

    let again = Timestamp::now();
    step("a second helm install", || helm.install(&as_list))?;
    step("it takes over: a pod that was lost meanwhile is back", || {
        until("the pod is not back", UP, || database.pod(lost).map(drop).map_err(|trouble| trouble.0))?;
        database.wait_until_running(UP)
    })?;
    database.one_attempt()?;
    etcd.healthy(|member| by_global_service(&database, member))?;
    canary.alive(&etcd)?;
    step("deleted, it is gone with its volumes", || {
        database.delete()?;
        database.wait_until_gone(UP)?;
        let everything = database.everything()?;
        ensure!(everything.is_empty(), "nothing is left: {everything:?}");
        Ok(())
    })?;
    let count = count + rights::enough(world, again)?;
    let used = rights::no_more_than_needed(world, since)?;
    say(None, &format!("{count} requests to the master, none refused; {used}"));
    Ok(())
}

/// Does something, and tells how long it took.
fn step<T>(what: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let begun = Instant::now();
    let done = work().map_err(|trouble| trouble.at(what))?;
    say(Some(begun.elapsed()), what);
    Ok(done)
}

/// To people, past what cargo keeps to itself: a test of minutes must not look dead.
fn say(time: Option<Duration>, text: &str) {
    let time = time.map(seconds).unwrap_or_default();
    drop(writeln!(std::io::stderr(), "  {time:>7}  {text}"));
}

fn logs(world: &World) -> String {
    let app = format!("app.kubernetes.io/instance={RELEASE}");
    let pods = world.kubectl("master", &["-n", NAMESPACE, "get", "pods", "-o", "wide"], None);
    let events = world.kubectl("master", &["-n", NAMESPACE, "get", "events"], None);
    let log = world.kubectl("master", &["-n", NAMESPACE, "logs", "-l", &app, "--tail=60"], None);
    [pods, events, log].map(|said| said.unwrap_or_else(|trouble| trouble.0)).join("\n")
}

fn running<'w>(world: &'w World, manifest: &str) -> Outcome<Database<'w>> {
    let database = world.create(manifest)?;
    database.wait_until_running(UP)?;
    database.one_attempt()?;
    Ok(database)
}

fn by_global_service(database: &Database, member: &Member) -> Result<(), String> {
    let ordinal = member.name.rsplit('-').next().unwrap_or_default();
    let expected = format!("{}-etcd-peer-{ordinal}.default.svc:2380", database.name);
    if member.peer == expected { Ok(()) } else { Err(format!("it should be {expected}")) }
}

/// The way by which the members are asked.
fn reached(database: &Database, rung: &str) -> Outcome {
    database.wait_for_condition("MembersReachable", "True", rung, UP)?;
    database.wait_for_roles(SOON).map(drop)
}

/// The API server asks the chart's admission policy before anything is marked for deletion.
fn refused(database: &Database) -> Outcome {
    let deletion = ["delete", "clusters.apps.kubeblocks.io", "-n", &database.namespace, &database.name, "--wait=false"];
    let refused = |word: &str| {
        let Err(said) = database.world.kubectl("master", &deletion, None) else {
            e2e::fail!("{} was deleted in spite of {word}", database.name);
        };
        ensure!(said.0.contains("Forbidden") && said.0.contains(word), "the refusal says why: {said}");
        let marked = database.resource()?["metadata"]["deletionTimestamp"].clone();
        ensure!(marked.is_null(), "{} is marked for deletion: {marked}", database.name);
        Ok(())
    };
    database.patch(&json!({ "spec": { "terminationPolicy": "DoNotTerminate" } }))?;
    refused("DoNotTerminate")?;
    database.patch(&json!({ "spec": { "terminationPolicy": "WipeOut" } }))?;
    database.annotate("atoll.dev/deletion-protection", Some("true"))?;
    refused("atoll.dev/deletion-protection")?;
    database.annotate("atoll.dev/deletion-protection", None)
}

/// The UIDs of what must not be made anew: the resource, the workers, the members' pods.
fn identities(database: &Database) -> Outcome<BTreeMap<String, String>> {
    let uid = |object: &serde_json::Value| (rest::name(object).to_owned(), rest::uid(object).to_owned());
    let mut all = BTreeMap::from([uid(&database.resource()?)]);
    all.extend(database.world.rest("master")?.list(WORKERS)?.iter().map(uid));
    for member in database.members()? {
        all.insert(member.name.clone(), rest::uid(&database.pod(&member)?).to_owned());
    }
    Ok(all)
}

/// The Lease is held by the only pod that is left.
fn leads(world: &World) -> Outcome {
    let master = world.rest("master")?;
    until("the Lease is not the new pod's", UP, || {
        let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{RELEASE}");
        let lease = master.get(&lease).map_err(|trouble| trouble.0)?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let pods =
            format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io%2Finstance%3D{RELEASE}");
        let pods = master.list(&pods).map_err(|trouble| trouble.0)?;
        let names: Vec<_> = pods.iter().map(rest::name).collect();
        match names[..] {
            [name] if holder.contains(name) => Ok(()),
            _ => Err(format!("pods {names:?}, holder {holder:?}")),
        }
    })
}

/// With the master's network cut off from all but API servers, and no right to forward ports.
fn by_job(database: &Database) -> Outcome {
    let world = database.world;
    world.lab().cut("master", Cut::Peers)?;
    let since = Timestamp::now();
    let members = database.members()?;
    let member = members.iter().find(|member| member.worker == "k8s-3").unwrap_or(&members[0]);
    // Members are asked anew when one has come.
    world.rest(&member.worker)?.delete(&format!("{}/{}", database.objects_path("pods"), member.name))?;
    let told = database.wait_for_condition("MembersReachable", "True", "Job", Duration::from_secs(90));
    world.lab().heal("master")?;
    told?;
    database.wait_until_running(UP)?;
    database.wait_for_roles(SOON)?;
    for worker in world.workers() {
        let entries = world.lab().audit_since(&worker, since)?;
        let made = |entry: &&lab::AuditEntry| entry.verb == "create" && entry.resource == "jobs" && entry.code == 201;
        ensure!(entries.iter().any(|entry| made(&entry)), "no job was made in {worker}");
    }
    let jobs: Vec<_> = database.everything()?.into_iter().filter(|object| object.contains("/jobs/")).collect();
    ensure!(jobs.is_empty(), "the jobs are left: {jobs:?}");
    Ok(())
}

/// After the release is gone.
fn left(database: &Database, before: &BTreeMap<String, String>, canary: &Canary) -> Outcome {
    let world = database.world;
    // Helm waits for its own objects, not for the pod that goes after them.
    until("Atoll still runs", SOON, || {
        let pods = world.kubectl("master", &["-n", NAMESPACE, "get", "pods", "-o", "name"], None);
        let pods = pods.map_err(|trouble| trouble.0)?;
        if pods.trim().is_empty() { Ok(()) } else { Err(pods) }
    })?;
    for kind in KINDS {
        world.kubectl("master", &["get", "crd", kind], None)?;
    }
    ensure!(identities(database)? == *before, "something was made anew or removed: {before:?}");
    let etcd = Etcd::of(database)?;
    canary.alive(&etcd)?;
    etcd.healthy(|member| by_global_service(database, member))
}
