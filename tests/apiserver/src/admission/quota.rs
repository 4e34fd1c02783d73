//! Resource quotas.
//!
//! The real server trusts what a controller has counted into a quota's status. There is none here: objects are counted
//! when it matters, and a quota without a status limits what its spec says. What is let through is counted into the
//! status of quotas that have one, before it is stored.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Operation, about};
use crate::{
    content::{self, Quantity, Writer},
    failure::Failure,
    place::key,
    state::{Ask, State, text},
};

const SHELF: &str = "resourcequotas";

type Amounts = BTreeMap<String, Quantity>;

impl State {
    pub(super) fn judge_quota(
        &mut self,
        ask: &Ask<'_>,
        operation: Operation,
        live: Option<&Value>,
        object: &Value,
    ) -> Result<(), Failure> {
        let shelf = &*ask.served.shelf;
        let counted = operation == Operation::Create || matches!(shelf, "services" | "persistentvolumeclaims");
        if ask.namespace().is_empty() || !counted {
            return Ok(());
        }
        let quotas = self.objects(SHELF, ask.namespace());
        if quotas.is_empty() {
            return Ok(());
        }
        let (usage, before) = (usage(shelf, object), live.map(|live| usage(shelf, live)).unwrap_or_default());
        let more: Vec<(&String, Quantity)> = usage
            .iter()
            .filter(|(name, amount)| before.get(*name).is_none_or(|before| *before < **amount))
            .map(|(name, amount)| (name, before.get(name).map_or(*amount, |before| *amount - *before)))
            .filter(|(_, amount)| !amount.is_zero())
            .collect();
        for quota in &quotas {
            let hard = [&quota["status"]["hard"], &quota["spec"]["hard"]].into_iter().find(|hard| hard.is_object());
            let Some(hard) = hard else { continue };
            let name = text(quota, &["metadata", "name"]);
            if shelf == "pods"
                && let Some(missing) = unsaid(object, hard)
            {
                let words = format!("failed quota: {name}: must specify {missing}");
                return Err(Failure::forbidden(&about(ask.kind(), ask.name(), object), &words));
            }
            let mut exceeded = [Vec::new(), Vec::new(), Vec::new()];
            for (name, amount) in &more {
                let Some(limit) = hard[name.as_str()].as_str().and_then(Quantity::parse) else { continue };
                let used = self.used(ask, name);
                if used + *amount > limit {
                    for (told, amount) in exceeded.iter_mut().zip([*amount, used, limit]) {
                        told.push(format!("{name}={}", amount.canonical()));
                    }
                }
            }
            let [requested, used, limited] = exceeded.map(|told| told.join(","));
            if !requested.is_empty() {
                let words = format!("exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}");
                return Err(Failure::forbidden(&about(ask.kind(), ask.name(), object), &words));
            }
        }
        if !ask.query.is_dry_run() {
            let counts: Amounts =
                more.into_iter().map(|(name, amount)| (name.clone(), self.used(ask, name) + amount)).collect();
            for quota in &quotas {
                self.count(quota, &counts);
            }
        }
        Ok(())
    }

    /// Writes into a quota how much of what it limits is used.
    fn count(&mut self, quota: &Value, counts: &Amounts) {
        let mut counted = quota.clone();
        for (name, amount) in counts {
            if !quota["status"]["hard"][name].is_null() && quota["status"]["used"].is_object() {
                counted["status"]["used"][name] = amount.canonical().into();
            }
        }
        let Some(served) = self.of_shelf(SHELF).filter(|_| counted != *quota) else { return };
        let writer = Writer { manager: "kube-apiserver", subresource: Some("status"), time: self.now() };
        content::record_update(&served.kind, Some(quota), &mut counted, &writer);
        let metadata = &quota["metadata"];
        let key = key(text(metadata, &["namespace"]), text(metadata, &["name"]));
        let who = std::mem::replace(&mut self.actor, "system:apiserver".to_owned());
        self.put(&SHELF.into(), &key, "update", counted);
        self.actor = who;
    }

