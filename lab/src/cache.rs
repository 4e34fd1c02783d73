//! Where things are kept: the cache (survives `down`), the state (does not) and the sockets.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Context, Result, make_dir};

/// The directories of a lab.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// Binaries, packages and image archives: `$ATOLL_LAB_CACHE`, `$XDG_CACHE_HOME/atoll-lab` or `~/.cache/atoll-lab`.
    pub cache: PathBuf,
    /// Everything that a running lab writes: `$ATOLL_LAB_STATE` or `/var/lib/atoll-lab`.
    pub state: PathBuf,
    /// Sockets, whose paths must be short, and the lock: always `/run/atoll-lab`.
    pub run: PathBuf,
}

impl Dirs {
    /// As the environment says.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from(&|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    fn from(var: &dyn Fn(&str) -> Option<PathBuf>) -> Self {
        let cache = var("ATOLL_LAB_CACHE")
            .or_else(|| var("XDG_CACHE_HOME").map(|base| base.join("atoll-lab")))
            .or_else(|| var("HOME").map(|home| home.join(".cache/atoll-lab")))
            .unwrap_or_else(|| "/var/cache/atoll-lab".into());
        let state = var("ATOLL_LAB_STATE").unwrap_or_else(|| "/var/lib/atoll-lab".into());
        Self { cache, state, run: "/run/atoll-lab".into() }
    }
}

/// A short name for these bytes, the same on every machine.
#[must_use]
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        // With its length before it, so that no two lists of parts look alike.
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())[..16].to_owned()
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Makes something in a directory of its own and puts it in place at once, so that what is there is whole.
///
/// Two processes that do this at the same time both succeed; the first one's work stays.
pub(crate) fn publish(target: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if target.exists() {
        return Ok(());
    }
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".partial-{}", std::process::id()));
    let partial = PathBuf::from(name);
    sweep(target);
    make_dir(&partial)?;
    let made = make(&partial).and_then(|()| match std::fs::rename(&partial, target) {
        Err(_) if target.exists() => Ok(()),
        renamed => renamed.or_cannot(|| format!("put {} in place", target.display())),
    });
    drop(std::fs::remove_dir_all(&partial));
    made
}

/// Removes what processes left half made that are no more (or had this one's number).
fn sweep(target: &Path) {
    let Some((directory, name)) = target.parent().zip(target.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    for entry in std::fs::read_dir(directory).into_iter().flatten().filter_map(std::result::Result::ok) {
        let file = entry.file_name().to_string_lossy().into_owned();
        let owner = file.strip_prefix(name).and_then(|rest| rest.strip_prefix(".partial-")?.parse::<i32>().ok());
        let own = i32::try_from(std::process::id()).ok();
        if owner.is_some_and(|pid| Some(pid) == own || !crate::process::lives(pid)) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_the_environment_in_order() {
        let with = |pairs: &'static [(&str, &str)]| {
            Dirs::from(&move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())).cache
        };
        assert_eq!(with(&[("ATOLL_LAB_CACHE", "/a"), ("HOME", "/h")]), Path::new("/a"));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]), Path::new("/x/atoll-lab"));
        assert_eq!(with(&[("HOME", "/h")]), Path::new("/h/.cache/atoll-lab"));
    }

    #[test]
    fn a_fingerprint_tells_where_one_part_ends() {
        assert_ne!(fingerprint([b"ab".as_slice(), b"c"]), fingerprint([b"a".as_slice(), b"bc"]));
    }

    #[test]
    fn what_fails_half_way_is_never_in_place() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("thing");
        let failed = publish(&target, |dir| {
            crate::error::write(&dir.join("half"), "x")?;
            Err(crate::Error::Options("stop".into()))
        });
        assert!(failed.is_err() && !target.exists());
        std::fs::create_dir(base.path().join("thing.partial-999999999")).unwrap();
        publish(&target, |dir| crate::error::write(&dir.join("whole"), "x")).unwrap();
        assert!(target.join("whole").exists());
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 1);
    }
}
