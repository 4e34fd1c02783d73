//! Jobs: each runs its pod until it has done its work, has failed too often or has taken too long.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use serde_json::{Value, json};

use super::{
    Goods,
    hand::Part,
    kubelet::whole_seconds,
    objects::{Key, id, leaving},
    round::Round,
};

/// Runs jobs, and deletes those whose time is up.
pub(super) fn run(round: &mut Round) {
    if !round.has(Goods::Jobs) {
        return;
    }
    let objects = round.objects;
    for (key, job) in &objects.jobs {
        if leaving(job) {
            continue;
        }
        match end_of(job) {
            Some(ended) => expire(round, key, job, ended),
            None => go_on(round, key, job),
        }
    }
}

/// How a job's pods fare.
struct Tally {
    active: Vec<(Key, String)>,
    /// They are being deleted.
    leaving: usize,
    failed: i32,
    succeeded: i32,
}

fn go_on(round: &mut Round, key: &Key, job: &Job) {
    let Some(spec) = &job.spec else { return };
    let pods = pods(round, key, job);
    let wanted = spec.completions.unwrap_or(1);
    let began = job.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    let deadline =
        spec.active_deadline_seconds.zip(began).map(|(seconds, began)| began + SignedDuration::from_secs(seconds));
    let end = if pods.succeeded >= wanted {
        Some(("Complete", "CompletionsReached", "Reached expected number of succeeded pods"))
    } else if deadline.is_some_and(|deadline| deadline <= round.wall) {
        Some(("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"))
    } else if pods.failed > spec.backoff_limit.unwrap_or(6) {
        Some(("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"))
    } else {
        wake(round, "deadline", job, deadline);
        None
    };
    // A job has not ended before its pods have.
    if end.is_some() && (!pods.active.is_empty() || pods.leaving > 0) {
        for (key, uid) in pods.active {
            round.act(format!("end of pod {}/{}", key.0, key.1), move |hand| async move {
                hand.delete::<Pod>(&key, &uid, None).await
            });
        }
        return;
    }
    let active = i32::try_from(pods.active.len()).unwrap_or(0);
    if end.is_none()
        && spec.suspend != Some(true)
        && active < spec.parallelism.unwrap_or(1).min(wanted - pods.succeeded)
    {
        start_pod(round, key, job, pods.failed);
    }
    let status = status(round, job, &pods, active, end);
    if let Some(status) = status {
        let (key, uid) = (key.clone(), id(job).to_owned());
        round.act(format!("status of job {}/{}", key.0, key.1), move |hand| async move {
            hand.patch::<Job>(&key, &uid, Part::Status, json!({ "status": status })).await
        });
    }
}

fn pods(round: &Round, key: &Key, job: &Job) -> Tally {
    let mut tally = Tally { active: Vec::new(), leaving: 0, failed: 0, succeeded: 0 };
    let owned = |pod: &Pod| pod.metadata.owner_references.iter().flatten().any(|owner| owner.uid == id(job));
    for (at, pod) in round.objects.pods.iter().filter(|((namespace, _), pod)| *namespace == key.0 && owned(pod)) {
        match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
            Some("Succeeded") => tally.succeeded += 1,
            Some("Failed") => tally.failed += 1,
            _ if leaving(pod) => {
                tally.failed += 1;
                tally.leaving += 1;
            }
            _ => tally.active.push((at.clone(), id(pod).to_owned())),
        }
    }
    // What is counted once stays counted, whatever becomes of the pod.
    let counted = job.status.as_ref();
    tally.failed = tally.failed.max(counted.and_then(|status| status.failed).unwrap_or(0));
    tally.succeeded = tally.succeeded.max(counted.and_then(|status| status.succeeded).unwrap_or(0));
    tally
}

fn start_pod(round: &mut Round, key: &Key, job: &Job, failures: i32) {
    // After a failure the next try waits, longer each time.
    let pause = match u32::try_from(failures) {
        Ok(0) | Err(_) => Duration::ZERO,
        Ok(failures) => round.settings.pace.back_off * 2_u32.saturating_pow(failures - 1).min(36),
    };
    if !round.due("try", &format!("{} {failures}", id(job)), pause) {
        return;
    }
    let Some(template) = job.spec.as_ref().map(|spec| &spec.template) else { return };
    let mut pod = json!({ "apiVersion": "v1", "kind": "Pod", "spec": template.spec, "metadata": template.metadata });
    if pod["metadata"].is_null() {
        pod["metadata"] = json!({});
    }
    let (name, uid) = (key.1.as_str(), id(job));
    pod["metadata"]["generateName"] = format!("{name}-").into();
    for (label, value) in [("job-name", name), ("controller-uid", uid)] {
        pod["metadata"]["labels"][label] = value.into();
        pod["metadata"]["labels"][format!("batch.kubernetes.io/{label}")] = value.into();
    }
    pod["metadata"]["ownerReferences"] = json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid,
        "controller": true, "blockOwnerDeletion": true }]);
    let namespace = key.0.clone();
    round.act(
        format!("pod of job {}/{name}", key.0),
        move |hand| async move { hand.create::<Pod>(&namespace, pod).await },
    );
}

/// What is to be written; nothing if it is said already.
fn status(round: &Round, job: &Job, pods: &Tally, active: i32, end: Option<(&str, &str, &str)>) -> Option<Value> {
    let absent = k8s_openapi::api::batch::v1::JobStatus::default();
    let said = job.status.as_ref().unwrap_or(&absent);
    let now = whole_seconds(round.wall).to_string();
    let begins = said.start_time.is_none();
    let counts = (said.active.unwrap_or(0), said.failed.unwrap_or(0), said.succeeded.unwrap_or(0));
    if !begins && end.is_none() && counts == (active, pods.failed, pods.succeeded) {
        return None;
    }
    let mut status = json!({ "active": active, "failed": pods.failed, "succeeded": pods.succeeded, "ready": 0 });
    if begins {
        status["startTime"] = now.clone().into();
    }
    if let Some((kind, reason, message)) = end {
        let before = if kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
        let condition = |kind: &str| {
            json!({ "type": kind, "status": "True", "reason": reason, "message": message,
                "lastProbeTime": now, "lastTransitionTime": now })
        };
        let others = said.conditions.iter().flatten().map(|condition| json!(condition));
        status["conditions"] = others.chain([condition(before), condition(kind)]).collect();
        if kind == "Complete" {
            status["completionTime"] = now.into();
        }
    }
    Some(status)
}

/// When a job ended, if it has.
fn end_of(job: &Job) -> Option<Timestamp> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let mut ends =
        conditions.iter().filter(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True");
    let end = ends.next()?;
    Some(end.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0))
}

/// Deletes a job that ended long enough ago.
fn expire(round: &mut Round, key: &Key, job: &Job, ended: Timestamp) {
    let seconds = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished);
    let Some(until) = seconds.map(|seconds| ended + SignedDuration::from_secs(seconds.into())) else { return };
    if until > round.wall {
        return wake(round, "expiry", job, Some(until));
    }
    let (key, uid) = (key.clone(), id(job).to_owned());
    round.act(format!("end of job {}/{}", key.0, key.1), move |hand| async move {
        hand.delete::<Job>(&key, &uid, None).await
    });
}

/// Has a round at a moment of the wall clock.
fn wake(round: &mut Round, what: &'static str, job: &Job, at: Option<Timestamp>) {
    let left = at.and_then(|at| Duration::try_from(at.duration_since(round.wall)).ok());
    if let Some(left) = left {
        round.wake(what, id(job), left + Duration::from_millis(1));
    }
}
