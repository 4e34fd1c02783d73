//! Whole lives of a database, decided step by step against a small world that does what it is told.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    act::{Act, Change, Kind, Object},
    database::{Database, Intent, OnDelete, PlacementRequest, Volume},
    decide::decide,
    labels,
    name::{ObjectName, ResourceVersion, Uid, WorkerName},
    network::{Exposure, MemberServices, Network, Spread},
    record::{Record, Recorded, Stage},
    report::{MemberState, Phase, Truth},
    seen::{
        Claim, ClaimPhase, Deletions, Ending, Meta, Objects, Pod, PodPhase, Readiness, Registry, Seen, Service, Source,
        WorkerView,
    },
    step::{Decision, Step},
    testing,
    view::View,
};

/// A reason that must be told, and what brings it about.
type Case<T> = (&'static str, fn(&mut T));

/// How a world came to rest.
enum End {
    Settled,
    Restless,
}

/// Master and workers in one struct: what was written stays, pods become ready when told to.
struct World {
    master: Uid,
    database: Database,
    record: Option<Record>,
    seen: Seen,
    now: Timestamp,
    made: u32,
    records: Vec<Record>,
    /// Whether all services get one and the same cluster IP.
    alike: bool,
    /// A volume claim that no worker takes.
    refuse: Option<&'static str>,
    pods_made: Vec<(String, String)>,
}

impl World {
    fn new(database: Database) -> Self {
        Self {
            master: Uid::from("uid-master"),
            now: testing::now(),
            database,
            record: None,
            seen: testing::empty_world(),
            made: 0,
            records: Vec::new(),
            alike: false,
            refuse: None,
            pods_made: Vec::new(),
        }
    }

    fn decide(&self) -> Decision {
        let recorded = self.record.clone().map(Recorded::from_status);
        decide(&View {
            master: &self.master,
            database: &self.database,
            record: recorded.as_ref(),
            seen: &self.seen,
            now: self.now,
        })
    }

    /// Does what is decided, until nothing is left to do; returns the last decision.
    fn settle(&mut self) -> Decision {
        match self.go_on() {
            (decision, End::Settled) => decision,
            (decision, End::Restless) => panic!("it never settles: {:?}", decision.step),
        }
    }

    /// The same, where something is refused for ever.
    fn settle_or_give_up(&mut self) -> Decision {
        self.go_on().0
    }

    fn go_on(&mut self) -> (Decision, End) {
        for _ in 0..50 {
            let decision = self.decide();
            match &decision.step {
                Step::Record(record) => {
                    self.records.push(record.clone());
                    self.record = Some(record.clone());
                }
                Step::LookAgain(workers) => {
                    for worker in workers {
                        testing::objects(&mut self.seen, worker.as_str()).source = Source::Live;
                    }
                    continue;
                }
                Step::Act(acts) if acts.is_empty() => return (decision, End::Settled),
                Step::Act(acts) => acts.clone().iter().for_each(|act| self.carry_out(act)),
                Step::Release => return (decision, End::Settled),
            }
            self.rest();
        }
        (self.decide(), End::Restless)
    }

    /// A step later, what was read live is only watched again.
    fn rest(&mut self) {
        for worker in self.seen.workers.values_mut() {
            if let WorkerView::Seen(objects) = &mut worker.view {
                objects.source = Source::Watch;
            }
        }
    }

    fn carry_out(&mut self, act: &Act) {
        self.made += 1;
        let uid = Uid::new(format!("made-{}", self.made));
        let objects = testing::objects(&mut self.seen, act.worker.as_str());
        match &act.change {
            Change::Create(object, _) | Change::Apply(object, _) => {
                let from = object.metadata();
                let name = ObjectName::new(from.name.clone().unwrap());
                let labels = from.labels.clone().unwrap();
                let meta = Meta {
                    namespace: from.namespace.clone().unwrap().as_str().into(),
                    name: name.clone(),
                    uid,
                    version: ResourceVersion::from("1"),
                    database: labels.get(labels::DATABASE_UID).map(|uid| Uid::from(uid.as_str())),
                    member: labels.get(labels::MEMBER).cloned(),
                    rendered: from.annotations.as_ref().and_then(|a| a.get(labels::RENDERED)).cloned(),
                    deleting: None,
                };
                match object {
                    Object::Claim(_) if self.refuse == Some(name.as_str()) => {}
                    Object::Claim(_) => {
                        let record = from.annotations.as_ref().and_then(|a| a.get(labels::MEMBER_RECORD)).cloned();
                        let requested = Some("1Gi".to_owned());
                        let phase = ClaimPhase::Bound;
                        assert!(!objects.claims.contains_key(&name), "{name} is made twice");
                        objects.claims.insert(name, Claim { meta, phase, requested, class: None, record });
                    }
                    Object::Service(_) => {
                        let service = Service {
                            meta,
                            cluster_ip: Some(format!("10.1.0.{}", if self.alike { 7 } else { self.made })),
                            ingress: Some(format!("192.0.2.{}", self.made)),
                            node_ports: BTreeMap::from([("peer".to_owned(), 30080), ("client".to_owned(), 30079)]),
                        };
                        objects.services.insert(name, service);
                    }
                    Object::Pod(pod) => {
                        let args = pod.spec.as_ref().unwrap().containers[0].args.clone().unwrap_or_default();
                        let state = args.iter().find(|arg| arg.contains("cluster-state")).cloned().unwrap_or_default();
                        self.pods_made.push((name.to_string(), state));
                        let pod = Pod {
                            meta,
                            phase: PodPhase::Pending,
                            ready: Readiness::NotReady(None),
                            ip: None,
                            host_ip: Some(format!("192.0.2.{}", self.made)),
                            node: None,
                            trouble: None,
                            restarts: 0,
                        };
                        objects.pods.insert(name, pod);
                    }
                    Object::Job(_) => panic!("no jobs here"),
                }
            }
            Change::Delete(target) => match target.kind {
                Kind::Pod => assert_eq!(objects.pods.remove(&target.name).unwrap().meta.uid, target.uid),
                Kind::Service => assert_eq!(objects.services.remove(&target.name).unwrap().meta.uid, target.uid),
                Kind::Claim => assert_eq!(objects.claims.remove(&target.name).unwrap().meta.uid, target.uid),
                Kind::Job => panic!("no jobs here"),
            },
            Change::TakeOver(target, uid) => {
                let meta = match target.kind {
                    Kind::Pod => &mut objects.pods.get_mut(&target.name).unwrap().meta,
                    Kind::Service => &mut objects.services.get_mut(&target.name).unwrap().meta,
                    Kind::Claim => &mut objects.claims.get_mut(&target.name).unwrap().meta,
                    Kind::Job => panic!("no jobs here"),
                };
                meta.database = Some(uid.clone());
            }
        }
    }

    fn start_pods(&mut self) {
        for worker in self.seen.workers.values_mut() {
            if let WorkerView::Seen(objects) = &mut worker.view {
                for pod in objects.pods.values_mut() {
                    pod.phase = PodPhase::Running;
                    pod.ready = Readiness::Ready(Some(self.now));
                }
            }
        }
    }

    fn running(database: Database) -> Self {
        let mut world = Self::new(database);
        world.settle();
        world.start_pods();
        let decision = world.settle();
        assert_eq!(decision.report.phase, Phase::Running, "{}", decision.report.message);
        world
    }

    fn delete(&mut self) {
        self.database.intent = Intent::Delete(self.now);
        self.seen.deletions.asked = vec![self.now];
        self.now += SignedDuration::from_secs(11);
    }

    fn left(&self) -> (usize, usize, usize) {
        let objects = || self.seen.workers.values().filter_map(|worker| worker.view.objects());
        (
            objects().map(|o| o.pods.len()).sum(),
            objects().map(|o| o.claims.len()).sum(),
            objects().map(|o| o.services.len()).sum(),
        )
    }

    fn pods(&mut self, worker: &str) -> &mut BTreeMap<ObjectName, Pod> {
        &mut testing::objects(&mut self.seen, worker).pods
    }
}

fn condition<'a>(decision: &'a Decision, kind: &str) -> Option<(Truth, &'a str)> {
    decision.report.conditions.iter().find(|c| c.kind == kind).map(|c| (c.status, c.reason))
}

