//! ob-operator's `K8sCluster`: how workers are registered and what is told of them. Pure.

pub mod crd;
pub mod names;
pub mod status;
pub mod usage;

pub use crd::{K8sCluster, K8sClusterSpec, K8sClusterStatus};
