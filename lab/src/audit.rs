//! What an API server was asked, by whom: read from its audit log.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use crate::error::{Context, Result};

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it was received.
    pub ts: Timestamp,
    /// The authenticated user.
    pub user: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, …
    pub verb: String,
    /// `pods`, `leases`, …; the path where no resource is meant.
    pub resource: String,
    /// `status`, `log`, …
    pub subresource: Option<String>,
    /// The object's namespace.
    pub namespace: Option<String>,
    /// The object's name.
    pub name: Option<String>,
    /// The answer's HTTP status.
    pub code: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    request_received_timestamp: Timestamp,
    #[serde(default)]
    user: User,
    #[serde(default)]
    user_agent: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<Status>,
    stage: String,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
struct ObjectRef {
    resource: Option<String>,
    subresource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

/// All requests received since then. A watch counts once, when it begins.
pub fn read(path: &Path, since: Option<Timestamp>) -> Result<Vec<AuditEntry>> {
    let file = std::fs::File::open(path).or_cannot(|| format!("read {}", path.display()))?;
    let mut entries = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.or_cannot(|| format!("read {}", path.display()))?;
        // The last line may be half written yet.
        if let Some(entry) = parse(&line)
            && since.is_none_or(|since| entry.ts >= since)
        {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn parse(line: &str) -> Option<AuditEntry> {
    let event: Event = serde_json::from_str(line).ok()?;
    // A long request is told twice: when its answer begins, and when it ends.
    let counted =
        if event.verb == "watch" { event.stage == "ResponseStarted" } else { event.stage == "ResponseComplete" };
    if !counted && event.stage != "Panic" && !refused_watch(&event) {
        return None;
    }
    let path = || event.request_uri.split('?').next().unwrap_or_default().to_owned();
    let (resource, subresource, namespace, name) = match event.object_ref {
        Some(object) => (object.resource.unwrap_or_else(path), object.subresource, object.namespace, object.name),
        None => (path(), None, None, None),
    };
    Some(AuditEntry {
        ts: event.request_received_timestamp,
        user: event.user.username,
        user_agent: event.user_agent,
        verb: event.verb,
        resource,
        subresource,
        namespace,
        name,
        code: event.response_status.map_or(0, |status| status.code),
    })
}

/// A watch that was refused never began.
fn refused_watch(event: &Event) -> bool {
    event.verb == "watch"
        && event.stage == "ResponseComplete"
        && event.response_status.as_ref().is_some_and(|status| status.code >= 300)
}

/// Requests counted by who asked for what.
#[must_use]
pub fn summary(entries: &[AuditEntry]) -> BTreeMap<(String, String, String, String), usize> {
    let mut counts = BTreeMap::new();
    for entry in entries {
        let agent = entry.user_agent.split([' ', '/']).next().unwrap_or_default().to_owned();
        let resource = match &entry.subresource {
            Some(part) => format!("{}/{part}", entry.resource),
            None => entry.resource.clone(),
        };
        *counts.entry((entry.user.clone(), agent, entry.verb.clone(), resource)).or_default() += 1;
    }
    counts
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line(verb: &str, stage: &str, code: u16) -> String {
        format!(
            r#"{{"kind":"Event","stage":"{stage}","requestURI":"/api/v1/namespaces/a/pods/p/status?x=1","verb":"{verb}",
            "user":{{"username":"u","groups":["g"]}},"userAgent":"atoll/1 (linux)","objectRef":{{"resource":"pods","subresource":"status",
            "namespace":"a","name":"p"}},"responseStatus":{{"metadata":{{}},"code":{code}}},"requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z"}}"#
        )
    }

    #[test]
    fn a_request_is_counted_once_and_a_watch_when_it_begins() {
        assert!(parse(&line("get", "ResponseStarted", 200)).is_none());
        let entry = parse(&line("get", "ResponseComplete", 200)).unwrap();
        assert_eq!((entry.resource.as_str(), entry.subresource.as_deref(), entry.code), ("pods", Some("status"), 200));
        assert!(parse(&line("watch", "ResponseStarted", 200)).is_some());
        assert!(parse(&line("watch", "ResponseComplete", 200)).is_none());
        assert!(parse(&line("watch", "ResponseComplete", 403)).is_some(), "a refused watch never began");
        assert!(parse("{\"half").is_none());
    }

    #[test]
    fn the_summary_counts_by_user_agent_verb_and_resource() {
        let entry = parse(&line("get", "ResponseComplete", 200)).unwrap();
        let counts = summary(&[entry.clone(), entry]);
        let key = ("u".to_owned(), "atoll".to_owned(), "get".to_owned(), "pods/status".to_owned());
        assert_eq!(counts.get(&key), Some(&2));
    }
}
