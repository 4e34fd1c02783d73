//! The dialects, as the command line names them.

use crate::{
    dialect::{Dialect as _, kubeblocks::Cluster},
    plan::database::DatabaseKind,
};

/// A dialect that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DialectName {
    /// KubeBlocks' Cluster.
    Kubeblocks,
}

impl DialectName {
    /// The kind of database that it describes.
    #[must_use]
    pub fn database(self) -> DatabaseKind {
        match self {
            Self::Kubeblocks => Cluster::KIND,
        }
    }

    /// The name of its CRD.
    #[must_use]
    pub fn kind(self) -> &'static str {
        self.database().plural()
    }
}
