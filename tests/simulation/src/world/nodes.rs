//! Nodes: they register themselves, and are found out when nothing is heard of them.

use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use serde_json::{Value, json};

use super::{
    hand::Part,
    kubelet::{Kubelets, Trouble, whole_seconds},
    objects::{Key, id, leaving},
    round::Round,
    schedule::tolerates,
};

const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// What an API server gives to a node that registers.
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// Registers nodes, and tells which of them are not heard of.
pub(super) fn look_after(round: &mut Round, kubelets: &Kubelets) {
    let objects = round.objects;
    for name in round.settings.node_names() {
        let key = (String::new(), name.clone());
        let trouble = kubelets.troubled.get(&name).copied();
        match objects.nodes.get(&key) {
            Some(node) => tell(round, &key, node, trouble),
            None if trouble.is_none() => register(round, &key),
            None => {}
        }
    }
    for (key, pod) in &objects.pods {
        look_after_pod(round, key, pod, kubelets);
    }
}

fn register(round: &mut Round, (_, name): &Key) {
    let name = name.clone();
    let zone = round.settings.cluster.clone();
    round.act(format!("node {name}"), move |hand| async move {
        let labels = json!({ "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": zone });
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels } });
        hand.create::<Node>("", node).await
    });
}

/// A node is ready, or has not been heard of for too long.
fn tell(round: &mut Round, key: &Key, node: &Node, trouble: Option<Trouble>) {
    let grace = round.settings.pace.node_grace;
    let silent = trouble.is_some() && round.due_exactly("silence", &key.1, grace);
    if trouble.is_some() && !silent {
        return;
    }
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let said = conditions.into_iter().find(|condition| condition.type_ == "Ready").map(|ready| ready.status.clone());
    let wanted = if silent { "Unknown" } else { "True" };
    if said.as_deref() != Some(wanted) {
        let (reason, message) = if silent {
            ("NodeStatusUnknown", "Kubelet stopped posting node status.")
        } else {
            ("KubeletReady", "kubelet is posting ready status")
        };
        let now = whole_seconds(round.wall).to_string();
        let resources = json!({ "cpu": "16", "memory": "64Gi", "pods": "110" });
        let ready = json!({ "type": "Ready", "status": wanted, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now });
        let address = round.settings.host_ip(&key.1);
        let patch = json!({ "conditions": [ready], "capacity": resources, "allocatable": resources,
            "addresses": [{ "type": "InternalIP", "address": address }, { "type": "Hostname", "address": key.1 }] });
        write(round, key, node, Part::Status, json!({ "status": patch }));
        return;
    }
    taint(round, key, node, silent);
}

fn taint(round: &mut Round, key: &Key, node: &Node, silent: bool) {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let is_ours = |taint: &&Taint| matches!(taint.key.as_str(), UNREACHABLE | NOT_READY);
    let effects = if silent { &["NoSchedule", "NoExecute"][..] } else { &[] };
    let said: Vec<_> = taints.iter().filter(is_ours).map(|taint| (taint.key.as_str(), taint.effect.as_str())).collect();
    if said.len() == effects.len() && effects.iter().all(|effect| said.contains(&(UNREACHABLE, *effect))) {
        return;
    }
    let others = taints.iter().filter(|taint| !is_ours(taint)).map(|taint| json!(taint));
    let ours = effects.iter().map(|effect| json!({ "key": UNREACHABLE, "effect": effect }));
    let wanted: Vec<_> = others.chain(ours).collect();
    let version = node.metadata.resource_version.clone();
    let patch = json!({ "metadata": { "resourceVersion": version }, "spec": { "taints": wanted } });
    write(round, key, node, Part::Object, patch);
}

fn write(round: &mut Round, key: &Key, node: &Node, part: Part, patch: Value) {
    let (key, uid) = (key.clone(), id(node).to_owned());
    round.act(format!("node {}", key.1), move |hand| async move { hand.patch::<Node>(&key, &uid, part, patch).await });
}

/// A pod of a node that is not heard of is not ready, and after a while is asked to go. One of a node that is gone goes.
fn look_after_pod(round: &mut Round, key: &Key, pod: &Pod, kubelets: &Kubelets) {
    let Some(name) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) else { return };
    let Some(node) = round.objects.nodes.get(&(String::new(), name.to_owned())) else {
        let grace = round.settings.pace.node_grace;
        let nobody = kubelets.troubled.contains_key(name) || !round.settings.runs(name);
        if nobody && round.due("gone", id(pod), grace) {
            delete(round, key, pod, Some(0));
        }
        return;
    };
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let evicts = taints.iter().find(|taint| taint.key == UNREACHABLE && taint.effect == "NoExecute");
    let Some(taint) = evicts.filter(|_| kubelets.troubled.contains_key(name)) else { return };
    mark(round, key, pod);
    let patience = patience(pod, taint, round);
    if let Some(patience) = patience
        && !leaving(pod)
        && round.due_exactly("evict", id(pod), patience)
    {
        delete(round, key, pod, None);
    }
}

/// How long a pod bears a taint; `None` for ever.
fn patience(pod: &Pod, taint: &Taint, round: &Round) -> Option<std::time::Duration> {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let mut bearing = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
    if bearing.peek().is_none() {
        return Some(round.settings.pace.evict);
    }
    let seconds = bearing.filter_map(|toleration| toleration.toleration_seconds).min()?;
    Some(std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

fn mark(round: &mut Round, key: &Key, pod: &Pod) {
    let mut conditions = pod.status.iter().filter_map(|status| status.conditions.clone()).flatten().collect::<Vec<_>>();
    let Some(ready) = conditions.iter_mut().find(|one| one.type_ == "Ready" && one.status == "True") else { return };
    "False".clone_into(&mut ready.status);
    ready.reason = Some("NodeNotReady".to_owned());
    ready.message = Some("Node is not ready".to_owned());
    ready.last_transition_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(whole_seconds(round.wall)));
    let (key, uid) = (key.clone(), id(pod).to_owned());
    round.act(format!("status of pod {}/{}", key.0, key.1), move |hand| async move {
        let patch = json!({ "status": { "conditions": conditions } });
        hand.patch::<Pod>(&key, &uid, Part::Status, patch).await
    });
}

fn delete(round: &mut Round, key: &Key, pod: &Pod, grace: Option<u32>) {
    let (key, uid) = (key.clone(), id(pod).to_owned());
    round.act(format!("end of pod {}/{}", key.0, key.1), move |hand| async move {
        hand.delete::<Pod>(&key, &uid, grace).await
    });
}
