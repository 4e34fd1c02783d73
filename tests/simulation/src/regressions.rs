//! Scripts that once showed a bug of Atoll's own. They are kept as files in `regressions/`, named after what went wrong,
//! and are played again by a test and by `sim ci`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{campaign::Plan, script::Script};

/// Where they are kept.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

/// Every script that is kept, in the order of their names.
///
/// # Errors
/// The first file that cannot be read, or is no script.
pub fn plans() -> Result<Vec<Plan>, String> {
    let said = |error: std::io::Error| format!("{}: {error}", folder().display());
    let entries = fs::read_dir(folder()).map_err(said)?.collect::<Result<Vec<_>, _>>().map_err(said)?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().map(|file| Ok(Plan { name: name(file), script: Script::read(file)? })).collect()
}

/// What went wrong, as the file's name says it.
fn name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().replace('-', " ")
}
