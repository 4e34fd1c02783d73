//! Real Kubernetes clusters on one Linux machine, without Docker: for Atoll's tests, for its demo, and for people.
//!
//! Each cluster is a network namespace in which etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
//! kubelet, containerd, kube-proxy and `CoreDNS` run as plain processes, so a partition is a real one.
//!
//! ```no_run
//! use lab::{As, Cut, Lab, Options};
//!
//! # fn main() -> lab::Result<()> {
//! let lab = Lab::up(Options { workers: 3, ..Options::default() })?;
//! let kubeconfig = lab.kubeconfig("k8s-1", As::Document)?;
//! lab.cut("k8s-1", Cut::All)?;
//! lab.heal("k8s-1")?;
//! lab.down()?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Lab`] is the whole of it for tests. Inside, in the order of `lab up`: [`preflight`] looks at the machine,
//! [`gobuild`] and [`debs`] fill the [`cache`], `cleanup` clears what an earlier lab left, [`network`] makes what
//! is between the clusters that [`model`] describes, and `up` starts the processes.
//!
//! [`bare`] is something else: single API servers without anything behind them, for which no root and no lab is needed.

pub mod addons;
pub mod audit;
pub mod bare;
pub mod cache;
pub mod debs;
pub mod faults;
pub mod gobuild;
pub mod images;
pub mod kubeconfig;
pub mod lock;
pub mod model;
pub mod network;
pub mod preflight;
pub mod process;

mod api;
mod bootstrap;
mod certs;
mod cgroups;
mod cleanup;
mod control_plane;
mod error;
mod lab;
mod metallb;
mod node;
mod shell;
mod up;

pub use audit::AuditEntry;
pub use error::{Error, Result};
pub use faults::Cut;
pub use images::{Image, ImageFile};
pub use kubeconfig::As;
pub use lab::Lab;
pub use model::{Cluster, Network, Node, Options, Place};
pub use process::State;

/// Where a program of the lab is (`kubectl`, `helm`, `etcdctl`, …), built if need be; no lab need run.
pub fn bin(name: &str) -> Result<std::path::PathBuf> {
    gobuild::Programs::new(&cache::Dirs::from_env()).named(name)
}
