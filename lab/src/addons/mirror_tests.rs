//! What the stand-in for global Services decides, told case by case.

use serde_json::{Value, json};

use super::*;

#[derive(Default)]
struct Cluster {
    services: Objects<Service>,
    slices: Objects<EndpointSlice>,
}

fn put<K: kube::Resource>(objects: &mut Objects<K>, object: K) {
    objects.insert(Key::of(&object), Arc::new(object));
}

impl Cluster {
    fn service(mut self, annotations: &Value, spec: &Value) -> Self {
        let meta = json!({"namespace": "default", "name": "etcd-0", "uid": "s1", "annotations": annotations});
        put(&mut self.services, serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap());
        self
    }

    fn slice(mut self, name: &str, endpoints: &Value) -> Self {
        let labels = json!({SERVICE_NAME: "etcd-0", MANAGED_BY: "endpointslice-controller.k8s.io"});
        let slice = json!({
            "metadata": {"namespace": "default", "name": name, "labels": labels},
            "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "peer", "port": 2380, "protocol": "TCP"}],
        });
        put(&mut self.slices, serde_json::from_value(slice).unwrap());
        self
    }

    fn seen(&self) -> Peer<'_> {
        Peer::Seen { services: &self.services, slices: &self.slices }
    }
}

fn global() -> Cluster {
    Cluster::default().service(&json!({GLOBAL: "true"}), &json!({"clusterIP": "10.92.1.7"}))
}

fn pod(address: &str, ready: bool) -> Value {
    json!({
        "addresses": [address], "conditions": {"ready": ready, "serving": ready, "terminating": false},
        "nodeName": "k8s-2-node", "zone": "z", "targetRef": {"kind": "Pod", "name": "etcd-0"}, "hostname": "etcd-0"
    })
}

