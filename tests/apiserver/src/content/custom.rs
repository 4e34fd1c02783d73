//! Reading a custom resource as its schema: pruning, defaults, nulls.

use serde_json::{Map, Value};

use super::{
    Kind, Refusal,
    admit::remove,
    cannot_be_handled, decode,
    structural::{Nullable, Rules},
    types::{Schema, Shape, TypeId, Types},
};

/// Reads a custom resource in place and answers with the paths of unknown fields, which are gone.
pub(super) fn read(kind: &Kind, object: &mut Value) -> Result<Vec<String>, Refusal> {
    let schema = &kind.schema;
    write_whole_numbers(object);
    set_defaults(&schema.types, schema.root, object);
    let mut unknown = read_metadata(kind, object)?;
    prune(&schema.types, schema.root, object, &mut Path::new(&mut unknown));
    drop_nulls(&schema.types, schema.root, object);
    Ok(unknown)
}

/// Reads what an apply has made: nothing in it is unknown, and nulls that are no values are for the judges.
pub(super) fn read_applied(kind: &Kind, object: &mut Value) -> Result<(), Refusal> {
    let schema = &kind.schema;
    set_defaults(&schema.types, schema.root, object);
    let metadata = metadata_schema(schema);
    if let Some(Value::Object(fields)) = object.get_mut("metadata") {
        // What cannot be read goes.
        fields.retain(|name, value| {
            decode::typed(&metadata, &mut Value::Object(Map::from_iter([(name.clone(), value.clone())]))).is_ok()
        });
    }
    read_metadata(kind, object).map(drop)
}

/// A number without a fraction is written without one.
fn write_whole_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(write_whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers),
        Value::Number(number) if number.is_f64() => {
            // Written out, it is a whole number again if it is one.
            let text = number.as_f64().filter(|number| number.fract() == 0.0).map(|number| format!("{number:.0}"));
            if let Some(whole) = text.and_then(|text| text.parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        _ => {}
    }
}

/// As an object comes back from the store.
pub(super) fn settle(kind: &Kind, object: &mut Value) {
    drop_nulls(&kind.schema.types, kind.schema.root, object);
}

fn read_metadata(kind: &Kind, object: &mut Value) -> Result<Vec<String>, Refusal> {
    let schema = &kind.schema;
    let Some(value) = object.get_mut("metadata") else { return Ok(Vec::new()) };
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    if value["managedFields"].as_array().is_some_and(Vec::is_empty) {
        // Unlike a built-in kind's, a custom resource's metadata is read and written once more.
        remove(value, "managedFields");
    }
    let strange = decode::typed(&metadata_schema(schema), value).map_err(|words| cannot_be_handled(kind, &words))?;
    Ok(strange.into_iter().map(|path| format!("metadata.{path}")).collect())
}

fn metadata_schema(schema: &Schema) -> Schema {
    let root = schema.types.shape(schema.root).child("metadata").unwrap_or(schema.root);
    Schema { types: schema.types.clone(), root, check: None }
}

fn rules(types: &Types, id: TypeId) -> (Nullable, Option<&Value>) {
    match &types.node(id).rules {
        Some(rules) => {
            let Rules { nullable, default } = &**rules;
            (*nullable, default.as_ref())
        }
        None => (Nullable::No, None),
    }
}

