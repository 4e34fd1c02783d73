//! The dialects, as the command line names them.

use crate::{dialect::Dialect as _, dialect::kubeblocks::Cluster};

/// A dialect that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DialectName {
    /// KubeBlocks' Cluster.
    Kubeblocks,
}

impl DialectName {
    /// The name of its CRD.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Kubeblocks => Cluster::KIND.plural(),
        }
    }
}
