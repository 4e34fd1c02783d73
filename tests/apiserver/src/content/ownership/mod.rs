//! Which part of an object is whose: sets of fields, and what two objects differ in.

mod compare;
mod fields;
mod fit;
mod merge;
mod remove;

pub(super) use compare::{Difference, compare, fields_of};
pub(super) use fields::{Fields, shown};
pub(super) use fit::{fit, fits};
pub(super) use merge::merge;
pub(super) use remove::remove;

use serde_json::Value;

use super::types::{List, ListType, Merge, Presence, Scalar, Shape, TypeId, Types};

/// A value by its type, as ownership sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Owned as a whole.
    Leaf,
    /// Each field has owners.
    Fields,
    /// Each item has owners.
    Items,
}

fn form(shape: &Shape, value: &Value) -> Form {
    match shape {
        Shape::Scalar(_) | Shape::List(List { by: ListType::Atomic, .. }) | Shape::Map { merge: Merge::Atomic, .. } => {
            Form::Leaf
        }
        Shape::List(_) => Form::Items,
        Shape::Struct(of) if of.merge == Merge::Atomic => Form::Leaf,
        Shape::Map { .. } | Shape::Struct(_) => Form::Fields,
        Shape::Any => match value {
            Value::Object(_) | Value::Null => Form::Fields,
            _ => Form::Leaf,
        },
    }
}

/// The type of a field, or of anything where nothing is said.
fn child(types: &Types, id: TypeId, name: &str) -> TypeId {
    let shape = types.shape(id);
    match shape {
        Shape::Any => id,
        _ => shape.child(name).unwrap_or(id),
    }
}

/// Whether a field has a name in its type, other than a key in a map.
fn is_named(types: &Types, id: TypeId, name: &str) -> bool {
    matches!(types.shape(id), Shape::Struct(of) if of.fields.contains_key(name))
}

fn field(name: &str) -> Box<str> {
    format!("f:{name}").into()
}

/// What a list's item is known by. Nothing for an item that has no key.
fn item_key(types: &Types, list: &List, item: &Value) -> Result<Box<str>, String> {
    match &list.by {
        ListType::Atomic => Err("invalid indexing of non-associative list".to_owned()),
        ListType::Set => match item {
            Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
            _ => Ok(format!("v:{item}").into()),
        },
        ListType::Map(keys) => {
            let map = match item {
                Value::Object(map) => map,
                Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
                _ => return Err("associative list with keys may not have non-map elements".to_owned()),
            };
            let mut known: Vec<(&str, Value)> = keys
                .iter()
                .filter_map(|key| {
                    let value = map.get(&**key).cloned().or_else(|| default_of(types, list.item, key))?;
                    Some((&**key, value))
                })
                .collect();
            if known.is_empty() {
                let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
                return Err(format!(
                    "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
                     values for any key fields)",
                    keys.join(" ")
                ));
            }
            known.sort_by_key(|(key, _)| *key);
            let parts: Vec<String> =
                known.iter().map(|(key, value)| format!("{}:{value}", Value::from(*key))).collect();
            Ok(format!("k:{{{}}}", parts.join(",")).into())
        }
    }
}

/// What stands for a key that an item does not have.
fn default_of(types: &Types, item: TypeId, key: &str) -> Option<Value> {
    let Shape::Struct(of) = types.shape(item) else { return None };
    let field = of.fields.get(key)?;
    if let Some(default) = field.default.clone() {
        return Some(default);
    }
    if let Some(rules) = &types.node(field.id).rules {
        return rules.default.clone();
    }
    match (field.presence, types.shape(field.id)) {
        (Presence::Always, Shape::Scalar(Scalar::Text)) => Some("".into()),
        (Presence::Always, Shape::Scalar(Scalar::Int32 | Scalar::Int64)) => Some(0.into()),
        _ => None,
    }
}
