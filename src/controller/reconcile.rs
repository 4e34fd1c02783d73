//! One round for one database: fetch, compile, observe, decide, record, act, report.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, runtime::events::Recorder};
use tokio::sync::mpsc;

use super::{
    Shelf,
    answers::Answers,
    waiting::Waiting,
    write::{FINALIZER, WriteError, Writer},
};
use crate::{
    admin::Ladder,
    dialect::{Dialect, News, Settings},
    metrics::{Metrics, Outcome},
    plan::{
        act::Act,
        database::{Database, DatabaseKey, Intent},
        decide::decide,
        name::{Uid, WorkerName},
        operation::PATIENCE,
        record::{Record, Recorded},
        report::{Condition, Report, Truth, carried_out, events},
        seen::Seen,
        step::{Decision, Step},
        view::View,
    },
    worker::{
        act::ActError,
        gate::Gate,
        ledger::{Ledger, Reserved},
        pool::{Master, Pool, Wake},
    },
};

/// How often one round may go on at once with the next step. More than any database needs to come up; a decision that
/// never settles must not keep a core busy.
const STEPS: usize = 16;
/// How long details of a status must stand before they are written: what is gone before anyone could read it is not.
const SETTLE: Duration = Duration::from_secs(5);

/// How long until a worker is listed again that could not be listed.
const UNLISTED: SignedDuration = SignedDuration::from_secs(5);

/// How long a new process takes to reach its workers, before one that does not answer is told of.
const WARM_UP: Duration = Duration::from_secs(15);

/// Everything that a round needs.
pub struct Reconciler<D> {
    /// The master.
    pub master: Master,
    /// The workers.
    pub pool: Pool,
    /// The way to members.
    pub ladder: Arc<Ladder>,
    /// The resources.
    pub shelf: Shelf<D>,
    /// Asked before each write.
    pub gate: Arc<dyn Gate>,
    /// Publishes events.
    pub recorder: Recorder,
    /// What is counted.
    pub metrics: Metrics,
    /// What the installation adds to every manifest.
    pub settings: Settings,
    /// What members last said.
    pub answers: Arc<Answers>,
    /// Wakes databases whose members have answered.
    pub wake: mpsc::UnboundedSender<Wake>,
    /// When this process began to lead, by the clock that measures.
    pub started: Instant,
    /// Since when each database is known to run, or to go.
    pub known: Mutex<BTreeMap<DatabaseKey, (Uid, Intent, Instant)>>,
    /// What registrations hold besides the way into a worker.
    pub ledger: Arc<Ledger>,
    /// Which workers each database was last known to have members in.
    pub used: Mutex<BTreeMap<DatabaseKey, BTreeSet<WorkerName>>>,
    /// What each database waits for.
    pub waiting: Waiting,
    /// Since when details of a status wait to be written.
    pub unsettled: Mutex<BTreeMap<DatabaseKey, Instant>>,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Nothing to do until something changes.
    Settled,
    /// Look again after this time.
    Again(Duration),
    /// Something was refused or did not answer: look again, later each time.
    Failed,
    /// The same; and something is to be told after this time, however late the next try is.
    FailedAndTells(Duration),
}

impl<D: Dialect> Reconciler<D> {
    /// Goes round until there is nothing to do at once.
    pub async fn reconcile(&self, key: &DatabaseKey) -> Round {
        for _ in 0..STEPS {
            match self.step(key).await {
                Ok(Some(round)) => return round,
                Ok(None) => {}
                // The watch will say what has changed; where it lags, each further try is refused as well.
                Err(error) if error.is_conflict() => return Round::Failed,
                // The watch will say so in a moment.
                Err(error) if error.is_gone() => return Round::Settled,
                Err(error) => {
                    tracing::warn!(database = %key, %error, "a write to the master failed; it is tried again");
                    return Round::Failed;
                }
            }
        }
        Round::Again(Duration::from_secs(1))
    }

