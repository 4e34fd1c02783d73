//! Takes out of a transcript what two servers cannot have in common, and keeps how it belongs together.
//!
//! UIDs, allocated addresses and ports, and generated names become numbers in the order in which they were first
//! seen; versions of objects become ranks, so that their order must agree; times of the present become `now`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::run::Transcript;

/// A transcript that can be compared: by step, its status and body, and its events.
#[derive(Clone, Debug, Default)]
pub struct Normal {
    /// HTTP status and answer.
    pub answers: BTreeMap<usize, (u16, Value)>,
    /// Events of watches; the last one may be `"ended"`.
    pub events: BTreeMap<usize, Vec<Value>>,
}

/// Does it.
pub fn normalise(transcript: &Transcript) -> Normal {
    let mut seen = Seen::of(transcript);
    let mut normal = Normal::default();
    let mut before: Option<u64> = None;
    let mut newest = 0;
    for exchange in &transcript.exchanges {
        let mut body = exchange.body.clone();
        if body.get("items").is_some_and(Value::is_array) {
            let own = version(&body);
            newest = newest.max(objects(&body).filter_map(version).max().unwrap_or(0));
            let word = list_version(own, newest, before, &exchange.words.uri);
            before = own;
            set_version(&mut body, &word);
        } else {
            newest = newest.max(version(&body).unwrap_or(0));
        }
        normal.answers.insert(exchange.id, (exchange.status, seen.value("", &body)));
    }
    for (id, told) in &transcript.events {
        let events = normal.events.entry(*id).or_default();
        for event in &told.events {
            let mut event = event.clone();
            if event["type"] == "BOOKMARK" {
                set_version(&mut event["object"], "bookmark");
            }
            let event = seen.value("", &event);
            // How many bookmarks come in a row depends on the clock.
            if event["type"] != "BOOKMARK" || events.last() != Some(&event) {
                events.push(event);
            }
        }
        if told.ended {
            events.push("ended".into());
        }
    }
    normal
}

/// How a list's version relates to what was known.
fn list_version(own: Option<u64>, newest: u64, before: Option<u64>, uri: &str) -> String {
    let Some(own) = own else { return "none".to_owned() };
    let query = |name: &str| {
        uri.split(['?', '&']).find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    };
    if query("continue").is_some_and(|token| !token.is_empty()) {
        return if before == Some(own) { "as the page before" } else { "not as the page before" }.to_owned();
    }
    if query("resourceVersionMatch").as_deref() == Some("Exact") {
        let asked = query("resourceVersion").and_then(|asked| asked.parse().ok());
        return if asked == Some(own) { "as asked" } else { "not as asked" }.to_owned();
    }
    if own >= newest { "not older than its objects" } else { "older than its objects" }.to_owned()
}

fn set_version(object: &mut Value, word: &str) {
    if let Some(version) = object.pointer_mut("/metadata/resourceVersion") {
        *version = word.into();
    }
}

fn version(object: &Value) -> Option<u64> {
    object.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()
}

fn objects(answer: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match answer.get("items").and_then(Value::as_array) {
        Some(items) => Box::new(items.iter()),
        None => Box::new(std::iter::once(answer)),
    }
}

/// What was seen, in the order in which it was.
#[derive(Default)]
struct Seen {
    namespace: String,
    versions: BTreeMap<u64, usize>,
    names: Vec<String>,
    uids: Vec<String>,
    addresses: Vec<String>,
    ports: Vec<u64>,
    /// Whether finalizers come in any order: a deletion that adds its own shuffles them.
    shuffled: bool,
    time: (i64, i64),
}

/// How far two clocks, or one that shows whole seconds, may be apart.
const SLACK: i64 = 3;

impl Seen {
    fn of(transcript: &Transcript) -> Self {
        let answers = transcript.exchanges.iter().map(|exchange| &exchange.body);
        let events = transcript.events.values().flat_map(|told| &told.events);
        let events = events.filter(|event| event["type"] != "BOOKMARK").map(|event| &event["object"]);
        let versions: BTreeSet<_> = answers.flat_map(objects).chain(events).filter_map(version).collect();
        let (begun, ended) = transcript.time;
        Self {
            namespace: transcript.namespace.clone(),
            versions: versions.into_iter().enumerate().map(|(rank, version)| (version, rank)).collect(),
            shuffled: transcript.exchanges.iter().any(|exchange| shuffles(&exchange.body)),
            time: (begun.as_second() - SLACK, ended.as_second() + SLACK),
            ..Self::default()
        }
    }

