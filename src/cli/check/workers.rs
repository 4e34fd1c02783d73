//! What to say of each worker, and of all of them together. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    expiry,
    finding::{Finding, Grade},
    permissions,
    visit::{Failure, Reached, Told, Visit},
};
use crate::{
    dialect::k8scluster::health::Trouble,
    plan::{address::DEFAULT_DOMAIN, name::WorkerName},
    worker::{fault::Fault, identity::Verdict},
};

const ROLE: &str = "grant it: deploy/worker-role.yaml has the role, and how it is bound";

/// The heading of a worker's section.
#[must_use]
pub fn title(visit: &Visit) -> String {
    let server = visit.server.as_ref().map(|server| format!(", API server {server}")).unwrap_or_default();
    let registration = &visit.registered.registration;
    let aliases = match registration.aliases.as_slice() {
        [] => String::new(),
        aliases => format!(" (also called {})", aliases.join(", ")),
    };
    format!("Worker {}{aliases}{server}", registration.name)
}

/// What to say of one worker.
#[must_use]
pub fn findings(visit: &Visit, now: Timestamp) -> Vec<Finding> {
    let mut found = match &visit.outcome {
        Ok(reached) => reached_findings(reached),
        Err(failure) => vec![failed(failure)],
    };
    found.extend(visit.expiry.iter().map(|expiry| expiry::finding(expiry, now)));
    let well = found.iter().all(|finding| finding.grade != Grade::Amiss);
    match (&visit.registered.told, well) {
        (Told::Nothing, _) => found.push(
            Finding::note("no controller has looked at it yet")
                .remedy("is one running? `kubectl get deploy -A -l app.kubernetes.io/name=atoll`, or `atoll run`"),
        ),
        // Both look from their own place: a network policy or a firewall may stand before one of them only.
        (Told::NotReady(why), true) => found.push(
            Finding::amiss(format!("the controller sees it otherwise: {why}"))
                .remedy("this check looks from where you are; see the controller's network and its log"),
        ),
        (Told::Ready, false) if visit.outcome.is_err() => found.push(Finding::note(
            "the controller told last that it is ready: that may be older than this, or it has another way there",
        )),
        _ => {}
    }
    found
}

fn failed(failure: &Failure) -> Finding {
    let finding = Finding::amiss(match failure {
        Failure::Registration(trouble) => format!("not registered well: {trouble}"),
        Failure::Fault(fault) => format!("not usable: {fault}"),
    });
    match failure {
        Failure::Registration(Trouble::SecretNotPermitted(_)) => finding.remedy(
            "or, if the controller may read it: give this check --namespace and --secret-namespaces as the controller \
             has them",
        ),
        Failure::Fault(Fault::Timeout(_) | Fault::Unreachable(_)) => finding.remedy(
            "is its API server up, and does a way lead there from here? Databases with a majority of their members \
             elsewhere go on; Atoll changes nothing there meanwhile",
        ),
        Failure::Fault(Fault::AddressRefused(_)) => finding.remedy(
            "if the controller dials it with other flags: give this check --allow-addresses and --deny-addresses as the \
             controller has them",
        ),
        Failure::Fault(Fault::Api(status)) if status.is_forbidden() => finding.remedy(ROLE),
        Failure::Registration(_) | Failure::Fault(_) => finding,
    }
}

fn reached_findings(reached: &Reached) -> Vec<Finding> {
    let Reached { version, took, identity, .. } = reached;
    let answered = format!("answers within {} ms, Kubernetes {version}", took.as_millis());
    let mut found = vec![match &reached.verdict {
        Verdict::Ours => Finding::fine(format!("{answered}, identity {identity}")),
        Verdict::Changed { pinned, found } => {
            let trouble = Trouble::IdentityChanged { pinned: pinned.clone(), found: found.clone() };
            Finding::amiss(format!("{answered}; but {trouble}"))
        }
        Verdict::DuplicateOf(other) => {
            Finding::amiss(format!("{answered}; but {}", Trouble::DuplicateOf(other.clone())))
        }
    }];
    if reached.is_master {
        found.push(Finding::note(
            "it is the master itself: the controller serves it with its own account, not with this kubeconfig; the \
             permissions below are those of the credentials that you run this check with",
        ));
    }
    found.extend(permissions::findings(&reached.permissions, ROLE));
    found.extend(permissions::port_forward_finding(&reached.port_forward));
    found
}

