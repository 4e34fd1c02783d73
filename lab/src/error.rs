//! What can go wrong, and what a person can do about it.

use std::path::{Path, PathBuf};

/// Why the lab could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine lacks something; every line says what, and how to get it.
    #[error("this machine cannot run the lab yet:\n{}", .0.iter().map(|need| format!("  - {need}")).collect::<Vec<_>>().join("\n"))]
    Preflight(Vec<String>),
    /// A program that the lab uses ended with an error.
    #[error("`{command}` failed: {output}")]
    Command {
        /// What was run.
        command: String,
        /// What it said.
        output: String,
    },
    /// A file, directory or process could not be used.
    #[error("cannot {what}: {source}")]
    Io {
        /// The attempt, in words.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A Go component could not be built.
    #[error("building {component} failed; the whole output is in {}:\n{tail}", log.display())]
    Build {
        /// The program.
        component: String,
        /// Where its output is.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// No lab runs.
    #[error("no lab is running (nothing at {}); start one with `lab up`", .0.display())]
    NotRunning(PathBuf),
    /// Another process uses the lab.
    #[error("another process uses the lab (it holds {}); wait for it, or end it: {holder}", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// What is known about the other process.
        holder: String,
    },
    /// A name that is no cluster or node.
    #[error("there is no {name:?} in this lab; there are: {known}")]
    UnknownPlace {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A name that is no process of this place.
    #[error("{place} has no process {name:?}; it has: {known}")]
    UnknownProcess {
        /// The cluster or node.
        place: String,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A process cannot get a signal or be started in its present state.
    #[error("{process} of {place} {trouble}")]
    Process {
        /// The cluster or node.
        place: String,
        /// The process.
        process: String,
        /// Its state, and what to do.
        trouble: String,
    },
    /// Something did not become ready in time.
    #[error("{what} was not ready within {seconds} s: {last}; see {}", log.display())]
    NotReady {
        /// Who was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// The last answer.
        last: String,
        /// Where to look.
        log: PathBuf,
    },
    /// An API server refused, or gave no answer.
    #[error("the API server of {cluster} did not answer {request} as hoped: {reason}")]
    Api {
        /// The cluster.
        cluster: String,
        /// Method and path.
        request: String,
        /// What it said.
        reason: String,
    },
    /// Options that contradict each other or are out of range.
    #[error("{0}")]
    Options(String),
    /// A certificate could not be made.
    #[error("cannot make the certificate of {name}: {source}")]
    Certificate {
        /// For whom.
        name: String,
        /// What the library said.
        source: rcgen::Error,
    },
    /// A file of the lab's own does not hold what it should.
    #[error("{} is not what the lab wrote there ({reason}); `lab down` and `lab up` make it anew", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `lab down` could not remove everything.
    #[error("these are left and could not be removed: {}", .0.join(", "))]
    Leftovers(Vec<String>),
    /// An add-ons process could not start, or had to stop.
    #[error(transparent)]
    Addons(#[from] crate::addons::Error),
}

/// The lab's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Gives an I/O error the words that it lacks.
pub(crate) trait Context<T> {
    /// Says what was attempted.
    fn or_cannot(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn or_cannot(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}

pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).or_cannot(|| format!("read {}", path.display()))
}

pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(path, text).or_cannot(|| format!("write {}", path.display()))
}

pub(crate) fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).or_cannot(|| format!("make the directory {}", path.display()))
}

/// Writes a file so that a reader sees the old one or the new one, never a part.
pub(crate) fn write_whole(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    write(&partial, text)?;
    std::fs::rename(&partial, path).or_cannot(|| format!("put {} in place", path.display()))
}
