//! The ladder: routes to a member, tried in order until an answer is believed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use tokio::time::Instant;

use super::{Ask, Deadline, Route};
use crate::{
    engine::{Distrust, Exchange, HttpReply, HttpRequest, Question},
    plan::{
        membership::{Answer, Membership, Rung},
        name::{MemberName, Uid},
    },
    worker::gate::Gate,
};

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one rung.
    pub rung: Duration,
    /// For all rungs but the job.
    pub total: Duration,
    /// For a job, which must be scheduled and started first.
    pub job: Duration,
    /// For how long the rung that served is where the next question begins. After that the cheaper ones get another
    /// chance.
    pub recheck: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            rung: Duration::from_secs(3),
            total: Duration::from_secs(10),
            job: Duration::from_secs(30),
            recheck: Duration::from_mins(5),
        }
    }
}

/// One member to ask, with the routes to it. Only the caller knows which routes exist and which are worth it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// The routes, in any order.
    pub routes: Vec<Route>,
}

/// Says whether a reply is believed; an engine's `read`.
pub type Judge<'a> = dyn Fn(&MemberName, Rung, &[HttpReply]) -> Result<Answer, Distrust> + Send + Sync + 'a;

/// What came of asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The answers, and why others have none.
    pub membership: Membership,
    /// Answers that were not believed, whether or not another rung gave a good one later.
    pub distrusted: Vec<Distrusted>,
}

/// An answer that was not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distrusted {
    /// The route it came by.
    pub route: Route,
    /// Why.
    pub why: Distrust,
}

/// Asks members by whatever route reaches them, and remembers which one that was.
pub struct Ladder {
    ask: Arc<dyn Ask>,
    patience: Patience,
    remembered: Mutex<BTreeMap<Uid, BTreeMap<MemberName, Remembered>>>,
}

/// The rung that served last. Lost with the process, which costs a few failed tries.
#[derive(Clone, Copy)]
struct Remembered {
    rung: Rung,
    /// When the cheaper rungs were tried last.
    climbed: Instant,
}

impl Ladder {
    /// A ladder over one way of asking.
    #[must_use]
    pub fn new(ask: Arc<dyn Ask>, patience: Patience) -> Self {
        Self { ask, patience, remembered: Mutex::default() }
    }

    /// Asks all these members of one database at the same time.
    pub async fn ask_all(&self, database: &Uid, asked: &[Asked], judge: &Judge<'_>) -> Heard {
        let outcomes = join_all(asked.iter().map(|asked| self.ask(database, &asked.question, &asked.routes, judge)));
        let mut heard = Heard::default();
        for (asked, (outcome, distrusted)) in asked.iter().zip(outcomes.await) {
            let member = asked.question.member.clone();
            match outcome {
                Ok(answer) => drop(heard.membership.answers.insert(member, answer)),
                Err(why) => drop(heard.membership.silent.insert(member, why)),
            }
            heard.distrusted.extend(distrusted);
        }
        heard
    }

    /// Asks one member by these routes: an answer that is believed, or a text with each route and why it failed.
    pub async fn ask(
        &self,
        database: &Uid,
        question: &Question,
        routes: &[Route],
        judge: &Judge<'_>,
    ) -> (Result<Answer, String>, Vec<Distrusted>) {
        if routes.is_empty() {
            return (Err("there is no route to it yet".to_owned()), Vec::new());
        }
        let remembered = self.remembered(database, &question.member);
        let mut left = self.patience.total;
        let (mut failures, mut distrusted) = (Vec::new(), Vec::new());
        for route in in_order(routes, remembered.map(|remembered| remembered.rung)) {
            let within = if route.rung() == Rung::Job { self.patience.job } else { self.patience.rung.min(left) };
            if within.is_zero() {
                failures.push(format!("{route}: not tried, {} s were used up", self.patience.total.as_secs()));
                continue;
            }
            let started = Instant::now();
            let replies = self.ask.ask(route, question, Deadline::after(within)).await;
            if route.rung() != Rung::Job {
                left = left.saturating_sub(started.elapsed());
            }
            match replies.map(|replies| judge(&question.member, route.rung(), &replies)) {
                Ok(Ok(answer)) => {
                    let climbed = remembered
                        .filter(|remembered| remembered.rung == route.rung())
                        .map_or_else(Instant::now, |remembered| remembered.climbed);
                    self.remember(database, &question.member, Some(Remembered { rung: route.rung(), climbed }));
                    return (Ok(answer), distrusted);
                }
                Ok(Err(why)) => {
                    failures.push(format!("{route}: {why}"));
                    distrusted.push(Distrusted { route: route.clone(), why });
                }
                Err(silence) => failures.push(format!("{route}: {silence}")),
            }
        }
        self.remember(database, &question.member, None);
        (Err(failures.join("; ")), distrusted)
    }

