//! Which clusters there are, with which names and addresses. Pure: options in, topology out.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The namespace that holds the bridge, which therefore is out of reach of the machine's own firewall rules.
pub const SWITCH: &str = "lab-switch";
/// The one interface that the machine itself gets.
pub const UPLINK: &str = "atoll-lab0";
/// The machine's address in the lab.
pub const HOST_IP: Ipv4Addr = Ipv4Addr::new(10, 90, 255, 1);
/// The switch's address: what has no other way goes there, and is dropped.
pub const SINK_IP: Ipv4Addr = Ipv4Addr::new(10, 90, 255, 2);
/// All addresses of nodes, and the machine's.
pub const NODES: &str = "10.90.0.0/16";
/// All addresses of pods.
pub const PODS: &str = "10.91.0.0/16";
/// All addresses of services.
pub const SERVICES: &str = "10.92.0.0/16";
/// More would not fit into the pods' addresses.
pub const MOST_WORKERS: u8 = 30;
/// More would not fit into one cluster's pods' addresses.
pub const MOST_NODES: u8 = 8;

/// What can reach what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Each cluster has its own pod addresses; they are routed, and Service names are resolved, across clusters.
    #[default]
    Flat,
    /// All clusters have the same pod and service addresses; only node and load balancer addresses cross.
    Islands,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flat => "flat",
            Self::Islands => "islands",
        })
    }
}

/// What lab is wanted.
// Each flag is one option of `lab up`, and none excludes another.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// How many worker clusters: `k8s-1` … `k8s-N`.
    pub workers: u8,
    /// How many nodes each worker cluster has.
    pub nodes: u8,
    /// Only control planes: objects can be made, but no pod runs.
    pub no_nodes: bool,
    /// A node in the master, too.
    pub master_node: bool,
    /// What can reach what.
    pub network: Network,
    /// With [`Network::Flat`]: service addresses are routed across clusters, too.
    pub route_services: bool,
    /// The stand-in for Cilium's global Services runs in the workers.
    pub global_services: bool,
    /// Cluster domains other than `<name>.lab`.
    pub domains: BTreeMap<String, String>,
    /// Image archives (docker or OCI) that every node gets, besides the lab's own images.
    pub images: Vec<std::path::PathBuf>,
    /// The image of etcd 3.6, too (built on first use).
    pub etcd_36: bool,
    /// MetalLB gives the workers' load balancer addresses, not the lab's allocator (built on first use).
    #[serde(default)]
    pub metallb: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 3,
            nodes: 1,
            no_nodes: false,
            master_node: false,
            network: Network::Flat,
            route_services: false,
            global_services: true,
            domains: BTreeMap::new(),
            images: Vec::new(),
            etcd_36: false,
            metallb: false,
        }
    }
}

/// A network namespace with an address: a control plane, a node, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The cluster's name for its first place; `<cluster>-n2` and so on for the others.
    pub name: String,
    /// The network namespace, as `ip netns` lists it.
    pub netns: String,
    /// The address.
    pub ip: Ipv4Addr,
    /// The node that runs here, if one does.
    pub node: Option<Node>,
}

/// A Kubernetes node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// As `kubectl get nodes` prints it: `<cluster>-n1`, …
    pub name: String,
    /// Where its pods' addresses come from.
    pub pod_cidr: String,
}

/// One Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// `master`, or `k8s-1` and so on; also the name of its context in kubeconfigs.
    pub name: String,
    /// 0 for the master.
    pub index: u8,
    /// The cluster domain: Services are `<name>.<namespace>.svc.<domain>`.
    pub domain: String,
    /// The address of its API server, and of its first node.
    pub ip: Ipv4Addr,
    /// The addresses of its nodes.
    pub node_cidr: String,
    /// The addresses of its pods.
    pub pod_cidr: String,
    /// The addresses of its services.
    pub service_cidr: String,
    /// The addresses of its load balancers.
    pub lb_cidr: String,
    /// The address of its DNS service.
    pub dns_ip: Ipv4Addr,
    /// The address of the Service `kubernetes`.
    pub api_service_ip: Ipv4Addr,
    /// Where it runs; the control plane is in the first.
    pub places: Vec<Place>,
}

