//! What deletion leaves, and what holds it.

use std::time::Duration;

use e2e::etcd::{Canary, Etcd};
use e2e::runner::{Case, always, full};
use e2e::{Database, Manifest, Outcome, World, ensure, rest, until};
use serde_json::json;

const UP: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(20);

pub fn cases() -> Vec<Case> {
    vec![
        always("each termination policy leaves what it says, and DoNotTerminate holds until it is changed", policies),
        full("keep-data lets the resource go, and pods and volumes stay", keep_data),
        full("deletion-protection holds a database", protection),
        full("five databases deleted at once are held until each is confirmed", many),
        full("a resource without its record founds nothing, and takes over what it is told to, data and pods", adopt),
        full("what Halt left comes back with its data under a new resource that adopts it", halted_and_adopted),
        full("a namespace that is being deleted holds its database until it is confirmed", namespace),
    ]
}

fn running<'w>(world: &'w World, policy: &str) -> Outcome<Database<'w>> {
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").policy(policy).text())?;
    database.wait_until_running(UP)?;
    Ok(database)
}

fn left(database: &Database, kind: &str) -> Outcome<usize> {
    let part = format!("/{kind}/");
    Ok(database.everything()?.iter().filter(|object| object.contains(&part)).count())
}

/// All four at once, for each deletion first waits to see whether it is one of many.
fn policies(world: &World) -> Outcome {
    let create = |policy| world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").policy(policy).text());
    let [held, halted, deleted, wiped] =
        [create("DoNotTerminate")?, create("Halt")?, create("Delete")?, create("WipeOut")?];
    for database in [&held, &halted, &deleted, &wiped] {
        database.wait_until_running(UP)?;
    }
    let volumes = halted.members()?.iter().map(|member| halted.volume(member)).collect::<Outcome<Vec<_>>>()?;
    for database in [&held, &halted, &deleted, &wiped] {
        database.delete()?;
    }
    let told = deleted.wait_for_condition("Deletable", "False", "LookingForOthers", SOON)?;
    ensure!(told.message.contains("10 s"), "it says why it waits: {told:?}");
    for database in [&deleted, &wiped] {
        database.wait_until_gone(UP)?;
        let everything = database.everything()?;
        ensure!(everything.is_empty(), "nothing is left: {everything:?}");
    }
    halted.wait_until_gone(UP)?;
    let everything = halted.everything()?;
    let claims = left(&halted, "persistentvolumeclaims")?;
    ensure!(claims == 3 && everything.len() == 3, "three volume claims are left, and nothing else: {everything:?}");
    ensure!(volumes.iter().all(|path| path.join("default.etcd").exists()), "the data is still on {volumes:?}");
    sweep(&halted)?;
    let told = held.wait_for_condition("Deletable", "False", "DoNotTerminate", SOON)?;
    ensure!(told.message.contains("Delete or WipeOut"), "the message says what to do: {told:?}");
    let everything = held.everything()?;
    ensure!(everything.len() == 9 && held.members()?.iter().all(|member| member.state == "Ready"), "it runs on");
    held.patch(&json!({ "spec": { "terminationPolicy": "Delete" } }))?;
    held.wait_until_gone(UP)?;
    ensure!(held.everything()?.is_empty(), "then everything goes");
    Ok(())
}

fn keep_data(world: &World) -> Outcome {
    let database = running(world, "WipeOut")?;
    let before = database.everything()?;
    database.annotate("atoll.dev/keep-data", Some(&database.uid))?;
    database.delete()?;
    database.wait_until_gone(UP)?;
    ensure!(database.everything()? == before, "all objects stay: {:?}", database.everything()?);
    sweep(&database)
}

fn protection(world: &World) -> Outcome {
    let database = running(world, "WipeOut")?;
    database.annotate("atoll.dev/deletion-protection", Some("true"))?;
    database.delete()?;
    database.wait_for_condition("Deletable", "False", "DeletionProtected", SOON)?;
    database.annotate("atoll.dev/deletion-protection", None)?;
    database.wait_until_gone(UP)
}

