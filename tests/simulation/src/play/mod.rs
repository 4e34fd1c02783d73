//! Plays a script in virtual time, and looks at how it ends: everything well again within five minutes of the last
//! trouble, then ten minutes of silence (L1, S14), and every acknowledged write still there.

mod act;
pub(crate) mod clients;
pub(crate) mod ending;
mod registrations;

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;

use crate::{
    check::{self, Violation},
    entropy,
    lives::{Apart, Replica},
    script::{Act, Script},
    stage::{
        Stage,
        people::People,
        simulated::{Settings, Simulated},
    },
    tape::Figures,
};

/// How a script is played.
#[derive(Clone, Debug)]
pub struct Options {
    /// Checks that are switched off.
    pub without: Vec<String>,
    /// How much the controller logs onto the tape.
    pub log: tracing::Level,
}

impl Default for Options {
    fn default() -> Self {
        Self { without: Vec::new(), log: tracing::Level::INFO }
    }
}

/// What came of a script.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was violated, in order.
    pub violations: Vec<Violation>,
    /// The hash of all that happened.
    pub hash: u64,
    /// What it adds up to.
    pub figures: Figures,
    /// When the controller made its steps (writes but leases and events), in milliseconds.
    pub steps: Vec<u64>,
    /// When it deleted something, in milliseconds.
    pub deletes: Vec<u64>,
    /// What happened last.
    pub lines: Vec<String>,
    /// Whether it was rich enough to count as a seed (DECISIONS 21).
    pub counts: bool,
}

/// Plays a script to its end.
pub fn play(script: &Script, options: &Options) -> Outcome {
    entropy::simulate(script.seed, async || {
        let without: Vec<&str> = options.without.iter().map(String::as_str).collect();
        let stage = Simulated::new(Settings {
            seed: script.seed,
            workers: script.workers,
            network: script.network,
            checks: check::all_but(&without),
            log: options.log,
            apart: apart(script),
        });
        let work = run(&stage, script);
        // Virtual time costs nothing, but a run that never ends would.
        if tokio::time::timeout(Duration::from_hours(3), work).await.is_err() {
            stage.tape.violate("L0 end", "the run did not end within three virtual hours".to_owned());
        }
        outcome(&stage, script, &without)
    })
}

/// Only who is paused needs to be a process of its own.
fn apart(script: &Script) -> Apart {
    if script.steps.iter().any(|step| step.act == Act::Suspend) { Apart::Yes } else { Apart::No }
}

async fn run(stage: &Simulated, script: &Script) {
    stage.start(Replica(0)).await;
    for site in stage.workers() {
        stage.register(&site).await;
    }
    for base in &script.databases {
        act::create(stage, base).await;
    }
    let clients = clients::start(stage);
    join_all(script.steps.iter().map(|step| act::perform(stage, step))).await;
    stage.weather.clear();
    ending::look(stage).await;
    drop(clients);
}

fn outcome(stage: &Simulated, script: &Script, without: &[&str]) -> Outcome {
    let figures = stage.tape.figures();
    let kinds: BTreeSet<_> = script.steps.iter().map(|step| step.act.kind()).collect();
    let (steps, deletes) = stage.tape.moments();
    let off = |violation: &Violation| check::is_named(violation.check, without);
    Outcome {
        violations: stage.tape.violations().into_iter().filter(|violation| !off(violation)).collect(),
        hash: stage.tape.hash(),
        counts: script.workers >= 3
            && script.databases.len() >= 2
            && figures.requests >= 500
            && script.steps.len() >= 5
            && kinds.len() >= 3,
        figures,
        steps,
        deletes,
        lines: stage.tape.lines(),
    }
}
