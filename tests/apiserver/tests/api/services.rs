//! What services are given.

use serde_json::{Value, json};

use crate::Server;

const SERVICES: &str = "/api/v1/namespaces/ns/services";

fn service(name: &str, spec: &Value) -> Value {
    json!({ "kind": "Service", "apiVersion": "v1", "metadata": { "name": name }, "spec": spec })
}

/// A service to whose pods' nodes alone a balancer sends load, and the port at which it asks for them.
fn local(name: &str, port: u64) -> Value {
    let spec = json!({ "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": port,
        "ports": [{ "port": 80 }] });
    service(name, &spec)
}

fn two(kind: &str, first: (u64, &str, u64), second: (u64, &str, u64)) -> Value {
    let port = |name: &str, (port, protocol, node): (u64, &str, u64)| json!({ "name": name, "port": port, "protocol": protocol, "nodePort": node });
    json!({ "type": kind, "ports": [port("a", first), port("b", second)] })
}

#[test]
fn services_get_addresses_and_ports_of_their_own() {
    let server = Server::with(&[]);
    let service = |name: &str, port: u32| {
        let ports = json!([{ "port": 80, "nodePort": port }]);
        service(name, &json!({ "type": "NodePort", "selector": { "a": "b" }, "ports": ports }))
    };
    let path = SERVICES;
    let (_, one) = server.post(path, &service("one", 30_001));
    assert_eq!(one["spec"]["ipFamilies"], json!(["IPv4"]));
    let (code, status) = server.post(path, &service("two", 30_001));
    assert_eq!(code, 422);
    assert_eq!(status["details"]["causes"][0]["message"], "Invalid value: 30001: provided port is already allocated");
    let mut third = service("three", 0);
    third["spec"]["ports"][0].as_object_mut().unwrap().remove("nodePort");
    let (_, three) = server.post(path, &third);
    assert_ne!(three["spec"]["clusterIP"], one["spec"]["clusterIP"]);
    assert!(three["spec"]["ports"][0]["nodePort"].as_u64().unwrap() >= 30_000);
    let (code, _) = server.delete(&format!("{path}/one"), &Value::Null);
    assert_eq!(code, 200);
    assert_eq!(server.post(path, &service("two", 30_001)).0, 201);
}

#[test]
fn nobody_is_given_the_first_or_the_last_address() {
    let server = Server::with(&[]);
    for (address, code) in [("10.96.0.0", 422), ("10.96.255.255", 422), ("10.97.0.1", 422), ("10.96.255.254", 201)] {
        let spec = json!({ "clusterIP": address, "ports": [{ "port": 80 }] });
        let (answered, status) = server.post(SERVICES, &service("one", &spec));
        assert_eq!(answered, code, "{status}");
        if code == 422 {
            let told = status["details"]["causes"][0]["message"].as_str().unwrap();
            assert!(told.ends_with("the provided network does not match the current range"), "{told}");
        }
    }
}

#[test]
fn a_new_service_s_ports_share_a_node_port_only_if_they_are_the_same_port() {
    for (first, second, code) in [
        ((80, "TCP", 30_001), (80, "UDP", 30_001), 201),
        ((80, "TCP", 30_001), (80, "UDP", 0), 201),
        ((80, "TCP", 0), (80, "UDP", 30_001), 201),
        ((80, "TCP", 30_001), (81, "UDP", 30_001), 422),
    ] {
        let server = Server::with(&[]);
        let (answered, one) = server.post(SERVICES, &service("one", &two("NodePort", first, second)));
        assert_eq!(answered, code, "{one}");
        if code == 201 {
            let port = |at: usize| one["spec"]["ports"][at]["nodePort"].as_u64().unwrap();
            assert_eq!((port(0), port(1)), (30_001, 30_001));
        }
    }
}

#[test]
fn a_changed_service_cannot_have_a_node_port_twice() {
    let server = Server::with(&[service("one", &two("NodePort", (80, "TCP", 30_001), (81, "TCP", 30_002)))]);
    let path = format!("{SERVICES}/one");
    let twice = json!({ "spec": { "ports": [{ "name": "a", "port": 1 }, { "name": "a", "port": 2 }] } });
    let (code, status) = server.merge(&path, &twice);
    assert_eq!((code, &status["message"]), (500, &json!("duplicate nodePort: {TCP 30001}")));
    let other = json!({ "spec": two("NodePort", (1, "TCP", 30_003), (2, "UDP", 30_003)) });
    assert_eq!(server.merge(&path, &other).0, 200);
}

#[test]
fn the_port_that_tells_where_pods_are_is_nobody_else_s_and_stays() {
    let server = Server::with(&[local("one", 30_001)]);
    let (code, status) = server.post(SERVICES, &local("two", 30_001));
    assert_eq!(code, 500);
    let words = "Internal error occurred: failed to allocate requested HealthCheck NodePort 30001: provided port is \
                 already allocated";
    assert_eq!(status["message"], words);
    let path = format!("{SERVICES}/one");
    let (code, status) = server.merge(&path, &json!({ "spec": { "healthCheckNodePort": 30_002 } }));
    assert_eq!((code, &status["details"]["causes"][0]["message"]), (422, &json!("Forbidden: field is immutable")));
    let (code, one) = server.merge(&path, &json!({ "spec": { "healthCheckNodePort": null } }));
    assert_eq!((code, &one["spec"]["healthCheckNodePort"]), (200, &json!(30_001)));
}

#[test]
fn a_service_that_is_made_by_its_status_is_given_nothing() {
    let server = Server::with(&[]);
    let path = format!("{SERVICES}/one/status");
    let (code, status) = server.put(&path, &local("one", 0));
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("spec.healthCheckNodePort")));
    let (code, one) = server.put(&path, &local("one", 30_001));
    assert_eq!((code, &one["spec"]["clusterIP"]), (201, &Value::Null));
}

#[test]
fn a_type_that_there_is_not_takes_no_address_away() {
    let ports = json!([{ "port": 80 }]);
    let server = Server::with(&[service("one", &json!({ "ports": ports }))]);
    let magic = service("one", &json!({ "type": "Magic", "ports": ports }));
    let (code, status) = server.put(&format!("{SERVICES}/one"), &magic);
    assert_eq!((code, status["details"]["causes"].as_array().map(Vec::len)), (422, Some(1)), "{status}");
}
