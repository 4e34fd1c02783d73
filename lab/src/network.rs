//! Network namespaces and routes. The bridge is in a namespace of its own, where no firewall of the machine
//! (nor of a Docker on it) sees the traffic between clusters; the machine itself gets one interface.

use std::fmt::Write as _;
use std::process::Command;

use crate::error::Result;
use crate::model::{Cluster, HOST_IP, Network, PODS, Place, SERVICES, SINK_IP, SWITCH, Topology, UPLINK};
use crate::shell;

const BRIDGE: &str = "br0";

/// The name of a place's port on the bridge.
#[must_use]
pub fn port(place: &Place) -> String {
    format!("v-{}", place.name)
}

/// Makes everything between the clusters.
pub(crate) fn create(topology: &Topology) -> Result<()> {
    ip(None, &host_setup(topology))?;
    ip(Some(SWITCH), &switch_setup(topology))?;
    in_netns(SWITCH, &sysctl("net/ipv4/ip_forward", 0))?;
    ip(None, &host_routes(topology))?;
    for (cluster, place) in topology.places() {
        ip(Some(&place.netns), &place_setup(topology, cluster, place))?;
        in_netns(&place.netns, &kernel_settings())?;
    }
    Ok(())
}

/// What the switch's namespace and the machine need before the ends can be configured.
fn host_setup(topology: &Topology) -> String {
    let mut batch = format!("netns add {SWITCH}\n");
    for (_, place) in topology.places() {
        line(&mut batch, format_args!("netns add {}", place.netns));
    }
    line(&mut batch, format_args!("link add {UPLINK} type veth peer name {UPLINK} netns {SWITCH}"));
    line(&mut batch, format_args!("addr add {HOST_IP}/16 dev {UPLINK}"));
    line(&mut batch, format_args!("link set {UPLINK} up"));
    batch
}

fn switch_setup(topology: &Topology) -> String {
    let mut batch =
        format!("link add {BRIDGE} type bridge\naddr add {SINK_IP}/16 dev {BRIDGE}\nlink set {BRIDGE} up\n");
    line(&mut batch, format_args!("link set {UPLINK} master {BRIDGE} up"));
    for (_, place) in topology.places() {
        let (port, netns) = (port(place), &place.netns);
        line(&mut batch, format_args!("link add {port} type veth peer name eth0 netns /run/netns/{netns}"));
        line(&mut batch, format_args!("link set {port} master {BRIDGE} up"));
    }
    batch
}

/// The machine is where Atoll may run: it reaches what a master could reach in this kind of network.
fn host_routes(topology: &Topology) -> String {
    // Everything else in these ranges is dropped, as it is between islands, and never leaves the machine.
    let mut batch = format!("route add {PODS} via {SINK_IP}\nroute add {SERVICES} via {SINK_IP}\n");
    for cluster in &topology.clusters {
        routes_to(&mut batch, topology, cluster);
    }
    batch
}

fn place_setup(topology: &Topology, cluster: &Cluster, place: &Place) -> String {
    let mut batch = format!("link set lo up\naddr add {}/16 dev eth0\nlink set eth0 up\n", place.ip);
    line(&mut batch, format_args!("route add default via {SINK_IP}"));
    for (other, node) in cluster.nodes() {
        if other.name != place.name {
            line(&mut batch, format_args!("route add {} via {}", node.pod_cidr, other.ip));
        }
    }
    for other in topology.clusters.iter().filter(|other| other.name != cluster.name) {
        routes_to(&mut batch, topology, other);
    }
    if place.name != cluster.name {
        // Load balancers of one's own cluster are answered by the first node.
        line(&mut batch, format_args!("route add {} via {}", cluster.lb_cidr, cluster.ip));
    }
    batch
}

/// The ways into a cluster, for whoever is outside of it.
fn routes_to(batch: &mut String, topology: &Topology, cluster: &Cluster) {
    line(batch, format_args!("route add {} via {}", cluster.lb_cidr, cluster.ip));
    if topology.options.network == Network::Islands {
        return;
    }
    for (place, node) in cluster.nodes() {
        line(batch, format_args!("route add {} via {}", node.pod_cidr, place.ip));
    }
    if topology.options.route_services && cluster.has_nodes() {
        line(batch, format_args!("route add {} via {}", cluster.service_cidr, cluster.ip));
    }
}