fn with_network(exposure: Exposure, spread: Spread) -> Database {
    let mut database = testing::database();
    database.network =
        Network::MemberServices(MemberServices { name: "peer".into(), exposure, spread, annotations: BTreeMap::new() });
    database
}

#[test]
fn a_database_is_placed_then_identified_then_founded_and_each_is_recorded_before_it_is_done() {
    let world = World::running(testing::database());
    let stages: Vec<_> = world.records.iter().map(|record| record.stage.clone()).collect();
    assert!(
        matches!(stages.as_slice(), [Stage::Placed { attempt: 1 }, Stage::Founding(a), Stage::Established(b)] if a == b),
        "{stages:?}"
    );
    assert!(world.pods_made.iter().all(|(_, state)| state == "--initial-cluster-state=new"));
    assert_eq!(world.left(), (3, 3, 3));
}

#[test]
fn a_pod_made_after_the_first_member_has_served_does_not_found() {
    let mut world = World::new(testing::database());
    world.settle();
    world.pods("c").clear();
    world.start_pods();
    let decision = world.settle();
    assert!(matches!(world.record.as_ref().unwrap().stage, Stage::Founded(_)));
    assert_eq!(decision.report.phase, Phase::Creating, "it is not whole yet");
    assert_eq!(world.pods_made.last().unwrap().1, "--initial-cluster-state=existing");
    world.start_pods();
    assert_eq!(world.settle().report.phase, Phase::Running);
}

