//! Addresses and ports of services, which are given once and kept.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    super::admit::copy,
    judged::{empty, list},
};

/// Fills in what was given to a service before and what its writer left out, or tells in the plural what is said in the
/// singular. To be called before addresses and ports are given out, which comes before the object is judged.
pub fn keep_addresses(old: Option<&Value>, new: &mut Value) {
    let Some(old) = old else {
        let spec = &mut new["spec"];
        if !empty(&spec["clusterIP"]) && empty(&spec["clusterIPs"]) {
            spec["clusterIPs"] = json!([spec["clusterIP"]]);
        }
        return;
    };
    let before = &old["spec"];
    let after = &mut new["spec"];
    if needs_address(before) && needs_address(after) {
        for name in ["clusterIP", "clusterIPs"] {
            if empty(&after[name]) {
                copy(before.get(name), after, name);
            }
        }
    }
    if needs_node_ports(before) && needs_node_ports(after) {
        keep_node_ports(before, after);
    }
    if needs_health_check(before) && needs_health_check(after) && after["healthCheckNodePort"].is_null() {
        copy(before.get("healthCheckNodePort"), after, "healthCheckNodePort");
    }
    // Who changes only one of the two means both.
    if before["clusterIP"] != after["clusterIP"] && before["clusterIPs"] == after["clusterIPs"] {
        let one = &after["clusterIP"];
        let all = (!empty(one)).then(|| json!([one]));
        copy(all.as_ref(), after, "clusterIPs");
    }
}

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

fn keep_node_ports(before: &Value, after: &mut Value) {
    let used: BTreeSet<i64> = node_ports(before).intersection(&node_ports(after)).copied().collect();
    let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    let had: BTreeMap<String, i64> =
        list(&before["ports"]).filter_map(|port| Some((name(port), port["nodePort"].as_i64()?))).collect();
    for port in after.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if port["nodePort"].as_i64().unwrap_or_default() == 0
            && let Some(number) = had.get(&name(port)).filter(|number| !used.contains(number))
        {
            copy(Some(&(*number).into()), port, "nodePort");
        }
    }
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
    fn what_was_given_to_a_service_stays_with_it() {
        let old = json!({ "spec": { "type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ports": [{ "name": "a", "port": 1, "nodePort": 30001 }, { "name": "b", "port": 2, "nodePort": 30002 }] } });
        let mut new = json!({ "spec": { "type": "NodePort", "ports": [{ "name": "b", "port": 3 },
            { "name": "c", "port": 4, "nodePort": 30001 }, { "name": "a", "port": 1 }] } });
        keep_addresses(Some(&old), &mut new);
        assert_eq!(new["spec"]["clusterIPs"], json!(["10.0.0.1"]));
        let ports: Vec<Option<i64>> = list(&new["spec"]["ports"]).map(|port| port["nodePort"].as_i64()).collect();
        assert_eq!(ports, [Some(30002), Some(30001), None], "a port that is taken elsewhere is not given back");
    }

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