fn kernel_settings() -> String {
    let settings = [
        ("net/ipv4/ip_forward", 1),
        // Answers may leave by another way than questions came.
        ("net/ipv4/conf/all/rp_filter", 0),
        ("net/ipv4/conf/default/rp_filter", 0),
        ("net/ipv4/conf/eth0/rp_filter", 0),
        ("net/ipv4/conf/all/route_localnet", 1),
        // An address that nobody has yet goes back to where it came from. Whoever is told so would believe it for five
        // minutes, although the address is somebody's a moment later.
        ("net/ipv4/conf/all/send_redirects", 0),
        ("net/ipv4/conf/default/send_redirects", 0),
        ("net/ipv4/conf/eth0/send_redirects", 0),
    ];
    settings.iter().map(|(name, value)| sysctl(name, *value)).collect::<Vec<_>>().join("; ")
}

fn sysctl(name: &str, value: u8) -> String {
    format!("echo {value} > /proc/sys/{name}")
}

/// In islands, pods leave their cluster with their node's address.
pub(crate) fn masquerade_rules(cluster: &Cluster) -> String {
    let pods = &cluster.pod_cidr;
    format!(
        "*nat\n-A POSTROUTING -s {pods} ! -d {pods} -o eth0 -m comment --comment \"lab: an island's pods\" -j MASQUERADE\nCOMMIT\n"
    )
}

fn line(batch: &mut String, text: std::fmt::Arguments<'_>) {
    // Infallible for a String.
    _ = writeln!(batch, "{text}");
}

/// Runs many `ip` commands as one.
pub(crate) fn ip(netns: Option<&str>, batch: &str) -> Result<()> {
    let mut command = Command::new("ip");
    if let Some(netns) = netns {
        command.args(["-n", netns]);
    }
    shell::run_with(command.args(["-batch", "-"]), batch).map(drop)
}

/// Runs shell commands in a network namespace.
pub(crate) fn in_netns(netns: &str, script: &str) -> Result<String> {
    shell::run(Command::new("nsenter").arg(format!("--net=/run/netns/{netns}")).args(["sh", "-ec", script]))
}

/// Takes a place's cable out, or puts it in again.
pub(crate) fn set_port(place: &Place, up: bool) -> Result<()> {
    ip(Some(SWITCH), &format!("link set {} {}\n", port(place), if up { "up" } else { "down" }))
}

/// Whether a place's cable is out.
pub(crate) fn is_unplugged(place: &Place) -> bool {
    let state = shell::run(Command::new("ip").args(["-n", SWITCH, "-br", "link", "show", "dev", &port(place)]));
    // A port that is administratively down lacks the flag UP; `<…,UP,…>` or `<…,UP>`.
    state.is_ok_and(|text| !text.split(['<', '>', ',']).any(|flag| flag.trim() == "UP"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::Options;

    fn lab(network: Network, nodes: u8) -> Topology {
        Topology::new(Options { nodes, network, ..Options::default() }).unwrap()
    }

    #[test]
    fn flat_networks_have_a_way_to_each_pod_from_everywhere_else() {
        let lab = lab(Network::Flat, 2);
        let first = &lab.clusters[1];
        let text = place_setup(&lab, first, &first.places[0]);
        assert!(text.contains("route add 10.91.9.0/24 via 10.90.1.11"), "own second node: {text}");
        assert!(text.contains("route add 10.91.16.0/24 via 10.90.2.10"), "another cluster: {text}");
        assert!(!text.contains("10.92."), "services are not routed unless asked: {text}");
        assert!(host_routes(&lab).contains("route add 10.91.8.0/24 via 10.90.1.10"));
    }

    #[test]
    fn islands_have_ways_to_load_balancers_and_to_their_own_nodes_only() {
        let lab = lab(Network::Islands, 2);
        let second = &lab.clusters[2];
        let text = place_setup(&lab, second, &second.places[0]);
        let pods: Vec<_> = text.lines().filter(|line| line.contains("10.91.")).collect();
        assert_eq!(pods, ["route add 10.91.1.0/24 via 10.90.2.11"]);
        assert!(text.contains("route add 10.93.1.0/24 via 10.90.1.10"));
        let host: Vec<_> =
            host_routes(&lab).lines().filter(|line| line.contains("10.91.")).map(str::to_owned).collect();
        assert_eq!(host, [format!("route add {PODS} via {SINK_IP}")]);
    }
}
