//! The programs under test, built if they are not: `atoll`, and `lab` (which runs the clusters' add-ons).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, Trouble};

/// The repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// An example's file.
pub fn example(path: &str) -> Outcome<String> {
    let path = repository().join("examples").join(path);
    std::fs::read_to_string(&path).map_err(|error| Trouble::new(format!("{}: {error}", path.display())))
}

/// Builds what the lab and the tests run, saying how far it is; a moment where nothing changed.
pub fn build() -> Outcome {
    cargo(&["build", "-p", "atoll-lab", "--bin", "lab"])?;
    if std::env::var_os(ATOLL).is_none() {
        cargo(&["build", "-p", "atoll", "--bin", "atoll"])?;
    }
    lab::Lab::build(false)?;
    Ok(())
}

/// Names another `atoll` than the one of this repository, for instance one that was built for release.
const ATOLL: &str = "ATOLL_BIN";

/// Where `atoll` is: beside this very program, as cargo puts them.
pub fn atoll() -> Outcome<PathBuf> {
    if let Some(path) = std::env::var_os(ATOLL) {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join("atoll")).find(|path| path.is_file());
    beside.ok_or_else(|| Trouble::new(format!("atoll is not built (looked beside {}): cargo build", own.display())))
}

fn cargo(arguments: &[&str]) -> Outcome {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // A test is run with its own crate's variables; another build must not see them as its own.
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_"))) {
        command.env_remove(name);
    }
    let status = command.arg("--quiet").args(arguments).current_dir(repository()).status()?;
    if status.success() { Ok(()) } else { Err(Trouble::new(format!("cargo {} failed", arguments.join(" ")))) }
}
