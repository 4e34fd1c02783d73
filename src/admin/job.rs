//! A question put by a job in the member's worker, where every other route is shut.

use std::time::Duration;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{Pod, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams, Preconditions, PropagationPolicy},
};

use super::{
    Deadline, JobRoute, Silence,
    carrier::Clients,
    pod::{Progress, own_pod, progress},
    termination,
};
use crate::engine::{HttpReply, HttpRequest, Question};

/// How often the job's pod is looked at. A job is the last resort and short, so a watch is not worth its cost.
const GLANCE: Duration = Duration::from_millis(500);

/// How long the tidying up may take, after whatever the outcome is.
const TIDYING: Duration = Duration::from_secs(2);

/// After this the worker itself ends the job, and deletes what is left, should this process not live to do it.
const SECONDS_TO_LIVE: i32 = 60;

/// By what a job is made.
pub(super) struct Way<'a> {
    /// The workers' clients, asked anew before each write: a leader that was paused may wake up between a question and its
    /// job, and by then another cluster may answer at the worker's address.
    pub clients: &'a dyn Clients,
    /// The image that has `atoll ask`.
    pub image: &'a str,
}

/// Makes the job, waits for its result, deletes it.
pub(super) async fn ask(
    Way { clients, image }: Way<'_>,
    route: &JobRoute,
    question: &Question,
    requests: &[HttpRequest],
    deadline: Deadline,
) -> Result<Vec<HttpReply>, Silence> {
    let client = clients.client(&route.worker).ok_or_else(|| Silence::NoClient(route.worker.clone()))?;
    let gate = clients.gate();
    let jobs: Api<Job> = Api::namespaced(client.clone(), route.namespace.as_str());
    let job = render(route, image, question, requests)?;
    gate.check().map_err(|lost| Silence::Unaskable(lost.to_string()))?;
    let job = deadline
        .bound(jobs.create(&PostParams::default(), &job))
        .await?
        .map_err(|error| Silence::of(&error, &route.worker, &route.namespace, "create", "jobs"))?;
    let name = job.metadata.name.clone().unwrap_or_default();
    let outcome = outcome(client, route, &name, deadline).await;
    match (gate.check(), clients.client(&route.worker)) {
        (Ok(()), Some(client)) => {
            let jobs = Api::namespaced(client, route.namespace.as_str());
            delete(&jobs, &name, job.metadata.uid).await;
        }
        (Err(lost), _) => tracing::debug!(job = name, %lost, "a finished job is left to its own end"),
        (_, None) => tracing::debug!(job = name, "a finished job is left to its own end: its worker is not verified"),
    }
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
    let mut pod = own_pod(
        "ask",
        image,
        vec!["ask".to_owned(), format!("--address={}", route.address), format!("--requests={requests}")],
    );
    pod.restart_policy = Some("Never".to_owned());
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
