//! One user of the lab at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// Held until it is dropped; the kernel lets it go with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub fn take() -> Result<Self> {
        Self::take_at(Path::new("/run/atoll-lab.lock"))
    }

    fn take_at(path: &Path) -> Result<Self> {
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .or_cannot(|| format!("open {} (root is needed: sudo -E)", path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    drop(file.read_to_string(&mut holder));
                    return Err(Error::Busy { path: path.to_owned(), holder: holder.trim().to_owned() });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(Error::Io { what: format!("lock {}", path.display()), source });
                }
            }
            // The last holder may have removed the file between the two calls.
            let same = std::fs::metadata(path).ok().zip(file.metadata().ok()).is_some_and(|(a, b)| a.ino() == b.ino());
            if same {
                let command = std::env::args().take(3).collect::<Vec<_>>().join(" ");
                drop(file.set_len(0));
                drop(writeln!(file, "process {}: {command}", std::process::id()));
                return Ok(Self { file, path: path.to_owned() });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
        drop(self.file.unlock());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_second_user_is_told_about_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::take_at(&path).unwrap();
        let error = Lock::take_at(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        assert!(!path.exists());
        Lock::take_at(&path).unwrap();
    }
}
