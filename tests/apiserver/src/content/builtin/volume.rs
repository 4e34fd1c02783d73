//! Which persistent volumes are accepted.

use serde_json::Value;

use super::{
    super::{faults::Faults, metadata::text, names},
    judged::{empty, list, quantity},
};

/// How a volume may be mounted.
pub(super) const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// What a volume may be on, in the order in which the server looks.
const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// Judges a volume as it is.
pub(super) fn judge(volume: &Value, faults: &mut Faults) {
    let spec = &volume["spec"];
    if empty(&spec["accessModes"]) {
        faults.required("spec.accessModes", "");
    }
    judge_modes(&spec["accessModes"], faults);
    judge_capacity(&spec["capacity"], faults);
    if let Some(policy) = text(spec, "persistentVolumeReclaimPolicy") {
        let policies = ["Delete", "Recycle", "Retain"];
        if !policies.contains(&policy) {
            faults.not_supported("spec.persistentVolumeReclaimPolicy", policy, &policies);
        }
    }
    judge_source(spec, faults);
    if spec["hostPath"]["path"] == "/" && spec["persistentVolumeReclaimPolicy"] == "Recycle" {
        let words = "may not be 'recycle' for a hostPath mount of '/'";
        faults.forbidden("spec.persistentVolumeReclaimPolicy", words);
    }
    if let Some(class) = text(spec, "storageClassName") {
        faults.invalid_each("spec.storageClassName", class, names::dns_subdomain(class));
    }
    judge_mode(spec, faults);
}

/// Judges the ways in which a volume or a claim may be mounted.
pub(super) fn judge_modes(modes: &Value, faults: &mut Faults) {
    const FIELD: &str = "spec.accessModes";
    let (mut alone, mut shared) = (false, false);
    for mode in list(modes).filter_map(Value::as_str) {
        if !MODES.contains(&mode) {
            faults.not_supported(FIELD, mode, &MODES);
        }
        alone |= mode == "ReadWriteOncePod";
        shared |= mode != "ReadWriteOncePod" && MODES.contains(&mode);
    }
    if alone && shared {
        faults.forbidden(FIELD, "may not use ReadWriteOncePod with other access modes");
    }
}

/// Judges whether a volume or a claim is of blocks or of files.
pub(super) fn judge_mode(spec: &Value, faults: &mut Faults) {
    let modes = ["Block", "Filesystem"];
    if let Some(mode) = text(spec, "volumeMode").filter(|mode| !modes.contains(mode)) {
        faults.not_supported("spec.volumeMode", mode, &modes);
    }
}

fn judge_capacity(capacity: &Value, faults: &mut Faults) {
    const FIELD: &str = "spec.capacity";
    let amounts = capacity.as_object().into_iter().flatten();
    if empty(capacity) {
        faults.required(FIELD, "");
    }
    if amounts.clone().count() != 1 || capacity["storage"].is_null() {
        return faults.not_supported(FIELD, capacity.clone(), &["storage"]);
    }
    for (name, value) in amounts {
        let (field, Some(amount)) = (format!("{FIELD}[{name}]"), quantity(value)) else { continue };
        if amount.is_negative() {
            faults.invalid_as(field.clone(), &amount.canonical(), "must be a valid resource quantity");
        }
        if amount.is_negative() || amount.is_zero() {
            faults.invalid(field, amount.canonical(), "must be greater than zero");
        }
    }
}

fn judge_source(spec: &Value, faults: &mut Faults) {
    let mut sources = SOURCES.into_iter().filter(|source| !spec[*source].is_null());
    let Some(first) = sources.next() else { return faults.required("spec", "must specify a volume type") };
    let source = &spec[first];
    let at = |name: &str| format!("spec.{first}.{name}");
    match first {
        "hostPath" => {
            judge_path(source, &at("path"), faults);
            let kinds =
                ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
            if let Some(kind) = text(source, "type").filter(|kind| !kinds.contains(kind)) {
                faults.not_supported(at("type"), kind, &kinds);
            }
        }
        "local" => {
            judge_path(source, &at("path"), faults);
            if spec["nodeAffinity"].is_null() {
                faults.required("spec.nodeAffinity", "Local volume requires node affinity");
            }
        }
        "nfs" => {
            for name in ["server", "path"] {
                if text(source, name).is_none() {
                    faults.required(at(name), "");
                }
            }
            let path = source["path"].as_str().unwrap_or_default();
            if !path.starts_with('/') {
                faults.invalid(at("path"), path, "must be an absolute path");
            }
        }
        "csi" => {
            let driver = source["driver"].as_str().unwrap_or_default();
            if driver.is_empty() {
                faults.required(at("driver"), "");
            }
            faults.invalid_each(&at("driver"), driver, names::dns_subdomain(&driver.to_lowercase()));
            if text(source, "volumeHandle").is_none() {
                faults.required(at("volumeHandle"), "");
            }
        }
        _ => {}
    }
    for more in sources {
        faults.forbidden(format!("spec.{more}"), "may not specify more than 1 volume type");
    }
}

fn judge_path(source: &Value, field: &str, faults: &mut Faults) {
    match text(source, "path") {
        None => faults.required(field, ""),
        Some(path) if path.split('/').any(|part| part == "..") => faults.invalid(field, path, "must not contain '..'"),
        Some(_) => {}
    }
}