    fn value(&mut self, key: &str, value: &Value) -> Value {
        match value {
            Value::String(text) if key == "resourceVersion" => {
                match text.parse().ok().and_then(|v: u64| self.versions.get(&v)) {
                    Some(rank) => format!("version {rank}").into(),
                    None => text.clone().into(),
                }
            }
            Value::String(text) if key == "continue" && !text.is_empty() => "token".into(),
            Value::String(text) => self.text(text).into(),
            Value::Number(number) if key == "nodePort" || key == "healthCheckNodePort" => match number.as_u64() {
                Some(port) if (30_000..32_768).contains(&port) => {
                    format!("{ALLOCATED}{}", place(&mut self.ports, port)).into()
                }
                _ => value.clone(),
            },
            Value::Array(items) => {
                let mut items: Vec<_> = items.iter().map(|item| self.value("", item)).collect();
                if key == "finalizers" && self.shuffled {
                    items.sort_by_cached_key(Value::to_string);
                }
                if key == "causes" && items.iter().all(|cause| cause["reason"] == "FieldManagerConflict") {
                    items.sort_by_cached_key(Value::to_string);
                }
                if key == "managedFields" {
                    // Entries of one second are ordered by name, and seconds end when they like.
                    items.sort_by_cached_key(|entry| {
                        ["operation", "manager", "subresource", "apiVersion"].map(|field| entry[field].to_string())
                    });
                }
                items.into()
            }
            Value::Object(fields) => {
                let mut normal: Map<_, _> =
                    fields.iter().map(|(name, value)| (self.text(name), self.value(name, value))).collect();
                self.deletion(fields, &mut normal);
                sort_faults(&mut normal);
                normal.into()
            }
            _ => value.clone(),
        }
    }

    /// A deletion's time is that of the request and the grace.
    fn deletion(&self, fields: &Map<String, Value>, normal: &mut Map<String, Value>) {
        let Some(time) = fields.get("deletionTimestamp").and_then(Value::as_str) else { return };
        let Ok(time) = time.parse::<Timestamp>() else { return };
        let grace = fields.get("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
        let asked = time.as_second() - grace;
        if (self.time.0..=self.time.1).contains(&asked) {
            normal.insert("deletionTimestamp".into(), "now and the grace".into());
        }
    }

    fn text(&mut self, text: &str) -> String {
        let mut text = text.replace(&self.namespace, "NS");
        text = object_in_words(&text);
        text = self.generated_names(&text);
        if text.len() >= 36 {
            text = self.uids(&text);
        }
        text = self.service_addresses(&text);
        text = self.times(&text);
        text = mounted_tokens(&text);
        text = sorted_errors(&text);
        if text.contains("nodePort") || text.starts_with("Duplicate value: 3") {
            text = node_ports(&text);
        }
        if text.to_lowercase().contains("resource version")
            || text.contains("resourceVersion")
            || text.contains("ResourceVersion")
        {
            text = without_numbers(&text);
        }
        text
    }

    /// Sequences generate names with this prefix only.
    fn generated_names(&mut self, text: &str) -> String {
        /// Two digits and a dash, and what is generated.
        const LENGTH: usize = 8;
        let mut normal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(GENERATED) {
            normal.push_str(before);
            if let Some(name) = after.get(..LENGTH).filter(|name| name.as_bytes()[2] == b'-') {
                normal.push_str(&format!("<name {}>", place(&mut self.names, name.to_owned())));
                rest = &after[LENGTH..];
            } else {
                normal.push_str(GENERATED);
                rest = after;
            }
        }
        normal + rest
    }

    fn uids(&mut self, text: &str) -> String {
        replace_windows(text, 36, |window| {
            let dash = |(at, byte): (usize, u8)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            };
            // Those of requests are the same on both sides.
            if window.starts_with("00000000-") || !window.bytes().enumerate().all(dash) {
                return None;
            }
            Some(format!("<uid {}>", place(&mut self.uids, window.to_owned())))
        })
    }

    /// Addresses of 10.96.0.0/12, from which both servers allocate those of services.
    fn service_addresses(&mut self, text: &str) -> String {
        let mut normal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("10.") {
            let (before, from) = rest.split_at(at);
            let length = from.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
            let (address, after) = from.split_at(length);
            normal.push_str(before);
            let inside = address.parse::<Ipv4Addr>().is_ok_and(|address| (96..112).contains(&address.octets()[1]));
            if inside {
                normal.push_str(&format!("<address {}>", place(&mut self.addresses, address.to_owned())));
            } else {
                normal.push_str(address);
            }
            rest = after;
        }
        normal + rest
    }

