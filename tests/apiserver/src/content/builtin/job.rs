//! Which jobs are accepted, and which changes of them.

use serde_json::Value;

use super::{
    super::{
        faults::Faults,
        metadata::{judge_annotations, judge_labels, text},
    },
    judged::{drop_nulls, judge_not_negative, judge_selector, judge_unchanged, list},
    pod,
};

/// Judges a job as it is.
pub(super) fn judge(job: &Value, faults: &mut Faults) {
    judge_generated(job, faults);
    judge_spec(&job["spec"], faults);
}

fn judge_spec(spec: &Value, faults: &mut Faults) {
    for name in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
        judge_not_negative(&spec[name], &format!("spec.{name}"), faults);
    }
    let modes = ["NonIndexed", "Indexed"];
    match text(spec, "completionMode") {
        Some(mode) if !modes.contains(&mode) => faults.not_supported("spec.completionMode", mode, &modes),
        Some("Indexed") if spec["completions"].is_null() => {
            faults.required("spec.completions", "when completion mode is Indexed");
        }
        _ => {}
    }
    let template = &spec["template"];
    judge_labels(&template["metadata"]["labels"], "spec.template.labels", faults);
    judge_annotations(&template["metadata"]["annotations"], "spec.template.annotations", faults);
    pod::judge_spec(&template["spec"], "spec.template.spec", faults);
    let (field, policies) = ("spec.template.spec.restartPolicy", ["OnFailure", "Never"]);
    match text(&template["spec"], "restartPolicy") {
        None | Some("Always") => faults.required(field, "valid values: \"OnFailure\", \"Never\""),
        Some(policy) if !policies.contains(&policy) => faults.not_supported(field, policy, &policies),
        Some(_) => {}
    }
    if spec["selector"].is_null() {
        faults.required("spec.selector", "");
    } else {
        judge_selector(&spec["selector"], "spec.selector", faults);
    }
    if !selects(&spec["selector"], &template["metadata"]["labels"]) {
        let labels = template["metadata"]["labels"].clone();
        faults.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
    }
}

/// Judges that a selector that was generated says what it must.
fn judge_generated(job: &Value, faults: &mut Faults) {
    let spec = &job["spec"];
    if spec["manualSelector"] == true || spec["selector"].is_null() {
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let (name, uid) = (&job["metadata"]["name"], &job["metadata"]["uid"]);
    for (key, wanted) in [
        ("controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
    ] {
        let field = format!("spec.template.metadata.labels[{key}]");
        let wanted = wanted.as_str().unwrap_or_default();
        match labels[key].as_str() {
            None => faults.required(field, &format!("must be '{wanted}'")),
            Some(has) if has != wanted => faults.invalid(field, labels.clone(), &format!("must be '{wanted}'")),
            Some(_) => {}
        }
    }
    if spec["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] != *uid {
        faults.invalid("spec.selector", spec["selector"].clone(), "`selector` not auto-generated");
    }
}

/// Whether a selector chooses what has these labels. None chooses nothing.
fn selects(selector: &Value, labels: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    let mut equal = selector["matchLabels"].as_object().into_iter().flatten();
    let meets = |expression: &Value| {
        let value = labels[expression["key"].as_str().unwrap_or_default()].clone();
        let named = list(&expression["values"]).any(|one| *one == value);
        match expression["operator"].as_str() {
            Some("In") => named,
            Some("NotIn") => !named,
            Some("Exists") => !value.is_null(),
            Some("DoesNotExist") => value.is_null(),
            _ => true,
        }
    };
    equal.all(|(key, value)| labels[key] == *value) && list(&selector["matchExpressions"]).all(meets)
}

/// Judges a change of a job: what it runs stays.
pub(super) fn judge_change(old: &Value, new: &Value, faults: &mut Faults) {
    judge_spec(&new["spec"], faults);
    let (before, after) = (&old["spec"], &new["spec"]);
    if after["completionMode"] != "Indexed" {
        judge_unchanged(&before["completions"], &after["completions"], "spec.completions", faults);
    }
    judge_unchanged(&before["selector"], &after["selector"], "spec.selector", faults);
    // A job that was never started may be directed elsewhere.
    let mut template = before["template"].clone();
    if before["suspend"] == true && old["status"]["startTime"].is_null() {
        for name in ["nodeSelector", "tolerations", "schedulingGates"] {
            template["spec"][name] = after["template"]["spec"][name].clone();
        }
        for name in ["annotations", "labels"] {
            template["metadata"][name] = after["template"]["metadata"][name].clone();
        }
    }
    if drop_nulls(&template) != drop_nulls(&after["template"]) {
        faults.invalid("spec.template", after["template"].clone(), "field is immutable");
    }
    for name in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        judge_unchanged(&before[name], &after[name], &format!("spec.{name}"), faults);
    }
}
