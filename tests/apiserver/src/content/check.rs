//! What a CustomResourceDefinition's schema asks of values.

use std::collections::BTreeMap;

use jiff::Timestamp;
use regex_lite::Regex;
use serde_json::Value;

use super::{
    faults::Faults,
    numbers::Numbers,
    structural::{says, words},
};

/// A schema, ready to judge values. Rules in CEL are not judged, and of formats only that of times.
#[derive(Debug, Default)]
pub(super) struct Check {
    kinds: Vec<&'static str>,
    nullable: bool,
    choices: Vec<Value>,
    pattern: Option<Regex>,
    format: Format,
    numbers: Numbers,
    sizes: BTreeMap<&'static str, u64>,
    distinct: bool,
    required: Vec<Box<str>>,
    properties: BTreeMap<Box<str>, Check>,
    additional: Option<Box<Check>>,
    items: Option<Box<Check>>,
    keys: Keys,
    embedded: bool,
    all_of: Vec<Check>,
    any_of: Vec<Check>,
    one_of: Vec<Check>,
    not: Option<Box<Check>>,
}

/// What a text must be.
#[derive(Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Any,
    Time,
}

/// What must be unique in a list.
#[derive(Debug, Default)]
enum Keys {
    #[default]
    Nothing,
    Items,
    Fields(Vec<Box<str>>),
}

