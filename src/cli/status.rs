//! `atoll status`: which member is where, how it is, and what is waited for.

use std::{io::Write as _, process::ExitCode};

use kube::{Api, ResourceExt, api::ListParams};

use super::{master, table::table};
use crate::{
    dialect::{
        k8scluster::{K8sCluster, K8sClusterStatus},
        kubeblocks::{Cluster, ClusterStatus},
    },
    plan::{
        operation::{self, StatusOperation},
        report::{MemberReport, MemberState, StatusCondition},
    },
    worker::{
        failpoint::Failpoint,
        fault::{Fault, call},
    },
};

/// What is to be shown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One database, as NAME or NAMESPACE/NAME; all of them if not given.
    database: Option<String>,
    #[command(flatten)]
    master: master::Args,
}

/// Shows databases, and the workers under them.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    let (client, _) = args.master.client(&Failpoint::default()).await?;
    let clusters: Api<Cluster> = Api::all(client.clone());
    let workers: Api<K8sCluster> = Api::all(client);
    let everything = ListParams::default();
    let (clusters, workers) = futures::join!(call(clusters.list(&everything)), call(workers.list(&everything)));
    let clusters = clusters.map_err(|fault| format!("databases cannot be listed: {fault}{}", hint(&fault)))?;
    let wanted = |cluster: &&Cluster| args.database.as_deref().is_none_or(|wanted| called(cluster, wanted));
    let chosen: Vec<_> = clusters.items.iter().filter(wanted).collect();
    if let (Some(name), true) = (&args.database, chosen.is_empty()) {
        return Err(format!("there is no database {name}; `atoll status` lists those there are"));
    }
    let mut text: String = chosen.iter().map(|cluster| database(cluster) + "\n").collect();
    if chosen.is_empty() {
        text += "no databases\n\n";
    }
    if args.database.is_none() {
        text += &match workers {
            Ok(workers) => worker_table(&workers.items),
            Err(fault) => format!("workers cannot be listed: {fault}\n"),
        };
    }
    // Whoever reads the first lines alone (`| head`) hears no complaint about the rest.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("nothing can be shown: {error}")),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn hint(fault: &Fault) -> &'static str {
    if fault.is_not_found() || fault.status().is_some_and(|status| status.code == 404) {
        ". Are Atoll's CRDs installed there? `atoll crds apply` does it, and `atoll check` says what else is amiss"
    } else {
        ""
    }
}

fn called(cluster: &Cluster, wanted: &str) -> bool {
    match wanted.split_once('/') {
        Some((namespace, name)) => cluster.namespace().as_deref() == Some(namespace) && cluster.name_any() == name,
        None => cluster.name_any() == wanted,
    }
}

fn database(cluster: &Cluster) -> String {
    let none = ClusterStatus::default();
    let status = cluster.status.as_ref().unwrap_or(&none);
    let phase = status.phase.as_deref().unwrap_or("not looked at yet: is a controller running?");
    let mut text = format!("{}/{}  {phase}\n", cluster.namespace().unwrap_or_default(), cluster.name_any());
    if let Some(message) = &status.message {
        text += &format!("  {message}\n");
    }
    if let Some(operation) = &status.operation {
        text += &format!("  {}\n", under_way(operation));
    }
    if !status.members.is_empty() {
        let rows: Vec<_> = status.members.iter().map(member).collect();
        for line in table(["MEMBER", "WORKER", "ROLE", "STATE", "SINCE", "CLIENTS AT"], &rows).lines() {
            text += &format!("  {line}\n");
        }
    }
    for condition in status.conditions.iter().filter(|condition| worth_a_line(condition)) {
        text += &format!("  {}: {} ({})\n", condition.kind, condition.message, condition.reason);
    }
    text
}

fn under_way(operation: &StatusOperation) -> String {
    let StatusOperation { name, step, done, total, waiting_for, since } = operation;
    let waits = waiting_for.as_ref().map(|why| format!(", waiting: {why}")).unwrap_or_default();
    format!("{name} since {since}, {done} of {total} done: {step}{waits}")
}

fn member(member: &MemberReport) -> [String; 6] {
    let state = match member.state {
        MemberState::Waiting => "waiting",
        MemberState::NotReady => "not ready",
        MemberState::Ready => "ready",
        MemberState::Unknown => "unknown",
        MemberState::Lost => "lost",
    };
    let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".to_owned());
    [
        member.name.to_string(),
        member.worker.to_string(),
        text(&member.role),
        state.to_owned(),
        text(&member.since),
        text(&member.client),
    ]
}

/// What is in order needs no line.
fn worth_a_line(condition: &StatusCondition) -> bool {
    match condition.kind.as_str() {
        // Said above already, by us or in the vendor's words.
        "Ready" | "ProvisioningStarted" | "ApplyResources" | "ReplicasReady" => false,
        // Said above as what is under way.
        "UpToDate" if operation::Kind::is_under_way(&condition.reason) => false,
        "ExposedWithoutTLS" => condition.status == "True",
        _ => condition.status != "True",
    }
}

/// What a person should know of a worker: what is wrong, and what was said of it.
fn worker_message(worker: &K8sCluster, status: &K8sClusterStatus) -> String {
    let find = |kind| status.conditions.iter().find(|condition| condition.kind == kind);
    let amiss = |kind| find(kind).filter(|condition| condition.status != "True");
    let marked = worker.spec.unavailable.then(|| "marked unavailable".to_owned());
    // One that is ready may have stopped answering a moment ago, or may not be got into again.
    let told = amiss("Ready").or(amiss("Reachable")).or(find("CredentialsCurrent")).or(find("Ready"));
    let told = told.map_or_else(|| "not looked at yet".to_owned(), |condition| condition.message.clone());
    let others = ["Deletable", "DebtsPaid"].into_iter().filter_map(find).map(|condition| condition.message.clone());
    marked.into_iter().chain([told]).chain(others).collect::<Vec<_>>().join("; ")
}

fn worker_table(workers: &[K8sCluster]) -> String {
    let rows: Vec<_> = workers
        .iter()
        .map(|worker| {
            let status = worker.status.clone().unwrap_or_default();
            let find = |kind| status.conditions.iter().find(|condition| condition.kind == kind);
            let ready = find("Ready");
            let none = || "-".to_owned();
            [
                worker.name_any(),
                worker.spec.name.clone(),
                ready.map_or_else(none, |condition| condition.status.clone()),
                find("Reachable").map_or_else(none, |condition| condition.status.clone()),
                ready.map_or_else(none, |condition| condition.last_transition_time.clone()),
                status.version.clone().unwrap_or_else(none),
                worker_message(worker, &status),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "no workers: register one with a K8sCluster\n".to_owned();
    }
    table(["WORKER", "CLUSTERNAME", "READY", "REACHABLE", "SINCE", "VERSION", "MESSAGE"], &rows)
}
