//! Which quotas are accepted.

use serde_json::Value;

use super::{
    super::{faults::Faults, names},
    judged::{list, quantity},
};

/// Resources that are of pods and of namespaces.
const STANDARD: [&str; 9] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

/// Resources that are counted.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// Judges a quota as it is.
pub(super) fn judge(quota: &Value, faults: &mut Faults) {
    judge_amounts(&quota["spec"]["hard"], "spec.hard", faults);
    judge_scopes(&quota["spec"], faults);
}

/// Judges a quota's status.
pub(super) fn judge_status(quota: &Value, faults: &mut Faults) {
    judge_amounts(&quota["status"]["hard"], "status.hard", faults);
    judge_amounts(&quota["status"]["used"], "status.used", faults);
}

fn judge_amounts(amounts: &Value, path: &str, faults: &mut Faults) {
    for (name, value) in amounts.as_object().into_iter().flatten() {
        let field = format!("{path}[{name}]");
        let wrong = names::qualified_name(name);
        let plain = !name.contains('/');
        if wrong.is_empty() && plain && !is_quota(name) && !matches!(name.as_str(), "storage" | "requests.storage") {
            faults.invalid(field.clone(), name.as_str(), "must be a standard resource type or fully qualified");
        }
        faults.invalid_each(&field, name, wrong);
        if plain && !is_quota(name) && !name.starts_with("requests.hugepages-") {
            faults.invalid(field.clone(), name.as_str(), "must be a standard resource for quota");
        }
        let Some(amount) = quantity(value) else { continue };
        if amount.is_negative() {
            faults.invalid(field.clone(), amount.canonical(), "must be greater than or equal to 0");
        }
        if is_whole(name) && !amount.is_whole() {
            faults.invalid(field, amount.canonical(), "must be an integer");
        }
    }
}

fn is_quota(name: &str) -> bool {
    STANDARD.contains(&name) || COUNTED.contains(&name) || name == "requests.storage" || name.starts_with("hugepages-")
}

/// Whether there are no parts of this resource: what is counted, and what others have named.
fn is_whole(name: &str) -> bool {
    COUNTED.contains(&name)
        || (name.contains('/')
            && !name.starts_with("requests.")
            && !name.split('/').next().is_some_and(|domain| domain.ends_with("kubernetes.io") && !is_class(domain)))
}

/// The quota of a storage class counts as named by others.
fn is_class(domain: &str) -> bool {
    domain.ends_with(".storageclass.storage.k8s.io")
}

fn judge_scopes(spec: &Value, faults: &mut Faults) {
    const FIELD: &str = "spec.scopes";
    let scopes: Vec<&str> = list(&spec["scopes"]).filter_map(Value::as_str).collect();
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            faults.invalid(FIELD, spec["scopes"].clone(), "unsupported scope");
        }
        for name in spec["hard"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            let of_pods = name == "pods" || STANDARD.contains(&name.as_str()) || name.starts_with("hugepages-");
            let fits = match *scope {
                "BestEffort" => name == "pods",
                "VolumeAttributesClass" => name == "persistentvolumeclaims" || name == "requests.storage",
                _ => of_pods,
            };
            if is_quota(name) && SCOPES.contains(scope) && !fits {
                faults.invalid(FIELD, spec["scopes"].clone(), "unsupported scope applied to resource");
            }
        }
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            faults.invalid(FIELD, spec["scopes"].clone(), "conflicting scopes");
        }
    }
}
