//! The simulated stage: everything in one thread and virtual time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use apiserver::{Account, ApiServer, Options, Rights, Snapshot, Who};
use atoll::{cli::INSTALLATION, controller::claim::claimed, dialect};
use kube::Client;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;
use tracing::subscriber::DefaultGuard;

use super::{Load, Stage, Worthless};
use crate::{
    ask::Members,
    check::{Check, Truth},
    entropy,
    kubeconfigs::{Certificate, Flaw, kubeconfig},
    link::{How, Links, Power, Shot, Way, Weather, Which},
    lives::{Apart, Lives, NAMESPACE, Replica, TOKEN},
    lock::lock,
    logs,
    place::MASTER,
    programs::Processes,
    script::Network,
    tape::{Party, Site, Tape},
    world::{
        Addresses, Flavour, World,
        net::{Mode, Net},
    },
};

/// What a simulated stage is made of.
pub struct Settings {
    /// What is drawn from.
    pub seed: u64,
    /// How many workers.
    pub workers: u8,
    /// How their pods reach each other.
    pub network: Network,
    /// What is checked.
    pub checks: Vec<Box<dyn Check>>,
    /// How much the controller logs.
    pub log: tracing::Level,
    /// Whether the controller can be paused.
    pub apart: Apart,
}

/// Everything in one thread and virtual time.
pub struct Simulated {
    /// What happens.
    pub tape: Tape,
    /// What is wrong with connections.
    pub weather: Weather,
    /// The connections.
    pub links: Links,
    /// The controller.
    pub lives: Lives,
    /// What really is.
    pub truth: Truth,
    /// How pods of different clusters reach each other.
    pub network: Network,
    seed: u64,
    net: Net,
    processes: Processes,
    worlds: BTreeMap<Site, World>,
    tokens: Mutex<BTreeMap<Site, u32>>,
    _background: Vec<AbortOnDropHandle<()>>,
    _log: DefaultGuard,
}

/// How many nodes each cluster has.
const NODES: u8 = 2;

impl Simulated {
    /// A master with Atoll's CRDs, and workers that nobody has registered. Nothing runs but the clusters themselves.
    pub fn new(settings: Settings) -> Self {
        let seed = settings.seed;
        let tape = Tape::new(settings.checks);
        let log = logs::capture(&tape, settings.log);
        let weather = Weather::default();
        let links = Links::new(tape.clone(), weather.clone(), seed);
        let net = Net::new(match settings.network {
            Network::Flat => Mode::Flat,
            Network::Islands | Network::EqualIslands => Mode::Islands,
        });
        let processes = Processes::new(net.clone(), seed, Some(tape.clone()));
        let etcds = processes.etcds().clone();
        let sites: Vec<Site> = std::iter::once(MASTER.to_owned())
            .chain((1..=settings.workers).map(|number| format!("w{number}")))
            .map(Site::from)
            .collect();
        let mut canaries = vec![TOKEN.to_owned()];
        let mut servers = BTreeMap::new();
        for (number, site) in (0u64..).zip(&sites) {
            let server = server(site, seed.wrapping_add(number));
            links.serve(site, server.clone());
            servers.insert(site.clone(), server);
            // The cluster that one day answers at its address.
            if &**site != MASTER {
                let other = other(site);
                let server = self::server(&other, seed.wrapping_add(1_000 + number));
                server.account(&token(site, 0), worker_account());
                links.serve(&other, server.clone());
                servers.insert(other, server);
                servers[site].account(&token(site, 0), worker_account());
                canaries.push(canary(site));
            }
        }
        prepare_master(&servers[MASTER]);
        let truth = Truth { servers, etcds: etcds.clone(), canaries, addresses: links.addresses() };
        tape.reveal(truth.clone());
        let worlds =
            sites.iter().map(|site| (site.clone(), world(&links, site, settings.network, &processes, &net, seed)));
        let worlds = worlds.collect();
        let members = Members { net: net.clone(), processes: processes.clone() };
        let lives = Lives::new(links.clone(), tape.clone(), Site::from(MASTER), members, seed, settings.apart);
        let mut background = Vec::from(super::background(&tape, &etcds));
        background.push(AbortOnDropHandle::new(tokio::spawn({
            let lives = lives.clone();
            async move { lives.reap().await }
        })));
        let tokens = Mutex::default();
        let network = settings.network;
        Self {
            seed,
            tape,
            weather,
            links,
            lives,
            truth,
            network,
            net,
            processes,
            worlds,
            tokens,
            _background: background,
            _log: log,
        }
    }

    /// The API server of a cluster itself.
    pub fn server(&self, site: &str) -> &ApiServer {
        &self.truth.servers[site]
    }

    /// Further workers, `x1` and so on, with nothing behind their API servers: they can be registered, and that is all.
    pub fn crowd(&self, number: u8) -> Vec<Site> {
        let sites = (1..=number).map(|number| {
            let site = Site::from(format!("x{number}"));
            let server = server(&site, 5_000 + u64::from(number));
            server.account(&token(&site, 0), worker_account());
            self.links.serve(&site, server);
            site
        });
        sites.collect()
    }

    /// The present token of a worker.
    pub fn token(&self, site: &str) -> String {
        if site == MASTER {
            return TOKEN.to_owned();
        }
        token(site, self.tokens().get(site).copied().unwrap_or(0))
    }

    /// Gives a worker another token; the former one is good until it is revoked.
    pub fn renew_token(&self, site: &str) {
        *self.tokens().entry(Site::from(site)).or_default() += 1;
        self.accept_token(site);
    }

