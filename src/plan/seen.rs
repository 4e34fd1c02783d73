//! What is seen of the workers: compact projections of their objects, and the three-valued sight of each.
//!
//! *Unknown is never Absent*: an object missing from a watch, a worker that does not answer, an error, a 401 and a 403
//! are all [`Sight::Unknown`]. Only a live read from the verified worker proves [`Sight::Absent`].

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    debt::Account,
    membership::Membership,
    name::{Namespace, ObjectName, ResourceVersion, Uid, WorkerName},
    terms::Terms,
};

/// What is known of one thing in a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight<T> {
    /// It is there.
    Present(T),
    /// A live read from the verified worker proved that it is not there.
    Absent,
    /// It may or may not be there.
    Unknown(Doubt),
}

/// Why something is [`Sight::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The watch of a reachable worker does not show it: too weak to delete or found by, enough to try a create,
    /// which the API server refuses if the object exists after all.
    NotInView,
    /// The worker itself cannot be seen.
    WorkerUnseen,
}

impl<T> Sight<T> {
    /// The thing itself, if it is there.
    pub fn present(self) -> Option<T> {
        match self {
            Self::Present(thing) => Some(thing),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// Whether a create may be tried: nothing of that name is in view of a worker that can be seen.
    #[must_use]
    pub fn may_create(&self) -> bool {
        matches!(self, Self::Absent | Self::Unknown(Doubt::NotInView))
    }
}

/// Everything that a decision about one database may look at.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Every registered worker, by name.
    pub workers: BTreeMap<WorkerName, Worker>,
    /// Whether these are all: a process that has just begun has not read the registrations yet.
    pub registry: Registry,
    /// What the members themselves answered, if they were asked.
    pub membership: Option<Membership>,
    /// The databases of the whole master that are being deleted, for the brake on mass deletion.
    pub deletions: Deletions,
    /// What the registrations say, besides how to reach the workers.
    pub accounts: BTreeMap<WorkerName, Account>,
}

/// Whether the registrations of workers have been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registry {
    /// Not all of them, so that a worker which is missing may well be registered.
    #[default]
    Unread,
    /// All of them.
    Read,
}

impl Seen {
    /// A worker of these that was not reached yet since this process began.
    pub fn unreached<'a>(&self, mut workers: impl Iterator<Item = &'a WorkerName>) -> Option<&'a WorkerName> {
        workers.find(|name| {
            let view = self.workers.get(name).map(|worker| &worker.view);
            view.is_none_or(WorkerView::is_connecting)
        })
    }
}

/// One registered worker.
#[derive(Clone, Debug)]
pub struct Worker {
    /// What manifests may call it besides its own name: `spec.name` and the kubeconfig's context.
    pub aliases: Vec<String>,
    /// The DNS domain of its services, where its `K8sCluster` names one.
    pub domain: Option<String>,
    /// On what terms it takes members.
    pub terms: Terms,
    /// What can be seen of it.
    pub view: WorkerView,
}

/// How long a worker has not been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Since this process began, and it may be reached at any moment.
    Connecting,
    /// Since this process began, for a reason that time does not mend.
    Refused,
    /// Since then.
    Since(Timestamp),
}

impl Absence {
    /// When it was seen last, if it ever was.
    #[must_use]
    pub fn since(self) -> Option<Timestamp> {
        match self {
            Self::Since(since) => Some(since),
            Self::Connecting | Self::Refused => None,
        }
    }
}

/// What can be seen of one worker.
#[derive(Clone, Debug)]
pub enum WorkerView {
    /// Nothing: it is down, cut off, not yet verified, or it refuses our credentials.
    Unseen {
        /// Whether it ever could.
        absence: Absence,
        /// Why, in words for a person; never quotes credentials.
        why: String,
    },
    /// Nothing either, although it may well answer: a person has marked it unavailable.
    Unavailable {
        /// Since when, if the master knows.
        since: Option<Timestamp>,
    },
    /// The objects of one database in it.
    Seen(Objects),
}

/// Where a view of objects came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The watches: complete once, perhaps behind by now.
    Watch,
    /// Lists made for this very decision, at the most recent state, from the verified worker.
    Live,
}

/// The objects of one database (same kind, namespace and name; of any UID) in one worker.
#[derive(Clone, Debug)]
pub struct Objects {
    /// The worker's identity: the UID of its kube-system namespace.
    pub identity: Uid,
    /// Whether these come from watches or from live lists.
    pub source: Source,
    /// Pods by name.
    pub pods: BTreeMap<ObjectName, Pod>,
    /// Volume claims by name.
    pub claims: BTreeMap<ObjectName, Claim>,
    /// Services by name.
    pub services: BTreeMap<ObjectName, Service>,
    /// Jobs by name.
    pub jobs: BTreeMap<ObjectName, Job>,
}

impl Objects {
    /// No objects at all, as seen in `source`.
    #[must_use]
    pub fn none(identity: Uid, source: Source) -> Self {
        Self {
            identity,
            source,
            pods: BTreeMap::new(),
            claims: BTreeMap::new(),
            services: BTreeMap::new(),
            jobs: BTreeMap::new(),
        }
    }

    fn sight<'a, T>(&self, objects: &'a BTreeMap<ObjectName, T>, name: &ObjectName) -> Sight<&'a T> {
        match (objects.get(name), self.source) {
            (Some(object), _) => Sight::Present(object),
            (None, Source::Live) => Sight::Absent,
            (None, Source::Watch) => Sight::Unknown(Doubt::NotInView),
        }
    }
}

impl WorkerView {
    /// Since when it shows nothing, if that is known.
    #[must_use]
    pub fn hidden_since(&self) -> Option<Timestamp> {
        match self {
            Self::Unseen { absence, .. } => absence.since(),
            Self::Unavailable { since } => *since,
            Self::Seen(_) => None,
        }
    }