    /// One step; `None` to go on with the next one at once.
    async fn step(&self, key: &DatabaseKey) -> Result<Option<Round>, WriteError> {
        self.uses(key);
        let Some(resource) = self.shelf.get(key) else { return Ok(Some(self.forget(key))) };
        let database = resource.compile(&self.settings);
        if let Some(turn) = self.claim(&resource, &database).await? {
            return Ok(turn);
        }
        let recorded = resource.record().cloned().map(Recorded::from_status);
        let seen = self.observe(&database, recorded.as_ref()).await;
        if let Some(wait) = self.warming_up(recorded.as_ref(), &seen) {
            return Ok(Some(Round::Again(wait)));
        }
        let (decision, seen) = self.decide(&database, recorded.as_ref(), seen).await;
        let record = recorded.as_deref();
        match decision.step {
            Step::Record(next) => {
                // Kept first: a crash in between leaves a registration that is kept for nobody, which is soon seen.
                let _kept = self.keep_registrations(record, &next).await?;
                self.write(&resource, &database, Some(&next), &decision.report).await?;
                Ok(None)
            }
            Step::Book(entries) => {
                self.ledger.book(&entries).await?;
                Ok(None)
            }
            Step::Act(acts) if acts.is_empty() => {
                let wait = self.report(key, &resource, &database, record, &decision.report).await?;
                let again = decision.again.and_then(|again| Duration::try_from(again).ok());
                let operation = decision.report.operation.as_ref();
                let again = again.map(|again| self.waiting.until(key, operation, again));
                let soonest = wait.into_iter().chain(again).min();
                Ok(Some(soonest.map_or(Round::Settled, Round::Again)))
            }
            Step::Act(acts) => match self.act(key, acts).await {
                None => Ok(None),
                Some(refused) => {
                    let mut report = decision.report;
                    report.message.clone_from(&refused.message);
                    report.conditions.push(refused);
                    let wait = self.report(key, &resource, &database, record, &report).await?;
                    Ok(Some(wait.map_or(Round::Failed, Round::FailedAndTells)))
                }
            },
            Step::Command(command) => {
                let mut report = decision.report;
                let told = match &recorded {
                    Some(recorded) => self.tell(&seen, &database, recorded, &command).await,
                    None => Err("there is no record".to_owned()),
                };
                let Err(why) = told else {
                    tracing::info!(database = %key, through = %command.through, wish = command.wish.as_str(), "told");
                    self.metrics.command(&command.wish, Outcome::Done);
                    return Ok(None);
                };
                self.metrics.command(&command.wish, Outcome::Refused);
                tracing::info!(database = %key, wish = command.wish.as_str(), why, "not done yet");
                report.waits_for(&why);
                let _ = self.report(key, &resource, &database, record, &report).await?;
                let soon = Duration::try_from(PATIENCE).unwrap_or_default();
                Ok(Some(Round::Again(self.waiting.until(key, report.operation.as_ref(), soon))))
            }
            // Nothing can be proved gone now; what is known is told, and it is tried again.
            Step::LookAgain(_) | Step::AskAgain(_) => {
                let _ = self.report(key, &resource, &database, record, &decision.report).await?;
                Ok(Some(Round::Again(Duration::try_from(UNLISTED).unwrap_or_default())))
            }
            Step::Release => {
                let released = decision.report.conditions.iter().filter(|c| c.kind == "WorkersReleased").cloned();
                let told = events(resource.conditions(), &released.collect::<Vec<_>>());
                self.writer().events(&*resource, told).await;
                self.writer().release(&*resource).await?;
                self.shelf.released(key, &*resource);
                self.uses(key);
                Ok(Some(self.gone(key, &database)))
            }
        }
    }

