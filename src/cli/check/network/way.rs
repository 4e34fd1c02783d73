//! The ways on which pods of different workers can reach each other, and which target each of them dials. Pure.

use super::objects::{PORT, Run};
use crate::{cli::probe::Target, plan::address::DEFAULT_DOMAIN};

/// One way from a worker to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// By the name of a pod under its headless service.
    Name,
    /// By the address of a pod.
    Address,
    /// By a port of the node that a pod is on.
    NodePort,
    /// By the address of a load balancer.
    LoadBalancer,
    /// By the name of a service that a mesh shares between clusters.
    Global,
}

impl Way {
    /// The heading of its matrix.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Name => "Pod names (DNS, then the pod's address)",
            Self::Address => "Pod addresses",
            Self::NodePort => "Node ports",
            Self::LoadBalancer => "Load balancers",
            Self::Global => "Global services (mesh)",
        }
    }

    /// Whether a worker must reach itself so, too. Members dial their own name; an address that leads out and back in
    /// again is something else, which some networks do not do and no member needs.
    #[must_use]
    pub fn counts_own(self) -> bool {
        matches!(self, Self::Name | Self::Global)
    }
}

/// A worker's listener, as others may call it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// The address of its pod.
    pub pod: String,
    /// The address of its pod's node.
    pub node: Option<String>,
    /// The port of the node.
    pub node_port: Option<u16>,
    /// The address of its load balancer.
    pub balancer: Option<String>,
}

/// Whom to dial to reach the listener of a worker on this way, or why there is nobody.
pub fn target(run: &Run, way: Way, index: usize, domain: Option<&str>, there: &Listening) -> Result<Target, String> {
    let namespace = &run.namespace;
    let (host, port) = match way {
        Way::Name => {
            let domain = domain.unwrap_or(DEFAULT_DOMAIN);
            (format!("{}.{}.{namespace}.svc.{domain}", run.listener(), run.headless()), PORT)
        }
        Way::Address => (there.pod.clone(), PORT),
        Way::NodePort => match (&there.node, there.node_port) {
            (Some(node), Some(port)) => (node.clone(), port),
            _ => return Err("no node port was given to its service".to_owned()),
        },
        Way::LoadBalancer => match &there.balancer {
            Some(address) => (address.clone(), PORT),
            None => {
                return Err("its load balancer got no address in time: does that cluster have a controller for \
                            services of type LoadBalancer, and addresses left?"
                    .to_owned());
            }
        },
        Way::Global => (format!("{}.{namespace}.svc", run.global(index)), PORT),
    };
    Ok(Target { host, port, token: run.token(index) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::network::objects::tests::run;

    #[test]
    fn each_way_dials_what_members_would_dial() {
        let run = run();
        let there = Listening {
            pod: "10.1.0.5".to_owned(),
            node: Some("192.0.2.7".to_owned()),
            node_port: Some(30123),
            balancer: Some("198.51.100.1".to_owned()),
        };
        for (way, domain, host, port) in [
            (Way::Name, Some("b.lab"), "atoll-check-abc-listen.atoll-check-abc.net.svc.b.lab", PORT),
            (Way::Name, None, "atoll-check-abc-listen.atoll-check-abc.net.svc.cluster.local", PORT),
            (Way::Address, None, "10.1.0.5", PORT),
            (Way::NodePort, None, "192.0.2.7", 30123),
            (Way::LoadBalancer, None, "198.51.100.1", PORT),
            (Way::Global, None, "atoll-check-abc-global-1.net.svc", PORT),
        ] {
            let wanted = Target { host: host.to_owned(), port, token: "abc.1".to_owned() };
            assert_eq!(target(&run, way, 1, domain, &there), Ok(wanted));
        }
        let bare = Listening { pod: "10.1.0.5".to_owned(), ..Listening::default() };
        assert!(target(&run, Way::LoadBalancer, 1, None, &bare).is_err_and(|why| why.contains("got no address")));
    }
}
