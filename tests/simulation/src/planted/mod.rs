//! Planted bugs: a harness that misses none of them is worth trusting.
//!
//! The list is data in `tests/simulation/planted`. Each bug is put into a copy of the workspace, which is built and
//! played until a check sees it. The same run is then played on the healthy sources, to show that it is the bug which is
//! seen, and without that check, to show that it is the check which sees it.

mod list;
mod table;
mod tree;
mod trial;

use std::{
    collections::BTreeSet,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

pub use list::{Bug, Edit, Play, Unplantable};
use table::{Row, Verdict};
use tree::Tree;
pub use trial::answer;
use trial::{Caught, Outcome, trial};

/// How often a check is switched off and another one sees the bug still.
const EYES: usize = 6;

/// What to plant.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Only these bugs; all of them by default
    names: Vec<String>,
    /// Say what there is, and do nothing
    #[arg(long)]
    list: bool,
    /// Build each bug, and play nothing
    #[arg(long)]
    build: bool,
    /// How long one bug may be played, in seconds
    #[arg(long, default_value_t = 600)]
    limit: u64,
}

/// Plants bugs and says which were caught. Fails if one was not.
pub fn main(args: &Args) -> ExitCode {
    match plant_all(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn plant_all(args: &Args) -> Result<bool, Unplantable> {
    let tree = Tree::here()?;
    let bugs = list::choose(list::read(&tree.list())?, &args.names)?;
    if args.list {
        for bug in &bugs {
            println!("{}", table::listed(bug));
        }
        return Ok(true);
    }
    let began = Instant::now();
    let healthy = if args.build { None } else { Some(tree.healthy()?) };
    let mut rows = Vec::new();
    for bug in &bugs {
        let row = one(&tree, healthy.as_deref(), bug, args)?;
        println!("{row}");
        rows.push(row);
    }
    println!("\n{}", table::totals(&rows, began.elapsed()));
    Ok(rows.iter().all(|row| row.verdict.is_caught()))
}

fn one(tree: &Tree, healthy: Option<&Path>, bug: &Bug, args: &Args) -> Result<Row, Unplantable> {
    tree.plant(Some(bug))?;
    let row = |verdict| Row { bug: bug.clone(), verdict };
    let began = Instant::now();
    let sick = match tree.build() {
        Ok(sick) => sick,
        Err(error) => return Ok(row(Verdict::NotBuilt(error.to_string()))),
    };
    let Some(healthy) = healthy else { return Ok(row(Verdict::Built(began.elapsed()))) };
    let sims = Sims { sick: &sick, healthy, limit: Duration::from_secs(args.limit) };
    Ok(row(sims.play(bug)))
}

/// The simulation with a bug in it, and the one without.
struct Sims<'a> {
    sick: &'a Path,
    healthy: &'a Path,
    limit: Duration,
}

impl Sims<'_> {
    /// Plays one place after the other until a check sees the bug.
    fn play(&self, bug: &Bug) -> Verdict {
        let began = Instant::now();
        let mut runs = 0;
        for play in &bug.play {
            let left = self.limit.saturating_sub(began.elapsed());
            let mut caught = match trial(self.sick, play, &BTreeSet::new(), left) {
                Outcome::Caught(caught) => caught,
                Outcome::Passed(count) => {
                    runs += count;
                    continue;
                }
                Outcome::Endless => return Verdict::Missed(format!("not within {} s", self.limit.as_secs())),
                Outcome::Unplayable(words) => return Verdict::Unplayable(words),
            };
            caught.runs += runs;
            let took = began.elapsed();
            let again = caught.again.clone();
            // What a check also says of the healthy sources is not about the bug.
            match trial(self.healthy, &again, &BTreeSet::new(), self.limit) {
                Outcome::Passed(_) => {}
                Outcome::Caught(well) => {
                    caught.checks.retain(|(check, _)| well.names().all(|also| also != check));
                }
                Outcome::Endless => return Verdict::Unplayable("the healthy sources do not end".to_owned()),
                Outcome::Unplayable(words) => return Verdict::Unplayable(words),
            }
            if caught.checks.is_empty() {
                return Verdict::Missed(format!("and the healthy sources fail in {}", caught.run));
            }
            let blind = self.blind(bug, &again, &caught);
            return Verdict::Caught { caught, took, blind };
        }
        Verdict::Missed(format!("not in {runs} runs"))
    }

    /// Switches the checks off that made a catch, one after the other, the expected ones first.
    fn blind(&self, bug: &Bug, again: &Play, caught: &Caught) -> Blind {
        let mut off: Vec<String> = Vec::new();
        let mut seeing: Vec<String> = caught.names().map(str::to_owned).collect();
        while off.len() < EYES {
            let expected = seeing.iter().find(|check| bug.expects(check));
            let Some(next) = expected.or_else(|| seeing.first()).cloned() else { break };
            off.push(next);
            let without: BTreeSet<_> = off.iter().cloned().collect();
            match trial(self.sick, again, &without, self.limit) {
                Outcome::Passed(_) => return Blind { off, missed: true },
                Outcome::Caught(caught) => {
                    seeing = caught.names().filter(|check| !without.contains(*check)).map(str::to_owned).collect();
                }
                Outcome::Endless | Outcome::Unplayable(_) => break,
            }
        }
        Blind { off, missed: false }
    }
}

/// What is left of a catch when the checks that made it are switched off, one after the other, the expected ones first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blind {
    /// Those that are off, in this order. Each but the last still leaves another one that sees the bug.
    off: Vec<String>,
    /// Whether the bug is missed without them.
    missed: bool,
}

impl Bug {
    /// Whether this check is one of those that should see it.
    fn expects(&self, check: &str) -> bool {
        let rule = check.split(' ').next().unwrap_or(check);
        self.caught_by.iter().any(|expected| expected == rule)
    }
}
