//! Namespaces: a new one gets its service account, one that is deleted is emptied and let go.

use http::Method;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use serde_json::{Value, json};

use super::{
    hand::{Done, Fault, Hand, path},
    objects::{Key, id, leaving},
    round::Round,
};

/// Everything namespaced that is served without a CustomResourceDefinition and may be left in a namespace.
const CONTENT: [&str; 14] = [
    "api/v1/pods",
    "api/v1/persistentvolumeclaims",
    "api/v1/services",
    "apis/batch/v1/jobs",
    "api/v1/secrets",
    "api/v1/configmaps",
    "api/v1/serviceaccounts",
    "api/v1/resourcequotas",
    "api/v1/limitranges",
    "api/v1/events",
    "apis/coordination.k8s.io/v1/leases",
    "apis/policy/v1/poddisruptionbudgets",
    "apis/rbac.authorization.k8s.io/v1/roles",
    "apis/rbac.authorization.k8s.io/v1/rolebindings",
];

/// Sets namespaces up, and takes them down.
pub(super) fn look_after(round: &mut Round) {
    let objects = round.objects;
    for (key, namespace) in &objects.namespaces {
        if leaving(namespace) {
            take_down(round, key, namespace);
            continue;
        }
        let account = (key.1.clone(), "default".to_owned());
        let pause = round.settings.pace.account;
        if !objects.accounts.contains_key(&account) && round.due("account", id(namespace), pause) {
            let name = key.1.clone();
            round.act(format!("account of namespace {name}"), move |hand| async move {
                let account =
                    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
                hand.create::<ServiceAccount>(&name, account).await
            });
        }
    }
}

fn take_down(round: &mut Round, key: &Key, namespace: &Namespace) {
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref()).unwrap_or_default();
    if !finalizers.iter().any(|held| held == "kubernetes") {
        return;
    }
    let pause = round.settings.pace.collect;
    if !round.due("namespace", id(namespace), pause) {
        return;
    }
    let (key, uid) = (key.clone(), id(namespace).to_owned());
    round.act(format!("content of namespace {}", key.1), move |hand| async move { empty(&hand, &key, &uid).await });
}

/// Deletes what is in a namespace; if nothing is, lets it go.
async fn empty(hand: &Hand, key: &Key, uid: &str) -> Done {
    let mut left = false;
    for kind in kinds(hand).await? {
        let (group, plural) = kind.rsplit_once('/').unwrap_or(("", &kind));
        let path = format!("/{group}/namespaces/{}/{plural}", key.1);
        let list = match hand.send::<Value>(Method::GET, &path, None).await {
            // A kind that is not served (any more).
            Err(Fault::Missing) => continue,
            list => list?,
        };
        let Some(items) = list["items"].as_array().filter(|items| !items.is_empty()) else { continue };
        left = true;
        // What is on its way already needs no second word.
        for item in items.iter().filter(|item| item["metadata"]["deletionTimestamp"].is_null()) {
            let (name, uid) = (item["metadata"]["name"].as_str().unwrap_or_default(), &item["metadata"]["uid"]);
            let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
                "preconditions": { "uid": uid } });
            match hand.send::<Value>(Method::DELETE, &format!("{path}/{name}"), Some(options)).await {
                Ok(_) | Err(Fault::Missing | Fault::Conflict) => {}
                Err(fault) => return Err(fault),
            }
        }
    }
    if left {
        return Ok(None);
    }
    let namespace = match hand.send::<Value>(Method::GET, &path::<Namespace>(key), None).await {
        Err(Fault::Missing) => return Ok(super::hand::missing::<Namespace>(key, uid)),
        found => found?,
    };
    if namespace["metadata"]["uid"] != uid {
        return Ok(None);
    }
    let mut namespace = namespace;
    namespace["spec"]["finalizers"] = json!([]);
    hand.send::<Value>(Method::PUT, &format!("{}/finalize", path::<Namespace>(key)), Some(namespace))
        .await
        .map(|_| None)
}

/// Every kind that may be in a namespace, those of CustomResourceDefinitions first.
async fn kinds(hand: &Hand) -> Result<Vec<String>, Fault> {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definitions = hand.send::<Value>(Method::GET, path, None).await?;
    let mut kinds = Vec::new();
    for definition in definitions["items"].as_array().into_iter().flatten() {
        let spec = &definition["spec"];
        let served = spec["versions"].as_array().into_iter().flatten().find(|version| version["served"] == true);
        if let (Some(served), "Namespaced") = (served, spec["scope"].as_str().unwrap_or_default()) {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            kinds.push(format!(
                "apis/{}/{}/{}",
                word(&spec["group"]),
                word(&served["name"]),
                word(&spec["names"]["plural"])
            ));
        }
    }
    kinds.extend(CONTENT.map(str::to_owned));
    Ok(kinds)
}
