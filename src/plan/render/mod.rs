//! Rendering: what a database's plan looks like as objects of a worker. What is rendered here is all that Atoll ever
//! puts in a worker.

mod claim;
mod digest;
mod pod;
mod service;
#[cfg(test)]
mod tests;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use claim::claim;
pub use pod::{peers, pod, scout};
pub use service::{Rendered, services};

use super::{
    database::Database,
    name::{Namespace, ObjectName, Uid},
};

/// What rendering needs besides the database: whose objects these are.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The UID of the master's kube-system namespace.
    pub master: &'a Uid,
    /// The database.
    pub database: &'a Database,
}

fn metadata(home: &Namespace, name: &ObjectName) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_string()), namespace: Some(home.to_string()), ..ObjectMeta::default() }
}
