//! Which rules of jobs about failed and succeeded pods are accepted.

use serde_json::Value;

use super::{
    super::{faults::Faults, metadata::text, names},
    judged::{empty, list},
};

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];

/// Judges what follows from a pod's failure.
pub(super) fn judge_failure(spec: &Value, faults: &mut Faults) {
    for (index, rule) in list(&spec["podFailurePolicy"]["rules"]).enumerate() {
        judge_rule(spec, rule, &format!("spec.podFailurePolicy.rules[{index}]"), faults);
    }
}

fn judge_rule(spec: &Value, rule: &Value, path: &str, faults: &mut Faults) {
    let field = format!("{path}.action");
    match text(rule, "action") {
        None => faults.required(field, "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"),
        Some(action) if !ACTIONS.contains(&action) => faults.not_supported(field, action, &ACTIONS),
        Some("FailIndex") if spec["backoffLimitPerIndex"].is_null() => {
            faults.invalid(field, "FailIndex", "requires the backoffLimitPerIndex to be set");
        }
        Some(_) => {}
    }
    if !rule["onExitCodes"].is_null() {
        judge_codes(spec, &rule["onExitCodes"], &format!("{path}.onExitCodes"), faults);
    }
    for (index, condition) in list(&rule["onPodConditions"]).enumerate() {
        let at = |name: &str| format!("{path}.onPodConditions[{index}].{name}");
        let kind = condition["type"].as_str().unwrap_or_default();
        faults.invalid_each(&at("type"), kind, names::qualified_name(kind));
        let statuses = ["False", "True", "Unknown"];
        if let Some(status) = text(condition, "status").filter(|status| !statuses.contains(status)) {
            faults.not_supported(at("status"), status, &statuses);
        }
    }
    match (!rule["onExitCodes"].is_null(), !empty(&rule["onPodConditions"])) {
        (true, true) => {
            faults.invalid_whole(path, "specifying both OnExitCodes and OnPodConditions is not supported");
        }
        (false, false) => faults.invalid_whole(path, "specifying one of OnExitCodes and OnPodConditions is required"),
        _ => {}
    }
}

fn judge_codes(spec: &Value, codes: &Value, path: &str, faults: &mut Faults) {
    let operators = ["In", "NotIn"];
    match text(codes, "operator") {
        None => faults.required(format!("{path}.operator"), "valid values: [\"In\" \"NotIn\"]"),
        Some(operator) if !operators.contains(&operator) => {
            faults.not_supported(format!("{path}.operator"), operator, &operators);
        }
        Some(_) => {}
    }
    if let Some(name) = codes["containerName"].as_str() {
        let pod = &spec["template"]["spec"];
        if !["containers", "initContainers"].iter().flat_map(|of| list(&pod[*of])).any(|one| one["name"] == name) {
            let words = "must be one of the container or initContainer names in the pod template";
            faults.invalid(format!("{path}.containerName"), name, words);
        }
    }
    let field = format!("{path}.values");
    let values: Vec<i64> = list(&codes["values"]).filter_map(Value::as_i64).collect();
    match values.len() {
        0 => faults.invalid(field.clone(), codes["values"].clone(), "at least one value is required"),
        256.. => faults.too_many(field.clone(), values.len(), 255),
        _ => {}
    }
    for (index, value) in values.iter().enumerate() {
        if *value == 0 && codes["operator"] == "In" {
            faults.invalid(format!("{field}[{index}]"), 0, "must not be 0 for the In operator");
        }
        if values[..index].contains(value) {
            faults.duplicate(format!("{field}[{index}]"), *value);
        }
    }
    if !values.is_sorted() {
        faults.invalid(field, codes["values"].clone(), "must be ordered");
    }
}

/// Judges when a job has succeeded before all its pods have.
pub(super) fn judge_success(spec: &Value, faults: &mut Faults) {
    const FIELD: &str = "spec.successPolicy";
    let policy = &spec["successPolicy"];
    if policy.is_null() {
        return;
    }
    if spec["completionMode"] != "Indexed" {
        let rules: Vec<String> = list(&policy["rules"])
            .map(|rule| {
                format!(
                    "{{\"SucceededIndexes\":{},\"SucceededCount\":{}}}",
                    rule["succeededIndexes"], rule["succeededCount"]
                )
            })
            .collect();
        let shown = format!("{{\"Rules\":[{}]}}", rules.join(","));
        return faults.invalid_as(FIELD, &shown, "requires indexed completion mode");
    }
    if empty(&policy["rules"]) {
        let words = "at least one rules must be specified when the successPolicy is specified";
        faults.required(format!("{FIELD}.rules"), words);
    }
    for (index, rule) in list(&policy["rules"]).enumerate() {
        if rule["succeededCount"].is_null() && rule["succeededIndexes"].is_null() {
            let words = "at least one of succeededCount or succeededIndexes must be specified";
            faults.required(format!("{FIELD}.rules[{index}]"), words);
        }
    }
}
