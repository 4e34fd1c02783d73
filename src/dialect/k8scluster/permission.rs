//! What Atoll's credentials must be allowed to do in a worker.

use std::collections::BTreeMap;

/// One permission: a verb on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// `get`, `list`, …
    pub verb: &'static str,
    /// The resource's API group, empty for the core one.
    pub group: &'static str,
    /// The resource, in the plural.
    pub resource: &'static str,
    /// Its subresource, or empty.
    pub subresource: &'static str,
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.what())
    }
}

impl Permission {
    /// The resource, with its subresource.
    fn what(self) -> String {
        let Self { resource, subresource, .. } = self;
        let slash = if subresource.is_empty() { "" } else { "/" };
        format!("{resource}{slash}{subresource}")
    }
}

const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
const RESOURCES: [(&str, &str); 5] =
    [("", "pods"), ("", "services"), ("", "persistentvolumeclaims"), ("batch", "jobs"), ("", "namespaces")];

/// What the documents tell people to grant, which is all that Atoll needs.
pub fn documented() -> impl Iterator<Item = Permission> {
    RESOURCES.into_iter().flat_map(|(group, resource)| {
        VERBS.into_iter().map(move |verb| Permission { verb, group, resource, subresource: "" })
    })
}

/// What of that Atoll makes use of. Whoever grants less than the documents say, but this, has a worker that works.
pub fn used() -> impl Iterator<Item = Permission> {
    documented().filter(|permission| match (permission.resource, permission.verb) {
        (_, "update") => false,
        // Namespaces are asked who the cluster is, and made where one is missing.
        ("namespaces", verb) => matches!(verb, "get" | "create"),
        _ => true,
    })
}

/// What only a way to members through the worker's API server needs.
#[must_use]
pub fn port_forward() -> Permission {
    Permission { verb: "create", group: "", resource: "pods", subresource: "portforward" }
}

/// Permissions in few words: `pods: create, delete; services: list`.
#[must_use]
pub fn list(permissions: &[Permission]) -> String {
    let mut verbs: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for permission in permissions {
        verbs.entry(permission.what()).or_default().push(permission.verb);
    }
    verbs.into_iter().map(|(what, verbs)| format!("{what}: {}", verbs.join(", "))).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_a_part_of_what_the_documents_grant() {
        let documented: Vec<_> = documented().collect();
        assert!(used().all(|permission| documented.contains(&permission)));
        let has = |text: &str| used().any(|permission| permission.to_string() == text);
        for (text, is_used) in [
            ("create pods", true),
            ("delete persistentvolumeclaims", true),
            ("watch jobs", true),
            ("get namespaces", true),
            ("delete namespaces", false),
            ("update pods", false),
        ] {
            assert_eq!(has(text), is_used, "{text}");
        }
    }

    #[test]
    fn many_permissions_are_told_by_resource() {
        let pods = |verb| Permission { verb, group: "", resource: "pods", subresource: "" };
        assert_eq!(
            list(&[pods("create"), port_forward(), pods("delete")]),
            "pods: create, delete; pods/portforward: create"
        );
    }
}
