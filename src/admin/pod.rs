//! A pod of Atoll's own image in a worker: how it is made, and how far it has come.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, Pod, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile,
        SecurityContext,
    },
    apimachinery::pkg::api::resource::Quantity,
};

/// Where Kubernetes reads a container's last words.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// A user that no image knows.
const NOBODY: i64 = 65_532;

/// One container that runs Atoll with these arguments: no token, and nothing but what the restricted pod security
/// standard allows.
#[must_use]
pub fn own_pod(container: &str, image: &str, args: Vec<String>) -> PodSpec {
    let quantities = |pairs: &[(&str, &str)]| {
        Some(pairs.iter().map(|(name, quantity)| ((*name).to_owned(), Quantity((*quantity).to_owned()))).collect())
    };
    let container = Container {
        name: container.to_owned(),
        image: Some(image.to_owned()),
        args: Some(args),
        termination_message_path: Some(TERMINATION_LOG.to_owned()),
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
    PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container],
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(NOBODY),
            run_as_group: Some(NOBODY),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    }
}

/// How far a pod of one container has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// It ended with this message.
    Ended(String),
    /// It is waiting or running, for this reason.
    Waiting(String),
}

/// Reads a pod's status.
#[must_use]
pub fn progress(pod: &Pod) -> Progress {
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
