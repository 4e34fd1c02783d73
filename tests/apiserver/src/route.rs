//! What a path leads to.

use crate::query::decode;

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/version`.
    Version,
    /// `/healthz`, `/livez`, `/readyz`.
    Health,
    /// A resource, if it is served.
    Resource(Target),
    /// Anything else.
    Nowhere,
}

/// What of a resource. Empty where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub resource: String,
    pub name: String,
    pub subresource: String,
}

impl Route {
    pub(crate) fn of(path: &str) -> Self {
        let path = path.trim_end_matches('/');
        match path {
            "/version" => return Self::Version,
            "/healthz" | "/livez" | "/readyz" => return Self::Health,
            _ => {}
        }
        let mut parts = path.split('/').skip(1);
        let (group, version) = match parts.next() {
            Some("api") => ("", parts.next()),
            Some("apis") => (parts.next().unwrap_or_default(), parts.next()),
            _ => return Self::Nowhere,
        };
        let rest: Vec<String> = parts.map(|part| decode(part, false)).collect();
        let Some(version) = version else { return Self::Nowhere };
        let mut target = Target { group: group.to_owned(), version: version.to_owned(), ..Target::default() };
        let mut rest = rest.as_slice();
        if let [first, namespace, more @ ..] = rest
            && first == "namespaces"
        {
            target.namespace.clone_from(namespace);
            if !matches!(more, [] | [_] if more.first().is_none_or(|sub| sub == "status" || sub == "finalize")) {
                rest = more;
            }
        }
        match rest {
            [resource] => target.resource.clone_from(resource),
            [resource, name] => {
                target.resource.clone_from(resource);
                target.name.clone_from(name);
            }
            [resource, name, subresource] => {
                target.resource.clone_from(resource);
                target.name.clone_from(name);
                target.subresource.clone_from(subresource);
            }
            _ => return Self::Nowhere,
        }
        Self::Resource(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_resources() {
        for (path, expected) in [
            ("/api/v1/namespaces", ["", "v1", "", "namespaces", "", ""]),
            ("/api/v1/namespaces/a", ["", "v1", "a", "namespaces", "a", ""]),
            ("/api/v1/namespaces/a/finalize", ["", "v1", "a", "namespaces", "a", "finalize"]),
            ("/api/v1/namespaces/a/pods", ["", "v1", "a", "pods", "", ""]),
            ("/api/v1/namespaces/a/pods/p", ["", "v1", "a", "pods", "p", ""]),
            ("/api/v1/namespaces/a/pods/p/status", ["", "v1", "a", "pods", "p", "status"]),
            ("/apis/batch/v1/jobs", ["batch", "v1", "", "jobs", "", ""]),
            ("/apis/a.b/v1/things/x%20y", ["a.b", "v1", "", "things", "x y", ""]),
        ] {
            let Route::Resource(target) = Route::of(path) else { panic!("{path} leads nowhere") };
            let Target { group, version, namespace, resource, name, subresource } = target;
            assert_eq!([group, version, namespace, resource, name, subresource], expected, "{path}");
        }
    }

    #[test]
    fn other_paths_lead_nowhere() {
        for path in ["/", "/foo", "/api", "/apis/batch", "/api/v1", "/api/v1/namespaces/a/pods/p/log/x"] {
            assert_eq!(Route::of(path), Route::Nowhere, "{path}");
        }
    }
}
