//! From a worker's health to the conditions of its `K8sCluster`. Pure.
//!
//! `Reachable`, `Authorized` and `IdentityVerified` say what is known of the way there, one link of it each; `Ready`
//! says what follows, and is what alerts look at.

use jiff::Timestamp;

use super::{
    crd::K8sClusterStatus,
    health::{Contact, Health, Rights, Trouble, lacking},
};
use crate::plan::report::{Condition, Event, StatusCondition, Tone, Truth, merge_conditions};

/// The status that tells this health. Equal to `standing` when there is nothing new to tell, so that nothing is
/// written at rest. `unreadable` is what of the worker's answers makes no sense, in words.
#[must_use]
pub fn status(
    standing: &K8sClusterStatus,
    health: &Health,
    unreadable: Option<&str>,
    generation: i64,
    now: Timestamp,
) -> K8sClusterStatus {
    let mut told = match health {
        // Nothing to tell yet. What stands, stands: a restart of Atoll is no news about the worker.
        Health::Connecting => return standing.clone(),
        Health::Up(contact) => up(contact),
        Health::Down(trouble) => down(trouble),
    };
    told.extend(unreadable.map(|what| condition(READABLE, Truth::False, "Unreadable", what)));
    let mut status = K8sClusterStatus {
        conditions: merge_conditions(&standing.conditions, &told, generation, now),
        ..standing.clone()
    };
    if let Health::Up(Contact { identity, version, .. }) = health {
        status.identity = Some(identity.to_string());
        status.version = Some(version.clone());
    }
    status
}

/// Whether members can be placed and changed there.
const READY: &str = "Ready";
/// The reasons of events.
const NOT_READY: &str = "NotReady";
const NOT_TAKEN: &str = "CredentialsNotTaken";
/// Whether its API server answers.
const REACHABLE: &str = "Reachable";
/// Whether the credentials are accepted, and may do what is needed.
const AUTHORIZED: &str = "Authorized";
/// Whether it is the cluster that was registered.
const VERIFIED: &str = "IdentityVerified";
/// Told only when it is false: something there makes no sense, so that it counts as unknown.
const READABLE: &str = "AnswersReadable";
/// Told only when it is false: the registration has changed to something that cannot be used.
const CURRENT: &str = "CredentialsCurrent";

/// What a person should hear when one status follows another: that a worker is lost or back, and that a kubeconfig is
/// not taken.
#[must_use]
pub fn event(before: &K8sClusterStatus, after: &K8sClusterStatus) -> Option<Event> {
    let find = |status: &K8sClusterStatus, kind| status.conditions.iter().find(|told| told.kind == kind).cloned();
    let (ready, before_ready) = (find(after, READY), find(before, READY));
    let news = |told: &StatusCondition, known: Option<&StatusCondition>| {
        known.is_none_or(|known| (&known.status, &known.reason) != (&told.status, &told.reason))
    };
    if let Some(told) = ready.filter(|told| news(told, before_ready.as_ref())) {
        if told.status != "True" {
            return Some(Event {
                tone: Tone::Warning,
                reason: NOT_READY,
                message: format!("{}: {}", told.reason, told.message),
            });
        }
        return before_ready.map(|_| Event { tone: Tone::Normal, reason: READY, message: told.message });
    }
    let told = find(after, CURRENT).filter(|told| news(told, find(before, CURRENT).as_ref()))?;
    Some(Event { tone: Tone::Warning, reason: NOT_TAKEN, message: format!("{}: {}", told.reason, told.message) })
}

fn up(contact: &Contact) -> Vec<Condition> {
    let Contact { identity, version, protocol, rights, doubt, suspicion } = contact;
    let authorized = match rights {
        Rights::Sufficient => {
            condition(AUTHORIZED, Truth::True, "AllGranted", "all that Atoll makes use of is granted")
        }
        Rights::Lacking(permissions) => condition(AUTHORIZED, Truth::False, "Forbidden", lacking(permissions)),
        Rights::Unchecked(why) => {
            let message = format!("the API server does not say what the credentials may do: {why}");
            condition(AUTHORIZED, Truth::Unknown, "NotSaid", message)
        }
    };
    let ready = if authorized.status == Truth::False {
        Condition { kind: READY, ..authorized.clone() }
    } else {
        condition(READY, Truth::True, "Connected", format!("reached, verified and watched; Kubernetes {version}"))
    };
    let reachable = match suspicion {
        None => {
            let message = format!("it answers over {}; Kubernetes {version}", protocol.as_str());
            condition(REACHABLE, Truth::True, "Answers", message)
        }
        Some(trouble) => {
            let message = format!("{trouble}. It is asked again; until it answers, nothing there is taken for gone");
            condition(REACHABLE, Truth::Unknown, trouble.reason(), message)
        }
    };
    let verified = format!("the cluster with kube-system UID {identity}");
    let mut told = vec![ready, reachable, authorized, condition(VERIFIED, Truth::True, "AsRegistered", verified)];
    if let Some(trouble) = doubt {
        let message = format!("the credentials from before are still in use: {trouble}");
        told.push(condition(CURRENT, Truth::False, trouble.reason(), message));
    }
    told
}

