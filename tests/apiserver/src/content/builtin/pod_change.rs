//! Which changes of pods are accepted.

use serde_json::{Value, json};

use super::{
    super::{faults::Faults, metadata::text, names},
    judged::{judge_address, judge_range, list, same},
    pod,
};

const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                          `spec.tolerations` (only additions to existing tolerations),\
                          `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Judges a change of a pod: little of it may change.
pub(super) fn judge_change(old: &Value, new: &Value, faults: &mut Faults) {
    pod::judge_spec(&new["spec"], "spec", faults);
    pod::judge_images(new, faults);
    let (before, after) = (&old["spec"], &new["spec"]);
    for name in ["containers", "initContainers"] {
        if list(&before[name]).count() != list(&after[name]).count() {
            faults.forbidden(format!("spec.{name}"), "pod updates may not add or remove containers");
            return;
        }
        for (index, container) in list(&after[name]).enumerate() {
            let image = container["image"].as_str().unwrap_or_default();
            let field = format!("spec.{name}[{index}].image");
            if image.is_empty() {
                faults.required(field, "");
            } else if image.trim() != image {
                faults.invalid(field, image, "must not have leading or trailing whitespace");
            }
        }
    }
    if judge_deadline(&before["activeDeadlineSeconds"], &after["activeDeadlineSeconds"], faults) {
        return;
    }
    judge_tolerations(&before["tolerations"], &after["tolerations"], faults);
    for (index, gate) in list(&after["schedulingGates"]).enumerate() {
        if !list(&before["schedulingGates"]).any(|had| had["name"] == gate["name"]) {
            let name = gate["name"].as_str().unwrap_or_default();
            let words = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            faults.forbidden(format!("spec.schedulingGates[{index}].name"), &words);
        }
    }
    if before != after && !same(&rest_of(before, after), &rest_of(after, after)) {
        faults.forbidden("spec", &format!("pod updates may not change fields other than {CHANGEABLE}\n"));
    }
}

/// Judges a change of what a pod tolerates: only more, and for how long.
fn judge_tolerations(before: &Value, after: &Value, faults: &mut Faults) {
    const FIELD: &str = "spec.tolerations";
    let bare = |toleration: &Value| {
        let mut toleration = toleration.clone();
        if let Some(map) = toleration.as_object_mut() {
            map.remove("tolerationSeconds");
        }
        toleration
    };
    let kept = |had: &Value| list(after).any(|has| bare(has) == bare(had));
    if list(before).all(kept) {
        pod::judge_tolerations(after, FIELD, faults);
    } else {
        faults.forbidden(FIELD, "existing toleration can not be modified except its tolerationSeconds");
    }
}

/// Judges a change of how long a pod may run. Says whether that is where judging ends.
fn judge_deadline(before: &Value, after: &Value, faults: &mut Faults) -> bool {
    const FIELD: &str = "spec.activeDeadlineSeconds";
    let most = i64::from(i32::MAX);
    match (before.as_i64(), after.as_i64()) {
        (_, Some(is)) if !(0..=most).contains(&is) => {
            judge_range(after, FIELD, 0, most, faults);
            return true;
        }
        (Some(was), Some(is)) if was < is => {
            faults.invalid(FIELD, is, "must be less than or equal to previous value");
            return true;
        }
        (Some(_), None) => {
            faults.invalid(FIELD, Value::Null, "must not update from a positive integer to nil value");
        }
        _ => {}
    }
    false
}

/// A spec without what may change.
fn rest_of(spec: &Value, new: &Value) -> Value {
    let mut rest = spec.clone();
    for name in ["containers", "initContainers"] {
        for container in rest.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    for name in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        rest[name] = Value::Null;
    }
    let grace = "terminationGracePeriodSeconds";
    if new[grace] == 1 && rest[grace].as_i64().is_some_and(|seconds| seconds < 0) {
        rest[grace] = json!(1);
    }
    rest
}

/// Judges a change of a pod's status.
pub(super) fn judge_status(old: &Value, new: &Value, faults: &mut Faults) {
    let (before, after) = (&old["status"], &new["status"]);
    if before["qosClass"] != after["qosClass"] {
        faults.invalid("status.qosClass", after["qosClass"].clone(), "field is immutable");
    }
    for (index, condition) in list(&after["conditions"]).enumerate() {
        let kind = condition["type"].as_str().unwrap_or_default();
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            faults.invalid_each(&format!("status.conditions[{index}].Type"), kind, names::qualified_name(kind));
        }
    }
    for (name, field) in [("podIPs", "status.podIPs"), ("hostIPs", "status.hostIPs")] {
        for (index, ip) in list(&after[name]).enumerate() {
            if !list(&before[name]).any(|known| known["ip"] == ip["ip"]) {
                judge_address(&ip["ip"], &format!("{field}[{index}]"), faults);
            }
        }
    }
    let policy = text(&old["spec"], "restartPolicy").unwrap_or("Always");
    if policy == "Always" {
        return;
    }
    for had in list(&before["containerStatuses"]) {
        let terminated = &had["state"]["terminated"];
        if !terminated.is_object() || (policy == "OnFailure" && terminated["exitCode"] != 0) {
            continue;
        }
        for (index, has) in list(&after["containerStatuses"]).enumerate() {
            if has["name"] == had["name"] && !has["state"]["terminated"].is_object() {
                let field = format!("status.containerStatuses[{index}].state");
                faults.forbidden(field, "may not be transitioned to non-terminated state");
            }
        }
    }
}
