//! What people say of workers: who takes no new members, and who is believed in nothing.

use super::*;
use crate::plan::terms::{Duty, Tenants, Terms};

fn since() -> Timestamp {
    "2026-01-01T00:00:30Z".parse().unwrap()
}

impl World {
    /// A person marks a worker unavailable; answers with what it showed until then.
    fn mark(&mut self, worker: &str) -> WorkerView {
        let worker = self.seen.workers.get_mut(&WorkerName::from(worker)).unwrap();
        worker.terms.duty = Duty::Unavailable { since: Some(since()) };
        let marked = worker.terms.applied(WorkerView::Unavailable { since: None });
        std::mem::replace(&mut worker.view, marked)
    }

    fn unmark(&mut self, worker: &str, shows: WorkerView) {
        let worker = self.seen.workers.get_mut(&WorkerName::from(worker)).unwrap();
        worker.terms.duty = Duty::Serving;
        worker.view = shows;
    }
}

fn listed(words: &[&str]) -> Database {
    let mut database = testing::database();
    database.placement = PlacementRequest::Listed(words.iter().map(|word| (*word).to_owned()).collect());
    database
}

#[test]
fn a_marked_worker_is_told_of_and_left_alone_and_heals_by_itself() {
    let mut world = World::running(testing::database());
    let shows = world.mark("b");
    let decision = world.settle();
    assert_eq!(decision.report.phase, Phase::Degraded);
    let member = &decision.report.members[1];
    assert_eq!(member.state, MemberState::Unknown);
    assert_eq!(member.since.as_deref(), Some("2026-01-01T00:00:30Z"));
    let why = member.why.as_deref().unwrap();
    assert!(why.contains("marked unavailable since 2026-01-01T00:00:30Z") && why.contains("mark-available b"), "{why}");
    assert!(decision.report.message.contains(why), "{}", decision.report.message);
    // What has become of the member meanwhile is seen when the mark goes, and not before.
    world.unmark("b", shows);
    world.pods("b").clear();
    let shows = world.mark("b");
    assert!(matches!(world.settle().step, Step::Act(acts) if acts.is_empty()));
    world.unmark("b", shows);
    world.settle();
    world.start_pods();
    assert_eq!(world.settle().report.phase, Phase::Running);
}

#[test]
fn nothing_in_a_marked_worker_is_ever_proved_gone() {
    let mut world = World::running(testing::database());
    let shows = world.mark("b");
    world.delete();
    let decision = world.settle();
    assert!(!matches!(decision.step, Step::Release));
    assert_eq!(condition(&decision, "Deletable").map(|(truth, _)| truth), Some(Truth::False));
    assert!(decision.report.conditions.iter().any(|c| c.message.contains("marked unavailable")));
    world.unmark("b", shows);
    assert!(matches!(world.settle().step, Step::Release));
    assert_eq!(world.left(), (0, 0, 0));
}

#[test]
fn a_new_database_goes_round_a_marked_worker_at_once_and_waits_for_one_that_it_names() {
    let mut world = World::new(testing::database());
    world.known = SignedDuration::ZERO;
    world.mark("b");
    world.settle();
    let workers: Vec<_> = world.record.as_ref().unwrap().members.iter().map(|m| m.worker.as_str()).collect();
    assert_eq!(workers, ["a", "c", "a"]);

    let mut world = World::new(listed(&["a", "b", "c"]));
    let shows = world.mark("b");
    let decision = world.settle();
    assert_eq!(condition(&decision, "Placed"), Some((Truth::False, "WorkerUnavailable")));
    assert_eq!((world.made, decision.report.phase), (0, Phase::Waiting));
    world.unmark("b", shows);
    world.settle();
    assert!(world.record.is_some());
}

#[test]
fn terms_that_are_narrowed_touch_no_member_that_is_there() {
    let narrowings: [fn(&mut Terms); 2] =
        [|terms| terms.duty = Duty::NoNewMembers, |terms| terms.tenants = Tenants::Only([].into())];
    for narrow in narrowings {
        let mut world = World::running(testing::database());
        world.seen.workers.values_mut().for_each(|worker| narrow(&mut worker.terms));
        assert_eq!(world.settle().report.phase, Phase::Running);
        world.pods("b").clear();
        world.settle();
        assert_eq!(world.pods("b").len(), 1, "its pod is made again as ever");
    }
}

