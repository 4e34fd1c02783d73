//! The `Cluster` resource: every field that the documents print, and those that their users rely on for a component.
//!
//! Other fields of the vendor's API are kept, not refused, and named in condition `Accepted`.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Affinity, EnvVar, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::plan::{
    operation::StatusOperation,
    record::Record,
    report::{MemberReport, StatusCondition},
};

/// What a `Cluster` asks for.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kubeblocks.io",
    version = "v1alpha1",
    kind = "Cluster",
    plural = "clusters",
    namespaced,
    category = "kubeblocks",
    category = "all",
    status = "ClusterStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name": "CLUSTER-DEFINITION", "type": "string", "jsonPath": ".spec.clusterDefinitionRef"}"#,
    printcolumn = r#"{"name": "VERSION", "type": "string", "jsonPath": ".spec.clusterVersionRef"}"#,
    printcolumn = r#"{"name": "TERMINATION-POLICY", "type": "string", "jsonPath": ".spec.terminationPolicy"}"#,
    printcolumn = r#"{"name": "STATUS", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "MESSAGE", "type": "string", "jsonPath": ".status.message", "priority": 1}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ClusterSpec {
    /// The vendor's definition of the whole cluster; the documents name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_definition_ref: Option<String>,
    /// The vendor's version of the whole cluster; the documents name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_version_ref: Option<String>,
    /// What stays when the cluster is deleted.
    pub termination_policy: TerminationPolicy,
    /// The components. Atoll serves clusters of one component.
    #[serde(default)]
    pub component_specs: Vec<ComponentSpec>,
    /// How pods are scheduled, for components that do not say themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling_policy: Option<SchedulingPolicy>,
    /// The older form of the scheduling policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<OldAffinity>,
    /// Tolerations, for components that do not say themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Fields that Atoll does not serve.
    #[serde(flatten)]
    #[schemars(skip)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// What stays when a cluster is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TerminationPolicy {
    /// Everything: it is not deleted.
    DoNotTerminate,
    /// Its volumes.
    Halt,
    /// Its backups.
    #[default]
    Delete,
    /// Nothing.
    WipeOut,
}

/// One component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ComponentSpec {
    /// Its name.
    pub name: String,
    /// The component definition: what runs in it (`etcd-0.9.0`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_def: Option<String>,
    /// The version of what runs in it, where the definition's own is not wanted (`3.5.35`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_version: Option<String>,
    /// How many members.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Requests and limits of each member.
    #[serde(default)]
    pub resources: ResourceRequirements,
    /// The volumes of each member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_claim_templates: Vec<VolumeClaimTemplate>,
    /// The services of the component or of its members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSpec>,
    /// Labels of each member's pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of each member's pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Environment of each member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// How pods are scheduled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling_policy: Option<SchedulingPolicy>,
    /// The older form of the scheduling policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<OldAffinity>,
    /// Tolerations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// The service account of the pods, in each worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Pull secrets, in each worker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Fields that Atoll does not serve.
    #[serde(flatten)]
    #[schemars(skip)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// A volume of each member, or (document 001, first example) a service that has slipped in among them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaimTemplate {
    /// Its name.
    pub name: String,
    /// The claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<VolumeClaimSpec>,
    /// A service's type: this entry is a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// A service's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whether each member has that service of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_service: Option<bool>,
}

/// What a volume claim asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaimSpec {
    /// Access modes; `ReadWriteOnce` where none are given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_modes: Vec<String>,
    /// The size, as `requests.storage`.
    #[serde(default)]
    pub resources: VolumeResources,
    /// The storage class; the worker's default where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// `Filesystem` or `Block`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_mode: Option<String>,
}

/// A volume's size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeResources {
    /// Requests, by resource.
    #[serde(default)]
    pub requests: BTreeMap<String, Quantity>,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Its name: `peer` is the one that etcd's members use among themselves.
    pub name: String,
    /// Its type.
    #[serde(default)]
    pub service_type: ServiceType,
    /// Its annotations, passed through.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whether each member has one of its own.
    #[serde(default)]
    pub pod_service: bool,
}

/// The type of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Within the worker (or, with a mesh, within all of them).
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// By a port of every node.
    NodePort,
    /// By a load balancer.
    LoadBalancer,
}

/// How pods are scheduled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchedulingPolicy {
    /// The scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
    /// The node selector.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Affinity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Tolerations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Spread constraints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
}

/// The older, shorter form of affinity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OldAffinity {
    /// How strictly members avoid each other.
    #[serde(default)]
    pub pod_anti_affinity: AntiAffinity,
    /// Over which topologies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_keys: Vec<String>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_labels: BTreeMap<String, String>,
    /// Whether members of other clusters may share a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenancy: Option<String>,
}

/// How strictly members avoid each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AntiAffinity {
    /// If possible.
    #[default]
    Preferred,
    /// Always.
    Required,
}

/// What is told of a `Cluster`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The generation that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Creating`, `Running`, `Updating`, `Abnormal`, `Failed` or `Deleting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What is waited for, or what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The components, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, ComponentStatus>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<StatusCondition>,
    /// Where each member is, and how it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberReport>,
    /// The change that is being carried out, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<StatusOperation>,
    /// Atoll's record: what it will act on. Not for editing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub atoll: Option<Record>,
}

/// What is told of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Its phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Whether all its pods are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods_ready: Option<bool>,
    /// Its members' roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members_status: Vec<MemberStatus>,
}

/// What is told of a member, in the vendor's words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Its pod.
    pub pod_name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Its role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<ReplicaRole>,
}

/// A role, in the vendor's words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaRole {
    /// `leader`, `follower` or `learner`.
    pub name: String,
    /// `ReadWrite` or `Readonly`.
    pub access_mode: String,
    /// Whether it votes.
    pub can_vote: bool,
    /// Whether it leads.
    pub is_leader: bool,
}

fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
