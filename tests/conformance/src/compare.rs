//! What two transcripts say differently.

use serde_json::Value;

use crate::normalise::{ALLOCATED, Normal, normalise};
use crate::run::Transcript;
use crate::step::Step;

/// One thing that the sides say differently about the same step.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The step.
    pub step: usize,
    /// Where: `status`, a JSON pointer into the answer, or one into the list of events (`events/2/object/…`).
    pub place: String,
    /// What the real side says; [`NOTHING`] where it says nothing.
    pub real: Value,
    /// What the other one says.
    pub simulated: Value,
}

/// Stands for what is not there.
pub const NOTHING: &str = "(nothing)";

/// All differences: those of answers and then those of events, each in the order of steps.
pub fn compare(real: &Transcript, simulated: &Transcript) -> Vec<Difference> {
    let (real, simulated) = (normalise(real), normalise(simulated));
    let mut differences = Vec::new();
    for (step, (status, body)) in &real.answers {
        let Some((other_status, other_body)) = simulated.answers.get(step) else { continue };
        let mut found = Finder { step: *step, differences: &mut differences };
        found.look("status", &(*status).into(), &(*other_status).into());
        // Other answers differ in everything else as well.
        if status == other_status {
            found.look("", body, other_body);
        }
    }
    for step in real.events.keys().chain(simulated.events.keys()).copied().collect::<std::collections::BTreeSet<_>>() {
        // A watch that only one side opened has a different answer already.
        if let (Some(one), Some(other)) = (events(&real, step), events(&simulated, step)) {
            Finder { step, differences: &mut differences }.look("events", &one, &other);
        }
    }
    // What a watch tells most likely follows from what a request did.
    differences.sort_by_key(|difference| (difference.place.starts_with("events"), difference.step));
    differences
}

fn events(normal: &Normal, step: usize) -> Option<Value> {
    normal.events.get(&step).map(|events| events.clone().into())
}

struct Finder<'a> {
    step: usize,
    differences: &'a mut Vec<Difference>,
}

impl Finder<'_> {
    fn look(&mut self, place: &str, real: &Value, simulated: &Value) {
        match (real, simulated) {
            (Value::Object(one), Value::Object(other)) => {
                let nothing = Value::from(NOTHING);
                for (name, value) in one {
                    self.look(&format!("{place}/{name}"), value, other.get(name).unwrap_or(&nothing));
                }
                for (name, value) in other.iter().filter(|(name, _)| !one.contains_key(*name)) {
                    self.look(&format!("{place}/{name}"), &nothing, value);
                }
            }
            (Value::Array(one), Value::Array(other)) => {
                for index in 0..one.len().max(other.len()) {
                    let item = |list: &[Value]| list.get(index).cloned().unwrap_or(NOTHING.into());
                    self.look(&format!("{place}/{index}"), &item(one), &item(other));
                }
            }
            _ if real == simulated => {}
            _ => self.differences.push(Difference {
                step: self.step,
                place: place.to_owned(),
                real: real.clone(),
                simulated: simulated.clone(),
            }),
        }
    }
}

impl Difference {
    /// What differences of one cause have in common: the kind of request and the place.
    pub fn signature(&self, step: &Step) -> String {
        format!("{:?} {} {}", step.verb, subject(&step.path), self.general_place())
    }

    /// Whether it is about which of the allocated node ports this is.
    pub fn is_of_ports(&self) -> bool {
        let is_port = |value: &Value| value.as_str().is_some_and(|text| text.starts_with(ALLOCATED));
        is_port(&self.real) && is_port(&self.simulated)
    }

    fn general_place(&self) -> String {
        let general = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<_> = self.place.split('/').map(|part| if general(part) { "*" } else { part }).collect();
        parts.join("/")
    }

    /// What those of one cause most likely have in common: the place, and what both sides say.
    pub fn kind(&self) -> String {
        if self.place == "status" {
            return format!("status real {} other {}", self.real, self.simulated);
        }
        format!("{} real {} other {}", self.general_place(), brief(&self.real), brief(&self.simulated))
    }
}

