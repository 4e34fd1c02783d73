//! Which endpoints of the peers a global Service has here: a pure function of what is seen of all clusters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::sight::{Key, Objects};

/// Who manages the slices made here; the cluster's own endpoint slice controller leaves them alone.
pub const MANAGER: &str = "global-services.lab.atoll.dev";
/// Says, on everything made here, what this stands in for.
pub const STAND_IN: (&str, &str) = ("lab.atoll.dev/stand-in", "cilium-global-service");
/// The peer that a slice came from.
pub const FROM: &str = "lab.atoll.dev/from-cluster";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const HEADLESS: &str = "service.kubernetes.io/headless";
const GLOBAL: &str = "service.cilium.io/global";
const SHARED: &str = "service.cilium.io/shared";

/// What is known of a peer.
pub enum Peer<'a> {
    /// It was never reached since this process began; nobody knows what it has.
    Unknown,
    /// What was last seen of it.
    Seen {
        /// Its Services.
        services: &'a Objects<Service>,
        /// Its endpoint slices, without mirrored ones.
        slices: &'a Objects<EndpointSlice>,
    },
}

/// A change to the mirrored slices of this cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Make a slice.
    Create(Box<EndpointSlice>),
    /// Write this over the slice that was seen.
    Replace(Box<EndpointSlice>),
    /// Remove a slice that was seen.
    Delete(Arc<EndpointSlice>),
}

/// What has to change here. `mirrored` are the slices of this cluster that are managed by us.
///
/// A peer that is Unknown keeps what it has here, as long as the Service here is global.
#[must_use]
pub fn decide(
    local: &Objects<Service>,
    mirrored: &Objects<EndpointSlice>,
    peers: &BTreeMap<String, Peer<'_>>,
) -> Vec<Act> {
    let global: Objects<Service> = local
        .iter()
        .filter(|(_, service)| is_global(service))
        .map(|(key, service)| (key.clone(), Arc::clone(service)))
        .collect();
    let wanted = wanted(&global, peers);
    let mut acts = Vec::new();
    for (key, slice) in &wanted {
        match mirrored.get(key) {
            None => acts.push(Act::Create(Box::new(slice.clone()))),
            Some(seen) if seen.address_type != slice.address_type => {
                acts.push(Act::Delete(Arc::clone(seen)));
            }
            Some(seen) => acts.extend(replacement(seen, slice)),
        }
    }
    let kept = |slice: &EndpointSlice| {
        let service =
            Key { namespace: text(slice.metadata.namespace.as_ref()), name: label(slice, SERVICE_NAME).to_owned() };
        global.contains_key(&service) && matches!(peers.get(label(slice, FROM)), Some(Peer::Unknown))
    };
    acts.extend(
        mirrored
            .iter()
            .filter(|(key, slice)| !wanted.contains_key(*key) && !kept(slice))
            .map(|(_, slice)| Act::Delete(Arc::clone(slice))),
    );
    acts
}

fn wanted(global: &Objects<Service>, peers: &BTreeMap<String, Peer<'_>>) -> BTreeMap<Key, EndpointSlice> {
    let mut wanted = BTreeMap::new();
    for (name, peer) in peers {
        let Peer::Seen { services, slices } = peer else {
            continue;
        };
        for slice in slices.values() {
            let service =
                Key { namespace: text(slice.metadata.namespace.as_ref()), name: label(slice, SERVICE_NAME).to_owned() };
            let (Some(here), Some(there)) = (global.get(&service), services.get(&service)) else {
                continue;
            };
            if is_shared(there) && label(slice, MANAGED_BY) != MANAGER {
                let mirrored = mirror(name, here, there, slice);
                wanted.insert(Key::of(&mirrored), mirrored);
            }
        }
    }
    wanted
}

