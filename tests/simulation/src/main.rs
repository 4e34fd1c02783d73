//! Runs the simulation.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};
use simulation::{
    campaign::{self, Campaign, Stop, Tally},
    check, entropy, planted,
    play::{Options, play},
    regressions,
    script::{Script, draw},
    shrink::shrink,
    twice,
};

/// The whole controller under deterministic simulation.
#[derive(Debug, Parser)]
#[command(name = "sim", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Checks to leave out, by name, with commas between them: to see that a bug is missed without its check.
    #[arg(long, global = true, value_name = "CHECK,…", value_delimiter = ',')]
    without: Vec<String>,
    /// How much the controller logs onto the tape: error, warn, info, debug or trace.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    log: tracing::Level,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What CI runs: what once went wrong, every systematic campaign, fixed seeds, and 100 of them in two processes each.
    Ci {
        /// How many fixed seeds.
        #[arg(long, default_value_t = 300)]
        seeds: u64,
    },
    /// Random seeds.
    Run {
        /// How many.
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// The first.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// Stop at the first that fails.
        #[arg(long)]
        stop_at_first: bool,
    },
    /// A systematic campaign; all of them if none is named.
    Campaign {
        /// Which.
        which: Vec<Campaign>,
        /// Only say what the runs are called.
        #[arg(long)]
        list: bool,
        /// Only the run of this name.
        #[arg(long, value_name = "RUN")]
        only: Option<String>,
        /// Stop at the first run that fails.
        #[arg(long)]
        stop_at_first: bool,
    },
    /// Plays a scenario of the catalogue again and again, each time with another seed.
    Scenario {
        /// Its name.
        name: String,
        /// How many times.
        #[arg(long, default_value_t = 1)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        first: u64,
    },
    /// Plays one seed and prints what happened.
    Seed {
        /// The seed.
        seed: u64,
        /// Only the violations.
        #[arg(long)]
        quiet: bool,
        /// Play this one first: two runs in one process must not disturb each other.
        #[arg(long, value_name = "SEED")]
        after: Option<u64>,
    },
    /// Plays a script from a file and prints what happened.
    Replay {
        /// The file: JSON, as `shrink` writes it.
        file: PathBuf,
    },
    /// Makes a failing seed, or script, short, and writes what is left.
    Shrink {
        /// The seed, or a file.
        what: String,
        /// Where to.
        #[arg(long, default_value = "failure.json")]
        into: PathBuf,
    },
    /// Prints a hash for each seed.
    #[command(hide = true)]
    Hashes {
        /// The first.
        first: u64,
        /// How many.
        count: u64,
        /// From the last to the first.
        #[arg(long)]
        backwards: bool,
    },
    /// Lists what is checked: the names that `--without` takes, whole or by letter and number.
    Checks,
    /// Plants bugs in Atoll's sources, one at a time, and sees whether they are caught.
    Planted(planted::Args),
    /// Plays what is asked for on the standard input: how `planted` speaks to what it has built.
    #[command(hide = true)]
    Trial,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let options = Options { without: cli.without, log: cli.log };
    if let Some(word) = check::unknown(&options.without).first() {
        return fail(&format!("no check is called {word:?}; `sim checks` lists them"));
    }
    if !entropy::IS_EXACT {
        eprintln!("sim: built otherwise than `cargo sim` does: a seed may leave another trace than elsewhere");
    }
    match cli.command {
        Command::Ci { seeds } => ci(seeds, &options),
        Command::Run { seeds, first, stop_at_first } => {
            let began = Instant::now();
            let tally = campaign::run("seeds", campaign::seeds(first, seeds), &options, stop(stop_at_first));
            conclude(&tally, began, &options)
        }
        Command::Campaign { which, list, only, stop_at_first } => {
            let began = Instant::now();
            let which = if which.is_empty() { Campaign::ALL.to_vec() } else { which };
            if list {
                for plan in which.iter().flat_map(|campaign| campaign::plans(*campaign, &options)) {
                    println!("{}", plan.name);
                }
                return ExitCode::SUCCESS;
            }
            let tally = systematic(&which, only.as_deref(), &options, stop(stop_at_first));
            match only.filter(|_| tally.runs == 0) {
                Some(only) => fail(&format!("no run is called {only:?}; `sim campaign --list` lists them")),
                None => conclude(&tally, began, &options),
            }
        }
        Command::Scenario { name, seeds, first } => scenarios(&name, first..first + seeds),
        Command::Seed { seed, quiet, after } => {
            if let Some(after) = after {
                play(&draw(after), &options);
            }
            show(&draw(seed), &options, quiet)
        }
        Command::Replay { file } => match Script::read(&file) {
            Ok(script) => show(&script, &options, false),
            Err(why) => fail(&why),
        },
        Command::Shrink { what, into } => shorten(&what, &into, &options),
        Command::Hashes { first, count, backwards } => {
            let mut seeds: Vec<_> = (first..first + count).collect();
            if backwards {
                seeds.reverse();
            }
            for seed in seeds {
                println!("{seed} {:016x}", play(&draw(seed), &options).hash);
            }
            ExitCode::SUCCESS
        }
        Command::Checks => {
            for name in check::names() {
                println!("{name}");
            }
            for name in check::AT_THE_END {
                println!("{name} (at the end of a run)");
            }
            ExitCode::SUCCESS
        }
        Command::Planted(args) => planted::main(&args),
        Command::Trial => planted::answer(),
    }
}