#[test]
fn every_network_mode_comes_up() {
    for (exposure, spread, services) in [
        (Exposure::LoadBalancer, Spread::Unique, 6),
        (Exposure::LoadBalancer, Spread::Mirror, 12),
        (Exposure::ClusterIp, Spread::Mirror, 12),
        (Exposure::ClusterIp, Spread::Unique, 6),
        (Exposure::NodePort, Spread::Unique, 6),
    ] {
        let world = World::running(with_network(exposure, spread));
        assert_eq!(world.left(), (3, 3, services), "{exposure:?} {spread:?}");
    }
}

#[test]
fn a_listed_worker_that_cannot_be_seen_is_waited_for_before_anything_is_recorded() {
    let mut database = testing::database();
    database.placement = PlacementRequest::Listed(["a", "b", "c"].map(Into::into).into());
    let mut world = World::new(database);
    world.seen.workers.get_mut(&WorkerName::from("b")).unwrap().view =
        WorkerView::Unseen { since: None, why: "timed out".into() };
    let decision = world.settle();
    assert_eq!(condition(&decision, "Placed"), Some((Truth::False, "WorkerUnseen")));
    assert_eq!(world.record, None);
}

#[test]
fn no_pod_is_made_before_the_identity_is_recorded() {
    let mut world = World::new(testing::database());
    loop {
        let decision = world.decide();
        let founding = world.record.as_ref().is_some_and(|record| record.identity().is_some());
        match decision.step {
            Step::Record(record) => world.record = Some(record),
            Step::Act(acts) if acts.is_empty() => break,
            Step::Act(acts) => {
                let pods = acts.iter().filter(|act| matches!(act.change, Change::Create(Object::Pod(_), _))).count();
                assert!(founding || pods == 0);
                for act in &acts {
                    world.carry_out(act);
                }
            }
            step => panic!("{step:?}"),
        }
    }
    assert_eq!(world.left().0, 3);
}

#[test]
fn a_pod_that_goes_after_the_founding_comes_back_on_its_volume_and_never_founds() {
    let mut world = World::running(testing::database());
    world.pods("b").clear();
    world.settle();
    let (name, state) = world.pods_made.last().unwrap();
    assert_eq!((name.as_str(), state.as_str()), ("db-etcd-1", "--initial-cluster-state=existing"));
}

