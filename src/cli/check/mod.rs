//! `atoll check`: is the installation as it should be, and if not, what is wrong where, and what to do?

mod expiry;
mod finding;
mod kinds;
mod network;
mod permissions;
mod visit;
mod workers;

use std::{process::ExitCode, sync::Mutex, time::Duration};

use futures::StreamExt as _;
use jiff::Timestamp;

use super::{kubeconfigs, master};
use crate::{
    plan::name::Namespace,
    worker::{
        access::ServiceAccount, connect::KubeConnect, failpoint::Failpoint, identity::Claims, pool::Master,
        registration::SecretNamespaces,
    },
};
use finding::{Finding, Tally};
use kinds::{Kind, Who};
use network::{Run, Site, Way};
use permissions::Whom;
use visit::{Reached, Register, Visit};

/// Checks the installation: resource kinds, workers, permissions and, if asked to, the network between workers.
///
/// It reads, and asks API servers about permissions; only with --network does it make anything. Lines begin with
/// ok (as it should be), -- (worth knowing) or !! (amiss); => says what to do. All workers are visited at once, and
/// each is printed when it is done: one that does not answer holds up nobody.
///
/// With --network it makes a small pod and a headless service in every worker, in a namespace of its own, dials each
/// pod from each worker by its name and its address, and deletes all of it again, together with what an aborted check
/// may have left. Further ways are tried on demand: load balancers can cost money.
///
/// Exit code: 0 if all is fine, 2 if something is amiss, 1 if the master cannot be asked.
///
/// Examples:
///   atoll check --namespace atoll-system              the installation there
///   atoll check --service-account atoll               ask about the controller's permissions, not about yours
///   atoll check --network --load-balancer             which network modes can databases use?
///   atoll check --network --worker k8s-1 --worker k8s-2
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    master: master::Args,
    /// Namespaces, besides Atoll's own, whose Secrets a K8sCluster may name: as the controller has them.
    #[arg(long, value_name = "NAMESPACE,…", value_delimiter = ',')]
    secret_namespaces: Vec<String>,
    /// As the controller has them.
    #[command(flatten)]
    kubeconfigs: kubeconfigs::Args,
    /// Which installation's CRDs are ours.
    #[arg(long, value_name = "NAME", default_value = super::crds::INSTALLATION)]
    installation: String,
    /// Dialects that are left alone on purpose: as the controller has them.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    disable_dialects: Vec<super::dialects::DialectName>,
    /// The controller's Lease.
    #[arg(long, value_name = "NAME", default_value = "atoll")]
    lease: String,
    /// The controller's service account: its permissions in the master are checked instead of your own.
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    service_account: Option<String>,
    /// Check only this worker (by the name of its K8sCluster). May be repeated.
    #[arg(long = "worker", value_name = "NAME")]
    workers: Vec<String>,
    /// Check the network between workers. This makes pods and services in them, and deletes them afterwards.
    #[arg(long)]
    network: bool,
    #[command(flatten)]
    ways: NetworkArgs,
}

/// How the network is checked.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct NetworkArgs {
    /// Also by load balancers: makes a service of type LoadBalancer in each worker.
    #[arg(long, requires = "network")]
    load_balancer: bool,
    /// Also by node ports.
    #[arg(long, requires = "network")]
    node_port: bool,
    /// Also by services that a mesh shares (annotation service.cilium.io/global).
    #[arg(long, requires = "network")]
    global_service: bool,
    /// Where pods are made. A namespace that is missing is made, and deleted afterwards; one that is there stays.
    #[arg(long, value_name = "NAME", default_value = "atoll-check", requires = "network")]
    probe_namespace: String,
    /// The image of the pods: Atoll's own, of this version.
    #[arg(long, value_name = "IMAGE", default_value = IMAGE, requires = "network")]
    image: String,
    /// How many seconds pods and load balancers may take to come.
    #[arg(long, value_name = "SECONDS", default_value_t = 90, requires = "network")]
    patience: u64,
}

const IMAGE: &str = concat!("ghcr.io/atoll-dev/atoll:", env!("CARGO_PKG_VERSION"));

