//! The real stage: API servers that run, in real time.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use atoll::{
    cli::INSTALLATION,
    controller::claim::claimed,
    dialect::{self, kubeblocks::Cluster as Database},
};
use k8s_openapi::{
    api::core::v1::{Namespace, Pod},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, ObjectMeta, PostParams},
};
use lab::bare::{Options, Server, Snapshot};
use simulation::{
    ask::Members,
    check::{self, Truth},
    link::{Links, Power, Way, Weather},
    lives::{NAMESPACE, Replica},
    lock::lock,
    programs::Processes,
    stage::{self, Load, MASTER, Stage, Worthless},
    tape::{Site, Tape},
    world::{
        World,
        net::{Mode, Net},
    },
};
use tokio_util::task::AbortOnDropHandle;

use crate::{cluster::Cluster, lives::Lives};

/// How many workers there are.
const WORKERS: u8 = 3;

/// API servers that run, in real time.
pub struct Real {
    /// What happens.
    pub tape: Tape,
    /// The controller. Ends before the clusters do.
    pub lives: Lives,
    net: Net,
    processes: Processes,
    clusters: BTreeMap<Site, Cluster>,
    truth: Truth,
    measured: Mutex<Vec<String>>,
    _background: [AbortOnDropHandle<()>; 2],
}

/// The checks that look at processes, requests and log lines alone. The others look into the API servers in memory.
const CHECKS: [&str; 5] =
    ["S2 one bootstrap", "S3 exclusive identity", "S3 no force", "D2 one database", "S13 secrecy"];

impl Real {
    /// A master with Atoll's CRDs, and workers that nobody has registered. Must be called within a runtime of tokio,
    /// which its clusters' worlds run on.
    pub async fn start(seed: u64) -> lab::Result<Self> {
        let names = std::iter::once(MASTER.to_owned()).chain((1..=WORKERS).map(|number| format!("w{number}")));
        let servers = Server::start_all(names.map(Options::named)).await?;
        prepare(&servers[0].client().await?).await;
        let checks: Vec<_> = check::all().into_iter().filter(|check| CHECKS.contains(&check.name())).collect();
        assert_eq!(checks.len(), CHECKS.len(), "the simulation has checks of these names");
        let tape = Tape::new(checks);
        let net = Net::new(Mode::Flat);
        let processes = Processes::new(net.clone(), seed, Some(tape.clone()));
        let background = stage::background(&tape, processes.etcds());
        let mut clusters = BTreeMap::new();
        for server in servers {
            let cluster = Cluster::around(server, seed, &processes, &net).await?;
            clusters.insert(cluster.site(), cluster);
        }
        // Questions to members take as long as they do in the simulation; nothing else goes by these links.
        let links = Links::new(tape.clone(), Weather::default(), seed);
        let truth = Truth {
            servers: BTreeMap::new(),
            etcds: processes.etcds().clone(),
            canaries: clusters.values().map(Cluster::token).collect(),
            addresses: links.addresses(),
        };
        tape.reveal(truth.clone());
        let members = Members { net: net.clone(), processes: processes.clone() };
        let lives = Lives::new(clusters[MASTER].kubeconfig().to_owned(), members, links, tape.clone());
        Ok(Self { tape, lives, net, processes, clusters, truth, measured: Mutex::default(), _background: background })
    }

    /// What was measured so far.
    pub fn measurements(&self) -> Vec<String> {
        lock(&self.measured).clone()
    }

    /// A credential that the controller's metrics show.
    pub fn leak(&self) -> Option<String> {
        check::leak(&self.lives.metrics(), &self.truth)
    }

    /// What there is in the end, for whoever reads a failing run.
    pub async fn describe(&self) -> String {
        let mut lines = Vec::new();
        let databases: Api<Database> = Api::all(self.person(&self.master()));
        for database in databases.list(&ListParams::default()).await.into_iter().flatten() {
            let status = serde_json::to_value(&database.status).unwrap_or_default();
            lines.push(format!("database {}: {status}", database.name_any()));
        }
        for (site, cluster) in &self.clusters {
            let pods: Api<Pod> = Api::all(cluster.person.clone());
            for pod in pods.list(&ListParams::default()).await.into_iter().flatten() {
                let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("no node").to_owned();
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("no phase");
                let going = if pod.metadata.deletion_timestamp.is_some() { ", going" } else { "" };
                lines.push(format!("{site}: pod {} on {node}: {phase}{going}", pod.name_any()));
            }
        }
        lines.join("\n")
    }

