//! A round: every part of the world looks at what is known, and says what it would do now. Nothing is remembered but
//! when something was first seen: a round after an outage, or after a conflict, leads to the same acts.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Goods, Settings,
    hand::{Done, Fault, Hand},
    objects::Objects,
};

/// The pause after an act that changed what is known.
const BREATH: Duration = Duration::from_millis(50);
/// The pause after an act that was in vain.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause after one that was refused, or that only an event will show.
const REST: Duration = Duration::from_secs(2);

/// The longest pause after something that is done again and again.
const LONG: Duration = Duration::from_secs(10);
/// After this, what is done again is done for the first time.
const FORGET: Duration = Duration::from_secs(2);

/// One request, or a few that belong together.
pub(super) type Work = BoxFuture<'static, (String, Done)>;

/// What one round looks at, and what comes of it.
pub(super) struct Round<'a> {
    pub(super) now: Instant,
    pub(super) wall: Timestamp,
    pub(super) objects: &'a Objects,
    pub(super) settings: &'a Settings,
    pub(super) withheld: &'a BTreeSet<Goods>,
    pub(super) timers: &'a mut Timers,
    pub(super) busy: &'a mut Busy,
    pub(super) hand: &'a Hand,
    pub(super) work: Vec<Work>,
}

impl Round<'_> {
    /// Whether something has been so for its time. The time differs by half from case to case.
    pub(super) fn due(&mut self, what: &'static str, whom: &str, after: Duration) -> bool {
        let after = self.settings.vary(what, whom, after);
        self.due_exactly(what, whom, after)
    }

    /// The same, to the moment.
    pub(super) fn due_exactly(&mut self, what: &'static str, whom: &str, after: Duration) -> bool {
        self.timers.due(self.now, what, whom, after)
    }

    /// Has a round after this long.
    pub(super) fn wake(&mut self, what: &'static str, whom: &str, after: Duration) {
        self.timers.due(self.now, what, &format!("{whom} {after:?}"), after);
    }

    /// Does something, unless it is being done or has just been tried.
    pub(super) fn act<F>(&mut self, what: String, work: impl FnOnce(Hand) -> F)
    where
        F: Future<Output = Done> + Send + 'static,
    {
        if self.busy.is_free(&what, self.now) {
            self.busy.flying.insert(what.clone());
            let work = work(self.hand.clone());
            self.work.push(async move { (what, work.await) }.boxed());
        }
    }

    /// Whether something is to be had.
    pub(super) fn has(&self, goods: Goods) -> bool {
        !self.withheld.contains(&goods)
    }
}

/// What is under way or was just tried.
#[derive(Default)]
pub(super) struct Busy {
    flying: BTreeSet<String>,
    resting: BTreeMap<String, Rest>,
    /// When something that was wanted may be tried.
    next: Option<Instant>,
}

/// A pause before something is done again.
#[derive(Clone, Copy)]
struct Rest {
    until: Instant,
    /// How often in a row it was done.
    times: u32,
}

impl Busy {
    fn is_free(&mut self, what: &str, now: Instant) -> bool {
        if self.flying.contains(what) {
            return false;
        }
        match self.resting.get(what) {
            Some(Rest { until, .. }) if *until > now => {
                self.next = Some(self.next.map_or(*until, |next| next.min(*until)));
                false
            }
            _ => true,
        }
    }

    /// An act has ended. The next like it has to wait a moment; longer if it does not seem to help.
    pub(super) fn ended(&mut self, what: String, done: &Done, now: Instant) {
        self.flying.remove(&what);
        let times = self.resting.get(&what).map_or(0, |rest| rest.times + 1);
        let pause = match done {
            Ok(Some(_)) => (BREATH * 2_u32.saturating_pow(times.saturating_sub(3))).min(LONG),
            Ok(None) | Err(Fault::Refused) => REST,
            Err(Fault::Missing | Fault::Conflict | Fault::Silence) => PAUSE,
        };
        self.resting.insert(what, Rest { until: now + pause, times });
    }

    /// A round begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.resting.retain(|_, rest| rest.until + FORGET > now);
        self.next = None;
    }

    /// When something that was wanted in this round may be tried.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }
}

/// Since when what has been so.
#[derive(Default)]
pub(super) struct Timers {
    since: BTreeMap<(&'static str, String), Since>,
    round: u64,
    next: Option<Instant>,
}

struct Since {
    first: Instant,
    round: u64,
}

impl Timers {
    fn due(&mut self, now: Instant, what: &'static str, whom: &str, after: Duration) -> bool {
        let round = self.round;
        let since = self.since.entry((what, whom.to_owned())).or_insert(Since { first: now, round });
        since.round = round;
        let at = since.first + after;
        if at > now {
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
        at <= now
    }

    /// A round begins.
    pub(super) fn begin(&mut self) {
        self.round += 1;
        self.next = None;
    }

    /// A round is over: what nobody asked about is no longer so. When the next thing is due.
    pub(super) fn end(&mut self) -> Option<Instant> {
        let round = self.round;
        self.since.retain(|_, since| since.round == round);
        self.next
    }
}

impl Settings {
    /// Between half of a time and one and a half, always the same for one case.
    pub(super) fn vary(&self, what: &str, whom: &str, time: Duration) -> Duration {
        let mut hasher = DefaultHasher::new();
        (self.seed, &self.cluster, what, whom).hash(&mut hasher);
        let thousandths = u32::try_from(hasher.finish() % 1_000).unwrap_or(0);
        time * (500 + thousandths) / 1_000
    }
}
