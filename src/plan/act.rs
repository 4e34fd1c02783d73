//! Acts: every change to the outside world, as data. `decide` names them, `worker` carries them out.

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{PersistentVolumeClaim, Pod, Service},
    },
    apimachinery::pkg::api::resource::Quantity,
};

use super::{
    adopt::ClaimRecord,
    name::{Namespace, ObjectName, ResourceVersion, Uid, WorkerName},
};

/// One idempotent change in one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// Where.
    pub worker: WorkerName,
    /// Why, from a bounded list: the reason of the event and the label of the metric.
    pub reason: Reason,
    /// What.
    pub change: Change,
}

/// The change of an [`Act`].
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Create an object that must not exist yet. Where its namespace is missing too, `namespace` says what to do.
    Create(Object, MissingNamespace),
    /// Server-side apply of an object that we own, with our field manager; refused if the object is not `uid`.
    Apply(Object, Uid),
    /// Ask for more space for exactly this volume claim.
    Grow(Target, Quantity),
    /// Delete exactly this object.
    Delete(Target),
    /// Delete exactly this object, unless anything of it has changed since it was seen so.
    DeleteUnchanged(Target, ResourceVersion),
    /// Change the label of exactly this object that says which database it belongs to, and nothing else.
    TakeOver(Target, Uid),
    /// Change what exactly this volume claim tells of its member, and nothing else.
    Tell(Target, ClaimRecord),
}

/// What a create does where the worker lacks the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingNamespace {
    /// Make the namespace first: only while a database has no data yet.
    Create,
    /// Fail: the namespace held data, and a person must know that it is gone.
    Fail,
}

/// An object that Atoll may write in a worker. There are no others (DESIGN section 4, preflight).
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A service.
    Service(Box<Service>),
    /// A volume claim.
    Claim(Box<PersistentVolumeClaim>),
    /// A pod.
    Pod(Box<Pod>),
    /// A job.
    Job(Box<Job>),
}

/// The kinds of [`Object`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// v1 Pod.
    Pod,
    /// v1 Service.
    Service,
    /// v1 `PersistentVolumeClaim`.
    Claim,
    /// batch/v1 Job.
    Job,
}

/// An existing object, by UID: a delete of anything else under that name is refused by the API server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
    /// Its UID: the precondition.
    pub uid: Uid,
}

/// Why an act is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A service of a member or of the whole database is missing.
    ServiceMissing,
    /// A service differs from what the manifest asks for.
    ServiceChanged,
    /// A volume of a new member is missing.
    VolumeMissing,
    /// The pod is missing while its volume and identity are there.
    PodMissing,
    /// The pod has ended and cannot start again by itself.
    PodEnded,
    /// The pod was made from an earlier manifest.
    PodOutdated,
    /// A majority was given up: the survivor is started alone.
    MajorityLost,
    /// The manifest asks for a larger volume.
    VolumeTooSmall,
    /// The member has left the database.
    MemberLeft,
    /// A member that founded has left: volumes tell the members no more.
    FounderLeft,
    /// A placeholder that finds out a member's node address is needed.
    AddressNeeded,
    /// A placeholder has done its work.
    AddressKnown,
    /// The database is being deleted.
    DatabaseDeleted,
    /// A person had a new resource take over what an old one left.
    Adopted,
    /// A deleted database left this in a worker that could not be seen then.
    DebtPaid,
}

impl Reason {
    /// `CamelCase`, for events, conditions and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceMissing => "ServiceMissing",
            Self::ServiceChanged => "ServiceChanged",
            Self::VolumeMissing => "VolumeMissing",
            Self::PodMissing => "PodMissing",
            Self::PodEnded => "PodEnded",
            Self::PodOutdated => "PodOutdated",
            Self::MajorityLost => "MajorityLost",
            Self::VolumeTooSmall => "VolumeTooSmall",
            Self::MemberLeft => "MemberLeft",
            Self::FounderLeft => "FounderLeft",
            Self::AddressNeeded => "AddressNeeded",
            Self::AddressKnown => "AddressKnown",
            Self::DatabaseDeleted => "DatabaseDeleted",
            Self::Adopted => "Adopted",
            Self::DebtPaid => "DebtPaid",
        }
    }
}

impl Kind {
    /// The kind as a person reads it in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Service => "service",
            Self::Claim => "volume claim",
            Self::Job => "job",
        }
    }
}

impl Object {
    /// The object's kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::Claim(_) => Kind::Claim,
            Self::Pod(_) => Kind::Pod,
            Self::Job(_) => Kind::Job,
        }
    }

    /// The object's metadata.
    #[must_use]
    pub fn metadata(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        match self {
            Self::Service(service) => &service.metadata,
            Self::Claim(claim) => &claim.metadata,
            Self::Pod(pod) => &pod.metadata,
            Self::Job(job) => &job.metadata,
        }
    }
}
