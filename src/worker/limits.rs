//! How much is asked of one worker at a time, and how fast: the same for its old and its new connection.
//!
//! A worker that is slow or overloaded must neither take all there is of us, nor be taken down by us. Requests differ
//! in what hangs on them ([`Lane`]): that a worker is known to be well must not wait behind work for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Method, Request, StatusCode, header};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until},
};

use super::{acceptance::Acceptance, bounded::Bound, timing};
use crate::plan::labels;

/// Requests that a worker answers at the same time, watches aside.
const IN_FLIGHT: usize = 32;
/// One request so often, in the long run: fifty a second.
const REQUEST_EVERY: Duration = Duration::from_millis(20);
/// So many at once before that: bringing up a few databases in a worker takes no time.
const REQUESTS_AT_ONCE: u32 = 100;
/// Whoever would have to wait longer for its turn than this is told so at once, while it has time to do other things.
const TURN: Duration = Duration::from_secs(3);

/// Why a request was not sent. Nothing happened in the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The API server answered 429 a moment ago.
    #[error("the API server is overloaded and asked to be left alone; it is asked again in {} s", .0.as_secs() + 1)]
    Held(Duration),
    /// We ask too much of it.
    #[error("more is asked of this worker than it is sent ({} requests a second); the rest waits", 1000 / REQUEST_EVERY.as_millis())]
    Crowded,
}

/// What hangs on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Which cluster is it, and does it answer? Waits for nothing: without it a worker is given up. There is one at a
    /// time, and one for each look that shall prove something.
    Probe,
    /// Lists and watches of the whole worker: without them it cannot be seen. There are four, each at a pace of its
    /// own, and they last: they take nobody's place, and wait only while the API server wants to be left alone.
    View,
    /// What stops being HTTP, and may last: a port-forward.
    Stream,
    /// All else.
    Call,
}

impl Lane {
    /// The lane of a request.
    pub fn of<B>(request: &Request<B>) -> Self {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        if request.headers().contains_key(header::UPGRADE) {
            Self::Stream
        } else if *request.method() != Method::GET {
            Self::Call
        } else if path == "/api/v1/namespaces/kube-system" {
            Self::Probe
        } else if watches(query) || query.contains("limit=") && !path.contains("/namespaces/") && !is_of_one(query) {
            Self::View
        } else {
            Self::Call
        }
    }

    /// How large the answer may be.
    #[must_use]
    pub fn bound(self, query: &str) -> Bound {
        match self {
            Self::Stream => Bound::Unbounded,
            Self::View if watches(query) => Bound::EVENT,
            Self::Probe | Self::View | Self::Call => Bound::ANSWER,
        }
    }
}

/// Whether it looks for one database's objects, in whichever namespace.
fn is_of_one(query: &str) -> bool {
    query.contains(&labels::DATABASE_NAME.replace('/', "%2F"))
}

fn watches(query: &str) -> bool {
    query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1")
}

/// One worker's.
#[derive(Debug)]
pub struct Limits {
    in_flight: Arc<Semaphore>,
    pace: Mutex<Pace>,
    acceptance: Mutex<Acceptance>,
}

#[derive(Debug)]
struct Pace {
    requests: Bucket,
    connections: Bucket,
    /// Until when the API server wants to be left alone.
    held: Option<Instant>,
}

impl Default for Limits {
    fn default() -> Self {
        let pace = Pace {
            requests: Bucket::new(REQUEST_EVERY, REQUESTS_AT_ONCE),
            connections: Bucket::new(timing::CONNECT_EVERY, 1),
            held: None,
        };
        Self { in_flight: Arc::new(Semaphore::new(IN_FLIGHT)), pace: Mutex::new(pace), acceptance: Mutex::default() }
    }
}

/// A place among the requests in flight, for as long as it is kept.
#[derive(Debug)]
pub struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Limits {
    fn pace(&self) -> MutexGuard<'_, Pace> {
        // Each field is replaced whole: a panic while it was held leaves nothing half-made.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request of this lane may be sent.
    pub async fn admit(&self, lane: Lane) -> Result<Place, Refusal> {
        match lane {
            Lane::Probe => Ok(Place { _permit: None }),
            Lane::View => {
                // The worker's own task waits here, and nobody behind it.
                sleep(self.held()).await;
                Ok(Place { _permit: None })
            }
            Lane::Stream => {
                self.turn().await?;
                Ok(Place { _permit: None })
            }
            Lane::Call => {
                self.turn().await?;
                let permit = self.in_flight.clone().acquire_owned().await.map_err(|_| Refusal::Crowded)?;
                Ok(Place { _permit: Some(permit) })
            }
        }
    }

    async fn turn(&self) -> Result<(), Refusal> {
        let held = self.held();
        if !held.is_zero() {
            return Err(Refusal::Held(held));
        }
        let now = Instant::now();
        let turn = self.pace().requests.take(now, TURN).ok_or(Refusal::Crowded)?;
        sleep_until(turn).await;
        Ok(())
    }

    /// Waits until another connection may be opened.
    pub async fn connection(&self) {
        let turn = self.pace().connections.take(Instant::now(), Duration::MAX);
        if let Some(turn) = turn {
            sleep_until(turn).await;
        }
    }

    /// Takes note of what the API server says of our credentials and of its load, in answer to what was sent then.
    pub fn heed(&self, sent: Instant, status: StatusCode, headers: &HeaderMap) {
        if status != StatusCode::UNAUTHORIZED {
            self.acceptance().accepted(sent, Instant::now());
        }
        if status != StatusCode::TOO_MANY_REQUESTS {
            return;
        }
        let asked = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|text| text.trim().parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
        let until = Instant::now() + asked.min(timing::RETRY_AFTER_MOST);
        let mut pace = self.pace();
        pace.held = pace.held.max(Some(until));
    }

    fn acceptance(&self) -> MutexGuard<'_, Acceptance> {
        self.acceptance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other credentials are in use from now on.
    pub fn other_credentials(&self) {
        *self.acceptance() = Acceptance::default();
    }

    /// How long the API server may still accept our credentials without a look at them.
    #[must_use]
    pub fn accepted_for(&self) -> Duration {
        self.acceptance().ends_in(Instant::now())
    }

    /// How long the API server still wants to be left alone.
    #[must_use]
    pub fn held(&self) -> Duration {
        let now = Instant::now();
        self.pace().held.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

/// A token bucket, by the time at which it is full again. Pure.
#[derive(Debug)]
struct Bucket {
    every: Duration,
    burst: u32,
    full: Option<Instant>,
}

impl Bucket {
    fn new(every: Duration, burst: u32) -> Self {
        Self { every, burst, full: None }
    }

    /// Takes a token: from when on it may be used. None is taken if that is later than `patience` allows.
    fn take(&mut self, now: Instant, patience: Duration) -> Option<Instant> {
        let full = self.full.map_or(now, |full| full.max(now)) + self.every;
        let wait = full.duration_since(now).saturating_sub(self.every * self.burst);
        if wait > patience {
            return None;
        }
        self.full = Some(full);
        Some(now + wait)
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
