//! Which pods are accepted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    super::{
        faults::Faults,
        metadata::{judge_labels, text},
        names,
        quantity::Quantity,
    },
    container,
    judged::{empty, judge_address, judge_identity, judge_range, list, quantity},
};

/// What a volume may be, in the order in which the server looks.
const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// Judges a new pod.
pub(super) fn judge_new(pod: &Value, faults: &mut Faults) {
    judge_spec(&pod["spec"], "spec", faults);
    judge_images(pod, faults);
    if !empty(&pod["spec"]["ephemeralContainers"]) {
        faults.forbidden("spec.ephemeralContainers", "cannot be set on create");
    }
    if text(&pod["spec"], "nodeName").is_some() && !empty(&pod["spec"]["schedulingGates"]) {
        faults.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared");
    }
}

pub(super) fn judge_images(pod: &Value, faults: &mut Faults) {
    for name in ["containers", "initContainers"] {
        for (index, container) in list(&pod["spec"][name]).enumerate() {
            let image = container["image"].as_str().unwrap_or_default();
            if image.trim() != image {
                let field = format!("spec.{name}[{index}].image");
                faults.invalid(field, image, "must not have leading or trailing whitespace");
            }
        }
    }
}

/// Judges a pod's spec, in a pod or in a template.
pub(super) fn judge_spec(spec: &Value, path: &str, faults: &mut Faults) {
    let volumes = judge_volumes(&spec["volumes"], &format!("{path}.volumes"), faults);
    container::judge_all(spec, path, &volumes, faults);
    container::judge_host_network(spec, path, faults);
    let at = |name: &str| format!("{path}.{name}");
    let choose = |name: &str, choices: &[&str], faults: &mut Faults| {
        if let Some(value) = text(spec, name).filter(|value| !choices.contains(value)) {
            faults.not_supported(at(name), value, choices);
        }
    };
    choose("restartPolicy", &["Always", "OnFailure", "Never"], faults);
    choose("dnsPolicy", &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], faults);
    judge_labels(&spec["nodeSelector"], &at("nodeSelector"), faults);
    judge_security(spec, &at("securityContext"), faults);
    judge_affinity(&spec["affinity"], &at("affinity"), faults);
    judge_resolving(spec, path, faults);
    for (index, gate) in list(&spec["readinessGates"]).enumerate() {
        let kind = gate["conditionType"].as_str().unwrap_or_default();
        faults.invalid_each(&at(&format!("readinessGates[{index}].conditionType")), kind, names::qualified_name(kind));
    }
    judge_gates(&spec["schedulingGates"], &at("schedulingGates"), faults);
    judge_spread(&spec["topologySpreadConstraints"], &at("topologySpreadConstraints"), faults);
    let name = |name: &str, rule: fn(&str) -> Vec<String>, faults: &mut Faults| {
        if let Some(value) = text(spec, name) {
            faults.invalid_each(&at(name), value, rule(value));
        }
    };
    name("serviceAccountName", names::dns_subdomain, faults);
    name("nodeName", names::dns_subdomain, faults);
    judge_range(&spec["activeDeadlineSeconds"], &at("activeDeadlineSeconds"), 1, i64::from(i32::MAX), faults);
    name("hostname", names::dns_label, faults);
    name("subdomain", names::dns_label, faults);
    judge_tolerations(&spec["tolerations"], &at("tolerations"), faults);
    for (index, alias) in list(&spec["hostAliases"]).enumerate() {
        judge_address(&alias["ip"], &at(&format!("hostAliases[{index}].ip")), faults);
        for (number, host) in list(&alias["hostnames"]).filter_map(Value::as_str).enumerate() {
            let field = at(&format!("hostAliases[{index}].hostnames[{number}]"));
            faults.invalid_each(&field, host, names::dns_subdomain(host));
        }
    }
    name("priorityClassName", names::dns_subdomain, faults);
    name("runtimeClassName", names::dns_subdomain, faults);
    choose("preemptionPolicy", &["PreemptLowerPriority", "Never"], faults);
    for (name, amount) in spec["overhead"].as_object().into_iter().flatten() {
        if let Some(amount) = quantity(amount).filter(Quantity::is_negative) {
            let field = at(&format!("overhead.limits[{name}]"));
            faults.invalid(field, amount.canonical(), "must be greater than or equal to 0");
        }
    }
    if let Some(system) = text(&spec["os"], "name").filter(|system| !matches!(*system, "linux" | "windows")) {
        faults.not_supported(at("os"), system, &["linux", "windows"]);
    }
}

/// Judges whom a pod runs as.
fn judge_security(spec: &Value, path: &str, faults: &mut Faults) {
    let context = &spec["securityContext"];
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
        judge_identity(&context[name], &format!("{path}.{name}"), faults);
    }
    for (index, group) in list(&context["supplementalGroups"]).enumerate() {
        judge_identity(group, &format!("{path}.supplementalGroups[{index}]"), faults);
    }
    if spec["shareProcessNamespace"] == true && spec["hostPID"] == true {
        let words = "ShareProcessNamespace and HostPID cannot both be enabled";
        faults.invalid(format!("{path}.shareProcessNamespace"), true, words);
    }
}

/// Judges how a pod finds names.
fn judge_resolving(spec: &Value, path: &str, faults: &mut Faults) {
    let servers = &spec["dnsConfig"]["nameservers"];
    if text(spec, "dnsPolicy") == Some("None") && empty(servers) {
        let words = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        let field = if spec["dnsConfig"].is_null() { "dnsConfig" } else { "dnsConfig.nameservers" };
        faults.required(format!("{path}.{field}"), words);
    }
    for (index, server) in list(servers).enumerate() {
        judge_address(server, &format!("{path}.dnsConfig.nameservers[{index}]"), faults);
    }
}