/// Checks, and says of everything that is amiss what to do.
pub async fn run(args: Args) -> Result<ExitCode, String> {
    let allowances = args.kubeconfigs.allowances()?;
    let master = args.master.connect(&Failpoint::default()).await?;
    let namespaces = SecretNamespaces {
        own: master.namespace.clone(),
        listed: args.secret_namespaces.iter().map(|name| Namespace::from(name.as_str())).collect(),
    };
    let mut tally = Tally::default();
    let disabled: Vec<_> = args.disable_dialects.iter().map(|dialect| dialect.kind().to_owned()).collect();
    let who = Who { installation: &args.installation, disabled: &disabled };
    let (kinds, register) =
        futures::join!(kinds::look(&master.client, who), visit::register(&master, &namespaces, &allowances));
    let found: Vec<_> = kinds.iter().map(|kind| kind.finding.clone()).collect();
    println!("{}", tally.section(&format!("Resource kinds in the master (kube-system {})", master.uid), &found));
    println!("{}", tally.section(&whose(&args, &master), &master_permissions(&args, &master, &kinds, &register).await));
    let visited = match register {
        Ok(register) => visit_all(&args, &master, register, &mut tally).await,
        Err(fault) => {
            let unlisted = Finding::amiss(format!("K8sClusters cannot be listed: {fault}"));
            println!("{}", tally.section("Workers", &[unlisted]));
            Visited::default()
        }
    };
    if args.network {
        check_network(&args, &master, &visited, &mut tally).await;
        println!();
    } else if visited.sites.len() > 1 {
        println!("The network between workers was not checked; --network does (it makes pods).");
    }
    println!("{tally}");
    Ok(if tally.all_fine() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn account(args: &Args, master: &Master) -> Option<ServiceAccount> {
    let account = args.service_account.as_deref()?;
    let (namespace, name) = account.split_once('/').unwrap_or((master.namespace.as_str(), account));
    Some(ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn whose(args: &Args, master: &Master) -> String {
    match account(args, master) {
        Some(ServiceAccount { namespace, name }) => {
            format!("Permissions of service account {namespace}/{name} in the master")
        }
        None => "Permissions in the master, of the credentials in use here (--service-account asks for the \
                 controller's)"
            .to_owned(),
    }
}

async fn master_permissions<E>(
    args: &Args,
    master: &Master,
    kinds: &[Kind],
    register: &Result<Register, E>,
) -> Vec<Finding> {
    let served: Vec<_> = kinds.iter().map(|kind| (kind.name.clone(), kind.served)).collect();
    let secrets = register.as_ref().map(|register| register.secrets.as_slice()).unwrap_or_default();
    let needs = permissions::in_master(&master.namespace, &args.lease, &served, secrets);
    let whom = account(args, master).map_or(Whom::Us, Whom::Account);
    let answers = permissions::ask(&master.client, &whom, needs).await;
    permissions::findings(&answers, "the Helm chart, or deploy/atoll.yaml, has the roles that the controller needs")
}

/// The workers that can take part in a network check, and those that cannot.
#[derive(Default)]
struct Visited {
    sites: Vec<Site>,
    left_out: Vec<String>,
}

/// Visits the workers and prints each as it comes out.
async fn visit_all(args: &Args, master: &Master, register: Register, tally: &mut Tally) -> Visited {
    let wanted = |name: &str| args.workers.is_empty() || args.workers.iter().any(|wanted| wanted == name);
    let unknown: Vec<_> = args
        .workers
        .iter()
        .filter(|name| register.workers.iter().all(|worker| worker.registration.name.as_str() != name.as_str()))
        .map(|name| Finding::amiss(format!("{name}: there is no K8sCluster of that name")))
        .collect();
    if !unknown.is_empty() {
        println!("{}", tally.section("Workers", &unknown));
    }
    if register.workers.is_empty() {
        let none = Finding::note("none is registered: databases have nowhere to go")
            .remedy("register one with a K8sCluster, or name a Secret with --multi-cluster-kubeconfig of `atoll run`");
        println!("{}", tally.section("Workers", &[none]));
    }
    let claims = Mutex::new(Claims::default());
    let mut visits: Vec<Visit> = Vec::new();
    // Those that are not asked for are known all the same: one of them may be a cluster's first registration.
    visit::remember(&claims, &register.workers);
    let chosen: Vec<_> =
        register.workers.into_iter().filter(|worker| wanted(worker.registration.name.as_str())).collect();
    {
        let connect = KubeConnect { addresses: args.kubeconfigs.addresses(), ..KubeConnect::default() };
        let mut coming = visit::visits(&connect, master, &chosen, &claims);
        while let Some(visit) = coming.next().await {
            println!("{}", tally.section(&workers::title(&visit), &workers::findings(&visit, Timestamp::now())));
            visits.push(visit);
        }
    }
    visits.sort_by(|a, b| a.name().cmp(b.name()));
    let serving = visits.iter().filter(|visit| visit.serving().is_some());
    let domains =
        workers::domains(serving.map(|visit| (visit.name(), visit.registered.registration.domain.as_deref())));
    if !domains.is_empty() {
        println!("{}", tally.section("DNS domains of the workers", &domains));
    }
    let mut visited = Visited::default();
    for visit in visits {
        // Nothing is made where it could not be removed again.
        let able =
            |reached: &&Reached| permissions::complete(&reached.permissions, &["namespaces", "pods", "services"]);
        let client = visit.serving().filter(able).map(|reached| reached.client.clone());
        let registration = visit.registered.registration;
        match client {
            Some(client) => visited.sites.push(Site {
                index: visited.sites.len(),
                worker: registration.name,
                domain: registration.domain,
                client,
            }),
            None => visited.left_out.push(registration.name.to_string()),
        }
    }
    visited
}

async fn check_network(args: &Args, master: &Master, visited: &Visited, tally: &mut Tally) {
    let Visited { sites, left_out } = visited;
    if !left_out.is_empty() {
        println!(
            "Not in the check of the network, because they cannot be used or their permissions are too few (see above): {}",
            left_out.join(", ")
        );
    }
    if sites.is_empty() {
        let nowhere = Finding::amiss("no worker can be used, so there is no network to check");
        print!("{}", tally.section("Network between workers", &[nowhere]));
        return;
    }
    let NetworkArgs { load_balancer, node_port, global_service, .. } = args.ways;
    let asked = [
        (true, Way::Name),
        (true, Way::Address),
        (load_balancer, Way::LoadBalancer),
        (node_port, Way::NodePort),
        (global_service, Way::Global),
    ];
    let run = Run {
        id: network::run_id(),
        namespace: args.ways.probe_namespace.clone(),
        image: args.ways.image.clone(),
        master: master.uid.clone(),
        ways: asked.into_iter().filter_map(|(asked, way)| asked.then_some(way)).collect(),
    };
    network::check(&run, sites, Duration::from_secs(args.ways.patience), tally).await;
}
