//! The commands, as a person types them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lab::{As, Cut, Error, Lab, Network, Options, Place, Result, State, addons, audit};

/// Real Kubernetes clusters on this machine, without Docker.
///
/// `lab up` starts a master and three workers (k8s-1, k8s-2, k8s-3), each in a network namespace of its own; the
/// first time it builds Kubernetes from source, which takes 6 to 10 minutes on two cores. `lab down` removes
/// everything but the cache. Root is needed (sudo -E).
#[derive(Parser)]
#[command(name = "lab", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  lab up                                     a master and three workers, pods routed between them
  lab up --network islands --nodes 2         nothing crosses but nodes and load balancers; two nodes a worker
  lab kubectl k8s-1 get nodes                kubectl as administrator of a cluster
  lab kubeconfig --merged --as document      one kubeconfig for all workers, with few permissions
  lab cut k8s-2; lab heal k8s-2              a partition (packets vanish), and its end
  lab kill k8s-1 kubelet; lab start k8s-1 kubelet
  lab image example.com/tool:1=./tool        a static program as an image, on every node
  lab audit k8s-1 --since 5m                 who asked the API server for what

Environment:
  ATOLL_LAB_CACHE   built programs and unpacked packages (default: ~/.cache/atoll-lab)
  ATOLL_LAB_STATE   what a running lab writes (default: /var/lib/atoll-lab)";

