//! Lays an applied object over a live one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Form, List, Shape, TypeId, Types, child, form, item_key};

/// The live object with everything that the applied one says.
pub(in super::super) fn merge(types: &Types, id: TypeId, live: &Value, applied: &Value) -> Value {
    let shape = types.shape(id);
    let (mine, theirs) = (form(shape, live), form(shape, applied));
    match (mine, theirs) {
        (Form::Fields, Form::Fields) => {
            let (old, new) = (live.as_object(), applied.as_object());
            if old.is_none_or(Map::is_empty) && new.is_none_or(Map::is_empty) {
                return applied.clone();
            }
            let mut merged = old.cloned().unwrap_or_default();
            for (name, value) in new.into_iter().flatten() {
                let value = match merged.get(name) {
                    Some(live) => merge(types, child(types, id, name), live, value),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Form::Items, Form::Items) => {
            let Shape::List(list) = shape else { return applied.clone() };
            let nothing = Vec::new();
            let (old, new) = (live.as_array().unwrap_or(&nothing), applied.as_array().unwrap_or(&nothing));
            if old.is_empty() && new.is_empty() {
                return applied.clone();
            }
            Value::Array(merge_items(types, list, old, new))
        }
        _ => applied.clone(),
    }
}

/// Items in the order of the applied list where it has an opinion, and where they were otherwise.
fn merge_items(types: &Types, list: &List, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let key = |item: &Value| item_key(types, list, item).unwrap_or_default();
    let (old, new): (Vec<_>, Vec<_>) = (live.iter().map(key).collect(), applied.iter().map(key).collect());
    // Items that are there twice are not merged with.
    let mut once: BTreeMap<&str, Option<&Value>> = BTreeMap::new();
    for (key, item) in old.iter().zip(live) {
        once.entry(key).and_modify(|known| *known = None).or_insert(Some(item));
    }
    let wanted: BTreeMap<&str, &Value> = new.iter().map(|key| &**key).zip(applied).collect();
    let mut shared = new.iter().filter(|key| once.contains_key(&***key));
    let mut next = shared.next();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut merged = Vec::new();
    let (mut left, mut right) = (0, 0);
    let take = |key: &str| match (once.get(key), wanted.get(key)) {
        (Some(Some(live)), Some(applied)) => merge(types, list.item, live, applied),
        (_, Some(applied)) => (*applied).clone(),
        _ => Value::Null,
    };
    while left < old.len() || right < new.len() {
        if let (Some(mine), Some(theirs)) = (old.get(left), new.get(right)) {
            if mine == theirs {
                done.insert(theirs);
                merged.push(take(theirs));
                left += 1;
                right += 1;
                next = shared.next();
                continue;
            }
            if wanted.contains_key(&**mine) && next.is_some_and(|next| next != mine) {
                left += 1;
                continue;
            }
        }
        if let Some(mine) = old.get(left) {
            if !wanted.contains_key(&**mine) {
                merged.push(live[left].clone());
                left += 1;
                continue;
            }
            if done.contains(&**mine) {
                left += 1;
            }
        }
        if let Some(theirs) = new.get(right) {
            done.insert(theirs);
            merged.push(take(theirs));
            right += 1;
            if next == Some(theirs) {
                next = shared.next();
            }
        }
    }
    merged
}
