//! The same seeds in two processes must leave the same trace.

use std::process::Command;

use crate::{
    campaign::jobs,
    play::{Options, play},
    script::draw,
};

/// Plays seeds here and in other processes, and compares the hashes of their tapes.
///
/// # Errors
/// The first seed whose two traces differ, or why no other process could be started.
pub fn compare(first: u64, count: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    let share = count.div_ceil(jobs() as u64);
    let children: Vec<_> = (0..jobs() as u64)
        .map(|part| {
            let from = first + part * share;
            let many = share.min((first + count).saturating_sub(from));
            let mut command = Command::new(&program);
            command.args(["hashes", &from.to_string(), &many.to_string()]).stdout(std::process::Stdio::piped());
            command.spawn().map_err(|error| format!("another process cannot be started: {error}"))
        })
        .collect::<Result<_, _>>()?;
    let mut compared = 0;
    for child in children {
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let (seed, there) = line.split_once(' ').ok_or_else(|| format!("{line:?} is no hash"))?;
            let seed: u64 = seed.parse().map_err(|_| format!("{seed:?} is no seed"))?;
            // Those of the campaign were played after others, in another order, in this process.
            let here = format!("{:016x}", play(&draw(seed), &Options::default()).hash);
            if here != there {
                return Err(format!("seed {seed} left trace {here} in one process and {there} in another"));
            }
            compared += 1;
        }
    }
    if compared == count { Ok(compared) } else { Err(format!("only {compared} of {count} seeds were compared")) }
}
