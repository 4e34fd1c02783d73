//! What each kind's strategy sets or puts back, before an object is judged.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::{Endpoint, Kind, admit, quantity::Quantity},
    Fields, addresses, default,
    defaults::namespace_label,
    fields,
    judged::list,
    word,
};
use crate::state::written;

/// Kinds that count their generations.
const COUNTED: [&str; 8] = [
    "Pod",
    "Job",
    "PodDisruptionBudget",
    "CustomResourceDefinition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "EndpointSlice",
    "PriorityClass",
];

/// Fields of a lease that are not served by default.
const COORDINATED: [&str; 2] = ["strategy", "preferredHolder"];

/// Before a new object is judged.
pub(in super::super) fn prepare_new(kind: &Kind, object: &mut Value) {
    if kind.status && kind.kind != "Node" {
        admit::copy(kind.empty.get("status"), object, "status");
    }
    if COUNTED.contains(&kind.kind.as_str()) {
        admit::set_generation(object, 1);
    }
    let Some(map) = object.as_object_mut() else { return };
    match kind.kind.as_str() {
        "Pod" => {
            let class = quality(map);
            let made = made(map);
            let status = if gated(map) {
                json!({ "phase": "Pending", "qosClass": class, "conditions": [{ "type": "PodScheduled",
                    "status": "False", "reason": "SchedulingGated", "lastProbeTime": null, "lastTransitionTime": made,
                    "message": "Scheduling is blocked due to non-empty scheduling gates" }] })
            } else {
                json!({ "phase": "Pending", "qosClass": class })
            };
            map.insert("status".to_owned(), status);
        }
        "PersistentVolumeClaim" => {
            map.insert("status".to_owned(), json!({ "phase": "Pending" }));
            same_sources(map, &Value::Null);
        }
        "Lease" => {
            if let Some(spec) = fields(map, "spec") {
                for name in COORDINATED {
                    spec.remove(name);
                }
            }
        }
        "PersistentVolume" => {
            let made = made(map);
            map.insert("status".to_owned(), json!({ "phase": "Pending", "lastPhaseTransitionTime": made }));
        }
        "Namespace" => {
            map.insert("status".to_owned(), json!({ "phase": "Active" }));
            default(map, "spec", json!({}));
            if let Some(spec) = fields(map, "spec") {
                default(spec, "finalizers", json!([]));
                if let Some(finalizers) = spec.get_mut("finalizers").and_then(Value::as_array_mut)
                    && !finalizers.iter().any(|name| name == "kubernetes")
                {
                    finalizers.push("kubernetes".into());
                }
            }
            namespace_label(map);
        }
        "Job" => select_own_pods(map),
        "CustomResourceDefinition" => {
            let stored: Vec<Value> = map
                .get("spec")
                .into_iter()
                .flat_map(|spec| list(&spec["versions"]))
                .filter(|version| version["storage"] == true)
                .map(|version| version["name"].clone())
                .collect();
            if let Some(status) = fields(map, "status") {
                status.insert("storedVersions".to_owned(), stored.into());
            }
        }
        _ => {}
    }
}

/// Puts back what an endpoint does not write, and counts the generation.
pub(in super::super) fn prepare_changed(kind: &Kind, endpoint: Endpoint, old: &Value, new: &mut Value, now: Timestamp) {
    match endpoint {
        Endpoint::Status => {
            admit::copy(old.get("spec"), new, "spec");
            if kind.kind == "PersistentVolume" {
                keep_transition(old, new, now);
            }
            if kind.kind == "Pod" {
                for name in ["ownerReferences", "deletionTimestamp"] {
                    admit::copy(old["metadata"].get(name), &mut new["metadata"], name);
                }
                if new["status"]["qosClass"].is_null() {
                    admit::copy(old["status"].get("qosClass"), &mut new["status"], "qosClass");
                }
            }
            return;
        }
        Endpoint::Finalize => {
            admit::copy(old.get("status"), new, "status");
            return;
        }
        Endpoint::Main if kind.status => admit::copy(old.get("status"), new, "status"),
        Endpoint::Main => {}
    }
    match kind.kind.as_str() {
        "Namespace" => {
            admit::copy(old["spec"].get("finalizers"), &mut new["spec"], "finalizers");
            if let Some(map) = new.as_object_mut() {
                namespace_label(map);
            }
        }
        "Secret" if new["type"] == "" => admit::copy(old.get("type"), new, "type"),
        "Service" => addresses::drop_unneeded(old, new),
        "PersistentVolumeClaim" => {
            if let Some(map) = new.as_object_mut() {
                same_sources(map, &old["spec"]);
            }
        }
        "Lease" => {
            for name in COORDINATED.iter().filter(|name| old["spec"][**name].is_null()) {
                admit::remove(&mut new["spec"], name);
            }
        }
        _ => {}
    }
    let changed = match kind.kind.as_str() {
        "EndpointSlice" => {
            let labels = |slice: &Value| slice["metadata"]["labels"].clone();
            old["endpoints"] != new["endpoints"] || old["ports"] != new["ports"] || labels(old) != labels(new)
        }
        _ => old["spec"] != new["spec"],
    };
    if changed && COUNTED.contains(&kind.kind.as_str()) {
        admit::set_generation(new, old["metadata"]["generation"].as_i64().unwrap_or_default() + 1);
    }
}

