//! `atoll release`: lets a deleted database go although a worker that holds members of it cannot be seen.

use std::process::ExitCode;

use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::master;
use crate::{
    dialect::{Dialect, k8scluster::K8sCluster, kubeblocks::Cluster},
    plan::{
        database::{DatabaseKind, OnDelete, RELEASE_WORKER},
        name::{Uid, WorkerName},
        record::{Member, Record},
        release::word,
    },
    worker::{
        failpoint::Failpoint,
        fault::{Fault, call},
    },
};

/// What is to be let go of.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database, which is being deleted.
    database: String,
    /// Its namespace.
    #[arg(short = 'n', long = "database-namespace", value_name = "NAMESPACE", default_value = "default")]
    database_namespace: String,
    /// The worker that cannot be seen.
    #[arg(long, value_name = "NAME")]
    worker: String,
    /// Only show what would be let go of.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    master: master::Args,
}

/// Shows what is let go of, and says so to the controller.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    let (client, _) = args.master.client(&Failpoint::default()).await?;
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), &args.database_namespace);
    let workers: Api<K8sCluster> = Api::all(client);
    let (cluster, worker) = futures::join!(call(clusters.get(&args.database)), call(workers.get_opt(&args.worker)));
    let called = format!("{}/{}", args.database_namespace, args.database);
    let cluster = cluster.map_err(|fault| master::unread_database(&called, &fault))?;
    let worker = worker.map_err(|fault| format!("K8sCluster {} cannot be read: {fault}", args.worker))?;
    let name = WorkerName::new(args.worker.as_str());
    let left = left(&cluster, &name, worker.as_ref()).map_err(|why| format!("nothing is let go of: {why}"))?;
    println!("{left}");
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let uid = Uid::new(cluster.uid().unwrap_or_default());
    let standing = cluster.annotations().get(RELEASE_WORKER).map(String::as_str);
    let patch = json!({ "metadata": {
        // Exactly this resource, and nobody else's annotation is lost.
        "uid": cluster.uid(), "resourceVersion": cluster.resource_version(),
        "annotations": { RELEASE_WORKER: word(standing, &uid, &name) },
    }});
    call(clusters.patch(&args.database, &PatchParams::default(), &Patch::Merge(&patch)))
        .await
        .map_err(|fault| refused(&fault, &called))?;
    println!(
        "Noted: worker {name} is let go of. Watch it: kubectl get {} -n {} {} -w",
        DatabaseKind::KubeBlocksCluster.plural(),
        args.database_namespace,
        args.database
    );
    Ok(ExitCode::SUCCESS)
}

fn refused(fault: &Fault, called: &str) -> String {
    match fault.status().map(|status| status.code) {
        Some(409) => format!("database {called} has just changed; look at it, and say it again"),
        _ => format!("database {called} cannot be annotated: {fault}"),
    }
}

/// What is let go of, in words; or why that is not to be.
fn left(cluster: &Cluster, name: &WorkerName, worker: Option<&K8sCluster>) -> Result<String, String> {
    let called = format!("{}/{}", cluster.namespace().unwrap_or_default(), cluster.name_any());
    if cluster.metadata.deletion_timestamp.is_none() {
        return Err(format!("nobody has deleted database {called}; it runs on. Delete it first, if it is to go"));
    }
    let record = cluster.status.as_ref().and_then(|status| status.atoll.as_ref());
    let members: Vec<_> =
        record.into_iter().flat_map(|record| &record.members).filter(|member| &member.worker == name).collect();
    if members.is_empty() {
        return Err(match record.map(workers).filter(|workers| !workers.is_empty()) {
            Some(workers) => format!("database {called} has no member in worker {name}, but in {workers}"),
            None => format!("database {called} has no member in worker {name}"),
        });
    }
    let condition = |kind: &str| {
        let conditions = worker.and_then(|worker| worker.status.as_ref()).map(|status| &status.conditions);
        conditions.into_iter().flatten().find(|condition| condition.kind == kind)
    };
    let ready = condition("Ready");
    if ready.is_some_and(|ready| ready.status == "True") {
        return Err(format!(
            "worker {name} can be seen, so that what is left there is deleted as a matter of course; the condition \
             Deletable of {called} says what it waits for"
        ));
    }
    let names = cluster.compile(&crate::dialect::Settings::default());
    let volumes = match names.on_delete {
        OnDelete::Refuse => {
            return Err(format!("the termination policy of {called} is DoNotTerminate: change it first"));
        }
        OnDelete::KeepVolumes => "stays, as the termination policy says",
        OnDelete::RemoveVolumes | OnDelete::Wipe => "is deleted as well, as the termination policy says",
    };
    let each = |member: &&Member| {
        let claims: Vec<_> =
            names.volumes.iter().map(|volume| names.names.claim(&volume.name, &member.name).to_string()).collect();
        format!("  {}  volume claim {}", member.name, claims.join(", "))
    };
    let lines: Vec<_> = members.iter().map(each).collect();
    // Whatever else holds the deletion holds this as well.
    let held = cluster.status.iter().flat_map(|status| &status.conditions).find(|condition| {
        condition.kind == "Deletable"
            && condition.status == "False"
            && !["ObjectsLeft", "LookingForOthers"].contains(&condition.reason.as_str())
    });
    let held = held.map_or_else(String::new, |held| {
        format!(
            "\nFirst something else has to be settled, on which the deletion waits ({}): {}",
            held.reason, held.message
        )
    });
    let why = match (worker, ready) {
        (None, _) => "there is no K8sCluster of that name".to_owned(),
        (Some(_), None) => "its controller has not looked at it yet".to_owned(),
        (Some(_), Some(ready)) => format!("{} since {}: {}", ready.reason, ready.last_transition_time, ready.message),
    };
    let then = if worker.is_some() {
        format!(
            "A debt will be recorded in K8sCluster {name}. When the worker returns, pods, jobs and services of this database \
             are deleted there; its data {volumes}. Until then its pods may run on there, unwatched."
        )
    } else {
        "No debt can be recorded. Should the cluster be registered again, what is left there is reported and never \
         deleted by itself. Until then its pods may run on there, unwatched."
            .to_owned()
    };
    Ok(format!(
        "Worker {name} cannot be seen ({why}).\nOf database {called} there may be left there:\n{}\n{then}{held}",
        lines.join("\n")
    ))
}

