//! Reading an object of a built-in kind as its type: what the server writes back is what its types can hold.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    bytes,
    quantity::Quantity,
    types::{Field, Presence, Scalar, Schema, Shape, Struct, TypeId, Types},
};

/// A value of the wrong type, in the words of Go's decoder.
pub(super) type Wrong = String;

/// Reads an object in place and answers with the paths of unknown fields, which are gone.
pub(super) fn typed(schema: &Schema, object: &mut Value) -> Result<Vec<String>, Wrong> {
    let mut reader = Reader { types: &schema.types, path: Vec::new(), unknown: Vec::new() };
    reader.read(schema.root, object)?;
    Ok(reader.unknown)
}

/// The object that has nothing set, as its type writes it.
pub(super) fn empty(schema: &Schema) -> Value {
    let mut object = Value::Object(Map::new());
    // An object without fields has no field of the wrong type.
    let _ = typed(schema, &mut object);
    object
}

struct Reader<'a> {
    types: &'a Types,
    path: Vec<Step<'a>>,
    unknown: Vec<String>,
}

/// Where the reader is; told only if something is wrong.
enum Step<'a> {
    Field(&'a str, &'a str),
    Index(usize),
    Key(String),
}

impl<'a> Reader<'a> {
    fn read(&mut self, id: TypeId, value: &mut Value) -> Result<(), Wrong> {
        let types = self.types;
        match types.shape(id) {
            Shape::Any | Shape::Scalar(Scalar::Raw) => Ok(()),
            Shape::Scalar(scalar) => self.scalar(id, *scalar, value),
            Shape::List(list) => {
                let Value::Array(items) = value else { return Err(self.wrong(value, &go_name(types, id))) };
                for (index, item) in items.iter_mut().enumerate() {
                    self.path.push(Step::Index(index));
                    if item.is_null() {
                        *item = zero(types, list.item);
                    }
                    self.read(list.item, item)?;
                    self.path.pop();
                }
                Ok(())
            }
            Shape::Map { value: of, .. } => {
                let Value::Object(map) = value else { return Err(self.wrong(value, &go_name(types, id))) };
                for (key, item) in map {
                    self.path.push(Step::Key(key.clone()));
                    if item.is_null() {
                        *item = zero(types, *of);
                    }
                    self.read(*of, item)?;
                    self.path.pop();
                }
                Ok(())
            }
            Shape::Struct(of) => {
                let Value::Object(map) = value else { return Err(self.wrong(value, &go_name(types, id))) };
                self.fields(of, map)
            }
        }
    }

    fn fields(&mut self, of: &'a Struct, map: &mut Map<String, Value>) -> Result<(), Wrong> {
        if map.keys().any(|key| !of.fields.contains_key(key.as_str())) {
            let prefix = self.place();
            map.retain(|key, _| {
                let known = of.fields.contains_key(key.as_str());
                if !known {
                    self.unknown.push(join(&prefix, key));
                }
                known
            });
        }
        for (name, field) in &of.fields {
            match map.get_mut(&**name) {
                Some(value) if !value.is_null() => {
                    self.path.push(Step::Field(&of.name, name));
                    self.read(field.id, value)?;
                    self.path.pop();
                    settle(map, name, field);
                }
                _ => self.absent(map, name, field),
            }
        }
        Ok(())
    }

    /// What stands where nothing was given.
    fn absent(&self, map: &mut Map<String, Value>, name: &str, field: &Field) {
        let value = match (&field.default, field.presence) {
            (Some(default), _) if !is_zero(default) => default.clone(),
            (_, Presence::Always) => zero(self.types, field.id),
            (_, Presence::GivenOrNull) => Value::Null,
            _ => {
                map.remove(name);
                return;
            }
        };
        map.insert(name.to_owned(), value);
    }

    fn scalar(&self, id: TypeId, scalar: Scalar, value: &mut Value) -> Result<(), Wrong> {
        let fits = match scalar {
            Scalar::Text | Scalar::Duration => value.is_string(),
            Scalar::Bool => value.is_boolean(),
            Scalar::Float => value.is_number(),
            Scalar::Int64 => value.is_i64(),
            Scalar::Int32 => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            Scalar::IntOrText => value.is_string() || value.is_i64(),
            Scalar::Bytes => match value.as_str().map(bytes::decode) {
                Some(Err(bytes::Illegal(at))) => return Err(format!("illegal base64 data at input byte {at}")),
                Some(Ok(bytes)) => {
                    *value = STANDARD.encode(bytes).into();
                    true
                }
                None => false,
            },
            Scalar::Quantity => return quantity(value),
            Scalar::Time | Scalar::MicroTime if !value.is_string() => false,
            Scalar::Time => return time(value, "%Y-%m-%dT%H:%M:%SZ"),
            Scalar::MicroTime => return microtime(value),
            Scalar::Raw => true,
        };
        if fits { Ok(()) } else { Err(self.wrong(value, &go_name(self.types, id))) }
    }

