//! Dialects: one vendor's API each. Pure: a dialect compiles its resources to the plan, and tells the plan's state in
//! the vendor's own phases and columns.
//!
//! A new vendor, or another vendor's API for an engine that is there already, is a folder here.

pub mod k8scluster;
pub mod kubeblocks;

use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResourceExt, core::NamespaceResourceScope};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    engine::etcd::versions::Mirror,
    plan::{
        database::{Database, DatabaseKind},
        record::Record,
        report::{Report, StatusCondition},
    },
};

/// What an installation adds to every manifest.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Registries that stand in for others.
    pub mirrors: Vec<Mirror>,
}

/// A vendor's resource that describes a database.
pub trait Dialect:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The kind.
    const KIND: DatabaseKind;

    /// Compiles the manifest. It cannot fail: what cannot be served stands in [`Database::problems`].
    fn compile(&self, settings: &Settings) -> Database;

    /// The record in its status.
    fn record(&self) -> Option<&Record>;

    /// The phase in its status, in the vendor's words.
    fn phase(&self) -> Option<&str>;

    /// The conditions in its status.
    fn conditions(&self) -> &[StatusCondition];

    /// The resource with a status that tells this.
    #[must_use]
    fn told(&self, database: &Database, record: Option<&Record>, report: &Report, now: Timestamp) -> Self;

    /// How its status compares with that of `told`.
    fn news(&self, told: &Self) -> News;
}

/// How much of a status has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// Nothing: it is not written.
    None,
    /// Details, which may still be in flux.
    Detail,
    /// What people see in the columns, or whether what they asked for is known.
    Headline,
}

/// Every CRD of every dialect, by name.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![kubeblocks::Cluster::crd(), k8scluster::K8sCluster::crd()]
}