fn workers(record: &Record) -> String {
    record.workers().into_iter().map(WorkerName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::plan::{database::DatabaseKind, testing};

    fn database(change: impl FnOnce(&mut Value)) -> Cluster {
        let mut cluster = json!({
            "apiVersion": "apps.kubeblocks.io/v1alpha1", "kind": DatabaseKind::KubeBlocksCluster.word(),
            "metadata": { "namespace": "default", "name": "db", "uid": "uid-db",
                "deletionTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "terminationPolicy": "Delete", "componentSpecs": [{ "name": "etcd", "componentDef": "etcd-0.9.0",
                "replicas": 3, "volumeClaimTemplates": [{ "name": "data",
                    "spec": { "resources": { "requests": { "storage": "1Gi" } } } }] }] },
            "status": { "atoll": testing::placed(&testing::database()) },
        });
        change(&mut cluster);
        serde_json::from_value(cluster).unwrap()
    }

    fn worker(status: &str) -> K8sCluster {
        let ready = json!({ "type": "Ready", "status": status, "reason": "Unreachable", "message": "timed out",
            "lastTransitionTime": "2026-01-01T00:00:00Z" });
        let cluster = json!({ "apiVersion": "k8s.oceanbase.com/v1alpha1", "kind": "K8sCluster",
            "metadata": { "name": "b" }, "spec": { "name": "b" }, "status": { "conditions": [ready] } });
        serde_json::from_value(cluster).unwrap()
    }

    #[test]
    fn what_is_let_go_of_is_shown_first() {
        let b = WorkerName::from("b");
        let shown = left(&database(|_| {}), &b, Some(&worker("False"))).unwrap();
        for words in
            ["db-etcd-1  volume claim data-db-etcd-1", "timed out", "A debt will be recorded", "is deleted as well"]
        {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        assert!(!shown.contains("db-etcd-0"), "{shown}");
        let held = json!([{ "type": "Deletable", "status": "False", "reason": "ManyBeingDeleted", "message": "5 of 5",
            "lastTransitionTime": "2026-01-01T00:00:00Z" }]);
        let shown =
            left(&database(|db| db["status"]["conditions"] = held.clone()), &b, Some(&worker("False"))).unwrap();
        assert!(shown.contains("(ManyBeingDeleted): 5 of 5"), "{shown}");
        let shown = left(&database(|db| db["spec"]["terminationPolicy"] = "Halt".into()), &b, None).unwrap();
        assert!(shown.contains("No debt can be recorded"), "{shown}");
    }

    #[test]
    fn what_is_not_to_be_let_go_of_is_refused_in_words() {
        let running = database(|db| db["metadata"]["deletionTimestamp"] = Value::Null);
        let kept = database(|db| db["spec"]["terminationPolicy"] = "DoNotTerminate".into());
        for (cluster, name, status, words) in [
            (&running, "b", "False", "nobody has deleted database default/db"),
            (&kept, "b", "False", "DoNotTerminate"),
            (&database(|_| {}), "z", "False", "has no member in worker z, but in a, b, c"),
            (&database(|_| {}), "b", "True", "can be seen"),
        ] {
            let why = left(cluster, &WorkerName::from(name), Some(&worker(status))).unwrap_err();
            assert!(why.contains(words), "{words}: {why}");
        }
    }
}