/// What the workers' DNS domains mean for the names of pods.
#[must_use]
pub fn domains<'a>(workers: impl IntoIterator<Item = (&'a WorkerName, Option<&'a str>)>) -> Vec<Finding> {
    let mut by_domain: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut unset = false;
    for (name, domain) in workers {
        unset |= domain.is_none();
        by_domain.entry(domain.unwrap_or(DEFAULT_DOMAIN)).or_default().push(name.as_str());
    }
    let total: usize = by_domain.values().map(Vec::len).sum();
    if total < 2 {
        return Vec::new();
    }
    let mut found: Vec<_> = by_domain
        .iter()
        .filter(|(_, names)| names.len() > 1)
        .map(|(domain, names)| {
            let why =
                if unset && *domain == DEFAULT_DOMAIN { " (counted where spec.clusterDomain is not set)" } else { "" };
            Finding::note(format!(
                "{} share the DNS domain {domain}{why}: pod names cannot be told apart between them, so a database \
                 there needs load balancers, node ports or a mesh",
                names.join(", "),
            ))
            .remedy("if their domains do differ, say so in spec.clusterDomain of each K8sCluster")
        })
        .collect();
    if found.is_empty() {
        let domains: Vec<_> =
            by_domain.iter().map(|(domain, names)| format!("{}: {domain}", names.join(", "))).collect();
        found.push(Finding::fine(format!("each worker has a DNS domain of its own ({})", domains.join("; "))));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        cli::check::visit::Registered,
        worker::registration::{Access, Registration},
    };

    fn failing(failure: Failure, told: Told) -> Visit {
        Visit {
            registered: Registered {
                registration: Registration {
                    name: "k8s-1".into(),
                    aliases: vec!["east".to_owned()],
                    domain: None,
                    terms: crate::plan::terms::Terms::default(),
                    pinned: None,
                    accepted: None,
                    access: Access::Pending,
                },
                told,
            },
            server: Some("10.0.0.1:6443".to_owned()),
            expiry: Vec::new(),
            outcome: Err(failure),
        }
    }

    #[test]
    fn a_worker_that_does_not_answer_is_told_with_where_and_what_to_do() {
        let visit = failing(Failure::Fault(Fault::Timeout(Duration::from_secs(10))), Told::Ready);
        assert_eq!(title(&visit), "Worker k8s-1 (also called east), API server 10.0.0.1:6443");
        let found = findings(&visit, Timestamp::UNIX_EPOCH);
        assert_eq!((found.len(), found[0].grade, found[1].grade), (2, Grade::Amiss, Grade::Note));
        assert_eq!(found[0].text, "not usable: no answer within 10 s");
        assert!(found[0].remedy.as_deref().is_some_and(|remedy| remedy.contains("API server up")));
    }

    #[test]
    fn a_secret_that_may_not_be_read_names_the_flags_that_this_check_lacks() {
        let trouble = Failure::Registration(Trouble::SecretNotPermitted("infra".to_owned()));
        let found = findings(&failing(trouble, Told::Nothing), Timestamp::UNIX_EPOCH);
        assert!(found[0].remedy.as_deref().is_some_and(|remedy| remedy.contains("--secret-namespaces")));
        assert!(found[1].text.contains("no controller has looked"));
    }

    #[test]
    fn domains_that_are_alike_are_named_with_what_that_means() {
        let workers = ["a", "b", "c"].map(WorkerName::from);
        let told = |domains: [Option<&str>; 3]| -> Vec<(Grade, String)> {
            let found = domains.into_iter().zip(&workers).map(|(domain, name)| (name, domain));
            super::domains(found).into_iter().map(|finding| (finding.grade, finding.text)).collect()
        };
        let fine = told([Some("a.lab"), Some("b.lab"), None]);
        assert_eq!(fine[0].1, "each worker has a DNS domain of its own (a: a.lab; b: b.lab; c: cluster.local)");
        let alike = told([None, Some("b.lab"), None]);
        assert_eq!((alike.len(), alike[0].0), (1, Grade::Note));
        assert!(alike[0].1.starts_with("a, c share the DNS domain cluster.local (counted where"), "{alike:?}");
        assert!(super::domains([(&workers[0], None)]).is_empty());
    }
}