    fn wrong(&self, value: &Value, wanted: &str) -> Wrong {
        let given = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(number) if number.is_i64() && wanted.starts_with("int") => &format!("number {number}"),
            Value::Number(number) if wanted.starts_with("int") => &format!("number {number}"),
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let owner = self.path.iter().rev().find_map(|step| match step {
            Step::Field(owner, _) => Some(*owner),
            _ => None,
        });
        let names: Vec<&str> = self
            .path
            .iter()
            .filter_map(|step| match step {
                Step::Field(_, name) => Some(*name),
                _ => None,
            })
            .collect();
        match owner {
            Some(owner) => {
                format!(
                    "json: cannot unmarshal {given} into Go struct field {owner}.{} of type {wanted}",
                    names.join(".")
                )
            }
            None => format!("json: cannot unmarshal {given} into Go value of type {wanted}"),
        }
    }

    fn place(&self) -> String {
        let mut place = String::new();
        for step in &self.path {
            match step {
                Step::Field(_, name) => place = join(&place, name),
                Step::Key(key) => place = join(&place, key),
                Step::Index(index) => place.push_str(&format!("[{index}]")),
            }
        }
        place
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// A given value, once it is read, as it is written.
fn settle(map: &mut Map<String, Value>, name: &str, field: &Field) {
    let Some(value) = map.get_mut(name) else { return };
    match field.presence {
        // No managed fields at all are a request to forget them.
        Presence::NotEmpty if name == "managedFields" && value.is_array() => {}
        Presence::NotEmpty if is_zero(value) => match &field.default {
            Some(default) if !is_zero(default) => *value = default.clone(),
            _ => {
                map.remove(name);
            }
        },
        // An empty list comes back from the store as none.
        Presence::Always if value.as_array().is_some_and(Vec::is_empty) => *value = Value::Null,
        Presence::Always if value == "" => {
            if let Some(default) = &field.default {
                *value = default.clone();
            }
        }
        _ => {}
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// The value of a type that was not given.
fn zero(types: &Types, id: TypeId) -> Value {
    match types.shape(id) {
        Shape::Scalar(scalar) => match scalar {
            Scalar::Text => "".into(),
            Scalar::Duration => "0s".into(),
            Scalar::Quantity => "0".into(),
            Scalar::Bool => false.into(),
            Scalar::Int32 | Scalar::Int64 | Scalar::Float | Scalar::IntOrText => 0.into(),
            Scalar::Time | Scalar::MicroTime | Scalar::Bytes | Scalar::Raw => Value::Null,
        },
        Shape::Struct(of) => {
            let mut map = Map::new();
            let mut reader = Reader { types, path: Vec::new(), unknown: Vec::new() };
            let _ = reader.fields(of, &mut map);
            Value::Object(map)
        }
        Shape::List(_) | Shape::Map { .. } | Shape::Any => Value::Null,
    }
}

/// A type as Go names it.
fn go_name(types: &Types, id: TypeId) -> String {
    if let Some(name) = &types.node(id).name {
        return name.to_string();
    }
    match types.shape(id) {
        Shape::Scalar(scalar) => go_type(*scalar).to_owned(),
        Shape::List(list) => format!("[]{}", go_name(types, list.item)),
        Shape::Map { value, .. } => format!("map[string]{}", go_name(types, *value)),
        Shape::Struct(of) => format!("v1.{}", of.name),
        Shape::Any => "interface {}".to_owned(),
    }
}

fn go_type(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Int32 => "int32",
        Scalar::Int64 => "int64",
        Scalar::Float => "float64",
        Scalar::Bool => "bool",
        Scalar::Bytes => "[]uint8",
        _ => "string",
    }
}

fn quantity(value: &mut Value) -> Result<(), Wrong> {
    let text = match &*value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => String::from("x"),
    };
    let Some(read) = Quantity::parse(&text) else {
        return Err(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".into()
        );
    };
    let canonical = read.canonical();
    if value.as_str() != Some(canonical.as_str()) {
        *value = canonical.into();
    }
    Ok(())
}

fn time(value: &mut Value, format: &str) -> Result<(), Wrong> {
    read_time(value, format, "2006-01-02T15:04:05Z07:00")
}

/// A time with exactly six digits behind the seconds.
fn microtime(value: &mut Value) -> Result<(), Wrong> {
    read_time(value, "%Y-%m-%dT%H:%M:%S.%6fZ", "2006-01-02T15:04:05.000000Z07:00")
}

fn read_time(value: &mut Value, format: &str, layout: &str) -> Result<(), Wrong> {
    let Some(text) = value.as_str() else { return Ok(()) };
    let place = misplaced(text, layout);
    let time = text.parse::<Timestamp>();
    let (Ok(time), None) = (time, place) else {
        let (rest, element) = place.unwrap_or((text, "2006"));
        return Err(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}"));
    };
    let written = time.strftime(format).to_string();
    if written != text {
        *value = written.into();
    }
    Ok(())
}

/// Where a text stops to be as a layout of Go's wants it: what is left of it, and what should stand there.
fn misplaced<'a>(text: &'a str, layout: &str) -> Option<(&'a str, &'static str)> {
    let elements = ["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05"];
    let mut rest = text;
    for element in elements {
        let end = element.len();
        let fits = rest.get(..end).is_some_and(|part| {
            if element.starts_with(|c: char| c.is_ascii_digit()) {
                part.bytes().all(|b| b.is_ascii_digit())
            } else {
                part == element
            }
        });
        if !fits {
            return Some((rest, element));
        }
        rest = &rest[end..];
    }
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    if layout.contains(".000000") {
        if digits < 6 {
            return Some((rest, ".000000"));
        }
        rest = &rest[7..];
    } else if digits > 0 {
        rest = &rest[digits + 1..];
    }
    let zone = rest == "Z" || (rest.len() == 6 && rest.starts_with(['+', '-']) && rest.as_bytes()[3] == b':');
    (!zone).then_some((rest, "Z07:00"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::content::table;

    fn read(kind: &str, mut object: Value) -> Value {
        typed(&table::schema(kind).unwrap(), &mut object).unwrap();
        object
    }

    #[test]
    fn unknown_fields_are_dropped_and_told() {
        let mut pod = json!({ "spec": { "containers": [{ "name": "a", "nmae": "b" }], "foo": 1 }, "bar": {} });
        let unknown = typed(&table::schema("Pod").unwrap(), &mut pod).unwrap();
        assert_eq!(unknown, ["bar", "spec.foo", "spec.containers[0].nmae"]);
        assert_eq!(pod["spec"]["containers"][0], json!({ "name": "a", "resources": {} }));
    }

    #[test]
    fn empty_values_vanish_unless_their_presence_means_something() {
        let pod = read(
            "Pod",
            json!({ "metadata": { "labels": {}, "generation": 0 }, "spec": { "hostNetwork": false, "nodeName": "",
                "securityContext": {}, "enableServiceLinks": false, "tolerations": [], "containers": [] } }),
        );
        assert_eq!(
            pod,
            json!({ "metadata": {}, "spec": { "securityContext": {}, "enableServiceLinks": false, "containers": null },
                "status": {} })
        );
    }

    #[test]
    fn quantities_and_times_are_written_in_one_way() {
        let claim = read(
            "PersistentVolumeClaim",
            json!({ "metadata": { "creationTimestamp": "2024-05-01T12:00:00.5+02:00" },
                "spec": { "resources": { "requests": { "storage": "1024Mi" } } } }),
        );
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
        assert_eq!(claim["metadata"]["creationTimestamp"], "2024-05-01T10:00:00Z");
    }

    #[test]
    fn values_of_the_wrong_type_are_refused_with_their_place() {
        for (object, words) in [
            (
                json!({ "metadata": { "name": 1 } }),
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string",
            ),
            (
                json!({ "metadata": { "labels": { "a": true } } }),
                "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            (
                json!({ "spec": { "activeDeadlineSeconds": "1" } }),
                "json: cannot unmarshal string into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64",
            ),
        ] {
            let mut object = object;
            assert_eq!(typed(&table::schema("Pod").unwrap(), &mut object).unwrap_err(), words);
        }
    }
}
