//! Placement: which member goes to which worker. Decided once, recorded, and never recomputed (DESIGN 5.6).

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{
    database::{Database, PlacementRequest},
    name::{Namespace, WorkerName},
    network::{Network, Spread},
    seen::{Seen, Worker},
    wait::Wait,
};

/// How long a database that may go anywhere waits for registered workers that were never reached yet: long enough
/// for a controller that has just started to connect, short enough not to be held by a dead worker.
pub const GRACE: SignedDuration = SignedDuration::from_secs(15);

/// What a manifest's word for a worker means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// This worker.
    One(&'a WorkerName),
    /// No worker that is registered.
    None,
    /// Several: the word is `spec.name` or context of more than one.
    Several(Vec<&'a WorkerName>),
}

/// Finds the worker that a manifest means: by the name of its `K8sCluster`, else by `spec.name` or context.
#[must_use]
pub fn resolve<'a>(word: &str, workers: &'a BTreeMap<WorkerName, Worker>) -> Match<'a> {
    if let Some((name, _)) = workers.get_key_value(&WorkerName::from(word)) {
        return Match::One(name);
    }
    let mut found: Vec<_> = workers
        .iter()
        .filter(|(_, worker)| worker.aliases.iter().any(|alias| alias == word))
        .map(|(name, _)| name)
        .collect();
    match found.len() {
        0 => Match::None,
        1 => Match::One(found.remove(0)),
        _ => Match::Several(found),
    }
}

/// A place for a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The worker.
    pub worker: WorkerName,
    /// The namespace there; `None` for the one of the database's own name.
    pub namespace: Option<Namespace>,
}

/// The place of each member, by ordinal.
///
/// # Errors
/// What to wait for, where a worker is missing, takes no new members, or cannot be told.
pub fn place(database: &Database, seen: &Seen, known: SignedDuration) -> Result<Vec<Spot>, Wait> {
    let namespace = &database.id.namespace;
    let mapped = |worker: &WorkerName| seen.workers.get(worker).and_then(|worker| worker.terms.mapped(namespace));
    let workers = workers(database, seen, known)?;
    let spots: Vec<_> = workers.into_iter().map(|worker| Spot { namespace: mapped(&worker), worker }).collect();
    one_name_everywhere(database, &spots)?;
    Ok(spots)
}

/// The place of one more member, which takes the manifest's place `slot`, beside those that are there.
///
/// Where members may go anywhere it is `former`, the worker that its predecessor was in, if that one takes it; else the
/// worker with the fewest of them.
///
/// # Errors
/// What to wait for, where a worker is missing, takes no new members, or cannot be told.
pub fn one_more(
    database: &Database,
    seen: &Seen,
    known: SignedDuration,
    there: &[(&WorkerName, Option<&Namespace>)],
    slot: u32,
    former: Option<&WorkerName>,
) -> Result<Spot, Wait> {
    let namespace = &database.id.namespace;
    let worker = match &database.placement {
        PlacementRequest::Listed(words) => {
            let word = &words[slot as usize % words.len()];
            listed(std::slice::from_ref(word), namespace, &seen.workers)?.remove(0)
        }
        PlacementRequest::Spread => {
            let open = spread(namespace, seen, known)?;
            let crowd = |worker: &WorkerName| there.iter().filter(|(other, _)| *other == worker).count();
            let fewest = open.iter().min_by_key(|worker| (crowd(worker), former != Some(*worker)));
            let former = former.filter(|former| open.contains(former));
            former.or(fewest).cloned().ok_or(Wait::NoWorkerReady { registered: seen.workers.len(), closed: 0 })?
        }
    };
    let mapped = || seen.workers.get(&worker).and_then(|worker| worker.terms.mapped(namespace));
    // Members in one worker share one namespace, whatever the mapping says by now.
    let neighbour = there.iter().find(|(other, _)| **other == worker);
    let home = neighbour.map_or_else(mapped, |(_, home)| home.cloned());
    let spot = Spot { namespace: home, worker };
    let others = there.iter().map(|(worker, home)| Spot { worker: (*worker).clone(), namespace: home.cloned() });
    one_name_everywhere(database, &others.chain([spot.clone()]).collect::<Vec<_>>())?;
    Ok(spot)
}

/// Services that are the same in every worker lead to each other by name and namespace.
fn one_name_everywhere(database: &Database, spots: &[Spot]) -> Result<(), Wait> {
    let mirrored = match &database.network {
        Network::MemberServices(services) => services.spread == Spread::Mirror,
        Network::PodNames => false,
    };
    let first = spots.first().map(|spot| &spot.namespace);
    match spots.iter().find(|spot| mirrored && Some(&spot.namespace) != first) {
        None => Ok(()),
        Some(other) => Err(Wait::NamespacesDiffer {
            namespace: database.id.namespace.clone(),
            workers: spots.iter().take(1).chain([other]).map(|spot| spot.worker.clone()).collect(),
        }),
    }
}

