//! The objects that each cluster has from the beginning.

use serde_json::{Value, json};

use crate::api::Api;
use crate::error::Result;
use crate::model::Cluster;

/// The user, service account and role with the permissions that document 000 asks for.
pub(crate) const DOCUMENT: &str = "lab-document";

/// Makes them.
pub(crate) async fn create(api: &Api, cluster: &Cluster) -> Result<()> {
    for (path, object) in objects(cluster) {
        api.apply(&path, &object).await?;
    }
    Ok(())
}

fn objects(cluster: &Cluster) -> Vec<(String, Value)> {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let mut objects = vec![
        (
            format!("/api/v1/namespaces/kube-system/serviceaccounts/{DOCUMENT}"),
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": DOCUMENT, "namespace": "kube-system" } }),
        ),
        (format!("{rbac}/clusterroles/{DOCUMENT}"), document_role()),
        (
            format!("{rbac}/clusterrolebindings/{DOCUMENT}"),
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": DOCUMENT },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": DOCUMENT },
            "subjects": [
                { "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": DOCUMENT },
                { "kind": "ServiceAccount", "name": DOCUMENT, "namespace": "kube-system" },
            ]}),
        ),
    ];
    if cluster.has_nodes() {
        objects.extend(dns(cluster));
    }
    objects
}

fn document_role() -> Value {
    let verbs = json!(["get", "list", "watch", "create", "update", "patch", "delete"]);
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": DOCUMENT }, "rules": [
        { "apiGroups": [""], "resources": ["pods", "services", "persistentvolumeclaims", "namespaces"], "verbs": verbs },
        { "apiGroups": ["batch"], "resources": ["jobs"], "verbs": verbs },
    ]})
}

/// The Service behind which the DNS process on the node is.
fn dns(cluster: &Cluster) -> [(String, Value); 2] {
    let ports =
        json!([{ "name": "dns", "port": 53, "protocol": "UDP" }, { "name": "dns-tcp", "port": 53, "protocol": "TCP" }]);
    [
        (
            "/api/v1/namespaces/kube-system/services/kube-dns".to_owned(),
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "kube-dns", "namespace": "kube-system" },
                "spec": { "clusterIP": cluster.dns_ip, "ports": ports } }),
        ),
        (
            "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-lab".to_owned(),
            json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": ports,
                "metadata": { "name": "kube-dns-lab", "namespace": "kube-system", "labels": { "kubernetes.io/service-name": "kube-dns" } },
                "endpoints": [{ "addresses": [cluster.ip], "conditions": { "ready": true } }] }),
        ),
    ]
}

/// Why the nodes are not all ready, or nothing.
pub(crate) fn unready(nodes: &Value, expected: usize) -> Result<(), String> {
    let ready = |node: &&Value| {
        let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    let items = nodes["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let count = items.iter().filter(ready).count();
    if count == expected { Ok(()) } else { Err(format!("{count} of {expected} nodes are ready")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_s_role_has_its_five_resources_and_nothing_beside_them() {
        let role = document_role();
        let resources: Vec<_> = role["rules"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|rule| rule["resources"].as_array())
            .flatten()
            .collect();
        assert_eq!(resources, ["pods", "services", "persistentvolumeclaims", "namespaces", "jobs"]);
        assert!(!role.to_string().contains("deletecollection"));
    }

    #[test]
    fn a_node_that_is_not_there_yet_is_not_ready() {
        let node = |status| json!({ "status": { "conditions": [{ "type": "Ready", "status": status }] } });
        assert_eq!(unready(&json!({ "items": [node("True")] }), 1), Ok(()));
        assert_eq!(unready(&json!({ "items": [node("False")] }), 1), Err("0 of 1 nodes are ready".to_owned()));
        assert!(unready(&json!({ "items": [node("True")] }), 2).is_err());
    }
}
