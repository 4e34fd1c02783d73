//! What once went wrong, played again.

use simulation::{
    campaign::{self, Stop},
    play::Options,
    regressions,
};

#[test]
fn what_once_went_wrong_goes_well_now() {
    let plans = regressions::plans().expect("scripts");
    assert!(!plans.is_empty(), "no script is kept: there is nothing to play");
    let tally = campaign::run("regressions", plans.into_iter(), &Options::default(), Stop::AtTheEnd);
    let failed: Vec<_> = tally
        .failures
        .iter()
        .map(|failure| format!("{}\n{}: {}", failure.lines.join("\n"), failure.plan.name, failure.violations[0]))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
