//! What two objects differ in, field by field.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Fields, Form, List, Shape, TypeId, Types, child, field, form, is_named, item_key};

/// What of an object is not as in another one.
#[derive(Debug, Default)]
pub(in super::super) struct Difference {
    pub added: Fields,
    pub changed: Fields,
    pub removed: Fields,
}

impl Difference {
    /// Without fields that count for nothing.
    pub fn without(&self, ignored: &Fields) -> Self {
        Self {
            added: self.added.without(ignored),
            changed: self.changed.without(ignored),
            removed: self.removed.without(ignored),
        }
    }
}

/// Compares two objects of a type.
pub(in super::super) fn compare(types: &Types, id: TypeId, old: &Value, new: &Value) -> Difference {
    let mut walk = Walk { types, path: Vec::new(), found: Difference::default() };
    walk.compare(id, Some(old), Some(new));
    walk.found
}

struct Walk<'a> {
    types: &'a Types,
    path: Vec<Box<str>>,
    found: Difference,
}

impl Walk<'_> {
    fn compare(&mut self, id: TypeId, old: Option<&Value>, new: Option<&Value>) {
        if old == new {
            return;
        }
        let shape = self.types.shape(id);
        let mut leaf = false;
        match (old.map(|old| form(shape, old)), new.map(|new| form(shape, new))) {
            (Some(one), None) | (None, Some(one)) => leaf = self.compare_as(id, one, old, new),
            (Some(one), Some(other)) if one == other => leaf = self.compare_as(id, one, old, new),
            (Some(one), Some(other)) => {
                // A value without a type that has become another kind of value.
                for form in [one, other] {
                    leaf |= self.compare_as(id, form, old, new);
                }
            }
            (None, None) => {}
        }
        if !leaf {
            if old.is_none() {
                self.found.added.insert(&self.path);
            } else if new.is_none() {
                self.found.removed.insert(&self.path);
            }
        }
    }

    /// Whether the value was compared as a whole.
    fn compare_as(&mut self, id: TypeId, form: Form, old: Option<&Value>, new: Option<&Value>) -> bool {
        match form {
            Form::Fields => {
                let (old_map, new_map) = (map(old), map(new));
                if old_map.is_none_or(Map::is_empty) && new_map.is_none_or(Map::is_empty) {
                    self.leaf(old, new);
                    return true;
                }
                for (name, old) in old_map.into_iter().flatten() {
                    self.step(
                        field(name),
                        child(self.types, id, name),
                        Some(old),
                        new_map.and_then(|new| new.get(name)),
                    );
                }
                for (name, new) in new_map.into_iter().flatten() {
                    if old_map.is_none_or(|old| !old.contains_key(name)) {
                        self.step(field(name), child(self.types, id, name), None, Some(new));
                    }
                }
                false
            }
            Form::Items => {
                let (old_items, new_items) = (items(old), items(new));
                let Shape::List(list) = self.types.shape(id) else { return false };
                if old_items.is_empty() && new_items.is_empty() {
                    self.leaf(old, new);
                    return true;
                }
                self.compare_items(list, old_items, new_items);
                false
            }
            Form::Leaf => {
                self.leaf(old, new);
                true
            }
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        let set = match (old, new) {
            (None, _) => &mut self.found.added,
            (_, None) => &mut self.found.removed,
            _ => &mut self.found.changed,
        };
        set.insert(&self.path);
    }

    fn step(&mut self, step: Box<str>, id: TypeId, old: Option<&Value>, new: Option<&Value>) {
        self.path.push(step);
        self.compare(id, old, new);
        self.path.pop();
    }

    fn compare_items(&mut self, list: &List, old: &[Value], new: &[Value]) {
        let (old, new) = (by_key(self.types, list, old), by_key(self.types, list, new));
        let nothing = Vec::new();
        for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
            let (mine, theirs) = (old.get(key).unwrap_or(&nothing), new.get(key).unwrap_or(&nothing));
            match (mine.as_slice(), theirs.as_slice()) {
                ([] | [_], [] | [_]) => {
                    self.step(key.clone(), list.item, mine.first().copied(), theirs.first().copied());
                }
                // Items of one key are one thing, for as long as there are several of them.
                ([_, _, ..], [_, _, ..]) => {
                    if mine != theirs {
                        let path = self.at(key);
                        self.found.changed.insert(&path);
                    }
                }
                ([_, _, ..], _) => {
                    if let Some(only) = theirs.first() {
                        self.step(key.clone(), list.item, None, Some(only));
                    }
                    let path = self.at(key);
                    self.found.removed.insert(&path);
                }
                (_, [_, _, ..]) => {
                    if let Some(only) = mine.first() {
                        self.step(key.clone(), list.item, Some(only), None);
                    }
                    let path = self.at(key);
                    self.found.added.insert(&path);
                }
            }
        }
    }

    fn at(&self, key: &str) -> Vec<Box<str>> {
        let mut path = self.path.clone();
        path.push(key.into());
        path
    }
}

fn map(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn by_key<'a>(types: &Types, list: &List, items: &'a [Value]) -> BTreeMap<Box<str>, Vec<&'a Value>> {
    let mut found: BTreeMap<Box<str>, Vec<&Value>> = BTreeMap::new();
    for item in items {
        if let Ok(key) = item_key(types, list, item) {
            found.entry(key).or_default().push(item);
        }
    }
    found
}

/// Every field of an object.
pub(in super::super) fn fields_of(types: &Types, id: TypeId, value: &Value) -> Fields {
    let mut set = Fields::default();
    add_fields(types, id, value, &mut set);
    set.here = false;
    set
}

fn add_fields(types: &Types, id: TypeId, value: &Value, set: &mut Fields) {
    match form(types.shape(id), value) {
        Form::Leaf => set.here = true,
        Form::Fields => {
            for (name, value) in value.as_object().into_iter().flatten() {
                let mut below = Fields::default();
                add_fields(types, child(types, id, name), value, &mut below);
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                below.here |= empty || !is_named(types, id, name);
                if below.here || !below.is_empty() {
                    set.below.insert(field(name), below);
                }
            }
        }
        Form::Items => {
            let Shape::List(list) = types.shape(id) else { return };
            for (key, same) in by_key(types, list, items(Some(value))) {
                let mut below = Fields::default();
                if let [only] = same.as_slice() {
                    add_fields(types, list.item, only, &mut below);
                }
                below.here = true;
                set.below.insert(key, below);
            }
        }
    }
}
