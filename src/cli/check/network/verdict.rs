//! What the outcomes mean for each of Atoll's network modes. Pure.

use std::collections::BTreeMap;

use super::{
    matrix::{Cell, Outcomes},
    way::Way,
};
use crate::{
    cli::{check::finding::Finding, probe::Met},
    plan::{address::DEFAULT_DOMAIN, name::WorkerName},
};

/// How one way turned out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Turned {
    Untried,
    Usable,
    /// Pods were lacking.
    Untold,
    Not {
        failed: usize,
        of: usize,
        why: String,
        /// Between whom it is usable nevertheless.
        among: Vec<WorkerName>,
    },
}

/// One line for each mode, and one for all of them.
#[must_use]
pub fn verdicts(outcomes: &Outcomes, domains: &[Option<String>]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut turns = Vec::new();
    for mode in MODES {
        let turned = match (mode.way, alike(domains)) {
            (Way::Name, Some(domain)) => {
                let why = format!("workers share the DNS domain {domain}, so that names cannot be told apart");
                let of = outcomes.pairs(Way::Name).count();
                Turned::Not { failed: of, of, why, among: Vec::new() }
            }
            (way, _) => turned(outcomes, way),
        };
        found.push(mode.finding(&turned, &remedy(mode.way, outcomes, domains)));
        turns.push(turned);
    }
    // Where pods were lacking, that is what is amiss, and is told already.
    if !turns.iter().any(|turned| matches!(turned, Turned::Usable | Turned::Untold)) {
        let found_no =
            "no way was found on which all workers reach each other: members there could not form a database";
        found.push(Finding::amiss(found_no).remedy(if tried_all(outcomes) {
            "mend one of the ways above, or use only workers that do reach each other (--worker tells about a choice)"
        } else {
            "try the ways that were not (--load-balancer, --node-port, --global-service), or mend one of those above"
        }));
    }
    found
}

struct Mode {
    way: Way,
    /// Which databases use it.
    who: &'static str,
    /// The flag that tries it.
    flag: &'static str,
}

const MODES: [Mode; 4] = [
    Mode { way: Way::Name, who: "pod names (databases without services of their members)", flag: "--network" },
    Mode { way: Way::LoadBalancer, who: "load balancers (services of type LoadBalancer)", flag: "--load-balancer" },
    Mode { way: Way::NodePort, who: "node ports (services of type NodePort)", flag: "--node-port" },
    Mode { way: Way::Global, who: "global services (ClusterIP, shared by a mesh)", flag: "--global-service" },
];

impl Mode {
    fn finding(&self, turned: &Turned, remedy: &str) -> Finding {
        let Self { who, flag, .. } = self;
        match turned {
            Turned::Untried => Finding::note(format!("{who}: not tried; {flag} does")),
            Turned::Usable => Finding::fine(format!("{who}: usable between all of these workers")),
            Turned::Untold => Finding::note(format!("{who}: cannot be told, because pods were lacking")),
            Turned::Not { failed, of, why, among } => {
                let among: Vec<_> = among.iter().map(WorkerName::as_str).collect();
                let only = match among.as_slice() {
                    [] | [_] => "not usable".to_owned(),
                    some => format!("usable only between {}", some.join(", ")),
                };
                Finding::note(format!("{who}: {only}, because {why} ({failed} of {of} ways fail)")).remedy(remedy)
            }
        }
    }
}

fn tried_all(outcomes: &Outcomes) -> bool {
    MODES.iter().all(|mode| outcomes.cells.contains_key(&mode.way))
}

fn turned(outcomes: &Outcomes, way: Way) -> Turned {
    if !outcomes.cells.contains_key(&way) {
        return Turned::Untried;
    }
    let mut failed = outcomes.pairs(way).filter_map(|pair| Some((pair.from, pair.to, pair.cell.trouble()?)));
    match failed.next() {
        Some((from, to, why)) => {
            let (failed, of) = (1 + failed.count(), outcomes.pairs(way).count());
            let among = joined(outcomes, way);
            Turned::Not { failed, of, why: format!("from {from} to {to}: {why}"), among }
        }
        None if outcomes.pairs(way).all(|pair| pair.cell.reached()) => Turned::Usable,
        None => Turned::Untold,
    }
}

