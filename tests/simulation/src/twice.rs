//! The same seeds in two processes must leave the same traces.

use std::process::{Child, Command, Stdio};

/// Plays seeds in two processes, forwards in one and backwards in the other, and compares the hashes of their tapes: what
/// a process has played before must not matter either.
///
/// # Errors
/// The first seed whose traces differ, or why there was nothing to compare.
pub fn compare(first: u64, count: u64) -> Result<u64, String> {
    let (forwards, backwards) = (start(first, count, &[])?, start(first, count, &["--backwards"])?);
    let (one, mut other) = (finish(forwards, count)?, finish(backwards, count)?);
    other.reverse();
    for (one, other) in one.iter().zip(&other) {
        if one != other {
            return Err(format!("a seed and its trace are {one:?} in one process and {other:?} in another"));
        }
    }
    Ok(count)
}

fn start(first: u64, count: u64, more: &[&str]) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    let mut command = Command::new(program);
    command.args(["hashes", &first.to_string(), &count.to_string()]).args(more);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    child.map_err(|error| format!("another process cannot be started: {error}"))
}

/// A line of each seed, with its hash.
fn finish(child: Child, count: u64) -> Result<Vec<String>, String> {
    let output = child.wait_with_output().map_err(|error| format!("another process says nothing: {error}"))?;
    let lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    if u64::try_from(lines.len()) == Ok(count) {
        Ok(lines)
    } else {
        Err(format!("another process played {} seeds of {count}", lines.len()))
    }
}
