//! Only one controller writes: the one that holds the Lease.
//!
//! A lease cannot stop a process that has been paused from finishing a write, so three things go together: the gate is
//! asked before each write and closes five seconds before anyone else may take over; a process that is late with its
//! renewal ends for good; and whatever could hurt data has its own precondition (a UID, a resource version).

mod step;
#[cfg(test)]
mod tests;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1 as coordination, apimachinery::pkg::apis::meta::v1::MicroTime};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub use step::{Decision, Identity, Seen, Sight, Times, step};

use super::queue::Moment;
use crate::{
    metrics::Metrics,
    plan::labels,
    worker::{
        fault::Fault,
        gate::{Gate, LeaseLost},
    },
};

/// How long writes that have begun get to come to their end, once this process was told to stop.
const GRACE: Duration = Duration::from_secs(11);

/// How leading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// This process was told to stop; the lease is released.
    Stopped,
    /// The lease is somebody else's, or could not be renewed in time: the process must end.
    Lost,
}

/// Says whether the lease is held, to whoever is about to write.
#[derive(Debug)]
struct Held {
    start: Instant,
    /// Milliseconds since `start` up to which the lease is held; zero when it is not.
    until: AtomicU64,
}

impl Held {
    fn now(&self) -> Moment {
        Moment(self.start.elapsed())
    }

    fn until(&self) -> Moment {
        Moment(Duration::from_millis(self.until.load(Ordering::Acquire)))
    }

