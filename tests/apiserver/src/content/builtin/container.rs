//! Which containers are accepted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    super::{faults::Faults, metadata::text, names, quantity::Quantity},
    judged::{judge_identity, judge_not_negative, judge_port, list},
};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

type Volumes<'a> = BTreeMap<&'a str, &'a Value>;

/// Judges all containers of a pod's spec.
pub(super) fn judge_all(spec: &Value, path: &str, volumes: &Volumes<'_>, faults: &mut Faults) {
    let mut names = BTreeSet::new();
    let mut host_ports = BTreeSet::new();
    if list(&spec["containers"]).next().is_none() {
        faults.required(format!("{path}.containers"), "");
    }
    for (index, container) in list(&spec["containers"]).enumerate() {
        let path = format!("{path}.containers[{index}]");
        judge_one(container, &path, volumes, faults);
        judge_name(container, &path, &mut names, faults);
        judge_handlers(container, &path, faults);
        judge_host_ports(container, &path, &mut host_ports, faults);
    }
    for (index, container) in list(&spec["initContainers"]).enumerate() {
        let path = format!("{path}.initContainers[{index}]");
        judge_one(container, &path, volumes, faults);
        judge_name(container, &path, &mut names, faults);
        if container["restartPolicy"] == "Always" {
            judge_handlers(container, &path, faults);
            continue;
        }
        for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if !container[name].is_null() {
                let words = "may not be set for init containers without restartPolicy=Always";
                faults.forbidden(format!("{path}.{name}"), words);
            }
        }
    }
}

fn judge_name<'a>(container: &'a Value, path: &str, names: &mut BTreeSet<&'a str>, faults: &mut Faults) {
    let name = container["name"].as_str().unwrap_or_default();
    if !names.insert(name) {
        faults.duplicate(format!("{path}.name"), name);
    }
}

fn judge_one(container: &Value, path: &str, volumes: &Volumes<'_>, faults: &mut Faults) {
    let at = |name: &str| format!("{path}.{name}");
    match text(container, "name") {
        Some(name) => faults.invalid_each(&at("name"), name, names::dns_label(name)),
        None => faults.required(at("name"), ""),
    }
    if text(container, "image").is_none() {
        faults.required(at("image"), "");
    }
    for (name, choices) in [
        ("terminationMessagePolicy", &["File", "FallbackToLogsOnError"][..]),
        ("imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    ] {
        if let Some(value) = text(container, name).filter(|value| !choices.contains(value)) {
            faults.not_supported(at(name), value, choices);
        }
    }
    judge_ports(&container["ports"], &at("ports"), faults);
    judge_env(&container["env"], &at("env"), faults);
    judge_mounts(container, path, volumes, faults);
    judge_resources(&container["resources"], &at("resources"), faults);
    for name in ["runAsUser", "runAsGroup"] {
        judge_identity(&container["securityContext"][name], &at(&format!("securityContext.{name}")), faults);
    }
}

fn judge_ports(ports: &Value, path: &str, faults: &mut Faults) {
    let mut known = BTreeSet::new();
    for (index, port) in list(ports).enumerate() {
        let at = |name: &str| format!("{path}[{index}].{name}");
        if let Some(name) = text(port, "name") {
            let wrong = names::port_name(name);
            if wrong.is_empty() && !known.insert(name) {
                faults.duplicate(at("name"), name);
            }
            faults.invalid_each(&at("name"), name, wrong);
        }
        match port["containerPort"].as_i64() {
            None | Some(0) => faults.required(at("containerPort"), ""),
            Some(number) => judge_port(number, &at("containerPort"), faults),
        }
        if let Some(number) = port["hostPort"].as_i64().filter(|number| *number != 0) {
            judge_port(number, &at("hostPort"), faults);
        }
        if let Some(protocol) = text(port, "protocol").filter(|protocol| !PROTOCOLS.contains(protocol)) {
            faults.not_supported(at("protocol"), protocol, &PROTOCOLS);
        }
    }
}

fn judge_host_ports(container: &Value, path: &str, known: &mut BTreeSet<String>, faults: &mut Faults) {
    for (index, port) in list(&container["ports"]).enumerate() {
        let Some(number) = port["hostPort"].as_i64().filter(|number| *number != 0) else { continue };
        let (protocol, ip) = (port["protocol"].as_str().unwrap_or(""), port["hostIP"].as_str().unwrap_or(""));
        let key = format!("{protocol}/{ip}/{number}");
        if !known.insert(key.clone()) {
            faults.duplicate(format!("{path}.ports[{index}].hostPort"), key);
        }
    }
}

/// Judges the ports of a pod that shares its node's network.
pub(super) fn judge_host_network(spec: &Value, path: &str, faults: &mut Faults) {
    if spec["hostNetwork"] != true {
        return;
    }
    for name in ["containers", "initContainers"] {
        for (index, container) in list(&spec[name]).enumerate() {
            for (at, port) in list(&container["ports"]).enumerate() {
                if port["hostPort"] != port["containerPort"] {
                    let field = format!("{path}.{name}[{index}].ports[{at}].hostPort");
                    let words = "must match `containerPort` when `hostNetwork` is true";
                    faults.invalid(field, port["hostPort"].as_i64().unwrap_or_default(), words);
                }
            }
        }
    }
}

fn judge_env(env: &Value, path: &str, faults: &mut Faults) {
    for (index, variable) in list(env).enumerate() {
        let at = |name: &str| format!("{path}[{index}].{name}");
        match text(variable, "name") {
            Some(name) => faults.invalid_each(&at("name"), name, names::env_name(name)),
            None => faults.required(at("name"), ""),
        }
        let Some(source) = variable["valueFrom"].as_object() else { continue };
        let sources = source.values().filter(|value| !value.is_null()).count();
        let words = match sources {
            0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            _ if text(variable, "value").is_some() => "may not be specified when `value` is not empty",
            1 => {
                judge_source(source, &at("valueFrom"), faults);
                continue;
            }
            _ => "may not have more than one field specified at a time",
        };
        faults.invalid(at("valueFrom"), "", words);
    }
}

fn judge_source(source: &serde_json::Map<String, Value>, path: &str, faults: &mut Faults) {
    for (name, required) in [("fieldRef", "fieldPath"), ("configMapKeyRef", "key"), ("secretKeyRef", "key")] {
        let Some(reference) = source.get(name) else { continue };
        match text(reference, required) {
            None => faults.required(format!("{path}.{name}.{required}"), ""),
            Some(key) if required == "key" => {
                faults.invalid_each(&format!("{path}.{name}.{required}"), key, names::config_key(key));
            }
            Some(field) => judge_field_path(field, &format!("{path}.{name}.{required}"), faults),
        }
    }
}

/// Which fields of its own a pod may tell its containers.
fn judge_field_path(field: &str, path: &str, faults: &mut Faults) {
    const KNOWN: [&str; 9] = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let keyed = ["metadata.annotations['", "metadata.labels['"].iter().any(|prefix| field.starts_with(prefix));
    if !KNOWN.contains(&field) && !keyed {
        faults.not_supported(path, field, &KNOWN);
    }
}

fn judge_mounts(container: &Value, path: &str, volumes: &Volumes<'_>, faults: &mut Faults) {
    let mut points = BTreeSet::new();
    for (index, mount) in list(&container["volumeMounts"]).enumerate() {
        let at = |name: &str| format!("{path}.volumeMounts[{index}].{name}");
        let name = mount["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            faults.required(at("name"), "");
        }
        if !volumes.contains_key(name) {
            faults.not_found(at("name"), name);
        }
        let point = mount["mountPath"].as_str().unwrap_or_default();
        if point.is_empty() {
            faults.required(at("mountPath"), "");
        }
        if !points.insert(point) {
            faults.invalid(at("mountPath"), point, "must be unique");
        }
        if let Some(sub) = text(mount, "subPath") {
            if sub.starts_with('/') {
                faults.invalid(format!("{path}.volumeMounts.subPath"), sub, "must be a relative path");
            }
            if sub.split('/').any(|part| part == "..") {
                faults.invalid(format!("{path}.volumeMounts.subPath"), sub, "must not contain '..'");
            }
        }
    }
}

fn judge_resources(resources: &Value, path: &str, faults: &mut Faults) {
    let amount = |of: &str, name: &str| resources[of][name].as_str().and_then(Quantity::parse);
    for of in ["limits", "requests"] {
        for (name, value) in resources[of].as_object().into_iter().flatten() {
            let field = format!("{path}.{of}[{name}]");
            if !is_resource(name) {
                faults.invalid(field.clone(), name.as_str(), "must be a standard resource for containers");
            }
            if amount(of, name).is_some_and(|amount| amount.is_negative()) {
                faults.invalid(field, value.clone(), "must be greater than or equal to 0");
            }
        }
    }
    for name in resources["requests"].as_object().into_iter().flat_map(serde_json::Map::keys) {
        let (Some(request), Some(limit)) = (amount("requests", name), amount("limits", name)) else { continue };
        if request > limit {
            let words = format!("must be less than or equal to {name} limit of {}", limit.canonical());
            faults.invalid(format!("{path}.requests"), request.canonical(), &words);
        }
    }
}

fn is_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") || name.contains('/')
}

