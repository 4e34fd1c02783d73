//! Runs tests that share a lab, one after the other: a lab takes longer to start than most tests take.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lab::Options;

use crate::say::seconds;
use crate::{Outcome, Trouble, World, programs, wait};

/// When a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always, also where time is short.
    Always,
    /// With `ATOLL_E2E=full`, or when it is asked for by name.
    Full,
}

/// One test; its name is a sentence.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it shows.
    pub name: &'static str,
    /// When it runs.
    pub when: When,
    /// Shows it.
    pub run: fn(&World) -> Outcome,
}

/// A test that always runs.
#[must_use]
pub const fn always(name: &'static str, run: fn(&World) -> Outcome) -> Case {
    Case { name, when: When::Always, run }
}

/// A test that runs when there is time.
#[must_use]
pub const fn full(name: &'static str, run: fn(&World) -> Outcome) -> Case {
    Case { name, when: When::Full, run }
}

/// Tests that share a lab.
pub struct Suite {
    /// A word for it.
    pub name: &'static str,
    /// The lab they need.
    pub options: fn() -> Options,
    /// What is done once, when the lab is up.
    pub prepare: fn(&mut World) -> Outcome,
    /// The tests, in order.
    pub cases: Vec<Case>,
}

/// What the command line asks for.
struct Wish {
    words: Vec<String>,
    full: bool,
    list: bool,
}

impl Wish {
    fn read() -> Self {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        Self {
            words: arguments.iter().filter(|word| !word.starts_with('-')).cloned().collect(),
            full: std::env::var("ATOLL_E2E").is_ok_and(|value| value == "full"),
            list: arguments.iter().any(|word| word == "--list"),
        }
    }

    fn wants(&self, suite: &Suite, case: &Case) -> bool {
        if self.words.is_empty() {
            return self.full || self.list || case.when == When::Always;
        }
        self.words.iter().any(|word| case.name.contains(word) || suite.name == word)
    }
}

/// Runs what the command line asks for: words that a test's name contains, or a suite's name.
pub fn main(suites: &[Suite]) -> ExitCode {
    let wish = Wish::read();
    if wish.list {
        for suite in suites {
            for case in &suite.cases {
                println!("{}: {}: test", suite.name, case.name);
            }
        }
        return ExitCode::SUCCESS;
    }
    if !is_root() {
        println!("skipped: real clusters need root (sudo -E env PATH=$PATH cargo test -p atoll-e2e)");
        return ExitCode::SUCCESS;
    }
    wait::heed_interrupts();
    if let Err(trouble) = programs::build() {
        eprintln!("the programs under test cannot be built: {trouble}");
        return ExitCode::FAILURE;
    }
    let mut tally = Tally::default();
    for suite in suites {
        let cases: Vec<_> = suite.cases.iter().filter(|case| wish.wants(suite, case)).collect();
        if !cases.is_empty() && !wait::interrupted() {
            tally.run(suite, &cases);
        }
    }
    tally.end()
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    time: Duration,
}

impl Tally {
    fn run(&mut self, suite: &Suite, cases: &[&Case]) {
        println!("\n{}: {} tests", suite.name, cases.len());
        let begun = Instant::now();
        let world = World::up((suite.options)()).and_then(|mut world| {
            let prepared = (suite.prepare)(&mut world);
            // Before the world ends, for afterwards there is nothing to look at.
            prepared.inspect_err(|_| eprintln!("{}", world.diagnosis()))?;
            Ok(world)
        });
        let world = match world {
            Ok(world) => world,
            Err(trouble) => {
                println!("  FAILED  {}: the lab: {trouble}", suite.name);
                self.failed.push(format!("{}: {trouble}", suite.name));
                return;
            }
        };
        println!("  {:>7}  lab and operator ready", seconds(begun.elapsed()));
        for case in cases {
            if !wait::interrupted() {
                self.case(suite, case, &world);
            }
        }
        drop(world);
        self.time += begun.elapsed();
        println!("  {:>7}  in all for {}", seconds(begun.elapsed()), suite.name);
    }

    fn case(&mut self, suite: &Suite, case: &Case, world: &World) {
        let begun = Instant::now();
        let begin = || world.reset().map_err(|trouble| trouble.at("before the test"));
        let end = || world.no_strays().map_err(|trouble| trouble.at("after the test"));
        let done = begin().and_then(|()| caught(case.run, world)).and_then(|()| end());
        let time = seconds(begun.elapsed());
        match done {
            Ok(()) => {
                println!("  {time:>7}  {}", case.name);
                self.passed += 1;
            }
            Err(trouble) => {
                println!("  {time:>7}  FAILED: {}\n           {trouble}", case.name);
                println!("{}", world.diagnosis());
                world.keep_files();
                self.failed.push(format!("{}: {}: {trouble}", suite.name, case.name));
            }
        }
    }

    fn end(self) -> ExitCode {
        println!("\n{} passed, {} failed, in {}", self.passed, self.failed.len(), seconds(self.time));
        for failure in &self.failed {
            println!("  FAILED: {failure}");
        }
        if self.failed.is_empty() && !wait::interrupted() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// A panic is a failure like others, and the lab is still needed.
fn caught(run: fn(&World) -> Outcome, world: &World) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| run(world))).unwrap_or_else(|_| Err(Trouble::new("it panicked")))
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    uids.split_whitespace().nth(1) == Some("0")
}