fn workers(database: &Database, seen: &Seen, known: SignedDuration) -> Result<Vec<WorkerName>, Wait> {
    let namespace = &database.id.namespace;
    let candidates = match &database.placement {
        PlacementRequest::Listed(words) => listed(words, namespace, &seen.workers)?,
        PlacementRequest::Spread => spread(namespace, seen, known)?,
    };
    Ok((0..database.replicas as usize).map(|ordinal| candidates[ordinal % candidates.len()].clone()).collect())
}

fn listed(
    words: &[String],
    namespace: &Namespace,
    workers: &BTreeMap<WorkerName, Worker>,
) -> Result<Vec<WorkerName>, Wait> {
    words
        .iter()
        .map(|word| match resolve(word, workers) {
            Match::One(name) => admitted(name, namespace, workers).map(|()| name.clone()),
            Match::None => Err(Wait::WorkerNotRegistered { word: word.clone() }),
            Match::Several(names) => {
                Err(Wait::WorkerAmbiguous { word: word.clone(), names: names.into_iter().cloned().collect() })
            }
        })
        .collect()
}

fn admitted(name: &WorkerName, namespace: &Namespace, workers: &BTreeMap<WorkerName, Worker>) -> Result<(), Wait> {
    workers.get(name).map_or(Ok(()), |worker| worker.terms.admit(name, namespace))
}

