//! Sets of fields, as they are written in managed fields.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{super::types::Shape, TypeId, Types, is_named};

/// A set of fields: a tree whose edges are named as in managed fields (`f:spec`, `k:{"name":"x"}`, `v:"x"`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Fields {
    /// Whether what this node stands for is itself in the set.
    pub(super) here: bool,
    pub(super) below: BTreeMap<Box<str>, Fields>,
}

impl Fields {
    /// The set of one field with the given names.
    pub fn of_path(names: &[&str]) -> Self {
        let mut set = Self::default();
        set.insert(&names.iter().map(|name| super::field(name)).collect::<Vec<_>>());
        set
    }

    pub(super) fn insert(&mut self, path: &[Box<str>]) {
        let mut at = self;
        for step in path {
            at = at.below.entry(step.clone()).or_default();
        }
        // Nobody owns the whole object.
        at.here = !path.is_empty();
    }

    pub fn is_empty(&self) -> bool {
        self.below.is_empty()
    }

    /// Whether a child is in the set.
    pub(super) fn has(&self, step: &str) -> bool {
        self.below.get(step).is_some_and(|node| node.here)
    }

    /// What of the set lies below a child.
    pub(super) fn under(&self, step: &str) -> Option<&Self> {
        self.below.get(step).filter(|node| !node.below.is_empty())
    }

    pub fn union(mut self, other: Self) -> Self {
        self.here |= other.here;
        if self.below.is_empty() {
            self.below = other.below;
            return self;
        }
        for (step, node) in other.below {
            match self.below.get_mut(&step) {
                Some(mine) => *mine = std::mem::take(mine).union(node),
                None => {
                    self.below.insert(step, node);
                }
            }
        }
        self
    }

    pub fn intersection(&self, other: &Self) -> Self {
        let both = self.below.iter().filter_map(|(step, mine)| {
            let common = mine.intersection(other.below.get(step)?);
            (common.here || !common.is_empty()).then(|| (step.clone(), common))
        });
        Self { here: self.here && other.here, below: both.collect() }
    }

    /// What is in this set and not in the other; a child stays where only its parent is in the other.
    pub fn difference(mut self, other: &Self) -> Self {
        self.here &= !other.here;
        if !other.below.is_empty() {
            self.below.retain(|step, mine| {
                if let Some(theirs) = other.below.get(step) {
                    *mine = std::mem::take(mine).difference(theirs);
                }
                mine.here || !mine.is_empty()
            });
        }
        self
    }

    /// What is in this set, without what is in the other and everything below that.
    pub fn without(mut self, other: &Self) -> Self {
        if !other.below.is_empty() {
            self.below.retain(|step, mine| {
                match other.below.get(step) {
                    Some(theirs) if theirs.here => return false,
                    Some(theirs) => *mine = std::mem::take(mine).without(theirs),
                    None => {}
                }
                mine.here || !mine.is_empty()
            });
        }
        self
    }

    /// With the fields that have names in the schema, if anything below them is in the set.
    pub fn with_parents(&self, types: &Types, id: Option<TypeId>) -> Self {
        let below = self.below.iter().map(|(step, node)| {
            let (named, of) = match (id, step.strip_prefix("f:")) {
                (Some(id), Some(name)) => (is_named(types, id, name), next(types, id, name)),
                (Some(id), None) if step.starts_with("k:") => match types.shape(id) {
                    Shape::List(list) => (false, Some(list.item)),
                    _ => (false, None),
                },
                _ => (false, None),
            };
            let mut filled = node.with_parents(types, of);
            filled.here |= named && !node.below.is_empty();
            (step.clone(), filled)
        });
        Self { here: self.here, below: below.collect() }
    }

    /// The paths of the set, as people read them: at each level first the members, then what is below.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        for (step, _) in self.below.iter().filter(|(_, node)| node.here) {
            paths.push(format!("{prefix}{}", shown(step)));
        }
        for (step, node) in self.below.iter().filter(|(_, node)| !node.is_empty()) {
            node.collect_paths(&format!("{prefix}{}", shown(step)), paths);
        }
    }

    /// As it is written.
    pub fn write(&self) -> Value {
        let mut map = Map::new();
        if self.here && !self.below.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (step, node) in &self.below {
            map.insert(step.to_string(), node.write());
        }
        Value::Object(map)
    }

    /// Nothing for what is no set.
    pub fn read(value: &Value) -> Option<Self> {
        let mut set = Self::read_node(value)?;
        set.here = false;
        Some(set)
    }

    fn read_node(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        let mut node = Self { here: map.is_empty(), below: BTreeMap::new() };
        for (step, value) in map {
            if step == "." {
                node.here = true;
            } else if matches!(step.get(..2), Some("f:" | "k:" | "v:" | "i:")) {
                node.below.insert(step.as_str().into(), Self::read_node(value)?);
            } else {
                return None;
            }
        }
        Some(node)
    }
}

fn next(types: &Types, id: TypeId, name: &str) -> Option<TypeId> {
    match types.shape(id) {
        Shape::Any => Some(id),
        shape => shape.child(name),
    }
}

/// A step as people read it.
pub(in super::super) fn shown(step: &str) -> String {
    let (kind, rest) = step.split_at(2.min(step.len()));
    match kind {
        "f:" => format!(".{rest}"),
        "v:" => format!("[={rest}]"),
        "k:" => match serde_json::from_str::<Map<String, Value>>(rest) {
            Ok(keys) => {
                let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("[{}]", keys.join(","))
            }
            Err(_) => format!("[{rest}]"),
        },
        _ => format!("[{rest}]"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(value: Value) -> Fields {
        Fields::read(&value).unwrap()
    }

    #[test]
    fn a_set_is_written_as_it_was_read() {
        let written =
            json!({ "f:a": {}, "f:b": { ".": {}, "k:{\"name\":\"x\"}": { "f:c": {} } }, "f:d": { "v:\"y\"": {} } });
        assert_eq!(set(written.clone()).write(), written);
        assert_eq!(
            set(written).paths(),
            [".a", ".b", ".b[name=\"x\"].c", ".d[=\"y\"]"],
            "members come before what lies below"
        );
    }

    #[test]
    fn a_difference_keeps_children_whose_parent_is_taken_and_a_cut_does_not() {
        let (all, parent) = (set(json!({ "f:a": { ".": {}, "f:b": {} } })), set(json!({ "f:a": {} })));
        assert_eq!(all.clone().difference(&parent), set(json!({ "f:a": { "f:b": {} } })));
        assert!(all.clone().without(&parent).is_empty());
        assert_eq!(all.intersection(&parent), parent);
        assert_eq!(parent.union(set(json!({ "f:a": { "f:b": {} } }))), all);
    }

    #[test]
    fn what_is_no_set_is_not_read() {
        assert!(Fields::read(&json!({ "a": {} })).is_none());
        assert!(Fields::read(&json!({ "f:a": 1 })).is_none());
        assert!(Fields::read(&json!([])).is_none());
    }
}