fn namespace(world: &World) -> Outcome {
    let master = world.rest("master")?;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } });
    master.create("/api/v1/namespaces", &namespace)?;
    let database = world.create(&Manifest::new().in_namespace("shop").text())?;
    database.wait_until_running(UP)?;
    master.delete("/api/v1/namespaces/shop")?;
    database.wait_for_condition("Deletable", "False", "NamespaceBeingDeleted", Duration::from_secs(40))?;
    ensure!(left(&database, "pods")? == 3, "it runs on");
    database.annotate("atoll.dev/confirm-delete", Some(&database.uid))?;
    database.wait_until_gone(UP)?;
    let everything = database.everything()?;
    ensure!(everything.is_empty(), "nothing is left: {everything:?}");
    Ok(())
}

fn many(world: &World) -> Outcome {
    let one = || world.create(&Manifest::new().nowhere().text());
    let databases = (0..5).map(|_| one()).collect::<Outcome<Vec<_>>>()?;
    for database in &databases {
        until("it has no pods", UP, || match left(database, "pods") {
            Ok(3) => Ok(()),
            other => Err(format!("{other:?}")),
        })?;
    }
    databases.iter().try_for_each(Database::delete)?;
    for database in &databases {
        database.wait_for_condition("Deletable", "False", "ManyBeingDeleted", SOON)?;
        ensure!(left(database, "pods")? == 3, "{} has lost pods", database.name);
    }
    databases[0].annotate("atoll.dev/confirm-delete", Some(&databases[0].uid))?;
    databases[0].wait_until_gone(UP)?;
    for database in &databases[1..] {
        ensure!(left(database, "pods")? == 3, "{} was not confirmed", database.name);
    }
    Ok(())
}

fn adopt(world: &World) -> Outcome {
    let database = running(world, "WipeOut")?;
    let etcd = Etcd::of(&database)?;
    let canary = Canary::start(&etcd, "of the first resource")?;
    let pods = pods_of(&database)?;
    database.annotate("atoll.dev/keep-data", Some(&database.uid))?;
    database.delete()?;
    database.wait_until_gone(UP)?;
    let again = world.create(&Manifest::new().named(&database.name).placed("k8s-1,k8s-2,k8s-3").text())?;
    let told = again.wait_for_condition("RecordFound", "False", "RecordLost", SOON)?;
    ensure!(told.message.contains(&database.uid), "it says whom it would take over from: {told:?}");
    ensure!(pods_of(&again)? == pods, "nothing is touched before that is said");
    again.annotate("atoll.dev/adopt", Some(&database.uid))?;
    again.wait_until_running(UP)?;
    ensure!(pods_of(&again)? == pods, "no pod was restarted");
    canary.alive(&etcd)?;
    Etcd::of(&again)?.healthy(super::flat::by_pod_name)
}

fn halted_and_adopted(world: &World) -> Outcome {
    let database = running(world, "Halt")?;
    let canary = Canary::start(&Etcd::of(&database)?, "before the halt")?;
    database.delete()?;
    database.wait_until_gone(UP)?;
    let manifest = Manifest::new().named(&database.name).placed("k8s-1,k8s-2,k8s-3");
    let again = world.create(&manifest.annotated("atoll.dev/adopt", &database.uid).text())?;
    again.wait_until_running(UP)?;
    let etcd = Etcd::of(&again)?;
    canary.alive(&etcd)?;
    etcd.healthy(super::flat::by_pod_name)
}

/// The UIDs of its pods.
fn pods_of(database: &Database) -> Outcome<Vec<String>> {
    let mut pods = Vec::new();
    for worker in database.world.workers() {
        pods.extend(database.objects(&worker, "pods")?.iter().map(|pod| rest::uid(pod).to_owned()));
    }
    Ok(pods)
}

/// Removes what was left on purpose, as a person would.
pub fn sweep(database: &Database) -> Outcome {
    for worker in database.world.workers() {
        for kind in ["pods", "services", "persistentvolumeclaims"] {
            for object in database.objects(&worker, kind)? {
                let path = format!("{}/{}", database.objects_path(kind), rest::name(&object));
                database.world.rest(&worker)?.delete_within(&path, 0)?;
            }
        }
    }
    Ok(())
}
