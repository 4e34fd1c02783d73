//! Judging an object of a built-in kind.

use serde_json::Value;

use super::{
    super::{
        Endpoint, Kind,
        faults::Faults,
        metadata::{judge_change_again, judge_new as judge_new_metadata},
        names,
        quantity::Quantity,
    },
    claim, job, job_status, node, pod, pod_change, quota, service, small,
};

/// Judges a new object.
pub(in super::super) fn judge_new(kind: &Kind, object: &Value, faults: &mut Faults) {
    match kind.kind.as_str() {
        "Pod" => pod::judge_new(object, faults),
        "Service" => service::judge(object, faults),
        "PersistentVolumeClaim" => claim::judge(object, faults),
        "Job" => {
            job::judge(object, faults);
        }
        _ => small::judge_new(kind, object, faults),
    }
}

/// Judges a changed object. Metadata and specs are judged as often as the server does it, which its causes tell.
pub(in super::super) fn judge_change(kind: &Kind, endpoint: Endpoint, old: &Value, new: &Value, faults: &mut Faults) {
    let again = |faults: &mut Faults| judge_change_again(kind, old, new, faults);
    let whole = |faults: &mut Faults| judge_new_metadata(kind, new, faults);
    match (kind.kind.as_str(), endpoint) {
        ("PodDisruptionBudget", Endpoint::Status) => small::judge_budget_status(new, faults),
        ("PodDisruptionBudget", _) => small::judge_change(kind, old, new, faults),
        ("Event", _) if kind.group.is_empty() => small::judge_change(kind, old, new, faults),
        (_, Endpoint::Status | Endpoint::Finalize) => {
            again(faults);
            match (kind.kind.as_str(), endpoint) {
                ("Pod", _) => pod_change::judge_status(old, new, faults),
                ("ResourceQuota", _) => quota::judge_status(new, faults),
                ("PersistentVolumeClaim", _) => claim::judge_status(new, faults),
                ("Service", _) => service::judge_status(new, faults),
                ("Job", _) => job_status::judge(old, new, faults),
                ("Namespace", Endpoint::Status) => small::judge_namespace_status(new, faults),
                _ => {}
            }
        }
        ("Pod", _) => {
            again(faults);
            whole(faults);
            pod_change::judge_change(old, new, faults);
        }
        ("Service", _) => {
            again(faults);
            service::judge_change(old, new, faults);
        }
        ("PersistentVolumeClaim", _) => {
            whole(faults);
            claim::judge(new, faults);
            again(faults);
            whole(faults);
            claim::judge_change(old, new, faults);
        }
        ("Job", _) => {
            whole(faults);
            job::judge(new, faults);
            again(faults);
            job::judge_change(old, new, faults);
        }
        ("Namespace", _) => {
            whole(faults);
            again(faults);
        }
        ("Node", _) => {
            whole(faults);
            small::judge_new(kind, new, faults);
            again(faults);
            node::judge_change(old, new, faults);
        }
        ("Secret" | "ConfigMap", _) => {
            again(faults);
            small::judge_frozen_change(kind, old, new, faults);
            whole(faults);
            small::judge_new(kind, new, faults);
        }
        ("ServiceAccount", _) => {
            again(faults);
            whole(faults);
        }
        ("PersistentVolume", _) => {
            for _ in 0..2 {
                whole(faults);
                small::judge_new(kind, new, faults);
            }
            small::judge_change(kind, old, new, faults);
        }
        ("StorageClass", _) => {
            whole(faults);
            small::judge_new(kind, new, faults);
            again(faults);
            small::judge_change(kind, old, new, faults);
        }
        _ => {
            again(faults);
            small::judge_change(kind, old, new, faults);
        }
    }
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

pub(super) fn judge_port(number: i64, path: &str, faults: &mut Faults) {
    if !(1..=65535).contains(&number) {
        faults.invalid(path, number, "must be between 1 and 65535, inclusive");
    }
}

pub(super) fn judge_range(value: &Value, path: &str, least: i64, most: i64, faults: &mut Faults) {
    if value.as_i64().is_some_and(|number| !(least..=most).contains(&number)) {
        faults.invalid(path, value.clone(), &format!("must be between {least} and {most}, inclusive"));
    }
}

pub(super) fn judge_not_negative(value: &Value, path: &str, faults: &mut Faults) {
    if value.as_i64().is_some_and(|number| number < 0) {
        faults.invalid(path, value.clone(), "must be greater than or equal to 0");
    }
}

/// Judges the number of a user or a group.
pub(super) fn judge_identity(value: &Value, path: &str, faults: &mut Faults) {
    judge_range(value, path, 0, i64::from(i32::MAX), faults);
}

/// Judges an address.
pub(super) fn judge_address(value: &Value, path: &str, faults: &mut Faults) {
    let text = value.as_str().unwrap_or_default();
    if text.parse::<std::net::IpAddr>().is_err() {
        faults.invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }
}

pub(super) fn judge_unchanged(old: &Value, new: &Value, path: &str, faults: &mut Faults) {
    if old != new {
        faults.invalid(path, new.clone(), "field is immutable");
    }
}

/// Judges a selector by labels.
pub(super) fn judge_selector(selector: &Value, path: &str, faults: &mut Faults) {
    super::super::metadata::judge_labels(&selector["matchLabels"], &format!("{path}.matchLabels"), faults);
    for (index, expression) in list(&selector["matchExpressions"]).enumerate() {
        let at = |name: &str| format!("{path}.matchExpressions[{index}].{name}");
        let key = expression["key"].as_str().unwrap_or_default();
        match expression["operator"].as_str().unwrap_or_default() {
            "In" | "NotIn" => {
                if empty(&expression["values"]) {
                    faults.required(at("values"), "must be specified when `operator` is 'In' or 'NotIn'");
                }
            }
            "Exists" | "DoesNotExist" => {
                if !empty(&expression["values"]) {
                    faults
                        .forbidden(at("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
                }
            }
            operator => faults.invalid(at("operator"), operator, "not a valid selector operator"),
        }
        faults.invalid_each(&at("key"), key, names::qualified_name(key));
    }
}

pub(super) fn quantity(value: &Value) -> Option<Quantity> {
    Quantity::parse(value.as_str()?)
}

/// A value without fields that are `null`.
pub(super) fn drop_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), drop_nulls(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Whether two values are the same, where quantities are compared by size.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    same_at("", one, other)
}

fn same_at(name: &str, one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| {
                    let name = if matches!(name, "requests" | "limits" | "overhead") { name } else { key };
                    other.get(key).is_some_and(|other| same_at(name, value, other))
                })
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_at("", one, other))
        }
        (Value::String(_), Value::String(_)) if matches!(name, "requests" | "limits" | "overhead" | "sizeLimit") => {
            one == other || quantity(one).is_some_and(|size| quantity(other) == Some(size))
        }
        _ => one == other,
    }
}
