//! Starting a lab: everything that can be done at the same time is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::addons::{self, Balancer};
use crate::api::{self, Api};
use crate::bootstrap::{self, DOCUMENT};
use crate::certs::{self, Authority, MASTERS};
use crate::control_plane::{ControlPlane, kubeconfig_path};
use crate::error::{Error, Result, read, write, write_whole};
use crate::gobuild::{self, Program};
use crate::images;
use crate::lab::Lab;
use crate::model::{Cluster, Network, Node, Options, Place, Topology};
use crate::node::{NodeSetup, containerd_socket};
use crate::preflight::{self, Machine};
use crate::process::{Launch, wait_until};
use crate::{cgroups, cleanup, faults, metallb, network};

const API_LIMIT: Duration = Duration::from_mins(2);
const NODE_LIMIT: Duration = Duration::from_mins(2);

struct Clock(Instant);

impl Clock {
    fn say(&self, text: &str) {
        eprintln!("{:6.1} s  {text}", self.0.elapsed().as_secs_f32());
    }
}

/// Which programs a lab with these options needs.
pub(crate) fn needed(options: &Options) -> Vec<Program> {
    let mut programs = gobuild::STANDARD.to_vec();
    if options.etcd_36 {
        programs.extend_from_slice(gobuild::WITH_ETCD_36);
    }
    if options.metallb {
        programs.extend_from_slice(gobuild::WITH_METALLB);
    }
    programs
}

/// Makes the machine ready (programs, packages, images), clears what is left of an earlier lab, and starts.
pub(crate) fn up(lab: &Lab) -> Result<()> {
    let topology = &lab.topology;
    let wanted = needed(&topology.options);
    let machine = preflight::check(&lab.programs, &wanted, &lab.debs)?;
    let addons_program = topology.clusters.iter().any(Cluster::has_nodes).then(addons_program).transpose()?;
    lab.programs.ensure(&wanted)?;
    lab.debs.ensure()?;
    let clock = Clock(Instant::now());
    let mut archives = images::standard(&lab.dirs, &lab.programs, topology.options.etcd_36)?;
    archives.extend(topology.options.images.iter().cloned());
    cleanup::clean(&lab.dirs)?;
    preflight::probe(&lab.debs)?;
    clock.say("this machine is ready, and nothing is left of an earlier lab");

    cleanup::point_to_state(&lab.dirs)?;
    make_private(&lab.dirs.state)?;
    let text = serde_json::to_string_pretty(topology).map_err(|error| Error::Options(error.to_string()))?;
    write_whole(&lab.dirs.state.join("lab.json"), text)?;
    network::create(topology)?;
    let authority = Authority::new()?;
    clock.say(&format!("networks: {} ({})", topology.clusters.len(), topology.options.network));

    let start = Start { lab, topology, machine, authority, archives, addons_program, clock };
    in_parallel(&topology.clusters, |cluster| start.cluster(cluster))?;
    start.clock.say(&format!("up: {}", names(topology)));
    Ok(())
}

fn names(topology: &Topology) -> String {
    topology.clusters.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>().join(" ")
}

struct Start<'a> {
    lab: &'a Lab,
    topology: &'a Topology,
    machine: Machine,
    authority: Authority,
    archives: Vec<PathBuf>,
    addons_program: Option<PathBuf>,
    clock: Clock,
}