fn brief(value: &Value) -> String {
    let mut text: String = value.to_string().chars().filter(|letter| !letter.is_ascii_digit()).collect();
    if let Some((end, _)) = text.char_indices().nth(100) {
        text.truncate(end);
    }
    text
}

/// The resource and the subresource of a path, without names.
pub fn subject(path: &str) -> String {
    // A name that is learned has slashes.
    let path = path.replace(":/metadata/name}}", "}}");
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let skip = if parts.first() == Some(&"api") { 2 } else { 3 };
    let mut rest = parts.get(skip..).unwrap_or_default();
    if rest.len() > 2
        && rest[0] == "namespaces"
        && rest[1].starts_with("{{ns}}")
        && !["status", "finalize"].contains(&rest[2])
    {
        rest = &rest[2..];
    }
    let subresource = rest.get(2).map(|name| format!("/{name}")).unwrap_or_default();
    format!("{}{subresource}", rest.first().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::run::Exchange;
    use crate::side::Events;
    use crate::step::Words;

    fn transcript(status: u16, body: Value, events: &[Value]) -> Transcript {
        let words = Words { uri: "/x".into(), body: String::new() };
        let told = Events { events: events.to_vec(), ended: false };
        Transcript {
            namespace: "ns00001q".into(),
            exchanges: vec![Exchange { id: 4, words, status, body }],
            events: BTreeMap::from([(4, told)]),
            time: (Timestamp::now(), Timestamp::now()),
        }
    }

    fn places(one: &Transcript, other: &Transcript) -> Vec<String> {
        compare(one, other).into_iter().map(|difference| difference.place).collect()
    }

    #[test]
    fn everything_that_is_not_of_chance_is_compared() {
        let event = json!({ "type": "ADDED", "object": { "metadata": { "name": "a", "resourceVersion": "7" } } });
        let one = std::slice::from_ref(&event);
        let real = transcript(200, json!({ "a": [1, 2], "b": null }), one);
        assert_eq!(places(&real, &real), Vec::<String>::new());
        assert_eq!(places(&real, &transcript(201, json!({ "a": [1, 2], "b": null }), one)), ["status"]);
        assert_eq!(places(&real, &transcript(200, json!({ "a": [1], "b": null }), one)), ["/a/1"]);
        assert_eq!(places(&real, &transcript(200, json!({ "a": [1, 2] }), one)), ["/b"]);
        assert_eq!(places(&real, &transcript(200, json!({ "a": [1, 2], "b": null }), &[])), ["events/0"]);
        let mut later = event.clone();
        later["object"]["metadata"]["name"] = "b".into();
        let other = transcript(200, json!({ "a": [1, 2], "b": null }), &[later]);
        assert_eq!(places(&real, &other), ["events/0/object/metadata/name"]);
    }

    #[test]
    fn of_node_ports_are_only_those_that_were_allocated() {
        let difference = |real: Value, simulated: Value| Difference { step: 4, place: "/x".into(), real, simulated };
        assert!(difference("port 3".into(), "port 1".into()).is_of_ports());
        assert!(!difference("port 3".into(), NOTHING.into()).is_of_ports());
        assert!(!difference(80.into(), 81.into()).is_of_ports());
    }

    #[test]
    fn an_error_in_place_of_an_object_is_one_difference() {
        let real = transcript(200, json!({ "kind": "Pod" }), &[]);
        let other = transcript(404, json!({ "kind": "Status" }), &[]);
        assert_eq!(places(&real, &other), ["status"]);
    }

    #[test]
    fn a_path_s_subject_is_without_names() {
        assert_eq!(subject("/api/v1/namespaces/{{ns}}/pods/a/status"), "pods/status");
        assert_eq!(subject("/api/v1/namespaces/{{ns}}-a/finalize"), "namespaces/finalize");
        assert_eq!(subject("/apis/k8s.oceanbase.com/v1alpha1/k8sclusters/{{ns}}-a"), "k8sclusters");
        assert_eq!(subject("/api/v1/namespaces/{{ns}}/pods/{{3:/metadata/name}}"), "pods");
    }
}