    /// Whether it was not reached yet, and may be at any moment.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        matches!(self, Self::Unseen { absence: Absence::Connecting, .. })
    }

    /// The objects, where the worker can be seen.
    #[must_use]
    pub fn objects(&self) -> Option<&Objects> {
        match self {
            Self::Seen(objects) => Some(objects),
            Self::Unseen { .. } | Self::Unavailable { .. } => None,
        }
    }

    /// The pod of this name.
    #[must_use]
    pub fn pod(&self, name: &ObjectName) -> Sight<&Pod> {
        self.objects().map_or(Sight::Unknown(Doubt::WorkerUnseen), |o| o.sight(&o.pods, name))
    }

    /// The volume claim of this name.
    #[must_use]
    pub fn claim(&self, name: &ObjectName) -> Sight<&Claim> {
        self.objects().map_or(Sight::Unknown(Doubt::WorkerUnseen), |o| o.sight(&o.claims, name))
    }

    /// The service of this name.
    #[must_use]
    pub fn service(&self, name: &ObjectName) -> Sight<&Service> {
        self.objects().map_or(Sight::Unknown(Doubt::WorkerUnseen), |o| o.sight(&o.services, name))
    }
}

/// What every projection keeps of `metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// `metadata.namespace`.
    pub namespace: Namespace,
    /// `metadata.name`.
    pub name: ObjectName,
    /// `metadata.uid`.
    pub uid: Uid,
    /// `metadata.resourceVersion`.
    pub version: ResourceVersion,
    /// The database UID it was made for: label [`super::labels::DATABASE_UID`].
    pub database: Option<Uid>,
    /// The member it belongs to: label [`super::labels::MEMBER`].
    pub member: Option<String>,
    /// What it was rendered from: annotation [`super::labels::RENDERED`].
    pub rendered: Option<String>,
    /// `metadata.deletionTimestamp`.
    pub deleting: Option<Timestamp>,
    /// Who has not let go of it yet, once it is being deleted: `metadata.finalizers`.
    pub held_by: Vec<String>,
}

/// A pod, as far as decisions and reports need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Identity and ownership.
    pub meta: Meta,
    /// Where it is in its life.
    pub phase: PodPhase,
    /// Condition `Ready`.
    pub ready: Readiness,
    /// `status.podIP`.
    pub ip: Option<String>,
    /// `status.hostIP`.
    pub host_ip: Option<String>,
    /// `spec.nodeName`.
    pub node: Option<String>,
    /// Why it does not run or is not ready, in the cluster's own words (`reason: message`), if it says.
    pub trouble: Option<String>,
    /// What a container of it said last before it ended badly, as far as its kubelet kept it.
    pub last_words: Option<String>,
    /// Restarts of its containers, summed.
    pub restarts: i32,
    /// Whether anything runs in it, as its kubelet last said.
    pub process: Process,
    /// The version that it was made to run: annotation [`super::labels::VERSION`].
    pub version: Option<String>,
    /// With how many it was made to found: annotation [`super::labels::FOUNDERS`]; `None` for one that never founds.
    pub founders: Option<usize>,
    /// Whom it was told of when it was made to join, digested: annotation [`super::labels::PEERS`].
    pub peers: Option<String>,
    /// Whether it was made to forget all other members when it starts: annotation [`super::labels::ALONE`].
    pub alone: bool,
}

/// Whether anything runs in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// A container of it runs.
    Runs,
    /// None does: it was never started, or waits to be started again.
    Stands,
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPhase {
    /// Accepted, not all containers started.
    Pending,
    /// Bound to a node, containers started.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one badly; or the node evicted the pod.
    Failed,
    /// The node does not answer.
    Unknown,
}

/// Condition `Ready` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// `Ready=True`, since this time.
    Ready(Option<Timestamp>),
    /// Anything else, since this time.
    NotReady(Option<Timestamp>),
}

/// A persistent volume claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Identity and ownership.
    pub meta: Meta,
    /// `status.phase`.
    pub phase: ClaimPhase,
    /// The requested size, as written in the object.
    pub requested: Option<String>,
    /// `spec.storageClassName`.
    pub class: Option<String>,
    /// Its member's part of the record: annotation [`super::labels::MEMBER_RECORD`].
    pub record: Option<String>,
}

/// `status.phase` of a volume claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimPhase {
    /// No volume yet.
    Pending,
    /// It has its volume.
    Bound,
    /// Its volume is gone for good.
    Lost,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Identity and ownership.
    pub meta: Meta,
    /// `spec.clusterIP` (`None` also for headless ones).
    pub cluster_ip: Option<String>,
    /// The first load balancer address, an IP or a host name.
    pub ingress: Option<String>,
    /// Node ports by port name.
    pub node_ports: BTreeMap<String, i32>,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Identity and ownership.
    pub meta: Meta,
    /// Whether it has ended, and how.
    pub outcome: JobOutcome,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// Not ended.
    Running,
    /// Condition `Complete`.
    Succeeded,
    /// Condition `Failed`.
    Failed,
}

/// The deletions under way in the master, for the brake (DECISIONS 7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletions {
    /// How many databases there are.
    pub databases: usize,
    /// When each database that is being deleted was asked to go.
    pub asked: Vec<Timestamp>,
    /// Whether the CRD that holds this database is being deleted.
    pub kind_deleting: Ending,
    /// Whether the namespace that holds this database is being deleted.
    pub namespace_deleting: Ending,
}

/// Whether a containing object is about to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// It stays.
    #[default]
    Staying,
    /// It carries a deletionTimestamp.
    Going,
    /// It could not be read: treated like [`Ending::Going`] by whatever destroys.
    Unread,
}
