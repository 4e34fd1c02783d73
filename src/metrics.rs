//! What Atoll tells Prometheus. Every label comes from a bounded list: workers that are registered, reasons, phases and
//! verbs that the code names; never a name that a person chose for a database.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{
    controller::{Round, claim::Standing},
    plan::{act::Reason, command::Wish, name::WorkerName},
};

/// Seconds; the last bound is the deadline of a request.
const SECONDS: [f64; 8] = [0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 3.0, 10.0];

/// The handle: cheap to clone, the same figures behind all clones.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

struct Inner {
    registry: Registry,
    worker_up: Family<OfWorker, Gauge>,
    credentials_expire: Family<OfWorker, Gauge>,
    requests: Family<Request, Counter>,
    seconds: Family<OfWorker, Histogram>,
    acts: Family<Act, Counter>,
    commands: Family<Told, Counter>,
    reconciles: Family<Reconcile, Counter>,
    reconcile_seconds: Histogram,
    ready: Gauge,
    running: Gauge,
    databases: Family<Databases, Gauge>,
    leader: Gauge,
    dialects: Family<Dialect, Gauge>,
    /// The label sets in use, to take a worker's away when it goes.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    requests: BTreeSet<Request>,
    acts: BTreeSet<Act>,
    phases: BTreeSet<Databases>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct OfWorker {
    worker: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct Request {
    worker: String,
    verb: &'static str,
    resource: &'static str,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct Act {
    worker: String,
    reason: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct Told {
    wish: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct Reconcile {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct Databases {
    dialect: &'static str,
    phase: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct Dialect {
    group: String,
    state: &'static str,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The API server answered with this HTTP status.
    Code(u16),
    /// No answer came: a timeout, or a broken connection.
    None,
}

/// How a command to a member ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did as it was told.
    Done,
    /// It refused, or nobody knows.
    Refused,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All figures at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::with_prefix("atoll"),
            worker_up: Family::default(),
            credentials_expire: Family::default(),
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            acts: Family::default(),
            commands: Family::default(),
            reconciles: Family::default(),
            reconcile_seconds: Histogram::new(SECONDS),
            ready: Gauge::default(),
            running: Gauge::default(),
            databases: Family::default(),
            leader: Gauge::default(),
            dialects: Family::default(),
            known: Mutex::default(),
        };
        inner.register();
        Self(Arc::new(inner))
    }

    /// Whether a worker answers.
    pub fn worker_up(&self, worker: &WorkerName, up: bool) {
        self.0.worker_up.get_or_create(&OfWorker::of(worker)).set(i64::from(up));
    }

    /// When a worker's credentials end, where they say so.
    pub fn credentials_expire(&self, worker: &WorkerName, at: Option<Timestamp>) {
        let of = OfWorker::of(worker);
        match at {
            Some(at) => drop(self.0.credentials_expire.get_or_create(&of).set(at.as_second())),
            None => drop(self.0.credentials_expire.remove(&of)),
        }
    }

    /// One request to a worker's API server.
    pub fn request(
        &self,
        worker: &WorkerName,
        verb: &'static str,
        resource: &'static str,
        answer: Answer,
        took: Duration,
    ) {
        let code = match answer {
            Answer::Code(code) => code.to_string(),
            Answer::None => "none".to_owned(),
        };
        let labels = Request { worker: worker.to_string(), verb, resource, code };
        self.0.requests.get_or_create(&labels).inc();
        self.0.seconds.get_or_create(&OfWorker::of(worker)).observe(took.as_secs_f64());
        self.known(|known| known.requests.insert(labels));
    }

    /// One act, and how it ended: `done`, or the bounded reason of its error.
    pub fn act(&self, worker: &WorkerName, reason: Reason, outcome: &'static str) {
        let labels = Act { worker: worker.to_string(), reason: reason.as_str(), outcome };
        self.0.acts.get_or_create(&labels).inc();
        self.known(|known| known.acts.insert(labels));
    }

    /// One command to a member, and how it ended.
    pub fn command(&self, wish: &Wish, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
        };
        self.0.commands.get_or_create(&Told { wish: wish.as_str(), outcome }).inc();
    }

    /// The worker is registered no more: its figures go.
    pub fn forget(&self, worker: &WorkerName) {
        let of = OfWorker::of(worker);
        self.0.worker_up.remove(&of);
        self.0.credentials_expire.remove(&of);
        self.0.seconds.remove(&of);
        self.known(|known| {
            for gone in known.requests.extract_if(.., |labels| labels.worker == of.worker) {
                self.0.requests.remove(&gone);
            }
            for gone in known.acts.extract_if(.., |labels| labels.worker == of.worker) {
                self.0.acts.remove(&gone);
            }
        });
    }

    /// One round for one database.
    pub fn reconciled(&self, round: Round) {
        let outcome = match round {
            Round::Settled => "settled",
            Round::Again(_) => "again",
            Round::Failed | Round::FailedAndTells(_) => "failed",
        };
        self.0.reconciles.get_or_create(&Reconcile { outcome }).inc();
    }

    /// How long one round took.
    pub fn reconcile_took(&self, took: Duration) {
        self.0.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// How many databases wait for their turn, and how many have it.
    pub fn queue(&self, ready: usize, running: usize) {
        self.0.ready.set(count(ready));
        self.0.running.set(count(running));
    }

    /// How many databases of a dialect are in which phase; phases that are not named are empty.
    pub fn databases(&self, dialect: &'static str, phases: impl IntoIterator<Item = (String, usize)>) {
        let phases: Vec<_> = phases.into_iter().map(|(phase, count)| (Databases { dialect, phase }, count)).collect();
        self.known(|known| {
            for labels in known.phases.iter().filter(|labels| labels.dialect == dialect) {
                self.0.databases.get_or_create(labels).set(0);
            }
            for (labels, number) in phases {
                self.0.databases.get_or_create(&labels).set(count(number));
                known.phases.insert(labels);
            }
        });
    }

    /// Whether this process holds the lease.
    pub fn leader(&self, leads: bool) {
        self.0.leader.set(i64::from(leads));
    }

    /// Whose the CRD of this name is, and with it whether its group is served.
    pub fn dialect(&self, crd: &str, standing: &Standing) {
        let group = crd.split_once('.').map_or(crd, |(_, group)| group);
        for state in ["ours", "missing", "foreign"] {
            let labels = Dialect { group: group.to_owned(), state };
            self.0.dialects.get_or_create(&labels).set(i64::from(state == word(standing)));
        }
    }

    /// Everything, in the `OpenMetrics` text format.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }

    fn known<T>(&self, change: impl FnOnce(&mut Known) -> T) {
        change(&mut self.0.known.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Inner {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("worker_up", "Whether the worker answers", self.worker_up.clone());
        let help = "When the worker's credentials end, in seconds since 1970";
        let family = self.credentials_expire.clone();
        registry.register_with_unit("worker_credentials_expire_timestamp", help, Unit::Seconds, family);
        registry.register("worker_requests", "Requests to the worker's API server", self.requests.clone());
        let help = "Time of requests to the worker's API server";
        registry.register_with_unit("worker_request", help, Unit::Seconds, self.seconds.clone());
        registry.register("acts", "Changes in workers, by reason and outcome", self.acts.clone());
        let help = "What members were told to do, by wish and outcome";
        registry.register("commands", help, self.commands.clone());
        registry.register("reconciles", "Rounds for one database, by outcome", self.reconciles.clone());
        let help = "Time of one round for one database";
        registry.register_with_unit("reconcile", help, Unit::Seconds, self.reconcile_seconds.clone());
        registry.register("queue_ready", "Databases that wait for their turn", self.ready.clone());
        registry.register("queue_running", "Databases that have their turn", self.running.clone());
        registry.register("databases", "Databases by phase", self.databases.clone());
        registry.register("leader", "Whether this process holds the lease", self.leader.clone());
        let help = "Whose the CRDs of the group are: served where they are ours";
        registry.register("dialect_served", help, self.dialects.clone());
        let start: Gauge<f64, AtomicU64> = Gauge::default();
        start.set(jiff::Timestamp::now().as_duration().as_secs_f64());
        let help = "When this process started, in seconds since 1970";
        registry.register_with_unit("process_start_time", help, Unit::Seconds, start);
    }
}

impl OfWorker {
    fn of(worker: &WorkerName) -> Self {
        Self { worker: worker.to_string() }
    }
}

fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Ours => "ours",
        Standing::Missing => "missing",
        Standing::Foreign { .. } => "foreign",
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(metrics: &Metrics, line: &str) -> bool {
        metrics.text().unwrap().lines().any(|found| found == line)
    }

    #[test]
    fn figures_appear_under_their_names_and_labels() {
        let metrics = Metrics::new();
        let worker = WorkerName::from("k8s-1");
        metrics.worker_up(&worker, true);
        metrics.credentials_expire(&worker, Some(Timestamp::UNIX_EPOCH + Duration::from_hours(500_000)));
        metrics.request(&worker, "get", "namespaces", Answer::Code(200), Duration::from_millis(20));
        metrics.request(&worker, "create", "pods", Answer::None, Duration::from_secs(10));
        metrics.act(&worker, Reason::PodMissing, "done");
        metrics.reconciled(Round::Settled);
        metrics.queue(3, 1);
        metrics.clone().leader(true);
        for line in [
            r#"atoll_worker_up{worker="k8s-1"} 1"#,
            r#"atoll_worker_credentials_expire_timestamp_seconds{worker="k8s-1"} 1800000000"#,
            r#"atoll_worker_requests_total{worker="k8s-1",verb="get",resource="namespaces",code="200"} 1"#,
            r#"atoll_worker_requests_total{worker="k8s-1",verb="create",resource="pods",code="none"} 1"#,
            r#"atoll_worker_request_seconds_count{worker="k8s-1"} 2"#,
            r#"atoll_acts_total{worker="k8s-1",reason="PodMissing",outcome="done"} 1"#,
            r#"atoll_reconciles_total{outcome="settled"} 1"#,
            "atoll_queue_ready 3",
            "atoll_queue_running 1",
            "atoll_leader 1",
        ] {
            assert!(has(&metrics, line), "{line} in\n{}", metrics.text().unwrap());
        }
    }

    #[test]
    fn a_dialect_is_in_exactly_one_state() {
        let metrics = Metrics::new();
        metrics.dialect("clusters.apps.kubeblocks.io", &Standing::Missing);
        metrics.dialect("clusters.apps.kubeblocks.io", &Standing::Foreign { who: "x".to_owned() });
        for (state, value) in [("ours", 0), ("missing", 0), ("foreign", 1)] {
            let line = format!(r#"atoll_dialect_served{{group="apps.kubeblocks.io",state="{state}"}} {value}"#);
            assert!(has(&metrics, &line), "{line}");
        }
    }

    #[test]
    fn a_phase_that_empties_goes_back_to_zero() {
        let metrics = Metrics::new();
        metrics.databases("kubeblocks", [("Creating".to_owned(), 2)]);
        metrics.databases("kubeblocks", [("Running".to_owned(), 2)]);
        assert!(has(&metrics, r#"atoll_databases{dialect="kubeblocks",phase="Creating"} 0"#));
        assert!(has(&metrics, r#"atoll_databases{dialect="kubeblocks",phase="Running"} 2"#));
    }

    #[test]
    fn nothing_of_a_forgotten_worker_stays() {
        let metrics = Metrics::new();
        for name in ["k8s-1", "k8s-2"] {
            let worker = WorkerName::from(name);
            metrics.worker_up(&worker, true);
            metrics.credentials_expire(&worker, Some(Timestamp::UNIX_EPOCH));
            metrics.request(&worker, "get", "pods", Answer::Code(200), Duration::ZERO);
            metrics.act(&worker, Reason::PodMissing, "done");
        }
        metrics.forget(&WorkerName::from("k8s-1"));
        let text = metrics.text().unwrap();
        assert!(!text.contains("k8s-1"), "{text}");
        assert!(text.contains("k8s-2"), "{text}");
    }
}
