//! The scheduler: which node a pod goes to.

use std::collections::BTreeMap;

use http::Method;
use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolumeClaim, Pod, Taint, Toleration,
};
use kube::Resource as _;
use serde_json::{Value, json};

use super::{
    Goods,
    hand::{Part, path},
    kubelet::whole_seconds,
    objects::{Key, Objects, id, leaving},
    round::Round,
    volumes::{self, Binding, SELECTED_NODE},
};

/// Finds nodes for the pods that have none.
pub(super) fn schedule(round: &mut Round) {
    if !round.has(Goods::Scheduling) {
        return;
    }
    let objects = round.objects;
    for (key, pod) in &objects.pods {
        let Some(spec) = &pod.spec else { continue };
        let ours = spec.scheduler_name.as_deref().is_none_or(|name| name == "default-scheduler");
        if spec.node_name.is_some() || leaving(pod) || !ours {
            continue;
        }
        let pause = round.settings.pace.schedule;
        if !round.due("schedule", id(pod), pause) {
            continue;
        }
        match place(objects, pod) {
            Ok((node, waiting)) if waiting.is_empty() => bind(round, key, pod, node),
            Ok((node, waiting)) => waiting.into_iter().for_each(|claim| select(round, claim, &node)),
            Err(words) => explain(round, key, pod, &words),
        }
    }
}

/// The node for a pod, and the claims that wait to hear of it before they are bound.
fn place<'a>(objects: &'a Objects, pod: &Pod) -> Result<(String, Vec<&'a PersistentVolumeClaim>), String> {
    let total = objects.nodes.len();
    let nobody = |why: String| format!("0/{total} nodes are available: {why}");
    let claims = claims(objects, pod)?;
    let unbound = |claim: &&&PersistentVolumeClaim| !volumes::is_bound(claim);
    if claims.iter().filter(unbound).any(|claim| volumes::binding(objects, claim) != Some(Binding::WhenUsed)) {
        return Err(nobody("pod has unbound immediate PersistentVolumeClaims.".to_owned()));
    }
    let mut why: BTreeMap<&str, usize> = BTreeMap::new();
    let mut fit = Vec::new();
    for node in objects.nodes.values() {
        match unfit(objects, pod, node, &claims) {
            Some(reason) => *why.entry(reason).or_default() += 1,
            None => fit.push(node),
        }
    }
    let on = |node: &Node| {
        let name = node.metadata.name.as_deref();
        objects.pods.values().filter(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == name).count()
    };
    // The emptiest; of those, the first by name.
    match fit.into_iter().min_by_key(|node| on(node)) {
        Some(node) => {
            let waiting = claims.into_iter().filter(|claim| unbound(&claim)).collect();
            Ok((node.metadata.name.clone().unwrap_or_default(), waiting))
        }
        None if total == 0 => Err("no nodes available to schedule pods".to_owned()),
        None => {
            let reasons: Vec<_> = why.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            Err(nobody(format!("{}.", reasons.join(", "))))
        }
    }
}

fn claims<'a>(objects: &'a Objects, pod: &Pod) -> Result<Vec<&'a PersistentVolumeClaim>, String> {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let names = volumes.filter_map(|volume| Some(&volume.persistent_volume_claim.as_ref()?.claim_name));
    names
        .map(|name| match objects.claims.get(&(namespace.clone(), name.clone())) {
            None => Err(format!("persistentvolumeclaim \"{name}\" not found")),
            Some(claim) if leaving(claim) => Err(format!("persistentvolumeclaim \"{name}\" is being deleted")),
            Some(claim) => Ok(claim),
        })
        .collect()
}

/// Why a pod cannot go to a node.
fn unfit(objects: &Objects, pod: &Pod, node: &Node, claims: &[&PersistentVolumeClaim]) -> Option<&'static str> {
    let (pod, spec) = (pod.spec.as_ref()?, node.spec.as_ref());
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
    claims.iter().any(elsewhere).then_some("node(s) had volume node affinity conflict")
}

fn is(node: &Node, name: &str) -> bool {
    node.metadata.name.as_deref() == Some(name)
}

/// Whether a toleration is for a taint.
pub(super) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().is_none_or(|effect| effect.is_empty() || effect == taint.effect);
    let key = toleration.key.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    let value = exists || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    effect && (key == taint.key && value || key.is_empty() && exists)
}

fn selected(pod: &k8s_openapi::api::core::v1::PodSpec, node: &Node) -> bool {
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

fn bind(round: &mut Round, key: &Key, pod: &Pod, node: String) {
    let (key, uid) = (key.clone(), id(pod).to_owned());
    round.act(format!("node of pod {}/{}", key.0, key.1), move |hand| async move {
        let body = json!({ "apiVersion": "v1", "kind": "Binding",
            "metadata": { "namespace": key.0, "name": key.1, "uid": uid },
            "target": { "apiVersion": "v1", "kind": Node::kind(&()), "name": node } });
        hand.send::<Value>(Method::POST, &format!("{}/binding", path::<Pod>(&key)), Some(body)).await.map(|_| None)
    });
}

/// Tells a claim which node its volume is to be on.
fn select(round: &mut Round, claim: &PersistentVolumeClaim, node: &str) {
    if volumes::selected_node(claim) == Some(node) {
        return;
    }
    let (key, uid) = (super::objects::key(claim), id(claim).to_owned());
    let patch = json!({ "metadata": { "annotations": { SELECTED_NODE: node } } });
    round.act(format!("node of claim {}/{}", key.0, key.1), move |hand| async move {
        hand.patch::<PersistentVolumeClaim>(&key, &uid, Part::Object, patch).await
    });
}

/// Says why a pod has no node.
fn explain(round: &mut Round, key: &Key, pod: &Pod, words: &str) {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let (mut others, mut said) = (Vec::new(), false);
    for condition in conditions {
        if condition.type_ == "PodScheduled" {
            said = condition.status == "False" && condition.message.as_deref() == Some(words);
        } else {
            others.push(json!(condition));
        }
    }
    if said {
        return;
    }
    others.push(json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words,
        "lastTransitionTime": whole_seconds(round.wall).to_string() }));
    let (key, uid) = (key.clone(), id(pod).to_owned());
    round.act(format!("status of pod {}/{}", key.0, key.1), move |hand| async move {
        let patch = json!({ "status": { "conditions": others } });
        hand.patch::<Pod>(&key, &uid, Part::Status, patch).await
    });
}
