//! A question put by a job in the member's worker, where every other route is shut.

use std::time::Duration;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            Capabilities, Container, Pod, PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements,
            SeccompProfile, SecurityContext,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams, Preconditions, PropagationPolicy},
};

use super::{Deadline, JobRoute, Silence, termination};
use crate::engine::{HttpReply, HttpRequest, Question};

/// How often the job's pod is looked at. A job is the last resort and short, so a watch is not worth its cost.
const GLANCE: Duration = Duration::from_millis(500);

/// How long the tidying up may take, after whatever the outcome is.
const TIDYING: Duration = Duration::from_secs(2);

/// After this the worker itself ends the job, and deletes what is left, should this process not live to do it.
const SECONDS_TO_LIVE: i32 = 60;

/// A user that no image knows.
const NOBODY: i64 = 65_532;

/// Makes the job, waits for its result, deletes it.
pub(super) async fn ask(
    client: Client,
    route: &JobRoute,
    image: &str,
    question: &Question,
    requests: &[HttpRequest],
    deadline: Deadline,
) -> Result<Vec<HttpReply>, Silence> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), route.namespace.as_str());
    let job = render(route, image, question, requests)?;
    let job = deadline
        .bound(jobs.create(&PostParams::default(), &job))
        .await?
        .map_err(|error| Silence::of(&error, &route.worker, &route.namespace, "create", "jobs"))?;
    let name = job.metadata.name.clone().unwrap_or_default();
    let outcome = outcome(client, route, &name, deadline).await;
    delete(&jobs, &name, job.metadata.uid).await;
    outcome
}

/// Waits for the last words of the job's pod.
async fn outcome(client: Client, route: &JobRoute, job: &str, deadline: Deadline) -> Result<Vec<HttpReply>, Silence> {
    let pods: Api<Pod> = Api::namespaced(client, route.namespace.as_str());
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let no_result = |why: String| Silence::Job { job: job.to_owned(), worker: route.worker.clone(), why };
    let mut last = "it has no pod".to_owned();
    let waiting = async {
        loop {
            tokio::time::sleep(GLANCE).await;
            let found = pods.list(&of_job).await;
            let found = found.map_err(|error| Silence::of(&error, &route.worker, &route.namespace, "list", "pods"))?;
            let Some(pod) = found.items.first() else { continue };
            match progress(pod) {
                Progress::Ended(message) => return termination::unpack(&message).map_err(&no_result),
                Progress::Waiting(why) => last = why,
            }
        }
    };
    // A deadline names what was seen last, so that a person knows what to mend (an image, a quota, a policy).
    match deadline.bound(waiting).await {
        Ok(outcome) => outcome,
        Err(late) => Err(no_result(format!("{late}, {last}"))),
    }
}

/// How far a job's pod has come.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// It ended with this message.
    Ended(String),
    /// It is waiting or running, for this reason.
    Waiting(String),
}

fn progress(pod: &Pod) -> Progress {
    let status = pod.status.as_ref();
    let container = status.and_then(|status| status.container_statuses.as_ref()?.first()?.state.as_ref());
    if let Some(terminated) = container.and_then(|state| state.terminated.as_ref()) {
        return Progress::Ended(terminated.message.clone().unwrap_or_default());
    }
    if let Some(waiting) = container.and_then(|state| state.waiting.as_ref()) {
        return Progress::Waiting(format!("its pod waits: {}", waiting.reason.as_deref().unwrap_or("no reason given")));
    }
    let unscheduled = status
        .and_then(|status| status.conditions.as_ref())
        .and_then(|conditions| conditions.iter().find(|condition| condition.type_ == "PodScheduled"))
        .filter(|condition| condition.status == "False")
        .and_then(|condition| condition.message.clone());
    Progress::Waiting(match unscheduled {
        Some(why) => format!("its pod is not scheduled: {why}"),
        None if container.is_some() => "its pod is running".to_owned(),
        None => "its pod has not started".to_owned(),
    })
}

/// Deletes exactly this job. If that fails, the worker does it when the job's time is up.
async fn delete(jobs: &Api<Job>, name: &str, uid: Option<String>) {
    let how = DeleteParams {
        preconditions: Some(Preconditions { uid, resource_version: None }),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    match Deadline::after(TIDYING).bound(jobs.delete(name, &how)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(job = name, %error, "a finished job is left to its own end"),
        Err(late) => tracing::debug!(job = name, %late, "a finished job is left to its own end"),
    }
}

/// The job: one try, no token, nothing but what the restricted pod security standard allows.
fn render(route: &JobRoute, image: &str, question: &Question, requests: &[HttpRequest]) -> Result<Job, Silence> {
    let requests = serde_json::to_string(requests).map_err(|error| Silence::Unaskable(error.to_string()))?;
    let quantities = |pairs: &[(&str, &str)]| {
        Some(pairs.iter().map(|(name, quantity)| ((*name).to_owned(), Quantity((*quantity).to_owned()))).collect())
    };
    let container = Container {
        name: "ask".to_owned(),
        image: Some(image.to_owned()),
        args: Some(vec!["ask".to_owned(), format!("--address={}", route.address), format!("--requests={requests}")]),
        termination_message_path: Some(super::ask::TERMINATION_LOG.to_owned()),
        termination_message_policy: Some("File".to_owned()),
        resources: Some(ResourceRequirements {
            requests: quantities(&[("cpu", "10m"), ("memory", "16Mi")]),
            limits: quantities(&[("cpu", "500m"), ("memory", "64Mi")]),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        ..Container::default()
    };
    let pod = PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container],
        enable_service_links: Some(false),
        restart_policy: Some("Never".to_owned()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(NOBODY),
            run_as_group: Some(NOBODY),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    };
    // The worker completes the name. It is a label as well, so it must stay under 64 characters.
    let member: String = question.member.as_str().chars().take(40).collect();
    let labels = Some(route.labels.clone());
    Ok(Job {
        metadata: ObjectMeta {
            generate_name: Some(format!("atoll-ask-{}-", member.trim_end_matches(['-', '.']))),
            namespace: Some(route.namespace.as_str().to_owned()),
            labels: labels.clone(),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            active_deadline_seconds: Some(i64::from(SECONDS_TO_LIVE)),
            backoff_limit: Some(0),
            ttl_seconds_after_finished: Some(SECONDS_TO_LIVE),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels, ..ObjectMeta::default() }),
                spec: Some(pod),
            },
            ..JobSpec::default()
        }),
        ..Job::default()
    })
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
