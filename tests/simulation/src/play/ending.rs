//! How a run ends: settled, silent, and nothing lost.

use std::time::Duration;

use crate::{
    check::{self, liveness},
    stage::{people::PATIENCE, simulated::Simulated},
};

/// How long nothing may happen (S14).
const SILENCE: Duration = Duration::from_mins(10);
/// How long a moment without writes must be before the silence begins.
const CALM: Duration = Duration::from_secs(30);

/// Waits until everything is well, then watches that it stays so and that nobody writes.
pub(super) async fn look(stage: &Simulated) {
    let tape = &stage.tape;
    let (mut waited, mut calm, mut steps) = (Duration::ZERO, Duration::ZERO, tape.steps());
    let pause = Duration::from_secs(1);
    loop {
        tokio::time::sleep(pause).await;
        waited += pause;
        let well = liveness::settled(&stage.truth);
        let writes = tape.steps();
        calm = if well.is_ok() && writes == steps { calm + pause } else { Duration::ZERO };
        steps = writes;
        if calm >= CALM {
            break;
        }
        if waited > PATIENCE + CALM {
            let words = well.err().unwrap_or_else(|| "the controller goes on writing".to_owned());
            tape.violate("L1 settles", format!("five minutes after the last trouble: {words}"));
            return;
        }
    }
    tokio::time::sleep(SILENCE).await;
    let more = tape.steps() - steps;
    if more > 0 {
        tape.violate("S14 quiet", format!("{more} writes in ten minutes in which nothing happened"));
    }
    if let Err(words) = liveness::settled(&stage.truth) {
        tape.violate("L1 stays", format!("it was well, and is not any more: {words}"));
    }
    keeps_and_hides(stage);
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
