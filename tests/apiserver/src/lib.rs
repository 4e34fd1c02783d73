//! A Kubernetes API server in memory: as faithful as `tests/conformance` can tell, fast, and the same from run to run.
//!
//! [`ApiServer::answer`] takes one HTTP request and gives its answer; everything but a watch is complete at once. What
//! stands around an API server in a cluster (controllers, schedulers, kubelets) is not here: nothing happens but what
//! is asked for. The other functions of [`ApiServer`] are the hand behind the curtain, for tests: they see and do what
//! no request can.

mod account;
mod admission;
mod body;
pub mod content;
mod crd;
mod delete;
mod events;
mod eviction;
mod failure;
mod hook;
mod json_patch;
mod labels;
mod list;
mod node_ports;
mod patch;
mod place;
mod precondition;
mod query;
mod random;
mod review;
mod route;
mod selector;
mod server;
mod service;
mod state;
mod store;
mod watch;
mod write;

pub use account::{Account, Rights, Rule, Who};
pub use body::Body;
pub use hook::{Admission, Verdict};
pub use place::Place;
pub use server::{ApiServer, Commit, Options, Snapshot};