    /// The registrations of workers that a record is about to name for the first time stay while it does.
    async fn keep_registrations(&self, record: Option<&Record>, next: &Record) -> Result<Reserved, WriteError> {
        let named = record.map(Record::workers).unwrap_or_default();
        let new = next.workers().into_iter().filter(|worker| !named.contains(*worker)).cloned();
        Ok(self.ledger.reserve(new.collect()).await?)
    }

    /// Our finalizer goes on before anything is made, and a resource that goes without it is none of ours.
    async fn claim(&self, resource: &D, database: &Database) -> Result<Option<Option<Round>>, WriteError> {
        let ours = resource.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
        match database.intent {
            Intent::Delete(_) if !ours => Ok(Some(Some(Round::Settled))),
            Intent::Run if !ours && database.problems.is_empty() => {
                self.shelf.written(self.writer().claim(resource).await?);
                Ok(Some(None))
            }
            Intent::Run | Intent::Delete(_) => Ok(None),
        }
    }

    /// A process that has just begun has not reached every worker yet. That says nothing about the database, so nothing
    /// is said about it: its status stays as its predecessor left it.
    fn warming_up(&self, record: Option<&Recorded>, seen: &Seen) -> Option<Duration> {
        let left = left_to_warm_up(self.started.elapsed())?;
        let unreached = seen.unreached(record?.workers().into_iter());
        unreached.map(|_| left.min(Duration::from_secs(1)))
    }

    /// Decides, by live lists and by answers that are given now where the decision hangs on them.
    async fn decide(&self, database: &Database, record: Option<&Recorded>, mut seen: Seen) -> (Decision, Seen) {
        let known = self.known(database);
        let view = |seen: &_| decide(&View { master: &self.master.uid, database, record, seen, known });
        let mut decision = view(&seen);
        let mut looked_at = BTreeSet::new();
        // First a look, then a question, which looks again as well: after that nothing can be seen better.
        for _ in 0..2 {
            match (&decision.step, record) {
                (Step::LookAgain(workers), _) => {
                    self.look_again(&mut seen, database, record, workers).await;
                    looked_at.extend(workers.iter().cloned());
                }
                (Step::AskAgain(workers), Some(recorded)) => {
                    self.look_again(&mut seen, database, record, workers).await;
                    looked_at.extend(workers.iter().cloned());
                    self.ask_again(&mut seen, database, recorded).await;
                }
                _ => break,
            }
            decision = view(&seen);
        }
        // Its watches may be well: nothing else would tell that a worker can be listed now.
        if looked_at.iter().any(|worker| !is_listed(&seen, worker)) {
            decision.again = Some(decision.again.map_or(UNLISTED, |again| again.min(UNLISTED)));
        }
        tracing::debug!(database = %database.id.key(), step = decision.step.as_str(), operation = ?decision.report.operation, "decided");
        (decision, seen)
    }

    /// Carries out acts, all at the same time; what was refused becomes a condition.
    async fn act(&self, key: &DatabaseKey, acts: Vec<Act>) -> Option<Condition> {
        let outcomes = join_all(acts.iter().map(|act| self.pool.carry_out(act))).await;
        let mut refused: Vec<ActError> = Vec::new();
        for (act, outcome) in acts.iter().zip(outcomes) {
            let (worker, reason) = (&act.worker, act.reason.as_str());
            match outcome {
                Ok(done) => {
                    self.metrics.act(worker, act.reason, "done");
                    tracing::info!(database = %key, %worker, reason, ?done, "acted");
                }
                Err(error) => {
                    self.metrics.act(worker, act.reason, error.reason());
                    tracing::warn!(database = %key, %worker, reason, %error, "an act was not done");
                    refused.push(error);
                }
            }
        }
        let first = refused.first()?;
        let mut messages: Vec<_> = refused.iter().map(ToString::to_string).collect();
        messages.dedup();
        Some(Condition {
            kind: "WorkersAccept",
            status: Truth::False,
            reason: first.reason(),
            message: messages.join("; "),
        })
    }

