//! Where something runs, as networks between clusters see it.

use std::fmt;

/// Where something runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Where the controller runs.
    Master,
    /// In a cluster, by its name.
    Cluster(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master => f.write_str("master"),
            Self::Cluster(name) => f.write_str(name),
        }
    }
}
