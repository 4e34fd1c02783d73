//! Plays the catalogue's scenarios on real API servers.
//!
//! `cargo test -p atoll-real-apiservers -- NAME` plays those whose names contain NAME; without one, those that CI plays,
//! or all of them if `ATOLL_REAL=full`. `--list` lists them. `--test-threads=N` says how many run side by side; each
//! needs about 1.2 GiB.

use std::{process::ExitCode, time::Instant};

use real_apiservers::run::{Played, play_all, playable};
use simulation::scenario::Entry;

/// What CI plays: one of each kind of trouble that the simulation can only imitate.
const CI: &[&str] = &[
    "a_worker_whose_api_server_is_dead_stops_nobody_else",
    "history_that_is_forgotten_is_listed_again_and_nothing_is_missed",
    "a_start_waits_for_no_worker",
    "credentials_that_lead_to_another_cluster_are_not_used",
    "a_registration_made_anew_for_another_cluster_shows_nothing_of_the_former_one",
    "a_worker_restored_from_a_backup_is_seen_as_it_is_now",
    "a_cluster_rebuilt_empty_is_not_taken_for_the_former_one",
    "a_secret_that_is_gone_or_empty_cuts_nobody_off",
    "the_master_may_be_a_worker_as_well",
    "another_replica_takes_over_and_nothing_is_done_twice",
    "a_master_restored_under_a_running_controller_is_believed_as_it_is_now",
    "a_volume_made_anew_by_hand_between_two_looks_is_not_taken_for_the_former_one",
];

/// How many run side by side, unless somebody says otherwise.
const SIDE_BY_SIDE: usize = 4;

fn main() -> ExitCode {
    let (mut names, mut side_by_side, mut list) = (Vec::new(), SIDE_BY_SIDE, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let threads = match argument.strip_prefix("--test-threads") {
            Some("") => arguments.next(),
            Some(number) => number.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        if let Some(number) = threads {
            side_by_side = number.parse().unwrap_or(SIDE_BY_SIDE);
        } else if argument == "--list" {
            list = true;
        } else if !argument.starts_with('-') {
            names.push(argument);
        }
    }
    for name in CI {
        assert!(playable().any(|entry| entry.name == *name), "there is no scenario {name} for real API servers");
    }
    let full = std::env::var("ATOLL_REAL").is_ok_and(|value| value == "full");
    let chosen = |entry: &&Entry| {
        if names.is_empty() {
            full || list || CI.contains(&entry.name)
        } else {
            names.iter().any(|name| entry.name.contains(name))
        }
    };
    let entries: Vec<Entry> = playable().filter(chosen).copied().collect();
    if list {
        for entry in &entries {
            println!("{}: test", entry.name);
        }
        return ExitCode::SUCCESS;
    }
    println!("\nplays {} scenarios on real API servers, {side_by_side} side by side", entries.len());
    let begun = Instant::now();
    let played = play_all(entries, side_by_side, tell);
    let failed: Vec<&str> = played.iter().filter(|one| one.outcome.is_err()).map(|one| one.entry.name).collect();
    let passed = played.len() - failed.len();
    println!("\n{passed} passed, {} failed, in {:.0} s", failed.len(), begun.elapsed().as_secs_f64());
    for name in &failed {
        println!("    {name}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(played: &Played) {
    let (how, seconds, entry) = (&played.outcome, played.took.as_secs_f64(), played.entry);
    let word = if how.is_ok() { "ok  " } else { "FAIL" };
    if let Err(why) = how {
        println!("{why}");
    }
    println!("{word} {seconds:>6.1} s  row {:>2}  {}", entry.row, entry.name);
    for words in &played.measured {
        println!("                       {words}");
    }
}