#[test]
fn a_listed_worker_that_takes_no_new_members_is_waited_for_in_words() {
    for (terms, reason) in [
        (Terms { duty: Duty::NoNewMembers, ..Terms::default() }, "WorkerUnschedulable"),
        (Terms { tenants: Tenants::Only([].into()), ..Terms::default() }, "NamespaceNotAllowed"),
    ] {
        let mut world = World::new(listed(&["a", "b", "c"]));
        world.seen.workers.get_mut(&WorkerName::from("b")).unwrap().terms = terms;
        let decision = world.settle();
        assert_eq!(condition(&decision, "Placed"), Some((Truth::False, reason)));
        assert_eq!(world.made, 0);
    }
}

/// The namespaces in which a worker holds anything.
fn namespaces(world: &mut World, worker: &str) -> Vec<String> {
    let objects = testing::objects(&mut world.seen, worker);
    let pods = objects.pods.values().map(|pod| &pod.meta);
    let claims = objects.claims.values().map(|claim| &claim.meta);
    let services = objects.services.values().map(|service| &service.meta);
    let mut found: Vec<_> = pods.chain(claims).chain(services).map(|meta| meta.namespace.to_string()).collect();
    found.sort();
    found.dedup();
    found
}

fn map(world: &mut World, worker: &str, there: &str) {
    let worker = world.seen.workers.get_mut(&WorkerName::from(worker)).unwrap();
    worker.terms.namespaces = [("default".into(), there.into())].into();
}

#[test]
fn members_live_and_stay_in_the_namespace_that_they_were_placed_in() {
    let mut world = World::new(testing::database());
    map(&mut world, "b", "tenant");
    world.settle();
    world.start_pods();
    let decision = world.settle();
    assert_eq!(decision.report.phase, Phase::Running, "{}", decision.report.message);
    let placed = decision.report.conditions.iter().find(|c| c.kind == "Placed").unwrap();
    assert!(placed.message.contains("db-etcd-1 in b (namespace tenant there)"), "{}", placed.message);
    let peer = world.record.as_ref().unwrap().members[1].peer.clone().unwrap();
    assert_eq!(peer, "db-etcd-1.db-etcd-headless.tenant.svc.b.test:2380");
    assert_eq!(namespaces(&mut world, "a"), ["default"]);
    assert_eq!(namespaces(&mut world, "b"), ["tenant"]);

    // The mapping is edited: whoever is there stays, and so does what is made again.
    map(&mut world, "b", "another");
    world.pods("b").clear();
    testing::objects(&mut world.seen, "b").services.clear();
    world.settle();
    assert_eq!(namespaces(&mut world, "b"), ["tenant"]);
    assert_eq!(world.left(), (3, 3, 3));

    // The record is lost: the volumes tell where they are.
    let old = world.record.take().unwrap();
    world.database.id.uid = Uid::from("uid-new");
    world.database.consent.adopt = Some(old.uid.clone());
    world.start_pods();
    world.settle();
    assert_eq!(world.record.as_ref().unwrap().members, old.members);

    world.delete();
    world.settle();
    assert_eq!(world.left(), (0, 0, 0));
}

#[test]
fn a_record_from_before_namespaces_were_recorded_means_the_one_of_the_databases_own_name() {
    let world = World::running(testing::database());
    let text = serde_json::to_string(world.record.as_ref().unwrap()).unwrap();
    assert!(!text.contains("namespace"), "{text}");
    let record: Record = serde_json::from_str(&text).unwrap();
    assert!(record.homes(&world.database.id).values().all(|home| home.as_str() == "default"));
}

#[test]
fn what_is_made_elsewhere_says_where_it_was_made() {
    let database = testing::database();
    let label = |home: &str| {
        let labels = labels::owned(&Uid::from("uid-master"), &database, &home.into());
        (labels[labels::DATABASE_NAMESPACE].clone(), labels.get(labels::WORKER_NAMESPACE).cloned())
    };
    assert_eq!(label("default"), ("default".to_owned(), None));
    assert_eq!(label("tenant"), ("default".to_owned(), Some("tenant".to_owned())));
}
