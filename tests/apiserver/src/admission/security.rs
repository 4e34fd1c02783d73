//! Pod Security, as namespaces ask for it by the label `pod-security.kubernetes.io/enforce`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::about;
use crate::{
    content::Cause,
    failure::Failure,
    state::{Ask, State, text, texts},
};

const LEVEL: &str = "pod-security.kubernetes.io/enforce";
const VERSION: &str = "pod-security.kubernetes.io/enforce-version";

impl State {
    pub(super) fn judge_security(&self, ask: &Ask<'_>, pod: &Value) -> Result<(), Failure> {
        let Some(namespace) = self.object("namespaces", "", ask.namespace()) else { return Ok(()) };
        let labels = &namespace.value["metadata"]["labels"];
        let level = text(labels, &[LEVEL]);
        let spec = &pod["spec"];
        let violations = match level {
            "baseline" => baseline(spec),
            "restricted" => {
                let mut violations = baseline(spec);
                // The restricted rules take the place of these.
                violations.retain(|(reason, _)| !matches!(*reason, "hostPath volumes" | "non-default capabilities"));
                violations.extend(restricted(spec));
                violations
            }
            _ => return Ok(()),
        };
        if violations.is_empty() {
            return Ok(());
        }
        let version = match text(labels, &[VERSION]) {
            "" => "latest",
            version => version,
        };
        let told: Vec<String> = violations.iter().map(|(reason, detail)| format!("{reason} ({detail})")).collect();
        let words = format!("violates PodSecurity \"{level}:{version}\": {}", told.join(", "));
        Err(Failure::forbidden(&about(ask.kind(), ask.name(), pod), &words))
    }
}

/// Labels of a namespace that say nothing are refused, unless they were there already.
pub(super) fn judge_labels(live: Option<&Value>, namespace: &Value) -> Result<(), Failure> {
    let faults = label_faults(namespace);
    if faults.is_empty() || live.is_some_and(|live| label_faults(live) == faults) {
        return Ok(());
    }
    Err(Failure::invalid("", "Namespace", text(namespace, &["metadata", "name"]), &faults))
}

fn label_faults(namespace: &Value) -> Vec<Cause> {
    let mut faults = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        for (suffix, words) in
            [("", "must be one of privileged, baseline, restricted"), ("-version", "must be \"latest\" or \"v1.x\"")]
        {
            let label = format!("pod-security.kubernetes.io/{mode}{suffix}");
            let Some(value) = namespace["metadata"]["labels"][&label].as_str() else { continue };
            let known = if suffix.is_empty() {
                matches!(value, "privileged" | "baseline" | "restricted")
            } else {
                value == "latest" || value.strip_prefix("v1.").is_some_and(|minor| minor.parse::<u32>().is_ok())
            };
            if !known {
                let message = format!("Invalid value: {value:?}: {words}");
                let (field, reason) = (format!("metadata.labels[{label}]"), "FieldValueInvalid".to_owned());
                faults.push(Cause { field, reason, message });
            }
        }
    }
    faults
}

/// What is violated, and by whom.
type Violation = (&'static str, String);

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|list| spec[list].as_array().into_iter().flatten())
}

/// The names of the containers of which this is true.
fn named(spec: &Value, is: impl Fn(&Value) -> bool) -> Vec<String> {
    containers(spec).filter(|container| is(container)).map(|container| text(container, &["name"]).to_owned()).collect()
}

fn quoted<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    words.into_iter().map(|word| format!("\"{}\"", word.as_ref())).collect::<Vec<_>>().join(", ")
}

/// `container "a"`, `containers "a", "b"`.
fn counted(one: &str, names: &[String]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{one}{plural} {}", quoted(names))
}

fn baseline(spec: &Value) -> Vec<Violation> {
    let mut violations = Vec::new();
    let shared: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|name| spec[*name] == true)
        .map(|name| format!("{name}=true"))
        .collect();
    if !shared.is_empty() {
        violations.push(("host namespaces", shared.join(", ")));
    }
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let host_paths: Vec<String> = volumes
        .filter(|volume| volume["hostPath"].is_object())
        .map(|volume| text(volume, &["name"]).to_owned())
        .collect();
    if !host_paths.is_empty() {
        violations.push(("hostPath volumes", counted("volume", &host_paths)));
    }
    let ports = |container: &Value| -> Vec<u64> {
        let ports = container["ports"].as_array().into_iter().flatten();
        ports.filter_map(|port| port["hostPort"].as_u64()).filter(|port| *port > 0).collect()
    };
    let with_ports = named(spec, |container| !ports(container).is_empty());
    if !with_ports.is_empty() {
        let all: BTreeSet<String> = containers(spec).flat_map(ports).map(|port| port.to_string()).collect();
        let uses = if with_ports.len() == 1 { "uses" } else { "use" };
        let plural = if all.len() == 1 { "" } else { "s" };
        let list = all.into_iter().collect::<Vec<_>>().join(", ");
        violations.push(("hostPort", format!("{} {uses} hostPort{plural} {list}", counted("container", &with_ports))));
    }
    let privileged = named(spec, |container| container["securityContext"]["privileged"] == true);
    if !privileged.is_empty() {
        let detail = format!("{} must not set securityContext.privileged=true", counted("container", &privileged));
        violations.push(("privileged", detail));
    }
    violations
}

