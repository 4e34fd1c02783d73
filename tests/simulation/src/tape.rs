//! The tape: everything that happens, in order. Checks look at each event as it comes; a hash of all of them says
//! whether two runs were the same; the last of them are what a failing run prints.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    hash::{DefaultHasher, Hasher},
    sync::{Arc, Mutex},
    time::Duration,
};

use apiserver::Commit;
use bytes::Bytes;
use http::{Method, Request};

use crate::{
    check::{Check, Truth, Violation},
    entropy,
    etcd::ClusterId,
    lock::lock,
};

/// How many events a failing run can show.
const KEPT: usize = 6_000;

/// A cluster, by the name that the simulation has for it: `master`, `w1`, `w2` …
pub type Site = Arc<str>;

/// One life of the controller, counted from 1. After a crash comes the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life(pub u32);

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// The controller.
    Controller(Life),
    /// Schedulers, kubelets and their like.
    World,
    /// A person.
    Person,
}

/// One request of the controller.
#[derive(Clone, Debug)]
pub struct Call {
    /// Counted over the whole run.
    pub number: u64,
    /// Who sends it.
    pub life: Life,
    /// To which address.
    pub site: Site,
    /// `GET`, `WATCH`, `POST` …
    pub verb: &'static str,
    /// The path.
    pub path: String,
    /// The query.
    pub query: String,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// A request as it is sent.
    pub fn of(number: u64, life: Life, site: Site, request: &Request<Bytes>) -> Self {
        Self {
            number,
            life,
            site,
            verb: verb(request),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            body: request.body().clone(),
        }
    }

    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "GET" | "WATCH") && !self.path.contains("/authorization.k8s.io/")
    }

    /// Whether it is a step of a database's or a worker's life: neither a lease nor an event.
    pub fn is_step(&self) -> bool {
        self.is_write() && !self.path.contains("/leases") && !self.path.contains("/events")
    }
}

/// The method of a request, or `WATCH`.
pub fn verb<B>(request: &Request<B>) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    match *request.method() {
        Method::GET if query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")) => "WATCH",
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The controller sends a request.
    Sent(Arc<Call>),
    /// It is answered, or is not and why.
    Answered(Arc<Call>, Answer),
    /// An API server has changed an object.
    Committed(Site, Party, Arc<Commit>),
    /// A life of the controller begins or ends.
    Controller(Life, &'static str),
    /// A process of a database starts or ends.
    Process(String),
    /// A client's write was acknowledged by a database.
    Acknowledged {
        /// The database's UID.
        database: String,
        /// Who of etcd's clusters has acknowledged it.
        by: ClusterId,
        /// The key that was written.
        key: String,
        /// The value.
        value: String,
    },
    /// A fault begins or ends.
    Fault(String),
    /// A person does something.
    Person(String),
    /// The controller logs a line.
    Log(String),
    /// A moment has passed in which nothing else may have happened: what is true now is looked at.
    Glance,
}

/// A write that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// By whom.
    pub by: ClusterId,
    /// What was written.
    pub value: String,
}

/// What databases have acknowledged: by the database's UID and the key, the last write.
pub type Acknowledged = BTreeMap<(String, String), Written>;

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With this status.
    Code(u16),
    /// The connection broke before it arrived.
    Refused,
    /// Nobody will ever answer.
    Silence,
    /// It was carried out, and the answer got lost.
    Lost,
    /// It was answered with garbage.
    Corrupt,
}

/// What a run adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests of the controller.
    pub requests: u64,
    /// Its writes.
    pub writes: u64,
    /// Those of the writes that are steps (no lease, no event).
    pub steps: u64,
    /// Writes that databases have acknowledged.
    pub acknowledged: u64,
    /// Lives of the controller.
    pub lives: u64,
    /// Faults, by kind.
    pub faults: BTreeMap<String, u64>,
    /// How long it took, in virtual time.
    pub elapsed: Duration,
}

impl Figures {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.writes += other.writes;
        self.steps += other.steps;
        self.acknowledged += other.acknowledged;
        self.lives += other.lives;
        self.elapsed += other.elapsed;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
    }
}

/// Everything that happens. Cheap to clone, the same behind all clones.
#[derive(Clone)]
pub struct Tape(Arc<Mutex<Inner>>);

struct Inner {
    /// When the last event was.
    latest: Duration,
    hash: DefaultHasher,
    kept: VecDeque<(Duration, String)>,
    /// How many events were too early to be kept.
    left_out: usize,
    figures: Figures,
    checks: Vec<Box<dyn Check>>,
    truth: Option<Truth>,
    violations: Vec<Violation>,
    /// When steps were made, and when something was deleted, in milliseconds.
    moments: (Vec<u64>, Vec<u64>),
    /// What databases have acknowledged.
    acknowledged: Acknowledged,
}