impl Start<'_> {
    fn launch(&self, place: &Place, launch: &Launch) -> Result<()> {
        self.lab.processes(place).launch(launch)
    }

    fn cluster(&self, cluster: &Cluster) -> Result<()> {
        let state = &self.lab.dirs.state;
        let plane = ControlPlane { state, programs: &self.lab.programs, cluster };
        certs::issue(&self.authority, state, cluster)?;
        plane.write_files(&tokens(state, cluster)?)?;
        let first = &cluster.places[0];
        self.launch(first, &plane.etcd())?;
        self.launch(first, &plane.apiserver())?;
        let nodes: Vec<_> = cluster.nodes().collect();
        let prepare = || in_parallel(&nodes, |(place, node)| self.prepare_node(cluster, place, node));
        std::thread::scope(|scope| -> Result<()> {
            let preparing = scope.spawn(prepare);
            let admin = self.lab.kubeconfig(&cluster.name, crate::As::Admin)?;
            api::session(&cluster.name, &admin, async |api: &Api| {
                self.wait_for_api(api, cluster).await?;
                self.launch(first, &plane.controller_manager())?;
                bootstrap::create(api, cluster).await?;
                if self.has_metallb(cluster) {
                    metallb::install(api, &self.lab.programs, cluster).await?;
                }
                Ok(())
            })?;
            preparing.join().unwrap_or_else(|_| Err(Error::Options("preparing a node ended early".to_owned())))?;
            if !nodes.is_empty() {
                self.launch(first, &plane.scheduler())?;
            }
            for (place, node) in &nodes {
                let setup = self.setup(cluster, place, node);
                self.launch(place, &setup.kubelet())?;
                self.launch(place, &setup.proxy())?;
                if place.name == first.name {
                    self.launch(place, &setup.coredns(self.topology)?)?;
                    self.launch(place, &self.addons(cluster)?)?;
                    if self.has_metallb(cluster) {
                        self.launch(place, &metallb::launch(state, &self.lab.programs, cluster))?;
                    }
                }
            }
            api::session(&cluster.name, &admin, async |api: &Api| self.wait_until_ready(api, cluster).await)
        })?;
        let count = nodes.len();
        self.clock.say(&match count {
            0 => format!("{}: control plane ready at {}", cluster.name, cluster.api_url()),
            _ => format!(
                "{}: ready with {count} node{} at {}",
                cluster.name,
                if count == 1 { "" } else { "s" },
                cluster.api_url()
            ),
        });
        Ok(())
    }

    async fn wait_for_api(&self, api: &Api, cluster: &Cluster) -> Result<()> {
        let log = self.lab.processes(&cluster.places[0]).log("apiserver");
        let ask = async |api: &Api| match api.get_text("/readyz").await {
            Ok(answer) if answer.trim() == "ok" => Ok(()),
            Ok(answer) => Err(answer),
            Err(error) => Err(error.to_string()),
        };
        api.wait("the API server", API_LIMIT, log, ask).await
    }

    async fn wait_until_ready(&self, api: &Api, cluster: &Cluster) -> Result<()> {
        let processes = self.lab.processes(&cluster.places[0]);
        let found = async |api: &Api, path: &str| api.get(path).await.map(drop).map_err(|error| error.to_string());
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        api.wait("the default service account", API_LIMIT, processes.log("controller-manager"), async |api| {
            found(api, account).await
        })
        .await?;
        let expected = cluster.nodes().count();
        if expected == 0 {
            return Ok(());
        }
        let nodes = async |api: &Api| {
            self.revive_kubelets(cluster).map_err(|error| error.to_string())?;
            let nodes = api.get("/api/v1/nodes").await.map_err(|error| error.to_string())?;
            bootstrap::unready(&nodes, expected)
        };
        api.wait("the nodes", NODE_LIMIT, processes.log("kubelet"), nodes).await?;
        let class = "/apis/storage.k8s.io/v1/storageclasses/standard";
        api.wait("the storage class", API_LIMIT, processes.log("addons"), async |api| found(api, class).await).await?;
        if self.has_metallb(cluster) {
            api.wait("MetalLB's pool", API_LIMIT, processes.log("metallb"), metallb::ready).await?;
        }
        Ok(())
    }

    /// Document 001 has it in the data plane's clusters; a master with a node keeps the lab's allocator.
    fn has_metallb(&self, cluster: &Cluster) -> bool {
        self.topology.options.metallb && !cluster.is_master()
    }

    /// All kubelets of the machine share one socket path that none of them lets be chosen (that of the device plugins),
    /// and one that loses the race for it ends.
    fn revive_kubelets(&self, cluster: &Cluster) -> Result<()> {
        cluster.nodes().try_for_each(|(place, _)| self.lab.processes(place).start("kubelet"))
    }

    fn setup<'a>(&'a self, cluster: &'a Cluster, place: &'a Place, node: &'a Node) -> NodeSetup<'a> {
        let Lab { dirs, programs, debs, .. } = self.lab;
        NodeSetup { dirs, programs, debs, machine: &self.machine, cluster, place, node }
    }

    /// Starts containerd and loads the images, which needs no API server.
    fn prepare_node(&self, cluster: &Cluster, place: &Place, node: &Node) -> Result<()> {
        let setup = self.setup(cluster, place, node);
        setup.write_files()?;
        setup.write_resolv_conf()?;
        cgroups::create(&node.name)?;
        if self.topology.options.network == Network::Islands {
            faults::restore(place, &self.lab.debs, &network::masquerade_rules(cluster))?;
        }
        self.launch(place, &setup.containerd())?;
        let socket = containerd_socket(&self.lab.dirs, place);
        if !wait_until(Duration::from_mins(1), || std::os::unix::net::UnixStream::connect(&socket).is_ok()) {
            let log = self.lab.processes(place).log("containerd");
            let last = "its socket takes no connection".to_owned();
            return Err(Error::NotReady { what: format!("containerd of {}", place.name), seconds: 60, last, log });
        }
        self.archives.iter().try_for_each(|archive| self.lab.import(place, archive))
    }

    fn addons(&self, cluster: &Cluster) -> Result<Launch> {
        let state = &self.lab.dirs.state;
        let dir = state.join(&cluster.name);
        let kubeconfig = |name: &str| kubeconfig_path(state, name, "addons");
        let peers: Vec<_> =
            self.topology.workers().filter(|peer| peer.name != cluster.name && peer.has_nodes()).collect();
        let config = json!({
            "cluster": cluster.name,
            "kubeconfig": kubeconfig(&cluster.name),
            "lb_range": cluster.lb_cidr,
            "balancer": if self.has_metallb(cluster) { Balancer::MetalLb } else { Balancer::Lab },
            "storage_root": dir.join("volumes"),
            "peers": peers.iter().map(|peer| json!({ "cluster": peer.name, "kubeconfig": kubeconfig(&peer.name) })).collect::<Vec<_>>(),
            "global_services": self.topology.options.global_services && !cluster.is_master(),
        });
        let config: addons::Config =
            serde_json::from_value(config).map_err(|error| Error::Options(error.to_string()))?;
        let path = dir.join("addons.json");
        write(&path, serde_json::to_string_pretty(&config).unwrap_or_default())?;
        let program =
            self.addons_program.clone().ok_or_else(|| Error::Options("no program for the add-ons".to_owned()))?;
        let args = vec!["addons".to_owned(), "--config".to_owned(), path.display().to_string()];
        Ok(Launch {
            name: "addons".to_owned(),
            netns: cluster.places[0].netns.clone(),
            program,
            args,
            env: BTreeMap::new(),
        })
    }
}

