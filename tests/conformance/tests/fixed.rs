//! A part of the comparison that is always the same: the simulated API server answers as a real one.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::time::Instant;

use conformance::campaign::{Judge, Options, campaign};
use conformance::real::Real;
use conformance::scripts;
use conformance::show;
use conformance::simulated::Simulated;

/// The sequences of seed 1 that are played; about a minute on two cores that do nothing else.
const SEQUENCES: u64 = 2000;
/// How many that differ are told whole.
const TOLD: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_server_answers_as_a_real_one() {
    let (real, simulated) = tokio::join!(Real::start("real"), Simulated::start());
    let (real, simulated) = (real.unwrap(), simulated.unwrap());
    let judge = Judge::new(&real, &simulated);
    let begun = Instant::now();
    let options = Options { seed: 1, first: 0, sequences: SEQUENCES, together: 24 };
    let mut failed = Vec::new();
    let random = campaign(&judge, options, |verdict| {
        if !verdict.differences.is_empty() {
            let words = show::differing(verdict, "simulated");
            failed.push(format!("sequence {} of seed 1:\n{words}", verdict.sequence.number));
        }
    });
    let written = futures::future::join_all(scripts::scripts().into_iter().map(async |script| {
        let verdict = judge.judge(&script.sequence).await.unwrap();
        let words = show::differing(&verdict, "simulated");
        (!verdict.differences.is_empty()).then(|| format!("{}:\n{words}", script.name))
    }));
    let (report, written) = tokio::join!(random, written);
    failed.extend(written.into_iter().flatten());
    for script in scripts::alone() {
        let verdict = judge.judge(&script.sequence).await.unwrap();
        if !verdict.differences.is_empty() {
            failed.push(format!("{}:\n{}", script.name, show::differing(&verdict, "simulated")));
        }
    }
    // What a test prints is kept from who runs it as long as it passes; the figures are for everybody.
    let (report, seconds) = (report.unwrap(), begun.elapsed().as_secs());
    writeln!(std::io::stderr(), "\n{report}, after {seconds} s").unwrap();
    let told: Vec<_> = failed.iter().take(TOLD).map(String::as_str).collect();
    assert!(failed.is_empty(), "{} differ; among them:\n{}", failed.len(), told.join("\n"));
}
