//! What pods get on their way in: a service account with its token, a priority, and patience with nodes.

use serde_json::{Value, json};

use super::about;
use crate::{
    failure::Failure,
    state::{Ask, State, text},
};

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_VOLUME: &str = "kube-api-access-";

/// What the server keeps if a change does not say it, and what a changed pod gets again.
pub(super) fn admit_change(live: Option<&Value>, pod: &mut Value) {
    let Some(live) = live else { return };
    if !pod["spec"].is_object() {
        return;
    }
    for name in ["priority", "preemptionPolicy"] {
        if pod["spec"][name].is_null() && !live["spec"][name].is_null() {
            pod["spec"][name] = live["spec"][name].clone();
        }
    }
    tolerate_trouble(pod);
}

impl State {
    pub(super) fn admit_pod(&mut self, ask: &Ask<'_>, pod: &mut Value) -> Result<(), Failure> {
        if !pod["spec"].is_object() {
            return Ok(());
        }
        self.give_account(ask, pod)?;
        self.give_priority(ask, pod)?;
        tolerate_trouble(pod);
        Ok(())
    }

    fn give_account(&mut self, ask: &Ask<'_>, pod: &mut Value) -> Result<(), Failure> {
        if text(pod, &["spec", "serviceAccountName"]).is_empty() {
            pod["spec"]["serviceAccountName"] = "default".into();
        }
        let (namespace, name) = (ask.namespace(), text(pod, &["spec", "serviceAccountName"]).to_owned());
        // The older name of the same field.
        pod["spec"]["serviceAccount"] = name.as_str().into();
        let Some(account) = self.object("serviceaccounts", namespace, &name).map(|stored| stored.value.clone()) else {
            let words =
                format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
            return Err(Failure::forbidden(&about(ask.kind(), ask.name(), pod), &words));
        };
        let wish = |object: &Value| object["automountServiceAccountToken"].as_bool();
        if wish(&pod["spec"]).or(wish(&account)).unwrap_or(true) {
            self.mount_token(pod);
        }
        if pod["spec"]["imagePullSecrets"].as_array().is_none_or(Vec::is_empty)
            && let Some(secrets) = account["imagePullSecrets"].as_array().filter(|secrets| !secrets.is_empty())
        {
            pod["spec"]["imagePullSecrets"] = secrets.clone().into();
        }
        Ok(())
    }

    fn mount_token(&mut self, pod: &mut Value) {
        let volumes = pod["spec"]["volumes"].as_array();
        let mut names = volumes.into_iter().flatten().map(|volume| text(volume, &["name"]));
        let there = names.find(|name| name.starts_with(TOKEN_VOLUME)).map(str::to_owned);
        let name = there.clone().unwrap_or_else(|| format!("{TOKEN_VOLUME}{}", self.random.suffix()));
        let mount = json!({ "name": name, "readOnly": true, "mountPath": TOKEN_PATH });
        let mut needed = false;
        for list in ["initContainers", "containers"] {
            for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
                if !container.is_object() {
                    continue;
                }
                if !container["volumeMounts"].is_array() {
                    container["volumeMounts"] = json!([]);
                }
                if let Some(mounts) = container["volumeMounts"].as_array_mut()
                    && mounts.iter().all(|mount| mount["mountPath"] != TOKEN_PATH)
                {
                    mounts.push(mount.clone());
                    needed = true;
                }
            }
            if pod["spec"][list].is_null()
                && let Some(spec) = pod["spec"].as_object_mut()
            {
                spec.remove(list);
            }
        }
        if there.is_some() || !needed {
            return;
        }
        if !pod["spec"]["volumes"].is_array() {
            pod["spec"]["volumes"] = json!([]);
        }
        if let Some(volumes) = pod["spec"]["volumes"].as_array_mut() {
            volumes.push(json!({ "name": name, "projected": {
                "defaultMode": 420,
                "sources": [
                    { "serviceAccountToken": { "path": "token", "expirationSeconds": 3607 } },
                    { "configMap": {
                        "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }],
                    } },
                    { "downwardAPI": { "items": [{
                        "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                    }] } },
                ],
            } }));
        }
    }

    fn give_priority(&self, ask: &Ask<'_>, pod: &mut Value) -> Result<(), Failure> {
        let class = text(pod, &["spec", "priorityClassName"]).to_owned();
        let (priority, policy) = if class.is_empty() {
            let classes = self.objects("priorityclasses.scheduling.k8s.io", "");
            match classes.iter().find(|class| class["globalDefault"] == true) {
                Some(class) => {
                    pod["spec"]["priorityClassName"] = class["metadata"]["name"].clone();
                    (class["value"].as_i64().unwrap_or(0), class["preemptionPolicy"].clone())
                }
                None => (0, "PreemptLowerPriority".into()),
            }
        } else {
            match (class.as_str(), self.object("priorityclasses.scheduling.k8s.io", "", &class)) {
                (_, Some(class)) => {
                    (class.value["value"].as_i64().unwrap_or(0), class.value["preemptionPolicy"].clone())
                }
                ("system-node-critical", None) => (2_000_001_000, "PreemptLowerPriority".into()),
                ("system-cluster-critical", None) => (2_000_000_000, "PreemptLowerPriority".into()),
                _ => {
                    let words = format!("no PriorityClass with name {class} was found");
                    return Err(Failure::forbidden(&about(ask.kind(), ask.name(), pod), &words));
                }
            }
        };
        if let Some(given) = pod["spec"]["priority"].as_i64().filter(|given| *given != priority) {
            let words = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
                 computed {priority} from the given PriorityClass name"
            );
            return Err(Failure::forbidden(&about(ask.kind(), ask.name(), pod), &words));
        }
        pod["spec"]["priority"] = priority.into();
        if !policy.is_null() {
            pod["spec"]["preemptionPolicy"] = policy;
        }
        Ok(())
    }
}

/// A pod stays for five minutes on a node that is in trouble, unless it says otherwise.
fn tolerate_trouble(pod: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        tolerate(pod, key);
    }
}

fn tolerate(pod: &mut Value, key: &str) {
    if !pod["spec"]["tolerations"].is_array() {
        pod["spec"]["tolerations"] = json!([]);
    }
    let Some(tolerations) = pod["spec"]["tolerations"].as_array_mut() else { return };
    let tolerated = tolerations.iter().any(|toleration| {
        matches!(text(toleration, &["key"]), given if given.is_empty() || given == key)
            && matches!(text(toleration, &["effect"]), "" | "NoExecute")
    });
    if !tolerated {
        tolerations.push(json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }));
    }
}
