//! A Kubernetes API server in memory.

pub mod content;
mod server;
pub use server::*;
