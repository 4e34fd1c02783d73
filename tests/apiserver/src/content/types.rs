//! The types of an object's fields, for built-in and custom kinds alike.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{check::Check, structural::Rules};

/// The type of one kind.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(super) types: Arc<Types>,
    pub(super) root: TypeId,
    /// What a CustomResourceDefinition asks of values.
    pub(super) check: Option<Arc<Check>>,
}

/// Types that refer to each other.
#[derive(Debug, Default)]
pub(super) struct Types {
    nodes: Vec<Node>,
}

/// One of [`Types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TypeId(usize);

#[derive(Debug)]
pub(super) struct Node {
    pub shape: Shape,
    /// What a scalar is called in Go, if it has a name.
    pub name: Option<Box<str>>,
    /// What a CustomResourceDefinition says beyond the shape.
    pub rules: Option<Box<Rules>>,
}

#[derive(Debug)]
pub(super) enum Shape {
    Scalar(Scalar),
    List(List),
    Map {
        value: TypeId,
        merge: Merge,
    },
    Struct(Struct),
    /// No type: maps are merged, lists and scalars replaced.
    Any,
}

#[derive(Debug)]
pub(super) struct List {
    pub item: TypeId,
    pub by: ListType,
}

#[derive(Debug)]
pub(super) struct Struct {
    /// As it is named to people.
    pub name: Box<str>,
    pub fields: BTreeMap<Box<str>, Field>,
    /// The type of fields that are not named, where they are kept.
    pub rest: Option<TypeId>,
    pub merge: Merge,
}

/// Whether parts of a value have owners of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    Granular,
    Atomic,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ListType {
    Atomic,
    Set,
    Map(Vec<Box<str>>),
}

#[derive(Debug)]
pub(super) struct Field {
    pub id: TypeId,
    pub presence: Presence,
    pub default: Option<Value>,
    pub patch: Patch,
}

/// When a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Unless it is zero or empty.
    NotEmpty,
    /// Always, also if it was not given.
    Always,
    /// If it was given, even if it is zero.
    Given,
    /// `null` if it was not given.
    GivenOrNull,
    /// As a custom resource: as it is.
    AsIs,
}

/// How a strategic merge patch treats a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Patch {
    /// Objects are merged, lists replaced.
    Usual,
    /// An object is replaced.
    Whole,
    /// A list of scalars is added to.
    Union,
    /// Items of a list are merged by this key.
    MergeBy(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Text,
    Int32,
    Int64,
    Float,
    Bool,
    Quantity,
    IntOrText,
    Time,
    MicroTime,
    Duration,
    /// Base64.
    Bytes,
    /// A piece of JSON that nobody looks into.
    Raw,
}

impl Types {
    pub fn add(&mut self, shape: Shape) -> TypeId {
        self.add_ruled(shape, None)
    }

    pub fn add_ruled(&mut self, shape: Shape, rules: Option<Box<Rules>>) -> TypeId {
        self.nodes.push(Node { shape, name: None, rules });
        TypeId(self.nodes.len() - 1)
    }

    pub fn add_named(&mut self, shape: Shape, name: Option<&str>) -> TypeId {
        self.nodes.push(Node { shape, name: name.map(Into::into), rules: None });
        TypeId(self.nodes.len() - 1)
    }

    /// Puts a type where there was a place holder.
    pub fn put(&mut self, id: TypeId, shape: Shape) {
        if let Some(node) = self.nodes.get_mut(id.0) {
            node.shape = shape;
        }
    }

    pub fn node(&self, id: TypeId) -> &Node {
        &self.nodes[id.0]
    }

    pub fn shape(&self, id: TypeId) -> &Shape {
        &self.node(id).shape
    }
}

impl Shape {
    /// The type of a field or of a map's value by its name.
    pub fn child(&self, name: &str) -> Option<TypeId> {
        match self {
            Self::Struct(of) => of.fields.get(name).map(|field| field.id).or(of.rest),
            Self::Map { value, .. } => Some(*value),
            _ => None,
        }
    }
}
