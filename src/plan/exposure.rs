//! Whether plain peer traffic can be seen by strangers: members talk without TLS, and a public load balancer shows it.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    network::{Exposure, MemberServices},
    report::{Condition, MemberReport, Truth},
};

/// Cloud annotations that say whether a load balancer is public, by what their values contain. From the documents
/// (Alibaba Cloud, Volcengine) and the providers' own.
const ANNOTATIONS: [(&str, &[&str], &[&str]); 9] = [
    ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", &["internet"], &["intranet"]),
    ("service.beta.kubernetes.io/volcengine-loadbalancer-address-type", &["public"], &["private"]),
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", &["internet-facing"], &["internal"]),
    ("service.beta.kubernetes.io/aws-load-balancer-internal", &["false"], &["true"]),
    ("service.beta.kubernetes.io/azure-load-balancer-internal", &["false"], &["true"]),
    ("networking.gke.io/load-balancer-type", &["external"], &["internal"]),
    ("cloud.google.com/load-balancer-type", &["external"], &["internal"]),
    ("service.kubernetes.io/qcloud-loadbalancer-internal-subnetid", &[], &[""]),
    ("service.beta.kubernetes.io/openstack-internal-load-balancer", &["false"], &["true"]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Untold,
}

/// The annotations that decide where a load balancer's address leads, as text.
#[must_use]
pub fn deciding(annotations: &BTreeMap<String, String>) -> String {
    let set = ANNOTATIONS.iter().filter_map(|(key, ..)| Some((key, annotations.get(*key)?)));
    set.fold(String::new(), |text, (key, value)| text + " " + key + "=" + value)
}

/// The condition `ExposedWithoutTLS`, where it holds.
#[must_use]
pub fn condition(services: &MemberServices, members: &[MemberReport]) -> Option<Condition> {
    if services.exposure != Exposure::LoadBalancer {
        return None;
    }
    let told = |cause: String| Condition {
        kind: "ExposedWithoutTLS",
        status: Truth::True,
        reason: "PublicLoadBalancer",
        message: format!(
            "{cause}: peers and clients are reached over it without TLS, and whoever reaches it can read and write. Use a \
             private load balancer, or close it off by the provider's firewall"
        ),
    };
    match annotated(services) {
        (Reach::Public, key) => Some(told(format!("annotation {key} asks for public load balancers"))),
        (Reach::Private, _) => None,
        (Reach::Untold, _) => {
            let peer = |member: &MemberReport| member.peer.as_deref().and_then(host).filter(is_public);
            let public = members.iter().find_map(|member| Some((member, peer(member)?)))?;
            Some(told(format!("{} has the public address {}", public.0.name, public.1)))
        }
    }
}

/// A public annotation outweighs a private one: a load balancer that is public in one cloud is public.
fn annotated(services: &MemberServices) -> (Reach, &str) {
    let mut reach = (Reach::Untold, "");
    for (key, public, private) in ANNOTATIONS {
        let Some(value) = services.annotations.get(key).map(|value| value.to_ascii_lowercase()) else {
            continue;
        };
        if public.contains(&value.as_str()) {
            return (Reach::Public, key);
        }
        if private.contains(&value.as_str()) || private == [""] {
            reach = (Reach::Private, key);
        }
    }
    reach
}

fn host(peer: &str) -> Option<IpAddr> {
    peer.parse::<std::net::SocketAddr>().ok().map(|address| address.ip())
}

fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared)
        }
        IpAddr::V6(ip) => {
            let first = ip.segments()[0];
            !(ip.is_loopback() || ip.is_unspecified() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{network::Spread, report::MemberState};

    #[test]
    fn plain_peers_on_a_public_load_balancer_are_told() {
        let alibaba = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type";
        let volcengine = "service.beta.kubernetes.io/volcengine-loadbalancer-address-type";
        let aws = "service.beta.kubernetes.io/aws-load-balancer-internal";
        for (annotations, peer, exposed) in [
            (vec![(alibaba, "intranet")], None, false),
            (vec![(alibaba, "internet")], None, true),
            (vec![(alibaba, "intranet"), (volcengine, "PUBLIC")], None, true),
            (vec![(aws, "true")], Some("203.0.113.5:2380"), false),
            (vec![], Some("203.0.113.5:2380"), true),
            (vec![], Some("10.93.1.1:2380"), false),
            (vec![], Some("100.64.0.1:2380"), false),
            (vec![], Some("[2001:db8::1]:2380"), true),
            (vec![], Some("[fd00::1]:2380"), false),
            (vec![], None, false),
        ] {
            let services = MemberServices {
                name: "peer".into(),
                exposure: Exposure::LoadBalancer,
                spread: Spread::Unique,
                annotations: annotations
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect::<BTreeMap<_, _>>(),
            };
            let member = MemberReport {
                name: "m".into(),
                worker: "w".into(),
                role: None,
                state: MemberState::Ready,
                since: None,
                client: None,
                peer: peer.map(str::to_owned),
                why: None,
            };
            assert_eq!(condition(&services, &[member]).is_some(), exposed, "{annotations:?} {peer:?}");
        }
    }
}
