//! What the status of a `K8sCluster` tells of credentials that end. Pure.

use jiff::Timestamp;

use super::crd::K8sClusterStatus;
use crate::plan::report::{Condition, Event, StatusCondition, Tone, Truth, merge_conditions};

/// How credentials stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// There is time.
    Good,
    /// People should renew them now.
    Expiring,
    /// Too late.
    Expired,
}

/// The end of a worker's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What ends.
    pub what: &'static str,
    /// When.
    pub at: Timestamp,
    /// How it stands.
    pub stage: Stage,
}

/// Told only while it is true: the credentials end soon.
const EXPIRING: &str = "CredentialsExpiring";
/// Told only while it is true: they have ended.
const EXPIRED: &str = "CredentialsExpired";
const REMEDY: &str = "renew it in the kubeconfig; Atoll takes it over without a restart";

fn condition(ending: &Ending) -> Option<Condition> {
    let Ending { what, at, stage } = ending;
    let (kind, message) = match stage {
        Stage::Good => return None,
        Stage::Expiring => (EXPIRING, format!("its {what} expires at {at}: {REMEDY}")),
        Stage::Expired => (EXPIRED, format!("its {what} has expired at {at}: {REMEDY}")),
    };
    Some(Condition { kind, status: Truth::True, reason: kind, message })
}

fn is_ours(condition: &StatusCondition) -> bool {
    [EXPIRING, EXPIRED].contains(&condition.kind.as_str())
}

/// Adds what is to be told of the credentials' end to a status that tells everything else. `standing` is what is
/// written now. With `None` nothing is known of an end.
pub fn tell(
    status: &mut K8sClusterStatus,
    standing: &K8sClusterStatus,
    ending: Option<&Ending>,
    generation: i64,
    now: Timestamp,
) {
    let told: Vec<_> = ending.and_then(condition).into_iter().collect();
    status.conditions.retain(|condition| !is_ours(condition));
    status.conditions.extend(merge_conditions(&standing.conditions, &told, generation, now));
    status.credentials_expire = ending.map(|ending| ending.at.to_string());
}

/// What a person should hear when one status follows another.
#[must_use]
pub fn event(before: &K8sClusterStatus, after: &K8sClusterStatus) -> Option<Event> {
    let news = after.conditions.iter().filter(|told| is_ours(told));
    let mut news = news.filter(|told| before.conditions.iter().all(|known| known.kind != told.kind));
    let told = news.next()?;
    let reason = if told.kind == EXPIRED { EXPIRED } else { EXPIRING };
    Some(Event { tone: Tone::Warning, reason, message: told.message.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ending(stage: Stage) -> Ending {
        Ending { what: "token", at: at("2026-02-01T00:00:00Z"), stage }
    }

    fn after(standing: &K8sClusterStatus, ending: Option<&Ending>, now: &str) -> K8sClusterStatus {
        let mut status = standing.clone();
        tell(&mut status, standing, ending, 1, at(now));
        status
    }

    fn kinds(status: &K8sClusterStatus) -> Vec<&str> {
        status.conditions.iter().map(|condition| condition.kind.as_str()).collect()
    }

    #[test]
    fn the_end_is_told_when_it_comes_near_and_no_more_when_it_is_renewed() {
        let ready = StatusCondition {
            kind: "Ready".to_owned(),
            status: "True".to_owned(),
            reason: "Connected".to_owned(),
            message: String::new(),
            last_transition_time: "2025-01-01T00:00:00Z".to_owned(),
            observed_generation: Some(1),
        };
        let blank = K8sClusterStatus { conditions: vec![ready], ..K8sClusterStatus::default() };
        assert_eq!(after(&blank, None, "2026-01-01T00:00:00Z"), blank);
        let good = after(&blank, Some(&ending(Stage::Good)), "2026-01-01T00:00:00Z");
        assert_eq!((kinds(&good), good.credentials_expire.as_deref()), (vec!["Ready"], Some("2026-02-01T00:00:00Z")));
        assert_eq!(event(&blank, &good), None);
        let soon = after(&good, Some(&ending(Stage::Expiring)), "2026-01-20T00:00:00Z");
        assert_eq!(kinds(&soon), ["Ready", "CredentialsExpiring"]);
        assert!(soon.conditions[1].message.contains("2026-02-01T00:00:00Z"), "{soon:?}");
        assert_eq!(event(&good, &soon).map(|event| (event.tone, event.reason)), Some((Tone::Warning, EXPIRING)));
        // Nothing changes, nothing is written, and nobody is told twice.
        let later = after(&soon, Some(&ending(Stage::Expiring)), "2026-01-30T00:00:00Z");
        assert_eq!((&later, event(&soon, &later)), (&soon, None));
        let over = after(&soon, Some(&ending(Stage::Expired)), "2026-02-01T00:00:00Z");
        assert_eq!(kinds(&over), ["Ready", "CredentialsExpired"]);
        assert_eq!(event(&soon, &over).map(|event| event.reason), Some(EXPIRED));
        let renewed = after(&over, None, "2026-02-02T00:00:00Z");
        assert_eq!((&renewed, event(&over, &renewed)), (&blank, None));
    }
}
