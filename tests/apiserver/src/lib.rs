//! A Kubernetes API server in memory.

pub mod content;