impl Tape {
    /// An empty tape that is looked at by these checks.
    pub fn new(checks: Vec<Box<dyn Check>>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            latest: Duration::ZERO,
            hash: DefaultHasher::new(),
            kept: VecDeque::new(),
            left_out: 0,
            figures: Figures::default(),
            checks,
            truth: None,
            violations: Vec::new(),
            moments: (Vec::new(), Vec::new()),
            acknowledged: BTreeMap::new(),
        })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut lock(&self.0))
    }

    /// What checks may look at, once it is there.
    pub fn reveal(&self, truth: Truth) {
        self.with(|inner| inner.truth = Some(truth));
    }

    /// Takes in what happened, and has it checked.
    pub fn note(&self, event: Event) {
        self.with(|inner| {
            let now = inner.now();
            if !matches!(event, Event::Glance) {
                let line = event.to_string();
                inner.hash.write_u128(now.as_nanos());
                inner.hash.write(line.as_bytes());
                if let Event::Answered(call, _) = &event
                    && !call.path.contains("/events")
                {
                    inner.hash.write(&call.body);
                }
                if inner.kept.len() == KEPT {
                    inner.kept.pop_front();
                    inner.left_out += 1;
                }
                inner.kept.push_back((now, line));
            }
            inner.count(now, &event);
            let Some(truth) = inner.truth.take() else { return };
            let mut broken = Vec::new();
            for check in &mut inner.checks {
                if let Err(words) = check.see(now, &event, &truth) {
                    broken.push(Violation { check: check.name(), at: now, words });
                }
            }
            inner.truth = Some(truth);
            for violation in broken {
                inner.kept.push_back((now, format!("VIOLATION {}: {}", violation.check, violation.words)));
                inner.violations.push(violation);
            }
        });
    }

    /// Counts a fault of a kind.
    pub fn fault(&self, kind: &str, words: String) {
        self.with(|inner| *inner.figures.faults.entry(kind.to_owned()).or_default() += 1);
        self.note(Event::Fault(words));
    }

    /// A violation that no single event shows.
    pub fn violate(&self, check: &'static str, words: String) {
        self.with(|inner| {
            let at = inner.now();
            inner.violations.push(Violation { check, at, words });
        });
    }

    /// What was violated so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.with(|inner| inner.violations.clone())
    }

    /// The hash of all that happened.
    pub fn hash(&self) -> u64 {
        self.with(|inner| inner.hash.finish())
    }

    /// What the run adds up to so far.
    pub fn figures(&self) -> Figures {
        let mut figures = self.with(|inner| inner.figures.clone());
        figures.elapsed = entropy::elapsed();
        figures
    }

    /// What happened last, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.with(|inner| {
            let left_out = Some(inner.left_out).filter(|count| *count > 0);
            let first = left_out.map(|count| format!("… {count} earlier events are left out"));
            let kept = inner.kept.iter().map(|(at, line)| format!("{:>9.3} s  {line}", at.as_secs_f64()));
            first.into_iter().chain(kept).collect()
        })
    }

    /// When the controller made its steps, and when it deleted something, in milliseconds.
    pub fn moments(&self) -> (Vec<u64>, Vec<u64>) {
        self.with(|inner| inner.moments.clone())
    }

    /// What databases have acknowledged.
    pub fn acknowledged(&self) -> Acknowledged {
        self.with(|inner| inner.acknowledged.clone())
    }

    /// How many requests of the controller there were so far.
    pub fn requests(&self) -> u64 {
        self.with(|inner| inner.figures.requests)
    }

    /// How many steps there were so far.
    pub fn steps(&self) -> u64 {
        self.with(|inner| inner.figures.steps)
    }
}

impl Inner {
    /// A process beside the world ([`crate::process`]) is a little behind it: what it does, it does now.
    fn now(&mut self) -> Duration {
        self.latest = self.latest.max(entropy::elapsed());
        self.latest
    }

    fn count(&mut self, now: Duration, event: &Event) {
        match event {
            Event::Sent(call) => {
                self.figures.requests += 1;
                self.figures.writes += u64::from(call.is_write());
            }
            Event::Answered(call, answer) if call.is_step() => {
                if matches!(answer, Answer::Code(..400) | Answer::Lost | Answer::Corrupt) {
                    self.figures.steps += 1;
                    let at = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
                    self.moments.0.push(at);
                    if call.verb == "DELETE" {
                        self.moments.1.push(at);
                    }
                }
            }
            Event::Acknowledged { database, by, key, value } => {
                self.figures.acknowledged += 1;
                let written = Written { by: *by, value: value.clone() };
                self.acknowledged.insert((database.clone(), key.clone()), written);
            }
            Event::Controller(_, "begins") => self.figures.lives += 1,
            _ => {}
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "atoll#{}", self.0)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self.path.split_once("/events/") {
            // An event's name holds a time.
            Some((before, _)) => format!("{before}/events/…"),
            None => self.path.clone(),
        };
        write!(f, "{} → {} {} {path}", self.life, self.site, self.verb)?;
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", self.query) }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(call) => write!(f, "sent      {call}"),
            Self::Answered(call, answer) => write!(f, "{answer:<9} {call}"),
            Self::Committed(site, party, commit) => {
                let who = match party {
                    Party::Controller(life) => life.to_string(),
                    Party::World => "world".to_owned(),
                    Party::Person => "person".to_owned(),
                };
                write!(f, "changed   {site} {} {} ({who}, version {})", commit.verb, commit.place, commit.version)
            }
            Self::Controller(life, what) => write!(f, "{life} {what}"),
            Self::Process(words) => write!(f, "process   {words}"),
            Self::Acknowledged { database, key, value, .. } => write!(f, "acked     {database} {key}={value}"),
            Self::Fault(words) => write!(f, "FAULT     {words}"),
            Self::Person(words) => write!(f, "PERSON    {words}"),
            Self::Log(line) => write!(f, "log       {line}"),
            Self::Glance => f.write_str("glance"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => f.pad(&code.to_string()),
            Self::Refused => f.pad("refused"),
            Self::Silence => f.pad("silence"),
            Self::Lost => f.pad("lost"),
            Self::Corrupt => f.pad("corrupt"),
        }
    }
}
