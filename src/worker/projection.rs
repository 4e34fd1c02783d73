//! From whole objects to what decisions need of them. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        batch::v1 as batch,
        core::v1::{self as core, ContainerState, ContainerStatus, PodStatus},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};

use super::fault::clip;
use crate::plan::{
    database::{DatabaseKey, DatabaseKind},
    labels,
    name::{Namespace, ObjectName, ResourceVersion, Uid},
    seen::{Claim, ClaimPhase, Job, JobOutcome, Meta, Pod, PodPhase, Process, Readiness, Service},
};

/// The database that an object says it belongs to, by its labels. An object in another namespace than the one that it was
/// made in is a copy that somebody made (a restored backup, say), and belongs to nobody.
#[must_use]
pub fn owner(metadata: &ObjectMeta) -> Option<DatabaseKey> {
    let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    let namespace = label(labels::DATABASE_NAMESPACE)?;
    let made_in = label(labels::WORKER_NAMESPACE).unwrap_or(namespace);
    if metadata.namespace.as_deref() != Some(made_in) {
        return None;
    }
    Some(DatabaseKey {
        kind: DatabaseKind::from_label(label(labels::DATABASE_KIND)?)?,
        namespace: Namespace::new(namespace),
        name: ObjectName::new(label(labels::DATABASE_NAME)?),
    })
}

/// What is kept of `metadata`; `None` for an object that no API server could have sent.
#[must_use]
pub fn meta(metadata: &ObjectMeta) -> Option<Meta> {
    let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name));
    Some(Meta {
        namespace: Namespace::new(metadata.namespace.as_deref()?),
        name: ObjectName::new(metadata.name.as_deref()?),
        uid: Uid::new(metadata.uid.as_deref()?),
        version: ResourceVersion::new(metadata.resource_version.as_deref()?),
        database: label(labels::DATABASE_UID).map(|uid| Uid::new(uid.as_str())),
        member: label(labels::MEMBER).cloned(),
        rendered: annotation(metadata, labels::RENDERED).cloned(),
        deleting: metadata.deletion_timestamp.as_ref().map(time),
        held_by: metadata.deletion_timestamp.as_ref().and(metadata.finalizers.clone()).unwrap_or_default(),
    })
}

/// What is kept of a pod.
#[must_use]
pub fn pod(pod: &core::Pod) -> Option<Pod> {
    let absent = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&absent);
    Some(Pod {
        meta: meta(&pod.metadata)?,
        phase: match status.phase.as_deref() {
            Some("Running") => PodPhase::Running,
            Some("Succeeded") => PodPhase::Succeeded,
            Some("Failed") => PodPhase::Failed,
            Some("Unknown") => PodPhase::Unknown,
            _ => PodPhase::Pending,
        },
        ready: readiness(status),
        ip: status.pod_ip.clone().filter(|ip| !ip.is_empty()),
        host_ip: status.host_ip.clone().filter(|ip| !ip.is_empty()),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        trouble: trouble(status),
        last_words: containers(status).find_map(last_words),
        restarts: containers(status).map(|container| container.restart_count).sum(),
        process: process(status, pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref())),
        version: annotation(&pod.metadata, labels::VERSION).cloned(),
        alone: annotation(&pod.metadata, labels::ALONE).is_some(),
        peers: annotation(&pod.metadata, labels::PEERS).cloned(),
        founders: annotation(&pod.metadata, labels::FOUNDERS).and_then(|founders| founders.parse().ok()),
    })
}

/// What is kept of a volume claim.
#[must_use]
pub fn claim(claim: &core::PersistentVolumeClaim) -> Option<Claim> {
    let spec = claim.spec.as_ref();
    Some(Claim {
        meta: meta(&claim.metadata)?,
        record: annotation(&claim.metadata, labels::MEMBER_RECORD).cloned(),
        phase: match claim.status.as_ref().and_then(|status| status.phase.as_deref()) {
            Some("Bound") => ClaimPhase::Bound,
            Some("Lost") => ClaimPhase::Lost,
            _ => ClaimPhase::Pending,
        },
        requested: spec
            .and_then(|spec| spec.resources.as_ref())
            .and_then(|resources| resources.requests.as_ref())
            .and_then(|requests| requests.get("storage"))
            .map(|quantity| quantity.0.clone()),
        class: spec.and_then(|spec| spec.storage_class_name.clone()),
    })
}

/// What is kept of a service.
#[must_use]
pub fn service(service: &core::Service) -> Option<Service> {
    let spec = service.spec.as_ref();
    let ingress = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref())
        .and_then(|balancer| balancer.ingress.as_ref())
        .into_iter()
        .flatten()
        .find_map(|ingress| ingress.ip.clone().or_else(|| ingress.hostname.clone()));
    let node_ports = spec
        .and_then(|spec| spec.ports.as_ref())
        .into_iter()
        .flatten()
        .filter_map(|port| Some((port.name.clone().unwrap_or_default(), port.node_port?)))
        .collect::<BTreeMap<_, _>>();
    Some(Service {
        meta: meta(&service.metadata)?,
        cluster_ip: spec.and_then(|spec| spec.cluster_ip.clone()).filter(|ip| !ip.is_empty() && ip != "None"),
        ingress,
        node_ports,
    })
}

