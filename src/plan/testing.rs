//! Small worlds for the tests of the pure modules.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{
    database::{
        Consent, Database, DatabaseId, DatabaseKind, Engine, Intent, Names, OnDelete, PlacementRequest, PodTemplate,
        Volume, Volumes,
    },
    name::{ObjectName, ResourceVersion, Uid, WorkerName},
    network::{Exposure, MemberServices, Network, Spread},
    record::{Member, Record},
    seen::{
        Claim, ClaimPhase, Deletions, Meta, Objects, Pod, PodPhase, Process, Readiness, Registry, Seen, Service,
        Source, Worker, WorkerView,
    },
    terms::Terms,
};
use crate::engine::{EngineKind, Version};

/// A fixed moment.
pub fn now() -> Timestamp {
    "2026-01-01T00:01:00Z".parse().unwrap()
}

/// A database of three members over workers `a`, `b` and `c`, by pod names.
pub fn database() -> Database {
    Database {
        id: DatabaseId {
            kind: DatabaseKind::KubeBlocksCluster,
            namespace: "default".into(),
            name: "db".into(),
            uid: "uid-db".into(),
        },
        generation: 1,
        created: "2026-01-01T00:00:00Z".parse().unwrap(),
        component: "etcd".into(),
        engine: Engine {
            kind: EngineKind::Etcd,
            version: Version::new("3.5.35"),
            image: "gcr.io/etcd-development/etcd:v3.5.35".into(),
        },
        replicas: 3,
        placement: PlacementRequest::Spread,
        names: Names { prefix: "db-etcd".into() },
        pod: PodTemplate::default(),
        volumes: Volumes {
            data: Volume {
                name: "data".into(),
                size: Quantity("1Gi".into()),
                class: None,
                access_modes: vec!["ReadWriteOnce".into()],
                mode: None,
                mount: Some("/var/run/etcd".into()),
            },
            others: Vec::new(),
        },
        network: Network::PodNames,
        on_delete: OnDelete::Wipe,
        intent: Intent::Run,
        consent: Consent::default(),
        problems: Vec::new(),
        ignored: Vec::new(),
    }
}

/// One load balancer for every member.
pub fn load_balancers() -> Network {
    Network::MemberServices(MemberServices {
        name: "peer".into(),
        exposure: Exposure::LoadBalancer,
        spread: Spread::Unique,
        annotations: BTreeMap::new(),
    })
}

/// Workers that are seen and empty, with their aliases.
pub fn workers(names: &[(&str, &[&str])]) -> BTreeMap<WorkerName, Worker> {
    names
        .iter()
        .map(|(name, aliases)| {
            let worker = Worker {
                aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
                domain: Some(format!("{name}.test")),
                terms: Terms::default(),
                view: WorkerView::Seen(Objects::none(Uid::new(format!("uid-{name}")), Source::Watch)),
            };
            (WorkerName::from(*name), worker)
        })
        .collect()
}

/// Workers `a`, `b` and `c`, seen and empty.
pub fn empty_world() -> Seen {
    Seen {
        registry: Registry::Read,
        workers: workers(&[("a", &[]), ("b", &[]), ("c", &[])]),
        membership: None,
        deletions: Deletions { databases: 1, ..Deletions::default() },
        accounts: BTreeMap::new(),
    }
}

/// The objects of a worker that is seen.
pub fn objects<'a>(seen: &'a mut Seen, worker: &str) -> &'a mut Objects {
    match &mut seen.workers.get_mut(&WorkerName::from(worker)).unwrap().view {
        WorkerView::Seen(objects) => objects,
        WorkerView::Unseen { .. } | WorkerView::Unavailable { .. } => panic!("{worker} is not seen"),
    }
}

/// The members of [`database`], placed.
pub fn placed(database: &Database) -> Record {
    let members = ["a", "b", "c"]
        .iter()
        .zip(0..)
        .map(|(worker, ordinal)| Member::placed(database.names.member(ordinal), ordinal, WorkerName::from(*worker)))
        .collect();
    Record::placed(database, 1, members)
}

/// Metadata of an object of [`database`].
pub fn meta(database: &Database, name: &ObjectName, member: Option<&str>) -> Meta {
    Meta {
        namespace: database.id.namespace.clone(),
        name: name.clone(),
        uid: Uid::new(format!("uid-{name}")),
        version: ResourceVersion::from("1"),
        database: Some(database.id.uid.clone()),
        member: member.map(str::to_owned),
        rendered: None,
        deleting: None,
        held_by: Vec::new(),
    }
}

/// A bound claim of a member.
pub fn claim(database: &Database, member: &Member) -> (ObjectName, Claim) {
    let name = database.names.claim("data", &member.name);
    let meta = meta(database, &name, Some(member.name.as_str()));
    (name, Claim { meta, phase: ClaimPhase::Bound, requested: Some("1Gi".into()), class: None, record: None })
}

/// A ready pod of a member.
pub fn ready_pod(database: &Database, member: &Member) -> (ObjectName, Pod) {
    let name = ObjectName::from(&member.name);
    let pod = Pod {
        meta: meta(database, &name, Some(member.name.as_str())),
        phase: PodPhase::Running,
        ready: Readiness::Ready(None),
        ip: Some("10.0.0.1".into()),
        host_ip: Some(format!("192.0.2.{}", member.ordinal + 1)),
        node: Some("node".into()),
        trouble: None,
        last_words: None,
        restarts: 0,
        process: Process::Runs,
        version: Some("3.5.35".into()),
        founders: Some(3),
        peers: None,
        alone: false,
    };
    (name, pod)
}

/// A world in which everything of [`database`] stands and serves.
pub fn founded_world(database: &Database) -> Seen {
    let mut seen = empty_world();
    let record = placed(database);
    let master = Uid::from("uid-master");
    let owner = super::render::Owner { master: &master, database };
    for rendered in super::render::services(owner, &record) {
        let service = Service {
            meta: Meta { rendered: Some(rendered.digest), ..meta(database, &rendered.name, None) },
            cluster_ip: Some(format!("10.1.{}.7", rendered.worker.as_str().as_bytes()[0] - b'a')),
            ingress: Some(format!("lb-{}.example", rendered.worker)),
            node_ports: BTreeMap::from([("peer".to_owned(), 30080), ("client".to_owned(), 30079)]),
        };
        objects(&mut seen, rendered.worker.as_str()).services.insert(rendered.name, service);
    }
    for member in &record.members {
        let objects = objects(&mut seen, member.worker.as_str());
        objects.claims.extend([claim(database, member)]);
        objects.pods.extend([ready_pod(database, member)]);
    }
    seen
}