    fn extend(&self, until: Moment) {
        self.until.store(u64::try_from(until.0.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
    }

    fn close(&self) {
        self.until.store(0, Ordering::Release);
    }
}

impl Gate for Held {
    fn check(&self) -> Result<(), LeaseLost> {
        if self.now() < self.until() { Ok(()) } else { Err(LeaseLost) }
    }
}

/// A candidate for the lease, and then its holder.
pub struct Lease {
    api: Api<coordination::Lease>,
    name: String,
    me: Identity,
    times: Times,
    held: Arc<Held>,
    sight: Sight,
    known: Known,
}

/// The lease as the API server last had it, to write the next one from.
enum Known {
    /// It must be read first.
    Unread,
    Read(Box<coordination::Lease>),
}

enum Turn {
    Ours,
    /// Somebody else's, at least until this moment.
    Theirs(Moment),
    Lost,
}

impl Lease {
    /// A candidate under this name.
    #[must_use]
    pub fn with(client: &Client, namespace: &str, name: &str, me: Identity, times: Times) -> Self {
        let held = Held { start: Instant::now(), until: AtomicU64::new(0) };
        Self {
            api: Api::namespaced(client.clone(), namespace),
            name: name.to_owned(),
            me,
            times,
            sight: Sight::new(None, held.now()),
            held: Arc::new(held),
            known: Known::Unread,
        }
    }

    /// Waits for the lease, then works while it is held, until `stop` ends or the lease is lost.
    pub async fn lead<W: Future<Output = ()>>(
        mut self,
        stop: impl Future<Output = ()>,
        metrics: &Metrics,
        work: impl FnOnce(Arc<dyn Gate>) -> W,
    ) -> Ended {
        let mut stop = pin!(stop);
        metrics.leader(false);
        let acquired = tokio::select! {
            biased;
            () = &mut stop => false,
            () = self.acquire() => true,
        };
        if !acquired {
            self.release().await;
            return Ended::Stopped;
        }
        metrics.leader(true);
        tracing::info!(lease = self.name, holder = %self.me, "this instance leads");
        let mut work = pin!(work(self.held.clone()));
        let ended = tokio::select! {
            // Renewal comes first: no amount of work may delay it.
            biased;
            () = self.keep() => Ended::Lost,
            () = &mut stop => Ended::Stopped,
            () = &mut work => Ended::Stopped,
        };
        self.held.close();
        metrics.leader(false);
        if ended == Ended::Stopped {
            let _ = timeout(GRACE, work).await;
            self.release().await;
        }
        ended
    }

    /// Returns when the lease is ours.
    async fn acquire(&mut self) {
        let mut told = None;
        loop {
            let wait = match self.turn().await {
                Ok(Turn::Ours) => return,
                Ok(Turn::Theirs(until)) => {
                    let holder = self.sight.holder().cloned();
                    if told != holder {
                        let name = holder.as_ref().map(ToString::to_string).unwrap_or_default();
                        tracing::info!(lease = self.name, holder = name, "another instance leads; waiting");
                        told = holder;
                    }
                    self.times.look_every.min(until.since(self.held.now()))
                }
                Ok(Turn::Lost) => self.times.look_every,
                Err(fault) => {
                    if !fault.status().is_some_and(is_conflict) {
                        tracing::warn!(
                            lease = self.name, %fault,
                            "the Lease cannot be read or written; nothing is done without it, and it is tried again",
                        );
                    }
                    self.times.look_every
                }
            };
            self.known = Known::Unread;
            sleep(wait).await;
        }
    }

    /// Renews until that fails for too long, or the lease is somebody else's.
    async fn keep(&mut self) {
        loop {
            sleep(self.times.renew_every).await;
            let deadline = self.held.start + self.held.until().0;
            match timeout_at(deadline, self.renew()).await {
                Ok(true) => continue,
                Ok(false) => {
                    let holder = self.sight.holder().map(ToString::to_string).unwrap_or_default();
                    tracing::error!(lease = self.name, holder, "the lease is no longer ours");
                    return;
                }
                Err(_) => {}
            }
            tracing::error!(lease = self.name, "the lease was not renewed in time");
            return;
        }
    }

    /// Tries until it is renewed (true) or lost (false).
    async fn renew(&mut self) -> bool {
        loop {
            match self.turn().await {
                Ok(Turn::Ours) => return true,
                Ok(Turn::Theirs(_) | Turn::Lost) => return false,
                Err(fault) => {
                    self.known = Known::Unread;
                    if fault.status().is_some_and(is_conflict) {
                        continue;
                    }
                    tracing::warn!(lease = self.name, %fault, "a renewal failed; it is tried again");
                    sleep(self.times.look_every).await;
                }
            }
        }
    }

    /// One look at the lease, and what follows from it.
    async fn turn(&mut self) -> Result<Turn, Fault> {
        let found = match std::mem::replace(&mut self.known, Known::Unread) {
            Known::Read(lease) => Some(*lease),
            Known::Unread => {
                let found = self.call(self.api.get_opt(&self.name)).await?;
                self.sight.look(found.as_ref().map(Seen::from), self.held.now());
                found
            }
        };
        let leading = self.held.until() > Moment::default();
        let decision = step(&self.sight, self.held.now(), &self.me, &self.times, leading);
        match decision {
            Decision::Wait(until) => return Ok(Turn::Theirs(until)),
            Decision::Lost => return Ok(Turn::Lost),
            Decision::Create | Decision::Renew | Decision::Take => {}
        }
        let next = self.written(found, decision);
        // Counted from before the request leaves: others start to count after it has arrived.
        let sent = self.held.now();
        let params = PostParams::default();
        let written = if decision == Decision::Create {
            self.call(self.api.create(&params, &next)).await?
        } else {
            self.call(self.api.replace(&self.name, &params, &next)).await?
        };
        self.sight.look(Some(Seen::from(&written)), self.held.now());
        self.known = Known::Read(Box::new(written));
        // The answer came too late: the gate was closed for a while, and what was decided before then is old.
        if leading && self.held.check().is_err() {
            return Ok(Turn::Lost);
        }
        self.held.extend(sent.plus(self.times.deadline));
        Ok(Turn::Ours)
    }

    /// The lease in our name. Its resource version stays, so that of two writers one is refused.
    fn written(&self, found: Option<coordination::Lease>, decision: Decision) -> coordination::Lease {
        let now = MicroTime(Timestamp::now());
        let mut lease = found.unwrap_or_default();
        lease.metadata.name = Some(self.name.clone());
        let spec = lease.spec.get_or_insert_default();
        if decision != Decision::Renew {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count.saturating_add(1)));
        }
        spec.holder_identity = Some(self.me.0.clone());
        spec.lease_duration_seconds = i32::try_from(self.times.duration.as_secs()).ok();
        spec.renew_time = Some(now);
        if decision == Decision::Create {
            let label = (labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned());
            lease.metadata.labels.get_or_insert_default().extend([label]);
        }
        lease
    }

    /// Lets go, so that a successor need not wait. What fails here only costs it the lease's duration.
    async fn release(&mut self) {
        self.held.close();
        let found = self.call(self.api.get_opt(&self.name)).await;
        let Ok(Some(mut lease)) = found else { return };
        if Seen::from(&lease).holder.as_ref() != Some(&self.me) {
            return;
        }
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        let released = self.call(self.api.replace(&self.name, &PostParams::default(), &lease)).await;
        match released {
            Ok(_) => tracing::info!(lease = self.name, "released"),
            Err(fault) => tracing::warn!(lease = self.name, %fault, "the lease could not be released; it will expire"),
        }
    }

    async fn call<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, Fault> {
        let deadline = self.times.call;
        timeout(deadline, request).await.map_err(|_| Fault::Timeout(deadline))?.map_err(Fault::from)
    }
}

fn is_conflict(status: &kube::core::Status) -> bool {
    status.code == 409
}

/// The name under which this process holds the lease: its pod's, or its machine's with its process ID.
///
/// A container that was restarted has its predecessor's name and goes on at once: the predecessor is dead.
#[must_use]
pub fn identity() -> Identity {
    let pod = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty());
    Identity(pod.unwrap_or_else(|| {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "atoll" } else { host.trim() };
        format!("{host}-{}", std::process::id())
    }))
}
