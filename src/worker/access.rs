//! What our credentials may do in a worker, asked of its API server.

use futures::{StreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SelfSubjectRulesReview,
    SelfSubjectRulesReviewSpec, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::{Api, Client, api::PostParams};

use super::fault::{Fault, call};
use crate::dialect::k8scluster::{
    health::Rights,
    permission::{self, Permission},
};

/// Whether something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is.
    Allowed,
    /// It is not.
    Denied,
}

/// What of the permissions that Atoll makes use of is lacking.
///
/// One question where the answer is that nothing is: the rules that hold for us. They need not be all (an API server
/// that asks a webhook does not know them), so what they do not grant is asked about one by one.
pub async fn rights(client: &Client) -> Rights {
    let mut doubtful: Vec<_> = permission::used().collect();
    if let Ok(rules) = rules(client.clone()).await {
        doubtful.retain(|permission| !rules.iter().any(|rule| grants(rule, *permission)));
    }
    let asked = stream::iter(doubtful)
        .map(|permission| async move { (permission, review(client.clone(), permission).await) })
        .buffered(AT_ONCE);
    let answers: Vec<_> = asked.collect().await;
    let mut lacking = Vec::new();
    for (permission, answer) in answers {
        match answer {
            Ok(Access::Allowed) => {}
            Ok(Access::Denied) => lacking.push(permission),
            Err(fault) => return Rights::Unchecked(fault.to_string()),
        }
    }
    if lacking.is_empty() { Rights::Sufficient } else { Rights::Lacking(lacking) }
}

/// How many questions about permissions are put to one API server at a time.
pub const AT_ONCE: usize = 8;

/// In which namespace the rules are asked for. Bindings that are made there count too; hardly anybody makes any, and a
/// watch of the whole cluster would tell the truth.
const NOWHERE: &str = "kube-node-lease";

async fn rules(client: Client) -> Result<Vec<ResourceRule>, Fault> {
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec { namespace: Some(NOWHERE.to_owned()) },
        ..SelfSubjectRulesReview::default()
    };
    let api: Api<SelfSubjectRulesReview> = Api::all(client);
    let answer = call(api.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.map(|status| status.resource_rules).unwrap_or_default())
}

/// Whether a rule grants a permission for all objects.
fn grants(rule: &ResourceRule, permission: Permission) -> bool {
    let has = |list: &[String], word: &str| list.iter().any(|one| one == "*" || one == word);
    let some = |list: &Option<Vec<String>>, word: &str| list.as_deref().is_some_and(|list| has(list, word));
    has(&rule.verbs, permission.verb)
        && some(&rule.api_groups, permission.group)
        && some(&rule.resources, permission.resource)
        && rule.resource_names.as_ref().is_none_or(Vec::is_empty)
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
pub(super) async fn review(client: Client, permission: Permission) -> Result<Access, Fault> {
    review_at(client, permission, &Place::default()).await
}

/// Asks whether our credentials may do something in one place.
pub async fn review_at(client: Client, permission: Permission, place: &Place) -> Result<Access, Fault> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes(permission, place)),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client);
    let answer = call(api.create(&PostParams::default(), &review)).await?;
    Ok(access(answer.status.as_ref()))
}

/// Asks whether a service account may do something in one place. Who asks must be allowed to ask about others.
pub async fn review_of(
    client: Client,
    account: &ServiceAccount,
    permission: Permission,
    place: &Place,
) -> Result<Access, Fault> {
    let ServiceAccount { namespace, name } = account;
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{name}")),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ]),
            resource_attributes: Some(attributes(permission, place)),
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

fn attributes(permission: Permission, place: &Place) -> ResourceAttributes {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    ResourceAttributes {
        verb: some(permission.verb),
        group: some(permission.group),
        resource: some(permission.resource),
        subresource: some(permission.subresource),
        namespace: place.namespace.clone(),
        name: place.name.clone(),
        ..ResourceAttributes::default()
    }
}

fn access(status: Option<&SubjectAccessReviewStatus>) -> Access {
    if status.is_some_and(|status| status.allowed) { Access::Allowed } else { Access::Denied }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_grants_what_it_names_for_all_objects() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let rule = |groups: &[&str], resources: &[&str], verbs: &[&str], names: &[&str]| ResourceRule {
            api_groups: Some(words(groups)),
            resources: Some(words(resources)),
            verbs: words(verbs),
            resource_names: Some(words(names)),
        };
        let jobs = Permission { verb: "create", group: "batch", resource: "jobs", subresource: "" };
        for (rule, granted) in [
            (rule(&["batch"], &["jobs"], &["get", "create"], &[]), true),
            (rule(&["*"], &["*"], &["*"], &[]), true),
            (rule(&[""], &["jobs"], &["create"], &[]), false),
            (rule(&["batch"], &["jobs/status"], &["create"], &[]), false),
            (rule(&["batch"], &["jobs"], &["get"], &[]), false),
            (rule(&["batch"], &["jobs"], &["create"], &["one"]), false),
        ] {
            assert_eq!(grants(&rule, jobs), granted, "{rule:?}");
        }
    }
}