    /// Tells what has changed: the headline at once, details when they have stood for a moment. Returns how long to
    /// wait for that.
    async fn report(
        &self,
        key: &DatabaseKey,
        resource: &D,
        database: &Database,
        record: Option<&Record>,
        report: &Report,
    ) -> Result<Option<Duration>, WriteError> {
        let told = resource.told(database, record, report, Timestamp::now());
        match resource.news(&told) {
            News::None => {
                self.settled(key);
                Ok(None)
            }
            News::Detail => {
                let since = *self.unsettled().entry(key.clone()).or_insert_with(Instant::now);
                match SETTLE.checked_sub(since.elapsed()) {
                    Some(left) if !left.is_zero() => Ok(Some(left)),
                    _ => self.write(resource, database, record, report).await.map(|()| None),
                }
            }
            News::Headline => self.write(resource, database, record, report).await.map(|()| None),
        }
    }

    async fn write(
        &self,
        resource: &D,
        database: &Database,
        record: Option<&Record>,
        report: &Report,
    ) -> Result<(), WriteError> {
        let told = resource.told(database, record, report, Timestamp::now());
        tracing::debug!(database = %database.id.key(), message = report.message, "telling");
        let written = self.writer().status(&told).await?;
        self.shelf.written(written);
        self.uses(&database.id.key());
        self.settled(&database.id.key());
        let mut news = events(resource.conditions(), &report.conditions);
        news.extend(carried_out(resource.conditions(), &report.conditions));
        self.writer().events(resource, news).await;
        Ok(())
    }

    /// Says which workers the record of a database names otherwise than before.
    fn uses(&self, key: &DatabaseKey) {
        let now = self.shelf.workers_of(key);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let before = used.remove(key).unwrap_or_default();
        if !now.is_empty() {
            used.insert(key.clone(), now.clone());
        }
        drop(used);
        if now != before {
            self.ledger.changed(now.symmetric_difference(&before).cloned());
        }
    }

    fn writer(&self) -> Writer<'_> {
        Writer { client: &self.master.client, gate: self.gate.as_ref(), recorder: &self.recorder }
    }

    fn gone(&self, key: &DatabaseKey, database: &Database) -> Round {
        self.answers.forget(&database.id.uid);
        self.ladder.forget(&database.id.uid);
        self.forget(key)
    }

    /// For how long it has been known what this very resource asks for.
    fn known(&self, database: &Database) -> SignedDuration {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (database.id.uid.clone(), database.intent);
        let (uid, intent, since) =
            known.entry(database.id.key()).or_insert_with(|| (now.0.clone(), now.1, Instant::now()));
        if (&*uid, &*intent) != (&now.0, &now.1) {
            (*uid, *intent, *since) = (now.0, now.1, Instant::now());
        }
        SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX)
    }

    fn forget(&self, key: &DatabaseKey) -> Round {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.waiting.forget(key);
        self.settled(key);
        Round::Settled
    }

    fn settled(&self, key: &DatabaseKey) {
        self.unsettled().remove(key);
    }

    fn unsettled(&self) -> std::sync::MutexGuard<'_, BTreeMap<DatabaseKey, Instant>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_listed(seen: &Seen, worker: &WorkerName) -> bool {
    seen.workers.get(worker).is_some_and(|worker| worker.view.objects().is_some())
}

/// What is left to a process of this age of the time to warm up in. Never no time at all: that would be a round without
/// end, by a clock that stands still meanwhile.
fn left_to_warm_up(age: Duration) -> Option<Duration> {
    WARM_UP.checked_sub(age).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_just_old_enough_waits_no_more() {
        let just_before = Duration::from_millis(14_999);
        assert_eq!(left_to_warm_up(just_before), Some(Duration::from_millis(1)));
        assert_eq!(left_to_warm_up(WARM_UP), None);
        assert_eq!(left_to_warm_up(WARM_UP + just_before), None);
    }
}
