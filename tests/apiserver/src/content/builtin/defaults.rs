//! What the server fills in where nothing is said.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Fields, default, fields, items, pod_defaults, word};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Fills in an object that was read as its type.
pub(in super::super) fn set_defaults(kind: &str, object: &mut Value) {
    let Some(object) = object.as_object_mut() else { return };
    match kind {
        "Pod" => pod_defaults::pod(object),
        "Service" => service(object),
        "PersistentVolumeClaim" => {
            if let Some(spec) = fields(object, "spec") {
                default(spec, "volumeMode", "Filesystem");
            }
            phase(object, "Pending");
        }
        "PersistentVolume" => {
            if let Some(spec) = fields(object, "spec") {
                default(spec, "persistentVolumeReclaimPolicy", "Retain");
                if let Some(path) = fields(spec, "hostPath") {
                    default(path, "type", "");
                }
                default(spec, "volumeMode", "Filesystem");
            }
            phase(object, "Pending");
        }
        "Namespace" => {
            namespace_label(object);
            phase(object, "Active");
        }
        "Node" => {
            if let Some(spec) = fields(object, "spec") {
                let (one, all) = (spec.get("podCIDR").cloned(), spec.get("podCIDRs").cloned());
                match (one, all) {
                    (Some(one), None) => default(spec, "podCIDRs", json!([one])),
                    (None, Some(all)) => default(spec, "podCIDR", all[0].clone()),
                    (Some(one), Some(all)) if all[0] != one => {
                        spec.insert("podCIDRs".to_owned(), json!([one]));
                    }
                    _ => {}
                }
            }
            if let Some(status) = fields(object, "status")
                && let Some(capacity) = status.get("capacity").cloned()
            {
                default(status, "allocatable", capacity);
            }
        }
        "Secret" => secret(object),
        "Job" => job(object),
        "StorageClass" => {
            default(object, "reclaimPolicy", "Delete");
            default(object, "volumeBindingMode", "Immediate");
        }
        "PriorityClass" => default(object, "preemptionPolicy", "PreemptLowerPriority"),
        "RoleBinding" | "ClusterRoleBinding" => binding(object),
        "ValidatingAdmissionPolicy" => {
            if let Some(spec) = fields(object, "spec") {
                default(spec, "failurePolicy", "Fail");
                if let Some(constraints) = fields(spec, "matchConstraints") {
                    match_resources(constraints);
                }
            }
        }
        "ValidatingAdmissionPolicyBinding" => {
            if let Some(spec) = fields(object, "spec")
                && let Some(resources) = fields(spec, "matchResources")
            {
                match_resources(resources);
            }
        }
        "CustomResourceDefinition" => definition(object),
        "Endpoints" => {
            for subset in items(object, "subsets") {
                items(subset, "ports").for_each(|port| default(port, "protocol", "TCP"));
            }
        }
        "LimitRange" => {
            if let Some(spec) = fields(object, "spec") {
                items(spec, "limits").for_each(limit);
            }
        }
        "EndpointSlice" => {
            for port in items(object, "ports") {
                default(port, "name", "");
                default(port, "protocol", "TCP");
            }
        }
        _ => {}
    }
}

fn phase(object: &mut Fields, phase: &str) {
    if let Some(status) = fields(object, "status") {
        default(status, "phase", phase);
    }
}

/// A namespace carries its name as a label, so that selectors can choose it.
pub(in super::super) fn namespace_label(object: &mut Fields) {
    let Some(metadata) = fields(object, "metadata") else { return };
    let name = word(metadata, "name").to_owned();
    if name.is_empty() {
        return;
    }
    default(metadata, "labels", json!({}));
    if let Some(labels) = fields(metadata, "labels") {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
    }
}