fn judge_gates(gates: &Value, path: &str, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (index, gate) in list(gates).enumerate() {
        let name = gate["name"].as_str().unwrap_or_default();
        faults.invalid_each(&format!("{path}[{index}]"), name, names::qualified_name(name));
        if !seen.insert(name) {
            faults.duplicate(format!("{path}[{index}]"), name);
        }
    }
}

fn judge_volumes<'a>(volumes: &'a Value, path: &str, faults: &mut Faults) -> BTreeMap<&'a str, &'a Value> {
    let mut known = BTreeMap::new();
    for (index, volume) in list(volumes).enumerate() {
        let path = format!("{path}[{index}]");
        let mut found = Faults::default();
        judge_source(volume, &path, &mut found);
        let name = volume["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            found.required(format!("{path}.name"), "");
        } else {
            found.invalid_each(&format!("{path}.name"), name, names::dns_label(name));
        }
        if known.contains_key(name) {
            found.duplicate(format!("{path}.name"), name);
        }
        if found.is_empty() {
            known.insert(name, volume);
        } else {
            faults.extend(found);
        }
    }
    known
}

fn judge_source(volume: &Value, path: &str, faults: &mut Faults) {
    let sources: Vec<&str> = SOURCES.into_iter().filter(|source| !volume[*source].is_null()).collect();
    for more in sources.iter().skip(1) {
        faults.forbidden(format!("{path}.{more}"), "may not specify more than 1 volume type");
    }
    for (source, name) in [("persistentVolumeClaim", "claimName"), ("secret", "secretName"), ("configMap", "name")] {
        if volume[source].is_object() && text(&volume[source], name).is_none() {
            faults.required(format!("{path}.{source}.{name}"), "");
        }
    }
    if volume["hostPath"].is_object() && text(&volume["hostPath"], "path").is_none() {
        faults.required(format!("{path}.hostPath.path"), "");
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        let mode = &volume[source]["defaultMode"];
        if mode.as_i64().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
            let words = "must be a number between 0 and 0777 (octal), both inclusive";
            faults.invalid(format!("{path}.{source}.defaultMode"), mode.clone(), words);
        }
    }
}

pub(super) fn judge_tolerations(tolerations: &Value, path: &str, faults: &mut Faults) {
    for (index, toleration) in list(tolerations).enumerate() {
        let at = |name: &str| format!("{path}[{index}].{name}");
        let (operator, value) =
            (toleration["operator"].as_str().unwrap_or(""), toleration["value"].as_str().unwrap_or(""));
        match text(toleration, "key") {
            Some(key) => faults.invalid_each(&at("key"), key, names::qualified_name(key)),
            None if operator != "Exists" => faults.invalid(
                at("operator"),
                operator,
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ),
            None => {}
        }
        if !toleration["tolerationSeconds"].is_null() && toleration["effect"] != "NoExecute" {
            let effect = toleration["effect"].as_str().unwrap_or("");
            faults.invalid(at("effect"), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
        }
        match operator {
            "" | "Equal" => {
                let wrong = names::label_value(value);
                if !wrong.is_empty() {
                    faults.invalid(at("operator"), value, &wrong.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                faults.invalid(at("operator"), value, "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            _ => faults.not_supported(at("operator"), operator, &["Equal", "Exists"]),
        }
        if let Some(effect) = text(toleration, "effect") {
            let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            if !effects.contains(&effect) {
                faults.not_supported(at("effect"), effect, &effects);
            }
        }
    }
}

fn judge_affinity(affinity: &Value, path: &str, faults: &mut Faults) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    for kind in ["podAffinity", "podAntiAffinity"] {
        for (index, term) in list(&affinity[kind][REQUIRED]).enumerate() {
            let field = format!("{path}.{kind}.{REQUIRED}[{index}].topologyKey");
            let key = text(term, "topologyKey").unwrap_or_default();
            if key.is_empty() {
                faults.required(field.clone(), "can not be empty");
            }
            faults.invalid_each(&field, key, names::qualified_name(key));
        }
    }
    let node = &affinity["nodeAffinity"][REQUIRED];
    if node.is_object() && empty(&node["nodeSelectorTerms"]) {
        let field = format!("{path}.nodeAffinity.{REQUIRED}.nodeSelectorTerms");
        faults.required(field, "must have at least one node selector term");
    }
}

fn judge_spread(constraints: &Value, path: &str, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (index, constraint) in list(constraints).enumerate() {
        let at = |name: &str| format!("{path}[{index}].{name}");
        if constraint["maxSkew"].as_i64().is_some_and(|skew| skew <= 0) {
            faults.invalid(at("maxSkew"), constraint["maxSkew"].clone(), "must be greater than zero");
        }
        let key = text(constraint, "topologyKey").unwrap_or_default();
        if key.is_empty() {
            faults.required(at("topologyKey"), "can not be empty");
        }
        let action = text(constraint, "whenUnsatisfiable").unwrap_or_default();
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&action) {
            faults.not_supported(at("whenUnsatisfiable"), action, &actions);
        }
        if !seen.insert((key, action)) {
            faults.duplicate(
                format!("{path}[{index}].{{topologyKey, whenUnsatisfiable}}"),
                format!("{{{key}, {action}}}"),
            );
        }
    }
}