impl Check {
    pub fn compile(schema: &Value) -> Self {
        let many = |name: &str| schema[name].as_array().into_iter().flatten().map(Self::compile).collect();
        let one = |name: &str| schema.get(name).filter(|of| of.is_object()).map(|of| Box::new(Self::compile(of)));
        let properties = schema["properties"].as_object().into_iter().flatten();
        let sizes = ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"];
        Self {
            kinds: kinds(schema),
            nullable: says(schema, "nullable"),
            choices: schema["enum"].as_array().cloned().unwrap_or_default(),
            pattern: schema["pattern"].as_str().and_then(|pattern| Regex::new(pattern).ok()),
            format: if schema["format"] == "date-time" { Format::Time } else { Format::Any },
            numbers: Numbers::read(schema),
            sizes: sizes.iter().filter_map(|name| Some((*name, schema[*name].as_u64()?))).collect(),
            distinct: says(schema, "uniqueItems"),
            required: words(&schema["required"]),
            properties: properties.map(|(name, of)| (name.as_str().into(), Self::compile(of))).collect(),
            additional: one("additionalProperties"),
            items: one("items"),
            keys: match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => Keys::Items,
                Some("map") => Keys::Fields(words(&schema["x-kubernetes-list-map-keys"])),
                _ => Keys::Nothing,
            },
            embedded: says(schema, "x-kubernetes-embedded-resource"),
            all_of: many("allOf"),
            any_of: many("anyOf"),
            one_of: many("oneOf"),
            not: one("not"),
        }
    }

    /// The check of one property, for a status that is judged alone.
    pub fn property(&self, name: &str) -> Option<&Self> {
        self.properties.get(name)
    }

    /// Judges a value. What did not change since it was stored is not judged again.
    pub fn judge(&self, path: &str, value: &Value, old: Option<&Value>, faults: &mut Faults) {
        if old == Some(value) {
            return;
        }
        if !self.judge_kind(path, value, faults) {
            return;
        }
        self.judge_choice(path, value, faults);
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.numbers.judge(path, number, faults),
            Value::String(text) => self.judge_text(path, text, faults),
            Value::Array(items) => self.judge_list(path, items, faults),
            Value::Object(map) => {
                self.judge_size(path, value, map.len(), ("minProperties", "maxProperties"), "properties", faults);
                for (name, value) in map {
                    let of = self.properties.get(name.as_str()).or(self.additional.as_deref());
                    if let Some(of) = of {
                        of.judge(&join(path, name), value, old.and_then(|old| old.get(name)), faults);
                    }
                }
                for name in self.required.iter().filter(|name| !map.contains_key(&***name)) {
                    faults.required(join(path, name), "");
                }
            }
        }
        self.judge_combined(path, value, faults);
    }

    /// Judges objects within the object: they say what they are.
    pub fn judge_embedded(&self, path: &str, value: &Value, faults: &mut Faults) {
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(of) = &self.items {
                        of.judge_embedded(&format!("{path}[{index}]"), item, faults);
                    }
                }
            }
            Value::Object(map) => {
                for name in ["apiVersion", "kind"].iter().filter(|_| self.embedded) {
                    match map.get(*name) {
                        None => faults.required(join(path, name), ""),
                        Some(Value::String(text)) if text.is_empty() => {
                            faults.invalid(join(path, name), "", "must not be empty");
                        }
                        Some(Value::String(_)) => {}
                        Some(other) => faults.invalid(join(path, name), other.clone(), "must be a string"),
                    }
                }
                for (name, value) in map {
                    if let Some(of) = self.properties.get(name.as_str()) {
                        of.judge_embedded(&join(path, name), value, faults);
                    } else if let Some(of) = &self.additional {
                        of.judge_embedded(&format!("{path}[{name}]"), value, faults);
                    }
                }
            }
            _ => {}
        }
    }

    /// Judges keys of lists, which the server does apart.
    pub fn judge_keys(&self, path: &str, value: &Value, faults: &mut Faults) {
        match value {
            Value::Array(items) => {
                let keys: Vec<Value> = match &self.keys {
                    Keys::Nothing => Vec::new(),
                    Keys::Items => items.clone(),
                    Keys::Fields(names) => items.iter().map(|item| key_of(item, names)).collect(),
                };
                for (index, key) in keys.iter().enumerate() {
                    if matches!(self.keys, Keys::Fields(_)) && !items[index].is_object() {
                        let words = "must be an object for an array of list-type map";
                        faults.invalid(format!("{path}[{index}]"), items[index].clone(), words);
                    } else if keys[..index].iter().filter(|earlier| *earlier == key).count() == 1 {
                        faults.duplicate(format!("{path}[{index}]"), key.clone());
                    }
                }
                if let Some(of) = &self.items {
                    for (index, item) in items.iter().enumerate() {
                        of.judge_keys(&format!("{path}[{index}]"), item, faults);
                    }
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    if let Some(of) = self.properties.get(name.as_str()).or(self.additional.as_deref()) {
                        of.judge_keys(&join(path, name), value, faults);
                    }
                }
            }
            _ => {}
        }
    }

    fn judge_kind(&self, path: &str, value: &Value, faults: &mut Faults) -> bool {
        let (is, fits) = match value {
            Value::Null => ("null", self.nullable || self.kinds.is_empty()),
            Value::Bool(_) => ("boolean", self.allows("boolean")),
            Value::Number(number) if number.is_i64() || number.is_u64() => {
                ("integer", self.allows("integer") || self.allows("number"))
            }
            Value::Number(number) => {
                let whole = number.as_f64().is_some_and(|number| number.fract() == 0.0);
                ("number", self.allows("number") || (whole && self.allows("integer")))
            }
            Value::String(_) => ("string", self.allows("string")),
            Value::Array(_) => ("array", self.allows("array")),
            Value::Object(_) => ("object", self.allows("object")),
        };
        if !fits {
            let wanted = self.kinds.join(",");
            faults.wrong_type(path, is, &format!("{path} in body must be of type {wanted}: \"{is}\""));
        }
        fits
    }

    fn allows(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    fn judge_choice(&self, path: &str, value: &Value, faults: &mut Faults) {
        if self.choices.is_empty() || self.choices.contains(value) || (value.is_null() && self.nullable) {
            return;
        }
        let choices: Vec<String> = self
            .choices
            .iter()
            .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned))
            .collect();
        faults.not_supported(path, value.clone(), &choices.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn judge_text(&self, path: &str, text: &str, faults: &mut Faults) {
        let length = text.chars().count() as u64;
        if let Some(most) = self.sizes.get("maxLength").filter(|most| length > **most) {
            faults.too_long(path, *most);
        }
        if let Some(least) = self.sizes.get("minLength").filter(|least| length < **least) {
            faults.invalid(path, text, &format!("{path} in body should be at least {least} chars long"));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            faults.invalid(path, text, &format!("{path} in body should match '{pattern}'"));
        }
        if self.format == Format::Time && text.parse::<Timestamp>().is_err() {
            faults.wrong_type(path, text, &format!("{path} in body must be of type date-time: {text:?}"));
        }
    }

    fn judge_list(&self, path: &str, items: &[Value], faults: &mut Faults) {
        self.judge_size(path, &Value::from(items.len()), items.len(), ("minItems", "maxItems"), "items", faults);
        if self.distinct && items.iter().enumerate().any(|(index, item)| items[..index].contains(item)) {
            faults.invalid(path, "", &format!("{path} in body shouldn't contain duplicates"));
        }
        if let Some(of) = &self.items {
            for (index, item) in items.iter().enumerate() {
                of.judge(&format!("{path}[{index}]"), item, None, faults);
            }
        }
    }

    fn judge_size(
        &self,
        path: &str,
        value: &Value,
        size: usize,
        (least, most): (&str, &str),
        what: &str,
        faults: &mut Faults,
    ) {
        if let Some(most) = self.sizes.get(most).filter(|most| size as u64 > **most) {
            faults.too_many(path, size, *most);
        }
        if let Some(least) = self.sizes.get(least).filter(|least| (size as u64) < **least) {
            faults.invalid(path, value.clone(), &format!("{path} in body should have at least {least} {what}"));
        }
    }

    fn judge_combined(&self, path: &str, value: &Value, faults: &mut Faults) {
        let judge = |check: &Self| {
            let mut found = Faults::default();
            check.judge(path, value, None, &mut found);
            found
        };
        // What is said of combinations has no field of its own.
        let refuse = |words: String, faults: &mut Faults| faults.invalid("<nil>", "", &words);
        let any: Vec<Faults> = self.any_of.iter().map(judge).collect();
        if !any.is_empty() && !any.iter().any(Faults::is_empty) {
            refuse(format!("{path:?} must validate at least one schema (anyOf)"), faults);
            faults.extend(best(any));
        }
        let one: Vec<Faults> = self.one_of.iter().map(judge).collect();
        let fitting = one.iter().filter(|found| found.is_empty()).count();
        if !one.is_empty() && fitting != 1 {
            let found = if fitting == 0 { "Found none valid" } else { &format!("Found {fitting} valid alternatives") };
            refuse(format!("{path:?} must validate one and only one schema (oneOf). {found}"), faults);
            if fitting == 0 {
                faults.extend(best(one));
            }
        }
        let all: Vec<Faults> = self.all_of.iter().map(judge).collect();
        let failing = all.iter().filter(|found| !found.is_empty()).count();
        if failing > 0 {
            let none = if failing == all.len() { ". None validated" } else { "" };
            for found in all {
                faults.extend(found);
            }
            refuse(format!("{path:?} must validate all the schemas (allOf){none}"), faults);
        }
        if self.not.as_deref().is_some_and(|check| judge(check).is_empty()) {
            refuse(format!("{path:?} must not validate the schema (not)"), faults);
        }
    }
}

