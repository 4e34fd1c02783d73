//! The metadata that every object has.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Kind, admit::copy, faults::Faults, names};

/// The total of an object's annotations.
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// Judges a new object's metadata.
pub(super) fn judge_new(kind: &Kind, object: &Value, faults: &mut Faults) {
    let metadata = &object["metadata"];
    let judge_name = name_rule(kind);
    if let Some(prefix) = text(metadata, "generateName") {
        faults.invalid_each("metadata.generateName", prefix, judge_name(&names::masked(prefix)));
    }
    match text(metadata, "name") {
        None => faults.required("metadata.name", "name or generateName is required"),
        Some(name) => faults.invalid_each("metadata.name", name, judge_name(name)),
    }
    match (kind.namespaced, text(metadata, "namespace")) {
        (true, None) => faults.required("metadata.namespace", ""),
        (true, Some(namespace)) => {
            faults.invalid_each("metadata.namespace", namespace, names::dns_label(namespace));
        }
        (false, Some(_)) => faults.forbidden("metadata.namespace", "not allowed on this type"),
        (false, None) => {}
    }
    judge_common(metadata, faults);
    judge_finalizers(metadata, faults);
    if knows_finalizers(kind) {
        judge_standard(metadata, faults);
    }
}

/// Judges a changed object's metadata as those of every kind: by themselves, then by what they were.
pub(super) fn judge_any_change(old: &Value, new: &Value, faults: &mut Faults) {
    judge_common(&new["metadata"], faults);
    judge_finalizers(&new["metadata"], faults);
    judge_change(old, new, faults);
}

/// Judges a changed object's metadata by what they were.
pub(super) fn judge_change(old: &Value, new: &Value, faults: &mut Faults) {
    let (before, after) = (&old["metadata"], &new["metadata"]);
    if !before["deletionTimestamp"].is_null() {
        let had: BTreeSet<&str> = strings(&before["finalizers"]).collect();
        let more: BTreeSet<&str> = strings(&after["finalizers"]).filter(|name| !had.contains(name)).collect();
        if !more.is_empty() {
            let more: Vec<String> = more.iter().map(|name| format!("{name:?}")).collect();
            faults.forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    more.join(", ")
                ),
            );
        }
    }
    if text(after, "resourceVersion").is_none() {
        faults.invalid("metadata.resourceVersion", "", "must be specified for an update");
    }
    for name in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if before[name] != after[name] {
            let shown = match &after[name] {
                Value::Null
                    if !matches!(name, "deletionTimestamp" | "deletionGracePeriodSeconds" | "creationTimestamp") =>
                {
                    "".into()
                }
                value => value.clone(),
            };
            faults.invalid(format!("metadata.{name}"), shown, "field is immutable");
        }
    }
    judge_common(after, faults);
}

/// As [`judge_change`], as most strategies of built-in kinds do once more.
pub(super) fn judge_change_again(kind: &Kind, old: &Value, new: &Value, faults: &mut Faults) {
    judge_change(old, new, faults);
    if knows_finalizers(kind) {
        judge_standard(&new["metadata"], faults);
    }
}

/// Whether a kind's finalizers are judged as those of the core.
fn knows_finalizers(kind: &Kind) -> bool {
    !kind.custom && !is_old_event(kind) && !matches!(kind.kind.as_str(), "Lease" | "PodDisruptionBudget")
}

/// Whether a built-in kind's strategy judges the metadata of new objects. Where it does not, they are judged only after
/// everything else is well, as those of every object are.
pub(super) fn judged_with_spec(kind: &Kind) -> bool {
    !is_old_event(kind) && kind.kind != "PodDisruptionBudget"
}

/// An event as the core group has it, whose metadata nobody judges but where every object's are judged.
fn is_old_event(kind: &Kind) -> bool {
    kind.kind == "Event" && kind.group.is_empty()
}

/// What a write cannot change: the server keeps it.
pub(super) fn keep(old: &Value, new: &mut Value) {
    let before = &old["metadata"];
    let Some(after) = new.get_mut("metadata") else { return };
    if text(after, "uid").is_none() {
        copy(before.get("uid"), after, "uid");
    }
    if !before["creationTimestamp"].is_null() {
        copy(before.get("creationTimestamp"), after, "creationTimestamp");
    }
    if !before["deletionTimestamp"].is_null() {
        copy(before.get("deletionTimestamp"), after, "deletionTimestamp");
    }
    if after["deletionGracePeriodSeconds"].is_null() {
        copy(before.get("deletionGracePeriodSeconds"), after, "deletionGracePeriodSeconds");
    }
}