#[test]
fn a_pod_is_not_made_on_a_volume_that_is_not_the_recorded_one() {
    let spoil: [Case<Claim>; 3] = [
        ("VolumeReplaced", |claim| claim.meta.uid = Uid::from("another")),
        ("VolumeBeingDeleted", |claim| claim.meta.deleting = Some(testing::now())),
        ("VolumeLost", |claim| claim.phase = ClaimPhase::Lost),
    ];
    for (reason, spoil) in spoil {
        let mut world = World::running(testing::database());
        world.pods("b").clear();
        testing::objects(&mut world.seen, "b").claims.values_mut().for_each(spoil);
        let decision = world.settle();
        assert_eq!(condition(&decision, "VolumesPresent"), Some((Truth::False, reason)));
        assert_eq!(world.left().0, 2);
    }
}

#[test]
fn a_pod_whose_volume_is_being_deleted_is_told_and_never_stopped() {
    let mut world = World::running(testing::database());
    let claims = &mut testing::objects(&mut world.seen, "b").claims;
    for claim in claims.values_mut() {
        claim.meta.deleting = Some(testing::now());
    }
    let decision = world.settle();
    assert_eq!(condition(&decision, "VolumesPresent"), Some((Truth::False, "VolumeBeingDeleted")));
    assert_eq!(world.left().0, 3);
}

#[test]
fn what_keeps_a_pod_from_starting_is_told_in_the_workers_own_words() {
    for (trouble, reason) in [
        ("CreateContainerConfigError: secret \"s3\" not found", "ReferenceMissing"),
        ("ImagePullBackOff: Back-off pulling image", "ImageNotPulled"),
        ("Unschedulable: 0/3 nodes are available", "Unschedulable"),
    ] {
        let mut world = World::new(testing::database());
        world.settle();
        for pod in world.pods("b").values_mut() {
            pod.trouble = Some(trouble.into());
        }
        let decision = world.settle();
        assert_eq!(condition(&decision, "PodsStart"), Some((Truth::False, reason)));
        let told = decision.report.conditions.iter().find(|c| c.kind == "PodsStart").unwrap();
        assert!(told.message.contains("db-etcd-1 in worker b") && told.message.contains(trouble), "{}", told.message);
    }
}

#[test]
fn an_address_that_changes_after_the_founding_is_told() {
    let mut world = World::running(with_network(Exposure::LoadBalancer, Spread::Unique));
    let services = &mut testing::objects(&mut world.seen, "b").services;
    services.get_mut(&ObjectName::from("db-etcd-peer-1")).unwrap().ingress = Some("198.51.100.1".into());
    let decision = world.settle();
    assert_eq!(condition(&decision, "UpToDate"), Some((Truth::False, "ChangeNotCarriedOut")));
    let told = decision.report.conditions.iter().find(|c| c.kind == "UpToDate").unwrap();
    assert!(told.message.contains("198.51.100.1:2380"), "{}", told.message);
}

#[test]
fn a_volume_that_is_gone_is_never_made_again_under_a_running_identity() {
    let mut world = World::running(testing::database());
    world.pods("b").clear();
    testing::objects(&mut world.seen, "b").claims.clear();
    world.settle();
    assert_eq!(world.left(), (2, 2, 3));
}

#[test]
fn a_worker_that_cannot_be_seen_is_unknown_and_nothing_is_done_about_it() {
    let mut world = World::running(testing::database());
    let since = Some(world.now);
    world.seen.workers.get_mut(&WorkerName::from("b")).unwrap().view =
        WorkerView::Unseen { since, why: "timed out".into() };
    let decision = world.settle();
    assert_eq!(decision.report.phase, Phase::Degraded);
    assert!(decision.report.message.contains("db-etcd-1 in b is unknown since"), "{}", decision.report.message);
    assert_eq!(condition(&decision, "Ready"), Some((Truth::False, "MajorityServes")));
}

#[test]
fn a_founding_that_lost_everything_before_it_served_is_tried_again_with_another_token() {
    let mut world = World::new(testing::database());
    world.settle();
    let first = world.record.as_ref().and_then(Record::identity).unwrap().clone();
    for worker in ["a", "b", "c"] {
        let objects = testing::objects(&mut world.seen, worker);
        objects.pods.clear();
        objects.claims.clear();
    }
    world.settle();
    let second = world.record.as_ref().and_then(Record::identity).unwrap().clone();
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_ne!(first.token, second.token);
}

