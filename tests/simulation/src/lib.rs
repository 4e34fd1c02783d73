//! The whole controller in one thread and virtual time, against simulated clusters and databases.

pub mod entropy;
pub mod etcd;
pub mod place;
pub mod planted;
pub mod world;
