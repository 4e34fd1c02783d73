//! Partitions: packets dropped by rules (silence, as a broken route gives), or the cable taken out.

use std::process::Command;

use crate::debs::Debs;
use crate::error::Result;
use crate::model::{Cluster, HOST_IP, Place};
use crate::shell;

/// What a cut takes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Everything between the cluster and whatever is outside.
    #[default]
    All,
    /// The API server, for everybody outside; pods and load balancers still answer.
    Api,
    /// Other clusters; the API server still answers the machine and the master.
    Peers,
}

impl Cut {
    /// As `lab status` prints it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Peers => "peers",
        }
    }
}

/// The rules of one place, for `iptables-restore --noflush`.
///
/// Packets are dropped before addresses are translated on the way in, and before they are on the way out.
fn rules(cluster: &Cluster, master: &Cluster, cut: Cut) -> String {
    let mut text = String::from("*mangle\n:LAB-IN - [0:0]\n:LAB-OUT - [0:0]\n");
    let mut add = |inward: &str, outward: &str| {
        text.push_str(&format!("-A LAB-IN {inward}\n-A LAB-OUT {outward}\n"));
    };
    for own in [&cluster.node_cidr, &cluster.pod_cidr] {
        add(&format!("-s {own} -j RETURN"), &format!("-d {own} -j RETURN"));
    }
    match cut {
        Cut::All => add("-j DROP", "-j DROP"),
        // Only where the API server is; the other nodes have none, and lose nothing.
        Cut::Api => add(
            &format!("-d {} -p tcp --dport 6443 -j DROP", cluster.ip),
            &format!("-s {} -p tcp --sport 6443 -j DROP", cluster.ip),
        ),
        Cut::Peers => {
            add(&format!("-s {HOST_IP} -j RETURN"), &format!("-d {HOST_IP} -j RETURN"));
            if cluster.is_master() {
                add("-p tcp --sport 6443 -j RETURN", "-p tcp --dport 6443 -j RETURN");
            } else {
                for from in [&master.node_cidr, &master.pod_cidr] {
                    add(
                        &format!("-s {from} -p tcp --dport 6443 -j RETURN"),
                        &format!("-d {from} -p tcp --sport 6443 -j RETURN"),
                    );
                }
            }
            add("-j DROP", "-j DROP");
        }
    }
    text.push_str("-A PREROUTING -i eth0 -j LAB-IN\n-A POSTROUTING -o eth0 -j LAB-OUT\nCOMMIT\n");
    text
}

fn in_place(place: &Place, debs: &Debs, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.envs(debs.environment()).arg(format!("--net=/run/netns/{}", place.netns)).arg(debs.program(program));
    command
}

/// Applies rules in a place, beside those that are there.
pub(crate) fn restore(place: &Place, debs: &Debs, rules: &str) -> Result<()> {
    shell::run_with(in_place(place, debs, "iptables-restore").arg("--noflush"), rules).map(drop)
}

/// Cuts one place; an earlier cut is replaced.
pub(crate) fn cut(place: &Place, cluster: &Cluster, master: &Cluster, debs: &Debs, cut: Cut) -> Result<()> {
    heal(place, debs)?;
    restore(place, debs, &rules(cluster, master, cut))
}

/// Takes the rules of a cut away, if there are any.
pub(crate) fn heal(place: &Place, debs: &Debs) -> Result<()> {
    if !is_cut(place, debs)? {
        return Ok(());
    }
    let rules = "*mangle\n-D PREROUTING -i eth0 -j LAB-IN\n-D POSTROUTING -o eth0 -j LAB-OUT\n\
        -F LAB-IN\n-F LAB-OUT\n-X LAB-IN\n-X LAB-OUT\nCOMMIT\n";
    restore(place, debs, rules)
}

fn is_cut(place: &Place, debs: &Debs) -> Result<bool> {
    let chains = shell::run(in_place(place, debs, "iptables").args(["-t", "mangle", "-S"]))?;
    Ok(chains.lines().any(|line| line == "-N LAB-IN"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::{Options, Topology};

    fn rules_of(name: &str, cut: Cut) -> String {
        let lab = Topology::new(Options::default()).unwrap();
        rules(lab.cluster(name).unwrap(), lab.cluster("master").unwrap(), cut)
    }

    #[test]
    fn a_cut_is_the_same_in_both_directions() {
        for cut in [Cut::All, Cut::Api, Cut::Peers] {
            let text = rules_of("k8s-1", cut);
            let count = |chain: &str| text.lines().filter(|line| line.starts_with(&format!("-A {chain} "))).count();
            assert_eq!(count("LAB-IN"), count("LAB-OUT"), "{text}");
        }
    }

    #[test]
    fn nodes_of_one_cluster_still_reach_each_other() {
        for cut in [Cut::All, Cut::Api, Cut::Peers] {
            let text = rules_of("k8s-1", cut);
            let own = text.find("-A LAB-IN -s 10.90.1.0/24 -j RETURN").unwrap();
            assert!(own < text.find("DROP").unwrap(), "{text}");
        }
    }

    #[test]
    fn cutting_peers_leaves_the_api_to_the_machine_and_the_master() {
        let text = rules_of("k8s-1", Cut::Peers);
        assert!(text.contains("-A LAB-IN -s 10.90.255.1 -j RETURN"), "{text}");
        assert!(text.contains("-A LAB-IN -s 10.90.0.0/24 -p tcp --dport 6443 -j RETURN"), "{text}");
        assert!(!rules_of("k8s-1", Cut::All).contains("6443"));
    }

    #[test]
    fn cutting_the_api_drops_nothing_else() {
        let text = rules_of("k8s-1", Cut::Api);
        assert!(text.lines().filter(|line| line.contains("DROP")).all(|line| line.contains("port 6443")), "{text}");
    }
}
