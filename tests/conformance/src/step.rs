//! A request as a sequence has it: with places for what is learned only from earlier answers, which differ on both
//! sides.
//!
//! In any text, `{{ns}}` is the sequence's namespace and `{{3:/metadata/uid}}` what the answer to step 3 has at that
//! pointer.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a request does, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Verb {
    Create,
    Get,
    List,
    Watch,
    Update,
    MergePatch,
    StrategicPatch,
    JsonPatch,
    Apply,
    Delete,
    DeleteCollection,
    Other,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Who {
    /// Somebody who may do everything.
    #[default]
    Admin,
    /// Somebody who may do a little; see [`crate::guest`].
    Guest,
    /// Somebody with a token that nobody knows.
    Stranger,
}

/// One request of a sequence.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its number, which stays when others are left out.
    pub id: usize,
    /// What it does.
    pub verb: Verb,
    /// Who sends it.
    pub who: Who,
    /// The HTTP method, or [`COMPACT`], or [`WAIT`].
    pub method: &'static str,
    /// The path, without the query.
    pub path: String,
    /// The query's names and values, not yet encoded.
    pub query: Vec<(&'static str, String)>,
    /// The body's type.
    pub content: Option<&'static str>,
    /// The body.
    pub body: Body,
}

/// Stands for the method where a step is no request: from there on, older versions are expired.
pub const COMPACT: &str = "COMPACT";

/// Stands for the method where a step is no request: the real server gets two seconds for what it does by and by.
pub const WAIT: &str = "WAIT";

/// What a request carries.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    Nothing,
    /// This, with places filled.
    Json(Value),
    /// The object that an earlier step was answered with (or this other one), changed at these pointers.
    /// Null removes.
    Changed {
        /// The step.
        from: usize,
        /// What is sent if that step was not answered with an object of this kind.
        otherwise: Value,
        /// The changes.
        set: Vec<(String, Value)>,
    },
    /// This text, whatever it is.
    Raw(&'static str),
}

/// A request in the words of one side.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// Path and query.
    pub uri: String,
    /// The body.
    pub body: String,
}

/// What one side has answered until now.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// The sequence's namespace.
    pub namespace: String,
    /// By step.
    pub answers: BTreeMap<usize, Value>,
}

impl Step {
    /// The request with this side's own values.
    pub fn words(&self, learned: &Learned) -> Words {
        let mut uri = learned.fill(&self.path);
        for (number, (name, value)) in self.query.iter().enumerate() {
            let separator = if number == 0 { '?' } else { '&' };
            uri.push_str(&format!("{separator}{name}={}", encode(&learned.fill(value))));
        }
        let body = match &self.body {
            Body::Nothing => String::new(),
            Body::Json(value) => learned.fill_all(value).to_string(),
            Body::Raw(text) => (*text).to_owned(),
            Body::Changed { from, otherwise, set } => {
                let otherwise = learned.fill_all(otherwise);
                let before = learned.answers.get(from).filter(|answer| answer["kind"] == otherwise["kind"]);
                let mut object = before.cloned().unwrap_or(otherwise);
                for (pointer, value) in set {
                    put(&mut object, pointer, learned.fill_all(value));
                }
                object.to_string()
            }
        };
        Words { uri, body }
    }
}

impl Learned {
    fn fill_all(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(items) => items.iter().map(|item| self.fill_all(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (self.fill(name), self.fill_all(value))).collect()
            }
            _ => value.clone(),
        }
    }

    fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (place, after) = after.split_once("}}").unwrap_or((after, ""));
            filled.push_str(before);
            filled.push_str(&self.look_up(place));
            rest = after;
        }
        filled + rest
    }

    fn look_up(&self, place: &str) -> String {
        if place == "ns" {
            return self.namespace.clone();
        }
        let found = place.split_once(':').and_then(|(step, pointer)| {
            self.answers.get(&step.parse().ok()?)?.pointer(pointer)?.as_str().map(str::to_owned)
        });
        found.unwrap_or_else(|| "missing".to_owned())
    }
}

