//! The sweeper: keeps registrations that are in use, pays the debts of databases that were let go of once a worker can
//! be seen again, and finds what belongs to nobody. What it decides is in [`crate::plan::sweep`].
//!
//! Each worker has its turn in a task of its own, so that one that hangs holds up nobody else.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, future::join_all};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::census::Census;
use crate::{
    dialect::k8scluster::usage::Findings,
    plan::{
        debt::Owed,
        name::{Uid, WorkerName},
        record::Homes,
        seen::WorkerView,
        sweep::{Chore, Orphan, Payment, Possessions, chore, orphans, pay},
        usage::{Known, Users},
    },
    worker::{
        ledger::{Ledger, LedgerError},
        pool::Pool,
    },
};

/// How often it looks round, if nothing stirs.
const EVERY: Duration = Duration::from_secs(10);
/// How soon it looks round again after something stirred: several things stir at once.
const SOON: Duration = Duration::from_millis(500);
/// How long something must have belonged to nobody before that is told: what is just being deleted goes by itself.
const STANDS: Duration = Duration::from_secs(10);

/// How soon the same is tried again for a worker; each time after twice as long.
const AGAIN: Duration = Duration::from_secs(3);
/// How late at most.
const LATEST: Duration = Duration::from_mins(1);

/// What it works with.
pub struct Sweeper {
    /// The workers.
    pub pool: Pool,
    /// Their registrations.
    pub ledger: Arc<Ledger>,
    /// The databases.
    pub census: Census,
}

/// What it remembers from one look to the next.
#[derive(Default)]
struct Memory {
    /// Workers whose turn has not ended.
    busy: BTreeSet<WorkerName>,
    /// What was last done about each worker, and when the same may be tried again.
    paces: BTreeMap<WorkerName, Pace>,
    /// When it last looked for what belongs to nobody.
    searched: Option<Instant>,
    /// Since when something belongs to nobody.
    nobodys: BTreeMap<(WorkerName, Uid), Instant>,
    /// What the last turn of each worker has found.
    turns: BTreeMap<WorkerName, Turn>,
    /// Whose users could not be told when last looked at.
    unread: BTreeSet<WorkerName>,
}

/// How the turns of one worker follow each other.
struct Pace {
    chore: Chore,
    tries: u32,
    not_before: Instant,
}

impl Memory {
    /// Whether it is time to do this about a worker; if so, it counts as begun.
    fn begin(&mut self, worker: &WorkerName, chore: &Chore) -> bool {
        let now = Instant::now();
        let tries = match self.paces.get(worker) {
            Some(pace) if pace.chore == *chore && now < pace.not_before => return false,
            Some(pace) if pace.chore == *chore => pace.tries.saturating_add(1),
            Some(_) | None => 0,
        };
        if !self.busy.insert(worker.clone()) {
            return false;
        }
        let wait = AGAIN.saturating_mul(1 << tries.min(10)).min(LATEST);
        self.paces.insert(worker.clone(), Pace { chore: chore.clone(), tries, not_before: now + wait });
        true
    }

    /// When to look again, if nothing stirs.
    fn next(&self) -> Instant {
        let idle = self.paces.iter().filter(|(worker, _)| !self.busy.contains(*worker));
        idle.map(|(_, pace)| pace.not_before).chain([Instant::now() + EVERY]).min().unwrap_or_else(Instant::now)
    }
}

/// What came of one turn.
#[derive(Default)]
struct Turn {
    /// What is left of debts, by the database's UID.
    left: BTreeMap<Uid, String>,
    /// What no record names, although its database is there.
    unrecorded: Vec<Orphan>,
}

/// Runs until dropped.
pub async fn run(sweeper: Sweeper) {
    let sweeper = Arc::new(sweeper);
    let mut memory = Memory::default();
    let mut turns: JoinSet<(WorkerName, Turn)> = JoinSet::new();
    loop {
        sweeper.look(&mut memory, &mut turns);
        tokio::select! {
            () = sleep_until(memory.next()) => {}
            () = sweeper.ledger.stirred.notified() => sleep(SOON).await,
            ended = next(&mut turns) => {
                if let Some((worker, turn)) = ended {
                    memory.busy.remove(&worker);
                    memory.turns.insert(worker, turn);
                }
            }
        }
    }
}

async fn next(turns: &mut JoinSet<(WorkerName, Turn)>) -> Option<(WorkerName, Turn)> {
    match turns.join_next().await {
        None => pending().await,
        Some(ended) => ended.ok(),
    }
}

