//! Compiles the schema of a CustomResourceDefinition.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};

use super::{
    check::Check,
    table,
    types::{Field, List, ListType, Merge, Patch, Presence, Scalar, Schema, Shape, Struct, TypeId, Types},
};

/// More schemas than these are compiled again when they are needed.
const MOST_KNOWN: usize = 64;

/// What a schema says about a value beyond its shape.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Whether `null` is a value.
    pub nullable: Nullable,
    pub default: Option<Value>,
}

/// Whether `null` is a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Nullable {
    Yes,
    #[default]
    No,
}

/// As [`compile`], once for all servers that have the same definition.
pub(super) fn compiled(schema: Option<&Value>) -> Arc<Schema> {
    static KNOWN: Mutex<Vec<(Option<Value>, Arc<Schema>)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, compiled)) = known.iter().find(|(source, _)| source.as_ref() == schema) {
        return Arc::clone(compiled);
    }
    let compiled = Arc::new(compile(schema));
    if known.len() >= MOST_KNOWN {
        known.remove(0);
    }
    known.push((schema.cloned(), Arc::clone(&compiled)));
    compiled
}

/// The schema of one version of a custom kind; of anything at all where the definition has none.
fn compile(schema: Option<&Value>) -> Schema {
    let mut types = Types::default();
    let any = Value::Object(Map::from_iter([("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true))]));
    let schema = schema.unwrap_or(&any);
    let root = Compiler { types: &mut types }.root(schema);
    Schema { types: Arc::new(types), root, check: Some(Arc::new(Check::compile(schema))) }
}

struct Compiler<'a> {
    types: &'a mut Types,
}

impl Compiler<'_> {
    fn root(&mut self, schema: &Value) -> TypeId {
        let shape = self.resource(schema);
        self.types.add_ruled(shape, rules(schema))
    }

    /// An object that has a kind and metadata.
    fn resource(&mut self, schema: &Value) -> Shape {
        let mut shape = if let Shape::Struct(shape) = self.shape(schema) {
            shape
        } else {
            let rest = Some(self.types.add(Shape::Any));
            Struct { name: "".into(), fields: BTreeMap::new(), rest, merge: Merge::Granular }
        };
        let text = self.types.add(Shape::Scalar(Scalar::Text));
        for name in ["apiVersion", "kind"] {
            shape.fields.insert(name.into(), as_is(text));
        }
        if let Some(metadata) = table::metadata_into(self.types) {
            shape.fields.insert("metadata".into(), as_is(metadata));
        }
        Shape::Struct(shape)
    }

    fn compile(&mut self, schema: &Value) -> TypeId {
        let shape =
            if says(schema, "x-kubernetes-embedded-resource") { self.resource(schema) } else { self.shape(schema) };
        self.types.add_ruled(shape, rules(schema))
    }

    fn shape(&mut self, schema: &Value) -> Shape {
        if says(schema, "x-kubernetes-int-or-string") {
            // An apply takes anything here, and leaves the rest to the judges.
            return Shape::Scalar(Scalar::Raw);
        }
        match schema["type"].as_str() {
            Some("object") => self.object(schema),
            Some("array") => {
                let by = match schema["x-kubernetes-list-type"].as_str() {
                    Some("set") => ListType::Set,
                    Some("map") => ListType::Map(words(&schema["x-kubernetes-list-map-keys"])),
                    _ => ListType::Atomic,
                };
                Shape::List(List { item: self.compile(&schema["items"]), by })
            }
            Some("string") => Shape::Scalar(Scalar::Text),
            Some("integer") => Shape::Scalar(Scalar::Int64),
            Some("number") => Shape::Scalar(Scalar::Float),
            Some("boolean") => Shape::Scalar(Scalar::Bool),
            _ => Shape::Any,
        }
    }

    fn object(&mut self, schema: &Value) -> Shape {
        let merge = if schema["x-kubernetes-map-type"] == "atomic" { Merge::Atomic } else { Merge::Granular };
        let additional = match &schema["additionalProperties"] {
            Value::Object(of) => Some(self.compile(&Value::Object(of.clone()))),
            Value::Bool(true) => Some(self.types.add(Shape::Any)),
            _ => None,
        };
        let Some(properties) = schema["properties"].as_object() else {
            return match additional {
                Some(value) => Shape::Map { value, merge },
                None if says(schema, "x-kubernetes-preserve-unknown-fields") => Shape::Any,
                None => Shape::Struct(Struct { name: "".into(), fields: BTreeMap::new(), rest: None, merge }),
            };
        };
        let fields = properties.iter().map(|(name, of)| (name.as_str().into(), as_is(self.compile(of)))).collect();
        let rest = additional
            .or_else(|| says(schema, "x-kubernetes-preserve-unknown-fields").then(|| self.types.add(Shape::Any)));
        Shape::Struct(Struct { name: "".into(), fields, rest, merge })
    }
}

fn as_is(id: TypeId) -> Field {
    Field { id, presence: Presence::AsIs, default: None, patch: Patch::Usual }
}

fn rules(schema: &Value) -> Option<Box<Rules>> {
    let nullable = if says(schema, "nullable") { Nullable::Yes } else { Nullable::No };
    let default = schema.get("default").filter(|default| !default.is_null()).cloned();
    (nullable == Nullable::Yes || default.is_some()).then(|| Box::new(Rules { nullable, default }))
}

pub(super) fn says(schema: &Value, what: &str) -> bool {
    schema[what] == Value::Bool(true)
}

pub(super) fn words(list: &Value) -> Vec<Box<str>> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}
