//! Planted bugs: a harness that misses none of them is worth trusting.
//!
//! The list is data in `tests/simulation/planted`. Each bug is put into a copy of the workspace, which is built and
//! played until a check sees it; then the same run is played without that check, to show that it was the one.

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
    /// The profile of cargo to build with; that of this program by default
    #[arg(long)]
    profile: Option<String>,
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
    let tree = Tree::here(args.profile.clone())?;
    let bugs = list::choose(list::read(&tree.list())?, &args.names)?;
    if args.list {
        for bug in &bugs {
            println!("{}", table::listed(bug));
        }
        return Ok(true);
    }
    let began = Instant::now();
    let mut rows = Vec::new();
    for bug in &bugs {
        let row = one(&tree, bug, args)?;
        println!("{row}");
        rows.push(row);
    }
    println!("\n{}", table::totals(&rows, began.elapsed()));
    Ok(rows.iter().all(|row| row.verdict.is_caught()))
}

fn one(tree: &Tree, bug: &Bug, args: &Args) -> Result<Row, Unplantable> {
    tree.plant(Some(bug))?;
    let row = |verdict, took| Row { bug: bug.clone(), verdict, took };
    let began = Instant::now();
    let sim = match tree.build() {
        Ok(sim) => sim,
        Err(error) => return Ok(row(Verdict::NotBuilt(error.to_string()), began.elapsed())),
    };
    if args.build {
        return Ok(row(Verdict::Built, began.elapsed()));
    }
    let began = Instant::now();
    let verdict = play(&sim, bug, Duration::from_secs(args.limit));
    Ok(row(verdict, began.elapsed()))
}

/// Plays one place after the other until a check sees the bug.
fn play(sim: &Path, bug: &Bug, limit: Duration) -> Verdict {
    let began = Instant::now();
    let mut runs = 0;
    for play in &bug.play {
        let left = limit.saturating_sub(began.elapsed());
        match trial(sim, play, &BTreeSet::new(), left) {
            Outcome::Passed => runs += play.least(),
            Outcome::Caught(mut caught) => {
                caught.runs += runs;
                let took = began.elapsed();
                let blind = blind(sim, bug, &caught, limit);
                return Verdict::Caught { caught, took, blind };
            }
            Outcome::Endless => return Verdict::Missed(format!("not within {} s", limit.as_secs())),
            Outcome::Unreadable(words) => return Verdict::Unplayable(words),
        }
    }
    Verdict::Missed(format!("not in {runs} runs"))
}

/// What is left of a catch when the checks that made it are switched off, one after the other, the expected ones first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blind {
    /// Those that are off, in this order. Each but the last still leaves another one that sees the bug.
    off: Vec<String>,
    /// Whether the bug is missed without them.
    missed: bool,
}

fn blind(sim: &Path, bug: &Bug, caught: &Caught, limit: Duration) -> Blind {
    let (mut off, mut seeing) = (Vec::new(), caught.checks.clone());
    let again = Play::Script(caught.script.clone());
    while off.len() < EYES {
        let expected = seeing.iter().find(|check| bug.expects(check));
        let Some(next) = expected.or_else(|| seeing.first()).cloned() else { break };
        off.push(next);
        let without: BTreeSet<_> = off.iter().cloned().collect();
        match trial(sim, &again, &without, limit) {
            Outcome::Passed => return Blind { off, missed: true },
            Outcome::Caught(caught) => seeing = caught.checks.difference(&without).cloned().collect(),
            Outcome::Endless | Outcome::Unreadable(_) => break,
        }
    }
    Blind { off, missed: false }
}

impl Bug {
    /// Whether this check is one of those that should see it.
    fn expects(&self, check: &str) -> bool {
        let rule = check.split(' ').next().unwrap_or(check);
        self.caught_by.iter().any(|expected| expected == rule)
    }
}

impl Play {
    /// How many runs it is, as far as that is known.
    fn least(&self) -> u64 {
        match self {
            Self::Seeds(count) => *count,
            Self::Campaign(_) | Self::Script(_) => 1,
        }
    }
}
