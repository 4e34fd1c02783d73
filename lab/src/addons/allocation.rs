//! Which Service gets which address: a pure function of the Services and the range.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{LoadBalancerIngress, Service};

use super::AddressRange;
use super::grumble::Complaint;
use super::sight::Objects;

/// A Service with this annotation set to `"true"` is given no address until the annotation goes, so that a test
/// can see what waiting for one looks like. An address that it already has stays.
pub const HOLD: &str = "lab.atoll.dev/hold-address";

/// An address for one Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The Service, as it was seen.
    pub service: Arc<Service>,
    /// Its address from now on.
    pub address: Ipv4Addr,
}

/// The addresses to give, and the wishes that cannot be met.
///
/// An address in use is never given twice and never changed, and it is free again with its Service (Kubernetes
/// itself takes it away from a Service that becomes another type); the lowest free one is next, and of several
/// Services the oldest is served first.
#[must_use]
pub fn assign(range: AddressRange, services: &Objects<Service>) -> (Vec<Assignment>, Vec<Complaint>) {
    let mut taken: BTreeSet<Ipv4Addr> = services.values().flat_map(|service| addresses(service)).collect();
    let (mut assignments, mut complaints) = (Vec::new(), Vec::new());

    let mut waiting: Vec<_> = services.values().filter(|service| waits(service)).collect();
    // Whoever asks for a certain address comes before those who take what is left.
    waiting.sort_by_key(|service| {
        let meta = &service.metadata;
        (
            requested(service).is_none(),
            meta.creation_timestamp.as_ref().map(|time| time.0),
            meta.namespace.clone(),
            meta.name.clone(),
        )
    });
    for service in waiting {
        match choose(range, &taken, requested(service)) {
            Ok(address) => {
                taken.insert(address);
                assignments.push(Assignment { service: Arc::clone(service), address });
            }
            Err(note) => complaints.push(Complaint::about(&**service, "AllocationFailed", note)),
        }
    }
    (assignments, complaints)
}

fn choose(range: AddressRange, taken: &BTreeSet<Ipv4Addr>, requested: Option<&str>) -> Result<Ipv4Addr, String> {
    let Some(requested) = requested else {
        return range
            .usable()
            .find(|address| !taken.contains(address))
            .ok_or_else(|| format!("all addresses of {range} are in use; delete a Service of type LoadBalancer"));
    };
    let address: Ipv4Addr = requested.parse().map_err(|_| {
        format!("spec.loadBalancerIP {requested:?} is no IPv4 address; take one of {range}, or leave it out")
    })?;
    if !range.is_usable(address) {
        return Err(format!(
            "spec.loadBalancerIP {address} is not in {range}; take one of that range, or leave it out"
        ));
    }
    if taken.contains(&address) {
        return Err(format!(
            "spec.loadBalancerIP {address} is in use by another Service; take another one of {range}, or leave it out"
        ));
    }
    Ok(address)
}

/// A Service with a class belongs to whoever serves that class.
fn is_ours(service: &Service) -> bool {
    service
        .spec
        .as_ref()
        .is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none())
}

fn waits(service: &Service) -> bool {
    let held = service.metadata.annotations.as_ref().and_then(|all| all.get(HOLD)).is_some_and(|held| held == "true");
    is_ours(service) && !held && service.metadata.deletion_timestamp.is_none() && ingress(service).next().is_none()
}

fn requested(service: &Service) -> Option<&str> {
    service.spec.as_ref()?.load_balancer_ip.as_deref().filter(|address| !address.is_empty())
}

fn ingress(service: &Service) -> impl Iterator<Item = &LoadBalancerIngress> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    status.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten()
}

