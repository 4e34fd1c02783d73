//! Waiting for something that is to happen by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::{Outcome, Trouble};

/// How often is looked.
const PACE: Duration = Duration::from_millis(250);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C ends what is waited for with trouble, so that the lab is still taken down.
pub fn heed_interrupts() {
    std::thread::spawn(|| {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        while runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            eprintln!("interrupted; the lab is being taken down");
            INTERRUPTED.store(true, Ordering::SeqCst);
        }
    });
}

/// Whether somebody pressed Ctrl-C.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Looks until there is an answer; the trouble after `limit` says what was seen last.
///
/// # Errors
/// Nothing came within the limit.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> Outcome<T> {
    let begun = Instant::now();
    loop {
        let last = match look() {
            Ok(answer) => return Ok(answer),
            Err(last) => last,
        };
        if interrupted() {
            return Err(Trouble::new(format!("interrupted while {what}: {last}")));
        }
        if begun.elapsed() > limit {
            return Err(Trouble::new(format!("after {} s, {what}: {last}", limit.as_secs())));
        }
        std::thread::sleep(PACE);
    }
}

/// Tries a step again until it succeeds, or the limit is over.
///
/// # Errors
/// The last trouble.
pub fn eventually<T>(what: &str, limit: Duration, mut step: impl FnMut() -> Outcome<T>) -> Outcome<T> {
    until(what, limit, || step().map_err(|trouble| trouble.0))
}