/// What is kept of a job.
#[must_use]
pub fn job(job: &batch::Job) -> Option<Job> {
    let holds = |kind: &str| {
        job.status
            .as_ref()
            .and_then(|status| status.conditions.as_ref())
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == kind && condition.status == "True")
    };
    let outcome = if holds("Failed") {
        JobOutcome::Failed
    } else if holds("Complete") {
        JobOutcome::Succeeded
    } else {
        JobOutcome::Running
    };
    Some(Job { meta: meta(&job.metadata)?, outcome })
}

fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a String> {
    metadata.annotations.as_ref().and_then(|annotations| annotations.get(key))
}

/// What has a node, and no word of its containers, may well run by now.
fn process(status: &PodStatus, node: Option<&str>) -> Process {
    let runs = |container: &ContainerStatus| container.state.as_ref().is_none_or(|state| state.running.is_some());
    let unheard = containers(status).next().is_none() && node.is_some();
    if unheard || containers(status).any(runs) { Process::Runs } else { Process::Stands }
}

fn time(time: &Time) -> Timestamp {
    time.0
}

fn readiness(status: &PodStatus) -> Readiness {
    let condition = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let since = condition.and_then(|condition| condition.last_transition_time.as_ref()).map(time);
    match condition {
        Some(condition) if condition.status == "True" => Readiness::Ready(since),
        _ => Readiness::NotReady(since),
    }
}

/// All containers, in the order in which they start.
fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten())
}

/// Why a pod does not run or is not ready, if it says: the pod's own end, then what keeps it from a node, then the
/// first container that cannot go on, then the readiness probe.
fn trouble(status: &PodStatus) -> Option<String> {
    let ended = status.reason.as_deref().map(|reason| said(reason, status.message.as_deref()));
    ended
        .or_else(|| condition_says(status, "PodScheduled"))
        .or_else(|| containers(status).find_map(|container| container_says(status, container)))
        .or_else(|| if status.phase.as_deref() == Some("Running") { condition_says(status, "Ready") } else { None })
}

fn condition_says(status: &PodStatus, kind: &str) -> Option<String> {
    let condition = status.conditions.iter().flatten().find(|condition| condition.type_ == kind)?;
    if condition.status == "True" {
        return None;
    }
    // "PodCompleted" is how a pod that did its work says that it is not ready.
    let reason = condition.reason.as_deref().filter(|reason| *reason != "PodCompleted")?;
    Some(said(reason, condition.message.as_deref()))
}

fn container_says(status: &PodStatus, container: &ContainerStatus) -> Option<String> {
    let named = |text: String| format!("container {}: {text}", container.name);
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().filter(|r| !matches!(*r, "ContainerCreating" | "PodInitializing"))?;
        let mut text = said(reason, waiting.message.as_deref());
        if let Some(last) = container.last_state.as_ref().and_then(ended_badly) {
            text = format!("{text}; last time: {last}");
        }
        return Some(named(text));
    }
    let over = matches!(status.phase.as_deref(), Some("Succeeded"));
    if over { None } else { ended_badly(state).map(named) }
}

fn ended_badly(state: &ContainerState) -> Option<String> {
    let ended = state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    let reason = format!("{} (exit code {})", ended.reason.as_deref().unwrap_or("Error"), ended.exit_code);
    Some(said(&reason, ended.message.as_deref().map(gist).as_deref()))
}

fn said(reason: &str, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {}", clip(message)),
        None => reason.to_owned(),
    }
}

fn last_words(container: &ContainerStatus) -> Option<String> {
    let states = [container.state.as_ref(), container.last_state.as_ref()].into_iter().flatten();
    let mut ends = states.filter_map(|state| state.terminated.as_ref()).filter(|ended| ended.exit_code != 0);
    ends.next()?.message.clone().filter(|message| !message.trim().is_empty())
}

/// What matters of a container's last words, which may be the end of its log: where a Go program panicked, why; or else
/// the last line, of which a structured log's message and error are enough.
fn gist(words: &str) -> String {
    let mut lines = words.lines().map(str::trim).filter(|line| !line.is_empty());
    let panic = lines.clone().find(|line| line.starts_with("panic: ") || line.starts_with("fatal error: "));
    let line = panic.or_else(|| lines.next_back()).unwrap_or_default();
    let structured = serde_json::from_str::<Structured>(line).ok();
    structured.map_or_else(
        || line.to_owned(),
        |Structured { msg, error }| if error.is_empty() { msg } else { format!("{msg}: {error}") },
    )
}

/// A line of a structured log, as zap and others write it.
#[derive(serde::Deserialize)]
struct Structured {
    msg: String,
    #[serde(default)]
    error: String,
}
