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
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let suffix: String = nibbles.take(SUFFIX).filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_become_valid_object_names_that_never_collide() {
        assert_eq!(object_name("k8s-1").as_str(), "k8s-1");
        assert_eq!(object_name("gke.example.com").as_str(), "gke.example.com");
        let long = "x".repeat(400);
        let contexts = [
            "arn:aws:eks:eu-west-1:123:cluster/prod",
            "arn:aws:eks:eu-west-1:123:cluster-prod",
            "arn:aws:eks:eu-west-1:123:cluster//prod",
            "kubernetes-admin@kubernetes",
            "kubernetes-admin@Kubernetes",
            "K8S-1",
            "a..b",
            "-a-",
            "",
            "@",
            "北京",
            "上海",
            &long,
            &format!("{long}y"),
        ];
        let names: std::collections::BTreeSet<_> = contexts.iter().map(|context| object_name(context)).collect();
        assert_eq!(names.len(), contexts.len());
        for name in &names {
            assert!(is_object_name(name.as_str()), "{name}");
        }
        let eks = object_name("arn:aws:eks:eu-west-1:123:cluster/prod");
        assert!(eks.as_str().starts_with("arn-aws-eks-eu-west-1-123-cluster-prod-"), "{eks}");
    }

    #[test]
    fn a_reference_finds_its_worker_by_object_name_before_any_other_name() {
        let workers = [
            (WorkerName::from("a"), vec!["remote".to_owned(), "ctx-a".to_owned()]),
            (WorkerName::from("b"), vec!["remote".to_owned(), "a".to_owned()]),
            (WorkerName::from("c"), vec!["only".to_owned()]),
        ];
        let find =
            |reference: &str| resolve(reference, workers.iter().map(|(name, aliases)| (name, aliases.as_slice())));
        assert_eq!(find("a"), Match::One(WorkerName::from("a")));
        assert_eq!(find("ctx-a"), Match::One(WorkerName::from("a")));
        assert_eq!(find("only"), Match::One(WorkerName::from("c")));
        assert_eq!(find("remote"), Match::Ambiguous(vec![WorkerName::from("a"), WorkerName::from("b")]));
        assert_eq!(find("nowhere"), Match::None);
    }
}
