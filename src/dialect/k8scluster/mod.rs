//! ob-operator's `K8sCluster`: how workers are registered and what is told of them. Pure.

pub mod crd;
pub mod expiry;
pub mod health;
pub mod names;
pub mod permission;
pub mod setback;
pub mod status;
pub mod usage;

pub use crd::{K8sCluster, K8sClusterSpec, K8sClusterStatus};
