//! How long an asker may wait.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::silence::Silence;

/// A moment by which there must be an outcome, and how long that was from the start, for messages.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
    within: Duration,
}

impl Deadline {
    /// So long from now.
    #[must_use]
    pub fn after(within: Duration) -> Self {
        Self { at: Instant::now() + within, within }
    }

    /// Waits for a future, but not beyond the deadline.
    ///
    /// # Errors
    /// [`Silence::Late`] if it takes longer.
    pub async fn bound<T>(self, future: impl Future<Output = T>) -> Result<T, Silence> {
        timeout_at(self.at, future).await.map_err(|_| Silence::Late { within: self.within })
    }
}
