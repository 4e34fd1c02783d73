//! Where something runs, as networks between clusters see it.

use std::fmt;

/// The cluster that the controller runs in, by its name.
pub const MASTER: &str = "master";

/// Where something runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Where the controller runs.
    Master,
    /// In a cluster, by its name.
    Cluster(String),
}

impl Place {
    /// The place of a cluster: the master's is the controller's own.
    pub fn of(cluster: &str) -> Self {
        if cluster == MASTER { Self::Master } else { Self::Cluster(cluster.to_owned()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master => f.write_str(MASTER),
            Self::Cluster(name) => f.write_str(name),
        }
    }
}
