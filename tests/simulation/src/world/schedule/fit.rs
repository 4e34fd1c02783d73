//! Whether a pod can go to a node, and why not.

use k8s_openapi::{
    api::core::v1::{
        Node, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolumeClaim, Pod, PodAffinityTerm, PodSpec, Taint,
        Toleration,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};

use super::quantity::{self, Resources};
use crate::world::{objects::Objects, volumes};

/// Why a pod cannot go to a node.
pub(super) fn unfit(
    objects: &Objects,
    pod: &Pod,
    node: &Node,
    claims: &[&PersistentVolumeClaim],
) -> Option<&'static str> {
    let (asking, pod, spec) = (pod, pod.spec.as_ref()?, node.spec.as_ref());
    let tolerations = pod.tolerations.as_deref().unwrap_or_default();
    if spec.and_then(|spec| spec.unschedulable) == Some(true) {
        return Some("node(s) were unschedulable");
    }
    let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let hard = taints.iter().filter(|taint| taint.effect != "PreferNoSchedule");
    if hard.into_iter().any(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint))) {
        return Some("node(s) had untolerated taint(s)");
    }
    if !selected(pod, node) {
        return Some("node(s) didn't match Pod's node affinity/selector");
    }
    let elsewhere = |claim: &&PersistentVolumeClaim| volumes::node(objects, claim).is_some_and(|on| !is(node, on));
    if claims.iter().any(elsewhere) {
        return Some("node(s) had volume node affinity conflict");
    }
    if avoids(objects, asking, node) {
        return Some("node(s) didn't match pod anti-affinity rules");
    }
    lacks(objects, pod, node)
}

/// Which resource a node has not enough of.
fn lacks(objects: &Objects, pod: &PodSpec, node: &Node) -> Option<&'static str> {
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let mut free = Resources::of(allocatable);
    for taken in on(objects, node).filter_map(|pod| pod.spec.as_ref()) {
        free -= quantity::requested(taken);
    }
    let wanted = quantity::requested(pod);
    match () {
        () if wanted.cpu > free.cpu => Some("Insufficient cpu"),
        () if wanted.memory > free.memory => Some("Insufficient memory"),
        () => None,
    }
}

/// The pods on a node that have not ended.
fn on<'a>(objects: &'a Objects, node: &'a Node) -> impl Iterator<Item = &'a Pod> {
    let there = |pod: &&Pod| {
        let ended = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let place = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        place.is_some() && place == node.metadata.name.as_ref() && !matches!(ended, Some("Succeeded" | "Failed"))
    };
    objects.pods.values().filter(there)
}

/// Whether a pod that the asking one must not be near to is where the node is.
fn avoids(objects: &Objects, asking: &Pod, node: &Node) -> bool {
    let affinity = asking.spec.as_ref().and_then(|spec| spec.affinity.as_ref()?.pod_anti_affinity.as_ref());
    let terms = affinity.and_then(|anti| anti.required_during_scheduling_ignored_during_execution.as_deref());
    terms.unwrap_or_default().iter().any(|term| {
        let domain = domain(node, term);
        let near = objects.nodes.values().filter(|other| domain.is_some() && self::domain(other, term) == domain);
        let mut pods = near.flat_map(|other| on(objects, other));
        pods.any(|pod| {
            pod.metadata.namespace == asking.metadata.namespace && is_meant(pod, term.label_selector.as_ref())
        })
    })
}

fn domain<'a>(node: &'a Node, term: &PodAffinityTerm) -> Option<&'a String> {
    node.metadata.labels.as_ref()?.get(&term.topology_key)
}

fn is_meant(pod: &Pod, selector: Option<&LabelSelector>) -> bool {
    let label = |key: &str| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key));
    let Some(selector) = selector else { return false };
    let by_labels = selector.match_labels.iter().flatten().all(|(key, value)| label(key) == Some(value));
    let by_expressions = selector.match_expressions.iter().flatten().all(|wish| {
        let (key, operator, values) = (wish.key.clone(), wish.operator.clone(), wish.values.clone());
        meets(&NodeSelectorRequirement { key, operator, values }, label(&wish.key).map(String::as_str))
    });
    by_labels && by_expressions
}

fn is(node: &Node, name: &str) -> bool {
    node.metadata.name.as_deref() == Some(name)
}

/// Whether a toleration is for a taint.
pub(in crate::world) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().is_none_or(|effect| effect.is_empty() || effect == taint.effect);
    let key = toleration.key.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    let value = exists || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    effect && (key == taint.key && value || key.is_empty() && exists)
}

fn selected(pod: &PodSpec, node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    let has = |key: &str| labels.and_then(|labels| labels.get(key));
    let by_labels = pod.node_selector.iter().flatten().all(|(key, value)| has(key) == Some(value));
    let affinity = pod.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    let by_affinity = required.is_none_or(|required| required.node_selector_terms.iter().any(|term| fits(term, node)));
    by_labels && by_affinity
}

fn fits(term: &NodeSelectorTerm, node: &Node) -> bool {
    let label = |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let field = |key: &str| (key == "metadata.name").then_some(node.metadata.name.as_deref()).flatten();
    let labels = term.match_expressions.iter().flatten().all(|wish| meets(wish, label(&wish.key)));
    let fields = term.match_fields.iter().flatten().all(|wish| meets(wish, field(&wish.key)));
    let empty = term.match_expressions.is_none() && term.match_fields.is_none();
    !empty && labels && fields
}

fn meets(wish: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let listed = |value: &str| wish.values.iter().flatten().any(|wanted| wanted == value);
    match wish.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // "Gt" and "Lt": nobody here numbers nodes.
        _ => false,
    }
}
