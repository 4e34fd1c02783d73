//! Which pods are accepted, and which changes of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    super::{
        faults::Faults,
        metadata::{judge_labels, text},
        names,
    },
    container,
    judged::{empty, judge_range, list, same},
};

const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                          `spec.tolerations` (only additions to existing tolerations),\
                          `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

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

fn judge_images(pod: &Value, faults: &mut Faults) {
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
    let choose = |name: &str, choices: &[&str], faults: &mut Faults| {
        if let Some(value) = text(spec, name).filter(|value| !choices.contains(value)) {
            faults.not_supported(format!("{path}.{name}"), value, choices);
        }
    };
    choose("restartPolicy", &["Always", "OnFailure", "Never"], faults);
    choose("dnsPolicy", &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], faults);
    choose("preemptionPolicy", &["PreemptLowerPriority", "Never"], faults);
    judge_labels(&spec["nodeSelector"], &format!("{path}.nodeSelector"), faults);
    for (name, rule) in [
        ("serviceAccountName", names::dns_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", names::dns_subdomain),
        ("hostname", names::dns_label),
        ("subdomain", names::dns_label),
        ("priorityClassName", names::dns_subdomain),
        ("runtimeClassName", names::dns_subdomain),
    ] {
        if let Some(value) = text(spec, name) {
            faults.invalid_each(&format!("{path}.{name}"), value, rule(value));
        }
    }
    judge_range(
        &spec["activeDeadlineSeconds"],
        &format!("{path}.activeDeadlineSeconds"),
        1,
        i64::from(i32::MAX),
        faults,
    );
    judge_tolerations(&spec["tolerations"], &format!("{path}.tolerations"), faults);
    judge_affinity(&spec["affinity"], &format!("{path}.affinity"), faults);
    judge_spread(&spec["topologySpreadConstraints"], &format!("{path}.topologySpreadConstraints"), faults);
    if text(spec, "dnsPolicy") == Some("None") && empty(&spec["dnsConfig"]["nameservers"]) {
        let words = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        let field = if spec["dnsConfig"].is_null() { "dnsConfig" } else { "dnsConfig.nameservers" };
        faults.required(format!("{path}.{field}"), words);
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

fn judge_tolerations(tolerations: &Value, path: &str, faults: &mut Faults) {
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
            faults.invalid(at("maxSkew"), constraint["maxSkew"].clone(), "must be greater than 0");
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

/// Judges a change of a pod: little of it may change.
pub(super) fn judge_change(old: &Value, new: &Value, faults: &mut Faults) {
    judge_spec(&new["spec"], "spec", faults);
    judge_images(new, faults);
    let (before, after) = (&old["spec"], &new["spec"]);
    for name in ["containers", "initContainers"] {
        if list(&before[name]).count() != list(&after[name]).count() {
            faults.forbidden(format!("spec.{name}"), "pod updates may not add or remove containers");
            return;
        }
    }
    let deadline = "activeDeadlineSeconds";
    match (before[deadline].as_i64(), after[deadline].as_i64()) {
        (Some(was), Some(is)) if was < is => {
            faults.invalid(format!("spec.{deadline}"), is, "must be less than or equal to previous value");
            return;
        }
        (Some(_), None) => {
            let words = "must not update from a positive integer to nil value";
            faults.invalid(format!("spec.{deadline}"), Value::Null, words);
        }
        _ => {}
    }
    let bare = |toleration: &Value| {
        let mut toleration = toleration.clone();
        if let Some(map) = toleration.as_object_mut() {
            map.remove("tolerationSeconds");
        }
        toleration
    };
    let kept = |had: &Value| list(&after["tolerations"]).any(|has| bare(has) == bare(had));
    if !list(&before["tolerations"]).all(kept) {
        faults.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds");
    }
    let gates =
        |spec: &Value| list(&spec["schedulingGates"]).map(|gate| gate["name"].to_string()).collect::<BTreeSet<_>>();
    let more: Vec<String> = gates(after).difference(&gates(before)).cloned().collect();
    for gate in more {
        faults.forbidden(
            "spec.schedulingGates",
            &format!("only deletion is allowed, but found new scheduling gate {gate}"),
        );
    }
    if before != after && !same(&rest_of(before, after), &rest_of(after, after)) {
        faults.forbidden("spec", &format!("pod updates may not change fields other than {CHANGEABLE}\n"));
    }
}

/// A spec without what may change.
fn rest_of(spec: &Value, new: &Value) -> Value {
    let mut rest = spec.clone();
    for name in ["containers", "initContainers"] {
        for container in rest.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    for name in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        rest[name] = Value::Null;
    }
    let grace = "terminationGracePeriodSeconds";
    if new[grace] == 1 && rest[grace].as_i64().is_some_and(|seconds| seconds < 0) {
        rest[grace] = json!(1);
    }
    rest
}

/// Judges a change of a pod's status.
pub(super) fn judge_status(old: &Value, new: &Value, faults: &mut Faults) {
    let (before, after) = (&old["status"], &new["status"]);
    if before["qosClass"] != after["qosClass"] {
        faults.invalid("status.qosClass", after["qosClass"].clone(), "field is immutable");
    }
    for (index, condition) in list(&after["conditions"]).enumerate() {
        let kind = condition["type"].as_str().unwrap_or_default();
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            faults.invalid_each(&format!("status.conditions[{index}].Type"), kind, names::qualified_name(kind));
        }
    }
    for (name, field) in [("podIPs", "status.podIPs"), ("hostIPs", "status.hostIPs")] {
        for (index, ip) in list(&after[name]).enumerate() {
            let known = list(&before[name]).any(|known| known["ip"] == ip["ip"]);
            let text = ip["ip"].as_str().unwrap_or_default();
            if !known && text.parse::<std::net::IpAddr>().is_err() {
                let words = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                faults.invalid(format!("{field}[{index}]"), text, words);
            }
        }
    }
    let policy = text(&old["spec"], "restartPolicy").unwrap_or("Always");
    if policy == "Always" {
        return;
    }
    for had in list(&before["containerStatuses"]) {
        let terminated = &had["state"]["terminated"];
        if !terminated.is_object() || (policy == "OnFailure" && terminated["exitCode"] != 0) {
            continue;
        }
        for (index, has) in list(&after["containerStatuses"]).enumerate() {
            if has["name"] == had["name"] && !has["state"]["terminated"].is_object() {
                let field = format!("status.containerStatuses[{index}].state");
                faults.forbidden(field, "may not be transitioned to non-terminated state");
            }
        }
    }
}
