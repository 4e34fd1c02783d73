//! The loop of every add-on: look, do what is missing, wait for a change.

use std::future::Future;
use std::time::Duration;

use futures::FutureExt;
use futures::future::select_all;
use tokio::sync::watch as channel;

/// A pass is made this often even if nothing changed, so that a refused write is tried again.
const RESYNC: Duration = Duration::from_secs(2);
/// Changes seldom come alone.
const SETTLE: Duration = Duration::from_millis(20);

/// Something that compares what is seen with what should be, and acts on the difference.
pub(super) trait Addon: Send + 'static {
    /// Its name, for people.
    fn name(&self) -> &'static str;

    /// What tells that a pass may find something new.
    fn wakers(&self) -> Vec<channel::Receiver<u64>>;

    /// Compares once and does what is missing. Failures are told, and met by the next pass.
    fn pass(&mut self) -> impl Future<Output = ()> + Send;
}

/// Runs an add-on for ever.
pub(super) async fn keep(mut addon: impl Addon) {
    let mut wakers = addon.wakers();
    loop {
        for waker in &mut wakers {
            waker.mark_unchanged();
        }
        addon.pass().await;
        let change = select_all(wakers.iter_mut().map(|waker| waker.changed().boxed()));
        if tokio::time::timeout(RESYNC, change).await.is_ok() {
            tokio::time::sleep(SETTLE).await;
        }
    }
}
