//! Which jobs are accepted, and which changes of them.

use serde_json::{Value, json};

use super::{
    super::{
        faults::Faults,
        metadata::{judge_annotations, judge_labels, text},
        names,
    },
    job_policy,
    judged::{drop_nulls, judge_not_negative, judge_selector, judge_unchanged, list},
    pod,
};

/// Judges a job as it is.
pub(super) fn judge(job: &Value, faults: &mut Faults) {
    judge_generated(job, faults);
    judge_spec(&job["spec"], faults);
    let count = job["spec"]["completions"].as_i64().unwrap_or_default();
    if job["spec"]["completionMode"] == "Indexed" && count > 0 {
        let name = job["metadata"]["name"].as_str().unwrap_or_default();
        let last = format!("{name}-{}", count - 1);
        if !names::dns_label(&last).is_empty() {
            let words = format!("will not able to create pod with invalid DNS label: {last}");
            faults.invalid("metadata.name", name, &words);
        }
    }
}

fn judge_spec(spec: &Value, faults: &mut Faults) {
    for name in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
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
    judge_by_index(spec, faults);
    job_policy::judge_failure(spec, faults);
    job_policy::judge_success(spec, faults);
    judge_replacing(spec, faults);
    let template = &spec["template"];
    judge_labels(&template["metadata"]["labels"], "spec.template.labels", faults);
    judge_annotations(&template["metadata"]["annotations"], "spec.template.annotations", faults);
    pod::judge_spec(&template["spec"], "spec.template.spec", faults);
    let (field, policies) = ("spec.template.spec.restartPolicy", ["OnFailure", "Never"]);
    match text(&template["spec"], "restartPolicy") {
        None | Some("Always") => faults.required(field, "valid values: \"OnFailure\", \"Never\""),
        Some(policy) if !policies.contains(&policy) => faults.not_supported(field, policy, &policies),
        Some(policy) if policy != "Never" && !spec["podFailurePolicy"].is_null() => {
            faults.invalid(field, policy, "only \"Never\" is supported when podFailurePolicy is specified");
        }
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

/// Judges what only a job has whose pods have numbers.
fn judge_by_index(spec: &Value, faults: &mut Faults) {
    let (limit, most) = (&spec["backoffLimitPerIndex"], &spec["maxFailedIndexes"]);
    if limit.is_null() && !most.is_null() {
        faults.required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified");
    }
    if spec["completionMode"] == "Indexed" {
        if most.as_i64() > spec["completions"].as_i64() {
            faults.invalid("spec.maxFailedIndexes", most.clone(), "must be less than or equal to completions");
        }
        return;
    }
    for (name, value) in [("backoffLimitPerIndex", limit), ("maxFailedIndexes", most)] {
        if !value.is_null() {
            faults.invalid(format!("spec.{name}"), value.clone(), "requires indexed completion mode");
        }
    }
}

/// Judges when a job's pods are replaced, and by whom.
fn judge_replacing(spec: &Value, faults: &mut Faults) {
    if let Some(manager) = spec["managedBy"].as_str()
        && !manager.contains('/')
    {
        let words = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        faults.invalid("spec.managedBy", manager, words);
    }
    let policies: &[&str] =
        if spec["podFailurePolicy"].is_null() { &["Failed", "TerminatingOrFailed"] } else { &["Failed"] };
    if let Some(policy) = spec["podReplacementPolicy"].as_str().filter(|policy| !policies.contains(policy)) {
        faults.not_supported("spec.podReplacementPolicy", policy, policies);
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
    let wanted = json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } });
    if spec["selector"] != wanted {
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

/// Judges a change of how often a job is done: only where pods have numbers, and all run at once.
fn judge_completions(before: &Value, after: &Value, faults: &mut Faults) {
    const FIELD: &str = "spec.completions";
    let (was, is) = (&before["completions"], &after["completions"]);
    if after["completionMode"] != "Indexed" {
        judge_unchanged(was, is, FIELD, faults);
    } else if was != is && !is.is_null() && *is != after["parallelism"] {
        faults.invalid(FIELD, is.clone(), "can only be modified in tandem with spec.parallelism");
    }
}

/// Judges a change of a job: what it runs stays.
pub(super) fn judge_change(old: &Value, new: &Value, faults: &mut Faults) {
    judge_spec(&new["spec"], faults);
    let (before, after) = (&old["spec"], &new["spec"]);
    judge_completions(before, after, faults);
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
