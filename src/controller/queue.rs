//! What to reconcile next: a work queue that knows no clock, no task and no randomness.
//!
//! The caller tells it the time and asks [`Queue::next`]; it answers with a key to run, a moment to come back at, or
//! that there is nothing to do. Each key has its own back-off, so one database that fails never slows another.
//!
//! The rules, which the tests below hold it to:
//! * a key waits at most once, however often it is woken;
//! * a key never runs twice at once; what wakes it during a run makes it run once more afterwards;
//! * keys run in the order in which they became ready, so a busy key goes behind everybody that waits;
//! * no wake is ever lost: an extra run is harmless, a missed one is not.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// A point in time: how long the process has run, by a clock that never jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub Duration);

impl Moment {
    /// This moment and `delay` more; the far end of time instead of an overflow.
    #[must_use]
    pub fn plus(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }

    /// How long it is from `earlier` to this moment; zero if `earlier` is the later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// How a queue paces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many keys run at once, at most. Zero is read as one.
    pub concurrency: usize,
    /// The wait after the first failure of a key, and the least wait after any of its failures.
    pub first_retry: Duration,
    /// The longest wait after a failure.
    pub longest_retry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 32, first_retry: Duration::from_millis(250), longest_retry: Duration::from_mins(1) }
    }
}

/// What [`Queue::next`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<K> {
    /// Run this key now, and call [`Queue::finished`] afterwards.
    Run(K),
    /// Nothing can run before this moment, unless something is woken or finishes.
    WaitUntil(Moment),
    /// Nothing can run until something is woken or finishes.
    Idle,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Nothing is left to do until something changes.
    Settled,
    /// All went well, and the key wants to run again after this delay.
    Again(Duration),
    /// It failed: run it again after its back-off.
    Failed,
}

/// A work queue over keys. See the module's documentation for its rules.
#[derive(Clone, Debug)]
pub struct Queue<K> {
    limits: Limits,
    jitter: Jitter,
    entries: BTreeMap<K, Entry>,
    ready: VecDeque<K>,
    timers: BTreeSet<(Moment, K)>,
    running: usize,
    closed: bool,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    place: Place,
    /// Something changed since its last run began.
    woken: bool,
    /// When the key asked to run; kept through runs that start earlier for another cause.
    timer: Option<Moment>,
    /// When the back-off of the last failure ends.
    retry: Option<Moment>,
    /// No run before this: a failing key whose own writes wake it must not spin.
    not_before: Moment,
    failures: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Resting,
    /// In `timers`, at this moment.
    Timed(Moment),
    Ready,
    Running,
    /// Running, and gone when it ends.
    RunningForgotten,
}