fn spread(namespace: &Namespace, seen: &Seen, known: SignedDuration) -> Result<Vec<WorkerName>, Wait> {
    // Who takes nobody from there is not waited for either.
    let open: Vec<_> =
        seen.workers.iter().filter(|(name, worker)| worker.terms.admit(name, namespace).is_ok()).collect();
    // However old the resource is: it may have been applied before Atoll was installed, or while it was down.
    let young = known < GRACE;
    let unreached = open.iter().find(|(_, worker)| worker.view.is_connecting());
    if let (true, Some((name, _))) = (young, unreached) {
        return Err(Wait::WorkerConnecting { worker: (*name).clone() });
    }
    let ready: Vec<_> =
        open.iter().filter(|(_, worker)| worker.view.objects().is_some()).map(|(name, _)| (*name).clone()).collect();
    if ready.is_empty() {
        let registered = seen.workers.len();
        return Err(Wait::NoWorkerReady { registered, closed: registered - open.len() });
    }
    Ok(ready)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{
        network::{Exposure, MemberServices},
        seen::{Absence, WorkerView},
        terms::{Duty, Tenants},
        testing,
    };

    /// The reason that a closed worker gives, and what closes it.
    type Closing = (&'static str, fn(&mut Worker));

    #[test]
    fn a_word_means_the_object_name_first_then_spec_name_or_context() {
        let workers = testing::workers(&[("a", &["west"]), ("b", &["a", "east"]), ("c", &["east"])]);
        for (word, expected) in [
            ("a", Match::One(&WorkerName::from("a"))),
            ("west", Match::One(&WorkerName::from("a"))),
            ("east", Match::Several(vec![&WorkerName::from("b"), &WorkerName::from("c")])),
            ("north", Match::None),
        ] {
            assert_eq!(resolve(word, &workers), expected, "{word}");
        }
    }

    #[test]
    fn members_go_round_the_list_in_the_order_of_the_manifest() {
        let workers = testing::workers(&[("a", &[]), ("b", &[])]);
        let mut database = testing::database();
        database.placement = PlacementRequest::Listed(vec!["b".into(), "a".into()]);
        let placed = place(&database, &seeing(workers), GRACE).unwrap();
        assert_eq!(placed, ["b", "a", "b"].map(spot));
    }

    #[test]
    fn a_listed_worker_that_is_not_registered_is_waited_for_by_its_word() {
        let workers = testing::workers(&[("a", &[])]);
        let mut database = testing::database();
        database.placement = PlacementRequest::Listed(vec!["a".into(), "hz".into()]);
        assert_eq!(place(&database, &seeing(workers), GRACE), Err(Wait::WorkerNotRegistered { word: "hz".into() }));
    }

    #[test]
    fn a_database_that_is_new_to_us_waits_for_a_worker_that_was_never_reached_and_later_goes_on_without_it() {
        let mut workers = testing::workers(&[("a", &[]), ("b", &[])]);
        workers.get_mut(&WorkerName::from("b")).unwrap().view =
            WorkerView::Unseen { absence: Absence::Connecting, why: "connecting".into() };
        let seen = seeing(workers);
        let database = testing::database();
        let connecting = Err(Wait::WorkerConnecting { worker: "b".into() });
        assert_eq!(place(&database, &seen, SignedDuration::ZERO), connecting);
        assert_eq!(place(&database, &seen, GRACE).unwrap(), ["a", "a", "a"].map(spot));
    }

    #[test]
    fn a_worker_that_time_does_not_bring_is_not_waited_for() {
        let mut workers = testing::workers(&[("a", &[]), ("b", &[])]);
        workers.get_mut(&WorkerName::from("b")).unwrap().view =
            WorkerView::Unseen { absence: Absence::Refused, why: "its kubeconfig is garbage".into() };
        let placed = place(&testing::database(), &seeing(workers), SignedDuration::ZERO);
        assert_eq!(placed.unwrap(), ["a", "a", "a"].map(spot));
    }

    #[test]
    fn a_worker_that_takes_nobody_is_passed_over_at_once_and_waited_for_only_by_name() {
        let closings: [Closing; 3] = [
            ("WorkerUnavailable", |worker| {
                worker.terms.duty = Duty::Unavailable { since: None };
                // It was never reached either, which nobody waits for now.
                worker.view =
                    worker.terms.applied(WorkerView::Unseen { absence: Absence::Connecting, why: "connecting".into() });
            }),
            ("WorkerUnschedulable", |worker| worker.terms.duty = Duty::NoNewMembers),
            ("NamespaceNotAllowed", |worker| worker.terms.tenants = Tenants::Only(["team".into()].into())),
        ];
        for (reason, close) in closings {
            let mut workers = testing::workers(&[("a", &[]), ("b", &["east"]), ("c", &[])]);
            close(workers.get_mut(&WorkerName::from("b")).unwrap());
            let seen = seeing(workers);
            let mut database = testing::database();
            let placed = place(&database, &seen, SignedDuration::ZERO).unwrap();
            assert_eq!(placed, ["a", "c", "a"].map(spot), "{reason}");
            database.placement = PlacementRequest::Listed(vec!["a".into(), "c".into()]);
            assert!(place(&database, &seen, SignedDuration::ZERO).is_ok(), "{reason}");
            database.placement = PlacementRequest::Listed(vec!["a".into(), "east".into()]);
            let wait = place(&database, &seen, GRACE).unwrap_err();
            assert_eq!(wait.reason(), reason);
            assert!(wait.message().starts_with("worker b "), "{}", wait.message());
        }
    }

    #[test]
    fn where_every_worker_is_closed_that_is_what_is_said() {
        let mut workers = testing::workers(&[("a", &[]), ("b", &[])]);
        for worker in workers.values_mut() {
            worker.terms.duty = Duty::NoNewMembers;
        }
        let wait = place(&testing::database(), &seeing(workers), GRACE).unwrap_err();
        assert_eq!(wait, Wait::NoWorkerReady { registered: 2, closed: 2 });
        assert!(wait.message().contains("spec.unschedulable"), "{}", wait.message());
    }

    #[test]
    fn members_go_into_the_namespace_that_their_worker_has_for_them() {
        let mut workers = testing::workers(&[("a", &[]), ("b", &[]), ("c", &[])]);
        workers.get_mut(&WorkerName::from("b")).unwrap().terms.namespaces =
            [("default".into(), "tenant".into()), ("other".into(), "elsewhere".into())].into();
        let seen = seeing(workers);
        let mut database = testing::database();
        let namespaces = |database: &_| {
            let spots = place(database, &seen, GRACE)?;
            Ok::<Vec<_>, Wait>(spots.into_iter().map(|spot| spot.namespace).collect())
        };
        assert_eq!(namespaces(&database), Ok(vec![None, Some("tenant".into()), None]));
        // Global services are found by one name, which has the namespace in it.
        database.network = Network::MemberServices(MemberServices {
            name: "peer".into(),
            exposure: Exposure::ClusterIp,
            spread: Spread::Mirror,
            annotations: BTreeMap::new(),
        });
        let workers = vec!["a".into(), "b".into()];
        let wait = Wait::NamespacesDiffer { namespace: "default".into(), workers };
        assert_eq!(namespaces(&database), Err(wait));
        database.placement = PlacementRequest::Listed(vec!["b".into()]);
        assert_eq!(namespaces(&database), Ok(vec![Some("tenant".into()); 3]));
    }

    fn spot(worker: &str) -> Spot {
        Spot { worker: worker.into(), namespace: None }
    }

    fn seeing(workers: BTreeMap<WorkerName, Worker>) -> Seen {
        Seen { workers, ..Seen::default() }
    }
}
