//! Atoll on real clusters: what the demo and the end-to-end tests are made of.
//!
//! A [`World`] is a lab (real Kubernetes clusters on this machine) with an [`Operator`] (the `atoll` binary as a child
//! process, which may be killed at any moment). A [`Database`] is one resource in it, and [`etcd`] speaks to its members
//! from inside their clusters.
//!
//! Nothing here is mocked, and nothing is asked of Atoll but by the API that people use: manifests, conditions, its
//! command line, and what the API servers' audit logs say of it.
#![forbid(unsafe_code)]

pub mod audit;
pub mod clients;
pub mod database;
pub mod etcd;
pub mod gateway;
pub mod manifest;
pub mod operator;
pub mod picture;
pub mod programs;
pub mod rest;
pub mod runner;
pub mod say;
pub mod trouble;
pub mod wait;
pub mod world;

pub use database::Database;
pub use lab::{As, Cut, Network, Options};
pub use manifest::Manifest;
pub use operator::{Operator, Orders};
pub use trouble::{Outcome, Trouble};
pub use wait::{eventually, until};
pub use world::World;
