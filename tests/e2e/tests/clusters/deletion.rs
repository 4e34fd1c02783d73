//! What deletion leaves, and what holds it.

use std::time::Duration;

use e2e::runner::{Case, always, full};
use e2e::{Database, Manifest, Outcome, World, ensure, rest};
use serde_json::json;

const UP: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(20);

pub fn cases() -> Vec<Case> {
    vec![
        always("DoNotTerminate holds a database, which runs on until the policy is changed", do_not_terminate),
        always("Halt takes the pods and leaves the volumes", halt),
        always("Delete takes the volumes, too", |world| removed(world, "Delete")),
        full("WipeOut takes everything", |world| removed(world, "WipeOut")),
        full("keep-data lets the resource go, and pods and volumes stay", keep_data),
        full("deletion-protection holds a database", protection),
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

fn do_not_terminate(world: &World) -> Outcome {
    let database = running(world, "DoNotTerminate")?;
    database.delete()?;
    let told = database.wait_for_condition("Deletable", "False", "DoNotTerminate", SOON)?;
    ensure!(told.message.contains("Delete or WipeOut"), "the message says what to do: {told:?}");
    // Longer than the pause in which a deletion looks for its neighbours.
    std::thread::sleep(Duration::from_secs(13));
    ensure!(left(&database, "pods")? == 3 && left(&database, "persistentvolumeclaims")? == 3, "it runs on");
    database.patch(&json!({ "spec": { "terminationPolicy": "Delete" } }))?;
    database.wait_until_gone(UP)?;
    ensure!(database.everything()?.is_empty(), "then everything goes");
    Ok(())
}

fn halt(world: &World) -> Outcome {
    let database = running(world, "Halt")?;
    let volumes = database.members()?.iter().map(|member| database.volume(member)).collect::<Outcome<Vec<_>>>()?;
    database.delete()?;
    database.wait_until_gone(UP)?;
    let everything = database.everything()?;
    let claims = left(&database, "persistentvolumeclaims")?;
    ensure!(claims == 3 && everything.len() == 3, "three volume claims are left, and nothing else: {everything:?}");
    ensure!(volumes.iter().all(|path| path.join("default.etcd").exists()), "the data is still on {volumes:?}");
    sweep(&database)
}

fn removed(world: &World, policy: &str) -> Outcome {
    let database = running(world, policy)?;
    database.delete()?;
    let told = database.wait_for_condition("Deletable", "False", "LookingForOthers", SOON)?;
    ensure!(told.message.contains("10 s"), "it says why it waits: {told:?}");
    database.wait_until_gone(UP)?;
    let everything = database.everything()?;
    ensure!(everything.is_empty(), "nothing is left: {everything:?}");
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
