//! Counts steps until a life ends.

use std::sync::Mutex;

use crate::lock::lock;

/// So many steps are left, if anybody counts.
#[derive(Debug, Default)]
pub struct Countdown(Mutex<Option<u64>>);

impl Countdown {
    /// Counts from now on; zero ends the count.
    pub fn begin(&self, steps: u64) {
        *lock(&self.0) = (steps > 0).then_some(steps);
    }

    /// Counts one step. Whether it was the last, of those that somebody counts.
    pub fn is_over(&self) -> bool {
        let mut left = lock(&self.0);
        let Some(more) = left.as_mut() else { return false };
        *more -= 1;
        let last = *more == 0;
        if last {
            *left = None;
        }
        last
    }
}
