//! Which objects of the kinds that have few rules are accepted.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    super::{Kind, faults::Faults, metadata::text, names},
    judged::{empty, judge_not_negative, judge_selector, judge_unchanged},
    node, quota, volume,
};

/// The most that a Secret or a `ConfigMap` holds.
const MOST_DATA: usize = 1024 * 1024;

pub(super) fn judge_new(kind: &Kind, object: &Value, faults: &mut Faults) {
    match kind.kind.as_str() {
        "Secret" => judge_secret(object, faults),
        "ConfigMap" => judge_config(object, faults),
        "Lease" => judge_lease(object, faults),
        "ResourceQuota" => quota::judge(object, faults),
        "PodDisruptionBudget" => judge_budget(object, faults),
        "StorageClass" => judge_class(object, faults),
        "PersistentVolume" => volume::judge(object, faults),
        "Node" => node::judge(object, faults),
        "Namespace" => judge_finalizers(&object["spec"]["finalizers"], faults),
        "Event" => judge_event(kind, object, faults),
        _ => {}
    }
}

pub(super) fn judge_change(kind: &Kind, old: &Value, new: &Value, faults: &mut Faults) {
    match kind.kind.as_str() {
        "StorageClass" => {
            for (name, words) in [
                ("parameters", "updates to parameters are forbidden."),
                ("provisioner", "updates to provisioner are forbidden."),
                ("reclaimPolicy", "updates to reclaimPolicy are forbidden."),
            ] {
                if old[name] != new[name] {
                    faults.forbidden(name, words);
                }
            }
            judge_unchanged(&old["volumeBindingMode"], &new["volumeBindingMode"], "volumeBindingMode", faults);
            return;
        }
        "PriorityClass" if old["value"] != new["value"] => {
            faults.forbidden("value", "may not be changed in an update.");
        }
        "ResourceQuota" => {
            judge_new(kind, new, faults);
            judge_unchanged(&old["spec"]["scopes"], &new["spec"]["scopes"], "spec.scopes", faults);
            return;
        }
        "PersistentVolume" => {
            let source = |object: &Value| ["csi", "hostPath", "local", "nfs"].map(|name| object["spec"][name].clone());
            if source(old) != source(new) {
                faults.forbidden(
                    "spec.persistentvolumesource",
                    "spec.persistentvolumesource is immutable after creation\n",
                );
            }
            judge_unchanged(&old["spec"]["volumeMode"], &new["spec"]["volumeMode"], "volumeMode", faults);
            let (before, after) = (&old["spec"]["nodeAffinity"], &new["spec"]["nodeAffinity"]);
            if !before.is_null() && before != after {
                let words = "field is immutable, except for updating from beta label to GA";
                faults.invalid("nodeAffinity", after.clone(), words);
            }
            return;
        }
        "RoleBinding" | "ClusterRoleBinding" if old["roleRef"] != new["roleRef"] => {
            faults.invalid("roleRef", new["roleRef"].clone(), "cannot change roleRef");
        }
        "Event" if kind.group == "events.k8s.io" => {
            for name in ["regarding", "reason", "note", "type", "eventTime", "action", "related", "reportingController"]
            {
                let field = match name {
                    "regarding" => "involvedObject",
                    "note" => "message",
                    other => other,
                };
                judge_unchanged(&old[name], &new[name], field, faults);
            }
        }
        _ => {}
    }
    judge_new(kind, new, faults);
}

/// Judges what of a Secret or a `ConfigMap` may not change.
pub(super) fn judge_frozen_change(kind: &Kind, old: &Value, new: &Value, faults: &mut Faults) {
    if kind.kind == "Secret" {
        judge_unchanged(&old["type"], &new["type"], "type", faults);
        judge_frozen(old, new, &["data"], faults);
    } else {
        judge_frozen(old, new, &["data", "binaryData"], faults);
    }
}

