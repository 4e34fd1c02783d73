//! `atoll ask`.

use std::process::ExitCode;

pub use crate::admin::ask::Args;

/// Asks.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    Ok(crate::admin::ask::ask(&args).await)
}
