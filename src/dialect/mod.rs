//! Dialects: one vendor's API each. Pure: a dialect compiles its resources to the plan, and tells the plan's state in
//! the vendor's own phases and columns.
//!
//! A new vendor, or another vendor's API for an engine that is there already, is a folder here.

pub mod k8scluster;
pub mod kubeblocks;
