//! Clients in every cluster, and whether what they saw is linearizable.
//!
//! Each client writes rising numbers under a key of its own and reads the keys of all. A key with one writer is
//! linearizable exactly if every read gives a number that is not older than the last one acknowledged before it began, not newer
//! than the last one sent before it ended, and not older than what any read gave that had ended before it began.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::{Outcome, Trouble, World, ensure};

/// One request of a client; times in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whose.
    pub client: String,
    /// What was asked.
    pub asked: Asked,
    /// When it was sent.
    pub begun: u64,
    /// When it was answered, or given up.
    pub ended: u64,
}

/// What was asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To write this number under the client's own key.
    Write {
        /// The number.
        number: u64,
        /// Whether it was acknowledged.
        acknowledged: bool,
    },
    /// To read a key; a number if there was an answer.
    Read {
        /// The key.
        key: String,
        /// What was read.
        number: Option<u64>,
    },
}

/// Clients that run.
pub struct Clients {
    children: Vec<Child>,
    history: Arc<Mutex<Vec<Operation>>>,
}

impl Clients {
    /// Starts one in each of these clusters, each asking these members first, so many milliseconds after each answer.
    pub fn start(world: &World, clusters: &[String], endpoints: &[String], pause: u64) -> Outcome<Self> {
        let program = program()?;
        let history = Arc::new(Mutex::new(Vec::new()));
        let mut children = Vec::new();
        for (number, cluster) in clusters.iter().enumerate() {
            let mut own = endpoints.to_vec();
            own.rotate_left(number % endpoints.len().max(1));
            let mut command: Command = world.lab().command_in(cluster, &program.to_string_lossy())?;
            command.args([cluster.as_str(), &clusters.join(","), &own.join(","), &pause.to_string()]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let lines = child.stdout.take().ok_or_else(|| Trouble::new("a client without output"))?;
            let history = Arc::clone(&history);
            std::thread::spawn(move || {
                for line in BufReader::new(lines).lines().map_while(Result::ok) {
                    let read = serde_json::from_str::<Value>(&line).ok().and_then(|value| read(&value));
                    history.lock().unwrap_or_else(PoisonError::into_inner).extend(read);
                }
            });
            children.push(child);
        }
        Ok(Self { children, history })
    }

    /// What happened so far.
    #[must_use]
    pub fn history(&self) -> Vec<Operation> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The longest time between two writes that were acknowledged to anyone since then, to now.
    #[must_use]
    pub fn longest_gap(&self, since: SystemTime) -> Gap {
        let micros = |time: SystemTime| {
            u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros()).unwrap_or(0)
        };
        let (from, to) = (micros(since), micros(SystemTime::now()));
        let mut ends: Vec<_> = self
            .history()
            .iter()
            .filter(|operation| matches!(operation.asked, Asked::Write { acknowledged: true, .. }))
            .map(|operation| operation.ended)
            .filter(|ended| *ended >= from)
            .chain([from, to])
            .collect();
        ends.sort_unstable();
        let gap = ends.windows(2).max_by_key(|pair| pair[1] - pair[0]).unwrap_or(&[]);
        let (begins, ends) = (gap.first().copied().unwrap_or(from), gap.last().copied().unwrap_or(from));
        Gap { after: Duration::from_micros(begins - from), lasts: Duration::from_micros(ends - begins) }
    }
}

/// A time without any write that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// How long after what was looked for it begins.
    pub after: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

impl Drop for Clients {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.stdin.take());
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Beside this very program, as cargo puts them.
fn program() -> Outcome<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join("client")).find(|path| path.is_file());
    beside.ok_or_else(|| Trouble::new("the client is not built: cargo build -p atoll-e2e --bin client"))
}

fn read(line: &Value) -> Option<Operation> {
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    let asked = match line["op"].as_str()? {
        "write" => Asked::Write { number: line["number"].as_u64()?, acknowledged: line["value"].is_u64() },
        _ => Asked::Read { key: text("key")?, number: line["value"].as_u64() },
    };
    Some(Operation { client: text("client")?, asked, begun: line["begun"].as_u64()?, ended: line["ended"].as_u64()? })
}

