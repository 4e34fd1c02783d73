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
}