fn service(object: &mut Fields) {
    let Some(spec) = fields(object, "spec") else { return };
    default(spec, "sessionAffinity", "None");
    match word(spec, "sessionAffinity") {
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let given =
                spec.get("sessionAffinityConfig").and_then(|config| config["clientIP"]["timeoutSeconds"].as_i64());
            if given.is_none() {
                spec.insert("sessionAffinityConfig".to_owned(), json!({ "clientIP": { "timeoutSeconds": 10800 } }));
            }
        }
        _ => {}
    }
    default(spec, "type", "ClusterIP");
    for port in items(spec, "ports") {
        default(port, "protocol", "TCP");
        let unset = port.get("targetPort").is_none_or(|target| *target == 0 || *target == "" || target.is_null());
        if unset && let Some(number) = port.get("port").cloned() {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = word(spec, "type").to_owned();
    let external = matches!(kind.as_str(), "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && spec.get("externalIPs").is_some_and(Value::is_array));
    if external {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        default(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind != "LoadBalancer" {
        return;
    }
    default(spec, "allocateLoadBalancerNodePorts", true);
    if let Some(status) = fields(object, "status")
        && let Some(balancer) = fields(status, "loadBalancer")
    {
        for ingress in items(balancer, "ingress") {
            if !word(ingress, "ip").is_empty() {
                default(ingress, "ipMode", "VIP");
            }
        }
    }
}

/// Plain text is for writing only.
fn secret(object: &mut Fields) {
    default(object, "type", "Opaque");
    let Some(Value::Object(plain)) = object.remove("stringData") else { return };
    if plain.is_empty() {
        return;
    }
    default(object, "data", json!({}));
    if let Some(data) = fields(object, "data") {
        for (key, value) in plain {
            data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
        }
    }
}

fn job(object: &mut Fields) {
    let mut labels = None;
    if let Some(spec) = fields(object, "spec") {
        if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
            spec.insert("completions".to_owned(), 1.into());
        }
        default(spec, "parallelism", 1);
        let limit = if spec.contains_key("backoffLimitPerIndex") { i32::MAX } else { 6 };
        default(spec, "backoffLimit", limit);
        default(spec, "completionMode", "NonIndexed");
        default(spec, "suspend", false);
        let replacement = if spec.contains_key("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
        default(spec, "podReplacementPolicy", replacement);
        default(spec, "manualSelector", false);
        if let Some(policy) = fields(spec, "podFailurePolicy") {
            items(policy, "rules")
                .flat_map(|rule| items(rule, "onPodConditions"))
                .filter(|condition| word(condition, "status").is_empty())
                .for_each(|condition| {
                    condition.insert("status".to_owned(), "True".into());
                });
        }
        if let Some(template) = fields(spec, "template") {
            labels = template.get("metadata").and_then(|metadata| metadata.get("labels")).cloned();
            if let Some(spec) = fields(template, "spec") {
                pod_defaults::spec(spec);
            }
        }
    }
    if let (Some(labels), Some(metadata)) = (labels, fields(object, "metadata")) {
        default(metadata, "labels", labels);
    }
}

fn binding(object: &mut Fields) {
    if let Some(role) = fields(object, "roleRef")
        && word(role, "apiGroup").is_empty()
    {
        role.insert("apiGroup".to_owned(), RBAC.into());
    }
    for subject in items(object, "subjects") {
        if matches!(word(subject, "kind"), "User" | "Group") {
            default(subject, "apiGroup", RBAC);
        }
    }
}

fn match_resources(resources: &mut Fields) {
    default(resources, "matchPolicy", "Equivalent");
    default(resources, "namespaceSelector", json!({}));
    default(resources, "objectSelector", json!({}));
    for name in ["resourceRules", "excludeResourceRules"] {
        for rule in items(resources, name) {
            default(rule, "scope", "*");
        }
    }
}

/// A container's limits follow from the most that it may have, and its requests from its limits.
fn limit(limit: &mut Fields) {
    if word(limit, "type") != "Container" {
        return;
    }
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        if let Some(Value::Object(amounts)) = limit.get(from).cloned() {
            default(limit, to, json!({}));
            if let Some(defaults) = fields(limit, to) {
                amounts.into_iter().for_each(|(name, amount)| default(defaults, &name, amount));
            }
        }
    }
}

fn definition(object: &mut Fields) {
    let Some(spec) = fields(object, "spec") else { return };
    default(spec, "conversion", json!({ "strategy": "None" }));
    if let Some(names) = fields(spec, "names") {
        let kind = word(names, "kind").to_owned();
        if !kind.is_empty() {
            default(names, "singular", kind.to_lowercase());
            default(names, "listKind", format!("{kind}List"));
        }
    }
}