fn down(trouble: &Trouble) -> Vec<Condition> {
    let message = match trouble {
        Trouble::Unreachable(_) | Trouble::Overloaded(_) => format!(
            "{trouble}. Atoll asks again all the time; meanwhile it changes nothing there and takes nothing there for \
             gone, and databases with a majority of their members elsewhere go on. If the cluster is lost: \
             `atoll worker mark-unavailable`"
        ),
        _ => trouble.to_string(),
    };
    // How far one came on the way there: what lies behind the first link that fails, nobody knows.
    let (reachable, authorized, verified) = match trouble {
        Trouble::Unreachable(_) | Trouble::Overloaded(_) => (Truth::False, Truth::Unknown, Truth::Unknown),
        Trouble::Unauthorized(_) | Trouble::Forbidden(_) => (Truth::True, Truth::False, Truth::Unknown),
        Trouble::IdentityChanged { .. } | Trouble::DuplicateOf(_) => (Truth::True, Truth::True, Truth::False),
        Trouble::Untrusted(_) => (Truth::True, Truth::Unknown, Truth::False),
        Trouble::InvalidKubeconfig(_)
        | Trouble::SecretNotFound(_)
        | Trouble::SecretNotPermitted(_)
        | Trouble::ContextNotFound(_)
        | Trouble::AddressRefused(_) => (Truth::Unknown, Truth::Unknown, Truth::Unknown),
    };
    let link = |kind, truth, well: (&'static str, &str)| match truth {
        Truth::True => condition(kind, truth, well.0, well.1),
        Truth::False => condition(kind, truth, trouble.reason(), message.clone()),
        Truth::Unknown => condition(kind, truth, trouble.reason(), "see condition Ready"),
    };
    vec![
        condition(READY, Truth::False, trouble.reason(), message.clone()),
        link(REACHABLE, reachable, ("Answers", "it answers")),
        link(AUTHORIZED, authorized, ("Accepted", "the credentials are accepted")),
        link(VERIFIED, verified, ("AsRegistered", "it is the cluster that was registered")),
    ]
}