    fn times(&self, text: &str) -> String {
        if !text.contains("20") {
            return text.to_owned();
        }
        replace_windows(text, 20, |window| {
            let time: Timestamp = window.ends_with('Z').then(|| window.parse().ok())??;
            (self.time.0..=self.time.1).contains(&time.as_second()).then(|| "now".to_owned())
        })
    }
}

/// What stands for an allocated node port begins with this.
pub const ALLOCATED: &str = "port ";

/// What generated names begin with.
pub const GENERATED: &str = "gen-";

/// An error quotes a whole object, in Go's way of writing it, fields in no order that means something.
fn object_in_words(text: &str) -> String {
    const BEGIN: &[&str] = &[r#"value: "{"#, r#"value: "map["#, "value: {", "value: [{"];
    let begin = BEGIN.iter().filter_map(|begin| text.find(begin)).min();
    match (begin, text.rfind(['}', ']'])) {
        (Some(begin), Some(end)) if begin < end => format!("{}value: <object>{}", &text[..begin], &text[end + 1..]),
        _ => text.to_owned(),
    }
}

fn shuffles(answer: &Value) -> bool {
    let text = answer.to_string();
    text.contains("foregroundDeletion") || text.contains(r#""orphan""#)
}

/// The place of something among those seen, which it joins if it is new.
fn place<T: PartialEq>(seen: &mut Vec<T>, item: T) -> usize {
    seen.iter().position(|known| *known == item).unwrap_or_else(|| {
        seen.push(item);
        seen.len() - 1
    })
}

/// Replaces each part of this length that is something.
fn replace_windows(text: &str, length: usize, mut replace: impl FnMut(&str) -> Option<String>) -> String {
    let mut normal = String::new();
    let mut at = 0;
    while at < text.len() {
        if let Some(word) = text.get(at..at + length).and_then(&mut replace) {
            normal.push_str(&word);
            at += length;
            continue;
        }
        let step = text[at..].chars().next().map_or(1, char::len_utf8);
        normal.push_str(&text[at..at + step]);
        at += step;
    }
    normal
}

/// What does not fit of an applied object is told in the order in which Go goes through a map: any.
fn sorted_errors(text: &str) -> String {
    let Some((before, errors)) = text.split_once(": errors:\n") else { return text.to_owned() };
    let mut errors: Vec<_> = errors.lines().collect();
    errors.sort_unstable();
    format!("{before}: errors:\n{}", errors.join("\n"))
}

/// What does not fit the schema of a custom resource is told in the order in which Go goes through a map, too. (That
/// what is missing comes after the faults of the fields beside it is lost with that.)
fn sort_faults(status: &mut Map<String, Value>) {
    let group = status.get("details").and_then(|details| details["group"].as_str()).unwrap_or_default();
    let built_in = !group.contains('.') || group.ends_with(".k8s.io");
    if built_in || status.get("reason").is_none_or(|reason| reason != "Invalid") {
        return;
    }
    if let Some(Value::Array(causes)) = status.get_mut("details").and_then(|details| details.get_mut("causes")) {
        causes.sort_by_cached_key(Value::to_string);
    }
    if let Some(Value::String(message)) = status.get_mut("message")
        && let Some((before, faults)) = message.split_once(" is invalid: [")
    {
        let mut faults: Vec<_> = faults.trim_end_matches(']').split(", ").collect();
        faults.sort_unstable();
        *message = format!("{before} is invalid: [{}]", faults.join(", "));
    }
}

/// The volume with a service account's token has a name of chance.
fn mounted_tokens(text: &str) -> String {
    const PREFIX: &str = "kube-api-access-";
    let mut normal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(PREFIX) {
        normal.push_str(before);
        normal.push_str("kube-api-access-<chance>");
        rest = after.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric());
    }
    normal + rest
}

/// Ports that were allocated, in words.
fn node_ports(text: &str) -> String {
    replace_windows(text, 5, |window| {
        let port: u64 = window.parse().ok()?;
        (30_000..32_768).contains(&port).then(|| "<port>".to_owned())
    })
}

fn without_numbers(text: &str) -> String {
    let mut normal = String::new();
    for letter in text.chars() {
        if !letter.is_ascii_digit() {
            normal.push(letter);
        } else if !normal.ends_with('#') {
            normal.push('#');
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::Exchange;
    use crate::step::Words;

    fn transcript(bodies: &[Value]) -> Transcript {
        let exchange = |(id, body): (usize, &Value)| Exchange {
            id,
            words: Words { uri: "/x?limit=1".into(), body: String::new() },
            status: 200,
            body: body.clone(),
        };
        let time = ("2024-05-05T05:05:05Z".parse().unwrap(), "2024-05-05T05:05:07Z".parse().unwrap());
        let exchanges = bodies.iter().enumerate().map(exchange).collect();
        Transcript { namespace: "ns00001q".into(), exchanges, events: BTreeMap::new(), time }
    }

    #[test]
    fn what_is_of_chance_becomes_a_number_and_versions_become_ranks() {
        let uid = "0f9c2f4e-6d0a-4c39-8ae4-1f6e34a3c9d1";
        let object = |version: &str, name: &str| {
            json!({ "metadata": { "uid": uid, "resourceVersion": version, "name": name, "namespace": "ns00001q",
                "creationTimestamp": "2024-05-05T05:05:06Z", "deletionTimestamp": "2024-05-05T05:05:36Z",
                "deletionGracePeriodSeconds": 30 }, "spec": { "clusterIP": "10.96.3.4", "nodePort": 30_123,
                "note": format!("UID {uid} at 2020-01-01T00:00:00Z") } })
        };
        let list = json!({ "items": [object("90", "gen-03-abcde")], "metadata": { "resourceVersion": "107" } });
        let normal = normalise(&transcript(&[object("100", "x"), list, object("90", "gen-03-abcde")]));
        let first = &normal.answers[&0].1;
        assert_eq!(first["metadata"]["uid"], "<uid 0>");
        assert_eq!(first["metadata"]["resourceVersion"], "version 1");
        assert_eq!(first["metadata"]["creationTimestamp"], "now");
        assert_eq!(first["metadata"]["deletionTimestamp"], "now and the grace");
        assert_eq!(first["metadata"]["namespace"], "NS");
        assert_eq!(
            first["spec"],
            json!({ "clusterIP": "<address 0>", "nodePort": "port 0", "note": "UID <uid 0> at 2020-01-01T00:00:00Z" })
        );
        assert_eq!(normal.answers[&1].1["metadata"]["resourceVersion"], "not older than its objects");
        assert_eq!(normal.answers[&2].1["metadata"]["name"], "<name 0>");
        assert_eq!(normal.answers[&2].1["metadata"]["resourceVersion"], "version 0");
    }

    #[test]
    fn words_about_patched_objects_and_versions_keep_what_is_the_same() {
        let words =
            json!({ "message": "x is invalid: patch: Invalid value: \"{\\\"a\\\":{}}\": no", "reason": "Invalid" });
        let old = json!({ "message": "too old resource version: 12 (345)", "reason": "Expired" });
        let errors = json!({ "message": "failed: errors:\n  .spec: b\n  .metadata: a", "reason": "" });
        let normal = normalise(&transcript(&[words, old, errors]));
        assert_eq!(normal.answers[&2].1["message"], "failed: errors:\n  .metadata: a\n  .spec: b");
        assert_eq!(normal.answers[&0].1["message"], "x is invalid: patch: Invalid value: <object>\": no");
        assert_eq!(normal.answers[&1].1["message"], "too old resource version: # (#)");
    }

    #[test]
    fn faults_of_custom_resources_come_in_any_order_and_others_in_theirs() {
        let faults = |group: &str, order: [&str; 2]| {
            let causes = order.map(|field| json!({ "field": field, "reason": "FieldValueRequired" }));
            json!({ "reason": "Invalid", "message": "", "details": { "group": group, "causes": causes } })
        };
        let same = |group| {
            let normal = normalise(&transcript(&[faults(group, ["b", "a"]), faults(group, ["a", "b"])]));
            normal.answers[&0].1["details"] == normal.answers[&1].1["details"]
        };
        assert!(same("test.atoll.dev"));
        assert!(!same("storage.k8s.io") && !same("batch") && !same(""));
        let message =
            json!({ "reason": "Invalid", "message": "X is invalid: [b: 1, a: 2]", "details": { "group": "a.b" } });
        assert_eq!(normalise(&transcript(&[message])).answers[&0].1["message"], "X is invalid: [a: 2, b: 1]");
    }
}
