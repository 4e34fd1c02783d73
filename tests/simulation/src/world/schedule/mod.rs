//! The scheduler: which node a pod goes to.

mod fit;
mod quantity;

use std::collections::BTreeMap;

use http::Method;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::Resource as _;
use serde_json::{Value, json};

pub(super) use fit::tolerates;
use fit::unfit;

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