    /// Tells one member something by the first of these routes by which it shows who it is. Once told, nobody else is: what
    /// came of it is found by asking.
    ///
    /// # Errors
    /// Why it was not told, or why nothing is known of what came of it.
    pub async fn tell(
        &self,
        database: &Uid,
        question: &Question,
        request: HttpRequest,
        routes: &[Route],
        judge: &Judge<'_>,
        gate: &dyn Gate,
    ) -> Result<HttpReply, String> {
        let remembered = self.remembered(database, &question.member);
        let mut failures = Vec::new();
        for route in in_order(routes, remembered.map(|remembered| remembered.rung)) {
            let within =
                || Deadline::after(if route.rung() == Rung::Job { self.patience.job } else { self.patience.rung });
            let replies = self.ask.ask(route, question, within()).await;
            match replies.map(|replies| judge(&question.member, route.rung(), &replies)) {
                Ok(Ok(_)) => {}
                Ok(Err(why)) => {
                    failures.push(format!("{route}: {why}"));
                    continue;
                }
                Err(silence) => {
                    failures.push(format!("{route}: {silence}"));
                    continue;
                }
            }
            // A leader that was paused may wake up between the question and this.
            gate.check().map_err(|lost| lost.to_string())?;
            let command = Question { exchange: Exchange::Http(vec![request]), ..question.clone() };
            let told = self.ask.ask(route, &command, within()).await;
            let reply = told.map_err(|silence| format!("{route}: {silence}"))?.into_iter().next();
            return reply.ok_or_else(|| format!("{route}: no reply"));
        }
        Err(if failures.is_empty() { "there is no route to it yet".to_owned() } else { failures.join("; ") })
    }

    /// Forgets what is remembered of a database that is gone.
    pub fn forget(&self, database: &Uid) {
        self.memory().remove(database);
    }

    fn remembered(&self, database: &Uid, member: &MemberName) -> Option<Remembered> {
        let remembered = *self.memory().get(database)?.get(member)?;
        (remembered.climbed.elapsed() < self.patience.recheck).then_some(remembered)
    }

    fn remember(&self, database: &Uid, member: &MemberName, what: Option<Remembered>) {
        let mut memory = self.memory();
        match what {
            Some(what) => drop(memory.entry(database.clone()).or_default().insert(member.clone(), what)),
            None => drop(memory.get_mut(database).map(|members| members.remove(member))),
        }
    }

    /// What a panic elsewhere left is only a preference, and still good.
    fn memory(&self) -> MutexGuard<'_, BTreeMap<Uid, BTreeMap<MemberName, Remembered>>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From the cheapest rung, but first the one that served last.
fn in_order(routes: &[Route], first: Option<Rung>) -> Vec<&Route> {
    let mut routes: Vec<_> = routes.iter().collect();
    routes.sort_by_key(|route| (Some(route.rung()) != first, route.rung()));
    routes
}

#[cfg(test)]
#[path = "ladder_tests.rs"]
mod tests;
