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
    pub fn without(self, ignored: &Fields) -> Self {
        Self {
            added: self.added.without(ignored),
            changed: self.changed.without(ignored),
            removed: self.removed.without(ignored),
        }
    }

    fn put(&mut self, step: Box<str>, below: Self) {
        let Self { added, changed, removed } = below;
        let sets = [(&mut self.added, added), (&mut self.changed, changed), (&mut self.removed, removed)];
        for (set, below) in sets.into_iter().filter(|(_, below)| below.here || !below.is_empty()) {
            match set.below.get_mut(&step) {
                Some(known) => *known = std::mem::take(known).union(below),
                None => {
                    set.below.insert(step.clone(), below);
                }
            }
        }
    }
}

/// Compares two objects of a type.
pub(in super::super) fn compare(types: &Types, id: TypeId, old: &Value, new: &Value) -> Difference {
    let mut found = difference(types, id, Some(old), Some(new));
    // Nobody owns the whole object.
    for set in [&mut found.added, &mut found.changed, &mut found.removed] {
        set.here = false;
    }
    found
}

fn difference(types: &Types, id: TypeId, old: Option<&Value>, new: Option<&Value>) -> Difference {
    let mut found = Difference::default();
    if old == new {
        return found;
    }
    let shape = types.shape(id);
    let whole = match (old.map(|old| form(shape, old)), new.map(|new| form(shape, new))) {
        (Some(one), Some(other)) if one != other => {
            // A value without a type that has become another kind of value.
            let first = compare_as(types, id, one, old, new, &mut found);
            compare_as(types, id, other, old, new, &mut found) || first
        }
        (Some(one), _) | (None, Some(one)) => compare_as(types, id, one, old, new, &mut found),
        (None, None) => true,
    };
    if !whole {
        found.added.here |= old.is_none();
        found.removed.here |= new.is_none();
    }
    found
}

/// Whether the value was compared as a whole.
fn compare_as(
    types: &Types,
    id: TypeId,
    form: Form,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Difference,
) -> bool {
    match form {
        Form::Leaf => {
            compare_whole(old, new, found);
            true
        }
        Form::Fields => {
            let (old_map, new_map) = (map(old), map(new));
            if old_map.is_none_or(Map::is_empty) && new_map.is_none_or(Map::is_empty) {
                compare_whole(old, new, found);
                return true;
            }
            let mut step = |name: &str, old: Option<&Value>, new: Option<&Value>| {
                if old != new {
                    found.put(field(name), difference(types, child(types, id, name), old, new));
                }
            };
            for (name, old) in old_map.into_iter().flatten() {
                step(name, Some(old), new_map.and_then(|new| new.get(name)));
            }
            for (name, new) in new_map.into_iter().flatten() {
                if old_map.is_none_or(|old| !old.contains_key(name)) {
                    step(name, None, Some(new));
                }
            }
            false
        }
        Form::Items => {
            let (old_items, new_items) = (items(old), items(new));
            let Shape::List(list) = types.shape(id) else { return false };
            if old_items.is_empty() && new_items.is_empty() {
                compare_whole(old, new, found);
                return true;
            }
            compare_items(types, list, old_items, new_items, found);
            false
        }
    }
}

fn compare_whole(old: Option<&Value>, new: Option<&Value>, found: &mut Difference) {
    match (old, new) {
        (None, _) => found.added.here = true,
        (_, None) => found.removed.here = true,
        _ => found.changed.here = true,
    }
}

fn compare_items(types: &Types, list: &List, old: &[Value], new: &[Value], found: &mut Difference) {
    let (old, new) = (by_key(types, list, old), by_key(types, list, new));
    let nothing = Vec::new();
    for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
        let (mine, theirs) = (old.get(key).unwrap_or(&nothing), new.get(key).unwrap_or(&nothing));
        let one = |items: &[&Value], others: &[&Value]| {
            difference(types, list.item, items.first().copied(), others.first().copied())
        };
        let below = match (mine.as_slice(), theirs.as_slice()) {
            ([] | [_], [] | [_]) => one(mine, theirs),
            // Items of one key are one thing, for as long as there are several of them.
            ([_, _, ..], [_, _, ..]) => {
                let mut below = Difference::default();
                below.changed.here = mine != theirs;
                below
            }
            ([_, _, ..], _) => {
                let mut below = one(&[], theirs);
                below.removed.here = true;
                below
            }
            (_, [_, _, ..]) => {
                let mut below = one(mine, &[]);
                below.added.here = true;
                below
            }
        };
        found.put(key.clone(), below);
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
