//! The rest of a cluster.
pub mod net;
mod programs;

pub use programs::{Container, Exit, Programs, RunId};