#[derive(Subcommand)]
enum Command {
    /// Start a lab, in place of any that runs.
    Up(Up),
    /// End the lab and remove everything but the cache; also after a crash.
    Down,
    /// Clusters, nodes, processes and faults.
    Status,
    /// Print a kubeconfig.
    Kubeconfig(Kubeconfig),
    /// Run kubectl as administrator of a cluster.
    Kubectl {
        /// The cluster.
        name: String,
        /// kubectl's arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Drop all packets between a cluster (or one node) and the outside.
    Cut {
        /// A cluster, or a node such as k8s-1-n2.
        name: String,
        /// Only those of the API server.
        #[arg(long, conflicts_with = "peers")]
        api: bool,
        /// Only those of other clusters; the API still answers this machine and the master.
        #[arg(long)]
        peers: bool,
    },
    /// End a cut.
    Heal {
        /// A cluster or a node.
        name: String,
    },
    /// Take the cable out: peers hear "no route to host" after seconds.
    Unplug {
        /// A cluster or a node.
        name: String,
    },
    /// Put the cable in again.
    Plug {
        /// A cluster or a node.
        name: String,
    },
    /// End a process at once (SIGKILL).
    Kill(Process),
    /// Start a process that was killed.
    Start(Process),
    /// Stop a process where it is (SIGSTOP); connections stay open.
    Pause(Process),
    /// Let a paused process go on.
    Resume(Process),
    /// Load an image into the nodes.
    Image {
        /// NAME:TAG=PROGRAM (one static program), or the path of an archive that `docker save` wrote.
        image: String,
        /// The clusters; none means all.
        clusters: Vec<String>,
    },
    /// Count the requests that an API server has answered.
    Audit(Audit),
    /// Build what is not in the cache yet, and start nothing.
    Build {
        /// The image of etcd 3.6, too.
        #[arg(long)]
        etcd_36: bool,
        /// MetalLB's controller, too.
        #[arg(long)]
        metallb: bool,
    },
    /// Print where a program of the lab is (kubectl, helm, etcdctl, …).
    Bin {
        /// Its name.
        name: String,
    },
    /// The add-ons of one cluster; started by `lab up`.
    #[command(hide = true)]
    Addons {
        /// What it is told.
        #[arg(long)]
        config: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum NetworkArg {
    /// Pods have addresses of their own and are routed between clusters.
    Flat,
    /// All clusters have the same pod addresses; only nodes and load balancers cross.
    Islands,
}

#[derive(Args)]
// One field for each option that a person can give.
#[allow(clippy::struct_excessive_bools)]
struct Up {
    /// How many worker clusters.
    #[arg(long, default_value_t = 3)]
    workers: u8,
    /// How many nodes each worker has.
    #[arg(long, default_value_t = 1)]
    nodes: u8,
    /// Only control planes: objects can be made, but no pod runs.
    #[arg(long)]
    no_nodes: bool,
    /// A node in the master, too.
    #[arg(long)]
    master_node: bool,
    /// What can reach what.
    #[arg(long, value_enum, default_value = "flat")]
    network: NetworkArg,
    /// With a flat network: route service addresses between clusters, too.
    #[arg(long)]
    route_services: bool,
    /// Leave the stand-in for Cilium's global Services away.
    #[arg(long)]
    no_global_services: bool,
    /// A cluster domain other than NAME.lab; may be given several times.
    #[arg(long = "domain", value_name = "NAME=DOMAIN", value_parser = domain)]
    domains: Vec<(String, String)>,
    /// An image archive that every node gets; may be given several times.
    #[arg(long = "image", value_name = "ARCHIVE")]
    images: Vec<PathBuf>,
    /// The image of etcd 3.6, too (built on first use).
    #[arg(long)]
    etcd_36: bool,
    /// MetalLB gives the workers' load balancer addresses, as in document 001, not the lab's allocator (built on first use).
    #[arg(long)]
    metallb: bool,
}

fn domain(text: &str) -> std::result::Result<(String, String), String> {
    let (name, domain) = text.split_once('=').ok_or("write it like k8s-1=one.example.com")?;
    Ok((name.to_owned(), domain.to_owned()))
}

#[derive(Args)]
struct Kubeconfig {
    /// The cluster; it names the context, too.
    #[arg(required_unless_present = "merged", conflicts_with = "merged")]
    name: Option<String>,
    /// One for all workers, with a context for each.
    #[arg(long)]
    merged: bool,
    /// As whom.
    #[arg(long = "as", value_enum, default_value = "admin")]
    who: As,
}

#[derive(Args)]
struct Process {
    /// A cluster or a node.
    name: String,
    /// etcd, apiserver, controller-manager, scheduler, kubelet, proxy, containerd, coredns, addons or metallb.
    process: String,
}

#[derive(Args)]
struct Audit {
    /// The cluster.
    name: String,
    /// Only the last seconds, minutes or hours: 90s, 5m, 1h.
    #[arg(long, value_parser = span)]
    since: Option<Duration>,
    /// Leases, too, which components renew all the time.
    #[arg(long)]
    leases: bool,
    /// Only users or user agents that contain this.
    #[arg(long)]
    user: Option<String>,
}

fn span(text: &str) -> std::result::Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; write it like 90s, 5m or 1h");
    let split = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(number * seconds))
}

/// Does what the command line says.
pub fn run() -> Result<ExitCode> {
    let done = Ok(ExitCode::SUCCESS);
    match Cli::parse().command {
        Command::Up(up) => start(up)?,
        Command::Down => Lab::clean()?,
        Command::Status => show(&status(&Lab::open()?))?,
        Command::Kubeconfig(which) => {
            let lab = Lab::open()?;
            let text = match which.name {
                Some(name) => lab.kubeconfig(&name, which.who)?,
                None => lab.merged_kubeconfig(which.who)?,
            };
            show(&text)?;
        }
        Command::Kubectl { name, args } => {
            let mut command = Lab::open()?.kubectl_command(&name)?;
            let status =
                command.args(args).status().map_err(|source| Error::Io { what: "run kubectl".to_owned(), source })?;
            return Ok(status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .map_or(ExitCode::FAILURE, ExitCode::from));
        }
        Command::Cut { name, api, peers } => {
            let cut = match (api, peers) {
                (true, _) => Cut::Api,
                (_, true) => Cut::Peers,
                _ => Cut::All,
            };
            Lab::open()?.cut(&name, cut)?;
        }
        Command::Heal { name } => Lab::open()?.heal(&name)?,
        Command::Unplug { name } => Lab::open()?.unplug(&name)?,
        Command::Plug { name } => Lab::open()?.plug(&name)?,
        Command::Kill(which) => Lab::open()?.kill(&which.name, &which.process)?,
        Command::Start(which) => Lab::open()?.start(&which.name, &which.process)?,
        Command::Pause(which) => Lab::open()?.pause(&which.name, &which.process)?,
        Command::Resume(which) => Lab::open()?.resume(&which.name, &which.process)?,
        Command::Image { image, clusters } => {
            Lab::open()?.load_argument(&image, &clusters.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        Command::Audit(which) => show(&count_requests(&Lab::open()?, &which)?)?,
        Command::Build { etcd_36, metallb } => Lab::build_for(&Options { etcd_36, metallb, ..Options::default() })?,
        Command::Bin { name } => show(&format!("{}\n", lab::bin(&name)?.display()))?,
        Command::Addons { config } => run_addons(&config)?,
    }
    done
}

fn start(up: Up) -> Result<()> {
    let lab = Lab::up(Options {
        workers: up.workers,
        nodes: up.nodes,
        no_nodes: up.no_nodes,
        master_node: up.master_node,
        network: match up.network {
            NetworkArg::Flat => Network::Flat,
            NetworkArg::Islands => Network::Islands,
        },
        route_services: up.route_services,
        global_services: !up.no_global_services,
        domains: up.domains.into_iter().collect(),
        images: up.images,
        etcd_36: up.etcd_36,
        metallb: up.metallb,
    })?;
    let first = lab.clusters().get(1).map_or("master", |cluster| cluster.name.as_str());
    eprintln!("\nnext: lab status; lab kubectl {first} get nodes; lab down");
    Ok(())
}

/// Prints; a reader that has seen enough (`| head`) is no error.
fn show(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::Io { what: "write to stdout".to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Adds a line to a text; infallible for a String.
macro_rules! line {
    ($text:expr, $($argument:tt)*) => { _ = writeln!($text, $($argument)*) };
}

fn status(lab: &Lab) -> String {
    let mut text = String::new();
    let options = lab.options();
    line!(
        text,
        "network {}, {} clusters, state in {}",
        options.network,
        lab.clusters().len(),
        lab.state_dir().display()
    );
    for cluster in lab.clusters() {
        let (pods, services, balancers) = (&cluster.pod_cidr, &cluster.service_cidr, &cluster.lb_cidr);
        line!(text, "\n{}  {}  domain {}", cluster.name, cluster.api_url(), cluster.domain);
        line!(text, "  pods {pods}  services {services}  load balancers {balancers}");
        for place in &cluster.places {
            status_of_place(lab, place, &mut text);
        }
        let nodes = lab.kubectl(&cluster.name, &["get", "nodes", "--no-headers", "--request-timeout=3s"], None);
        match nodes {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).lines().for_each(|node| line!(text, "  {node}"));
            }
            Ok(output) => {
                line!(text, "  API: {}", String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default());
            }
            Err(error) => line!(text, "  API: {error}"),
        }
    }
    text
}

fn status_of_place(lab: &Lab, place: &Place, text: &mut String) {
    let node = place.node.as_ref().map_or("no node", |node| node.name.as_str());
    let processes = lab.processes(place);
    let (mut running, mut other, mut memory) = (Vec::new(), Vec::new(), 0);
    for name in processes.names() {
        memory += processes.pid(&name).ok().flatten().map_or(0, resident_megabytes);
        match processes.state(&name) {
            Ok(State::Running) => running.push(name),
            Ok(State::Paused) => other.push(format!("{name} PAUSED")),
            Ok(State::Dead) => other.push(format!("{name} DEAD")),
            Err(error) => other.push(format!("{name}: {error}")),
        }
    }
    other.extend(lab.faults(place));
    line!(text, "  {node} at {}: {} ({memory} MB)", place.ip, running.join(" "));
    if !other.is_empty() {
        line!(text, "    {}", other.join(", "));
    }
}

fn resident_megabytes(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default() / 1024
}

fn count_requests(lab: &Lab, which: &Audit) -> Result<String> {
    let mut text = String::new();
    let mut entries = match which.since {
        Some(span) => lab.audit_since(&which.name, jiff::Timestamp::now() - span)?,
        None => lab.audit(&which.name)?,
    };
    entries.retain(|entry| which.leases || entry.resource != "leases");
    if let Some(user) = &which.user {
        entries.retain(|entry| entry.user.contains(user) || entry.user_agent.contains(user));
    }
    line!(text, "{:>7}  {:<8} {:<44} {:<40} AGENT", "COUNT", "VERB", "RESOURCE", "USER");
    for ((user, agent, verb, resource), count) in audit::summary(&entries) {
        line!(text, "{count:>7}  {verb:<8} {resource:<44} {user:<40} {agent}");
    }
    line!(text, "{:>7}  in all; every line of it is in {}", entries.len(), lab.audit_log(&which.name)?.display());
    Ok(text)
}

fn run_addons(path: &std::path::Path) -> Result<()> {
    let corrupt = |reason: String| Error::Corrupt { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| corrupt(error.to_string()))?;
    let config: addons::Config = serde_json::from_str(&text).map_err(|error| corrupt(error.to_string()))?;
    Ok(addons::run(config)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn spans_are_seconds_minutes_or_hours() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("5m"), Ok(Duration::from_mins(5)));
        for wrong in ["", "5", "m", "5d", "5µ"] {
            assert!(span(wrong).unwrap_err().contains("5m"), "{wrong}");
        }
    }

    #[test]
    fn a_kubeconfig_is_of_one_cluster_or_merged() {
        assert!(Cli::try_parse_from(["lab", "kubeconfig"]).is_err());
        assert!(Cli::try_parse_from(["lab", "kubeconfig", "k8s-1", "--merged"]).is_err());
        assert!(Cli::try_parse_from(["lab", "kubeconfig", "--merged", "--as", "short-token"]).is_ok());
    }
}
