//! Node ports and addresses: who is given which, and what is refused. Chance seldom asks for the same one twice.
//!
//! What is asked for by number is of the static bands, which Kubernetes gives out last to those who name none
//! (KEP-3070, KEP-3668): sequences that are played meanwhile take nothing of it.

use serde_json::{Value, json};

use super::{Author, Script};

const SERVICES: &str = "/api/v1/namespaces/{{ns}}/services";

fn service(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": spec })
}

fn with(kind: &str, ports: Value) -> Value {
    json!({ "type": kind, "ports": ports })
}

/// A service to whose pods' nodes alone a balancer sends load, and the port at which it asks for them.
fn local(port: u64) -> Value {
    json!({ "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": port,
        "ports": [{ "port": 80 }] })
}

pub(super) fn script() -> Script {
    let mut author = Author::new();
    for dry in ["", "?dryRun=All"] {
        new_ones(&mut author, dry);
    }
    changed_ones(&mut author);
    through_the_status(&mut author);
    edges(&mut author);
    author.script("node ports and addresses")
}

fn new_ones(author: &mut Author, dry: &str) {
    let uri = format!("{SERVICES}{dry}");
    let one = json!([{ "name": "a", "port": 80, "nodePort": 30041 }, { "name": "b", "port": 80, "protocol": "UDP" }]);
    author.post(&uri, service("a", with("NodePort", one)));
    for (first, second) in [
        (json!({ "port": 80, "nodePort": 30051 }), json!({ "port": 81, "protocol": "UDP", "nodePort": 30051 })),
        (json!({ "port": 80, "nodePort": 30051 }), json!({ "port": 80, "protocol": "UDP", "nodePort": 30051 })),
        (json!({ "port": 80, "nodePort": 30052 }), json!({ "port": 80, "protocol": "UDP", "nodePort": 30053 })),
        (json!({ "port": 80 }), json!({ "port": 80, "protocol": "UDP", "nodePort": 30054 })),
        (json!({ "port": 80 }), json!({ "port": 81 })),
        (json!({ "port": 80, "nodePort": 30055 }), json!({ "port": 81, "nodePort": 30041 })),
        (json!({ "port": 80, "nodePort": 30055 }), json!({ "port": 81, "nodePort": 100 })),
    ] {
        let (mut first, mut second) = (first, second);
        first["name"] = "a".into();
        second["name"] = "b".into();
        author.post(&uri, service("b", with("NodePort", json!([first, second]))));
        author.delete(&format!("{SERVICES}/b"));
    }
    for port in [30041, 100, 70_000, 30042] {
        author.post(&uri, service("c", local(port)));
        author.delete(&format!("{SERVICES}/c"));
    }
}

fn changed_ones(author: &mut Author) {
    let (a, c) = (format!("{SERVICES}/a"), format!("{SERVICES}/c"));
    author.post(SERVICES, service("c", local(30042)));
    let port = |name: &str, number: u64, protocol: &str, node: Value| json!({ "name": name, "port": number, "protocol": protocol, "nodePort": node });
    for dry in ["?dryRun=All", ""] {
        for ports in [
            json!([port("a", 1, "TCP", Value::Null), port("a", 2, "TCP", Value::Null)]),
            json!([port("a", 1, "TCP", Value::Null), port("a", 2, "UDP", Value::Null)]),
            json!([port("a", 1, "TCP", 30042.into())]),
            json!([port("a", 1, "TCP", 30044.into()), port("b", 2, "UDP", 30044.into())]),
            json!([port("a", 1, "TCP", 30045.into()), port("b", 2, "TCP", 30045.into())]),
            json!([port("a", 1, "TCP", 30041.into()), port("b", 2, "TCP", 30041.into())]),
            json!([port("a", 1, "TCP", 29_999.into())]),
            json!([port("c", 1, "TCP", Value::Null), port("b", 2, "UDP", Value::Null)]),
            json!([port("a", 1, "TCP", 30041.into()), port("b", 1, "UDP", Value::Null)]),
        ] {
            author.merge(&format!("{a}{dry}"), json!({ "spec": { "ports": ports } }));
        }
        for spec in [
            json!({ "healthCheckNodePort": 30043 }),
            json!({ "healthCheckNodePort": null }),
            json!({ "externalTrafficPolicy": "Cluster" }),
            json!({ "externalTrafficPolicy": "Local", "healthCheckNodePort": 30041 }),
            json!({ "externalTrafficPolicy": "Local", "healthCheckNodePort": 30042 }),
            json!({ "allocateLoadBalancerNodePorts": false, "ports": [{ "port": 80 }, { "port": 81 }] }),
            json!({ "type": "ClusterIP", "externalTrafficPolicy": null }),
        ] {
            author.merge(&format!("{c}{dry}"), json!({ "spec": spec }));
        }
    }
}

/// A status that is put where there is nothing makes a service, which is given nothing.
fn through_the_status(author: &mut Author) {
    let uri = format!("{SERVICES}/d/status");
    for port in [0, 70_000, 30046] {
        author.put_whole(&uri, service("d", local(port)));
    }
    author.merge(&format!("{SERVICES}/d"), json!({ "spec": { "healthCheckNodePort": 30047 } }));
    author.merge(&format!("{SERVICES}/d"), json!({ "spec": { "selector": { "a": "b" } } }));
}

/// The first and the last address are nobody's.
fn edges(author: &mut Author) {
    for dry in ["?dryRun=All", ""] {
        for address in ["10.96.0.0", "10.96.255.255", "10.95.255.255", "10.96.0.200", "10.96.0.200", "10.96.0"] {
            let spec = json!({ "clusterIP": address, "ports": [{ "port": 80 }] });
            author.post(&format!("{SERVICES}{dry}"), service("e", spec.clone()));
            author.post(&format!("{SERVICES}{dry}"), service("f", spec));
        }
        author.delete(&format!("{SERVICES}/e"));
    }
}