fn condition(kind: &'static str, status: Truth, reason: &'static str, message: impl Into<String>) -> Condition {
    Condition { kind, status, reason, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::k8scluster::permission,
        plan::name::{Uid, WorkerName},
    };

    fn contact() -> Contact {
        Contact::new(Uid::from("uid"), "v1.34.4")
    }

    fn unreachable() -> Trouble {
        Trouble::Unreachable("no answer within 3 s".to_owned())
    }

    fn told(health: &Health) -> Vec<(String, String, String)> {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let conditions = status(&K8sClusterStatus::default(), health, None, 1, now).conditions;
        conditions.into_iter().map(|c| (c.kind, c.status, c.reason)).collect()
    }

    #[test]
    fn a_status_changes_only_with_what_it_tells() {
        let (now, later): (Timestamp, Timestamp) =
            ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-01-02T00:00:00Z".parse().unwrap());
        let blank = K8sClusterStatus::default();
        let up = Health::Up(contact());
        assert_eq!(status(&blank, &Health::Connecting, None, 1, now), blank);
        let told = status(&blank, &up, None, 1, now);
        assert_eq!((told.identity.as_deref(), told.version.as_deref()), (Some("uid"), Some("v1.34.4")));
        assert_eq!(told.conditions[0].status, "True");
        assert_eq!(status(&told, &up, None, 1, later), told);
        assert_eq!(status(&told, &Health::Connecting, None, 1, later), told);
        let down = status(&told, &Health::Down(unreachable()), None, 1, later);
        assert_eq!((down.conditions[0].status.as_str(), down.conditions[0].reason.as_str()), ("False", "Unreachable"));
        assert_eq!(down.conditions[0].last_transition_time, "2026-01-02T00:00:00Z");
        assert_eq!(down.identity.as_deref(), Some("uid"));
    }

    #[test]
    fn each_trouble_is_told_by_the_link_that_it_breaks() {
        let changed = Trouble::IdentityChanged { pinned: Uid::from("a"), found: Uid::from("b") };
        let lacking =
            Health::Up(Contact { rights: Rights::Lacking(permission::used().take(1).collect()), ..contact() });
        let unchecked = Health::Up(Contact { rights: Rights::Unchecked("404".to_owned()), ..contact() });
        let suspected = Health::Up(Contact { suspicion: Some(unreachable()), ..contact() });
        for (health, truths, reason) in [
            (Health::Up(contact()), ["True", "True", "True", "True"], "Connected"),
            (suspected, ["True", "Unknown", "True", "True"], "Connected"),
            (lacking, ["False", "True", "False", "True"], "Forbidden"),
            (unchecked, ["True", "True", "Unknown", "True"], "Connected"),
            (Health::Down(unreachable()), ["False", "False", "Unknown", "Unknown"], "Unreachable"),
            (Health::Down(Trouble::Overloaded("429".into())), ["False", "False", "Unknown", "Unknown"], "Overloaded"),
            (
                Health::Down(Trouble::Untrusted("no".into())),
                ["False", "True", "Unknown", "False"],
                "CertificateNotTrusted",
            ),
            (Health::Down(Trouble::Unauthorized("401".into())), ["False", "True", "False", "Unknown"], "Unauthorized"),
            (Health::Down(Trouble::Forbidden("403".into())), ["False", "True", "False", "Unknown"], "Forbidden"),
            (Health::Down(changed), ["False", "True", "True", "False"], "IdentityChanged"),
            (
                Health::Down(Trouble::DuplicateOf(WorkerName::from("a"))),
                ["False", "True", "True", "False"],
                "DuplicateOf",
            ),
            (
                Health::Down(Trouble::InvalidKubeconfig("bad".into())),
                ["False", "Unknown", "Unknown", "Unknown"],
                "InvalidKubeconfig",
            ),
        ] {
            let told = told(&health);
            let kinds: Vec<_> = told.iter().map(|(kind, ..)| kind.as_str()).collect();
            assert_eq!(kinds, [READY, REACHABLE, AUTHORIZED, VERIFIED], "{health:?}");
            assert_eq!(told.iter().map(|(_, status, _)| status.as_str()).collect::<Vec<_>>(), truths, "{health:?}");
            assert_eq!(told[0].2, reason, "{health:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_whatever_the_health() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        for health in [Health::Up(contact()), Health::Down(unreachable())] {
            let told = status(&K8sClusterStatus::default(), &health, Some("pods shop/a"), 1, now);
            let last = told.conditions.last().unwrap();
            assert_eq!(
                (last.kind.as_str(), last.status.as_str(), last.message.as_str()),
                (READABLE, "False", "pods shop/a")
            );
        }
    }

    #[test]
    fn a_person_hears_once_of_what_is_lost_of_what_is_back_and_of_a_kubeconfig_that_is_not_taken() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |standing: &K8sClusterStatus, health: &Health| status(standing, health, None, 1, now);
        let up = Health::Up(contact());
        let doubted = Health::Up(Contact { doubt: Some(Trouble::InvalidKubeconfig("bad".to_owned())), ..contact() });
        let down = Health::Down(unreachable());
        let mut standing = K8sClusterStatus::default();
        for (health, heard) in [
            (&up, None),
            (&doubted, Some((NOT_TAKEN, Tone::Warning))),
            (&doubted, None),
            (&down, Some((NOT_READY, Tone::Warning))),
            (&down, None),
            (&up, Some((READY, Tone::Normal))),
        ] {
            let next = after(&standing, health);
            assert_eq!(event(&standing, &next).map(|event| (event.reason, event.tone)), heard, "{health:?}");
            standing = next;
        }
    }

    #[test]
    fn credentials_that_went_bad_are_told_beside_a_worker_that_serves_on() {
        let doubt = Some(Trouble::InvalidKubeconfig("bad".to_owned()));
        let told = told(&Health::Up(Contact { doubt, ..contact() }));
        let told: Vec<_> = told.iter().map(|(k, s, r)| (k.as_str(), s.as_str(), r.as_str())).collect();
        assert_eq!(told[0], ("Ready", "True", "Connected"));
        assert_eq!(told[4], ("CredentialsCurrent", "False", "InvalidKubeconfig"));
    }
}
