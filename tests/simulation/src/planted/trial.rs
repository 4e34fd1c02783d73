//! Plays a planted bug. The program that was built with it is asked over its standard input, and tells what came of it
//! in one line of JSON, so that nobody has to make sense of what is written for people.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};

use super::list::Play;
use crate::{
    campaign::{self, Campaign, Plan, Stop, Tally},
    check::Violation,
    play::Options,
    scenario::{self, Played, play_without},
    script::Script,
};

/// How many times a scenario is played: each network once.
const SCENARIO_SEEDS: u64 = 3;
/// What the line begins with that tells the outcome.
const ANSWER: &str = "ANSWER ";

/// What a program is asked to play.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    play: Play,
    /// Checks that are switched off.
    without: BTreeSet<String>,
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Nothing was violated in so many runs.
    Passed(u64),
    /// A check saw it.
    Caught(Caught),
    /// The trial did not end in time.
    Endless,
    /// The program could not be started, or has no answer.
    Unplayable(String),
}

/// A run in which a check saw the bug.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caught {
    /// The checks, by name (`S4 volumes`), each with what it said first.
    pub checks: Vec<(String, String)>,
    /// The run: `seed 17`, `crash after write 5, in "create"`.
    pub run: String,
    /// How many runs it took.
    pub runs: u64,
    /// How to play it again.
    pub again: Play,
}

impl Caught {
    /// The names of the checks.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.checks.iter().map(|(name, _)| name.as_str())
    }
}

/// Has a program play, until a check sees something.
pub fn trial(sim: &Path, play: &Play, without: &BTreeSet<String>, limit: Duration) -> Outcome {
    let request = Request { play: play.clone(), without: without.clone() };
    let mut command = Command::new(sim);
    command.arg("trial").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    match command.spawn() {
        Ok(mut child) => {
            if let Some(mut input) = child.stdin.take() {
                // Should it not read to the end, it has no answer either.
                let _ = input.write_all(serde_json::to_string(&request).unwrap_or_default().as_bytes());
            }
            follow(child, limit)
        }
        Err(error) => Outcome::Unplayable(error.to_string()),
    }
}

fn follow(mut child: Child, limit: Duration) -> Outcome {
    let until = Instant::now() + limit;
    let lines = lines(&mut child);
    let mut last = String::new();
    let outcome = loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => match line.strip_prefix(ANSWER).map(serde_json::from_str) {
                Some(Ok(outcome)) => break outcome,
                Some(Err(_)) | None => last = line,
            },
            Err(RecvTimeoutError::Disconnected) => break Outcome::Unplayable(format!("no answer; last: {last}")),
            Err(RecvTimeoutError::Timeout) => break Outcome::Endless,
        }
    };
    // It is ours, and nothing that it could still say matters.
    let _ = child.kill();
    let _ = child.wait();
    outcome
}

fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

/// Plays what is asked for on the standard input, and answers.
pub fn answer() -> ExitCode {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string());
    let request = read.and_then(|_| serde_json::from_str::<Request>(&text).map_err(|error| error.to_string()));
    let outcome = match request {
        Ok(request) => played(request).unwrap_or_else(Outcome::Unplayable),
        Err(why) => Outcome::Unplayable(why),
    };
    println!("{ANSWER}{}", serde_json::to_string(&outcome).unwrap_or_default());
    ExitCode::SUCCESS
}

fn played(request: Request) -> Result<Outcome, String> {
    let options = Options { without: request.without.into_iter().collect(), ..Options::default() };
    let run = |plans: Vec<Plan>| campaign::run("planted", plans.into_iter(), &options, Stop::AtFirst);
    Ok(outcome(match request.play {
        Play::Seeds(count) => campaign::run("planted", campaign::seeds(1, count), &options, Stop::AtFirst),
        Play::Campaign(name) => run(campaign::plans(Campaign::from_str(&name, true)?, &options)),
        Play::Scenario(name) => return scenarios(&[&name], &options),
        Play::Catalogue => return scenarios(&scenario::names(), &options),
        Play::Script(script) => {
            let script: Script = serde_json::from_value(script).map_err(|error| error.to_string())?;
            run(vec![Plan { name: "its own script".to_owned(), script }])
        }
    }))
}

fn scenarios(names: &[&str], options: &Options) -> Result<Outcome, String> {
    let without: Vec<&str> = options.without.iter().map(String::as_str).collect();
    let mut runs = 0;
    for name in names {
        for seed in 1..=SCENARIO_SEEDS {
            runs += 1;
            let Played { wrong, .. } = play_without(name, seed, &without)?;
            if !wrong.is_empty() {
                return Ok(caught(wrong, format!("{name}, seed {seed}"), runs, Play::Scenario((*name).to_owned())));
            }
        }
    }
    Ok(Outcome::Passed(runs))
}

fn outcome(tally: Tally) -> Outcome {
    let Some(failure) = tally.failures.into_iter().next() else { return Outcome::Passed(tally.runs) };
    let again = Play::Script(serde_json::to_value(&failure.plan.script).unwrap_or_default());
    caught(failure.violations, failure.plan.name, tally.runs, again)
}

fn caught(violations: Vec<Violation>, run: String, runs: u64, again: Play) -> Outcome {
    let mut checks: Vec<(String, String)> = Vec::new();
    for violation in violations {
        if checks.iter().all(|(name, _)| *name != violation.check) {
            checks.push((violation.check.to_owned(), violation.words));
        }
    }
    Outcome::Caught(Caught { checks, run, runs, again })
}
