//! How a run ends: settled, silent, and nothing lost.

use std::time::Duration;

use crate::{
    check::{self, liveness},
    stage::{people::PATIENCE, simulated::Simulated},
};

/// How long nothing may happen (S14).
const SILENCE: Duration = Duration::from_mins(10);
/// How long a moment without writes must be before the silence begins: longer than it takes to follow a process that has
/// died, whose Lease ends first, and to reach all workers.
const CALM: Duration = Duration::from_secs(45);

/// The same where something is refused for good: it is tried again once a minute at last, and what members say of
/// themselves is asked anew on that occasion.
const CALM_REFUSED: Duration = Duration::from_secs(150);

/// Waits until everything is well, then watches that it stays so and that nobody writes.
pub(super) async fn look(stage: &Simulated) {
    let well = || liveness::settled(&stage.truth);
    if let Err(words) = calm(stage, PATIENCE + CALM_REFUSED, well).await {
        stage.tape.violate("L1 settles", format!("five minutes after the last trouble: {words}"));
        return;
    }
    silence(stage).await;
    if let Err(words) = well() {
        stage.tape.violate("L1 stays", format!("it was well, and is not any more: {words}"));
    }
    keeps_and_hides(stage);
}

/// Waits until for a moment nothing is written and everything is well. The error says what it is that lasts too long.
pub(crate) async fn calm(
    stage: &Simulated,
    patience: Duration,
    well: impl Fn() -> Result<(), String>,
) -> Result<(), String> {
    let (mut waited, mut calm, mut steps) = (Duration::ZERO, Duration::ZERO, stage.tape.steps());
    let pause = Duration::from_secs(1);
    let enough = || if liveness::is_anything_refused(&stage.truth) { CALM_REFUSED } else { CALM };
    while calm < enough() {
        tokio::time::sleep(pause).await;
        waited += pause;
        let (well, now) = (well(), stage.tape.steps());
        calm = if well.is_ok() && now == steps { calm + pause } else { Duration::ZERO };
        steps = now;
        if calm < enough() && waited > patience {
            return Err(well.err().unwrap_or_else(|| "the controller goes on writing".to_owned()));
        }
    }
    Ok(())
}

/// Nobody writes where nothing happens (S14). Where a container crashes again and again, that happens, and is told.
pub(crate) async fn silence(stage: &Simulated) {
    if liveness::does_any_crash(&stage.truth) {
        return;
    }
    let steps = stage.tape.steps();
    tokio::time::sleep(SILENCE).await;
    let more = stage.tape.steps() - steps;
    // Of a database that waits, members are asked again now and then: a shorter way to one of them is told when it is found.
    if more > liveness::how_many_wait(&stage.truth) {
        stage.tape.violate("S14 quiet", format!("{more} writes in ten minutes in which nothing happened"));
    }
}

/// However a run ends: nothing is lost that databases have acknowledged (D1), and nothing secret got out (S13).
pub(crate) fn keeps_and_hides(stage: &Simulated) {
    for words in liveness::durable(&stage.truth, &stage.tape.acknowledged()) {
        stage.tape.violate("D1 durability", words);
    }
    if let Some(canary) = check::leak(&stage.lives.metrics(), &stage.truth) {
        stage.tape.violate("S13 secrecy", format!("the metrics show {canary}"));
    }
}
