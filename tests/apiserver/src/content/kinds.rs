//! Which kinds are served.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Cause, Refusal, Schema, decode, structural, table};

/// One version of one kind, as it is served.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about how the kind is served")]
#[derive(Clone, Debug)]
pub struct Kind {
    /// Empty for the core group.
    pub group: String,
    /// Such as `v1`.
    pub version: String,
    /// Such as `Pod`.
    pub kind: String,
    /// Such as `PodList`.
    pub list_kind: String,
    /// Such as `pods`.
    pub plural: String,
    /// Such as `pod`.
    pub singular: String,
    /// Otherwise of the whole cluster.
    pub namespaced: bool,
    /// Whether there is an endpoint `/status`.
    pub status: bool,
    /// Whether a PUT makes what is not there.
    pub create_on_update: bool,
    /// Whether a PUT may leave out the resource version.
    pub unconditional_update: bool,
    /// Whether this comes from a CustomResourceDefinition.
    pub custom: bool,
    /// The types of its fields.
    pub schema: Arc<Schema>,
    /// The object of which nothing is said: what a new one is compared with.
    pub(crate) empty: Arc<Value>,
}

impl Kind {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// How a built-in kind is served.
struct Row(&'static str, &'static str, &'static str, Scope, Status, OnPut);

enum Scope {
    Namespaced,
    Cluster,
}

#[derive(PartialEq)]
enum Status {
    Apart,
    None,
}

enum OnPut {
    /// Only changes; the resource version may be missing.
    Changes,
    /// Makes it if need be; the resource version may be missing.
    Makes,
    /// Only changes, and only with a resource version.
    Versioned,
    /// Makes it if need be; a change needs a resource version.
    MakesVersioned,
}

use OnPut::{Changes, Makes, MakesVersioned, Versioned};
use Scope::{Cluster, Namespaced};
use Status::{Apart, None as Plain};

const ADMISSION: &str = "admissionregistration.k8s.io/v1";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

const BUILTIN: &[Row] = &[
    Row("v1", "Pod", "pods", Namespaced, Apart, Changes),
    Row("v1", "Service", "services", Namespaced, Apart, Makes),
    Row("v1", "PersistentVolumeClaim", "persistentvolumeclaims", Namespaced, Apart, Changes),
    Row("v1", "PersistentVolume", "persistentvolumes", Cluster, Apart, Changes),
    Row("v1", "Namespace", "namespaces", Cluster, Apart, Changes),
    Row("v1", "Node", "nodes", Cluster, Apart, Changes),
    Row("v1", "Secret", "secrets", Namespaced, Plain, Changes),
    Row("v1", "ConfigMap", "configmaps", Namespaced, Plain, Changes),
    Row("v1", "ServiceAccount", "serviceaccounts", Namespaced, Plain, Changes),
    Row("v1", "Event", "events", Namespaced, Plain, Makes),
    Row("v1", "ResourceQuota", "resourcequotas", Namespaced, Apart, Changes),
    Row("v1", "LimitRange", "limitranges", Namespaced, Plain, Makes),
    Row("v1", "Endpoints", "endpoints", Namespaced, Plain, Makes),
    Row("batch/v1", "Job", "jobs", Namespaced, Apart, Changes),
    Row("coordination.k8s.io/v1", "Lease", "leases", Namespaced, Plain, MakesVersioned),
    Row("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", Namespaced, Plain, Changes),
    Row("events.k8s.io/v1", "Event", "events", Namespaced, Plain, Makes),
    Row("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", Namespaced, Apart, Versioned),
    Row("storage.k8s.io/v1", "StorageClass", "storageclasses", Cluster, Plain, Changes),
    Row("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments", Cluster, Apart, Versioned),
    Row("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", Cluster, Plain, Changes),
    Row(RBAC, "Role", "roles", Namespaced, Plain, Makes),
    Row(RBAC, "RoleBinding", "rolebindings", Namespaced, Plain, Makes),
    Row(RBAC, "ClusterRole", "clusterroles", Cluster, Plain, Makes),
    Row(RBAC, "ClusterRoleBinding", "clusterrolebindings", Cluster, Plain, Makes),
    Row(ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", Cluster, Apart, Versioned),
    Row(ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", Cluster, Plain, Versioned),
    Row("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", Cluster, Apart, Versioned),
];

/// Every kind that is served without a CustomResourceDefinition.
pub fn builtin_kinds() -> Vec<Kind> {
    BUILTIN.iter().filter_map(built_in).collect()
}

fn built_in(Row(api_version, kind, plural, scope, status, on_put): &Row) -> Option<Kind> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let name = if group == "events.k8s.io" { "EventsEvent" } else { kind };
    let schema = table::schema(name)?;
    Some(Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: (*kind).to_owned(),
        list_kind: format!("{kind}List"),
        plural: (*plural).to_owned(),
        singular: kind.to_lowercase(),
        namespaced: matches!(scope, Namespaced),
        status: *status == Apart,
        create_on_update: matches!(on_put, Makes | MakesVersioned),
        unconditional_update: matches!(on_put, Changes | Makes),
        custom: false,
        empty: Arc::new(empty(decode::empty(&schema), api_version, kind)),
        schema: Arc::new(schema),
    })
}

fn empty(mut object: Value, api_version: &str, kind: &str) -> Value {
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    object
}

/// The kinds that a CustomResourceDefinition adds: one for each version that is served.
pub fn kinds_of_crd(crd: &Value) -> Result<Vec<Kind>, Refusal> {
    let spec = &crd["spec"];
    let word = |value: &Value, field: &str| match value.as_str() {
        Some(word) if !word.is_empty() => Ok(word.to_owned()),
        _ => Err(Refusal::Invalid(vec![Cause {
            field: field.to_owned(),
            reason: "FieldValueRequired".to_owned(),
            message: "Required value".to_owned(),
        }])),
    };
    let names = &spec["names"];
    let kind = word(&names["kind"], "spec.names.kind")?;
    let mut kinds = Vec::new();
    for version in spec["versions"].as_array().into_iter().flatten() {
        if version["served"] != Value::Bool(true) {
            continue;
        }
        let group = word(&spec["group"], "spec.group")?;
        let name = word(&version["name"], "spec.versions[0].name")?;
        let api_version = format!("{group}/{name}");
        kinds.push(Kind {
            group,
            version: name,
            list_kind: names["listKind"].as_str().map_or_else(|| format!("{kind}List"), str::to_owned),
            plural: word(&names["plural"], "spec.names.plural")?,
            singular: names["singular"].as_str().map_or_else(|| kind.to_lowercase(), str::to_owned),
            empty: Arc::new(empty(Value::Object(Map::new()), &api_version, &kind)),
            kind: kind.clone(),
            namespaced: spec["scope"] == "Namespaced",
            status: version["subresources"]["status"].is_object(),
            create_on_update: false,
            unconditional_update: false,
            custom: true,
            schema: structural::compiled(version["schema"].get("openAPIV3Schema")),
        });
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_kind_has_types() {
        assert_eq!(builtin_kinds().len(), BUILTIN.len());
    }
}