    fn cluster(&self, site: &Site) -> &Cluster {
        &self.clusters[site]
    }
}

/// Atoll's CRDs, served, and its namespace.
async fn prepare(master: &Client) {
    let crds: Api<CustomResourceDefinition> = Api::all(master.clone());
    for crd in dialect::crds() {
        let crd = crds.create(&PostParams::default(), &claimed(crd, INSTALLATION)).await.expect("a CRD");
        let (name, mut established) = (crd.name_any(), false);
        for _ in 0..300 {
            let conditions = crds.get(&name).await.ok().and_then(|crd| crd.status?.conditions).unwrap_or_default();
            established = conditions.iter().any(|found| found.type_ == "Established" && found.status == "True");
            if established {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(established, "the CRD {name} is not established within 30 s");
    }
    let metadata = ObjectMeta { name: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    Api::all(master.clone()).create(&PostParams::default(), &namespace).await.expect("a namespace");
}

/// What cannot be done to a server on this machine fails the scenario.
fn well<T>(done: lab::Result<T>) -> T {
    done.unwrap_or_else(|error| panic!("the lab: {error}"))
}

impl Stage for Real {
    type Backup = Snapshot;

    fn tape(&self) -> &Tape {
        &self.tape
    }

    fn luck(&self) -> u64 {
        std::env::var("ATOLL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
    }

    fn workers(&self) -> Vec<Site> {
        self.clusters.keys().filter(|site| &***site != MASTER).cloned().collect()
    }

    fn person(&self, site: &Site) -> Client {
        self.cluster(site).person.clone()
    }

    fn kubeconfig(&self, site: &Site) -> String {
        self.cluster(site).kubeconfig().to_owned()
    }

    fn worthless(&self, site: &Site) -> Vec<Worthless> {
        well(self.cluster(site).worthless(self.cluster(&self.master())))
    }

    async fn lend(&self, site: &Site) -> String {
        self.cluster(site).lend().await.expect("a token")
    }

    fn measured(&self, words: &str) {
        self.say(words);
        lock(&self.measured).push(words.to_owned());
    }

    fn world(&self, site: &Site) -> &World {
        &self.cluster(site).world
    }

    fn net(&self) -> &Net {
        &self.net
    }

    fn processes(&self) -> &Processes {
        &self.processes
    }

    async fn set_way(&self, site: &Site, way: Way) {
        self.cluster(site).set_way(way).await;
    }

    async fn set_load(&self, site: &Site, load: Load) {
        well(self.cluster(site).set_load(load).await);
    }

    async fn take_back(&self, site: &Site) {
        self.cluster(site).take_back().await.expect("the service account is deleted");
    }

    async fn set_power(&self, site: &Site, power: Power) {
        well(self.cluster(site).set_power(power).await);
    }

    async fn back_up(&self, site: &Site) -> Snapshot {
        well(self.cluster(site).back_up().await)
    }

    async fn put_back(&self, site: &Site, backup: &Snapshot) {
        well(self.cluster(site).restore(backup).await);
    }

    async fn put_another(&self, site: &Site) {
        well(self.cluster(site).rebuild().await);
    }

    async fn forget(&self, site: &Site) {
        well(self.cluster(site).compact().await);
    }

    async fn start(&self, replica: Replica) {
        self.lives.start(replica);
    }

    fn kill(&self, replica: Replica) {
        self.lives.crash(replica);
    }

    fn kill_for_good(&self, replica: Replica) {
        self.lives.stop(replica);
    }

    fn hold(&self, replica: Replica) {
        self.lives.pause(replica);
    }

    fn let_go(&self, replica: Replica) {
        self.lives.resume(replica);
    }

    fn kill_after(&self, writes: u64) {
        self.lives.steps().end_after(writes);
    }
}