/// Judges a namespace's status: its phase follows from whether it is going.
pub(super) fn judge_namespace_status(namespace: &Value, faults: &mut Faults) {
    let (wanted, words) = if namespace["metadata"]["deletionTimestamp"].is_null() {
        ("Active", "may only be 'Active' if `deletionTimestamp` is empty")
    } else {
        ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty")
    };
    let phase = namespace["status"]["phase"].as_str().unwrap_or_default();
    if phase != wanted {
        faults.invalid("status.Phase", phase, words);
    }
}

/// Judges what may not change once `immutable` is set.
fn judge_frozen(old: &Value, new: &Value, names: &[&str], faults: &mut Faults) {
    const WORDS: &str = "field is immutable when `immutable` is set";
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        faults.forbidden("immutable", WORDS);
    }
    for name in names.iter().filter(|name| old[**name] != new[**name]) {
        faults.forbidden(*name, WORDS);
    }
}

fn judge_keys(map: &Value, name: &str, faults: &mut Faults) -> usize {
    let mut size = 0;
    for (key, value) in map.as_object().into_iter().flatten() {
        faults.invalid_each(&format!("{name}[{key}]"), key, names::config_key(key));
        size += value.as_str().map_or(0, str::len);
    }
    size
}

fn judge_secret(secret: &Value, faults: &mut Faults) {
    let data = &secret["data"];
    // Base64 takes four letters for three bytes.
    if judge_keys(data, "data", faults) / 4 * 3 > MOST_DATA {
        faults.too_long("data", MOST_DATA as u64);
    }
    let mut require = |key: &str| {
        if data[key].is_null() {
            faults.required(format!("data[{key}]"), "");
        }
    };
    match secret["type"].as_str().unwrap_or_default() {
        "kubernetes.io/tls" => ["tls.crt", "tls.key"].into_iter().for_each(require),
        "kubernetes.io/ssh-auth" => require("ssh-privatekey"),
        "kubernetes.io/basic-auth" if data["username"].is_null() && data["password"].is_null() => {
            ["username", "password"].into_iter().for_each(require);
        }
        "kubernetes.io/dockerconfigjson" => judge_json(data, ".dockerconfigjson", faults),
        "kubernetes.io/dockercfg" => judge_json(data, ".dockercfg", faults),
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if empty(&secret["metadata"]["annotations"][key]) {
                faults.required(format!("metadata.annotations[{key}]"), "");
            }
        }
        _ => {}
    }
}

fn judge_json(data: &Value, key: &str, faults: &mut Faults) {
    let field = format!("data[{key}]");
    let Some(text) = data[key].as_str() else { return faults.required(field, "") };
    let read = STANDARD.decode(text).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    if !read.is_some_and(|value| value.is_object()) {
        faults.invalid(field, "<secret contents redacted>", "invalid character");
    }
}

fn judge_config(config: &Value, faults: &mut Faults) {
    let size = judge_keys(&config["data"], "data", faults) + judge_keys(&config["binaryData"], "binaryData", faults);
    for key in config["data"].as_object().into_iter().flat_map(serde_json::Map::keys) {
        if !config["binaryData"][key].is_null() {
            faults.invalid(format!("data[{key}]"), key.as_str(), "duplicate of key present in binaryData");
        }
    }
    if size > MOST_DATA {
        faults.too_long("", MOST_DATA as u64);
    }
}

fn judge_lease(lease: &Value, faults: &mut Faults) {
    let spec = &lease["spec"];
    if spec["leaseDurationSeconds"].as_i64().is_some_and(|seconds| seconds <= 0) {
        let duration = spec["leaseDurationSeconds"].clone();
        faults.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0");
    }
    judge_not_negative(&spec["leaseTransitions"], "spec.leaseTransitions", faults);
}