/// Does the work for all items at once; the first failure is told when all have ended.
pub(crate) fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let work = &work;
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(move || work(item))).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let ended = |_| Err(Error::Options("a thread of the lab ended early".to_owned()));
    results.into_iter().try_for_each(|result| result.unwrap_or_else(ended))
}

/// The command `lab`: this very program, or, when a test uses the library, the one that cargo built beside it.
fn addons_program() -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(|source| Error::Io { what: "find this program".to_owned(), source })?;
    if own.file_name().is_some_and(|name| name == "lab") {
        return Ok(own);
    }
    let beside = own.ancestors().skip(1).take(2).map(|directory| directory.join("lab")).find(|path| path.is_file());
    beside.ok_or_else(|| {
        let text =
            "the command `lab`, which runs the clusters' add-ons, is not built: cargo build -p atoll-lab --bin lab";
        Error::Preflight(vec![format!("{text} (looked beside {})", own.display())])
    })
}

/// Makes a cluster's bearer tokens: the file of its API server, and one file for each user.
fn tokens(state: &Path, cluster: &Cluster) -> Result<String> {
    let pki = certs::directory(state, &cluster.name);
    let token = || -> Result<String> { Ok(crate::cache::hex(&random()?)) };
    let (admin, document) = (token()?, token()?);
    write(&pki.join("admin.token"), &admin)?;
    write(&pki.join("document.token"), &document)?;
    Ok(format!("{admin},lab:admin,lab:admin,{MASTERS}\n{document},{DOCUMENT},{DOCUMENT}\n"))
}

fn random() -> Result<[u8; 16]> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    let filled = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    filled.map_err(|source| Error::Io { what: "read /dev/urandom".to_owned(), source })?;
    Ok(bytes)
}

/// Keys and tokens are in there.
fn make_private(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| Error::Io { what: format!("make the directory {}", dir.display()), source })
}

/// The topology that a running lab wrote down.
pub(crate) fn saved(state: &Path) -> Result<Topology> {
    let path = state.join("lab.json");
    if !path.exists() {
        return Err(Error::NotRunning(state.to_owned()));
    }
    serde_json::from_str(&read(&path)?).map_err(|error| Error::Corrupt { path, reason: error.to_string() })
}
