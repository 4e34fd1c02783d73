//! The four kinds of object that are watched in a worker, behind one trait, so that watching, listing and writing are
//! each written once.

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        batch::v1 as batch,
        core::v1::{self as core},
    },
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    cache::{Cache, Shelf},
    projection,
};
use crate::plan::{
    act::Kind,
    database::DatabaseKey,
    seen::{Claim, Job, Meta, Objects, Pod, Service},
};

/// A projection, by its metadata.
pub trait Projected: Clone + PartialEq + Send {
    /// What every projection keeps.
    fn meta(&self) -> &Meta;
    /// The same, to change.
    fn meta_mut(&mut self) -> &mut Meta;
}

/// A kind of object that Atoll keeps in a worker.
pub trait Kept:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + k8s_openapi::Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// Its projection.
    type Seen: Projected;
    /// Its kind.
    const KIND: Kind;
    /// Its plural, for messages about permissions.
    const PLURAL: &'static str;

    /// Projects the object.
    fn project(&self) -> Option<Self::Seen>;
    /// Where the cache keeps its projections.
    fn shelf(cache: &mut Cache) -> &mut Shelf<Self::Seen>;
    /// Where a view keeps its projections.
    fn put(objects: &mut Objects, seen: Self::Seen);

    /// Projects the object together with the database that it belongs to.
    fn owned(&self) -> Option<(DatabaseKey, Self::Seen)> {
        Some((projection::owner(k8s_openapi::Metadata::metadata(self))?, self.project()?))
    }
}

macro_rules! kept {
    ($object:ty, $seen:ident, $plural:literal, $project:ident, $field:ident) => {
        impl Projected for $seen {
            fn meta(&self) -> &Meta {
                &self.meta
            }
            fn meta_mut(&mut self) -> &mut Meta {
                &mut self.meta
            }
        }

        impl Kept for $object {
            type Seen = $seen;
            const KIND: Kind = Kind::$seen;
            const PLURAL: &'static str = $plural;

            fn project(&self) -> Option<$seen> {
                projection::$project(self)
            }
            fn shelf(cache: &mut Cache) -> &mut Shelf<$seen> {
                &mut cache.$field
            }
            fn put(objects: &mut Objects, seen: $seen) {
                objects.$field.insert(seen.meta.name.clone(), seen);
            }
        }
    };
}

kept!(core::Pod, Pod, "pods", pod, pods);
kept!(core::PersistentVolumeClaim, Claim, "persistentvolumeclaims", claim, claims);
kept!(core::Service, Service, "services", service, services);
kept!(batch::Job, Job, "jobs", job, jobs);
