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

use crate::plan::report::Event;

/// What a person should hear when one status of a registration follows another.
#[must_use]
pub fn events(before: &K8sClusterStatus, after: &K8sClusterStatus) -> Vec<Event> {
    [status::event(before, after), expiry::event(before, after), setback::event(before, after)]
        .into_iter()
        .flatten()
        .collect()
}
