//! Plays scenarios, a few side by side, each on servers of its own.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::Mutex,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use simulation::{
    lock::{into_inner, lock},
    scenario::{self, Entry, Stages},
    stage::Stage as _,
};

use crate::stage::Real;

/// How long a scenario may take, without its servers' start; and a pair of specifications, where it goes through many.
const LIMIT: Duration = Duration::from_mins(8);
const PAIR: Duration = Duration::from_mins(1);
/// How long servers may take to start. What they need may have to be built first.
const START: Duration = Duration::from_mins(15);
/// How many of the last lines a scenario that fails shows.
const SHOWN: usize = 150;
/// How long nothing is written when all has settled (S14). Details of a status may come five seconds late.
const CALM: Duration = Duration::from_secs(10);
/// How long it may take to settle.
const SETTLE: Duration = Duration::from_secs(90);
/// The futures of scenarios are large in a debug build.
const STACK: usize = 16 << 20;

/// How a scenario went.
pub struct Played {
    /// Which.
    pub entry: Entry,
    /// What it measured.
    pub measured: Vec<String>,
    /// How long it took, with its servers' start.
    pub took: Duration,
    /// What was wrong, and what happened last.
    pub outcome: Result<(), String>,
}

/// The scenarios that real API servers are for.
pub fn playable() -> impl Iterator<Item = &'static Entry> {
    scenario::ALL.iter().filter(|entry| entry.stages == Stages::Both)
}

/// Plays these, so many side by side, and tells of each as it ends.
pub fn play_all(entries: Vec<Entry>, side_by_side: usize, told: impl Fn(&Played) + Sync) -> Vec<Played> {
    let (waiting, done) = (Mutex::new(VecDeque::from(entries)), Mutex::new(Vec::new()));
    let next = || lock(&waiting).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..side_by_side.max(1) {
            let work = || {
                while let Some(entry) = next() {
                    let played = play(entry);
                    told(&played);
                    lock(&done).push(played);
                }
            };
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).expect("a thread");
        }
    });
    into_inner(done)
}

/// Plays one scenario on servers of its own.
pub fn play(entry: Entry) -> Played {
    let begun = Instant::now();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).thread_stack_size(STACK).enable_all().build().expect("a runtime");
    let mut measured = Vec::new();
    let outcome = runtime.block_on(on_servers(entry, &mut measured));
    runtime.shutdown_timeout(Duration::from_secs(5));
    Played { entry, measured, took: begun.elapsed(), outcome }
}

async fn on_servers(entry: Entry, measured: &mut Vec<String>) -> Result<(), String> {
    let stage = tokio::time::timeout(START, Real::start(u64::from(entry.row))).await;
    let stage = match stage {
        Ok(Ok(stage)) => stage,
        Ok(Err(error)) => return Err(format!("no servers: {error}")),
        Err(_) => return Err(format!("no servers within {START:?}")),
    };
    let mut both = scenario::both::<Real>().into_iter();
    let Some(scenario) = both.find(|scenario| scenario.name == entry.name) else {
        return Err(format!("{} is not for real API servers", entry.name));
    };
    let played = async {
        (scenario.play)(&stage).await;
        quiet(&stage).await;
    };
    let pairs = std::env::var("ATOLL_PAIRS").ok().and_then(|pairs| pairs.parse().ok()).unwrap_or(0);
    let limit = LIMIT + PAIR * pairs;
    let ended = tokio::time::timeout(limit, AssertUnwindSafe(played).catch_unwind()).await;
    *measured = stage.measurements();
    let mut wrong: Vec<String> = stage.tape.violations().iter().map(ToString::to_string).collect();
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => wrong.push(scenario::words(&*panic)),
        Err(_) => wrong.push(format!("it does not end within {limit:?}")),
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let lines = stage.tape.lines();
    let last = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
    let end = tokio::time::timeout(Duration::from_secs(10), stage.describe()).await;
    let end = end.unwrap_or_else(|_| "nobody answers in the end".to_owned());
    Err(format!("{last}\n\n{end}\n\n{} fails:\n{}", entry.name, wrong.join("\n")))
}

/// Whatever state a scenario ends in: soon nobody writes any more (S14).
async fn quiet(stage: &Real) {
    let begun = Instant::now();
    let (mut steps, mut since) = (stage.lives.steps().made(), Instant::now());
    while since.elapsed() < CALM {
        assert!(begun.elapsed() < SETTLE, "S14: the controller goes on writing, although nothing happens");
        stage.sleep(Duration::from_millis(200)).await;
        let now = stage.lives.steps().made();
        if now != steps {
            (steps, since) = (now, Instant::now());
        }
    }
    assert_eq!(stage.leak(), None, "S13: the metrics show a credential");
}
