//! Which statuses of jobs are accepted: those that tell one story.

use serde_json::Value;

use super::{super::faults::Faults, judged::judge_not_negative, judged::list};

const CONDITIONS: &str = "status.conditions";

/// A job's status, old or new.
struct Status<'a> {
    status: &'a Value,
}

impl<'a> Status<'a> {
    fn of(job: &'a Value) -> Self {
        Self { status: &job["status"] }
    }

    fn is(&self, kind: &str) -> bool {
        list(&self.status["conditions"]).any(|condition| condition["type"] == kind && condition["status"] == "True")
    }

    fn is_not(&self, kind: &str) -> bool {
        list(&self.status["conditions"]).any(|condition| condition["type"] == kind && condition["status"] == "False")
    }

    fn finished(&self) -> bool {
        self.is("Complete") || self.is("Failed")
    }

    fn number(&self, name: &str) -> i64 {
        self.status[name].as_i64().unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        !self.status[name].is_null()
    }
}

/// Judges a change of a job's status.
pub(super) fn judge(old: &Value, new: &Value, faults: &mut Faults) {
    for name in ["active", "succeeded", "failed", "ready", "terminating"] {
        judge_not_negative(&new["status"][name], &format!("status.{name}"), faults);
    }
    let (before, after) = (Status::of(old), Status::of(new));
    judge_end(&before, &after, faults);
    judge_finished(&before, &after, new, faults);
    judge_indexes(&before, &after, &new["spec"], faults);
    judge_conditions(&after, &new["spec"], faults);
    judge_history(&before, &after, &new["spec"], faults);
}

/// A time of completion belongs to a job that is complete.
fn judge_end(before: &Status<'_>, after: &Status<'_>, faults: &mut Faults) {
    const TIME: &str = "status.completionTime";
    let flips = |kind: &str| before.is(kind) != after.is(kind);
    let moves = |name: &str| before.status[name] != after.status[name];
    let complete = after.is("Complete");
    if complete && after.is("Failed") && (flips("Complete") || flips("Failed")) {
        faults.invalid_whole(CONDITIONS, "cannot set Complete=True and Failed=true conditions");
    }
    if complete && after.is("FailureTarget") && (flips("Complete") || flips("FailureTarget")) {
        faults.invalid_whole(CONDITIONS, "cannot set Complete=True and FailureTarget=true conditions");
    }
    let time = &after.status["completionTime"];
    if flips("Complete") || moves("completionTime") {
        if after.has("completionTime") && !complete {
            let words = "cannot set completionTime when there is no Complete=True condition";
            faults.invalid(TIME, time.clone(), words);
        }
        if complete && !after.has("completionTime") {
            faults.required(TIME, "completionTime is required for Complete jobs");
        }
    }
    // Times are written in one way, so that they compare as text.
    if (moves("startTime") || moves("completionTime"))
        && let (Some(start), Some(end)) = (after.status["startTime"].as_str(), time.as_str())
        && end < start
    {
        faults.invalid(TIME, end, "must be equal to or after `startTime`");
    }
    if after.is("Failed") && !after.is("FailureTarget") && (flips("Failed") || moves("failedIndexes")) {
        let words = "cannot set Failed=True condition without the FailureTarget=true condition";
        faults.invalid_whole(CONDITIONS, words);
    }
    if complete && !after.is("SuccessCriteriaMet") && (flips("Complete") || flips("SuccessCriteriaMet")) {
        let words = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        faults.invalid_whole(CONDITIONS, words);
    }
}

