//! What our credentials may do in a worker, asked of its API server.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::{Api, Client, api::PostParams};

use super::fault::{Fault, call};

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// `get`, `list`, …
    pub verb: &'static str,
    /// The resource's API group, empty for the core one.
    pub group: &'static str,
    /// The resource, in the plural.
    pub resource: &'static str,
    /// Its subresource, or empty.
    pub subresource: &'static str,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, resource, subresource, .. } = self;
        let slash = if subresource.is_empty() { "" } else { "/" };
        write!(f, "{verb} {resource}{slash}{subresource}")
    }
}

/// Whether something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is.
    Allowed,
    /// It is not.
    Denied,
}

const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
const RESOURCES: [(&str, &str); 5] =
    [("", "pods"), ("", "services"), ("", "persistentvolumeclaims"), ("batch", "jobs"), ("", "namespaces")];

/// What the documents tell people to grant, which is all that Atoll needs.
pub fn needed() -> impl Iterator<Item = Asked> {
    RESOURCES.into_iter().flat_map(|(group, resource)| {
        VERBS.into_iter().map(move |verb| Asked { verb, group, resource, subresource: "" })
    })
}

/// What only a way to members through the worker's API server needs.
#[must_use]
pub fn port_forward() -> Asked {
    Asked { verb: "create", group: "", resource: "pods", subresource: "portforward" }
}

/// Where something is to be done. By default anywhere, to any object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Only in this namespace.
    pub namespace: Option<String>,
    /// Only to the object of this name.
    pub name: Option<String>,
}

/// Asks whether our credentials may do something anywhere.
pub(super) async fn review(client: Client, asked: Asked) -> Result<Access, Fault> {
    review_at(client, asked, &Place::default()).await
}

/// Asks whether our credentials may do something in one place.
pub async fn review_at(client: Client, asked: Asked, place: &Place) -> Result<Access, Fault> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes(asked, place)),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client);
    let answer = call(api.create(&PostParams::default(), &review)).await?;
    Ok(access(answer.status.as_ref()))
}

/// Asks whether a service account may do something in one place. Who asks must be allowed to ask about others.
pub async fn review_of(client: Client, account: &ServiceAccount, asked: Asked, place: &Place) -> Result<Access, Fault> {
    let ServiceAccount { namespace, name } = account;
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{name}")),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ]),
            resource_attributes: Some(attributes(asked, place)),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client);
    let answer = call(api.create(&PostParams::default(), &review)).await?;
    Ok(access(answer.status.as_ref()))
}

/// Whom a pod's requests come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

fn attributes(asked: Asked, place: &Place) -> ResourceAttributes {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    ResourceAttributes {
        verb: some(asked.verb),
        group: some(asked.group),
        resource: some(asked.resource),
        subresource: some(asked.subresource),
        namespace: place.namespace.clone(),
        name: place.name.clone(),
        ..ResourceAttributes::default()
    }
}

fn access(status: Option<&SubjectAccessReviewStatus>) -> Access {
    if status.is_some_and(|status| status.allowed) { Access::Allowed } else { Access::Denied }
}
