//! What a kind's strategy does to an object on its way into the store.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Endpoint, Kind, Refusal, builtin, custom, faults::Faults, metadata};

/// What a kind's strategy does to a new object, `metadata.generation` included, and its validation.
pub fn admit_create(kind: &Kind, object: &mut Value) -> Result<(), Refusal> {
    let mut faults = Faults::default();
    if kind.custom {
        if kind.status {
            remove(object, "status");
        }
        set_generation(object, 1);
        judge_custom(kind, object, None, &mut faults);
        custom::settle(kind, object);
    } else {
        builtin::prepare_new(kind, object);
        let own = metadata::judged_with_spec(kind);
        if own {
            metadata::judge_new(kind, object, &mut faults);
        }
        builtin::judge_new(kind, object, &mut faults);
        if !own && faults.is_empty() {
            metadata::judge_new(kind, object, &mut faults);
        }
    }
    faults.finish()
}

/// Whether a new object, before [`admit_create`], will be stored without something that is filled in when it is read.
pub fn completed_when_read(kind: &Kind, object: &Value) -> bool {
    let labels = |metadata: &Value| metadata["labels"].is_object();
    match kind.kind.as_str() {
        "PersistentVolumeClaim" => true,
        // A job without labels has those of its template, into which the server writes what it selects by.
        "Job" => !labels(&object["metadata"]) && !labels(&object["spec"]["template"]["metadata"]),
        _ => false,
    }
}

/// What a kind's strategy does to a changed object: puts back what this endpoint may not write, counts
/// `metadata.generation` up, validates, and refuses changes of what may not change.
pub fn admit_update(
    kind: &Kind,
    endpoint: Endpoint,
    old: &Value,
    new: &mut Value,
    now: Timestamp,
) -> Result<(), Refusal> {
    set_generation(new, old["metadata"]["generation"].as_i64().unwrap_or_default());
    if kind.custom {
        put_back(kind, endpoint, old, new);
    } else {
        builtin::prepare_changed(kind, endpoint, old, new, now);
    }
    metadata::keep(old, new);
    let mut faults = Faults::default();
    metadata::judge_any_change(old, new, &mut faults);
    if kind.custom {
        match endpoint {
            Endpoint::Status => judge_custom_status(kind, old, new, &mut faults),
            Endpoint::Main | Endpoint::Finalize => judge_custom(kind, new, Some(old), &mut faults),
        }
        custom::settle(kind, new);
    } else {
        builtin::judge_change(kind, endpoint, old, new, &mut faults);
    }
    faults.finish()
}

/// Puts back what the endpoint of a custom resource does not write.
fn put_back(kind: &Kind, endpoint: Endpoint, old: &Value, new: &mut Value) {
    if endpoint == Endpoint::Status {
        let (status, managed) = (new.get("status").cloned(), new["metadata"].get("managedFields").cloned());
        *new = old.clone();
        copy(status.as_ref(), new, "status");
        copy(managed.as_ref(), &mut new["metadata"], "managedFields");
        return;
    }
    if kind.status {
        copy(old.get("status"), new, "status");
    }
    if !same_content(old, new) {
        set_generation(new, old["metadata"]["generation"].as_i64().unwrap_or_default() + 1);
    }
}

/// Whether two objects differ in nothing but metadata.
fn same_content(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    let content = |map: &'_ Map<String, Value>| map.iter().filter(|(name, _)| *name != "metadata").count();
    content(one) == content(other)
        && one.iter().filter(|(name, _)| *name != "metadata").all(|(name, value)| other.get(name) == Some(value))
}

pub(super) fn copy(value: Option<&Value>, into: &mut Value, name: &str) {
    let Some(map) = into.as_object_mut() else { return };
    match value {
        Some(value) => {
            map.insert(name.to_owned(), value.clone());
        }
        None => {
            map.remove(name);
        }
    }
}

pub(super) fn remove(object: &mut Value, name: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(name);
    }
}

/// Zero is not written.
pub(super) fn set_generation(object: &mut Value, generation: i64) {
    let value = (generation != 0).then(|| Value::from(generation));
    if let Some(metadata) = object.get_mut("metadata") {
        copy(value.as_ref(), metadata, "generation");
    }
}

fn judge_custom(kind: &Kind, object: &Value, old: Option<&Value>, faults: &mut Faults) {
    let Some(check) = &kind.schema.check else { return };
    let version = kind.api_version();
    if object["kind"] == *kind.kind && object["apiVersion"] == *version {
        match old {
            Some(old) => metadata::judge_change(old, object, faults),
            None => metadata::judge_new(kind, object, faults),
        }
        check.judge("", object, old, faults);
    } else {
        for (name, wanted) in [("kind", &kind.kind), ("apiVersion", &version)] {
            if object[name] != **wanted {
                faults.invalid(name, object[name].clone(), &format!("must be {wanted}"));
            }
        }
    }
    check.judge_embedded("", object, faults);
    let mut before = Faults::default();
    if let Some(old) = old {
        check.judge_keys("", old, &mut before);
    }
    if before.is_empty() {
        check.judge_keys("", object, faults);
    }
}

fn judge_custom_status(kind: &Kind, old: &Value, new: &Value, faults: &mut Faults) {
    metadata::judge_change(old, new, faults);
    let check = kind.schema.check.as_ref().and_then(|check| check.property("status"));
    let (Some(check), Some(status)) = (check, new.get("status")) else { return };
    let mut found = Faults::default();
    check.judge("", status, old.get("status"), &mut found);
    faults.extend_under("status", found);
    let mut before = Faults::default();
    check.judge_keys("status", &old["status"], &mut before);
    if before.is_empty() {
        check.judge_keys("status", status, faults);
    }
}