impl Cluster {
    /// The API server's URL.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("https://{}:6443", self.ip)
    }

    /// Its nodes, with where they run.
    pub fn nodes(&self) -> impl Iterator<Item = (&Place, &Node)> {
        self.places.iter().filter_map(|place| Some((place, place.node.as_ref()?)))
    }

    /// Whether pods can run.
    #[must_use]
    pub fn has_nodes(&self) -> bool {
        self.nodes().next().is_some()
    }

    /// Whether this is the cluster where Atoll lives.
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.index == 0
    }

    fn new(options: &Options, index: u8) -> Self {
        let name = if index == 0 { "master".to_owned() } else { format!("k8s-{index}") };
        let ip = Ipv4Addr::new(10, 90, index, 10);
        // Equal addresses everywhere are what makes islands islands.
        let (pods, services) = match options.network {
            Network::Flat => (8 * index, index),
            Network::Islands => (0, 0),
        };
        let count = match (options.no_nodes, index, options.master_node) {
            (true, ..) | (false, 0, false) => 0,
            (false, 0, true) => 1,
            _ => options.nodes,
        };
        let places = (0..count.max(1))
            .map(|number| {
                let place = if number == 0 { name.clone() } else { format!("{name}-n{}", number + 1) };
                Place {
                    netns: format!("lab-{place}"),
                    ip: Ipv4Addr::new(10, 90, index, 10 + number),
                    node: (number < count).then(|| Node {
                        name: format!("{name}-n{}", number + 1),
                        pod_cidr: format!("10.91.{}.0/24", pods + number),
                    }),
                    name: place,
                }
            })
            .collect();
        Self {
            domain: options.domains.get(&name).cloned().unwrap_or_else(|| format!("{name}.lab")),
            ip,
            node_cidr: format!("10.90.{index}.0/24"),
            pod_cidr: format!("10.91.{pods}.0/21"),
            service_cidr: format!("10.92.{services}.0/24"),
            lb_cidr: format!("10.93.{index}.0/24"),
            dns_ip: Ipv4Addr::new(10, 92, services, 10),
            api_service_ip: Ipv4Addr::new(10, 92, services, 1),
            name,
            index,
            places,
        }
    }
}

/// A whole lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// What was asked for.
    pub options: Options,
    /// The master first, then the workers.
    pub clusters: Vec<Cluster>,
}

impl Topology {
    /// The lab that these options describe.
    pub fn new(options: Options) -> Result<Self> {
        let wrong = |text: String| Err(Error::Options(text));
        if options.workers > MOST_WORKERS {
            return wrong(format!(
                "{} workers are too many; the lab has addresses for {MOST_WORKERS}",
                options.workers
            ));
        }
        if !(1..=MOST_NODES).contains(&options.nodes) {
            return wrong(format!(
                "a cluster has 1 to {MOST_NODES} nodes, not {}; for none use --no-nodes",
                options.nodes
            ));
        }
        if options.no_nodes && options.master_node {
            return wrong("--no-nodes and --master-node exclude each other".to_owned());
        }
        if options.no_nodes && options.metallb {
            return wrong(
                "--no-nodes and --metallb exclude each other: a load balancer's address leads to a node".to_owned(),
            );
        }
        if options.route_services && options.network == Network::Islands {
            return wrong(
                "--route-services needs --network flat: islands share one range of service addresses".to_owned(),
            );
        }
        let clusters: Vec<_> = (0..=options.workers).map(|index| Cluster::new(&options, index)).collect();
        for (name, domain) in &options.domains {
            if !clusters.iter().any(|cluster| cluster.name == *name) {
                return wrong(format!("--domain {name}={domain}: there is no cluster {name}"));
            }
            let valid = |label: &str| {
                !label.is_empty()
                    && label.len() < 64
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            };
            if !domain.split('.').all(valid) {
                return wrong(format!(
                    "--domain {name}={domain}: {domain:?} is no domain; write it like {name}.example.com"
                ));
            }
        }
        Ok(Self { options, clusters })
    }

    /// The cluster of this name.
    pub fn cluster(&self, name: &str) -> Result<&Cluster> {
        let known = || self.clusters.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>().join(", ");
        self.clusters
            .iter()
            .find(|cluster| cluster.name == name)
            .ok_or_else(|| Error::UnknownPlace { name: name.to_owned(), known: known() })
    }

    /// The worker clusters.
    pub fn workers(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.iter().filter(|cluster| !cluster.is_master())
    }

    /// Every place, with its cluster.
    pub fn places(&self) -> impl Iterator<Item = (&Cluster, &Place)> {
        self.clusters.iter().flat_map(|cluster| cluster.places.iter().map(move |place| (cluster, place)))
    }

