//! `fleet`: what a registered worker costs. Memory, sockets and the time of a start, with more and more workers, of
//! `atoll run` as it is shipped and of kube's stock client doing the same job.

mod servers;
mod stock;
mod subject;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};

use servers::Fleet;
use subject::{Cost, Subject};

/// How long a process is left alone before its memory is read: all that belongs to the start is over then.
const SETTLE: Duration = Duration::from_secs(15);

/// Measures what workers cost.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// With how many workers.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100,300")]
    workers: Vec<usize>,
    /// How many pods, volume claims, services and jobs of ours each worker holds.
    #[arg(long, default_value_t = 5)]
    objects: usize,
    /// The operator, as it is shipped.
    #[arg(long, default_value = "target/release/atoll")]
    atoll: PathBuf,
}

#[derive(Subcommand)]
enum Part {
    /// The stock client's side: a process of its own, which this program starts.
    #[command(hide = true)]
    Stock(stock::Args),
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    match args.part {
        Some(Part::Stock(args)) => stock::run(args).await,
        None => measure(&args).await,
    }
}

async fn measure(args: &Args) {
    assert!(args.atoll.exists(), "{} is missing: cargo build --release -p atoll", args.atoll.display());
    println!(
        "Each worker is a Kubernetes API server of its own, in memory (tests/apiserver), behind its own TLS port of\n\
         loopback that speaks HTTP/2 and HTTP/1.1; it holds {} pods, claims, services and jobs of ours each.\n\
         atoll: {}, until the master shows all workers Ready. stock: kube's default client with four `watcher`s\n\
         and their reflectors a worker, the same selector, until all have listed. Read {} s after that.\n",
        args.objects,
        args.atoll.display(),
        SETTLE.as_secs()
    );
    println!("| client | workers | ready after | sockets | RSS | of it not file | a further worker, not file |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for subject in [Subject::Atoll(args.atoll.clone()), Subject::Stock] {
        let mut first = None;
        for workers in &args.workers {
            let fleet = Fleet::start(*workers, args.objects).await;
            let cost = subject.run(&fleet, SETTLE).await;
            let (least, base) = *first.get_or_insert((*workers, cost));
            println!("{}", row(subject.name(), *workers, cost, least, base));
        }
    }
}

fn row(name: &str, workers: usize, cost: Cost, least: usize, base: Cost) -> String {
    let mib = |kib: u64| format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024);
    let more = u64::try_from(workers - least).unwrap_or(u64::MAX);
    let further = match cost.private.saturating_sub(base.private).checked_div(more) {
        Some(kib) => format!("{kib} KiB"),
        None => String::new(),
    };
    format!(
        "| {name} | {workers} | {}.{} s | {} | {} | {} | {further} |",
        cost.ready.as_secs(),
        cost.ready.subsec_millis() / 100,
        cost.sockets,
        mib(cost.resident),
        mib(cost.private),
    )
}