/// Sets what is at a JSON pointer, making objects on the way; null removes. An index that is an array's length adds.
pub fn put(target: &mut Value, pointer: &str, value: Value) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        *target = value;
        return;
    };
    let mut place = target;
    let mut tokens = pointer.split('/').skip(1).map(unescape).peekable();
    for token in parent.split('/').skip(1).map(unescape) {
        tokens.next();
        let into_list = tokens.peek().is_some_and(|next| next.parse::<usize>().is_ok());
        place = match place {
            Value::Array(items) => {
                let Some(item) = token.parse::<usize>().ok().and_then(|index| items.get_mut(index)) else { return };
                item
            }
            // Lists are not made on the way.
            Value::Object(fields) if into_list && !fields.contains_key(&token) => return,
            Value::Object(fields) => fields.entry(token).or_insert_with(|| Value::Object(serde_json::Map::new())),
            _ => return,
        };
    }
    let last = unescape(last);
    match place {
        Value::Object(fields) if value.is_null() => {
            fields.remove(&last);
        }
        Value::Object(fields) => {
            fields.insert(last, value);
        }
        Value::Array(items) => match last.parse::<usize>() {
            Ok(index) if value.is_null() && index < items.len() => {
                items.remove(index);
            }
            Ok(index) if index < items.len() => items[index] = value,
            Ok(index) if index == items.len() && !value.is_null() => items.push(value),
            _ => {}
        },
        _ => {}
    }
}

fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// The change as a merge patch, unless it is about a part of a list.
pub fn as_merge_patch(pointer: &str, value: &Value) -> Option<Value> {
    let tokens: Vec<_> = pointer.split('/').skip(1).map(unescape).collect();
    if tokens.is_empty() || tokens.iter().any(|token| token.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let nest = |inner, token: &String| Value::Object([(token.clone(), inner)].into_iter().collect());
    Some(tokens.iter().rev().fold(value.clone(), nest))
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_side_says_what_it_has_learned() {
        let mut learned = Learned { namespace: "c1".into(), ..Learned::default() };
        learned.answers.insert(3, json!({ "kind": "Pod", "metadata": { "uid": "u-1" }, "spec": { "a": [1] } }));
        let mut step = Step {
            id: 4,
            verb: Verb::Update,
            who: Who::Admin,
            method: "PUT",
            path: "/api/v1/namespaces/{{ns}}/pods/x".into(),
            query: vec![("labelSelector", "seq={{ns}},u={{3:/metadata/uid}}".into()), ("x", "{{9:/y}}".into())],
            content: None,
            body: Body::Changed {
                from: 3,
                otherwise: json!({ "kind": "Pod" }),
                set: vec![("/spec/a/1".into(), json!(2)), ("/metadata/labels/seq".into(), json!("{{ns}}"))],
            },
        };
        let words = step.words(&learned);
        assert_eq!(words.uri, "/api/v1/namespaces/c1/pods/x?labelSelector=seq%3Dc1%2Cu%3Du-1&x=missing");
        let body: Value = serde_json::from_str(&words.body).unwrap();
        assert_eq!(
            body,
            json!({ "kind": "Pod", "metadata": { "uid": "u-1", "labels": { "seq": "c1" } }, "spec": { "a": [1, 2] } })
        );
        learned.answers.insert(3, json!({ "kind": "Status" }));
        step.query.clear();
        assert_eq!(step.words(&learned).body, r#"{"kind":"Pod","metadata":{"labels":{"seq":"c1"}},"spec":{}}"#);
    }

    #[test]
    fn a_change_inside_a_list_is_no_merge_patch() {
        assert_eq!(as_merge_patch("/spec/a~1b", &json!(1)), Some(json!({ "spec": { "a/b": 1 } })));
        assert_eq!(as_merge_patch("/spec/0/x", &json!(1)), None);
    }
}