/// What stands here once all acts are done.
fn settle(here: &Cluster, mirrored: &Objects<EndpointSlice>, peers: Vec<(&str, Peer<'_>)>) -> Objects<EndpointSlice> {
    let peers = peers.into_iter().map(|(name, peer)| (name.to_owned(), peer)).collect();
    let mut mirrored = mirrored.clone();
    // An address type that changes takes a second pass.
    for _ in 0..2 {
        for act in decide(&here.services, &mirrored, &peers) {
            match act {
                Act::Create(slice) | Act::Replace(slice) => put(&mut mirrored, *slice),
                Act::Delete(slice) => {
                    mirrored.remove(&Key::of(&*slice));
                }
            }
        }
    }
    assert_eq!(decide(&here.services, &mirrored, &peers), [], "a second look must find nothing to do");
    mirrored
}

fn addresses(slices: &Objects<EndpointSlice>) -> Vec<&str> {
    slices
        .values()
        .flat_map(|slice| &slice.endpoints)
        .flat_map(|endpoint| &endpoint.addresses)
        .map(String::as_str)
        .collect()
}

#[test]
fn a_global_service_gets_the_endpoints_of_its_peers() {
    let (second, third) = (
        global().slice("etcd-0-abcde", &json!([pod("10.91.2.5", true)])),
        global().slice("etcd-0-abcde", &json!([pod("10.91.3.5", true)])),
    );
    let mirrored = settle(&global(), &Objects::new(), vec![("k8s-2", second.seen()), ("k8s-3", third.seen())]);
    assert_eq!(addresses(&mirrored), ["10.91.2.5", "10.91.3.5"]);
    let slice = mirrored.values().next().unwrap();
    assert_eq!(slice.metadata.name.as_deref(), Some("global.k8s-2.etcd-0-abcde"));
    assert_eq!(label(slice, SERVICE_NAME), "etcd-0");
    assert_eq!(label(slice, MANAGED_BY), MANAGER);
    assert_eq!(label(slice, STAND_IN.0), STAND_IN.1);
    assert_eq!(label(slice, FROM), "k8s-2");
    assert_eq!(slice.metadata.owner_references.as_ref().unwrap()[0].uid, "s1");
    assert_eq!(slice.ports.as_ref().unwrap()[0].port, Some(2380));
    assert!(!slice.metadata.labels.as_ref().unwrap().contains_key(HEADLESS));
}

#[test]
fn nothing_of_the_peers_own_nodes_is_taken_over() {
    let peer = global().slice("s", &json!([pod("10.91.2.5", true)]));
    let mirrored = settle(&global(), &Objects::new(), vec![("k8s-2", peer.seen())]);
    let endpoint = &mirrored.values().next().unwrap().endpoints[0];
    assert_eq!((&endpoint.node_name, &endpoint.zone, &endpoint.target_ref), (&None, &None, &None));
    assert_eq!(endpoint.hostname.as_deref(), Some("etcd-0"));
}

#[test]
fn both_sides_must_be_global() {
    let local = Cluster::default().service(&json!({}), &json!({}));
    let peer = global().slice("s", &json!([pod("10.91.2.5", true)]));
    assert!(settle(&local, &Objects::new(), vec![("k8s-2", peer.seen())]).is_empty());
    let private = Cluster::default().service(&json!({}), &json!({})).slice("s", &json!([pod("10.91.2.5", true)]));
    assert!(settle(&global(), &Objects::new(), vec![("k8s-2", private.seen())]).is_empty());
}

#[test]
fn a_service_not_shared_is_served_by_the_others_but_serves_none() {
    let unshared = || Cluster::default().service(&json!({GLOBAL: "true", SHARED: "false"}), &json!({}));
    let peer = unshared().slice("s", &json!([pod("10.91.2.5", true)]));
    assert!(settle(&global(), &Objects::new(), vec![("k8s-2", peer.seen())]).is_empty());
    let peer = global().slice("s", &json!([pod("10.91.2.5", true)]));
    assert_eq!(settle(&unshared(), &Objects::new(), vec![("k8s-2", peer.seen())]).len(), 1);
}

#[test]
fn unready_endpoints_come_only_when_the_service_publishes_them() {
    let endpoints = json!([pod("10.91.2.5", true), pod("10.91.2.6", false)]);
    let peer = global().slice("s", &endpoints);
    assert_eq!(addresses(&settle(&global(), &Objects::new(), vec![("k8s-2", peer.seen())])), ["10.91.2.5"]);
    let publishing = Cluster::default()
        .service(&json!({GLOBAL: "true"}), &json!({"publishNotReadyAddresses": true}))
        .slice("s", &endpoints);
    let mirrored = settle(&global(), &Objects::new(), vec![("k8s-2", publishing.seen())]);
    assert_eq!(addresses(&mirrored), ["10.91.2.5", "10.91.2.6"]);
    assert!(mirrored.values().flat_map(|slice| &slice.endpoints).all(is_ready));
}

#[test]
fn an_endpoint_that_goes_there_goes_here_and_a_peer_that_is_unknown_keeps_its_own() {
    let (full, empty) = (global().slice("s", &json!([pod("10.91.2.5", true)])), global().slice("s", &json!([])));
    let first = settle(&global(), &Objects::new(), vec![("k8s-2", full.seen())]);
    assert_eq!(addresses(&settle(&global(), &first, vec![("k8s-2", Peer::Unknown)])), ["10.91.2.5"]);
    assert!(addresses(&settle(&global(), &first, vec![("k8s-2", empty.seen())])).is_empty());
    assert!(settle(&global(), &first, vec![("k8s-2", global().seen())]).is_empty());
    assert!(settle(&global(), &first, vec![("k8s-2", Cluster::default().seen())]).is_empty());
}

#[test]
fn endpoints_of_a_peer_that_is_no_peer_any_more_go() {
    let peer = global().slice("s", &json!([pod("10.91.2.5", true)]));
    let first = settle(&global(), &Objects::new(), vec![("k8s-2", peer.seen())]);
    assert!(settle(&global(), &first, vec![]).is_empty());
}

#[test]
fn a_service_that_is_global_no_longer_loses_them_even_while_a_peer_is_unknown() {
    let peer = global().slice("s", &json!([pod("10.91.2.5", true)]));
    let first = settle(&global(), &Objects::new(), vec![("k8s-2", peer.seen())]);
    let local = Cluster::default().service(&json!({GLOBAL: "false"}), &json!({}));
    assert!(settle(&local, &first, vec![("k8s-2", Peer::Unknown)]).is_empty());
}

#[test]
fn a_mirrored_slice_is_never_mirrored_again() {
    let peer = global().slice("s", &json!([pod("10.91.2.5", true)]));
    let second = Cluster { slices: settle(&global(), &Objects::new(), vec![("k8s-2", peer.seen())]), ..global() };
    assert!(settle(&global(), &Objects::new(), vec![("k8s-1", second.seen())]).is_empty());
}

#[test]
fn a_headless_service_stays_headless() {
    let headless = Cluster::default().service(&json!({GLOBAL: "true"}), &json!({"clusterIP": "None"}));
    let peer = global().slice("s", &json!([pod("10.91.2.5", true)]));
    let mirrored = settle(&headless, &Objects::new(), vec![("k8s-2", peer.seen())]);
    assert!(mirrored.values().next().unwrap().metadata.labels.as_ref().unwrap().contains_key(HEADLESS));
}

#[test]
fn a_changed_mirror_is_put_right_and_what_others_wrote_on_it_stays() {
    let peer = global().slice("s", &json!([pod("10.91.2.5", true)]));
    let mut mirrored = settle(&global(), &Objects::new(), vec![("k8s-2", peer.seen())]);
    let mut changed = (**mirrored.values().next().unwrap()).clone();
    changed.endpoints.clear();
    changed.metadata.resource_version = Some("7".into());
    changed.metadata.labels.as_mut().unwrap().insert("mine".into(), "yes".into());
    put(&mut mirrored, changed);
    let peers = BTreeMap::from([("k8s-2".to_owned(), peer.seen())]);
    let acts = decide(&global().services, &mirrored, &peers);
    let [Act::Replace(slice)] = acts.as_slice() else { panic!("{acts:?}") };
    assert_eq!(slice.endpoints[0].addresses, ["10.91.2.5"]);
    assert_eq!(label(slice, "mine"), "yes");
    assert_eq!(slice.metadata.resource_version.as_deref(), Some("7"));
}

#[test]
fn long_names_stay_within_the_limit_and_apart() {
    let (one, other) = (slice_name("k8s-2", &"a".repeat(250)), slice_name("k8s-2", &format!("{}b", "a".repeat(250))));
    assert!(one.len() <= 253 && other.len() <= 253);
    assert_ne!(one, other);
}