    /// What a name given by a person means: all places of a cluster, or the one place of a node.
    pub fn find(&self, name: &str) -> Result<Vec<(&Cluster, &Place)>> {
        let of_cluster = |(cluster, _): &(&Cluster, &Place)| cluster.name == name;
        let of_node = |(_, place): &(&Cluster, &Place)| {
            place.name == name || place.node.as_ref().is_some_and(|node| node.name == name)
        };
        let mut found: Vec<_> = self.places().filter(of_cluster).collect();
        if found.is_empty() {
            found = self.places().filter(of_node).collect();
        }
        if found.is_empty() {
            let clusters = self.clusters.iter().map(|cluster| cluster.name.clone());
            let nodes = self.clusters.iter().flat_map(|cluster| cluster.nodes().map(|(_, node)| node.name.clone()));
            let known = clusters.chain(nodes).collect::<Vec<_>>().join(", ");
            return Err(Error::UnknownPlace { name: name.to_owned(), known });
        }
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn topology(change: impl FnOnce(&mut Options)) -> Result<Topology> {
        let mut options = Options::default();
        change(&mut options);
        Topology::new(options)
    }

    #[test]
    fn flat_clusters_share_no_address() {
        let lab = topology(|options| (options.workers, options.nodes, options.master_node) = (30, 8, true)).unwrap();
        let mut cidrs: Vec<_> =
            lab.places().filter_map(|(_, place)| Some(place.node.as_ref()?.pod_cidr.clone())).collect();
        cidrs.extend(lab.clusters.iter().map(|cluster| cluster.service_cidr.clone()));
        let count = cidrs.len();
        cidrs.sort();
        cidrs.dedup();
        assert_eq!(cidrs.len(), count);
        assert_eq!(lab.clusters[30].places[7].node.as_ref().unwrap().pod_cidr, "10.91.247.0/24");
    }

    #[test]
    fn islands_share_pod_and_service_addresses_but_no_load_balancer() {
        let lab = topology(|options| options.network = Network::Islands).unwrap();
        assert_eq!(lab.clusters[1].pod_cidr, lab.clusters[2].pod_cidr);
        assert_eq!(lab.clusters[1].dns_ip, lab.clusters[3].dns_ip);
        assert_ne!(lab.clusters[1].lb_cidr, lab.clusters[2].lb_cidr);
        assert_ne!(lab.clusters[1].ip, lab.clusters[2].ip);
    }

    #[test]
    fn the_master_has_a_node_only_when_asked() {
        assert!(!topology(|_| ()).unwrap().clusters[0].has_nodes());
        assert!(topology(|options| options.master_node = true).unwrap().clusters[0].has_nodes());
        assert!(!topology(|options| options.no_nodes = true).unwrap().clusters[1].has_nodes());
    }

    #[test]
    fn a_name_is_a_cluster_or_one_of_its_nodes() {
        let lab = topology(|options| options.nodes = 2).unwrap();
        assert_eq!(lab.find("k8s-1").unwrap().len(), 2);
        assert_eq!(lab.find("k8s-1-n1").unwrap()[0].1.name, "k8s-1");
        assert_eq!(lab.find("k8s-1-n2").unwrap()[0].1.netns, "lab-k8s-1-n2");
        let error = lab.find("k8s-9").unwrap_err().to_string();
        assert!(error.contains("k8s-9") && error.contains("k8s-3-n2"), "{error}");
    }

    #[test]
    fn names_of_links_fit_into_the_kernel_s_fifteen_bytes() {
        let lab = topology(|options| (options.workers, options.nodes) = (30, 8)).unwrap();
        assert!(lab.places().all(|(_, place)| crate::network::port(place).len() <= 15));
    }

    #[test]
    fn options_that_cannot_be_are_refused_in_words() {
        for (change, word) in [
            (Box::new(|options: &mut Options| options.workers = 31) as Box<dyn FnOnce(&mut Options)>, "too many"),
            (Box::new(|options| options.nodes = 9), "1 to 8"),
            (Box::new(|options| (options.no_nodes, options.master_node) = (true, true)), "exclude"),
            (Box::new(|options| (options.no_nodes, options.metallb) = (true, true)), "leads to a node"),
            (Box::new(|options| (options.route_services, options.network) = (true, Network::Islands)), "flat"),
            (Box::new(|options| drop(options.domains.insert("k8s-7".into(), "a.b".into()))), "no cluster k8s-7"),
            (Box::new(|options| drop(options.domains.insert("k8s-1".into(), "A_b".into()))), "no domain"),
        ] {
            let error = topology(change).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
