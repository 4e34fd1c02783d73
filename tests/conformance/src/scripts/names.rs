//! Names that few kinds may have.

use serde_json::json;

use super::{Author, Script};

pub(super) fn script() -> Script {
    let mut author = Author::new();
    let long = "a".repeat(254);
    for name in ["UPPER", "under_score", "with space", "with/slash", "with%percent", ".", "..", "-", "é", &long] {
        for (uri, version, kind) in [
            ("/apis/policy/v1/namespaces/{{ns}}/poddisruptionbudgets", "policy/v1", "PodDisruptionBudget"),
            ("/apis/coordination.k8s.io/v1/namespaces/{{ns}}/leases", "coordination.k8s.io/v1", "Lease"),
            ("/apis/rbac.authorization.k8s.io/v1/namespaces/{{ns}}/roles", "rbac.authorization.k8s.io/v1", "Role"),
            ("/api/v1/namespaces/{{ns}}/secrets", "v1", "Secret"),
            ("/apis/test.atoll.dev/v1/namespaces/{{ns}}/things", "test.atoll.dev/v1", "Thing"),
        ] {
            author.post(uri, json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name } }));
        }
    }
    author.script("names")
}