fn judge_budget(budget: &Value, faults: &mut Faults) {
    let spec = &budget["spec"];
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        let shown = format!(
            "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
            spec["minAvailable"], spec["selector"], spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]
        );
        faults.invalid_as("spec", &shown, "minAvailable and maxUnavailable cannot be both set");
    }
    for name in ["minAvailable", "maxUnavailable"] {
        judge_not_negative(&spec[name], &format!("spec.{name}"), faults);
        let percent = spec[name].as_str().map(|text| text.strip_suffix('%').and_then(|text| text.parse::<u32>().ok()));
        match percent {
            Some(None) => faults.invalid(
                format!("spec.{name}"),
                spec[name].clone(),
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex \
                 used for validation is '[0-9]+%')",
            ),
            Some(Some(percent)) if percent > 100 => {
                faults.invalid(format!("spec.{name}"), spec[name].clone(), "must not be greater than 100%");
            }
            _ => {}
        }
    }
    judge_selector(&spec["selector"], "spec.selector", faults);
    let policies = ["AlwaysAllow", "IfHealthyBudget"];
    if let Some(policy) = text(spec, "unhealthyPodEvictionPolicy").filter(|policy| !policies.contains(policy)) {
        faults.not_supported("spec.unhealthyPodEvictionPolicy", policy, &policies);
    }
}

/// Judges a budget's status, but for its conditions.
pub(super) fn judge_budget_status(budget: &Value, faults: &mut Faults) {
    for name in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        judge_not_negative(&budget["status"][name], &format!("status.{name}"), faults);
    }
}

/// Judges what a namespace waits for.
fn judge_finalizers(finalizers: &Value, faults: &mut Faults) {
    const FIELD: &str = "spec.finalizers";
    for name in finalizers.as_array().into_iter().flatten().filter_map(Value::as_str) {
        faults.invalid_each(FIELD, name, names::qualified_name(name));
        if !name.contains('/') && name != "kubernetes" {
            faults.invalid(FIELD, name, "name is neither a standard finalizer name nor is it fully qualified");
        }
    }
}

fn judge_class(class: &Value, faults: &mut Faults) {
    if text(class, "provisioner").is_none() {
        faults.required("provisioner", "");
    }
    for (name, choices) in
        [("reclaimPolicy", ["Delete", "Retain"]), ("volumeBindingMode", ["Immediate", "WaitForFirstConsumer"])]
    {
        if let Some(value) = text(class, name).filter(|value| !choices.contains(value)) {
            faults.not_supported(name, value, &choices);
        }
    }
}

fn judge_event(kind: &Kind, event: &Value, faults: &mut Faults) {
    let modern = kind.group == "events.k8s.io";
    let about = if modern { &event["regarding"] } else { &event["involvedObject"] };
    let (namespace, its) =
        (text(&event["metadata"], "namespace").unwrap_or(""), text(about, "namespace").unwrap_or(""));
    let words = "does not match event.namespace";
    if event["eventTime"].is_null() {
        let fits = if its.is_empty() { matches!(namespace, "" | "default") } else { its == namespace };
        if !fits {
            faults.invalid("involvedObject.namespace", its, words);
        }
    } else {
        if its.is_empty() && !matches!(namespace, "default" | "kube-system") {
            faults.invalid("involvedObject.namespace", its, words);
        }
        let controller = if modern { "reportingController" } else { "reportingComponent" };
        for (name, most) in [(controller, 0), ("reportingInstance", 128), ("action", 128), ("reason", 128)] {
            match text(event, name) {
                None => faults.required(name, ""),
                Some(value) if most > 0 && value.len() > most => {
                    faults.invalid(name, "", &format!("can have at most {most} characters"));
                }
                Some(_) => {}
            }
        }
        if let Some(name) = text(event, controller) {
            faults.invalid_each(controller, name, names::qualified_name(name));
        }
        let note = if modern { "note" } else { "message" };
        if text(event, note).is_some_and(|text| text.len() > 1024) {
            faults.invalid("message", "", "can have at most 1024 characters");
        }
    }
    if !modern {
        return;
    }
    if event["eventTime"].is_null() {
        faults.required("eventTime", "");
    }
    let kind = event["type"].as_str().unwrap_or_default();
    if !matches!(kind, "Normal" | "Warning") {
        faults.invalid("type", "", &format!("has invalid value: {kind}"));
    }
    let series = &event["series"];
    if series.is_object() && series["count"].as_i64().unwrap_or_default() < 2 {
        faults.invalid("series.count", "", "should be at least 2");
    }
}