/// The old and the new name of what a volume is filled from say the same. The old one names only claims and snapshots;
/// what is of another namespace is not served by default.
fn same_sources(claim: &mut Fields, old: &Value) {
    let Some(spec) = fields(claim, "spec") else { return };
    let has = |spec: &Value| !spec["dataSource"].is_null() || !spec["dataSourceRef"].is_null();
    if !has(old) {
        let source = spec.get("dataSource").cloned().unwrap_or_default();
        let kind = (source["apiGroup"].as_str().unwrap_or_default(), source["kind"].as_str().unwrap_or_default());
        if !matches!(kind, ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")) {
            spec.remove("dataSource");
        }
        if spec
            .get("dataSourceRef")
            .is_some_and(|source| source["namespace"].as_str().is_some_and(|name| !name.is_empty()))
        {
            spec.remove("dataSourceRef");
        }
    }
    match (spec.get("dataSource").cloned(), spec.get("dataSourceRef").cloned()) {
        (Some(source), None) => default(spec, "dataSourceRef", source),
        (None, Some(reference)) if reference["namespace"].as_str().unwrap_or_default().is_empty() => {
            default(spec, "dataSource", reference);
        }
        _ => {}
    }
}

/// A volume remembers when its phase changed: now, unless somebody says when.
fn keep_transition(old: &Value, new: &mut Value, now: Timestamp) {
    const TIME: &str = "lastPhaseTransitionTime";
    let kept = new["status"][TIME].is_null() || new["status"][TIME] == old["status"][TIME];
    if new["status"]["phase"] == old["status"]["phase"] {
        if new["status"][TIME].is_null() {
            admit::copy(old["status"].get(TIME), &mut new["status"], TIME);
        }
    } else if kept {
        admit::copy(Some(&written(now).into()), &mut new["status"], TIME);
    }
}

/// When an object was made, which is now.
fn made(object: &Fields) -> Value {
    object.get("metadata").map(|metadata| metadata["creationTimestamp"].clone()).unwrap_or_default()
}

fn gated(pod: &Fields) -> bool {
    pod.get("spec").is_some_and(|spec| spec["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()))
}

/// How a pod is treated when resources run short.
fn quality(pod: &Fields) -> &'static str {
    let nothing = Value::Null;
    let spec = pod.get("spec").unwrap_or(&nothing);
    let containers = ["containers", "initContainers"].iter().filter_map(|list| spec[list].as_array()).flatten();
    let amount = |resources: &Value, of: &str, name: &str| {
        let text = resources[of][name].as_str()?;
        Quantity::parse(text).filter(|quantity| !quantity.is_zero() && !quantity.is_negative())
    };
    let (mut any, mut all_limited) = (false, true);
    let mut sums: [[Option<Quantity>; 2]; 2] = [[None; 2]; 2];
    for container in containers {
        for (index, name) in ["cpu", "memory"].iter().enumerate() {
            for (side, of) in ["requests", "limits"].iter().enumerate() {
                let amount = amount(&container["resources"], of, name);
                any |= amount.is_some();
                all_limited &= *of == "requests" || amount.is_some();
                if let Some(amount) = amount {
                    sums[index][side] = Some(sums[index][side].map_or(amount, |sum| sum + amount));
                }
            }
        }
    }
    match (any, all_limited) {
        (false, _) => "BestEffort",
        (true, true) if sums.iter().all(|[requests, limits]| requests == limits) => "Guaranteed",
        _ => "Burstable",
    }
}

/// A job finds its pods by its own UID.
fn select_own_pods(job: &mut Fields) {
    let metadata = job.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    let (name, uid) = (word(&metadata, "name").to_owned(), word(&metadata, "uid").to_owned());
    let Some(spec) = fields(job, "spec") else { return };
    if spec.get("manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    let given = spec.get("template").map(|template| template["metadata"]["labels"].clone()).unwrap_or_default();
    if let Some(template) = fields(spec, "template") {
        default(template, "metadata", json!({}));
        if let Some(metadata) = fields(template, "metadata") {
            default(metadata, "labels", json!({}));
            if let Some(labels) = fields(metadata, "labels") {
                for key in ["job-name", "batch.kubernetes.io/job-name"] {
                    default(labels, key, name.as_str());
                }
                for key in ["controller-uid", "batch.kubernetes.io/controller-uid"] {
                    default(labels, key, uid.as_str());
                }
            }
        }
    }
    let labels = spec.get("template").map(|template| template["metadata"]["labels"].clone()).unwrap_or_default();
    default(spec, "selector", json!({}));
    if let Some(selector) = fields(spec, "selector") {
        default(selector, "matchLabels", json!({}));
        if let Some(labels) = fields(selector, "matchLabels") {
            default(labels, "batch.kubernetes.io/controller-uid", uid);
        }
    }
    // What has no labels is read from the store with those of its pods. What was given those of its pods when it was
    // read shares them: both get the new ones. (Somebody who says the same labels twice is taken for that.)
    if let Some(metadata) = fields(job, "metadata") {
        if metadata.get("labels").is_some_and(|own| *own == given) {
            metadata.remove("labels");
        }
        default(metadata, "labels", labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_quality_follows_from_its_requests_and_limits() {
        let both = json!({ "cpu": "1", "memory": "1Gi" });
        for (containers, class) in [
            (json!([{ "resources": {} }]), "BestEffort"),
            (json!([{ "resources": { "requests": { "cpu": "1" } } }]), "Burstable"),
            (json!([{ "resources": { "requests": both, "limits": both } }]), "Guaranteed"),
            (json!([{ "resources": { "requests": both, "limits": both } }, { "resources": {} }]), "Burstable"),
            (json!([{ "resources": { "requests": { "cpu": "500m", "memory": "1Gi" }, "limits": both } }]), "Burstable"),
            (json!([{ "resources": { "requests": { "storage": "1Gi" } } }]), "BestEffort"),
        ] {
            let pod = json!({ "spec": { "containers": containers } });
            assert_eq!(quality(pod.as_object().unwrap()), class, "{pod}");
        }
    }
}
