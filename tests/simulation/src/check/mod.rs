//! Checks: what must hold after every event (`S…`, `D…`), each a small machine that sees the tape and the truth.

use std::{collections::BTreeMap, fmt, time::Duration};

use apiserver::ApiServer;

use crate::{
    addresses::Addresses,
    etcd::Etcds,
    tape::{Event, Site},
};

/// What really is, which the controller can only ask for.
#[derive(Clone)]
pub struct Truth {
    /// The API server behind each address.
    pub servers: BTreeMap<Site, ApiServer>,
    /// Every etcd process and every data directory.
    pub etcds: Etcds,
    /// Texts that must never leave the process.
    pub canaries: Vec<String>,
    /// Which of them answers the controller at each address.
    pub addresses: Addresses,
}

/// Something that must never happen has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which check says so.
    pub check: &'static str,
    /// When.
    pub at: Duration,
    /// What.
    pub words: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3} s: {}", self.check, self.at.as_secs_f64(), self.words)
    }
}

/// Looks at everything that happens.
pub trait Check: Send {
    /// Its name: `S4 volumes` …
    fn name(&self) -> &'static str;

    /// Looks at one event. The words of an error say what was violated.
    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String>;
}