/// Workers that all reach each other: without the one that fails most often, again and again.
fn joined(outcomes: &Outcomes, way: Way) -> Vec<WorkerName> {
    let mut left = outcomes.workers.clone();
    loop {
        let mut failures: Vec<_> = left.iter().map(|_| 0_usize).collect();
        for pair in outcomes.pairs(way).filter(|pair| !pair.cell.reached()) {
            let at = |name: &WorkerName| left.iter().position(|worker| worker == name);
            if let (Some(from), Some(to)) = (at(pair.from), at(pair.to)) {
                failures[from] += 1;
                failures[to] += 1;
            }
        }
        match failures.iter().enumerate().max_by_key(|(_, failures)| **failures) {
            Some((worst, &failures)) if failures > 0 => drop(left.remove(worst)),
            _ => return left,
        }
    }
}

/// A domain that several workers share.
fn alike(domains: &[Option<String>]) -> Option<&str> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for domain in domains {
        *times.entry(domain.as_deref().unwrap_or(DEFAULT_DOMAIN)).or_default() += 1;
    }
    times.into_iter().find(|(_, times)| *times > 1).map(|(domain, _)| domain)
}

fn remedy(way: Way, outcomes: &Outcomes, domains: &[Option<String>]) -> String {
    let by_address = turned(outcomes, Way::Address) == Turned::Usable;
    let nameless = outcomes.pairs(Way::Name).any(|pair| matches!(pair.cell, Cell::Met(Met::NoName(_))));
    let twice = outcomes.pairs(Way::Address).any(|pair| *pair.cell == Cell::Met(Met::Stranger));
    match way {
        Way::Name | Way::Address if twice => {
            "clusters use the same pod addresses: at the address of one's pod the other reaches its own. Use load \
             balancers or node ports"
        }
        Way::Name | Way::Address if alike(domains).is_some() => {
            "clusters are given a domain when they are made. If theirs do differ, say so in spec.clusterDomain of each \
             K8sCluster; else use another of these modes"
        }
        Way::Name | Way::Address if by_address && nameless => {
            "pods do reach each other by address: what lacks is DNS. Let each cluster's DNS forward the others' domains \
             to them (in CoreDNS a `forward` for each), and spec.clusterDomain name the right ones"
        }
        Way::Name | Way::Address => {
            "pod addresses must be routed between the clusters, none of them used twice, and no firewall or network \
             policy in between; where that cannot be, use load balancers or node ports"
        }
        Way::LoadBalancer => {
            "load balancers must get addresses that pods of the other clusters reach: look for a missing controller, an \
             empty address pool, or annotations that make them internal"
        }
        Way::NodePort => {
            "nodes must be reached from pods of the other clusters on ports 30000-32767: look for firewalls and \
             security groups"
        }
        Way::Global => {
            "the workers must be joined in a mesh that shares services by the annotation service.cilium.io/global \
             (`cilium clustermesh status`)"
        }
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::finding::Grade;

    fn outcomes(ways: &[(Way, Met)]) -> Outcomes {
        let own = Cell::Met(Met::Reached(1));
        let cells = ways.iter().map(|(way, met)| {
            let other = Cell::Met(met.clone());
            (*way, vec![vec![own.clone(), other.clone()], vec![other, own.clone()]])
        });
        Outcomes { workers: ["a", "b"].map(WorkerName::from).to_vec(), cells: cells.collect() }
    }

    fn differing() -> Vec<Option<String>> {
        vec![Some("a.lab".to_owned()), None]
    }

    fn told(outcomes: &Outcomes, domains: &[Option<String>]) -> Vec<(Grade, String)> {
        let all = verdicts(outcomes, domains).into_iter();
        all.map(|finding| (finding.grade, finding.text + " => " + &finding.remedy.unwrap_or_default())).collect()
    }

    #[test]
    fn one_usable_way_is_enough_and_what_was_not_tried_is_not_judged() {
        let told = told(&outcomes(&[(Way::Name, Met::Reached(2)), (Way::Address, Met::Reached(2))]), &differing());
        assert_eq!(
            told.iter().map(|line| line.0).collect::<Vec<_>>(),
            [Grade::Fine, Grade::Note, Grade::Note, Grade::Note,]
        );
        assert!(told[1].1.contains("not tried; --load-balancer does"));
    }

    #[test]
    fn names_that_do_not_resolve_while_addresses_are_reached_point_to_dns() {
        let ways = [(Way::Name, Met::NoName("unknown".to_owned())), (Way::Address, Met::Reached(2))];
        let told = told(&outcomes(&ways), &differing());
        assert!(told[0].1.contains("not usable, because from a to b: the name does not resolve"), "{told:?}");
        assert!(told[0].1.contains("(2 of 4 ways fail)") && told[0].1.contains("what lacks is DNS"), "{told:?}");
        // Names were the only way tried, and failed.
        assert_eq!(told.last().map(|line| line.0), Some(Grade::Amiss));
        assert!(told.last().is_some_and(|line| line.1.contains("--load-balancer")));
    }

    #[test]
    fn workers_with_one_domain_cannot_use_names_whatever_resolves() {
        let told = told(&outcomes(&[(Way::Name, Met::Reached(2)), (Way::Address, Met::Reached(2))]), &[None, None]);
        assert!(told[0].1.contains("share the DNS domain cluster.local"), "{told:?}");
        assert_eq!(told.last().map(|line| line.0), Some(Grade::Amiss));
    }

    #[test]
    fn who_is_cut_off_is_told_from_those_who_are_not() {
        let (ok, cut) = (Cell::Met(Met::Reached(1)), Cell::Met(Met::TimedOut));
        let row = |cells: [&Cell; 3]| cells.map(Clone::clone).to_vec();
        let table = vec![row([&ok, &cut, &ok]), row([&cut, &ok, &cut]), row([&ok, &cut, &ok])];
        let outcomes = Outcomes {
            workers: ["a", "b", "c"].map(WorkerName::from).to_vec(),
            cells: BTreeMap::from([(Way::LoadBalancer, table)]),
        };
        let told = told(&outcomes, &[Some("a".to_owned()), Some("b".to_owned()), Some("c".to_owned())]);
        assert!(told[1].1.contains("usable only between a, c, because from a to b: no answer"), "{told:?}");
    }

    #[test]
    fn without_pods_nothing_is_told_of_the_network() {
        let mut outcomes = outcomes(&[(Way::Name, Met::Reached(2)), (Way::Address, Met::Reached(2))]);
        for cells in outcomes.cells.values_mut() {
            cells[1] = vec![Cell::Untold; 2];
        }
        let told = told(&outcomes, &differing());
        assert!(told[0].1.contains("cannot be told") && told.len() == 4, "{told:?}");
    }

    #[test]
    fn islands_are_usable_by_what_crosses_them() {
        let ways = [
            (Way::Name, Met::NoName("unknown".to_owned())),
            (Way::Address, Met::Stranger),
            (Way::LoadBalancer, Met::Reached(4)),
            (Way::NodePort, Met::TimedOut),
            (Way::Global, Met::NoName("unknown".to_owned())),
        ];
        let told = told(&outcomes(&ways), &differing());
        let grades: Vec<_> = told.iter().map(|line| line.0).collect();
        assert_eq!(grades, [Grade::Note, Grade::Fine, Grade::Note, Grade::Note]);
        assert!(told[0].1.contains("the same pod addresses"), "{told:?}");
        assert!(told[2].1.contains("packets are dropped"), "{told:?}");
    }
}