/// What is told of several alternatives that all fail: the faults of the first of those that fail least.
fn best(found: Vec<Faults>) -> Faults {
    found.into_iter().min_by_key(Faults::len).unwrap_or_default()
}

fn kinds(schema: &Value) -> Vec<&'static str> {
    if says(schema, "x-kubernetes-int-or-string") {
        return vec!["integer", "string"];
    }
    ["object", "array", "string", "integer", "number", "boolean"]
        .into_iter()
        .filter(|kind| schema["type"] == *kind)
        .collect()
}

/// The fields of an item by which it must be unique.
fn key_of(item: &Value, names: &[Box<str>]) -> Value {
    names.iter().filter_map(|name| Some((name.to_string(), item.get(&**name)?.clone()))).collect()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::content::Refusal;

    fn judge(schema: Value, value: Value) -> Vec<String> {
        let mut faults = Faults::default();
        let check = Check::compile(&schema);
        check.judge("", &value, None, &mut faults);
        check.judge_keys("", &value, &mut faults);
        match faults.finish() {
            Err(Refusal::Invalid(causes)) => causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn what_does_not_fit_is_told_in_the_words_of_the_server() {
        let schema = json!({ "type": "object", "required": ["name"], "properties": {
            "name": { "type": "string", "minLength": 2, "pattern": "^[a-z]+$" },
            "mode": { "type": "string", "enum": ["a", "b"] },
            "count": { "type": "integer", "minimum": 0, "maximum": 5 },
            "port": { "x-kubernetes-int-or-string": true },
            "when": { "type": "string", "format": "date-time" },
            "list": { "type": "array", "maxItems": 2, "items": { "type": "string" } },
            "keyed": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                "items": { "type": "object", "properties": { "type": { "type": "string" } } } } } });
        for (value, told) in [
            (json!({ "name": "ab", "count": 3, "port": "x", "mode": "a", "list": ["a"] }), &[][..]),
            (json!({ "name": "ab", "when": "2024-01-01T00:00:00.5+02:00" }), &[]),
            (
                json!({ "name": "ab", "when": "yesterday" }),
                &[r#"when: Invalid value: "yesterday": when in body must be of type date-time: "yesterday""#],
            ),
            (json!({}), &["name: Required value"]),
            (
                json!({ "name": 1 }),
                &[r#"name: Invalid value: "integer": name in body must be of type string: "integer""#],
            ),
            (json!({ "name": "A1" }), &[r#"name: Invalid value: "A1": name in body should match '^[a-z]+$'"#]),
            (json!({ "name": "ab", "mode": "c" }), &[r#"mode: Unsupported value: "c": supported values: "a", "b""#]),
            (
                json!({ "name": "ab", "count": -1 }),
                &["count: Invalid value: -1: count in body should be greater than or equal to 0"],
            ),
            (
                json!({ "name": "ab", "list": ["a", 2] }),
                &[r#"list[1]: Invalid value: "integer": list[1] in body must be of type string: "integer""#],
            ),
            (json!({ "name": "ab", "list": ["a", "b", "c"] }), &["list: Too many: 3: must have at most 2 items"]),
            (
                json!({ "name": "ab", "keyed": [{ "type": "x" }, { "type": "x" }] }),
                &[r#"keyed[1]: Duplicate value: {"type":"x"}"#],
            ),
            (
                json!({ "name": "ab", "port": true }),
                &[r#"port: Invalid value: "boolean": port in body must be of type integer,string: "boolean""#],
            ),
        ] {
            assert_eq!(judge(schema.clone(), value.clone()), told, "{value}");
        }
    }

    #[test]
    fn a_value_that_was_stored_before_is_not_judged_again() {
        let check =
            Check::compile(&json!({ "type": "object", "properties": { "a": { "enum": ["x"], "type": "string" } } }));
        let old = json!({ "a": "y", "b": 1 });
        let mut faults = Faults::default();
        check.judge("", &json!({ "a": "y", "b": 2 }), Some(&old), &mut faults);
        assert!(faults.is_empty());
        check.judge("", &json!({ "a": "z", "b": 2 }), Some(&old), &mut faults);
        assert!(!faults.is_empty());
    }
}
