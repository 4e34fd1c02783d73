//! Why a route brought no reply.

use std::time::Duration;

use kube::client::UpgradeConnectionError;

use crate::plan::name::{Namespace, WorkerName};

/// Why a route brought no reply, in words that go into a condition as they are.
#[derive(Debug, thiserror::Error)]
pub enum Silence {
    /// Nobody answered in time.
    #[error("no reply within {:.1} s", within.as_secs_f64())]
    Late {
        /// How long was waited.
        within: Duration,
    },
    /// There is no connection.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// The connection broke, or what came over it is not HTTP.
    #[error("the connection gave no HTTP reply: {0}")]
    Broken(String),
    /// The reply is larger than any that is wanted.
    #[error("the reply is larger than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: usize,
    },
    /// The question cannot be put as a request.
    #[error("the request cannot be made: {0}")]
    Unaskable(String),
    /// The worker is not registered or not verified.
    #[error("worker {0} has no verified connection; see its K8sCluster")]
    NoClient(WorkerName),
    /// The worker's role lacks a permission.
    #[error("worker {worker} does not allow it; its role needs {verb} on {resource} in namespace {namespace}")]
    Forbidden {
        /// The worker.
        worker: WorkerName,
        /// The verb that is missing.
        verb: &'static str,
        /// On which resource.
        resource: &'static str,
        /// Where.
        namespace: Namespace,
    },
    /// The worker's API server refused or failed.
    #[error("worker {worker} answered {what} with: {why}")]
    Refused {
        /// The worker.
        worker: WorkerName,
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// Jobs need an image and none is configured.
    #[error("no image for jobs is configured; start Atoll with --job-image set to its own image")]
    NoJobImage,
    /// The job did not come to an end in time, or ended without a result.
    #[error("job {job} in worker {worker} gave no result: {why}")]
    Job {
        /// The job.
        job: String,
        /// Its worker.
        worker: WorkerName,
        /// What can be seen of it.
        why: String,
    },
}

impl Silence {
    /// Tells a refusal for lack of permission from any other answer of a worker's API server.
    pub(super) fn of(
        error: &kube::Error,
        worker: &WorkerName,
        namespace: &Namespace,
        verb: &'static str,
        resource: &'static str,
    ) -> Self {
        let forbidden = match error {
            // A quota and a namespace that is going are 403 as well, but no role mends them.
            kube::Error::Api(status) => status.code == 403 && status.message.contains(" cannot "),
            kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => status.as_u16() == 403,
            _ => false,
        };
        match error {
            _ if forbidden => Self::Forbidden { worker: worker.clone(), verb, resource, namespace: namespace.clone() },
            kube::Error::Api(status) => Self::Refused {
                worker: worker.clone(),
                what: resource,
                why: format!("{} {}", status.code, status.message),
            },
            other => Self::Refused { worker: worker.clone(), what: resource, why: other.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn said(code: u16, message: &str) -> String {
        let error = kube::Error::Api(Box::new(Status::failure(message, "").with_code(code)));
        Silence::of(&error, &"k8s-1".into(), &"db".into(), "create", "jobs").to_string()
    }

    #[test]
    fn a_missing_permission_is_named_and_other_refusals_are_quoted() {
        assert_eq!(
            said(403, r#"jobs.batch is forbidden: User "atoll" cannot create resource "jobs""#),
            "worker k8s-1 does not allow it; its role needs create on jobs in namespace db"
        );
        let quota = said(403, r#"jobs.batch "x" is forbidden: exceeded quota"#);
        assert!(quota.ends_with(r#"answered jobs with: 403 jobs.batch "x" is forbidden: exceeded quota"#), "{quota}");
        assert!(said(404, r#"namespaces "db" not found"#).contains("404 namespaces"));
    }
}
