//! Which volume claims are accepted, and which changes of them.

use serde_json::{Value, json};

use super::{
    super::{faults::Faults, metadata::text, names, quantity::Quantity},
    judged::{drop_nulls, empty, judge_selector, judge_unchanged, quantity, same},
    volume,
};

const STORAGE: &str = "spec.resources[storage]";

/// Judges a claim as it is.
pub(super) fn judge(claim: &Value, faults: &mut Faults) {
    let spec = &claim["spec"];
    if empty(&spec["accessModes"]) {
        faults.required("spec.accessModes", "at least 1 access mode is required");
    }
    judge_selector(&spec["selector"], "spec.selector", faults);
    volume::judge_modes(&spec["accessModes"], faults);
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
    volume::judge_mode(spec, faults);
    for name in ["dataSource", "dataSourceRef"] {
        judge_source(&spec[name], &format!("spec.{name}"), faults);
    }
    let named = |name: &str| ["apiGroup", "kind", "name"].map(|part| spec[name][part].clone());
    let both = !spec["dataSource"].is_null() && !spec["dataSourceRef"].is_null();
    if both && named("dataSource") != named("dataSourceRef") {
        faults.invalid_as("spec", "{}", "must match dataSourceRef");
    }
}

/// Judges what a volume is filled from.
fn judge_source(source: &Value, path: &str, faults: &mut Faults) {
    if source.is_null() {
        return;
    }
    for name in ["name", "kind"] {
        if text(source, name).is_none() {
            faults.required(format!("{path}.{name}"), "");
        }
    }
    match (text(source, "apiGroup"), text(source, "kind")) {
        (None, kind) if kind != Some("PersistentVolumeClaim") => {
            let words = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            faults.invalid(path, kind.unwrap_or_default(), words);
        }
        (Some(group), _) => faults.invalid_each(&format!("{path}.apiGroup"), group, names::dns_subdomain(group)),
        (None, _) => {}
    }
}

/// Judges a claim's status.
pub(super) fn judge_status(claim: &Value, faults: &mut Faults) {
    for part in ["capacity", "allocatedResources"] {
        for (name, amount) in claim["status"][part].as_object().into_iter().flatten() {
            if let Some(amount) = quantity(amount).filter(Quantity::is_negative) {
                let field = format!("status.{part}[{name}]");
                faults.invalid_as(field, &amount.canonical(), "must be a valid resource quantity");
            }
        }
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