#[test]
fn a_founding_that_lost_one_volume_before_it_served_waits_for_a_person() {
    let mut world = World::new(testing::database());
    world.settle();
    let objects = testing::objects(&mut world.seen, "b");
    objects.pods.clear();
    objects.claims.clear();
    let decision = world.settle();
    assert_eq!(condition(&decision, "VolumesPresent"), Some((Truth::False, "FoundingBroken")));
    assert_eq!(world.record.as_ref().and_then(Record::identity).unwrap().attempt, 1);
}

#[test]
fn names_that_are_taken_found_nothing_until_a_person_has_them_taken_over() {
    let mut world = World::running(testing::database());
    let old = world.record.clone().unwrap();
    world.database.id.uid = Uid::from("uid-new");
    world.record = None;
    world.pods_made.clear();
    let decision = world.settle();
    assert_eq!(condition(&decision, "RecordFound"), Some((Truth::False, "RecordLost")));
    assert!(decision.report.message.contains("atoll.dev/adopt=uid-db"), "{}", decision.report.message);
    assert_eq!(world.record, None);

    world.database.consent.adopt = Some(Uid::from("uid-db"));
    let decision = world.settle();
    assert_eq!(decision.report.phase, Phase::Running, "{}", decision.report.message);
    let new = world.record.clone().unwrap();
    assert_eq!(new.identity(), old.identity());
    assert_eq!(new.members, old.members);
    assert_eq!(world.pods_made, [], "no pod is restarted");
}

#[test]
fn deletion_leaves_what_the_policy_says() {
    for (policy, left) in
        [(OnDelete::KeepVolumes, (0, 3, 0)), (OnDelete::RemoveVolumes, (0, 0, 0)), (OnDelete::Wipe, (0, 0, 0))]
    {
        let mut world = World::running(testing::database());
        world.database.on_delete = policy;
        world.delete();
        let decision = world.settle();
        assert_eq!((decision.step, world.left()), (Step::Release, left), "{policy:?}");
    }
}

#[test]
fn do_not_terminate_and_protection_hold_a_deletion_and_the_database_runs_on() {
    let hold: [Case<Database>; 2] = [
        ("DoNotTerminate", |database| database.on_delete = OnDelete::Refuse),
        ("DeletionProtected", |database| database.consent.protected = true),
    ];
    for (reason, hold) in hold {
        let mut world = World::running(testing::database());
        hold(&mut world.database);
        world.delete();
        world.pods("a").clear();
        let decision = world.settle();
        assert_eq!(condition(&decision, "Deletable"), Some((Truth::False, reason)));
        assert_eq!(world.left(), (3, 3, 3), "it is repaired while it is held");
    }
}

#[test]
fn volumes_go_after_the_pods_are_proved_gone() {
    let mut world = World::running(testing::database());
    world.delete();
    let Step::LookAgain(workers) = world.decide().step else { panic!("it must look first") };
    for worker in &workers {
        testing::objects(&mut world.seen, worker.as_str()).source = Source::Live;
    }
    let Step::Act(acts) = world.decide().step else { panic!("it must act") };
    let kinds: Vec<_> = acts
        .iter()
        .filter_map(|act| match &act.change {
            Change::Delete(target) => Some(target.kind),
            _ => None,
        })
        .collect();
    assert!(kinds.contains(&Kind::Pod) && !kinds.contains(&Kind::Claim), "{kinds:?}");
}

#[test]
fn a_deletion_is_held_by_a_worker_that_cannot_be_seen_and_says_what_is_there() {
    let mut world = World::running(testing::database());
    world.seen.workers.get_mut(&WorkerName::from("b")).unwrap().view =
        WorkerView::Unseen { since: Some(world.now), why: "timed out".into() };
    world.delete();
    let decision = world.settle();
    assert_eq!(condition(&decision, "Deletable"), Some((Truth::False, "ObjectsLeft")));
    let told = decision.report.conditions.iter().find(|c| c.kind == "Deletable").unwrap();
    assert!(told.message.contains("db-etcd-1") && told.message.contains("timed out"), "{}", told.message);
}

