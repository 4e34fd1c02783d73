//! Whether an applied object fits its type.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::types::{ListType, Scalar, Shape},
    TypeId, Types, item_key, shown,
};

const DUPLICATE: &str = ": duplicate entries for key ";

/// What of an applied object does not fit, with its path.
pub(in super::super) fn fit(types: &Types, id: TypeId, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    judge(types, id, value, "", &mut faults);
    faults
}

/// Whether a written object fits. The same item may be in a list twice.
pub(in super::super) fn fits(types: &Types, id: TypeId, value: &Value) -> bool {
    fit(types, id, value).iter().all(|fault| fault.contains(DUPLICATE))
}

fn judge(types: &Types, id: TypeId, value: &Value, path: &str, faults: &mut Vec<String>) {
    let mut wrong = |words: String| faults.push(if path.is_empty() { words } else { format!("{path}: {words}") });
    if value.is_null() {
        return;
    }
    match types.shape(id) {
        Shape::Any | Shape::Scalar(Scalar::Raw) => {}
        Shape::Scalar(Scalar::IntOrText | Scalar::Quantity) => {
            if value.is_object() || value.is_array() {
                wrong(format!("expected any scalar, got {}", plain(value)));
            }
        }
        Shape::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Float) => {
            if !value.is_number() {
                wrong(format!("expected numeric (int or float), got {}", go_type(value)));
            }
        }
        Shape::Scalar(Scalar::Bool) => {
            if !value.is_boolean() {
                wrong(format!("expected boolean, got {}", plain(value)));
            }
        }
        Shape::Scalar(_) => {
            if !value.is_string() {
                wrong(format!("expected string, got {}", go(value)));
            }
        }
        Shape::List(list) => {
            let Some(items) = value.as_array() else { return wrong(format!("expected list, got {}", plain(value))) };
            let mut seen = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                let step = if list.by == ListType::Atomic {
                    format!("[{index}]")
                } else {
                    let key = match item_key(types, list, item) {
                        Ok(key) => key,
                        Err(words) => return faults.push(format!("{path}: element {index}: {words}")),
                    };
                    let step = shown(&key);
                    if !seen.insert(key) {
                        faults.push(format!("{path}{DUPLICATE}{step}"));
                    }
                    step
                };
                judge(types, list.item, item, &format!("{path}{step}"), faults);
            }
        }
        shape @ (Shape::Map { .. } | Shape::Struct(_)) => {
            let Some(map) = value.as_object() else { return wrong(format!("expected map, got {}", plain(value))) };
            for (name, value) in map {
                let path = format!("{path}.{name}");
                let Some(of) = shape.child(name) else {
                    faults.push(format!("{path}: field not declared in schema"));
                    return;
                };
                judge(types, of, value, &path, faults);
            }
        }
    }
}

/// A value as Go prints it.
fn plain(value: &Value) -> String {
    format!("&{{{}}}", printed(value))
}

fn printed(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(" ");
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", joined(items.iter().map(printed).collect())),
        Value::Object(map) => {
            format!("map[{}]", joined(map.iter().map(|(key, value)| format!("{key}:{}", printed(value))).collect()))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A value as Go shows it with its type.
fn go(value: &Value) -> String {
    format!("&value.valueUnstructured{{Value:{}}}", source(value))
}

fn source(value: &Value) -> String {
    let within = |parts: Vec<String>| format!("{}{{{}}}", go_type(value), parts.join(", "));
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Array(items) => within(items.iter().map(source).collect()),
        Value::Object(map) => within(map.iter().map(|(key, value)| format!("{key:?}:{}", source(value))).collect()),
        Value::String(_) | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
        Value::Null | Value::Number(_) => "int64",
    }
}
