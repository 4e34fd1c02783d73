//! The intermediate representation: one database as asked for, in nobody's dialect.
//!
//! Every dialect compiles to a [`Database`]; everything after it (placement, rendering, decisions, reports) knows
//! only this.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        Affinity, EnvVar, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use super::{
    name::{MemberName, Namespace, ObjectName, Uid, WorkerName},
    network::Network,
};
use crate::engine::EngineKind;

/// Which resource in the master describes the database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatabaseId {
    /// Its kind.
    pub kind: DatabaseKind,
    /// Its namespace, which is also the namespace of its objects in the workers.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
    /// Its UID: another resource of the same name is another database.
    pub uid: Uid,
}

/// The kinds of resource that describe a database, one for each dialect that has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DatabaseKind {
    /// `Cluster`, apps.kubeblocks.io/v1alpha1.
    KubeBlocksCluster,
}

/// A database's resource by name, of whatever UID: the key of the work queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseKey {
    /// Its kind.
    pub kind: DatabaseKind,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
}

impl DatabaseId {
    /// The name without the UID.
    #[must_use]
    pub fn key(&self) -> DatabaseKey {
        DatabaseKey { kind: self.kind, namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl std::fmt::Display for DatabaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl DatabaseKind {
    /// The kind as a label value.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::KubeBlocksCluster => "cluster.apps.kubeblocks.io",
        }
    }

    /// How a person names the kind to `kubectl`.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::KubeBlocksCluster => "clusters.apps.kubeblocks.io",
        }
    }

    /// The kind as a manifest names it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::KubeBlocksCluster => "Cluster",
        }
    }

    /// The kind of this label value.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        [Self::KubeBlocksCluster].into_iter().find(|kind| kind.label() == label)
    }
}

/// One database as asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// Which resource asks for it.
    pub id: DatabaseId,
    /// `metadata.generation` of that resource.
    pub generation: i64,
    /// `metadata.creationTimestamp` of that resource.
    pub created: Timestamp,
    /// What the vendor calls the part of the resource that this database is (KubeBlocks: the component's name).
    pub component: String,
    /// What runs in it.
    pub engine: Engine,
    /// How many members it is to have.
    pub replicas: u32,
    /// Where they are to run.
    pub placement: PlacementRequest,
    /// How its objects are named.
    pub names: Names,
    /// What every member's pod is like.
    pub pod: PodTemplate,
    /// The volumes of every member. The first is the data volume.
    pub volumes: Volumes,
    /// How members reach each other, and clients them.
    pub network: Network,
    /// What stays when it is deleted.
    pub on_delete: OnDelete,
    /// Whether it is to run or to go.
    pub intent: Intent,
    /// What a person has confirmed or forbidden by annotation.
    pub consent: Consent,
    /// What cannot be served as it stands. While there is any, nothing is made or changed; deletion goes on.
    pub problems: Vec<Problem>,
    /// Fields of the manifest that are there and do nothing.
    pub ignored: Vec<String>,
}

/// The engine and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// The kind of database.
    pub kind: EngineKind,
    /// The version, as the engine's own table resolved it.
    pub version: crate::engine::Version,
    /// The image, after registry mirrors.
    pub image: String,
}

/// Where members are to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementRequest {
    /// Anywhere: spread over the workers that are ready when the database is created.
    Spread,
    /// In these workers, in this order, by whatever name the manifest uses for them; member n goes to entry n modulo length.
    Listed(Vec<String>),
}

/// How a dialect names the objects of one database. Members are `<prefix>-<ordinal>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// What members' names begin with (KubeBlocks: `<cluster>-<component>`).
    pub prefix: String,
}

impl Names {
    /// The member with this ordinal.
    #[must_use]
    pub fn member(&self, ordinal: u32) -> MemberName {
        MemberName::new(format!("{}-{ordinal}", self.prefix))
    }

    /// The headless service that gives members their DNS names.
    #[must_use]
    pub fn headless(&self) -> ObjectName {
        ObjectName::new(format!("{}-headless", self.prefix))
    }

    /// A member's own service, of those that the manifest calls `service`.
    #[must_use]
    pub fn member_service(&self, service: &str, ordinal: u32) -> ObjectName {
        ObjectName::new(format!("{}-{service}-{ordinal}", self.prefix))
    }

    /// The claim for `volume` of a member.
    #[must_use]
    pub fn claim(&self, volume: &str, member: &MemberName) -> ObjectName {
        ObjectName::new(format!("{volume}-{member}"))
    }

    /// The placeholder pod that finds out on which node a member will run.
    #[must_use]
    pub fn scout(&self, member: &MemberName) -> ObjectName {
        ObjectName::new(format!("{member}-address"))
    }
}

/// What a manifest says of the pods, besides what the engine runs in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodTemplate {
    /// Labels; ours win.
    pub labels: BTreeMap<String, String>,
    /// Annotations; ours win.
    pub annotations: BTreeMap<String, String>,
    /// Environment of the engine's container; the engine's own variables win.
    pub env: Vec<EnvVar>,
    /// Requests and limits of the engine's container.
    pub resources: ResourceRequirements,
    /// Node, pod and anti-affinity.
    pub affinity: Option<Affinity>,
    /// Node selector.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Spread constraints.
    pub topology_spread: Vec<TopologySpreadConstraint>,
    /// Scheduler, if not the default one.
    pub scheduler: Option<String>,
    /// Service account, if not the namespace's default one.
    pub service_account: Option<String>,
    /// Pull secrets.
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Priority class.
    pub priority_class: Option<String>,
}