    /// How much of something the objects of a namespace use.
    fn used(&self, ask: &Ask<'_>, name: &str) -> Quantity {
        let shelf = &*ask.served.shelf;
        let objects = self.objects(shelf, ask.namespace());
        objects
            .iter()
            .filter_map(|object| usage(shelf, object).get(name).copied())
            .fold(number(0), |sum, more| sum + more)
    }
}

fn number(number: usize) -> Quantity {
    // A number is always a quantity; the default is never reached.
    Quantity::parse(&number.to_string()).unwrap_or_default()
}

/// What an object uses of what quotas can limit.
fn usage(shelf: &str, object: &Value) -> Amounts {
    let mut amounts = Amounts::from([(format!("count/{shelf}"), number(1))]);
    let mut count = |name: &str, amount: Quantity| {
        amounts.insert(name.to_owned(), amount);
    };
    match shelf {
        "pods" if !matches!(text(object, &["status", "phase"]), "Failed" | "Succeeded") => {
            count("pods", number(1));
            for (name, resource) in [("cpu", "cpu"), ("memory", "memory"), ("ephemeral-storage", "ephemeral-storage")] {
                if let Some(requests) = of_containers(object, "requests", resource) {
                    count(name, requests);
                    count(&format!("requests.{name}"), requests);
                }
                if let Some(limits) = of_containers(object, "limits", resource) {
                    count(&format!("limits.{name}"), limits);
                }
            }
        }
        "services" => {
            let ports = object["spec"]["ports"].as_array().map_or(0, Vec::len);
            let kind = text(object, &["spec", "type"]);
            count("services", number(1));
            count("services.loadbalancers", number(usize::from(kind == "LoadBalancer")));
            let open = match kind {
                "LoadBalancer" if object["spec"]["allocateLoadBalancerNodePorts"] == false => {
                    let ports = object["spec"]["ports"].as_array().into_iter().flatten();
                    ports.filter(|port| port["nodePort"].as_u64().unwrap_or(0) > 0).count()
                }
                "NodePort" | "LoadBalancer" => ports,
                _ => 0,
            };
            count("services.nodeports", number(open));
        }
        "persistentvolumeclaims" => {
            const CLASS: &str = ".storageclass.storage.k8s.io/";
            let class = text(object, &["spec", "storageClassName"]);
            count("persistentvolumeclaims", number(1));
            if !class.is_empty() {
                count(&format!("{class}{CLASS}persistentvolumeclaims"), number(1));
            }
            if let Some(size) = Quantity::parse(text(object, &["spec", "resources", "requests", "storage"])) {
                count("requests.storage", size);
                if !class.is_empty() {
                    count(&format!("{class}{CLASS}requests.storage"), size);
                }
            }
        }
        "configmaps" | "secrets" | "resourcequotas" => count(shelf, number(1)),
        _ => {}
    }
    amounts
}

/// What a quota limits must be said by every container.
fn unsaid(pod: &Value, hard: &Value) -> Option<String> {
    let mut missing: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (limited, what, resource) in [
        ("cpu", "requests", "cpu"),
        ("memory", "requests", "memory"),
        ("requests.cpu", "requests", "cpu"),
        ("requests.memory", "requests", "memory"),
        ("limits.cpu", "limits", "cpu"),
        ("limits.memory", "limits", "memory"),
    ] {
        if hard[limited].is_null() {
            continue;
        }
        for list in ["containers", "initContainers"] {
            for container in pod["spec"][list].as_array().into_iter().flatten() {
                if container["resources"][what][resource].is_null() {
                    missing.entry(limited.to_owned()).or_default().insert(text(container, &["name"]));
                }
            }
        }
    }
    let told: Vec<String> = missing
        .into_iter()
        .map(|(name, containers)| format!("{name} for: {}", containers.into_iter().collect::<Vec<_>>().join(",")))
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// What the containers of a pod want together; or the largest init container alone, if that is more.
fn of_containers(pod: &Value, what: &str, resource: &str) -> Option<Quantity> {
    let amounts = |list: &str| {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.filter_map(|container| Quantity::parse(text(container, &["resources", what, resource])))
    };
    let together = amounts("containers").reduce(|sum, more| sum + more);
    let first = amounts("initContainers").max();
    together.max(first)
}
