//! What a request of the controller is about, as its path says.

use serde_json::Value;

use crate::tape::Call;

/// Pods.
pub const PODS: &str = "pods";
/// Services.
pub const SERVICES: &str = "services";
/// Volume claims.
pub const CLAIMS: &str = "persistentvolumeclaims";
/// Jobs.
pub const JOBS: &str = "jobs.batch";
/// Namespaces.
pub const NAMESPACES: &str = "namespaces";
/// Databases, in the master.
pub const DATABASES: &str = "clusters.apps.kubeblocks.io";
/// Registrations of workers, in the master.
pub const WORKERS: &str = "k8sclusters.k8s.oceanbase.com";
/// Leases.
pub const LEASES: &str = "leases.coordination.k8s.io";
/// Kinds, in the master.
pub const KINDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// What the controller may have in a worker, apart from the namespaces it makes.
pub const PARTS: [&str; 4] = [PODS, SERVICES, CLAIMS, JOBS];

/// The target of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Plural and group: `pods`, `jobs.batch`.
    pub resource: String,
    /// Its namespace; empty for what has none, and for lists over all.
    pub namespace: &'a str,
    /// Its name; empty for collections.
    pub name: &'a str,
    /// `status`, `eviction` …; empty for the object itself.
    pub sub: &'a str,
}

impl<'a> Request<'a> {
    /// Reads a path. `None` for what is no resource (`/version`).
    pub fn of(path: &'a str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/');
        let group = match parts.next()? {
            "api" => "",
            "apis" => parts.next()?,
            _ => return None,
        };
        parts.next()?;
        let rest: Vec<_> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            // The namespace itself, rather than what is in it.
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => ("", rest.as_slice()),
            ["namespaces", namespace, in_it @ ..] if !in_it.is_empty() => (*namespace, in_it),
            all => ("", all),
        };
        let plural = *rest.first()?;
        let resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let at = |index: usize| rest.get(index).copied().unwrap_or_default();
        Some(Self { resource, namespace, name: at(1), sub: at(2) })
    }

    /// Whether it is about something that only workers have because of us (the master may be a worker too).
    pub fn is_part(&self) -> bool {
        PARTS.contains(&self.resource.as_str())
    }
}

/// The body, as far as it is JSON.
pub fn body(call: &Call) -> Value {
    serde_json::from_slice(&call.body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_a_request_is_about() {
        for (path, resource, namespace, name, sub) in [
            ("/api/v1/namespaces/default/pods/etcd-0", PODS, "default", "etcd-0", ""),
            ("/api/v1/namespaces/default/pods/etcd-0/eviction", PODS, "default", "etcd-0", "eviction"),
            ("/api/v1/namespaces/default/pods", PODS, "default", "", ""),
            ("/api/v1/pods", PODS, "", "", ""),
            ("/api/v1/namespaces", NAMESPACES, "", "", ""),
            ("/api/v1/namespaces/default", NAMESPACES, "", "default", ""),
            ("/api/v1/namespaces/default/finalize", NAMESPACES, "", "default", "finalize"),
            ("/apis/batch/v1/namespaces/default/jobs/ask", JOBS, "default", "ask", ""),
            ("/apis/apps.kubeblocks.io/v1alpha1/namespaces/a/clusters/b/status", DATABASES, "a", "b", "status"),
            ("/apis/k8s.oceanbase.com/v1alpha1/k8sclusters/w1/status", WORKERS, "", "w1", "status"),
            ("/apis/coordination.k8s.io/v1/namespaces/atoll-system/leases/atoll", LEASES, "atoll-system", "atoll", ""),
        ] {
            let expected = Request { resource: resource.to_owned(), namespace, name, sub };
            assert_eq!(Request::of(path), Some(expected), "{path}");
        }
        assert_eq!(Request::of("/version"), None);
    }
}
