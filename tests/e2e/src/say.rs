//! What a person is told while things go on, with the time since the beginning.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

static BEGUN: OnceLock<Instant> = OnceLock::new();

/// The time since the first call.
pub fn elapsed() -> Duration {
    BEGUN.get_or_init(Instant::now).elapsed()
}

/// Says a line.
pub fn say(text: impl std::fmt::Display) {
    eprintln!("{:6.1} s  {text}", elapsed().as_secs_f32());
}

/// A time as people read it.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f32())
}
