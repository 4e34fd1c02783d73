//! Label and field selectors.

use serde_json::Value;

use crate::{content::Kind, failure::Failure, labels};

/// Which objects are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Term>,
}

/// What a label must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requirement {
    pub key: String,
    pub test: Test,
}

/// What is asked of a label's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    More(i64),
    Less(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    /// Split at dots.
    path: Vec<String>,
    value: String,
    equal: bool,
}

impl Selector {
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, Failure> {
        Ok(Self { labels: labels::parse(labels).map_err(Failure::bad_request)?, fields: parse_fields(fields)? })
    }

    /// The same, if objects of this kind can be selected so.
    pub(crate) fn of(self, kind: &Kind) -> Result<Self, Failure> {
        let known = selectable(kind);
        for term in &self.fields {
            let field = term.path.join(".");
            // Most built-in kinds have a namespace to select by even if they are in none.
            let in_namespaces =
                kind.namespaced || (!kind.custom && !matches!(kind.plural.as_str(), "nodes" | "namespaces"));
            let always = field == "metadata.name" || (field == "metadata.namespace" && in_namespaces);
            if !always && !known.contains(&field.as_str()) {
                return Err(Failure::bad_request(if kind.plural == "jobs" && !kind.custom {
                    format!("field label {field:?} not supported for Job")
                } else if known.is_empty() && !kind.custom {
                    format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
                } else {
                    format!("field label not supported: {field}")
                }));
            }
        }
        Ok(self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Only the object of this name.
    pub(crate) fn named(mut self, name: &str) -> Self {
        let path = vec!["metadata".to_owned(), "name".to_owned()];
        self.fields.push(Term { path, value: name.to_owned(), equal: true });
        self
    }

    /// The name of the one object that it asks for.
    pub(crate) fn name(&self) -> Option<&str> {
        let mut named = self.fields.iter().filter(|term| term.equal && term.path == ["metadata", "name"]);
        named.next().map(|term| term.value.as_str())
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.is_empty()
            || (self.labels.iter().all(|requirement| requirement.matches(&object["metadata"]["labels"]))
                && self.fields.iter().all(|term| term.matches(object)))
    }
}

impl Requirement {
    fn matches(&self, labels: &Value) -> bool {
        let value = labels.get(&self.key).and_then(Value::as_str);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Test::Exists => value.is_some(),
            Test::Missing => value.is_none(),
            Test::More(than) => number().is_some_and(|number| number > *than),
            Test::Less(than) => number().is_some_and(|number| number < *than),
        }
    }
}

impl Term {
    fn matches(&self, object: &Value) -> bool {
        let found = self.path.iter().try_fold(object, |value, part| value.get(part));
        let same = match found {
            None | Some(Value::Null) => {
                self.value.is_empty()
                    || (self.value == "false" && self.is_truth())
                    || (self.value == "0" && self.is_count())
            }
            Some(Value::String(text)) => *text == self.value,
            Some(Value::Bool(truth)) => self.value == if *truth { "true" } else { "false" },
            Some(Value::Number(number)) => self.value.parse::<serde_json::Number>().is_ok_and(|value| value == *number),
            Some(_) => false,
        };
        same == self.equal
    }

    fn last(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// A boolean that is missing is false.
    fn is_truth(&self) -> bool {
        matches!(self.last(), "unschedulable" | "hostNetwork")
    }

    fn is_count(&self) -> bool {
        matches!(self.last(), "successful")
    }
}

/// The fields beside name and namespace by which objects of a kind can be selected.
fn selectable(kind: &Kind) -> &'static [&'static str] {
    if kind.custom {
        return &[];
    }
    match kind.kind.as_str() {
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        "Namespace" => &["status.phase"],
        "Node" => &["spec.unschedulable"],
        "Secret" => &["type"],
        "Service" => &["spec.clusterIP", "spec.type"],
        "Job" => &["status.successful"],
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "reason",
            "reportingComponent",
            "reportingController",
            "source",
            "type",
        ],
        _ => &[],
    }
}

/// Whether a selector as it stands in objects (`matchLabels`, `matchExpressions`) selects these labels. One that is
/// missing selects nothing, one that is empty everything.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    if !selector.is_object() {
        return false;
    }
    let exact = selector["matchLabels"].as_object().into_iter().flatten();
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    exact.into_iter().all(|(key, value)| labels.get(key) == Some(value))
        && expressions.all(|expression| {
            let key = expression["key"].as_str().unwrap_or_default().to_owned();
            let values = || {
                let values = expression["values"].as_array().into_iter().flatten();
                values.filter_map(Value::as_str).map(str::to_owned).collect()
            };
            let test = match expression["operator"].as_str().unwrap_or_default() {
                "In" => Test::In(values()),
                "NotIn" => Test::NotIn(values()),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Missing,
                _ => return false,
            };
            Requirement { key, test }.matches(labels)
        })
}

fn parse_fields(text: &str) -> Result<Vec<Term>, Failure> {
    let mut terms = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
            (field, value, false)
        } else if let Some((field, value)) = part.split_once("==") {
            (field, value, true)
        } else if let Some((field, value)) = part.split_once('=') {
            (field, value, true)
        } else {
            return Err(Failure::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'")));
        };
        let path = field.split('.').map(str::to_owned).collect();
        terms.push(Term { path, value: value.to_owned(), equal });
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::content::builtin_kinds;

    fn pods() -> Kind {
        builtin_kinds().into_iter().find(|kind| kind.plural == "pods").expect("pods")
    }

    #[test]
    fn label_selectors_select_as_the_real_ones_do() {
        let object = json!({ "metadata": { "labels": { "a": "1", "b": "x", "e": "" } } });
        for (text, selected) in [
            ("", true),
            ("a", true),
            ("!a", false),
            ("z", false),
            ("!z", true),
            ("a=1", true),
            ("a==1,b=x", true),
            ("a = 1 , b in (y, x)", true),
            ("a!=1", false),
            ("z!=1", true),
            ("b notin (x)", false),
            ("z notin (x)", true),
            ("e=", true),
            ("a>0", true),
            ("a<1", false),
            ("a=1,b=y", false),
        ] {
            let selector = Selector::parse(text, "").expect(text);
            assert_eq!(selector.matches(&object), selected, "{text}");
        }
    }

    #[test]
    fn selectors_that_say_nothing_are_bad_requests() {
        for (labels, fields) in [("a in x", ""), ("a,,b", ""), ("=", ""), ("", "spec.foo=1"), ("", "metadata.name")] {
            let refused =
                Selector::parse(labels, fields).and_then(|selector| selector.of(&pods())).expect_err("a refusal");
            assert_eq!(refused.code(), 400, "{labels} {fields}");
        }
    }

    #[test]
    fn field_selectors_look_at_fields() {
        let object =
            json!({ "metadata": { "name": "p" }, "spec": { "nodeName": "n" }, "status": { "phase": "Running" } });
        for (text, selected) in [
            ("metadata.name=p", true),
            ("metadata.name!=p", false),
            ("spec.nodeName=n,status.phase!=Failed", true),
            ("spec.nodeName=", false),
            ("spec.hostNetwork=false", true),
        ] {
            let selector = Selector::parse("", text).expect(text);
            assert_eq!(selector.matches(&object), selected, "{text}");
        }
    }
}