/// A job that is finished runs nothing.
fn judge_finished(before: &Status<'_>, after: &Status<'_>, job: &Value, faults: &mut Faults) {
    let ends = before.finished() != after.finished();
    let moves = |name: &str| before.status[name] != after.status[name];
    let finished = after.finished();
    if finished && after.number("active") > 0 && (ends || before.number("active") != after.number("active")) {
        faults.invalid("status.active", after.number("active"), "active>0 is invalid for finished job");
    }
    let never_ran = job["spec"]["suspend"] == true && job["spec"]["completions"] == 0;
    if finished && !after.has("startTime") && (ends || moves("startTime")) && !never_ran {
        faults.required("status.startTime", "startTime is required for finished job");
    }
    let uncounted = &after.status["uncountedTerminatedPods"];
    let waiting = ["succeeded", "failed"].iter().any(|name| list(&uncounted[*name]).next().is_some());
    if finished && waiting && (ends || moves("uncountedTerminatedPods")) {
        faults.invalid("status.uncountedTerminatedPods", uncounted.clone(), "must be empty for finished job");
    }
}

fn judge_indexes(before: &Status<'_>, after: &Status<'_>, spec: &Value, faults: &mut Faults) {
    let moves = |name: &str| before.status[name] != after.status[name];
    if moves("completedIndexes") && after.has("completedIndexes") && spec["completionMode"] != "Indexed" {
        let words = "cannot set non-empty completedIndexes when non-indexed completion mode";
        faults.invalid("status.completedIndexes", after.status["completedIndexes"].clone(), words);
    }
    if moves("failedIndexes") && after.has("failedIndexes") && spec["backoffLimitPerIndex"].is_null() {
        let words = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        faults.invalid("status.failedIndexes", after.status["failedIndexes"].clone(), words);
    }
    let ends = before.finished() != after.finished();
    if after.finished() && after.number("terminating") > 0 && (ends || moves("terminating")) {
        let words = "terminating>0 is invalid for finished job";
        faults.invalid("status.terminating", after.number("terminating"), words);
    }
    let changed = moves("ready") || before.number("active") != after.number("active");
    if after.has("ready") && after.number("ready") > after.number("active") && changed {
        faults.invalid("status.ready", after.number("ready"), "cannot set more ready pods than active");
    }
}

fn judge_conditions(after: &Status<'_>, spec: &Value, faults: &mut Faults) {
    let met = after.is("SuccessCriteriaMet");
    if met && after.is("Failed") {
        faults.invalid_whole(CONDITIONS, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
    }
    if met && after.is("FailureTarget") {
        faults.invalid_whole(CONDITIONS, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
    }
    if !met && !spec["successPolicy"].is_null() && after.is("Complete") {
        let words = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        faults.invalid_whole(CONDITIONS, words);
    }
}

/// What was so stays so.
fn judge_history(before: &Status<'_>, after: &Status<'_>, spec: &Value, faults: &mut Faults) {
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if before.is(kind) && !after.is(kind) {
            faults.invalid_whole(CONDITIONS, &format!("cannot disable the terminal {kind}=True condition"));
        }
    }
    let scaled = spec["completionMode"] == "Indexed" && spec["completions"] == spec["parallelism"];
    for name in ["failed", "succeeded"] {
        if after.number(name) < before.number(name) && (name == "failed" || !scaled) {
            let words = format!("cannot decrease the {name} counter");
            faults.invalid(format!("status.{name}"), after.number(name), &words);
        }
    }
    let (was, is) = (&before.status["completionTime"], &after.status["completionTime"]);
    if !was.is_null() && !is.is_null() && was != is {
        faults.invalid("status.completionTime", is.clone(), "field is immutable");
    }
    let resumes = before.is("Suspended") && after.is_not("Suspended");
    let moved = before.has("startTime") && before.status["startTime"] != after.status["startTime"];
    if moved && !resumes && spec["suspend"] != true {
        faults.required("status.startTime", "startTime cannot be removed for unsuspended job");
    }
    if before.is("SuccessCriteriaMet") && !after.is("SuccessCriteriaMet") {
        faults.invalid_whole(CONDITIONS, "cannot disable the SuccessCriteriaMet=True condition");
    }
    if before.is("Complete") && !before.is("SuccessCriteriaMet") && after.is("SuccessCriteriaMet") {
        let words = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        faults.invalid_whole(CONDITIONS, words);
    }
}
