//! `atoll check`: is the installation as it should be?

use std::process::ExitCode;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt};

use super::master;
use crate::{
    controller::claim::{Standing, judge},
    dialect::crds,
    worker::{failpoint::Failpoint, fault::call},
};

/// What is to be checked.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    master: master::Args,
    /// Which installation's CRDs are ours.
    #[arg(long, value_name = "NAME", default_value = super::crds::INSTALLATION)]
    installation: String,
}

/// Checks, and says of everything that is amiss what to do.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    let master = args.master.connect(&Failpoint::default()).await?;
    let kinds: Api<CustomResourceDefinition> = Api::all(master.client.clone());
    let mut fine = true;
    println!("Resource kinds in the master ({})", master.uid);
    for crd in crds() {
        let name = crd.name_any();
        let there = call(kinds.get_opt(&name)).await.map_err(|fault| format!("{name}: {fault}"))?;
        let standing = judge(there.as_ref(), &args.installation);
        fine &= standing == Standing::Ours;
        let told = match &standing {
            Standing::Ours if there.is_some_and(|crd| crd.metadata.deletion_timestamp.is_some()) => {
                "ours, being deleted: its databases are held until confirmed".to_owned()
            }
            Standing::Ours => "ours".to_owned(),
            Standing::Missing => "missing: `atoll crds apply` installs it".to_owned(),
            Standing::Foreign { who } => format!("{who}'s: not served here, neither watched nor written"),
        };
        println!("  {name}: {told}");
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::from(2) })
}
