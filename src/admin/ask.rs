//! `atoll ask`: what a job in a worker runs to put a question to a member from there.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use super::{Deadline, http, pod::TERMINATION_LOG, termination};
use crate::engine::{HttpReply, HttpRequest};

/// How long the job's own question may take.
const WITHIN: Duration = Duration::from_secs(5);

/// The arguments of `atoll ask`. They hold no secrets: everyone who may read pods sees them.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Who is asked, HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    pub address: String,
    /// What is asked: a JSON list of {"method", "path", "body"}.
    #[arg(long, value_name = "JSON")]
    pub requests: String,
    /// Where the outcome is written.
    #[arg(long, value_name = "FILE", default_value = TERMINATION_LOG)]
    pub output: PathBuf,
}

/// Asks, and writes the outcome. Fails only if nothing could be written: a silence is an outcome too.
pub async fn ask(args: &Args) -> ExitCode {
    let outcome = replies(&args.address, &args.requests).await;
    match write(&args.output, &termination::pack(outcome.as_deref().map_err(Clone::clone))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(output = %args.output.display(), %error, "the outcome cannot be written");
            ExitCode::FAILURE
        }
    }
}

async fn replies(address: &str, requests: &str) -> Result<Vec<HttpReply>, String> {
    let requests: Vec<HttpRequest> =
        serde_json::from_str(requests).map_err(|error| format!("--requests is not a list of requests: {error}"))?;
    http::ask(address, &requests, Deadline::after(WITHIN)).await.map_err(|silence| silence.to_string())
}

/// The file is a mount that Kubernetes made: it is written into, never replaced.
fn write(output: &Path, message: &str) -> std::io::Result<()> {
    std::fs::write(output, message)
}
