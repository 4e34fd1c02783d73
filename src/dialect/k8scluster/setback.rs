//! What the status of a `K8sCluster` tells of a cluster whose history went back: one that was restored from a backup.
//! Pure.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use super::crd::K8sClusterStatus;
use crate::plan::report::{Condition, Event, StatusCondition, Tone, Truth, merge_conditions};

/// Told only while it is true: this was seen within the last hour.
const RESTORED: &str = "RestoredFromBackup";
/// How long it is told.
const TOLD_FOR: Duration = Duration::from_hours(1);
/// Its kinds are listed one by one, and are set back together.
const AT_ONCE: Duration = Duration::from_mins(1);

/// A cluster shows resource versions that it had left behind. API servers only count up, unless their etcd was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setback {
    at: Timestamp,
    from: u64,
    to: u64,
}

impl Setback {
    /// What is to be told when one kind's history goes back from one resource version to another.
    #[must_use]
    pub fn follow(former: Option<Self>, from: u64, to: u64, at: Timestamp) -> Self {
        former.filter(|former| former.is_younger(AT_ONCE, at)).unwrap_or(Self { at, from, to })
    }

    fn is_younger(&self, than: Duration, now: Timestamp) -> bool {
        left(self.at, than, now).is_some()
    }
}

impl fmt::Display for Setback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, from, to } = self;
        write!(
            f,
            "at {at:.0} its history went back from resource version {from} to {to}: it was restored from a backup. All was \
             listed anew, and what is there now is what counts; objects made since the backup are gone or come again, and \
             credentials, quotas and Secrets may be older than you think. Volumes that were restored with it are older than \
             their members: see the conditions of the databases in usedBy"
        )
    }
}

/// What is left of a time since then.
fn left(since: Timestamp, time: Duration, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    time.checked_sub(passed).filter(|left| !left.is_zero())
}

/// What is left of the hour in which a condition that stands is told.
fn standing_for(condition: &StatusCondition, now: Timestamp) -> Option<Duration> {
    left(condition.last_transition_time.parse().ok()?, TOLD_FOR, now)
}

fn found(status: &K8sClusterStatus) -> Option<&StatusCondition> {
    status.conditions.iter().find(|condition| condition.kind == RESTORED)
}

/// Adds what is to be told of a setback to a status that tells everything else. `standing` is what is written now, and
/// outlives the process that has seen it.
pub fn tell(
    status: &mut K8sClusterStatus,
    standing: &K8sClusterStatus,
    setback: Option<&Setback>,
    generation: i64,
    now: Timestamp,
) {
    status.conditions.retain(|condition| condition.kind != RESTORED);
    match setback {
        Some(setback) if setback.is_younger(TOLD_FOR, now) => {
            let told = Condition {
                kind: RESTORED,
                status: Truth::True,
                reason: "HistoryWentBack",
                message: setback.to_string(),
            };
            status.conditions.extend(merge_conditions(&standing.conditions, &[told], generation, now));
        }
        Some(_) => {}
        None => status.conditions.extend(found(standing).filter(|told| standing_for(told, now).is_some()).cloned()),
    }
}

/// How long a status still tells of a setback; `None` when it does not.
#[must_use]
pub fn ends_in(status: &K8sClusterStatus, now: Timestamp) -> Option<Duration> {
    found(status).map(|told| standing_for(told, now).unwrap_or_default())
}

/// What a person should hear when one status follows another.
#[must_use]
pub fn event(before: &K8sClusterStatus, after: &K8sClusterStatus) -> Option<Event> {
    let told = found(after)?;
    let news = found(before).is_none_or(|known| known.message != told.message);
    news.then(|| Event { tone: Tone::Warning, reason: RESTORED, message: told.message.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-01-01T{time}Z").parse().unwrap()
    }

    fn after(standing: &K8sClusterStatus, setback: Option<Setback>, now: &str) -> K8sClusterStatus {
        let mut status = standing.clone();
        tell(&mut status, standing, setback.as_ref(), 1, at(now));
        status
    }

    #[test]
    fn a_setback_is_told_for_an_hour_also_by_a_process_that_has_not_seen_it() {
        let blank = K8sClusterStatus::default();
        let setback = Setback::follow(None, 900, 700, at("00:00:00"));
        let told = after(&blank, Some(setback), "00:00:01");
        let said = &told.conditions[0];
        assert_eq!((said.kind.as_str(), said.status.as_str()), ("RestoredFromBackup", "True"));
        assert!(said.message.contains("from resource version 900 to 700"), "{}", said.message);
        assert_eq!(event(&blank, &told).map(|event| event.reason), Some("RestoredFromBackup"));
        for seen in [Some(setback), None] {
            let later = after(&told, seen, "00:59:00");
            assert_eq!((&later, event(&told, &later)), (&told, None), "{seen:?}");
            let over = after(&told, seen, "01:00:01");
            assert_eq!((&over, event(&told, &over)), (&blank, None), "{seen:?}");
        }
        assert_eq!(ends_in(&told, at("00:30:01")), Some(Duration::from_mins(30)));
        assert_eq!((ends_in(&told, at("02:00:00")), ends_in(&blank, at("02:00:00"))), (Some(Duration::ZERO), None));
    }

    #[test]
    fn kinds_that_go_back_together_are_one_setback_and_a_later_one_is_another() {
        let first = Setback::follow(None, 900, 700, at("00:00:00"));
        assert_eq!(Setback::follow(Some(first), 850, 701, at("00:00:59")), first);
        let second = Setback::follow(Some(first), 800, 600, at("00:01:01"));
        assert_ne!(second, first);
        let told = after(&K8sClusterStatus::default(), Some(first), "00:00:01");
        assert!(event(&told, &after(&told, Some(second), "00:01:02")).is_some());
    }
}