impl Sweeper {
    /// Looks at every registration, and begins what is to be done. Sends no request itself.
    fn look(self: &Arc<Self>, memory: &mut Memory, turns: &mut JoinSet<(WorkerName, Turn)>) {
        let holdings = self.ledger.holdings();
        memory.turns.retain(|worker, _| holdings.contains_key(worker));
        memory.unread.retain(|worker| holdings.contains_key(worker));
        memory.paces.retain(|worker, _| holdings.contains_key(worker));
        let search = memory.searched.is_none_or(|searched| searched.elapsed() >= EVERY);
        if search {
            memory.searched = Some(Instant::now());
        }
        for (worker, holding) in &holdings {
            let users = self.census.users(worker);
            let chore = chore(holding, &users);
            if users == Users::Unread {
                memory.unread.insert(worker.clone());
            } else if memory.unread.remove(worker) {
                self.ledger.changed([worker.clone()]);
            }
            // While a worker cannot be seen there is nothing to be done about what is in it.
            let seen = || self.pool.possessions(worker).is_some();
            if chore == Chore::Nothing || matches!(chore, Chore::Pay(_)) && !seen() {
                memory.turns.remove(worker);
                memory.paces.remove(worker);
            } else if memory.begin(worker, &chore) {
                let (sweeper, worker) = (self.clone(), worker.clone());
                turns.spawn(async move {
                    // A panic is a defect of ours, and must not be the last turn of this worker.
                    let turn = AssertUnwindSafe(sweeper.take(&worker, chore)).catch_unwind().await;
                    (worker, turn.unwrap_or_default())
                });
            }
            let orphans = if search {
                self.orphans(memory, worker, &holding.debts)
            } else {
                self.ledger.findings(worker).orphans
            };
            let turn = memory.turns.get(worker);
            let findings = Findings {
                left: turn.map(|turn| turn.left.clone()).unwrap_or_default(),
                unrecorded: turn.map(|turn| turn.unrecorded.clone()).unwrap_or_default(),
                orphans,
            };
            self.ledger.found(worker, findings);
        }
    }

    /// What has belonged to nobody for a while. Of a worker that cannot be seen, what was told before.
    fn orphans(&self, memory: &mut Memory, worker: &WorkerName, debts: &[Owed]) -> Vec<Orphan> {
        let Some(possessions) = self.pool.possessions(worker) else { return self.ledger.findings(worker).orphans };
        let found = orphans(&possessions, debts, |uid| self.census.knows(uid) == Known::Perhaps);
        let uids: BTreeSet<_> = found.iter().map(|orphan| &orphan.uid).collect();
        memory.nobodys.retain(|(whose, uid), _| whose != worker || uids.contains(uid));
        found
            .into_iter()
            .filter(|orphan| {
                let since = memory.nobodys.entry((worker.clone(), orphan.uid.clone())).or_insert_with(Instant::now);
                since.elapsed() >= STANDS
            })
            .collect()
    }

    /// Does one thing about one registration.
    async fn take(&self, worker: &WorkerName, chore: Chore) -> Turn {
        let done = match chore {
            Chore::Nothing => Ok(Turn::default()),
            Chore::Hold => self.ledger.hold(worker).await.map(|()| Turn::default()),
            Chore::LetGo => self.let_go(worker).await,
            Chore::Strike(uid) => {
                tracing::warn!(%worker, database = %uid, "a debt is struck: its cluster was given up");
                self.ledger.strike(worker, &uid).await.map(|()| Turn::default())
            }
            Chore::Pay(debts) => self.pay(worker, &debts).await,
        };
        done.unwrap_or_else(|error| {
            if !error.is_conflict() {
                tracing::warn!(%worker, %error, "a registration could not be written; it is tried again");
            }
            Turn::default()
        })
    }

    /// Takes the finalizer off. Where the worker can be asked, it must show nothing of any database that is there;
    /// where it cannot, the records decide.
    async fn let_go(&self, worker: &WorkerName) -> Result<Turn, LedgerError> {
        match self.pool.live_possessions(worker).await {
            None => {}
            Some(Ok(there)) => {
                let unrecorded = self.known_among(&there);
                if !unrecorded.is_empty() {
                    return Ok(Turn { unrecorded, ..Turn::default() });
                }
            }
            // It answers, or did a moment ago: it is asked again.
            Some(Err(why)) => {
                tracing::debug!(%worker, %why, "whether anything is left there could not be asked");
                return Ok(Turn::default());
            }
        }
        // The question took its time: a record may name the worker by now.
        if self.census.users(worker).are_none() {
            self.ledger.let_go(worker).await?;
            tracing::info!(%worker, "nobody uses it any more: its registration may go");
        }
        Ok(Turn::default())
    }

    fn known_among(&self, there: &Possessions) -> Vec<Orphan> {
        orphans(there, &[], |uid| self.census.knows(uid) == Known::No)
    }

    /// Deletes what deleted databases have left in a worker that can be seen again.
    async fn pay(&self, worker: &WorkerName, debts: &[Owed]) -> Result<Turn, LedgerError> {
        let mut turn = Turn::default();
        for debt in debts {
            match self.owing(worker, debt).await {
                Payment::Unseen => {}
                Payment::Paid => {
                    self.ledger.strike(worker, &debt.uid).await?;
                    tracing::info!(%worker, database = %debt.uid, "nothing is left of it there: the debt is paid");
                }
                Payment::Owing(acts, left) => {
                    let outcomes = join_all(acts.iter().map(|act| self.pool.carry_out(act))).await;
                    let mut told = left;
                    told.extend(
                        outcomes.into_iter().filter_map(|outcome| outcome.err().map(|error| error.to_string())),
                    );
                    turn.left.insert(debt.uid.clone(), told.join(", "));
                }
            }
        }
        Ok(turn)
    }

    /// What is to be deleted for a debt now: nothing while the master has that very database, or may have it.
    async fn owing(&self, worker: &WorkerName, debt: &Owed) -> Payment {
        let Some(key) = debt.key() else { return Payment::Unseen };
        match self.census.ask(&key, &debt.uid).await {
            Ok(Known::No) => {}
            Ok(Known::Perhaps) | Err(_) => return Payment::Unseen,
        }
        match self.pool.live(worker, &key, &Homes::new()).await.view {
            WorkerView::Seen(objects) => pay(worker, debt, &objects),
            WorkerView::Unseen { .. } | WorkerView::Unavailable { .. } => Payment::Unseen,
        }
    }
}
