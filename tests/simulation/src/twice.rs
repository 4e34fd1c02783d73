//! The same seeds in two processes must leave the same trace.

use std::{
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::campaign::jobs;

/// Plays each seed in two processes of its own, and compares the hashes of their tapes.
///
/// Each is the first that its process plays: tokio seeds the luck of `select!` from a counter of the whole process, so
/// that a seed which is played after others may take another turn there.
///
/// # Errors
/// The first seed whose two traces differ, or why no other process could be started.
pub fn compare(first: u64, count: u64) -> Result<u64, String> {
    let (next, wrong) = (AtomicU64::new(first), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..jobs() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let verdict = match (hash(seed), hash(seed)) {
                        (Ok(one), Ok(other)) if one == other => continue,
                        (Ok(one), Ok(other)) => {
                            format!("seed {seed} left trace {one} in one process and {other} in another")
                        }
                        (Err(why), _) | (_, Err(why)) => why,
                    };
                    wrong.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(verdict);
                    return;
                }
            });
        }
    });
    match wrong.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => Ok(count),
        Some(why) => Err(why),
    }
}

/// The hash of a seed's tape, by a process of its own.
fn hash(seed: u64) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    let output = Command::new(program).args(["hashes", &seed.to_string(), "1"]).stderr(Stdio::null()).output();
    let output = output.map_err(|error| format!("another process cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().split_once(' ') {
        Some((played, hash)) if played == seed.to_string() => Ok(hash.to_owned()),
        _ => Err(format!("{text:?} is no hash of seed {seed}")),
    }
}
