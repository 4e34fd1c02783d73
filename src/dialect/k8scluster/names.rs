//! Names of workers: from a kubeconfig's context to an object name, and from what a manifest says to a worker. Pure.

use sha1::{Digest as _, Sha1};

use crate::plan::name::WorkerName;

const MOST: usize = 253;
const SUFFIX: usize = 10;

/// A valid object name for a context. A context that is one already keeps it; any other is rewritten and gets a digest
/// of the original, so that two contexts never share a name (`arn:aws:eks:…`, `kubernetes-admin@kubernetes`).
#[must_use]
pub fn object_name(context: &str) -> WorkerName {
    if is_object_name(context) {
        return WorkerName::new(context);
    }
    let mut text = String::with_capacity(context.len());
    for letter in context.chars() {
        match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9') => text.push(letter),
            _ if text.ends_with('-') => {}
            _ => text.push('-'),
        }
    }
    text.truncate(MOST - SUFFIX - 1);
    let digest = Sha1::digest(context.as_bytes());
    let suffix: String = digest.iter().take(SUFFIX / 2).map(|byte| format!("{byte:02x}")).collect();
    match text.trim_matches('-') {
        "" => WorkerName::new(format!("context-{suffix}")),
        text => WorkerName::new(format!("{text}-{suffix}")),
    }
}

/// Whether Kubernetes takes this as `metadata.name` (an RFC 1123 subdomain).
#[must_use]
pub fn is_object_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= MOST && name.split('.').all(label)
}

/// Which worker a manifest means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// This one.
    One(WorkerName),
    /// None that is registered.
    None,
    /// Several share that `spec.name` or context, so it names none of them.
    Ambiguous(Vec<WorkerName>),
}

/// Finds the worker that a manifest refers to. An object's own name wins over what others call themselves.
pub fn resolve<'a>(reference: &str, workers: impl IntoIterator<Item = (&'a WorkerName, &'a [String])>) -> Match {
    let mut found = Vec::new();
    for (name, aliases) in workers {
        if name.as_str() == reference {
            return Match::One(name.clone());
        }
        if aliases.iter().any(|alias| alias == reference) {
            found.push(name.clone());
        }
    }
    match found.as_slice() {
        [] => Match::None,
        [_] => found.pop().map_or(Match::None, Match::One),
        _ => Match::Ambiguous(found),
    }
}
