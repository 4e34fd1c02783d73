//! Whose a CRD is. Atoll serves a group only where the CRD carries its claim, and never changes somebody else's.

use std::fmt;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt, api::PostParams};

use crate::{
    plan::labels::{MANAGED_BY, MANAGER},
    worker::fault::{Fault, call},
};

/// The annotation that claims a CRD for one installation of Atoll.
pub const OWNER: &str = "atoll.dev/owner";

/// How a CRD stands to this installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It carries our claim.
    Ours,
    /// There is none of that name.
    Missing,
    /// It is somebody else's.
    Foreign {
        /// Whose, as far as it says.
        who: String,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str("ours"),
            Self::Missing => f.write_str("missing"),
            Self::Foreign { who } => write!(f, "{who}'s"),
        }
    }
}

/// Judges the CRD that is there, if any.
#[must_use]
pub fn judge(crd: Option<&CustomResourceDefinition>, installation: &str) -> Standing {
    let Some(crd) = crd else { return Standing::Missing };
    match crd.annotations().get(OWNER) {
        Some(owner) if owner == installation => Standing::Ours,
        Some(owner) => Standing::Foreign { who: format!("another Atoll ({owner})") },
        None => Standing::Foreign { who: told_owner(crd) },
    }
}

fn told_owner(crd: &CustomResourceDefinition) -> String {
    let release = crd.annotations().get("meta.helm.sh/release-name").map(|name| format!("Helm release {name}"));
    let manager = crd.labels().get(MANAGED_BY).cloned();
    // The API server itself writes the status; who wrote the CRD is in another entry.
    let writer = || {
        let wrote = crd.managed_fields().iter().find(|entry| entry.subresource.is_none());
        wrote.and_then(|entry| entry.manager.clone())
    };
    release.or(manager).or_else(writer).unwrap_or_else(|| "somebody else".to_owned())
}

/// What came of installing one CRD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    /// It was made.
    Created,
    /// It was ours, and is now as it should be.
    Applied,
    /// It is somebody else's and was left alone.
    LeftAlone {
        /// Whose.
        who: String,
    },
}

/// Puts the claim of an installation on a CRD.
#[must_use]
pub fn claimed(mut crd: CustomResourceDefinition, installation: &str) -> CustomResourceDefinition {
    crd.annotations_mut().insert(OWNER.to_owned(), installation.to_owned());
    crd.labels_mut().insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    crd
}

/// Makes a CRD that is missing, brings ours up to date, and leaves anybody else's alone.
///
/// # Errors
/// The master does not answer, or refuses.
pub async fn install(client: &Client, crd: CustomResourceDefinition, installation: &str) -> Result<Installed, Fault> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = crd.name_any();
    let crd = claimed(crd, installation);
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let there = call(api.get_opt(&name)).await?;
    match (judge(there.as_ref(), installation), there) {
        (Standing::Foreign { who }, _) => Ok(Installed::LeftAlone { who }),
        // A create, never an apply: should somebody be faster, theirs stays as it is.
        (_, None) => call(api.create(&params, &crd)).await.map(|_| Installed::Created),
        // A replace with the resource version seen: it can only hit what was judged. And no field of an older version
        // stays, as it would after an apply over what Helm or a create has written.
        (_, Some(there)) => call(api.replace(&name, &params, &renewed(there, crd))).await.map(|_| Installed::Applied),
    }
}

/// What is there, with our spec; labels and annotations of others stay.
fn renewed(mut there: CustomResourceDefinition, wanted: CustomResourceDefinition) -> CustomResourceDefinition {
    there.annotations_mut().extend(wanted.metadata.annotations.unwrap_or_default());
    // Helm's own mark stays Helm's: its next upgrade would refuse otherwise.
    for (key, value) in wanted.metadata.labels.unwrap_or_default() {
        there.labels_mut().entry(key).or_insert(value);
    }
    there.spec = wanted.spec;
    there.status = None;
    there
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

    fn crd(annotations: &[(&str, &str)], labels: &[(&str, &str)]) -> CustomResourceDefinition {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut crd = CustomResourceDefinition::default();
        crd.metadata.annotations = Some(map(annotations));
        crd.metadata.labels = Some(map(labels));
        crd
    }

    fn written_by(managers: &[(Option<&str>, &str)]) -> CustomResourceDefinition {
        let mut crd = crd(&[], &[]);
        let entry = |(subresource, manager): &(Option<&str>, &str)| ManagedFieldsEntry {
            manager: Some((*manager).to_owned()),
            subresource: subresource.map(str::to_owned),
            ..ManagedFieldsEntry::default()
        };
        crd.metadata.managed_fields = Some(managers.iter().map(entry).collect());
        crd
    }

    #[test]
    fn a_crd_is_ours_only_with_our_claim() {
        let foreign = |who: &str| Standing::Foreign { who: who.to_owned() };
        for (found, standing) in [
            (None, Standing::Missing),
            (Some(crd(&[(OWNER, "atoll")], &[])), Standing::Ours),
            (Some(crd(&[(OWNER, "other")], &[])), foreign("another Atoll (other)")),
            (Some(crd(&[("meta.helm.sh/release-name", "kubeblocks")], &[])), foreign("Helm release kubeblocks")),
            (Some(crd(&[], &[(MANAGED_BY, "kubeblocks")])), foreign("kubeblocks")),
            // The label alone is no claim: anyone may copy a manifest.
            (Some(crd(&[], &[(MANAGED_BY, "atoll")])), foreign("atoll")),
            (
                Some(written_by(&[(Some("status"), "kube-apiserver"), (None, "kubectl-create")])),
                foreign("kubectl-create"),
            ),
            (Some(crd(&[], &[])), foreign("somebody else")),
        ] {
            assert_eq!(judge(found.as_ref(), "atoll"), standing);
        }
    }

    #[test]
    fn what_is_claimed_is_ours() {
        assert_eq!(judge(Some(&claimed(crd(&[], &[]), "here")), "here"), Standing::Ours);
    }

    #[test]
    fn an_update_keeps_what_others_put_on_it() {
        let mut there = claimed(crd(&[("team", "db")], &[(MANAGED_BY, "Helm")]), "atoll");
        there.labels_mut().insert(MANAGED_BY.to_owned(), "Helm".to_owned());
        there.metadata.resource_version = Some("7".to_owned());
        let mut wanted = claimed(crd(&[], &[]), "atoll");
        wanted.spec.group = "example.com".to_owned();
        let renewed = renewed(there, wanted);
        assert_eq!(renewed.spec.group, "example.com");
        assert_eq!(renewed.resource_version().as_deref(), Some("7"));
        assert_eq!(renewed.labels()[MANAGED_BY], "Helm");
        assert_eq!(renewed.annotations()["team"], "db");
        assert_eq!(judge(Some(&renewed), "atoll"), Standing::Ours);
    }
}
