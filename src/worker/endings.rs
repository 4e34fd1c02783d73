//! When the credentials of each worker end, and what has been said of it. Pure: the time comes from outside.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::expiry::Expiry;
use crate::{
    dialect::k8scluster::expiry::{Ending, Stage},
    plan::name::WorkerName,
};

/// The longest time without a look at the clock: it may have been set, or the machine may have slept.
const LOOK: Duration = Duration::from_hours(1);

/// The ends that are known. A kubeconfig that is unreadable now says nothing; what was known before stays, because what
/// it says is still in use.
#[derive(Clone, Debug, Default)]
pub struct Endings(BTreeMap<WorkerName, Option<Known>>);

/// What is known of the end of a worker's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// They have not been read since this process began: what stands in the status, stands.
    Unread,
    /// They do not say when they end.
    Unsaid,
    /// They end.
    Said(Ending),
}

#[derive(Clone, Copy, Debug)]
struct Known {
    expiry: Expiry,
    stage: Stage,
}

impl Endings {
    /// A worker's credentials were read; `None`: they do not say when they end.
    pub fn know(&mut self, worker: &WorkerName, expiry: Option<Expiry>, now: Timestamp) {
        let known = expiry.map(|expiry| Known { expiry, stage: expiry.stage(now) });
        self.0.insert(worker.clone(), known);
    }

    /// The worker is registered no more.
    pub fn forget(&mut self, worker: &WorkerName) {
        self.0.remove(worker);
    }

    /// What is known of a worker's credentials.
    #[must_use]
    pub fn of(&self, worker: &WorkerName, now: Timestamp) -> End {
        match self.0.get(worker) {
            None => End::Unread,
            Some(None) => End::Unsaid,
            Some(Some(known)) => End::Said(known.expiry.ending(now)),
        }
    }

    /// The workers for which there is something new to tell. Each is named once.
    pub fn turned(&mut self, now: Timestamp) -> Vec<WorkerName> {
        let mut turned = Vec::new();
        for (worker, known) in &mut self.0 {
            if let Some(known) = known.as_mut()
                && known.stage != known.expiry.stage(now)
            {
                known.stage = known.expiry.stage(now);
                turned.push(worker.clone());
            }
        }
        turned
    }

    /// How long to wait before there can be something new to tell.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Duration> {
        let times = self.0.values().flatten().filter_map(|known| known.expiry.next(now));
        let wait = times.min()?.duration_since(now);
        Some(Duration::try_from(wait).unwrap_or(LOOK).min(LOOK))
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;
    use crate::worker::{expiry, testing::credentials_of_token};

    /// Lives for an hour.
    fn hour() -> Option<Expiry> {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"iat":1767225600,"exp":1767229200}"#);
        expiry::first(&credentials_of_token(&format!("e30.{claims}.sig")))
    }

    #[test]
    fn each_turn_is_told_once_and_waited_for_exactly() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let (mut endings, worker) = (Endings::default(), WorkerName::from("k8s-1"));
        assert_eq!(
            (endings.next(at("2026-01-01T00:00:00Z")), endings.of(&worker, Timestamp::MIN)),
            (None, End::Unread)
        );
        endings.know(&worker, None, at("2026-01-01T00:00:00Z"));
        assert_eq!(
            (endings.next(at("2026-01-01T00:00:00Z")), endings.of(&worker, Timestamp::MIN)),
            (None, End::Unsaid)
        );
        endings.know(&worker, hour(), at("2026-01-01T00:00:00Z"));
        for (now, turns, wait) in [
            ("2025-01-01T00:00:00Z", false, Some(3600)),
            ("2026-01-01T00:00:00Z", false, Some(54 * 60)),
            ("2026-01-01T00:53:59Z", false, Some(1)),
            ("2026-01-01T00:54:00Z", true, Some(6 * 60)),
            ("2026-01-01T00:55:00Z", false, Some(5 * 60)),
            ("2026-01-01T01:00:00Z", true, None),
            ("2027-01-01T00:00:00Z", false, None),
        ] {
            assert_eq!(endings.turned(at(now)).len(), usize::from(turns), "{now}");
            assert_eq!(endings.next(at(now)), wait.map(Duration::from_secs), "{now}");
        }
        endings.forget(&worker);
        assert_eq!(endings.of(&worker, Timestamp::MIN), End::Unread);
    }
}
