//! Whole lives of a database, decided step by step against a small world that does what it is told.

mod adoption;
mod deletion;
mod elsewhere;
mod engine;
mod founding;
mod life;
mod recovery;
mod rolling;
mod terms;
mod upkeep;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PodSpec;

use super::{
    act::{Act, Change, Kind, Object, Target},
    database::{Database, Intent, OnDelete, PlacementRequest, Volume},
    debt::{Account, Entry, Owed, Volumes},
    decide::decide,
    labels,
    membership::Asked,
    name::{ObjectName, ResourceVersion, Uid, WorkerName},
    network::{Exposure, MemberServices, Network, Spread},
    record::{Record, Recorded, Stage},
    report::{MemberState, Phase, Truth},
    seen::{
        Absence, Claim, ClaimPhase, Deletions, Ending, Meta, Objects, Pod, PodPhase, Process, Readiness, Registry,
        Seen, Service, Source, WorkerView,
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
    known: SignedDuration,
    made: u32,
    records: Vec<Record>,
    /// Whether all services get one and the same cluster IP.
    alike: bool,
    /// A volume claim that no worker takes.
    refuse: Option<&'static str>,
    pods_made: Vec<(String, String)>,
    engine: engine::Engine,
    /// A manifest that makes pods which never start.
    bad: Option<fn(&PodSpec) -> bool>,
    /// The pods that were made from it.
    stuck: BTreeSet<ObjectName>,
}

impl World {
    fn new(database: Database) -> Self {
        Self {
            master: Uid::from("uid-master"),
            now: testing::now(),
            known: SignedDuration::from_mins(1),
            database,
            record: None,
            seen: testing::empty_world(),
            made: 0,
            records: Vec::new(),
            alike: false,
            refuse: None,
            pods_made: Vec::new(),
            engine: engine::Engine::default(),
            bad: None,
            stuck: BTreeSet::new(),
        }
    }

    fn decide(&self) -> Decision {
        let recorded = self.record.clone().map(Recorded::from_status);
        decide(&View {
            master: &self.master,
            database: &self.database,
            record: recorded.as_ref(),
            seen: &self.seen,
            known: self.known,
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
        self.rest();
        for _ in 0..50 {
            let decision = self.decide();
            match &decision.step {
                Step::Record(record) => {
                    self.records.push(Record::clone(record));
                    self.record = Some(Record::clone(record));
                }
                Step::LookAgain(workers) => {
                    self.look(workers);
                    continue;
                }
                Step::AskAgain(workers) => {
                    self.look(workers);
                    self.ask();
                    continue;
                }
                Step::Command(command) => {
                    // What is refused is tried again later.
                    if self.obey(command).is_err() {
                        return (decision, End::Settled);
                    }
                }
                Step::Act(acts) if acts.is_empty() => return (decision, End::Settled),
                Step::Act(acts) => acts.clone().iter().for_each(|act| self.carry_out(act)),
                Step::Book(entries) => entries.clone().iter().for_each(|entry| self.book(entry)),
                Step::Release => return (decision, End::Settled),
            }
            self.rest();
        }
        (self.decide(), End::Restless)
    }

    /// Lists these workers.
    fn look(&mut self, workers: &BTreeSet<WorkerName>) {
        for worker in workers {
            if let WorkerView::Seen(objects) = &mut self.seen.workers.get_mut(worker).unwrap().view {
                objects.source = Source::Live;
            }
        }
    }

    fn book(&mut self, entry: &Entry) {
        match entry {
            Entry::Owe(worker, due) => {
                let account = self.seen.accounts.get_mut(worker).unwrap();
                account.owed = Some(Owed::from_status(due.at(self.now)));
            }
            Entry::Withdraw(worker, _) => self.seen.accounts.get_mut(worker).unwrap().owed = None,
        }
    }

    /// A step later, what was read live is only watched again, and what members said was said a while ago.
    fn rest(&mut self) {
        if let Some(membership) = &mut self.seen.membership {
            membership.asked = Asked::Lately;
        }
        for worker in self.seen.workers.values_mut() {
            if let WorkerView::Seen(objects) = &mut worker.view {
                objects.source = Source::Watch;
            }
        }
    }

    fn carry_out(&mut self, act: &Act) {
        self.made += 1;
        let uid = Uid::new(format!("made-{}", self.made));
        match &act.change {
            Change::Create(Object::Pod(pod), _) => self.may_start(pod),
            Change::Delete(target) | Change::DeleteUnchanged(target, _) if target.kind == Kind::Pod => {
                self.may_take_down(&target.name);
            }
            Change::Delete(target) if target.kind == Kind::Claim => self.volume_deleted(&target.name, &target.uid),
            _ => {}
        }
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
                    held_by: Vec::new(),
                };
                match object {
                    Object::Claim(_) if self.refuse == Some(name.as_str()) => {}
                    Object::Claim(_) => {
                        let record = from.annotations.as_ref().and_then(|a| a.get(labels::MEMBER_RECORD)).cloned();
                        let requested = match object {
                            Object::Claim(claim) => {
                                claim.spec.as_ref().unwrap().resources.as_ref().unwrap().requests.clone()
                            }
                            _ => None,
                        };
                        let requested = requested.unwrap().get("storage").map(|size| size.0.clone());
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
                        let annotation = |key| from.annotations.as_ref().and_then(|all| all.get(key)).cloned();
                        let args = pod.spec.as_ref().unwrap().containers[0].args.clone().unwrap_or_default();
                        let state = args.iter().find(|arg| arg.contains("cluster-state")).cloned().unwrap_or_default();
                        self.pods_made.push((name.to_string(), state));
                        if self.bad.is_some_and(|bad| bad(pod.spec.as_ref().unwrap())) {
                            self.stuck.insert(name.clone());
                        } else {
                            self.stuck.remove(&name);
                        }
                        let pod = Pod {
                            meta,
                            phase: PodPhase::Pending,
                            ready: Readiness::NotReady(None),
                            ip: None,
                            host_ip: Some(format!("192.0.2.{}", self.made)),
                            node: None,
                            trouble: None,
                            last_words: None,
                            restarts: 0,
                            process: Process::Stands,
                            version: annotation(labels::VERSION),
                            peers: annotation(labels::PEERS),
                            alone: annotation(labels::ALONE).is_some(),
                            founders: annotation(labels::FOUNDERS).and_then(|founders| founders.parse().ok()),
                        };
                        objects.pods.insert(name, pod);
                    }
                    Object::Job(_) => panic!("no jobs here"),
                }
            }
            Change::Grow(target, size) => claim(objects, target).requested = Some(size.0.clone()),
            Change::Tell(target, told) => claim(objects, target).record = Some(told.to_text()),
            Change::Delete(target) | Change::DeleteUnchanged(target, _) => delete(objects, target),
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
                    pod.process = Process::Runs;
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
        self.known = SignedDuration::from_secs(11);
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

fn claim<'a>(objects: &'a mut Objects, target: &Target) -> &'a mut Claim {
    let claim = objects.claims.get_mut(&target.name).unwrap();
    assert_eq!(claim.meta.uid, target.uid);
    claim
}

fn delete(objects: &mut Objects, target: &Target) {
    let uid = match target.kind {
        Kind::Pod => objects.pods.remove(&target.name).unwrap().meta.uid,
        Kind::Service => objects.services.remove(&target.name).unwrap().meta.uid,
        Kind::Claim => {
            assert_eq!(objects.source, Source::Live, "S9: {} goes by what was watched", target.name);
            objects.claims.remove(&target.name).unwrap().meta.uid
        }
        Kind::Job => panic!("no jobs here"),
    };
    assert_eq!(uid, target.uid);
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
