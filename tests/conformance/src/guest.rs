//! Somebody who may do a little.

use serde_json::{Value, json};

/// The user's name.
pub const NAME: &str = "guest";

/// Why the user may do it.
pub const REASON: &str = r#"RBAC: allowed by ClusterRoleBinding "guest" of ClusterRole "guest" to User "guest""#;

/// What the user may do: API group, resources, verbs.
pub const RULES: &[(&str, &[&str], &[&str])] = &[
    ("", &["pods"], &["get", "list", "watch", "create", "patch"]),
    ("", &["services", "configmaps"], &["get", "create", "delete"]),
    ("", &["services/status"], &["patch", "update"]),
    ("batch", &["jobs"], &["*"]),
    ("test.atoll.dev", &["things"], &["list", "update", "deletecollection"]),
];

/// The role, and who has it.
pub fn objects() -> [(&'static str, Value); 2] {
    let rules = RULES
        .iter()
        .map(|(group, resources, verbs)| json!({ "apiGroups": [group], "resources": resources, "verbs": verbs }));
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": NAME }, "rules": rules.collect::<Vec<_>>() });
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": NAME }, "subjects": [{ "kind": "User", "name": NAME }],
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME } });
    [
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", role),
        ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding),
    ]
}
