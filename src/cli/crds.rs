//! `atoll crds`: print Atoll's CRDs, or install them.

use std::{path::PathBuf, process::ExitCode};

use kube::ResourceExt;

use super::master;
use crate::{
    controller::claim::{Installed, claimed, install},
    dialect::crds,
    worker::failpoint::Failpoint,
};

/// The installation that CRDs are claimed for, unless another is named.
pub const INSTALLATION: &str = "atoll";

/// What is to be done with the CRDs.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Write one file for each CRD into this folder instead of printing them.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// Which installation claims them.
    #[arg(long, value_name = "NAME", default_value = INSTALLATION, global = true)]
    installation: String,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Install them in the master: those that are missing or ours. Somebody else's are left alone.
    Apply {
        #[command(flatten)]
        master: master::Args,
    },
}

/// Prints the CRDs as YAML, or installs them.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    let Some(Action::Apply { master }) = args.action else {
        return print(&args).map(|()| ExitCode::SUCCESS);
    };
    let (client, _) = master.client(&Failpoint::default()).await?;
    let mut all_ours = true;
    for crd in crds() {
        let name = crd.name_any();
        let installed = install(&client, crd, &args.installation).await.map_err(|fault| format!("{name}: {fault}"))?;
        match installed {
            Installed::Created => println!("{name}: created"),
            Installed::Applied => println!("{name}: up to date"),
            Installed::LeftAlone { who } => {
                all_ours = false;
                println!("{name}: {who}'s, left alone; Atoll does not serve it here");
            }
        }
    }
    Ok(if all_ours { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn print(args: &Args) -> Result<(), String> {
    for crd in crds() {
        let name = crd.name_any();
        let yaml = serde_saphyr::to_string(&claimed(crd, &args.installation))
            .map_err(|error| format!("{name} cannot be written as YAML: {error}"))?;
        match &args.into {
            None => print!("---\n{yaml}"),
            Some(folder) => {
                let file = folder.join(format!("{name}.yaml"));
                std::fs::write(&file, yaml).map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
    }
    Ok(())
}
