//! `atoll switchover`: has one member of a database lead.

use std::{process::ExitCode, time::Duration};

use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::master;
use crate::{
    dialect::{Dialect, kubeblocks::Cluster},
    plan::{
        database::SWITCHOVER,
        record::{Member, Part, Record},
        report::seconds,
    },
    worker::{failpoint::Failpoint, fault::call},
};

/// How often the outcome is looked at.
const GLANCE: Duration = Duration::from_millis(500);

/// Who is to lead.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database.
    database: String,
    /// Its namespace.
    #[arg(short = 'n', long = "database-namespace", value_name = "NAMESPACE", default_value = "default")]
    database_namespace: String,
    /// The member that is to lead; `atoll status` lists them.
    #[arg(long, value_name = "MEMBER")]
    to: String,
    /// How long to wait until it does, in seconds; 0 to ask for it and not to wait.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    #[command(flatten)]
    master: master::Args,
}

/// Asks the controller for it, and waits until it is done.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    let (client, _) = args.master.client(&Failpoint::default()).await?;
    let clusters: Api<Cluster> = Api::namespaced(client, &args.database_namespace);
    let called = format!("{}/{}", args.database_namespace, args.database);
    let read =
        async || call(clusters.get(&args.database)).await.map_err(|fault| master::unread_database(&called, &fault));
    let cluster = read().await?;
    may_lead(cluster.record(), &args.to).map_err(|why| format!("{called}: {why}"))?;
    let words = format!("{}/{}", args.to, seconds(Timestamp::now()));
    let patch = json!({ "metadata": { "uid": cluster.uid(), "annotations": { SWITCHOVER: words } } });
    call(clusters.patch(&args.database, &PatchParams::default(), &Patch::Merge(&patch)))
        .await
        .map_err(|fault| format!("database {called} cannot be changed: {fault}"))?;
    println!("Asked for: {} is to lead {called}.", args.to);
    let attempts = Duration::from_secs(args.wait).as_millis() / GLANCE.as_millis();
    for _ in 0..attempts {
        tokio::time::sleep(GLANCE).await;
        let cluster = read().await?;
        if cluster.record().is_some_and(|record| record.handed_over.as_ref() == Some(&words)) {
            may_lead(cluster.record(), &args.to).map_err(|why| format!("{} does not lead: {why}", args.to))?;
            println!("{} leads.", args.to);
            return Ok(ExitCode::SUCCESS);
        }
    }
    if args.wait == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let cluster = read().await?;
    let waits = cluster.status.as_ref().and_then(|status| status.operation.as_ref());
    let why = waits.and_then(|operation| operation.waiting_for.clone());
    Err(format!(
        "{} does not lead after {} s ({}). It is still asked for; `atoll status {called}` shows how far it is",
        args.to,
        args.wait,
        why.unwrap_or_else(|| "is a controller running?".to_owned())
    ))
}

/// Whether a member can lead at all.
fn may_lead(record: Option<&Record>, to: &str) -> Result<(), String> {
    let Some(record) = record else { return Err("it has no members yet".to_owned()) };
    match record.member(to).map(|member| member.part) {
        Some(Part::Voter) => Ok(()),
        Some(Part::Joining) => Err(format!("{to} has no vote yet")),
        Some(Part::Leaving | Part::Removed | Part::GivenUp) => Err(format!("{to} is leaving")),
        None => {
            let members: Vec<_> = record.voters().map(|Member { name, .. }| name.as_str()).collect();
            Err(format!("there is no member {to}; its members are {}", members.join(", ")))
        }
    }
}
