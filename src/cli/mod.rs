//! The command line: what a person can ask of Atoll.

mod ask;
mod check;
mod crds;
mod dialects;
mod kubeconfigs;
mod logs;
mod master;
mod plan;
mod probe;
mod recover;
mod release;
mod run;
mod status;
mod stop;
mod switchover;
mod table;
mod worker;

use std::process::ExitCode;

pub use crds::INSTALLATION;

use clap::{Parser, Subcommand};

/// Runs one database across many Kubernetes clusters.
///
/// Atoll's controller runs in one cluster, the master. Each further cluster, a worker, is registered there by a
/// K8sCluster. A database is a resource in the master; its pods, services and volumes are in the workers.
///
/// First steps:
///   atoll crds apply               install Atoll's resource kinds in the master
///   atoll run                      run the controller (in the master, or from anywhere with a kubeconfig)
///   kubectl apply -f worker.yaml   register a worker (kind K8sCluster)
///   atoll check                    are the kinds ours, the workers reachable, the permissions enough?
///   atoll plan cluster.yaml        what would this manifest make, and where?
///   kubectl create -f cluster.yaml make it
///   atoll status                   which member is where, and what is waited for?
///
/// At three in the morning with a cluster down: `atoll status` says which members are gone and why; a database with a
/// majority of its members goes on by itself, and Atoll changes nothing that it cannot see. `atoll worker
/// mark-unavailable NAME` says that the cluster will not be back soon: new databases then go elsewhere at once.
#[derive(Debug, Parser)]
#[command(name = "atoll", version, verbatim_doc_comment, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller.
    Run(Box<run::Args>),
    /// Print Atoll's CustomResourceDefinitions, or install them in the master.
    Crds(crds::Args),
    /// Compile manifests and print what would be made where. Needs no cluster.
    Plan(plan::Args),
    /// Show databases: which member is where, how it is, and what is waited for.
    Status(status::Args),
    Check(Box<check::Args>),
    /// Mark a worker as failed, or as serving again.
    Worker(worker::Args),
    /// Let a deleted database go although a worker that holds members of it cannot be seen.
    Release(release::Args),
    /// Go on from one member of a database that has lost its majority for good.
    Recover(recover::Args),
    /// Have one member of a database lead.
    Switchover(switchover::Args),
    /// Put a question to a member (Atoll runs this in workers, as a job).
    #[command(hide = true)]
    Ask(ask::Args),
    /// Listen or dial (`atoll check --network` runs this in workers, as pods).
    #[command(hide = true)]
    Probe(probe::Args),
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // One TLS provider, chosen before anything can choose another.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed already");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime cannot start: {error}")),
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => run::run(*args).await,
            Command::Crds(args) => crds::run(args).await,
            Command::Plan(args) => plan::run(&args),
            Command::Status(args) => status::run(args).await,
            Command::Check(args) => check::run(*args).await,
            Command::Worker(args) => worker::run(args).await,
            Command::Release(args) => release::run(args).await,
            Command::Recover(args) => recover::run(args).await,
            Command::Switchover(args) => switchover::run(args).await,
            Command::Ask(args) => ask::run(args).await,
            Command::Probe(args) => probe::run(args).await,
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome.unwrap_or_else(|message| fail(&message))
}

fn fail(message: &str) -> ExitCode {
    eprintln!("atoll: {message}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
