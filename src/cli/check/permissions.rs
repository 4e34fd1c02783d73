//! Permissions: which are needed where, and which are lacking.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use kube::Client;

use super::finding::Finding;
use crate::{
    dialect::k8scluster::permission::{self, Permission},
    plan::name::Namespace,
    worker::{
        access::{self, AT_ONCE, Access, Place, ServiceAccount},
        fault::Fault,
        registration::SecretName,
    },
};

/// One permission, and where it is needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    asked: Permission,
    place: Place,
}

impl Need {
    fn anywhere(asked: Permission) -> Self {
        Self { asked, place: Place::default() }
    }
}

/// Whose permissions are asked about.
#[derive(Clone, Debug)]
pub enum Whom {
    /// Those of the credentials that ask.
    Us,
    /// Those of a service account.
    Account(ServiceAccount),
}

/// What the API server said of one permission.
pub type Answer = (Need, Result<Access, Fault>);

/// Asks for all of them.
pub async fn ask(client: &Client, whom: &Whom, needs: Vec<Need>) -> Vec<Answer> {
    stream::iter(needs)
        .map(|need| async move {
            let answer = match whom {
                Whom::Us => access::review_at(client.clone(), need.asked, &need.place).await,
                Whom::Account(account) => access::review_of(client.clone(), account, need.asked, &need.place).await,
            };
            (need, answer)
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// What is needed in every worker.
#[must_use]
pub fn in_worker() -> Vec<Need> {
    permission::documented().map(Need::anywhere).collect()
}

/// What is of use in a worker, but not needed.
#[must_use]
pub fn port_forward() -> Need {
    Need::anywhere(permission::port_forward())
}

/// What of the master the controller needs, by what it serves there and which Secrets it is to read.
#[must_use]
pub fn in_master(own: &Namespace, lease: &str, kinds: &[(String, bool)], secrets: &[SecretName]) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut add = |group, resource, subresource, verbs: &[&'static str], place: Place| {
        needs.extend(
            verbs
                .iter()
                .map(|&verb| Need { asked: Permission { verb, group, resource, subresource }, place: place.clone() }),
        );
    };
    let anywhere = Place::default;
    for (name, served) in kinds {
        let named = Place { name: Some(name.clone()), namespace: None };
        add("apiextensions.k8s.io", "customresourcedefinitions", "", &["get", "list", "watch"], named);
        match name.as_str() {
            _ if !served => {}
            "k8sclusters.k8s.oceanbase.com" => {
                let verbs = ["get", "list", "watch", "create", "patch", "delete"];
                add("k8s.oceanbase.com", "k8sclusters", "", &verbs, anywhere());
                add("k8s.oceanbase.com", "k8sclusters", "status", &["patch"], anywhere());
            }
            "clusters.apps.kubeblocks.io" => {
                add("apps.kubeblocks.io", "clusters", "", &["list", "watch", "patch"], anywhere());
                add("apps.kubeblocks.io", "clusters", "status", &["update", "patch"], anywhere());
            }
            _ => {}
        }
    }
    add("", "namespaces", "", &["get", "list", "watch"], anywhere());
    add("events.k8s.io", "events", "", &["create", "patch"], anywhere());
    let own = Some(own.to_string());
    add("coordination.k8s.io", "leases", "", &["create"], Place { namespace: own.clone(), name: None });
    let lease = Place { namespace: own, name: Some(lease.to_owned()) };
    add("coordination.k8s.io", "leases", "", &["get", "update"], lease);
    for secret in secrets {
        let place = Place { namespace: Some(secret.namespace.to_string()), name: Some(secret.name.to_string()) };
        add("", "secrets", "", &["get", "list", "watch"], place);
    }
    needs
}

/// What is lacking, one line for each kind of object, and what could not be asked.
#[must_use]
pub fn findings(answers: &[Answer], remedy: &str) -> Vec<Finding> {
    let mut lacking: BTreeMap<(String, Place), Vec<&str>> = BTreeMap::new();
    let mut faults: BTreeMap<String, usize> = BTreeMap::new();
    for (need, answer) in answers {
        match answer {
            Ok(Access::Allowed) => {}
            Ok(Access::Denied) => {
                lacking.entry((what(need.asked), need.place.clone())).or_default().push(need.asked.verb);
            }
            Err(fault) => *faults.entry(fault.to_string()).or_default() += 1,
        }
    }
    let mut found: Vec<_> = lacking
        .iter()
        .map(|((what, place), verbs)| {
            Finding::amiss(format!("may not {} {what}{}", verbs.join(", "), place_told(place))).remedy(remedy)
        })
        .collect();
    found.extend(faults.iter().map(|(fault, times)| {
        Finding::amiss(format!("{times} of {} permissions could not be asked for: {fault}", answers.len()))
    }));
    // One remedy for all of them, at the last.
    let last = found.iter().rposition(|finding| finding.remedy.is_some());
    for (at, finding) in found.iter_mut().enumerate() {
        if Some(at) != last {
            finding.remedy = None;
        }
    }
    if found.is_empty() {
        found.push(Finding::fine(format!("has the {} permissions that Atoll needs", answers.len())));
    }
    found
}

/// Whether everything may be done with these resources, so that what is made can also be removed.
#[must_use]
pub fn complete(answers: &[Answer], resources: &[&str]) -> bool {
    let concerned = |need: &Need| resources.contains(&need.asked.resource);
    answers.iter().all(|(need, answer)| !concerned(need) || *answer == Ok(Access::Allowed))
}

/// What to say of the permission to forward ports. None if it could not be asked for: others say so.
#[must_use]
pub fn port_forward_finding(answer: &Result<Access, Fault>) -> Option<Finding> {
    match answer {
        Ok(Access::Allowed) => Some(Finding::fine("may also forward ports to members (create pods/portforward)")),
        Ok(Access::Denied) => Some(Finding::note(
            "may not forward ports to members (create pods/portforward); that is only of use where the master reaches \
             neither pods nor load balancers",
        )),
        Err(_) => None,
    }
}

fn what(asked: Permission) -> String {
    let slash = if asked.subresource.is_empty() { "" } else { "/" };
    let group = if asked.group.is_empty() { String::new() } else { format!(".{}", asked.group) };
    format!("{}{group}{slash}{}", asked.resource, asked.subresource)
}

fn place_told(place: &Place) -> String {
    match (&place.namespace, &place.name) {
        (Some(namespace), Some(name)) => format!(" {namespace}/{name}"),
        (Some(namespace), None) => format!(" in namespace {namespace}"),
        (None, Some(name)) => format!(" {name}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::check::finding::Grade;

    fn answers(needs: Vec<Need>, denied: impl Fn(&Need) -> bool) -> Vec<Answer> {
        let answer = |denied| if denied { Access::Denied } else { Access::Allowed };
        needs.into_iter().map(|need| (need.clone(), Ok(answer(denied(&need))))).collect()
    }

    #[test]
    fn what_is_lacking_is_told_by_kind_with_one_remedy() {
        let lacking = answers(in_worker(), |need| {
            matches!((need.asked.resource, need.asked.verb), ("jobs", _) | ("pods", "delete" | "create"))
        });
        let told: Vec<_> = findings(&lacking, "fix").iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "  !!  may not get, list, watch, create, update, patch, delete jobs.batch",
                "  !!  may not create, delete pods\n      => fix",
            ]
        );
        let all = findings(&answers(in_worker(), |_| false), "fix");
        assert_eq!(all, [Finding::fine("has the 35 permissions that Atoll needs")]);
    }

    #[test]
    fn a_permission_that_could_not_be_asked_for_is_not_called_lacking() {
        let fault = || Err(Fault::Timeout(Duration::from_secs(10)));
        let mut answers: Vec<Answer> = in_worker().into_iter().map(|need| (need, fault())).collect();
        answers[0].1 = Ok(Access::Allowed);
        let found = findings(&answers, "fix");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text, "34 of 35 permissions could not be asked for: no answer within 10 s");
        assert_eq!(found[0].grade, Grade::Amiss);
    }

    #[test]
    fn only_who_may_do_everything_with_a_resource_may_make_one() {
        let answers = answers(in_worker(), |need| (need.asked.resource, need.asked.verb) == ("pods", "delete"));
        assert!(complete(&answers, &["services", "namespaces"]) && !complete(&answers, &["services", "pods"]));
    }

    #[test]
    fn the_master_needs_what_is_served_there_and_no_more() {
        let kinds =
            [("clusters.apps.kubeblocks.io".to_owned(), false), ("k8sclusters.k8s.oceanbase.com".to_owned(), true)];
        let secret = SecretName { namespace: "infra".into(), name: "east".into() };
        let needs = in_master(&"atoll".into(), "lease", &kinds, &[secret]);
        let denied = findings(&answers(needs, |need| need.asked.verb != "list"), "fix");
        let told: Vec<_> = denied.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(
            told,
            [
                "may not get, watch customresourcedefinitions.apiextensions.k8s.io clusters.apps.kubeblocks.io",
                "may not get, watch customresourcedefinitions.apiextensions.k8s.io k8sclusters.k8s.oceanbase.com",
                "may not create, patch events.events.k8s.io",
                "may not get, watch, create, patch, delete k8sclusters.k8s.oceanbase.com",
                "may not patch k8sclusters.k8s.oceanbase.com/status",
                "may not create leases.coordination.k8s.io in namespace atoll",
                "may not get, update leases.coordination.k8s.io atoll/lease",
                "may not get, watch namespaces",
                "may not get, watch secrets infra/east",
            ]
        );
    }
}