/// At least one volume: no engine here can live without its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Volumes {
    /// The volume that holds the member's identity and data; it owns the pod.
    pub data: Volume,
    /// Any further ones.
    pub others: Vec<Volume>,
}

impl Volumes {
    /// All of them, the data volume first.
    pub fn iter(&self) -> impl Iterator<Item = &Volume> {
        std::iter::once(&self.data).chain(&self.others)
    }
}

/// One volume of every member.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Its name in the manifest.
    pub name: String,
    /// Its size.
    pub size: Quantity,
    /// Its storage class; `None` is the worker's default.
    pub class: Option<String>,
    /// Its access modes.
    pub access_modes: Vec<String>,
    /// `Filesystem` or `Block`, if the manifest says.
    pub mode: Option<String>,
    /// Where the engine finds it; `None` for a volume that is claimed but that the engine has no use for.
    pub mount: Option<String>,
}

/// What stays when the database is deleted (KubeBlocks: `terminationPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// It must not be deleted: it runs on.
    Refuse,
    /// Pods and services go, volumes stay.
    KeepVolumes,
    /// Pods, services and volumes go.
    RemoveVolumes,
    /// Pods, services, volumes and backups go.
    Wipe,
}

/// Whether the database is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// It is.
    Run,
    /// It is to go, asked at this time of the master's API server.
    Delete(Timestamp),
}

/// What a person has said about one database by annotation. A UID that is not this database's says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// `atoll.dev/deletion-protection: "true"`.
    pub protected: bool,
    /// `atoll.dev/confirm-delete: <UID>`: delete although a brake holds it.
    pub confirm_delete: Option<Uid>,
    /// `atoll.dev/keep-data: <UID>`: let the resource go, leave pods and volumes.
    pub keep_data: Option<Uid>,
    /// `atoll.dev/adopt: <old UID>`: take over what a resource of this name left behind.
    pub adopt: Option<Uid>,
    /// `atoll.dev/paused: "true"`: observe and report, change nothing.
    pub paused: bool,
    /// `atoll.dev/release-worker: <UID>/<worker>[,…]`: go although something may be left in these workers.
    pub released: BTreeSet<(Uid, WorkerName)>,
    /// `atoll.dev/recover: <UID>/<member>/<when>`: the majority is given up, and this member goes on alone.
    pub recover: Option<Recover>,
    /// `atoll.dev/switchover: <member>/<when>`: this member is to lead, as asked at that time.
    pub switchover: Option<Switchover>,
}

/// A person's wish that one member leads. Carried out once: leadership may move on later by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switchover {
    /// Who is to lead.
    pub to: MemberName,
    /// The whole wish, which sets it apart from an earlier one for the same member.
    pub words: String,
}

/// A person's word that a majority is lost for good. Carried out once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recover {
    /// Which database is meant: a copy of the annotation on another one says nothing.
    pub of: Uid,
    /// Who goes on.
    pub from: MemberName,
    /// The whole word, which sets it apart from an earlier one.
    pub words: String,
}

/// The annotation by which a person gives a lost majority up.
pub const RECOVER: &str = "atoll.dev/recover";

/// The annotation by which a person has a member lead.
pub const SWITCHOVER: &str = "atoll.dev/switchover";

/// The annotation by which a person lets go of a worker that cannot be seen.
pub const RELEASE_WORKER: &str = "atoll.dev/release-worker";

impl Consent {
    /// Reads the annotations of a resource.
    #[must_use]
    pub fn of(annotations: &BTreeMap<String, String>) -> Self {
        let set = |key| annotations.get(key).is_some_and(|value| value == "true");
        let uid = |key| annotations.get(key).filter(|value| !value.is_empty()).map(|value| Uid::from(value.as_str()));
        Self {
            protected: set("atoll.dev/deletion-protection"),
            confirm_delete: uid("atoll.dev/confirm-delete"),
            keep_data: uid("atoll.dev/keep-data"),
            adopt: uid("atoll.dev/adopt"),
            paused: set("atoll.dev/paused"),
            released: annotations.get(RELEASE_WORKER).map(|words| released(words)).unwrap_or_default(),
            recover: annotations.get(RECOVER).and_then(|words| {
                let mut parts = words.split('/');
                let (of, from) = (parts.next()?, parts.next()?);
                Some(Recover { of: Uid::from(of), from: MemberName::from(from), words: words.clone() })
            }),
            switchover: annotations.get(SWITCHOVER).filter(|words| !words.is_empty()).map(|words| Switchover {
                to: MemberName::from(words.split('/').next().unwrap_or_default()),
                words: words.clone(),
            }),
        }
    }

    /// Whether the database of this UID may go although something of it may be left in this worker.
    #[must_use]
    pub fn lets_go(&self, uid: &Uid, worker: &WorkerName) -> bool {
        self.released.iter().any(|(whose, which)| (whose, which) == (uid, worker))
    }
}

/// Something in a manifest that cannot be served as it stands; it becomes condition `Accepted=False`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `CamelCase`, bounded.
    pub reason: &'static str,
    /// What is wrong, where, and what to do.
    pub message: String,
}

fn released(words: &str) -> BTreeSet<(Uid, WorkerName)> {
    let words = words.split(',').filter_map(|word| word.trim().split_once('/'));
    words.map(|(uid, worker)| (Uid::from(uid), WorkerName::from(worker))).collect()
}
