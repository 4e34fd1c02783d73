//! What a server held at one moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::process::Home;
use crate::error::{Context, Result, make_dir};

/// A copy of an etcd's data. It may be put back into its server, or into another one, which then looks as if it had
/// been restored from the first one's backup (it has the same identity).
#[derive(Debug)]
pub struct Snapshot {
    dir: PathBuf,
    /// The copy is in its server's directory, which must stay as long.
    _home: Arc<Home>,
}

impl Snapshot {
    pub(super) fn take(home: &Arc<Home>, number: usize) -> Result<Self> {
        let snapshot = Self { dir: home.path().join(format!("snapshot-{number}")), _home: home.clone() };
        copy(&home.path().join("etcd"), &snapshot.dir)?;
        Ok(snapshot)
    }

    pub(super) fn put_back(&self, target: &Path) -> Result<()> {
        if target.exists() {
            std::fs::remove_dir_all(target).or_cannot(|| format!("remove {}", target.display()))?;
        }
        copy(&self.dir, target)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    make_dir(to)?;
    let cannot = || format!("copy {}", from.display());
    for entry in from.read_dir().or_cannot(cannot)? {
        let entry = entry.or_cannot(cannot)?;
        let target = to.join(entry.file_name());
        if entry.file_type().or_cannot(cannot)?.is_dir() {
            copy(&entry.path(), &target)?;
        } else if entry.path().extension().is_none_or(|extension| extension != "tmp") {
            // The others are segments of the log that were made in advance, 64 MB each.
            std::fs::copy(entry.path(), target).or_cannot(cannot)?;
        }
    }
    Ok(())
}
