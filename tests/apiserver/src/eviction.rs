//! Binding and evicting pods.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    delete::Options,
    failure::{About, Failure},
    precondition::precondition,
    selector::selects,
    state::{Ask, State, text, texts},
    store::bytes_of,
};

impl State {
    /// What a scheduler does: says on which node a pod runs.
    pub(crate) fn bind(&mut self, ask: &Ask<'_>) -> Result<Bytes, Failure> {
        let binding: Value =
            serde_json::from_slice(ask.body).map_err(|error| Failure::bad_request(error.to_string()))?;
        let about = ask.about();
        let node = text(&binding, &["target", "name"]);
        if text(&binding, &["metadata", "name"]) != ask.name() {
            return Err(Failure::bad_request("name in URL does not match name in Binding object"));
        }
        if node.is_empty() {
            return Err(Failure::bare(500, "target.name: Required value"));
        }
        let key = ask.key();
        let stored = self.store.get("pods", &key).ok_or_else(|| Failure::not_found(&about))?;
        let mut pod = (*stored.value).clone();
        let uid = text(&binding, &["metadata", "uid"]);
        if !uid.is_empty() && uid != text(&pod, &["metadata", "uid"]) {
            return Err(precondition(ask, "UID", uid, text(&pod, &["metadata", "uid"])));
        }
        if pod["metadata"]["deletionTimestamp"].is_string() {
            let words = format!("pod {} is being deleted, cannot be assigned to a host", ask.name());
            return Err(binding_conflict(ask, &words));
        }
        let there = text(&pod, &["spec", "nodeName"]);
        if !there.is_empty() {
            let words = format!("pod {} is already assigned to node {there:?}", ask.name());
            return Err(binding_conflict(ask, &words));
        }
        let now = self.stamp();
        pod["spec"]["nodeName"] = node.into();
        if let Some(annotations) = binding["metadata"]["annotations"].as_object() {
            for (key, value) in annotations {
                if !pod["metadata"]["annotations"].is_object() {
                    pod["metadata"]["annotations"] = json!({});
                }
                pod["metadata"]["annotations"][key] = value.clone();
            }
        }
        set_condition(
            &mut pod,
            &json!({ "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now }),
        );
        if !ask.query.is_dry_run() {
            self.put(&ask.served.shelf, &key, "create", pod);
        }
        Ok(bytes_of(&json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 })))
    }

    /// Deletes a pod unless a disruption budget says no.
    pub(crate) fn evict(&mut self, ask: &Ask<'_>) -> Result<Bytes, Failure> {
        let eviction: Value = serde_json::from_slice(ask.body).unwrap_or(Value::Null);
        let about = ask.about();
        let stored = self.store.get("pods", &ask.key()).ok_or_else(|| Failure::not_found(&about))?;
        let pod = stored.value.clone();
        let ended = matches!(text(&pod, &["status", "phase"]), "Succeeded" | "Failed" | "Pending");
        if !ended && !pod["metadata"]["deletionTimestamp"].is_string() {
            self.check_budgets(ask, &pod)?;
        }
        let options = Options {
            grace: eviction["deleteOptions"]["gracePeriodSeconds"].as_i64(),
            uid: eviction["deleteOptions"]["preconditions"]["uid"].as_str().map(str::to_owned),
            dry_run: ask.query.is_dry_run() || texts(&eviction, &["deleteOptions", "dryRun"]).next().is_some(),
            ..Options::default()
        };
        let uid = options.uid.as_deref().unwrap_or_default();
        let there = text(&pod, &["metadata", "uid"]);
        if !uid.is_empty() && uid != there {
            let words = format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({there}). The object might have \
                 been deleted and then recreated"
            );
            return Err(Failure::conflict(&About { group: "", resource: "Pod", name: ask.name() }, &words));
        }
        if !options.dry_run {
            let mut told = (*pod).clone();
            let condition = json!({
                "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": self.stamp(),
            });
            set_condition(&mut told, &condition);
            if told != *pod {
                self.put(&ask.served.shelf, &ask.key(), "update", told);
            }
        }
        let target = crate::route::Target { subresource: String::new(), ..ask.target.clone() };
        let plain = Ask { target: &target, ..ask.clone() };
        self.delete_one(&plain, ask.name(), &options)?;
        Ok(bytes_of(&json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 })))
    }

    fn check_budgets(&self, ask: &Ask<'_>, pod: &Value) -> Result<(), Failure> {
        let namespace = ask.namespace();
        let budgets = self.objects("poddisruptionbudgets.policy", namespace);
        let budgets: Vec<_> =
            budgets.iter().filter(|budget| selects(&budget["spec"]["selector"], &pod["metadata"]["labels"])).collect();
        let budget = match budgets.as_slice() {
            [] => return Ok(()),
            [budget] => budget,
            _ => {
                return Err(Failure::internal(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        };
        let name = text(budget, &["metadata", "name"]);
        let pods = self.objects("pods", namespace);
        let matching: Vec<_> =
            pods.iter().filter(|pod| selects(&budget["spec"]["selector"], &pod["metadata"]["labels"])).collect();
        let healthy = matching.iter().filter(|pod| is_ready(pod)).count();
        let expected = matching.len();
        let amount = |value: &Value, round_up: bool| amount(value, expected, round_up);
        let desired =
            match (amount(&budget["spec"]["minAvailable"], true), amount(&budget["spec"]["maxUnavailable"], true)) {
                (Some(least), _) => least,
                (None, Some(most)) => expected.saturating_sub(most),
                (None, None) => 0,
            };
        if !is_ready(pod) && healthy >= desired {
            return Ok(());
        }
        if healthy > desired {
            return Ok(());
        }
        let words = format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently");
        Err(Failure::too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", 0).because(
            "DisruptionBudget",
            &words,
            "",
        ))
    }
}

fn binding_conflict(ask: &Ask<'_>, words: &str) -> Failure {
    Failure::conflict(&About { group: "", resource: "pods/binding", name: ask.name() }, words)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        && !pod["metadata"]["deletionTimestamp"].is_string()
}

/// A number, or a percentage of how many there are.
fn amount(value: &Value, of: usize, round_up: bool) -> Option<usize> {
    if let Some(number) = value.as_u64() {
        return usize::try_from(number).ok();
    }
    let percent: usize = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    let product = percent * of;
    Some(if round_up { product.div_ceil(100) } else { product / 100 })
}

/// Puts a condition in the place of the one of its type. One that was so before has changed when it did then.
pub(crate) fn set_condition(object: &mut Value, condition: &Value) {
    if !object["status"].is_object() {
        object["status"] = json!({});
    }
    if !object["status"]["conditions"].is_array() {
        object["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = object["status"]["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|there| there["type"] == condition["type"]) {
        Some(there) => {
            let before = std::mem::replace(there, condition.clone());
            if before["status"] == there["status"] {
                there["lastTransitionTime"] = before["lastTransitionTime"].clone();
            }
        }
        None => conditions.push(condition.clone()),
    }
}