fn mirror(peer: &str, here: &Service, there: &Service, slice: &EndpointSlice) -> EndpointSlice {
    let service = text(here.metadata.name.as_ref());
    let mut labels = BTreeMap::from([
        (SERVICE_NAME.to_owned(), service.clone()),
        (MANAGED_BY.to_owned(), MANAGER.to_owned()),
        (STAND_IN.0.to_owned(), STAND_IN.1.to_owned()),
        (FROM.to_owned(), peer.to_owned()),
    ]);
    if here.spec.as_ref().is_some_and(|spec| spec.cluster_ip.as_deref() == Some("None")) {
        // As Kubernetes labels its own: kube-proxy skips these.
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    let everyone = publishes_unready(here) || publishes_unready(there);
    EndpointSlice {
        metadata: ObjectMeta {
            namespace: here.metadata.namespace.clone(),
            name: Some(slice_name(peer, &text(slice.metadata.name.as_ref()))),
            labels: Some(labels),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Service".to_owned(),
                name: service,
                uid: text(here.metadata.uid.as_ref()),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        address_type: slice.address_type.clone(),
        endpoints: slice.endpoints.iter().filter(|endpoint| everyone || is_ready(endpoint)).map(remote).collect(),
        ports: slice.ports.clone(),
    }
}

/// An endpoint without what means something only in its own cluster: node, zone, hints, pod.
fn remote(endpoint: &Endpoint) -> Endpoint {
    let terminating = endpoint.conditions.as_ref().and_then(|conditions| conditions.terminating);
    Endpoint {
        addresses: endpoint.addresses.clone(),
        // Whoever is here is to be reached; an unready one is here only because its Service publishes it.
        conditions: Some(EndpointConditions { ready: Some(true), serving: Some(true), terminating }),
        hostname: endpoint.hostname.clone(),
        ..Endpoint::default()
    }
}

/// Two peers never get the same name: names of clusters have no dots.
fn slice_name(peer: &str, slice: &str) -> String {
    const LONGEST: usize = 253;
    let name = format!("global.{peer}.{slice}");
    if name.len() <= LONGEST {
        return name;
    }
    // FNV-1a keeps long names apart.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let kept: String = name.chars().take(LONGEST - 17).collect();
    format!("{}x{hash:016x}", kept.trim_end_matches(['.', '-']))
}

/// The seen slice with what it should hold, if it holds something else. Labels of others stay.
fn replacement(seen: &EndpointSlice, slice: &EndpointSlice) -> Option<Act> {
    let mut labels = seen.metadata.labels.clone().unwrap_or_default();
    labels.extend(slice.metadata.labels.clone().unwrap_or_default());
    let mut next = slice.clone();
    next.metadata = ObjectMeta {
        labels: Some(labels),
        owner_references: slice.metadata.owner_references.clone(),
        ..seen.metadata.clone()
    };
    let same = next.metadata == seen.metadata && same_ports(seen, &next) && same_endpoints(seen, &next);
    (!same).then(|| Act::Replace(Box::new(next)))
}

fn same_ports(one: &EndpointSlice, other: &EndpointSlice) -> bool {
    one.ports.iter().flatten().eq(other.ports.iter().flatten())
}

/// The order of endpoints means nothing.
fn same_endpoints(one: &EndpointSlice, other: &EndpointSlice) -> bool {
    let set = |slice: &EndpointSlice| -> BTreeSet<String> {
        slice.endpoints.iter().map(|endpoint| format!("{endpoint:?}")).collect()
    };
    set(one) == set(other)
}

fn is_ready(endpoint: &Endpoint) -> bool {
    // Kubernetes reads a missing condition as ready.
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

fn publishes_unready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false)
}

fn is_global(service: &Service) -> bool {
    annotation(service, GLOBAL) == "true" && service.metadata.deletion_timestamp.is_none()
}

/// A Service not shared is still global: it uses the others' endpoints and keeps its own to itself.
fn is_shared(service: &Service) -> bool {
    is_global(service) && annotation(service, SHARED) != "false"
}

fn annotation<'a>(service: &'a Service, key: &str) -> &'a str {
    service.metadata.annotations.as_ref().and_then(|all| all.get(key)).map_or("", String::as_str)
}

fn label<'a>(slice: &'a EndpointSlice, key: &str) -> &'a str {
    slice.metadata.labels.as_ref().and_then(|all| all.get(key)).map_or("", String::as_str)
}

fn text(text: Option<&String>) -> String {
    text.cloned().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
#[path = "mirror_tests.rs"]
mod tests;