fn judge_common(metadata: &Value, faults: &mut Faults) {
    judge_labels(&metadata["labels"], "metadata.labels", faults);
    judge_annotations(&metadata["annotations"], "metadata.annotations", faults);
    judge_owners(&metadata["ownerReferences"], faults);
}

pub(super) fn judge_labels(labels: &Value, field: &str, faults: &mut Faults) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        faults.invalid_each(field, key, names::qualified_name(key));
        let value = value.as_str().unwrap_or_default();
        faults.invalid_each(field, value, names::label_value(value));
    }
}

pub(super) fn judge_annotations(annotations: &Value, field: &str, faults: &mut Faults) {
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        faults.invalid_each(field, key, names::qualified_name(&key.to_lowercase()));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MOST_ANNOTATIONS {
        faults.too_long(field, MOST_ANNOTATIONS as u64);
    }
}

fn judge_owners(owners: &Value, faults: &mut Faults) {
    const FIELD: &str = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    for owner in owners.as_array().into_iter().flatten() {
        let word = |name: &str| owner[name].as_str().unwrap_or_default();
        let version = word("apiVersion").rsplit('/').next().unwrap_or_default();
        if version.is_empty() {
            faults.invalid(format!("{FIELD}.apiVersion"), word("apiVersion"), "version must not be empty");
        }
        for name in ["kind", "name", "uid"] {
            if word(name).is_empty() {
                faults.invalid(format!("{FIELD}.{name}"), "", "must not be empty");
            }
        }
        if word("apiVersion") == "v1" && word("kind") == "Event" {
            faults.invalid(FIELD, owner.clone(), "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner["controller"] == true {
            let this = format!("{}/{}", word("kind"), word("name"));
            match &controller {
                Some(first) => faults.invalid_as(
                    FIELD,
                    &shown_owners(owners),
                    &format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and \
                         {this}"
                    ),
                ),
                None => controller = Some(this),
            }
        }
    }
}

/// Owners with their fields in the order of their type.
fn shown_owners(owners: &Value) -> String {
    let shown = |owner: &Value| {
        let fields = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
        let given = fields.iter().filter(|name| !owner[**name].is_null());
        let parts: Vec<String> = given.map(|name| format!("{name:?}:{}", owner[*name])).collect();
        format!("{{{}}}", parts.join(","))
    };
    let owners: Vec<String> = owners.as_array().into_iter().flatten().map(shown).collect();
    format!("[{}]", owners.join(","))
}

fn judge_finalizers(metadata: &Value, faults: &mut Faults) {
    const FIELD: &str = "metadata.finalizers";
    for name in strings(&metadata["finalizers"]) {
        faults.invalid_each(FIELD, name, names::qualified_name(name));
    }
    let has = |wanted: &str| strings(&metadata["finalizers"]).any(|name| name == wanted);
    if has("orphan") && has("foregroundDeletion") {
        let words = "finalizer orphan and foregroundDeletion cannot be both set";
        faults.invalid(FIELD, metadata["finalizers"].clone(), words);
    }
}

/// Built-in kinds have finalizers that are known, or somebody's.
fn judge_standard(metadata: &Value, faults: &mut Faults) {
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    for (index, name) in strings(&metadata["finalizers"]).enumerate() {
        if !name.contains('/') && !STANDARD.contains(&name) {
            let words = "name is neither a standard finalizer name nor is it fully qualified";
            faults.invalid(format!("metadata.finalizers[{index}]"), name, words);
        }
    }
}

/// How objects of a kind may be named.
fn name_rule(kind: &Kind) -> fn(&str) -> Vec<String> {
    match kind.kind.as_str() {
        _ if kind.custom => names::dns_subdomain,
        "Namespace" => names::dns_label,
        "Service" => names::dns_1035_label,
        _ if !judged_with_spec(kind) => names::path_segment,
        "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => names::path_segment,
        _ => names::dns_subdomain,
    }
}

/// A field that is not empty.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object[name].as_str().filter(|text| !text.is_empty())
}

pub(super) fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
