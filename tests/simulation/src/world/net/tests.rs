use super::*;
use crate::place::MASTER;

const WEST: &str = "west";
const EAST: &str = "east";

/// Two clusters, a pod each at `10.N.0.1`, each behind a service `db` and a load balancer, `west`'s with a global twin.
fn net(mode: Mode) -> Net {
    let net = Net::new(mode);
    for (cluster, run) in [(WEST, 1), (EAST, 2)] {
        let index = net.join(cluster, &format!("{cluster}.test"), |index| format!("10.{}.", 101 + index));
        assert_eq!(u64::from(index) + 1, run);
        serve(&net, cluster, &format!("10.{}.0.1", 100 + run), run);
    }
    net
}

fn serve(net: &Net, cluster: &str, ip: &str, run: u64) {
    let ports = [("client".to_owned(), 2379)].into();
    let process = Process { run: RunId(run), ports };
    net.set_pod(cluster, Pod { uid: format!("pod-{run}"), ip: ip.to_owned(), processes: vec![process] });
    let port = Port { number: 80, node: Some(30_080), target: Target::Name("client".to_owned()) };
    let backend = Backend { ip: ip.to_owned(), hostname: Some("db-0".to_owned()) };
    let service = Service {
        cluster_ip: Some(format!("10.96.0.{run}")),
        ingress: vec![format!("172.30.0.{run}")],
        ports: vec![port],
        backends: vec![backend.clone()],
    };
    let headless = Service { backends: vec![backend], ..Service::default() };
    let key = |name: &str| ("default".to_owned(), name.to_owned());
    net.set_services(cluster, [(key(&format!("db-{cluster}")), service), (key("pods"), headless)].into());
    net.set_hosts(cluster, vec![format!("172.18.0.{run}")]);
}

fn at(cluster: &str) -> Place {
    Place::Cluster(cluster.to_owned())
}

#[test]
fn every_kind_of_address_leads_as_far_as_its_network_does() {
    let (flat, islands) = (net(Mode::Flat), net(Mode::Islands));
    let cases = [
        // address, as seen from west in a flat network, on an island
        ("10.101.0.1:2379", Some(1), Some(1)),
        ("10.102.0.1:2379", Some(2), None),
        ("10.96.0.1:80", Some(1), Some(1)),
        ("10.96.0.2:80", Some(2), None),
        ("10.96.0.2:81", None, None),
        ("172.30.0.2:80", Some(2), Some(2)),
        ("172.30.0.9:80", None, None),
        ("172.18.0.2:30080", Some(2), Some(2)),
        ("172.18.0.2:80", None, None),
        ("db-west.default.svc:80", Some(1), Some(1)),
        ("db-east.default.svc:80", None, None),
        ("db-east.default.svc.east.test:80", Some(2), None),
        ("db-0.pods.default.svc:2379", Some(1), Some(1)),
        ("db-0.pods.default.svc.east.test:2379", Some(2), None),
        ("db-0.pods.default.svc.nowhere.test:2379", None, None),
        ("pods.default.svc.west.test:2379", Some(1), Some(1)),
        ("nonsense", None, None),
    ];
    for (address, in_flat, on_island) in cases {
        let expected = |run: Option<u64>| run.map(|run| (RunId(run), 2379));
        assert_eq!(flat.dial(&at(WEST), address), expected(in_flat), "flat: {address}");
        assert_eq!(islands.dial(&at(WEST), address), expected(on_island), "islands: {address}");
    }
}

#[test]
fn a_service_of_one_name_in_two_clusters_is_one_where_the_network_is_flat() {
    let net = net(Mode::Flat);
    // East has a service of west's name, without pods of its own.
    let twin = Service { cluster_ip: Some("10.96.0.9".to_owned()), ..Service::default() };
    net.set_services(EAST, [(("default".to_owned(), "db-west".to_owned()), twin)].into());
    assert_eq!(net.dial(&at(EAST), "db-west.default.svc:80"), Some((RunId(1), 2379)));
    net.set_mode(Mode::Islands);
    assert_eq!(net.dial(&at(EAST), "db-west.default.svc:80"), None);
}

#[test]
fn where_two_clusters_use_the_same_addresses_everybody_means_their_own() {
    let net = Net::new(Mode::Flat);
    for (cluster, run) in [(WEST, 1), (EAST, 2)] {
        net.join(cluster, DOMAIN, |_| "10.100.".to_owned());
        serve(&net, cluster, "10.100.0.1", run);
    }
    assert_eq!(net.dial(&at(WEST), "10.100.0.1:2379"), Some((RunId(1), 2379)));
    assert_eq!(net.dial(&at(EAST), "10.100.0.1:2379"), Some((RunId(2), 2379)));
    assert_eq!(net.dial(&Place::Master, "10.100.0.1:2379"), Some((RunId(1), 2379)), "whoever the first route leads to");
    net.join(MASTER, DOMAIN, |_| "10.100.".to_owned());
    assert_eq!(net.dial(&Place::Master, "10.100.0.1:2379"), None, "the master has these addresses itself");
}

#[test]
fn a_connection_needs_both_ways() {
    let net = net(Mode::Flat);
    let far = "172.30.0.2:80";
    net.cut_one_way(&at(EAST), &at(WEST));
    assert_eq!(net.dial(&at(WEST), far), None);
    assert!(!net.passes(&at(WEST), &at(EAST)) && net.dial(&at(EAST), far).is_some());
    net.heal(&at(WEST), &at(EAST));
    assert!(net.dial(&at(WEST), far).is_some());
    net.isolate(&at(EAST));
    assert!(net.dial(&at(WEST), far).is_none() && net.dial(&Place::Master, far).is_none());
    net.heal_all();
    assert!(net.dial(&at(MASTER), far).is_some(), "the master is known by its name too");
}

#[test]
fn several_pods_behind_a_service_answer_in_turn() {
    let net = net(Mode::Flat);
    let second = Process { run: RunId(3), ports: [("client".to_owned(), 2379)].into() };
    net.set_pod(WEST, Pod { uid: "pod-3".to_owned(), ip: "10.101.0.2".to_owned(), processes: vec![second] });
    let port = Port { number: 80, node: None, target: Target::Name("client".to_owned()) };
    let backend = |ip: &str| Backend { ip: ip.to_owned(), hostname: None };
    let service = Service {
        cluster_ip: Some("10.96.0.7".to_owned()),
        ports: vec![port],
        backends: vec![backend("10.101.0.1"), backend("10.101.0.2")],
        ..Service::default()
    };
    net.set_services(WEST, [(("default".to_owned(), "all".to_owned()), service)].into());
    let runs: Vec<_> = (0..4).filter_map(|_| net.dial(&at(WEST), "all.default.svc:80")).map(|(run, _)| run.0).collect();
    assert_eq!(runs, [3, 1, 3, 1]);
}

#[test]
fn a_pod_that_is_gone_answers_no_more_and_its_address_is_free_for_the_next() {
    let net = net(Mode::Flat);
    let gone = |uid: &str| Pod { uid: uid.to_owned(), ip: "10.101.0.1".to_owned(), processes: Vec::new() };
    assert_eq!(net.place_of("pod-1"), Some(at(WEST)));
    net.set_pod(WEST, gone("pod-0"));
    assert!(net.dial(&at(WEST), "10.101.0.1:2379").is_some(), "another pod had the address before");
    net.set_pod(WEST, gone("pod-1"));
    assert!(net.dial(&at(WEST), "10.101.0.1:2379").is_none());
    assert_eq!((net.place_of("pod-1"), net.run_of("pod-2")), (None, Some(RunId(2))));
}
