//! Which volume claims are accepted, and which changes of them.

use serde_json::{Value, json};

use super::{
    super::{faults::Faults, metadata::text, names},
    judged::{drop_nulls, empty, judge_selector, judge_unchanged, list, quantity, same},
};

const STORAGE: &str = "spec.resources[storage]";

/// Judges a claim as it is.
pub(super) fn judge(claim: &Value, faults: &mut Faults) {
    let spec = &claim["spec"];
    if empty(&spec["accessModes"]) {
        faults.required("spec.accessModes", "at least 1 access mode is required");
    }
    judge_selector(&spec["selector"], "spec.selector", faults);
    let modes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    let (mut alone, mut shared) = (false, false);
    for mode in list(&spec["accessModes"]).filter_map(Value::as_str) {
        if !modes.contains(&mode) {
            faults.not_supported("spec.accessModes", mode, &modes);
        }
        alone |= mode == "ReadWriteOncePod";
        shared |= mode != "ReadWriteOncePod" && modes.contains(&mode);
    }
    if alone && shared {
        faults.forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes");
    }
    match quantity(&spec["resources"]["requests"]["storage"]) {
        None => faults.required(STORAGE, ""),
        Some(size) if size.is_negative() || size.is_zero() => {
            faults.invalid(STORAGE, size.canonical(), "must be greater than zero");
        }
        Some(_) => {}
    }
    if let Some(class) = text(spec, "storageClassName") {
        faults.invalid_each("spec.storageClassName", class, names::dns_subdomain(class));
    }
    let modes = ["Block", "Filesystem"];
    if let Some(mode) = text(spec, "volumeMode").filter(|mode| !modes.contains(mode)) {
        faults.not_supported("spec.volumeMode", mode, &modes);
    }
}

/// Judges a change of a claim: a bound one may ask for more.
pub(super) fn judge_change(old: &Value, new: &Value, faults: &mut Faults) {
    judge(new, faults);
    let (mut before, mut after) = (old["spec"].clone(), new["spec"].clone());
    let size = |spec: &Value| quantity(&spec["resources"]["requests"]["storage"]);
    let (was, is) = (size(&before), size(&after));
    if text(&before, "volumeName").is_none() {
        before["volumeName"] = after["volumeName"].clone();
    }
    if before["storageClassName"].is_null() {
        // A claim that was made before there was a default gets it later.
        before["storageClassName"] = after["storageClassName"].clone();
    }
    if new["status"]["phase"] == "Bound" {
        for spec in [&mut before, &mut after] {
            if spec["resources"]["requests"].is_object() {
                spec["resources"]["requests"]["storage"] = json!(null);
            }
            spec["volumeAttributesClassName"] = json!(null);
        }
    }
    if !same(&drop_nulls(&before), &drop_nulls(&after)) {
        let words = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
                     claims\n";
        faults.forbidden("spec", words);
    }
    // A size that is not said counts as none.
    let (was, is) = (was.unwrap_or_default(), is.unwrap_or_default());
    if is < was && is <= quantity(&old["status"]["capacity"]["storage"]).unwrap_or_default() {
        faults.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity");
    }
    judge_unchanged(&old["spec"]["volumeMode"], &new["spec"]["volumeMode"], "volumeMode", faults);
}