fn set_defaults(types: &Types, id: TypeId, value: &mut Value) {
    let heal = |of: TypeId, value: &mut Value| {
        if value.is_null()
            && let (Nullable::No, Some(default)) = rules(types, of)
        {
            *value = default.clone();
        }
    };
    match (types.shape(id), value) {
        (Shape::Struct(of), Value::Object(map)) => {
            for (name, field) in &of.fields {
                if let Some(value) = map.get_mut(&**name) {
                    heal(field.id, value);
                    set_defaults(types, field.id, value);
                } else if let (_, Some(default)) = rules(types, field.id) {
                    let mut value = default.clone();
                    set_defaults(types, field.id, &mut value);
                    map.insert(name.to_string(), value);
                }
            }
            if let Some(rest) = of.rest {
                for (_, value) in map.iter_mut().filter(|(name, _)| !of.fields.contains_key(name.as_str())) {
                    heal(rest, value);
                    set_defaults(types, rest, value);
                }
            }
        }
        (Shape::Map { value: of, .. }, Value::Object(map)) => {
            for value in map.values_mut() {
                heal(*of, value);
                set_defaults(types, *of, value);
            }
        }
        (Shape::List(list), Value::Array(items)) => {
            for value in items {
                heal(list.item, value);
                set_defaults(types, list.item, value);
            }
        }
        _ => {}
    }
}

/// Where the pruning is, and what it has dropped.
struct Path<'a> {
    steps: Vec<String>,
    dropped: &'a mut Vec<String>,
}

impl<'a> Path<'a> {
    fn new(dropped: &'a mut Vec<String>) -> Self {
        Self { steps: Vec::new(), dropped }
    }

    fn at(&mut self, step: String, then: impl FnOnce(&mut Self)) {
        self.steps.push(step);
        then(self);
        self.steps.pop();
    }

    fn drop(&mut self, name: &str) {
        self.dropped.push(format!("{}.{name}", self.steps.concat()).trim_start_matches('.').to_owned());
    }
}

fn prune(types: &Types, id: TypeId, value: &mut Value, path: &mut Path<'_>) {
    match (types.shape(id), value) {
        (Shape::Struct(of), Value::Object(map)) => {
            if of.rest.is_none() {
                map.retain(|name, _| {
                    let known = of.fields.contains_key(name.as_str());
                    if !known {
                        path.drop(name);
                    }
                    known
                });
            }
            for (name, value) in map {
                if name == "metadata" && path.steps.is_empty() {
                    continue;
                }
                if let Some(of) = types.shape(id).child(name) {
                    path.at(format!(".{name}"), |path| prune(types, of, value, path));
                }
            }
        }
        (Shape::Map { value: of, .. }, Value::Object(map)) => {
            for (name, value) in map {
                path.at(format!(".{name}"), |path| prune(types, *of, value, path));
            }
        }
        (Shape::List(list), Value::Array(items)) => {
            for (index, value) in items.iter_mut().enumerate() {
                path.at(format!("[{index}]"), |path| prune(types, list.item, value, path));
            }
        }
        (Shape::Any, _) => {}
        // What may have any field is not looked into, whatever it is.
        (Shape::Struct(of), _) if of.rest.is_some_and(|rest| matches!(types.shape(rest), Shape::Any)) => {}
        (_, value) => empty(value, path),
    }
}

/// Where no object is expected, one loses its content, as everything unknown.
fn empty(value: &mut Value, path: &mut Path<'_>) {
    match value {
        Value::Object(map) => {
            map.keys().for_each(|name| path.drop(name));
            map.clear();
        }
        Value::Array(items) => {
            for (index, value) in items.iter_mut().enumerate() {
                path.at(format!("[{index}]"), |path| empty(value, path));
            }
        }
        _ => {}
    }
}

/// Drops `null` where it is no value and no default stands for it.
fn drop_nulls(types: &Types, id: TypeId, value: &mut Value) {
    match value {
        Value::Object(map) => {
            let shape = types.shape(id);
            map.retain(|name, value| {
                let Some(of) = shape.child(name) else { return true };
                if matches!(types.shape(of), Shape::Any) && types.node(of).rules.is_none() {
                    return true;
                }
                if value.is_null() {
                    return !matches!(rules(types, of), (Nullable::No, None));
                }
                drop_nulls(types, of, value);
                true
            });
        }
        Value::Array(items) => {
            if let Shape::List(list) = types.shape(id) {
                for value in items {
                    drop_nulls(types, list.item, value);
                }
            }
        }
        _ => {}
    }
}