impl<K: Ord + Clone> Queue<K> {
    /// An empty queue. Equal seeds and equal calls give equal answers.
    #[must_use]
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            jitter: Jitter(seed),
            entries: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            running: 0,
            closed: false,
        }
    }

    /// Something changed that concerns `key`: run it as soon as its turn comes.
    ///
    /// A key that is backing off is not made to wait out its back-off, since the change may be what it needed; but it
    /// waits `first_retry` from its last failure on.
    pub fn wake(&mut self, key: K, now: Moment) {
        self.ask(&key, now, |entry| entry.woken = true);
    }

    /// Run `key` after `delay`; of several such wishes the earliest counts.
    pub fn after(&mut self, key: K, delay: Duration, now: Moment) {
        self.ask(&key, now, |entry| {
            entry.timer = earliest(entry.timer, Some(now.plus(delay)));
        });
    }

    fn ask(&mut self, key: &K, now: Moment, wish: impl FnOnce(&mut Entry)) {
        let entry = self.entries.entry(key.clone()).or_default();
        wish(entry);
        match entry.place {
            Place::Running | Place::RunningForgotten => entry.place = Place::Running,
            // It is about to run and will see everything that is there then.
            Place::Ready => {}
            Place::Resting | Place::Timed(_) => self.place(key, now),
        }
    }

    /// The key is gone for good: no timer and no back-off of it stays. A run in progress is not stopped.
    pub fn forget(&mut self, key: &K) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        match entry.place {
            Place::Running | Place::RunningForgotten => {
                *entry = Entry { place: Place::RunningForgotten, ..Entry::default() };
                return;
            }
            Place::Timed(at) => {
                self.timers.remove(&(at, key.clone()));
            }
            Place::Ready => self.ready.retain(|other| other != key),
            Place::Resting => {}
        }
        self.entries.remove(key);
    }

    /// What to do now.
    pub fn next(&mut self, now: Moment) -> Next<K> {
        while let Some((at, key)) = self.timers.first().cloned() {
            if at > now {
                break;
            }
            self.timers.remove(&(at, key.clone()));
            self.make_ready(key);
        }
        if self.closed || self.running >= self.limits.concurrency.max(1) {
            return Next::Idle;
        }
        if let Some(key) = self.ready.pop_front() {
            let entry = self.entries.entry(key.clone()).or_default();
            entry.place = Place::Running;
            entry.woken = false;
            entry.retry = None;
            entry.timer = entry.timer.filter(|at| *at > now);
            self.running += 1;
            return Next::Run(key);
        }
        self.timers.first().map_or(Next::Idle, |(at, _)| Next::WaitUntil(*at))
    }

    /// A run of `key` has ended. Of a key that was not running nothing changes.
    pub fn finished(&mut self, key: &K, finish: Finish, now: Moment) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        match entry.place {
            Place::Running => entry.place = Place::Resting,
            Place::RunningForgotten => {
                self.running -= 1;
                self.entries.remove(key);
                return;
            }
            Place::Resting | Place::Timed(_) | Place::Ready => return,
        }
        self.running -= 1;
        match finish {
            Finish::Settled | Finish::Again(_) => {
                entry.failures = 0;
                entry.not_before = Moment::default();
            }
            Finish::Failed => {
                entry.failures = entry.failures.saturating_add(1);
                let wait = self.limits.retry(entry.failures, &mut self.jitter);
                entry.retry = Some(now.plus(wait));
                entry.not_before = now.plus(self.limits.first_retry.min(wait));
            }
        }
        if let Finish::Again(delay) = finish {
            entry.timer = earliest(entry.timer, Some(now.plus(delay)));
        }
        self.place(key, now);
    }

    /// Hands out no further key: for an orderly end, once [`Queue::running`] has come down to zero.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// How many keys are ready and wait for their turn.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// How many keys wait for a timer or a back-off.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.timers.len()
    }

    /// How many keys run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// How often `key` has failed since it last went well.
    #[must_use]
    pub fn failures(&self, key: &K) -> u32 {
        self.entries.get(key).map_or(0, |entry| entry.failures)
    }

    /// Puts a key that neither runs nor is ready where its timers say.
    fn place(&mut self, key: &K, now: Moment) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Place::Timed(at) = entry.place {
            self.timers.remove(&(at, key.clone()));
            entry.place = Place::Resting;
        }
        let due = if entry.woken { Some(now) } else { earliest(entry.timer, entry.retry) };
        match due.map(|at| at.max(entry.not_before)) {
            Some(at) if at <= now => self.make_ready(key.clone()),
            Some(at) => {
                entry.place = Place::Timed(at);
                self.timers.insert((at, key.clone()));
            }
            None => {
                self.entries.remove(key);
            }
        }
    }

    fn make_ready(&mut self, key: K) {
        self.entries.entry(key.clone()).or_default().place = Place::Ready;
        self.ready.push_back(key);
    }
}

impl Limits {
    /// Twice as long for each failure, up to the longest; spread downwards by up to half, so that what failed
    /// together does not come back together.
    fn retry(&self, failures: u32, jitter: &mut Jitter) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.first_retry.saturating_mul(1 << doublings).min(self.longest_retry);
        let half = whole / 2;
        whole.saturating_sub(half.mul_f64(jitter.fraction()))
    }
}

fn earliest(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    one.into_iter().chain(other).min()
}

/// `SplitMix64`: small, and the same on every machine.
#[derive(Clone, Debug)]
struct Jitter(u64);

impl Jitter {
    /// The next number in [0, 1).
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let upper = u32::try_from(mixed >> 32).unwrap_or(u32::MAX);
        f64::from(upper) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
