//! Takes fields out of an object.

use serde_json::{Map, Value};

use super::{Fields, Form, Shape, TypeId, Types, child, field, form, item_key};

/// The object without the fields of a set. What is empty then is `null`, which reading the object drops.
pub(in super::super) fn remove(types: &Types, id: TypeId, value: &Value, set: &Fields) -> Value {
    let shape = types.shape(id);
    match (form(shape, value), value) {
        (Form::Fields, Value::Object(map)) => {
            let mut rest = Map::new();
            for (name, value) in map {
                let step = field(name);
                if set.has(&step) {
                    continue;
                }
                let value = match set.under(&step) {
                    Some(set) => remove(types, child(types, id, name), value, set),
                    None => value.clone(),
                };
                rest.insert(name.clone(), value);
            }
            if rest.is_empty() { Value::Null } else { Value::Object(rest) }
        }
        (Form::Items, Value::Array(items)) => {
            let Shape::List(list) = shape else { return value.clone() };
            let mut rest = Vec::new();
            for item in items {
                let Ok(key) = item_key(types, list, item) else {
                    rest.push(item.clone());
                    continue;
                };
                if set.has(&key) {
                    continue;
                }
                rest.push(match set.under(&key) {
                    Some(set) => remove(types, list.item, item, set),
                    None => item.clone(),
                });
            }
            if rest.is_empty() { Value::Null } else { Value::Array(rest) }
        }
        (Form::Leaf, _) if matches!(shape, Shape::Scalar(_)) => value.clone(),
        _ => Value::Null,
    }
}
