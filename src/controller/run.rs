//! Wiring: the watches wake keys, the queue says which key is next, rounds run side by side.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Reconciler, Round,
    queue::{Finish, Limits, Moment, Next, Queue},
};
use crate::{
    dialect::{Dialect, k8scluster::health::Health},
    metrics::Metrics,
    plan::database::DatabaseKey,
    worker::pool::Wake,
};

/// Goes round for whatever wakes until `stop` ends, then lets rounds that have begun come to their end. `jitter` sets
/// the retries of this instance apart from those of another one.
pub async fn rounds<D: Dialect>(
    reconciler: Arc<Reconciler<D>>,
    mut wakes: mpsc::UnboundedReceiver<Wake>,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
    jitter: u64,
) {
    let start = Instant::now();
    let now = || Moment(start.elapsed());
    let mut queue: Queue<DatabaseKey> = Queue::new(Limits::default(), jitter);
    let mut running: JoinSet<(DatabaseKey, Round, Duration)> = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let until = loop {
            match queue.next(now()) {
                Next::Run(key) => {
                    let reconciler = reconciler.clone();
                    running.spawn(async move { one(&reconciler, key).await });
                }
                Next::WaitUntil(moment) => break Some(start + moment.0),
                Next::Idle => break None,
            }
        };
        metrics.queue(queue.ready(), queue.running());
        tokio::select! {
            () = &mut stop => break,
            wake = wakes.recv() => match wake {
                Some(Wake::Database(key)) => queue.wake(key, now()),
                Some(Wake::Worker(worker)) => {
                    match reconciler.pool.health(&worker) {
                        Some(health) => metrics.worker_up(&worker, matches!(health, Health::Up(_))),
                        None => metrics.forget(&worker),
                    }
                    reconciler.shelf.keys().into_iter().for_each(|key| queue.wake(key, now()));
                }
                None => break,
            },
            Some(ended) = running.join_next() => match ended {
                Ok((key, round, took)) => {
                    metrics.reconciled(round);
                    metrics.reconcile_took(took);
                    metrics.databases(D::KIND.label(), reconciler.shelf.phases());
                    queue.finished(&key, finish(round), now());
                    if let Round::FailedAndTells(wait) = round {
                        queue.after(key, wait, now());
                    }
                }
                Err(error) => tracing::error!(%error, "a round was cut off"),
            },
            () = sleep(until) => {}
        }
    }
    queue.close();
    while running.join_next().await.is_some() {}
}

/// One round. A panic in it is a defect of ours, and must stop neither other databases nor this one for good.
async fn one<D: Dialect>(reconciler: &Arc<Reconciler<D>>, key: DatabaseKey) -> (DatabaseKey, Round, Duration) {
    let started = Instant::now();
    let round = AssertUnwindSafe(reconciler.reconcile(&key)).catch_unwind().await;
    let round = round.unwrap_or_else(|_| {
        tracing::error!(database = %key, "a round ended in a panic; it is tried again");
        Round::Failed
    });
    (key, round, started.elapsed())
}

fn finish(round: Round) -> Finish {
    match round {
        Round::Settled => Finish::Settled,
        Round::Again(delay) => Finish::Again(delay),
        Round::Failed | Round::FailedAndTells(_) => Finish::Failed,
    }
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
