//! Compares the simulated API server with a real one.

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use conformance::campaign::{Judge, Options, Report, Verdict, campaign};
use conformance::generate::sequence;
use conformance::real::Real;
use conformance::shrink::shrink;
use conformance::side::Side;
use conformance::simulated::Simulated;
use conformance::{Trouble, scripts, show};

/// Sends the same random requests to the simulated and to a real kube-apiserver, and compares the answers.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many sequences of requests.
    #[arg(long, default_value_t = 2000)]
    sequences: u64,
    /// Another seed gives other sequences.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of the first sequence.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Play only the sequence of this number, and print everything that was said.
    #[arg(long)]
    only: Option<u64>,
    /// How many sequences at a time.
    #[arg(long, default_value_t = 24)]
    together: usize,
    /// How many kinds of differences are shrunk and printed.
    #[arg(long, default_value_t = 3)]
    show: usize,
    /// Play those that somebody wrote, instead of random ones.
    #[arg(long)]
    scripts: bool,
    /// Print everything that was said in these, not shrunk.
    #[arg(long)]
    whole: bool,
    /// Print how many requests there were by resource and verb.
    #[arg(long)]
    table: bool,
    /// What the real server is compared with.
    #[arg(long, value_enum, default_value_t = Against::Simulated)]
    against: Against,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Against {
    /// The simulated server.
    Simulated,
    /// Another real one, which shows whether the comparison itself is right.
    Real,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            eprintln!("{trouble}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool, Trouble> {
    match arguments.against {
        Against::Simulated => compare(&Real::start("real").await?, &Simulated::start().await?, arguments).await,
        Against::Real => {
            let (one, other) = tokio::try_join!(Real::start("real"), Real::start("another"))?;
            compare(&one, &other, arguments).await
        }
    }
}

async fn compare<S: Side>(real: &Real, other: &S, arguments: &Arguments) -> Result<bool, Trouble> {
    let judge = Judge::new(real, other);
    if arguments.scripts {
        let mut well = true;
        for script in scripts::scripts().into_iter().chain(scripts::alone()) {
            let verdict = judge.judge(&script.sequence).await?;
            let say = |what| println!("{}: {what}", script.name);
            match verdict.differences.len() {
                0 if arguments.whole => say(show::everything(&verdict, other.name())),
                0 => say("the same".to_owned()),
                _ => say(show::differing(&verdict, other.name())),
            }
            well &= verdict.differences.is_empty();
        }
        return Ok(well);
    }
    if let Some(number) = arguments.only {
        let verdict = judge.judge(&sequence(arguments.seed, number)).await?;
        println!("{}", show::everything(&verdict, other.name()));
        shrunk(&judge, &verdict, arguments.show, other.name()).await?;
        return Ok(verdict.differences.is_empty());
    }
    let begun = Instant::now();
    let Arguments { seed, first, sequences, together, .. } = *arguments;
    let mut failed: Vec<Verdict> = Vec::new();
    let mut done = 0;
    let report = campaign(&judge, Options { seed, first, sequences, together }, |verdict| {
        done += 1;
        if done % 500 == 0 {
            eprintln!("{done} of {sequences} sequences after {:.0} s", begun.elapsed().as_secs_f32());
        }
        if !verdict.differences.is_empty() && failed.len() < 200 {
            failed.push(verdict.clone());
        }
    })
    .await?;
    let seconds = begun.elapsed().as_secs_f32();
    for verdict in first_of_each(&failed, &report, arguments.show) {
        if arguments.whole {
            println!("sequence {}\n{}", verdict.sequence.number, show::everything(verdict, other.name()));
            continue;
        }
        shrunk(&judge, verdict, 1, other.name()).await?;
    }
    if arguments.table {
        println!("{}", report.table());
    }
    println!("{report}, seed {seed}, {seconds:.0} s");
    Ok(report.failed == 0)
}

/// A sequence for each of the most frequent differences.
fn first_of_each<'a>(failed: &'a [Verdict], report: &Report, most: usize) -> Vec<&'a Verdict> {
    let mut groups: Vec<_> = report.differences.values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.times));
    let mut numbers: Vec<u64> = Vec::new();
    for group in groups {
        if !numbers.contains(&group.sequence) {
            numbers.push(group.sequence);
        }
    }
    let verdict = |number: &u64| failed.iter().find(|verdict| verdict.sequence.number == *number);
    numbers.iter().filter_map(verdict).take(most).collect()
}

async fn shrunk<S: Side>(
    judge: &Judge<'_, Real, S>,
    verdict: &Verdict,
    most: usize,
    other: &str,
) -> Result<(), Trouble> {
    for signature in verdict.signatures().take(most) {
        let small = shrink(judge, &verdict.sequence, &signature).await?;
        println!("sequence {}: {signature}\n{}", verdict.sequence.number, show::differing(&small, other));
    }
    Ok(())
}
