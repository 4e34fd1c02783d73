//! Campaigns: which scripts are played, and what they add up to.

mod systematic;
mod workload;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub use systematic::{Campaign, plans};
pub use workload::{Workload, workloads};

use crate::{
    check::Violation,
    lock::{into_inner, lock},
    play::{Options, Outcome, play},
    script::{Script, draw},
    tape::Figures,
};

/// One run that is planned: its name, and its script.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For people: `seed 17`, `crash after write 5 of create`.
    pub name: String,
    /// What will happen.
    pub script: Script,
}

/// A run that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The plan.
    pub plan: Plan,
    /// What was violated.
    pub violations: Vec<Violation>,
    /// What happened last.
    pub lines: Vec<String>,
}

/// What many runs add up to.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many runs.
    pub runs: u64,
    /// How many of them were rich enough to count as a seed (DECISIONS 21).
    pub counted: u64,
    /// The sum.
    pub figures: Figures,
    /// Runs that failed.
    pub failures: Vec<Failure>,
}

/// When to stop early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Never.
    AtTheEnd,
    /// After the first run that fails.
    AtFirst,
}

/// How many runs go on at the same time.
pub fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Plays plans, side by side, with a line of progress now and then.
pub fn run(title: &str, plans: impl Iterator<Item = Plan> + Send, options: &Options, stop: Stop) -> Tally {
    let (began, told) = (Instant::now(), Mutex::new(Instant::now()));
    let tally = Mutex::new(Tally::default());
    let (plans, over) = (Mutex::new(plans), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..jobs() {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let Some(plan) = lock(&plans).next() else { return };
                    let outcome = play(&plan.script, options);
                    let mut tally = lock(&tally);
                    if tally.take(plan, outcome) == Verdict::Failed && stop == Stop::AtFirst {
                        over.store(true, Ordering::Relaxed);
                    }
                    let mut told = lock(&told);
                    if told.elapsed() > Duration::from_secs(15) {
                        *told = Instant::now();
                        println!("  {title}: {}", tally.progress(began.elapsed()));
                    }
                }
            });
        }
    });
    into_inner(tally)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
}

impl Tally {
    fn take(&mut self, plan: Plan, outcome: Outcome) -> Verdict {
        self.runs += 1;
        self.counted += u64::from(outcome.counts);
        self.figures.add(&outcome.figures);
        if outcome.violations.is_empty() {
            return Verdict::Passed;
        }
        println!("  FAILED {}: {}", plan.name, outcome.violations[0]);
        self.failures.push(Failure { plan, violations: outcome.violations, lines: outcome.lines });
        Verdict::Failed
    }

    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.counted += other.counted;
        self.figures.add(&other.figures);
        self.failures.extend(other.failures);
    }

    fn progress(&self, took: Duration) -> String {
        let rate = f64::from(u32::try_from(self.runs).unwrap_or(u32::MAX)) / took.as_secs_f64().max(0.001);
        format!(
            "{} runs in {} s ({:.0} an hour), {} failed",
            self.runs,
            took.as_secs(),
            rate * 3_600.0,
            self.failures.len()
        )
    }

    /// The figures, a line each.
    pub fn summary(&self, took: Duration) -> String {
        let figures = &self.figures;
        let by_check = self.failures.iter().filter_map(|failure| failure.violations.first()).fold(
            BTreeMap::<&str, u32>::new(),
            |mut counts, violation| {
                *counts.entry(violation.check).or_default() += 1;
                counts
            },
        );
        let faults: u64 = figures.faults.values().sum();
        let kinds: Vec<_> = figures.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        format!(
            "{} runs ({} counted seeds), {} requests, {} writes, {:.1} virtual days, {} lives of the controller, \
             {} acknowledged writes, {faults} faults, violations {}{}\nfaults: {}\n{}",
            self.runs,
            self.counted,
            figures.requests,
            figures.writes,
            figures.elapsed.as_secs_f64() / 86_400.0,
            figures.lives,
            figures.acknowledged,
            self.failures.len(),
            if by_check.is_empty() { String::new() } else { format!(" {by_check:?}") },
            kinds.join(", "),
            self.progress(took),
        )
    }
}

/// Plans from seeds.
pub fn seeds(first: u64, count: u64) -> impl Iterator<Item = Plan> + Send {
    (first..first.saturating_add(count)).map(|seed| Plan { name: format!("seed {seed}"), script: draw(seed) })
}