fn restricted(spec: &Value) -> Vec<Violation> {
    [escalation(spec), capabilities(spec), volumes(spec), not_root(spec), user(spec), seccomp(spec)]
        .into_iter()
        .flatten()
        .collect()
}

fn escalation(spec: &Value) -> Option<Violation> {
    let bad = named(spec, |container| container["securityContext"]["allowPrivilegeEscalation"] != false);
    let detail = || format!("{} must set securityContext.allowPrivilegeEscalation=false", counted("container", &bad));
    (!bad.is_empty()).then(|| ("allowPrivilegeEscalation != false", detail()))
}

fn capabilities(spec: &Value) -> Option<Violation> {
    const PATH: [&str; 2] = ["securityContext", "capabilities"];
    let list = |container: &Value, name: &str| -> Vec<String> {
        texts(container, &[PATH[0], PATH[1], name]).map(str::to_owned).collect()
    };
    let keep = named(spec, |container| !list(container, "drop").iter().any(|word| word == "ALL"));
    let forbidden = |container: &Value| {
        list(container, "add").into_iter().filter(|word| word != "NET_BIND_SERVICE").collect::<Vec<_>>()
    };
    let add = named(spec, |container| !forbidden(container).is_empty());
    let mut details = Vec::new();
    if !keep.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", counted("container", &keep)));
    }
    if !add.is_empty() {
        let which: BTreeSet<String> = containers(spec).flat_map(forbidden).collect();
        details.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            counted("container", &add),
            quoted(&which)
        ));
    }
    (!details.is_empty()).then(|| ("unrestricted capabilities", details.join("; ")))
}

fn volumes(spec: &Value) -> Option<Violation> {
    const ALLOWED: [&str; 9] = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let bad: Vec<&Value> = spec["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|volume| ALLOWED.iter().all(|kind| !volume[*kind].is_object()))
        .collect();
    let names: Vec<String> = bad.iter().map(|volume| text(volume, &["name"]).to_owned()).collect();
    let kinds: BTreeSet<String> = bad
        .iter()
        .map(|volume| {
            let fields = volume.as_object().into_iter().flatten();
            fields.map(|(name, _)| name).find(|name| *name != "name").map_or("unknown".to_owned(), Clone::clone)
        })
        .collect();
    let (uses, plural) = (if bad.len() == 1 { "uses" } else { "use" }, if kinds.len() == 1 { "" } else { "s" });
    let detail = || format!("{} {uses} restricted volume type{plural} {}", counted("volume", &names), quoted(&kinds));
    (!bad.is_empty()).then(|| ("restricted volume types", detail()))
}

/// Who sets something to a bad value: the pod, containers, or both.
fn setters(pod: bool, containers: &[String]) -> Option<String> {
    let mut setters: Vec<String> = Vec::new();
    setters.extend(pod.then(|| "pod".to_owned()));
    setters.extend((!containers.is_empty()).then(|| counted("container", containers)));
    (!setters.is_empty()).then(|| setters.join(" and "))
}

fn not_root(spec: &Value) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    let said = |place: &Value| place["securityContext"]["runAsNonRoot"].as_bool();
    let bad = named(spec, |container| said(container) == Some(false));
    if let Some(setters) = setters(said(spec) == Some(false), &bad) {
        return Some((REASON, format!("{setters} must not set securityContext.runAsNonRoot=false")));
    }
    let silent = named(spec, |container| said(container).is_none() && said(spec) != Some(true));
    let detail = || format!("pod or {} must set securityContext.runAsNonRoot=true", counted("container", &silent));
    (!silent.is_empty()).then(|| (REASON, detail()))
}

fn user(spec: &Value) -> Option<Violation> {
    let is_root = |place: &Value| place["securityContext"]["runAsUser"] == 0;
    let setters = setters(is_root(spec), &named(spec, is_root))?;
    Some(("runAsUser=0", format!("{setters} must not set runAsUser=0")))
}

fn seccomp(spec: &Value) -> Option<Violation> {
    let said = |place: &Value| place["securityContext"]["seccompProfile"]["type"].as_str().map(str::to_owned);
    let is_bad = |place: &Value| said(place).filter(|kind| !matches!(kind.as_str(), "RuntimeDefault" | "Localhost"));
    let bad = named(spec, |container| is_bad(container).is_some());
    if let Some(setters) = setters(is_bad(spec).is_some(), &bad) {
        let values: BTreeSet<String> = containers(spec).chain([spec]).filter_map(is_bad).collect();
        let detail = format!("{setters} must not set securityContext.seccompProfile.type to {}", quoted(&values));
        return Some(("seccompProfile", detail));
    }
    let silent = named(spec, |container| said(container).is_none() && said(spec).is_none());
    let detail = || {
        format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            counted("container", &silent)
        )
    };
    (!silent.is_empty()).then(|| ("seccompProfile", detail()))
}