fn judge_handlers(container: &Value, path: &str, faults: &mut Faults) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = &container[name];
        if probe.is_null() {
            continue;
        }
        let path = format!("{path}.{name}");
        judge_handler(probe, &path, faults);
        for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            judge_not_negative(&probe[field], &format!("{path}.{field}"), faults);
        }
        if name != "readinessProbe" && probe["successThreshold"] != 1 {
            faults.invalid(format!("{path}.successThreshold"), probe["successThreshold"].clone(), "must be 1");
        }
        let grace = &probe["terminationGracePeriodSeconds"];
        if name == "readinessProbe" && !grace.is_null() {
            let words = "must not be set for readinessProbes";
            faults.invalid(format!("{path}.terminationGracePeriodSeconds"), grace.clone(), words);
        }
    }
    for name in ["postStart", "preStop"] {
        let handler = &container["lifecycle"][name];
        if !handler.is_null() {
            judge_handler(handler, &format!("{path}.lifecycle.{name}"), faults);
        }
    }
}

fn judge_handler(handler: &Value, path: &str, faults: &mut Faults) {
    let kinds = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];
    let given: Vec<&str> = kinds.into_iter().filter(|kind| !handler[*kind].is_null()).collect();
    match given.as_slice() {
        [] => faults.required(path, "must specify a handler type"),
        [_, more @ ..] => {
            for kind in more {
                faults.forbidden(format!("{path}.{kind}"), "may not specify more than 1 handler type");
            }
        }
    }
    if handler["exec"].is_object() && list(&handler["exec"]["command"]).next().is_none() {
        faults.required(format!("{path}.exec.command"), "");
    }
    for kind in ["httpGet", "tcpSocket"] {
        if handler[kind].is_object() {
            judge_target(&handler[kind]["port"], &format!("{path}.{kind}.port"), faults);
        }
    }
}

/// A port by its number or its name.
pub(super) fn judge_target(port: &Value, path: &str, faults: &mut Faults) {
    match port {
        Value::Number(number) => judge_port(number.as_i64().unwrap_or_default(), path, faults),
        Value::String(name) => faults.invalid_each(path, name, names::port_name(name)),
        _ => {}
    }
}