#[test]
fn the_brake_holds_what_goes_with_its_kind_its_namespace_or_many_others_until_confirmed() {
    let brake: [Case<Seen>; 4] = [
        ("KindBeingDeleted", |seen| seen.deletions.kind_deleting = Ending::Going),
        ("NamespaceBeingDeleted", |seen| seen.deletions.namespace_deleting = Ending::Going),
        ("NamespaceUnread", |seen| seen.deletions.namespace_deleting = Ending::Unread),
        ("ManyBeingDeleted", |seen| {
            seen.deletions.databases = 9;
            seen.deletions.asked = vec![testing::now(); 5];
        }),
    ];
    for (reason, brake) in brake {
        let mut world = World::running(testing::database());
        world.delete();
        brake(&mut world.seen);
        let decision = world.settle();
        assert_eq!(condition(&decision, "Deletable"), Some((Truth::False, reason)));
        assert_eq!(world.left(), (3, 3, 3));

        world.database.consent.confirm_delete = Some(Uid::from("somebody-else"));
        assert_eq!(world.settle().report.phase, Phase::Running, "a confirmation of another UID says nothing");
        world.database.consent.confirm_delete = Some(world.database.id.uid.clone());
        assert_eq!(world.settle().step, Step::Release);
        assert_eq!(world.left(), (0, 0, 0));
    }
}

#[test]
fn four_deletions_at_once_are_no_mass_and_neither_are_five_of_ten() {
    for (all, asked) in [(4, 4), (10, 5)] {
        let mut world = World::running(testing::database());
        world.delete();
        world.seen.deletions.databases = all;
        world.seen.deletions.asked = vec![testing::now(); asked];
        assert_eq!(world.settle().step, Step::Release, "{asked} of {all}");
    }
}

#[test]
fn keep_data_lets_the_resource_go_and_touches_nothing() {
    let mut world = World::running(testing::database());
    world.delete();
    world.seen.deletions.kind_deleting = Ending::Going;
    world.database.consent.keep_data = Some(world.database.id.uid.clone());
    assert_eq!(world.settle().step, Step::Release);
    assert_eq!(world.left(), (3, 3, 3));
}

#[test]
fn an_edited_placement_moves_nothing_and_is_told() {
    let mut database = testing::database();
    database.placement = PlacementRequest::Listed(vec!["a".into(), "b".into(), "c".into()]);
    let mut world = World::running(database);
    let before = world.record.clone();
    world.database.placement = PlacementRequest::Listed(vec!["c".into(), "b".into(), "a".into()]);
    let decision = world.settle();
    assert_eq!(world.record, before);
    assert_eq!(condition(&decision, "UpToDate"), Some((Truth::False, "ChangeNotCarriedOut")));
}

#[test]
fn a_mass_deletion_stays_held_when_it_is_looked_at_late_and_when_the_others_are_gone() {
    let mut world = World::running(testing::database());
    world.delete();
    world.seen.deletions.databases = 6;
    world.seen.deletions.asked = vec![testing::now(); 6];
    world.now += SignedDuration::from_hours(2);
    assert_eq!(condition(&world.settle(), "Deletable"), Some((Truth::False, "ManyBeingDeleted")));
    world.seen.deletions = Deletions { databases: 1, asked: vec![testing::now()], ..Deletions::default() };
    assert_eq!(condition(&world.settle(), "Deletable"), Some((Truth::False, "ManyBeingDeleted")));
    assert_eq!(world.left(), (3, 3, 3));
    world.database.consent.confirm_delete = Some(world.database.id.uid.clone());
    assert_eq!(world.settle().step, Step::Release);
}

#[test]
fn a_paused_database_is_not_deleted() {
    let mut world = World::running(testing::database());
    world.database.consent.paused = true;
    world.delete();
    assert_eq!(condition(&world.settle(), "Deletable"), Some((Truth::False, "Paused")));
    assert_eq!(world.left(), (3, 3, 3));
}

