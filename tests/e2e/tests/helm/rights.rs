//! What the chart lets Atoll do in the master, beside what Atoll did there.

use std::collections::BTreeSet;

use e2e::world::NAMESPACE;
use e2e::{Outcome, World, audit, ensure};
use jiff::Timestamp;
use lab::AuditEntry;
use serde_json::Value;

use crate::release::RELEASE;

/// What is granted for something that does not happen in this test, each with what that is.
const FOR_OTHER_DAYS: [(&str, &str); 4] = [
    ("patch k8sclusters", "a context of the Secret is to be found under another name"),
    ("delete k8sclusters", "a context is taken out of the values, or out of the Secret"),
    ("get secrets", "a worker no longer accepts what was read last"),
    ("patch events", "an event happens again"),
];

/// The account that Atoll runs under.
fn account() -> String {
    format!("system:serviceaccount:{NAMESPACE}:{RELEASE}")
}

/// What Atoll asked of the master.
fn requests(world: &World, since: Timestamp) -> Outcome<Vec<AuditEntry>> {
    let mut entries = world.lab().audit_since("master", since)?;
    entries.retain(|entry| entry.user == account());
    Ok(entries)
}

/// Fails if the master has refused anything for want of permission; gives how many requests there were.
pub fn enough(world: &World, since: Timestamp) -> Outcome<usize> {
    let entries = requests(world, since)?;
    ensure!(!entries.is_empty(), "the audit log knows nothing of {}", account());
    let all = entries.len();
    let refused: Vec<_> = entries.into_iter().filter(|entry| matches!(entry.code, 401 | 403)).collect();
    ensure!(refused.is_empty(), "the chart's roles lack: {}", audit::line(&audit::count(&refused)));
    Ok(all)
}

/// Fails if something is granted that was not used, and is not known to be for other days. Gives a line for people.
pub fn no_more_than_needed(world: &World, since: Timestamp) -> Outcome<String> {
    let counts = audit::count(&requests(world, since)?);
    let idle: BTreeSet<_> = granted(world)?.into_iter().filter(|right| !counts.contains_key(right)).collect();
    let unknown: Vec<_> = idle.iter().filter(|right| !FOR_OTHER_DAYS.iter().any(|(known, _)| known == right)).collect();
    ensure!(
        unknown.is_empty(),
        "the chart grants what Atoll does not use: {unknown:?}; it did: {}",
        audit::line(&counts)
    );
    Ok(format!("used: {}; idle: {}", audit::line(&counts), idle.into_iter().collect::<Vec<_>>().join(", ")))
}

/// Every right of the release's roles, as `verb resource/subresource`.
fn granted(world: &World) -> Outcome<BTreeSet<String>> {
    let master = world.rest("master")?;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let mut rights = BTreeSet::new();
    for role in [format!("clusterroles/{RELEASE}"), format!("namespaces/{NAMESPACE}/roles/{RELEASE}")] {
        let role = master.get(&format!("{rbac}/{role}"))?;
        for rule in texts(&role, "rules") {
            for resource in texts(rule, "resources") {
                let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let verbs = texts(rule, "verbs");
                rights.extend(verbs.iter().map(|verb| format!("{} {}", words(verb), words(resource))));
            }
        }
    }
    Ok(rights)
}

fn texts<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Fails if Atoll may do what it must not.
pub fn nothing_else(world: &World) -> Outcome {
    for forbidden in [
        ["get", "secrets/some-other", "-n", NAMESPACE],
        ["list", "secrets", "-n", NAMESPACE],
        ["list", "secrets", "-n", "default"],
        ["create", "pods", "-n", "default"],
        ["delete", "clusters.apps.kubeblocks.io", "-n", "default"],
        ["patch", "customresourcedefinitions", "-n", "default"],
    ] {
        let account = format!("--as={}", account());
        let arguments = [["auth", "can-i"].as_slice(), forbidden.as_slice(), &[&account]].concat();
        // kubectl ends with 1 where the answer is no.
        let answer = world.lab().kubectl("master", &arguments, None)?;
        let said = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        ensure!(said == "no", "may Atoll {}? {said}", forbidden.join(" "));
    }
    Ok(())
}
