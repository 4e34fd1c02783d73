//! `K8sCluster`: the registration of a worker, as ob-operator has it, with what is needed besides.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{debt::Debt, report::StatusCondition};

/// A Kubernetes cluster in which Atoll may run members of databases.
#[derive(CustomResource, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "k8s.oceanbase.com",
    version = "v1alpha1",
    kind = "K8sCluster",
    plural = "k8sclusters",
    singular = "k8scluster",
    shortname = "kc",
    status = "K8sClusterStatus",
    doc = "A Kubernetes cluster in which Atoll may run members of databases.",
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"ClusterName","type":"string","jsonPath":".spec.name"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Reachable","type":"string","jsonPath":".status.conditions[?(@.type==\"Reachable\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason","priority":1}"#,
    printcolumn = r#"{"name":"Databases","type":"integer","jsonPath":".status.users","priority":1}"#,
    printcolumn = r#"{"name":"Unavailable","type":"boolean","jsonPath":".spec.unavailable","priority":1}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".status.credentialsExpire","priority":1}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version","priority":1}"#,
    printcolumn = r#"{"name":"Domain","type":"string","jsonPath":".spec.clusterDomain","priority":1}"#,
    printcolumn = r#"{"name":"Description","type":"string","jsonPath":".spec.description","priority":1}"#
)]
#[serde(rename_all = "camelCase")]
pub struct K8sClusterSpec {
    /// What people call the cluster. Placements may use it, as well as the object's own name and the context's.
    pub name: String,
    /// Anything worth knowing about the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A kubeconfig, plain or base64. `kubeConfigSecretRef` keeps it out of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<String>,
    /// Where the kubeconfig is instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_config_secret_ref: Option<KubeConfigSecretRef>,
    /// Which context of the kubeconfig; the current one, or the only one, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The DNS domain of the cluster's services, if it is not `cluster.local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_domain: Option<String>,
    /// The cluster has failed, as far as you can tell (`atoll worker mark-unavailable NAME` sets this). Atoll then believes
    /// nothing that is seen there and changes nothing there; databases say that their members there are gone, and new
    /// ones go elsewhere. When this goes, all of that heals by itself.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub unavailable: bool,
    /// No new members are placed there. Those that are there live on, and are looked after as ever.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub unschedulable: bool,
    /// From which namespaces of the master databases may place new members there; from all where this is absent, from
    /// none where it is empty. Members that are there already stay, whatever is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<Vec<String>>,
    /// Which namespace there takes the objects of databases from a namespace of the master, where it is not the one of the
    /// same name. It is recorded for each member when it is placed: an edit moves nobody.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_mapping: BTreeMap<String, String>,
}

/// What is not set is not written either: manifests stay as short as people wrote them.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields by reference")]
fn is_unset(mark: &bool) -> bool {
    !mark
}

impl std::fmt::Debug for K8sClusterSpec {
    /// Without the kubeconfig: specs end up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("K8sClusterSpec")
            .field("name", &self.name)
            .field("kube_config_secret_ref", &self.kube_config_secret_ref)
            .field("context", &self.context)
            .field("cluster_domain", &self.cluster_domain)
            .field("unavailable", &self.unavailable)
            .field("unschedulable", &self.unschedulable)
            .field("allowed_namespaces", &self.allowed_namespaces)
            .field("namespace_mapping", &self.namespace_mapping)
            .finish_non_exhaustive()
    }
}

/// A Secret that holds a kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeConfigSecretRef {
    /// Its namespace; Atoll's own where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The key in it; `kubeconfig` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which context of the kubeconfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

impl KubeConfigSecretRef {
    /// The key that holds the kubeconfig.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or("kubeconfig")
    }
}

impl K8sClusterSpec {
    /// The context that is asked for, if any.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.kube_config_secret_ref
            .as_ref()
            .and_then(|secret| secret.context.as_deref())
            .or(self.context.as_deref())
            .filter(|context| !context.is_empty())
    }
}

/// What Atoll knows of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct K8sClusterStatus {
    /// `Ready`: whether members can be placed and changed there, and if not, why.
    #[serde(default)]
    pub conditions: Vec<StatusCondition>,
    /// The version of its API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Which cluster this is: the UID of its kube-system namespace, pinned at first contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// When its credentials end, where they say so (RFC 3339): the client certificate or the token, whichever is first.
    // Written as null where it is unknown: the status is merged, and what is left out would stay.
    #[serde(default)]
    pub credentials_expire: Option<String>,
    /// How many databases have members there. While there are any, or debts, finalizer `atoll.dev/in-use` keeps this
    /// object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u32>,
    /// These databases and their members: the first twenty of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<String>,
    /// What databases that were deleted while this worker could not be seen may still have there (`atoll release`). It
    /// is deleted when the worker returns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debts: Vec<Debt>,
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_columns_are_those_of_the_document_and_the_others_come_with_wide() {
        let crd = serde_json::to_value(K8sCluster::crd()).unwrap();
        assert_eq!(crd["spec"]["scope"], "Cluster");
        assert_eq!(crd["metadata"]["name"], "k8sclusters.k8s.oceanbase.com");
        assert_eq!(crd["spec"]["names"]["shortNames"], json!(["kc"]));
        assert_eq!(crd["spec"]["names"]["singular"], "k8scluster");
        let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap().clone();
        let shown: Vec<_> = columns.iter().filter(|column| column.get("priority").is_none_or(|p| *p == 0)).collect();
        let names: Vec<_> = shown.iter().map(|column| column["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Age", "ClusterName"]);
        assert!(columns.len() > 2);
        let required = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["required"];
        assert_eq!(*required, json!(["name"]));
    }

    #[test]
    fn a_spec_in_a_log_shows_no_kubeconfig() {
        let spec = K8sClusterSpec { kube_config: Some("canary".to_owned()), ..K8sClusterSpec::default() };
        assert!(!format!("{spec:?}").contains("canary"));
    }
}
