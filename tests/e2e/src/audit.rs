//! What the API servers say that Atoll asked of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lab::AuditEntry;

use crate::{Outcome, World};

/// The users that Atoll is in a lab, and nobody else is.
pub const USERS: [&str; 3] = ["lab:cert", "lab-document", "system:serviceaccount:kube-system:lab-document"];

/// Requests by what they were.
pub type Counts = BTreeMap<String, usize>;

/// What Atoll asked of a cluster since then.
pub fn requests(world: &World, cluster: &str, since: Timestamp) -> Outcome<Vec<AuditEntry>> {
    let mut entries = world.lab().audit_since(cluster, since)?;
    entries.retain(|entry| USERS.contains(&entry.user.as_str()));
    Ok(entries)
}

/// The same, counted as `verb resource`.
#[must_use]
pub fn count(entries: &[AuditEntry]) -> Counts {
    let mut counts = Counts::new();
    for entry in entries {
        *counts.entry(kind(entry)).or_default() += 1;
    }
    counts
}

/// A request as `verb resource/subresource`.
#[must_use]
pub fn kind(entry: &AuditEntry) -> String {
    match &entry.subresource {
        Some(part) => format!("{} {}/{part}", entry.verb, entry.resource),
        None => format!("{} {}", entry.verb, entry.resource),
    }
}

/// Whether a request changes something.
#[must_use]
pub fn is_write(entry: &AuditEntry) -> bool {
    !matches!(entry.verb.as_str(), "get" | "list" | "watch")
}

/// Counts as a line for people.
#[must_use]
pub fn line(counts: &Counts) -> String {
    let parts: Vec<_> = counts.iter().map(|(kind, count)| format!("{kind} ×{count}")).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}
