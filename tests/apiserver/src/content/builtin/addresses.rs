//! What a service no longer needs once its type has changed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    super::admit::copy,
    judged::{empty, list},
};

fn needs_address(spec: &Value) -> bool {
    spec["type"] != "ExternalName"
}

fn needs_node_ports(spec: &Value) -> bool {
    spec["type"] == "NodePort" || spec["type"] == "LoadBalancer"
}

fn needs_health_check(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

fn node_ports(spec: &Value) -> BTreeSet<i64> {
    list(&spec["ports"]).filter_map(|port| port["nodePort"].as_i64()).filter(|number| *number != 0).collect()
}

/// Drops what a service no longer needs once its type has changed, unless its writer changed that too.
pub(super) fn drop_unneeded(old: &Value, new: &mut Value) {
    let before = &old["spec"];
    let after = &mut new["spec"];
    let same = |name: &str, after: &Value| before[name] == after[name];
    if needs_address(before) && !needs_address(after) {
        if same("clusterIP", after) && same("clusterIPs", after) {
            copy(None, after, "clusterIP");
            copy(None, after, "clusterIPs");
        }
        for name in ["ipFamilies", "ipFamilyPolicy"] {
            if same(name, after) {
                copy(None, after, name);
            }
        }
    }
    if needs_node_ports(before) && !needs_node_ports(after) && node_ports(before).is_superset(&node_ports(after)) {
        for port in after.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            copy(None, port, "nodePort");
        }
    }
    if needs_health_check(before) && !needs_health_check(after) && same("healthCheckNodePort", after) {
        copy(None, after, "healthCheckNodePort");
    }
    if before["type"] == "LoadBalancer" && after["type"] != "LoadBalancer" {
        for name in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if same(name, after) {
                copy(None, after, name);
            }
        }
    }
    if external(before) && !external(after) && same("externalTrafficPolicy", after) {
        copy(None, after, "externalTrafficPolicy");
    }
    if after["type"] != "LoadBalancer" && new["status"].is_object() {
        new["status"]["loadBalancer"] = json!({});
    }
}

/// Whether a service can be reached from outside of its cluster.
fn external(spec: &Value) -> bool {
    needs_node_ports(spec) || (spec["type"] == "ClusterIP" && !empty(&spec["externalIPs"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_changes_its_type_drops_what_it_no_longer_needs() {
        let old = json!({ "spec": { "type": "LoadBalancer", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "allocateLoadBalancerNodePorts": true, "externalTrafficPolicy": "Cluster",
            "ports": [{ "port": 1, "nodePort": 30001 }] }, "status": { "loadBalancer": { "ingress": [{ "ip": "1.1.1.1" }] } } });
        let mut new = old.clone();
        new["spec"]["type"] = "ClusterIP".into();
        drop_unneeded(&old, &mut new);
        assert_eq!(
            new,
            json!({ "spec": { "type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
                "ports": [{ "port": 1 }] }, "status": { "loadBalancer": {} } })
        );
    }
}