    /// The worker accepts its present token.
    pub fn accept_token(&self, site: &str) {
        self.server(site).account(&self.token(site), worker_account());
        self.server(&other(site)).account(&self.token(site), worker_account());
    }

    /// The worker lets in whoever has this certificate, as long as it is good.
    pub fn accept_certificate(&self, site: &str, certificate: &Certificate) {
        let account = Account { expires: Some(certificate.until), ..worker_account() };
        self.server(site).account(&certificate.pem, account);
    }

    /// Leads the address of a worker to another cluster, or back to itself.
    pub fn lead(&self, site: &Site, to: Behind) {
        let to = match to {
            Behind::Itself => site.clone(),
            Behind::Another => other(site),
        };
        self.links.lead(site, &to);
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, BTreeMap<Site, u32>> {
        lock(&self.tokens)
    }
}

/// Who answers at the address of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The worker.
    Itself,
    /// Another, empty cluster.
    Another,
}

/// The other cluster that may answer at the address of this one.
pub fn other(site: &str) -> Site {
    Site::from(format!("other-{site}"))
}

/// What stands in every credential of a worker, and must not be seen anywhere.
pub(crate) fn canary(site: &str) -> String {
    format!("canary-{site}-token")
}

fn token(site: &str, generation: u32) -> String {
    format!("{}-{generation}", canary(site))
}

fn server(site: &str, seed: u64) -> ApiServer {
    ApiServer::new(Options {
        identity: format!("{seed:08x}-0000-4000-8000-{:0>12}", site.len()),
        version: "v1.34.4".to_owned(),
        clock: Arc::new(entropy::wall),
        seed,
    })
}

fn worker_account() -> Account {
    Account { user: "atoll".to_owned(), rights: Rights::All, expires: None }
}

fn prepare_master(server: &ApiServer) {
    server.account(
        TOKEN,
        Account { user: "system:serviceaccount:atoll-system:atoll".to_owned(), rights: Rights::All, expires: None },
    );
    let create = |path: &str, body: serde_json::Value| {
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(body.to_string().into()).expect("a request");
        let status = server.answer(&Who::Admin, request).status();
        assert!(status.is_success(), "{path}: {status}");
    };
    for crd in dialect::crds() {
        let crd = serde_json::to_value(claimed(crd, INSTALLATION)).expect("a CRD");
        create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
    }
    create("/api/v1/namespaces", json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } }));
}

fn world(links: &Links, site: &Site, network: Network, processes: &Processes, net: &Net, seed: u64) -> World {
    let client = links.client(Party::World, site, Who::Admin);
    let addresses = match network {
        Network::EqualIslands => Addresses::Alike,
        Network::Flat | Network::Islands => Addresses::Distinct,
    };
    let mut settings = crate::world::Settings::new(&**site, NODES, seed, Arc::new(entropy::wall));
    settings.flavour = Flavour { addresses, ..Flavour::default() };
    World::start(client, settings, Arc::new(processes.clone()), net.clone())
}

impl Stage for Simulated {
    type Backup = Snapshot;

    fn luck(&self) -> u64 {
        self.seed
    }

    fn tape(&self) -> &Tape {
        &self.tape
    }

    fn workers(&self) -> Vec<Site> {
        self.worlds.keys().filter(|site| &***site != MASTER).cloned().collect()
    }

    fn person(&self, site: &Site) -> Client {
        self.links.client(Party::Person, site, Who::Admin)
    }

    fn kubeconfig(&self, site: &Site) -> String {
        kubeconfig(site, &self.token(site))
    }

    fn worthless(&self, site: &Site) -> Vec<Worthless> {
        let (untrusted, unauthorized) = ("CertificateNotTrusted", "Unauthorized");
        [
            ("the authority of another cluster", Flaw::Authority, untrusted),
            ("a token of nobody", Flaw::Token, unauthorized),
            ("a client certificate that has expired", Flaw::Expired, unauthorized),
            ("a client certificate that is not valid yet", Flaw::Early, unauthorized),
        ]
        .map(|(what, flaw, reason)| Worthless { what, text: flaw.put_into(site, "", ""), reason })
        .into()
    }

    async fn lend(&self, site: &Site) -> String {
        self.renew_token(site);
        self.kubeconfig(site)
    }

    fn world(&self, site: &Site) -> &World {
        &self.worlds[site]
    }

    fn net(&self) -> &Net {
        &self.net
    }

    fn processes(&self) -> &Processes {
        &self.processes
    }

    async fn set_way(&self, site: &Site, way: Way) {
        self.weather.set(site, way);
    }

    async fn set_load(&self, site: &Site, load: Load) {
        match load {
            Load::Bearable => self.weather.relieve(site),
            Load::TooMuch => {
                self.weather.shoot(site, Shot { which: Which::Any, skip: 0, times: u64::MAX, how: How::TooMany });
            }
        }
    }

    async fn take_back(&self, site: &Site) {
        self.server(site).revoke(&self.token(site));
    }

    async fn set_power(&self, site: &Site, power: Power) {
        self.weather.power(site, power);
        self.server(site).close_watches();
    }

    async fn back_up(&self, site: &Site) -> Snapshot {
        self.server(site).snapshot()
    }

    async fn put_back(&self, site: &Site, backup: &Snapshot) {
        self.server(site).restore(backup);
    }

    async fn put_another(&self, site: &Site) {
        self.lead(site, Behind::Another);
    }

    async fn forget(&self, site: &Site) {
        self.server(site).compact();
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
        self.links.crash_after(writes);
    }
}