fn addresses(service: &Service) -> impl Iterator<Item = Ipv4Addr> {
    ingress(service).filter_map(|ingress| ingress.ip.as_ref()?.parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::addons::sight::Key;

    fn range() -> AddressRange {
        "10.93.1.0/29".parse().unwrap()
    }

    /// A Service created in the given second.
    fn service(name: &str, second: u8, spec: &serde_json::Value, address: Option<&str>) -> Service {
        let mut service = json!({
            "metadata": {"namespace": "default", "name": name, "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z")},
            "spec": {"type": "LoadBalancer"},
            "status": {"loadBalancer": {}},
        });
        for (key, value) in spec.as_object().unwrap() {
            service["spec"][key] = value.clone();
        }
        if let Some(address) = address {
            service["status"]["loadBalancer"]["ingress"] = json!([{"ip": address, "ipMode": "VIP"}]);
        }
        serde_json::from_value(service).unwrap()
    }

    fn assigned(services: &[Service]) -> (Vec<(String, String)>, Vec<String>) {
        let objects = services.iter().map(|service| (Key::of(service), Arc::new(service.clone()))).collect();
        let (assignments, complaints) = assign(range(), &objects);
        let text = |assignment: &Assignment| {
            (assignment.service.metadata.name.clone().unwrap(), assignment.address.to_string())
        };
        (assignments.iter().map(text).collect(), complaints.into_iter().map(|complaint| complaint.note).collect())
    }

    fn pair(name: &str, address: &str) -> (String, String) {
        (name.to_owned(), address.to_owned())
    }

    #[test]
    fn the_oldest_gets_the_lowest_free_address() {
        let services = [
            service("a", 9, &json!({}), None),
            service("b", 1, &json!({}), None),
            service("c", 0, &json!({}), Some("10.93.1.1")),
        ];
        assert_eq!(assigned(&services), (vec![pair("b", "10.93.1.2"), pair("a", "10.93.1.3")], vec![]));
    }

    #[test]
    fn an_address_given_stays_and_a_cluster_at_rest_gets_nothing() {
        let services = [service("a", 0, &json!({}), Some("10.93.1.5")), service("b", 1, &json!({}), Some("10.93.1.2"))];
        assert_eq!(assigned(&services), (vec![], vec![]));
    }

    #[test]
    fn a_gap_left_by_a_deleted_service_is_used_again() {
        let services = [service("a", 0, &json!({}), Some("10.93.1.2")), service("b", 1, &json!({}), None)];
        assert_eq!(assigned(&services).0, [pair("b", "10.93.1.1")]);
    }

    #[test]
    fn other_types_and_other_classes_get_no_address() {
        let services = [
            service("a", 0, &json!({"type": "ClusterIP"}), None),
            service("b", 0, &json!({"loadBalancerClass": "example.com/other"}), None),
        ];
        assert_eq!(assigned(&services), (vec![], vec![]));
    }

    #[test]
    fn a_held_service_waits_until_the_annotation_goes() {
        let mut held = service("a", 0, &json!({}), None);
        held.metadata.annotations = Some([(HOLD.to_owned(), "true".to_owned())].into());
        assert_eq!(assigned(&[held.clone()]), (vec![], vec![]));
        held.metadata.annotations = None;
        assert_eq!(assigned(&[held]).0, [pair("a", "10.93.1.1")]);
    }

    #[test]
    fn a_wish_is_met_before_the_others_take_what_is_left() {
        let services =
            [service("a", 0, &json!({}), None), service("b", 9, &json!({"loadBalancerIP": "10.93.1.1"}), None)];
        assert_eq!(assigned(&services).0, [pair("b", "10.93.1.1"), pair("a", "10.93.1.2")]);
    }

    #[test]
    fn a_wish_that_cannot_be_met_is_told_and_nothing_else_is_given() {
        let taken = service("holder", 0, &json!({}), Some("10.93.1.1"));
        for (wish, words) in [
            ("10.93.1.1", "in use"),
            ("10.93.2.1", "not in 10.93.1.0/29"),
            ("10.93.1.7", "not in"),
            ("example", "no IPv4"),
        ] {
            let (given, told) = assigned(&[taken.clone(), service("a", 1, &json!({"loadBalancerIP": wish}), None)]);
            assert_eq!(given, []);
            assert!(told[0].contains(words), "{told:?}");
        }
    }

    #[test]
    fn a_full_range_is_told() {
        let services: Vec<_> = (1..8).map(|n| service(&format!("s{n}"), n, &json!({}), None)).collect();
        let (given, told) = assigned(&services);
        assert_eq!(given.len(), 6);
        assert_eq!(told, ["all addresses of 10.93.1.0/29 are in use; delete a Service of type LoadBalancer"]);
    }

    #[test]
    fn a_service_that_is_being_deleted_keeps_its_address_and_gets_no_new_one() {
        let deleted = |address| {
            let mut service = service("a", 0, &json!({}), address);
            service.metadata.deletion_timestamp = service.metadata.creation_timestamp.clone();
            service
        };
        assert_eq!(assigned(&[deleted(None)]).0, []);
        let services = [deleted(Some("10.93.1.1")), service("b", 1, &json!({}), None)];
        assert_eq!(assigned(&services).0, [pair("b", "10.93.1.2")]);
    }
}