fn stop(at_first: bool) -> Stop {
    if at_first { Stop::AtFirst } else { Stop::AtTheEnd }
}

fn systematic(which: &[Campaign], only: Option<&str>, options: &Options, stop: Stop) -> Tally {
    let mut tally = Tally::default();
    for campaign in which {
        let began = Instant::now();
        let mut plans = campaign::plans(*campaign, options);
        plans.retain(|plan| only.is_none_or(|only| plan.name == only));
        let count = plans.len();
        let ran = campaign::run(campaign.title(), plans.into_iter(), options, stop);
        println!("{}: {count} runs, {} failed, {} s", campaign.title(), ran.failures.len(), began.elapsed().as_secs());
        tally.add(ran);
    }
    tally
}

fn ci(seeds: u64, options: &Options) -> ExitCode {
    let began = Instant::now();
    let kept = match regressions::plans() {
        Ok(kept) => kept,
        Err(why) => return fail(&why),
    };
    let mut tally = campaign::run("regressions", kept.into_iter(), options, Stop::AtTheEnd);
    tally.add(systematic(&Campaign::ALL, None, options, Stop::AtTheEnd));
    tally.add(campaign::run("seeds", campaign::seeds(0, seeds), options, Stop::AtTheEnd));
    let same = twice::compare(0, 100);
    match &same {
        Ok(count) => println!("{count} seeds gave the same trace in two processes"),
        Err(why) => println!("FAILED: {why}"),
    }
    let ended = conclude(&tally, began, options);
    if same.is_ok() { ended } else { ExitCode::FAILURE }
}

fn conclude(tally: &Tally, began: Instant, options: &Options) -> ExitCode {
    if let Some(failure) = tally.failures.first() {
        println!("\n{} failed. What happened last:", failure.plan.name);
        for line in failure.lines.iter().rev().take(60).rev() {
            println!("{line}");
        }
        for violation in &failure.violations {
            println!("VIOLATION {violation}");
        }
        let check = failure.violations[0].check;
        let (short, tries) = shrink(&failure.plan.script, check, options);
        println!("\nshrunk in {tries} tries to {} steps; `sim replay FILE` plays it again:", short.steps.len());
        println!("{}", serde_json::to_string(&short).unwrap_or_default());
    }
    println!("\n{}", tally.summary(began.elapsed()));
    if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays a scenario with each of these seeds, on both cores of a machine.
fn scenarios(name: &str, seeds: std::ops::Range<u64>) -> ExitCode {
    let (began, count) = (Instant::now(), seeds.end - seeds.start);
    let next = std::sync::Mutex::new(seeds);
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let failed: u64 = std::thread::scope(|scope| {
        let play_some = || {
            let mut failed = 0;
            loop {
                let seed = next.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
                let Some(seed) = seed else { return failed };
                if let Err(words) = simulation::scenario::play(name, seed) {
                    failed += 1;
                    println!("seed {seed}:\n{words}\n");
                }
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(play_some)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(1)).sum()
    });
    println!("{name}: {count} seeds in {} s, {failed} failed", began.elapsed().as_secs());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(script: &Script, options: &Options, quiet: bool) -> ExitCode {
    let outcome = play(script, options);
    if !quiet {
        println!("{}", serde_json::to_string_pretty(script).unwrap_or_default());
        for line in &outcome.lines {
            println!("{line}");
        }
    }
    for violation in &outcome.violations {
        println!("VIOLATION {violation}");
    }
    let verdict = if outcome.violations.is_empty() { "passed" } else { "failed" };
    println!("{verdict}; hash {:016x}; {:?}", outcome.hash, outcome.figures);
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn shorten(what: &str, into: &std::path::Path, options: &Options) -> ExitCode {
    let script = match what.parse() {
        Ok(seed) => Ok(draw(seed)),
        Err(_) => Script::read(std::path::Path::new(what)),
    };
    let script = match script {
        Ok(script) => script,
        Err(why) => return fail(&why),
    };
    let Some(violation) = play(&script, options).violations.into_iter().next() else {
        return fail(&format!("{what} violates no check: there is nothing to shrink"));
    };
    let (short, tries) = shrink(&script, violation.check, options);
    println!("{violation}\n{} steps of {} are left after {tries} tries", short.steps.len(), script.steps.len());
    let text = serde_json::to_string_pretty(&short).unwrap_or_default();
    match std::fs::write(into, text) {
        Ok(()) => {
            println!("written to {}; `sim replay {}` plays it", into.display(), into.display());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("{}: {error}", into.display())),
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("sim: {why}");
    ExitCode::FAILURE
}
