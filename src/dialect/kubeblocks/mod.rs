//! KubeBlocks: `Cluster`, apps.kubeblocks.io/v1alpha1, as documents 001 and 002 print it.

pub mod compile;
pub mod crd;
pub mod status;
#[cfg(test)]
mod tests;

pub use compile::compile;
pub use crd::{Cluster, ClusterSpec, ClusterStatus};
