//! Which services are accepted, and which changes of them.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::{Value, json};

use super::{
    super::{
        faults::Faults,
        metadata::{judge_labels, text},
        names,
    },
    container::judge_target,
    judged::{empty, judge_port, list},
    node,
};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// The port at which a balancer asks whether a node has pods of the service.
const HEALTH: &str = "spec.healthCheckNodePort";

fn is_asked_for_health(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

fn headless(service: &Value) -> bool {
    service["spec"]["clusterIPs"] == json!(["None"])
}

/// Judges a service as it is.
pub(super) fn judge(service: &Value, faults: &mut Faults) {
    let spec = &service["spec"];
    let kind = text(spec, "type").unwrap_or_default();
    if empty(&spec["ports"]) && !headless(service) && kind != "ExternalName" {
        faults.required("spec.ports", "");
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless(service) => {
            faults.invalid("spec.clusterIPs[0]", "None", &format!("may not be set to 'None' for {kind} services"));
        }
        "ExternalName" => judge_external(spec, faults),
        _ => {}
    }
    judge_ports(&spec["ports"], faults);
    judge_labels(&spec["selector"], "spec.selector", faults);
    let choose = |name: &str, choices: &[&str], faults: &mut Faults| {
        if let Some(value) = text(spec, name).filter(|value| !choices.contains(value)) {
            faults.not_supported(format!("spec.{name}"), value, choices);
        }
    };
    choose("sessionAffinity", &["ClientIP", "None"], faults);
    let timeout = &spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"];
    if timeout.as_i64().is_some_and(|seconds| !(1..=86_400).contains(&seconds)) {
        let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        faults.invalid(field, timeout.clone(), "must be greater than 0 and less than 86400");
    }
    judge_addresses(spec, kind, faults);
    for (index, ip) in list(&spec["externalIPs"]).filter_map(Value::as_str).enumerate() {
        judge_external_address(ip, &format!("spec.externalIPs[{index}]"), faults);
    }
    choose("type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], faults);
    judge_port_numbers(&spec["ports"], kind, faults);
    if !empty(&spec["loadBalancerSourceRanges"]) && kind != "LoadBalancer" {
        faults.forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'");
    }
    for (index, range) in list(&spec["loadBalancerSourceRanges"]).filter_map(Value::as_str).enumerate() {
        if node::family(range.trim()).is_none() {
            let words = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            faults.invalid(format!("spec.LoadBalancerSourceRanges[{index}]"), range, words);
        }
    }
    if !spec["allocateLoadBalancerNodePorts"].is_null() && kind != "LoadBalancer" {
        let words = "may only be used when `type` is 'LoadBalancer'";
        faults.forbidden("spec.allocateLoadBalancerNodePorts", words);
    }
    judge_class(spec, faults);
    judge_policies(spec, kind, faults);
}

fn judge_external(spec: &Value, faults: &mut Faults) {
    for name in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if !empty(&spec[name]) {
            faults.forbidden(format!("spec.{name}"), "may not be set for ExternalName services");
        }
    }
    match text(spec, "externalName").map(|name| name.trim_end_matches('.')) {
        Some(name) => faults.invalid_each("spec.externalName", name, names::dns_subdomain(name)),
        None => faults.required("spec.externalName", ""),
    }
}

/// Judges an address from outside that leads to a service.
fn judge_external_address(ip: &str, path: &str, faults: &mut Faults) {
    let Ok(address) = ip.parse::<IpAddr>() else {
        return faults.invalid(path, ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    };
    if address.is_unspecified() {
        faults.invalid(path, ip, &format!("may not be unspecified ({ip})"));
    }
    if address.is_loopback() {
        faults.invalid(path, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let (local, local_many) = match address {
        IpAddr::V4(address) => (address.is_link_local(), address.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(address) => (address.is_unicast_link_local(), address.segments()[0] & 0xff0f == 0xff02),
    };
    if local {
        faults.invalid(path, ip, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if local_many {
        faults.invalid(path, ip, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

fn judge_ports(ports: &Value, faults: &mut Faults) {
    let several = list(ports).count() > 1;
    let mut known = BTreeSet::new();
    for (index, port) in list(ports).enumerate() {
        let at = |name: &str| format!("spec.ports[{index}].{name}");
        match text(port, "name") {
            Some(name) => {
                faults.invalid_each(&at("name"), name, names::dns_label(name));
                if !known.insert(name) {
                    faults.duplicate(at("name"), name);
                }
            }
            None if several => faults.required(at("name"), ""),
            None => {}
        }
        judge_port(port["port"].as_i64().unwrap_or_default(), &at("port"), faults);
        let protocol = port["protocol"].as_str().unwrap_or_default();
        if !PROTOCOLS.contains(&protocol) {
            faults.not_supported(at("protocol"), protocol, &PROTOCOLS);
        }
        judge_target(&port["targetPort"], &at("targetPort"), faults);
        if let Some(name) = text(port, "appProtocol") {
            faults.invalid_each(&at("appProtocol"), name, names::qualified_name(name));
        }
    }
}

fn judge_port_numbers(ports: &Value, kind: &str, faults: &mut Faults) {
    let (mut node_ports, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in list(ports).enumerate() {
        let protocol = port["protocol"].as_str().unwrap_or_default();
        if let Some(number) = port["nodePort"].as_i64().filter(|number| *number != 0) {
            let field = format!("spec.ports[{index}].nodePort");
            if kind == "ClusterIP" {
                faults.forbidden(field.clone(), "may not be used when `type` is 'ClusterIP'");
            }
            if !node_ports.insert((protocol, number)) {
                faults.duplicate(field, number);
            }
        }
        if !numbers.insert((protocol, port["port"].as_i64().unwrap_or_default())) {
            let key = format!(
                "{{\"Name\":\"\",\"Protocol\":{protocol:?},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\
                 \"NodePort\":0}}",
                port["port"]
            );
            faults.duplicate_as(format!("spec.ports[{index}]"), &key);
        }
    }
}

/// Judges nothing but what addresses are given from.
pub(in super::super) fn judge_addresses_of(service: &Value) -> Result<(), crate::content::Refusal> {
    let mut faults = Faults::default();
    let spec = &service["spec"];
    judge_addresses(spec, text(spec, "type").unwrap_or("ClusterIP"), &mut faults);
    faults.finish()
}

fn judge_addresses(spec: &Value, kind: &str, faults: &mut Faults) {
    if kind == "ExternalName" {
        return;
    }
    let mut found = Faults::default();
    judge_each_address(spec, &mut found);
    if found.is_empty() && spec["clusterIPs"][0] != "None" {
        for (index, (ip, family)) in list(&spec["clusterIPs"]).zip(list(&spec["ipFamilies"])).enumerate() {
            let ip = ip.as_str().unwrap_or_default();
            let is = if ip.contains(':') { "IPv6" } else { "IPv4" };
            if family != is {
                let family = family.as_str().unwrap_or_default();
                let words = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
                found.invalid(format!("spec.clusterIPs[{index}]"), ip, &words);
            }
        }
    }
    faults.extend(found);
}

fn judge_each_address(spec: &Value, faults: &mut Faults) {
    let all = &spec["clusterIPs"];
    match text(spec, "clusterIP") {
        Some(_) if empty(all) => faults.required("spec.clusterIPs", ""),
        Some(one) if all[0] != one => {
            faults.invalid("spec.clusterIPs", all.clone(), "first value must match `clusterIP`");
        }
        None if !empty(all) => {
            faults.invalid("spec.clusterIPs", all.clone(), "must be empty when `clusterIP` is not specified");
        }
        _ => {}
    }
    let families = ["IPv4", "IPv6"];
    for (index, family) in list(&spec["ipFamilies"]).filter_map(Value::as_str).enumerate() {
        if !families.contains(&family) {
            faults.not_supported(format!("spec.ipFamilies[{index}]"), family, &families);
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    if let Some(policy) = text(spec, "ipFamilyPolicy").filter(|policy| !policies.contains(policy)) {
        faults.not_supported("spec.ipFamilyPolicy", policy, &policies);
    }
    for (index, ip) in list(all).filter_map(Value::as_str).enumerate() {
        if ip == "None" && index == 0 {
            if list(all).count() > 1 {
                faults.invalid("spec.clusterIPs", all.clone(), "'None' must be the first and only value");
            }
        } else if ip.parse::<IpAddr>().is_err() {
            let words = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            faults.invalid(format!("spec.clusterIPs[{index}]"), ip, words);
        }
    }
}

fn judge_policies(spec: &Value, kind: &str, faults: &mut Faults) {
    let external = matches!(kind, "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && !empty(&spec["externalIPs"]));
    let (policy, policies) = (text(spec, "externalTrafficPolicy"), ["Cluster", "Local"]);
    match policy {
        Some(policy) if !external => {
            let words = "may only be set for externally-accessible services";
            faults.invalid("spec.externalTrafficPolicy", policy, words);
        }
        Some(policy) if !policies.contains(&policy) => {
            faults.not_supported("spec.externalTrafficPolicy", policy, &policies);
        }
        None if external => faults.required("spec.externalTrafficPolicy", ""),
        _ => {}
    }
    match (spec["healthCheckNodePort"].as_i64().unwrap_or_default(), is_asked_for_health(spec)) {
        (0, true) => faults.required(HEALTH, ""),
        (port, true) => judge_port(port, HEALTH, faults),
        (0, false) => {}
        (port, false) => {
            let words = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            faults.invalid(HEALTH, port, words);
        }
    }
    match text(spec, "internalTrafficPolicy") {
        Some(policy) if !policies.contains(&policy) => {
            faults.not_supported("spec.internalTrafficPolicy", policy, &policies);
        }
        None if matches!(kind, "NodePort" | "LoadBalancer" | "ClusterIP") => {
            faults.required("spec.internalTrafficPolicy", "");
        }
        _ => {}
    }
}

/// Judges a change of a service: its address stays.
pub(super) fn judge_change(old: &Value, new: &Value, faults: &mut Faults) {
    judge_address_change(old, new, faults);
    let (before, after) = (&old["spec"], &new["spec"]);
    if before["type"] == "LoadBalancer"
        && after["type"] == "LoadBalancer"
        && before["loadBalancerClass"] != after["loadBalancerClass"]
    {
        faults.invalid("spec.loadBalancerClass", after["loadBalancerClass"].clone(), "may not change once set");
    }
    judge_class(after, faults);
    let port = |spec: &Value| spec["healthCheckNodePort"].as_i64().unwrap_or_default();
    if is_asked_for_health(before) && is_asked_for_health(after) && port(before) != port(after) {
        faults.forbidden(HEALTH, "field is immutable");
    }
    judge(new, faults);
}

/// Judges who balances load.
fn judge_class(spec: &Value, faults: &mut Faults) {
    const FIELD: &str = "spec.loadBalancerClass";
    let Some(class) = spec["loadBalancerClass"].as_str() else { return };
    if spec["type"] == "LoadBalancer" {
        faults.invalid_each(FIELD, class, names::qualified_name(class));
    } else {
        faults.forbidden(FIELD, "may only be used when `type` is 'LoadBalancer'");
    }
}

fn judge_address_change(old: &Value, new: &Value, faults: &mut Faults) {
    let (before, after) = (&old["spec"], &new["spec"]);
    if before["type"] == "ExternalName" || after["type"] == "ExternalName" || (headless(old) && headless(new)) {
        return;
    }
    let addresses = |spec: &Value| list(&spec["clusterIPs"]).cloned().collect::<Vec<_>>();
    let (had, has) = (addresses(before), addresses(after));
    for (index, address) in had.iter().enumerate() {
        let words = match has.get(index) {
            Some(now) if now == address => continue,
            None if index == 0 => "primary clusterIP can not be unset",
            None => continue,
            Some(_) => "may not change once set",
        };
        faults.invalid(format!("spec.clusterIPs[{index}]"), Value::Array(has.clone()), words);
    }
}

/// Judges a service's status: only load balancers have addresses there.
pub(super) fn judge_status(service: &Value, faults: &mut Faults) {
    const PATH: &str = "status.loadBalancer.ingress";
    let ingress = &service["status"]["loadBalancer"]["ingress"];
    if service["spec"]["type"] != "LoadBalancer" && !empty(ingress) {
        faults.forbidden(PATH, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    for (index, way) in list(ingress).enumerate() {
        let (ip, mode, modes) = (text(way, "ip"), way["ipMode"].as_str(), ["Proxy", "VIP"]);
        if let Some(ip) = ip.filter(|ip| ip.parse::<IpAddr>().is_err()) {
            let words = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            faults.invalid(format!("{PATH}[{index}].ip"), ip, words);
        }
        let field = format!("{PATH}[{index}].ipMode");
        match mode {
            None if ip.is_some() => faults.required(field, "must be specified when `ip` is set"),
            Some(_) if ip.is_none() => faults.forbidden(field, "may not be specified when `ip` is not set"),
            Some(mode) if !modes.contains(&mode) => faults.not_supported(field, mode, &modes),
            _ => {}
        }
        if let Some(name) = text(way, "hostname") {
            faults.invalid_each(&format!("{PATH}[{index}].hostname"), name, names::dns_subdomain(name));
        }
    }
}