#[test]
fn a_pod_that_is_made_again_runs_the_recorded_version_whatever_the_manifest_says_by_then() {
    let mut world = World::running(testing::database());
    world.database.engine.version = crate::engine::Version::new("3.6.16");
    world.database.engine.image = "gcr.io/etcd-development/etcd:v3.6.16".into();
    world.pods("b").clear();
    let Step::Act(acts) = world.decide().step else { panic!("a pod is missing") };
    let images: Vec<_> = acts
        .iter()
        .filter_map(|act| match &act.change {
            Change::Create(Object::Pod(pod), _) => pod.spec.as_ref()?.containers[0].image.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(images, ["gcr.io/etcd-development/etcd:v3.5.35"]);
    assert_eq!(condition(&world.settle(), "UpToDate"), Some((Truth::False, "ChangeNotCarriedOut")));
}

#[test]
fn a_worker_that_became_another_cluster_proves_nothing() {
    let mut world = World::new(testing::database());
    world.settle();
    for worker in ["a", "b", "c"] {
        let objects = testing::objects(&mut world.seen, worker);
        *objects = Objects::none(Uid::new(format!("another-{worker}")), Source::Live);
    }
    let decision = world.settle();
    assert_eq!(world.record.as_ref().unwrap().attempt(), 1, "nothing was proved gone");
    assert!(decision.report.members.iter().all(|member| member.state == MemberState::Unknown));
    world.delete();
    let decision = world.settle();
    assert_eq!(condition(&decision, "Deletable"), Some((Truth::False, "ObjectsLeft")));
}

#[test]
fn nothing_is_placed_before_the_registrations_have_been_read() {
    let mut world = World::new(testing::database());
    world.seen.registry = Registry::Unread;
    assert_eq!(condition(&world.settle(), "Placed"), Some((Truth::False, "WorkersUnread")));
    assert_eq!(world.record, None);
}

#[test]
fn members_that_would_share_one_address_are_not_founded() {
    let mut world = World::new(with_network(Exposure::ClusterIp, Spread::Unique));
    world.alike = true;
    let decision = world.settle();
    assert_eq!(condition(&decision, "AddressesKnown"), Some((Truth::False, "AddressesAlike")));
    assert_eq!(world.left().0, 0);
}

#[test]
fn an_identity_waits_for_every_volume_not_only_for_the_data() {
    let mut database = testing::database();
    let log = Volume { name: "log".into(), mount: None, ..database.volumes.data.clone() };
    database.volumes.others.push(log);
    let mut world = World::new(database);
    world.refuse = Some("log-db-etcd-1");
    let decision = world.settle_or_give_up();
    assert_eq!(condition(&decision, "AddressesKnown"), Some((Truth::False, "WaitingForVolumeClaim")));
    world.refuse = None;
    world.settle();
    assert_eq!(world.left(), (3, 6, 3));
}

#[test]
fn another_network_mode_is_told_and_leaves_the_services_that_addresses_hang_on() {
    let mut world = World::running(with_network(Exposure::LoadBalancer, Spread::Unique));
    world.database.network = with_network(Exposure::ClusterIp, Spread::Mirror).network;
    let decision = world.settle();
    assert_eq!(world.left(), (3, 3, 6));
    assert_eq!(condition(&decision, "UpToDate"), Some((Truth::False, "ChangeNotCarriedOut")));
    let alibaba = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type";
    world.database.network = with_network(Exposure::LoadBalancer, Spread::Unique).network;
    if let Network::MemberServices(services) = &mut world.database.network {
        services.annotations.insert(alibaba.into(), "internet".into());
    }
    assert_eq!(world.decide().step, Step::Act(Vec::new()), "an annotation that moves the address moves members");
}

#[test]
fn a_changed_service_annotation_is_applied_in_place() {
    let mut world = World::running(with_network(Exposure::LoadBalancer, Spread::Unique));
    if let Network::MemberServices(services) = &mut world.database.network {
        services.annotations.insert("cloud".into(), "intranet".into());
    }
    let Step::Act(acts) = world.decide().step else { panic!() };
    assert!(acts.len() == 3 && acts.iter().all(|act| matches!(act.change, Change::Apply(..))), "{acts:?}");
}

#[test]
fn a_paused_database_is_told_and_left_alone() {
    let mut world = World::running(testing::database());
    world.database.consent.paused = true;
    world.pods("a").clear();
    let decision = world.settle();
    assert_eq!(condition(&decision, "Paused").map(|c| c.1), Some("Paused"));
    assert_eq!(world.left().0, 2);
}
