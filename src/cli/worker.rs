//! `atoll worker`: what a person knows of a worker and Atoll cannot.

use std::process::ExitCode;

use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::master;
use crate::{
    dialect::k8scluster::K8sCluster,
    worker::{failpoint::Failpoint, fault::call},
};

/// Who sets the mark, for the API server's account of who set which field when. Nothing else is set under this name, so
/// that the time beside it is that of the mark.
const MANAGER: &str = "atoll-worker-mark";

/// What is to be done.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say that a worker has failed: databases say that their members there are gone, new ones go elsewhere, and nothing
    /// there is believed or changed. Undone by mark-available. Nothing is deleted or moved by it.
    MarkUnavailable(Named),
    /// Say that a worker serves again. What waited for it goes on by itself.
    MarkAvailable(Named),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The name of its K8sCluster.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    master: master::Args,
}

/// What is said of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Available,
    Unavailable,
}

impl Mark {
    fn of(cluster: &K8sCluster) -> Self {
        if cluster.spec.unavailable { Self::Unavailable } else { Self::Available }
    }

    /// The change that sets it, for exactly this object. What is not marked has no such field.
    fn patch(self, cluster: &K8sCluster) -> Value {
        let unavailable = match self {
            Self::Unavailable => Value::Bool(true),
            Self::Available => Value::Null,
        };
        json!({ "metadata": { "uid": cluster.metadata.uid }, "spec": { "unavailable": unavailable } })
    }

    fn told(self, name: &str) -> String {
        match self {
            Self::Unavailable => format!(
                "worker {name} is marked unavailable.\n\
                 Databases now say which of their members are gone; those with a majority elsewhere go on serving.\n\
                 New databases go to the other workers; those that name {name} wait.\n\
                 Nothing in {name} is changed or deleted until: atoll worker mark-available {name}\n"
            ),
            Self::Available => format!(
                "worker {name} is marked available.\n\
                 As soon as Atoll has reached it, what waited for it goes on by itself: atoll status\n"
            ),
        }
    }

    fn unchanged(self, name: &str) -> String {
        match self {
            Self::Unavailable => format!("worker {name} was marked unavailable already; nothing is changed.\n"),
            Self::Available => format!("worker {name} was not marked unavailable; nothing is changed.\n"),
        }
    }
}

/// Sets or removes a mark.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    let (mark, Named { name, master }) = match args.command {
        Command::MarkUnavailable(named) => (Mark::Unavailable, named),
        Command::MarkAvailable(named) => (Mark::Available, named),
    };
    let (client, _) = master.client(&Failpoint::default()).await?;
    print!("{}", set(&Api::all(client), &name, mark).await?);
    Ok(ExitCode::SUCCESS)
}

async fn set(clusters: &Api<K8sCluster>, name: &str, mark: Mark) -> Result<String, String> {
    let found = call(clusters.get_opt(name)).await.map_err(|fault| format!("K8sCluster {name}: {fault}"))?;
    let Some(cluster) = found else {
        return Err(format!("there is no K8sCluster {name}; `kubectl get k8scluster` lists those there are"));
    };
    if Mark::of(&cluster) == mark {
        return Ok(mark.unchanged(name));
    }
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match call(clusters.patch(name, &params, &Patch::Merge(mark.patch(&cluster)))).await {
        // A CRD of an earlier version drops the field without a word.
        Ok(now) if Mark::of(&now) != mark => Err(format!(
            "the API server took the change of K8sCluster {name} and dropped spec.unavailable: its CRD is of an earlier \
             version. Bring it up to date with `atoll crds apply`, and try again"
        )),
        Ok(_) => Ok(mark.told(name)),
        Err(fault) => Err(format!("K8sCluster {name} cannot be changed, and is not marked: {fault}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::k8scluster::crd::K8sClusterSpec;

    #[test]
    fn a_mark_changes_one_field_of_exactly_this_object_and_goes_without_a_trace() {
        let mut cluster = K8sCluster::new("k8s-2", K8sClusterSpec::default());
        cluster.metadata.uid = Some("u".to_owned());
        assert_eq!(Mark::of(&cluster), Mark::Available);
        let patch = Mark::Unavailable.patch(&cluster);
        assert_eq!(patch, json!({ "metadata": { "uid": "u" }, "spec": { "unavailable": true } }));
        let patch = Mark::Available.patch(&cluster);
        assert_eq!(patch, json!({ "metadata": { "uid": "u" }, "spec": { "unavailable": null } }));
        assert_eq!(serde_json::to_value(&cluster.spec).unwrap(), json!({ "name": "" }));
        cluster.spec.unavailable = true;
        assert_eq!(Mark::of(&cluster), Mark::Unavailable);
    }

    #[test]
    fn a_person_is_told_the_way_back() {
        assert!(Mark::Unavailable.told("k8s-2").contains("atoll worker mark-available k8s-2"));
    }
}
