//! ob-operator's `K8sCluster`: how workers are registered and what is told of them. Pure.

pub mod crd;
pub mod names;
pub mod status;
