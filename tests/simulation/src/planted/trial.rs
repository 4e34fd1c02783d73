//! Plays a planted bug: starts the simulation that was built with it, and reads what it says.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use super::list::Play;

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was violated.
    Passed,
    /// A check saw it.
    Caught(Caught),
    /// The trial did not end in time.
    Endless,
    /// The program could not be started, or said nothing that can be read.
    Unreadable(String),
}

/// A run in which a check saw the bug.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// The checks, by name: `S4 volumes`.
    pub checks: BTreeSet<String>,
    /// The run: `seed 17`, `crash after write 5, in "create"`.
    pub run: String,
    /// How many runs it took.
    pub runs: u64,
    /// What the first of the checks says.
    pub words: String,
    /// The run itself.
    pub script: serde_json::Value,
}

/// Plays until a check sees something.
pub fn trial(sim: &Path, play: &Play, without: &BTreeSet<String>, limit: Duration) -> Outcome {
    let mut command = Command::new(sim);
    match play {
        Play::Seeds(count) => command.args(["run", "--first", "1", "--seeds", &count.to_string(), "--brief"]),
        Play::Campaign(name) => command.args(["campaign", name, "--brief"]),
        Play::Scenario(name) => command.args(["scenario", name, "--brief"]),
        Play::Script(_) => command.args(["replay", "-", "--brief"]),
    };
    if !without.is_empty() {
        command.arg("--without").arg(without.iter().map(String::as_str).collect::<Vec<_>>().join(","));
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    match command.spawn() {
        Ok(mut child) => {
            if let (Some(mut input), Play::Script(script)) = (child.stdin.take(), play) {
                // Should it not read to the end, it says so.
                let _ = input.write_all(script.to_string().as_bytes());
            }
            follow(child, limit)
        }
        Err(error) => Outcome::Unreadable(error.to_string()),
    }
}

fn follow(mut child: Child, limit: Duration) -> Outcome {
    let until = Instant::now() + limit;
    let lines = lines(&mut child);
    let mut read = Reading::default();
    let ended = loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => read.line(&line),
            Err(RecvTimeoutError::Disconnected) => break true,
            Err(RecvTimeoutError::Timeout) => break false,
        }
    };
    if !ended {
        // It is ours, and nothing that it could still say matters.
        let _ = child.kill();
    }
    let status = child.wait();
    match (ended, read.caught, status) {
        (_, Some(caught), _) => Outcome::Caught(caught),
        (false, None, _) => Outcome::Endless,
        (true, None, Ok(status)) if status.success() => Outcome::Passed,
        (true, None, status) => Outcome::Unreadable(format!("ended with {status:?}: {}", read.last)),
    }
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

/// What was read so far.
#[derive(Default)]
struct Reading {
    caught: Option<Caught>,
    last: String,
}

impl Reading {
    /// `FAILED <run>: <check> at <time> s: <words>` tells a run, `VIOLATION <check> at <time> s: <words>` all that it
    /// violated, `SCRIPT <JSON>` the run itself.
    fn line(&mut self, line: &str) {
        let text = line.trim();
        if !text.is_empty() {
            text.clone_into(&mut self.last);
        }
        if let Some((run, check, words)) = text.strip_prefix("FAILED ").and_then(failed) {
            let caught = self.caught.get_or_insert_with(|| Caught {
                run: run.to_owned(),
                words: words.to_owned(),
                ..Caught::default()
            });
            if caught.run == run {
                caught.checks.insert(check.to_owned());
            }
        } else if let Some((check, words)) = text.strip_prefix("VIOLATION ").and_then(violation) {
            let caught = self.caught.get_or_insert_with(Caught::default);
            if caught.words.is_empty() {
                words.clone_into(&mut caught.words);
            }
            caught.checks.insert(check.to_owned());
        } else if let (Some(caught), Some(script)) = (&mut self.caught, text.strip_prefix("SCRIPT ")) {
            caught.script = serde_json::from_str(script).unwrap_or_default();
        } else if let (Some(caught), Some(runs)) = (&mut self.caught, runs(text)) {
            caught.runs = runs;
        }
    }
}

fn failed(rest: &str) -> Option<(&str, &str, &str)> {
    let (before, words) = rest.split_once(" s: ")?;
    let (before, _) = before.rsplit_once(" at ")?;
    let (run, check) = before.rsplit_once(": ")?;
    Some((run, check, words))
}

fn violation(rest: &str) -> Option<(&str, &str)> {
    let (before, words) = rest.split_once(" s: ")?;
    Some((before.rsplit_once(" at ")?.0, words))
}

/// `17 runs (…)` is how the closing line begins.
fn runs(text: &str) -> Option<u64> {
    let (number, rest) = text.split_once(' ')?;
    rest.starts_with("runs (").then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Caught> {
        let mut reading = Reading::default();
        text.lines().for_each(|line| reading.line(line));
        reading.caught
    }

    #[test]
    fn what_a_failing_run_says_is_understood() {
        let text = "  FAILED seed 17: S4 volumes at 12.250 s: claim data-a-etcd-0 in w1: too soon\n\
                    some history\n\
                    VIOLATION S4 volumes at 12.250 s: claim data-a-etcd-0 in w1: too soon\n\
                    VIOLATION L1 settled at 600.000 s: a is not Running\n\
                    SCRIPT {\"seed\":17}\n\
                    18 runs (17 counted seeds), 9 requests\n";
        let caught = read(text).expect("caught");
        assert_eq!(caught.run, "seed 17");
        assert_eq!(caught.checks.into_iter().collect::<Vec<_>>(), ["L1 settled", "S4 volumes"]);
        assert_eq!(caught.words, "claim data-a-etcd-0 in w1: too soon");
        assert_eq!(caught.runs, 18);
        assert_eq!(caught.script["seed"], 17);
    }

    #[test]
    fn the_name_of_a_planned_run_may_hold_anything() {
        let text = "FAILED w1's watches stall from 30250 ms, in \"halt and adopt\": S9 view at 31.000 s: old: view";
        let caught = read(text).expect("caught");
        assert_eq!(caught.run, "w1's watches stall from 30250 ms, in \"halt and adopt\"");
        assert_eq!(caught.checks.into_iter().collect::<Vec<_>>(), ["S9 view"]);
    }

    #[test]
    fn a_run_in_which_nothing_is_violated_is_no_catch() {
        assert_eq!(read("60 runs (60 counted seeds), violations 0\n"), None);
    }
}