/// What a history comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Writes that were sent and not answered.
    pub unanswered: usize,
    /// Reads that were answered.
    pub reads: usize,
}

/// A number, when it was sent, and when it was acknowledged if it was.
type Written = (u64, u64, Option<u64>);

/// Fails unless a history is linearizable.
pub fn linearizable(history: &[Operation]) -> Outcome<Judged> {
    let mut judged = Judged::default();
    let mut writes: BTreeMap<&str, Vec<Written>> = BTreeMap::new();
    let mut reads: BTreeMap<&str, Vec<(u64, u64, u64)>> = BTreeMap::new();
    for operation in history {
        match &operation.asked {
            Asked::Write { number, acknowledged } => {
                let ended = acknowledged.then_some(operation.ended);
                judged.acknowledged += usize::from(*acknowledged);
                judged.unanswered += usize::from(!*acknowledged);
                writes.entry(&operation.client).or_default().push((*number, operation.begun, ended));
            }
            Asked::Read { key, number: Some(number) } => {
                judged.reads += 1;
                reads.entry(key).or_default().push((*number, operation.begun, operation.ended));
            }
            Asked::Read { number: None, .. } => {}
        }
    }
    for (key, mut read) in reads {
        let written = writes.get(key).map(Vec::as_slice).unwrap_or_default();
        read.sort_by_key(|(_, begun, _)| *begun);
        // The highest number that any read gave which had ended by then.
        let mut ended: Vec<_> = read.iter().map(|(number, _, ended)| (*ended, *number)).collect();
        ended.sort_unstable();
        let (mut next, mut seen) = (0, 0);
        for (number, begun, end) in read {
            while next < ended.len() && ended[next].0 <= begun {
                seen = seen.max(ended[next].1);
                next += 1;
            }
            let acknowledged = written
                .iter()
                .filter(|(_, _, ended)| ended.is_some_and(|ended| ended <= begun))
                .map(|(n, ..)| *n)
                .max();
            let sent = written.iter().filter(|(_, sent, _)| *sent <= end).map(|(n, ..)| *n).max();
            let least = acknowledged.unwrap_or(0).max(seen);
            ensure!(number >= least, "{key}={number} was read although {least} was acknowledged or read before");
            let most = sent.unwrap_or(0);
            ensure!(number <= most, "{key}={number} was read although only {most} had been sent");
        }
    }
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(number: u64, begun: u64, ended: u64, acknowledged: bool) -> Operation {
        Operation { client: "a".into(), asked: Asked::Write { number, acknowledged }, begun, ended }
    }

    fn read(number: u64, begun: u64, ended: u64) -> Operation {
        Operation { client: "b".into(), asked: Asked::Read { key: "a".into(), number: Some(number) }, begun, ended }
    }

    #[test]
    fn what_was_acknowledged_is_read_and_time_does_not_go_back() {
        let two = [write(1, 0, 10, true), write(2, 20, 30, true)];
        let with = |reads: &[Operation]| linearizable(&[&two[..], reads].concat());
        for fine in [
            vec![read(0, 0, 5), read(1, 5, 25), read(2, 31, 40)],
            vec![read(1, 12, 15), read(1, 21, 29), read(2, 22, 28)],
        ] {
            with(&fine).expect("linearizable");
        }
        for (reads, why) in [
            (vec![read(1, 31, 40)], "an acknowledged write is missing"),
            (vec![read(2, 12, 15)], "it was not sent yet"),
            (vec![read(2, 21, 24), read(1, 25, 28)], "time goes back"),
        ] {
            with(&reads).expect_err(why);
        }
    }

    #[test]
    fn what_was_not_answered_may_be_there_or_not() {
        let history = |number| linearizable(&[write(1, 0, 10, true), write(2, 20, 30, false), read(number, 40, 50)]);
        history(1).expect("it never arrived");
        history(2).expect("it arrived");
        history(3).expect_err("nobody sent it");
    }
}
