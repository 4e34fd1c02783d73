//! Tells people, once, why an object does not get what it asks for: in the log and as an event on the object.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};

use super::connection::{Failure, ask};
use super::{GROUP, log};

/// Why something is not done, and for which object.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    /// The object that waits.
    pub about: ObjectReference,
    /// One word for machines, such as `ProvisioningFailed`.
    pub reason: &'static str,
    /// What happened, and what the person can do.
    pub note: String,
}

impl Complaint {
    /// A complaint about an object.
    pub fn about<K: Resource<DynamicType = ()>>(object: &K, reason: &'static str, note: impl Into<String>) -> Self {
        Self { about: object.object_ref(&()), reason, note: note.into() }
    }

    fn key(&self) -> String {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        format!(
            "{} {}/{} {}",
            part(&self.about.kind),
            part(&self.about.namespace),
            part(&self.about.name),
            part(&self.about.uid)
        )
    }
}

/// Remembers what was said, so that it is said once.
pub(super) struct Grumbler {
    cluster: String,
    recorder: Recorder,
    said: BTreeMap<String, String>,
}

impl Grumbler {
    pub(super) fn new(cluster: &str, client: &Client, addon: &str) -> Self {
        let reporter = Reporter { controller: format!("{GROUP}/{addon}"), instance: Some(cluster.to_owned()) };
        Self { cluster: cluster.to_owned(), recorder: Recorder::new(client.clone(), reporter), said: BTreeMap::new() }
    }

    /// Tells all that is wrong now; what is no longer wrong may be told again later.
    pub(super) async fn tell(&mut self, complaints: &[Complaint]) {
        self.said.retain(|key, _| complaints.iter().any(|complaint| complaint.key() == *key));
        for complaint in complaints {
            let key = complaint.key();
            if self.said.get(&key) == Some(&complaint.note) {
                continue;
            }
            self.log(&format!("{key}: {}: {}", complaint.reason, complaint.note));
            let event = Event {
                type_: EventType::Warning,
                reason: complaint.reason.to_owned(),
                note: Some(complaint.note.clone()),
                action: complaint.reason.to_owned(),
                secondary: None,
            };
            // An event is a courtesy: the log has it already.
            let _ = ask(self.recorder.publish(&event, &complaint.about)).await;
            self.said.insert(key, complaint.note.clone());
        }
    }

    /// What happened to one act, for the log: a done act always, a failure as a complaint.
    pub(super) fn log(&self, line: &str) {
        log(&self.cluster, line);
    }
}

/// Turns a refused act into a complaint; a stale one is silently tried again.
pub(super) fn complaint_of<K: Resource<DynamicType = ()>>(
    object: &K,
    reason: &'static str,
    failure: Failure,
) -> Option<Complaint> {
    match failure {
        Failure::Stale => None,
        Failure::Refused(why) => Some(Complaint::about(object, reason, format!("{why}; it is tried again"))),
    }
}
