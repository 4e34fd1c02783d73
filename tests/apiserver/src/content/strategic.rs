//! Strategic merge patches: merge patches that know which lists have keys.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{
    Kind, Refusal,
    types::{Patch, Shape, TypeId, Types},
};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

type Object = Map<String, Value>;

/// Lays a strategic merge patch over an object.
pub fn strategic_patch(kind: &Kind, target: &mut Value, patch: &Value) -> Result<(), Refusal> {
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        return Err(Refusal::BadRequest("invalid JSON document".to_owned()));
    };
    let patcher = Patcher { types: &kind.schema.types };
    *target = patcher.merge_objects(Some(kind.schema.root), std::mem::take(target), patch)?;
    Ok(())
}

struct Patcher<'a> {
    types: &'a Types,
}

impl Patcher<'_> {
    /// How a field is patched, and its type.
    fn field(&self, of: Option<TypeId>, name: &str) -> (Option<TypeId>, Patch) {
        match of.map(|of| self.types.shape(of)) {
            Some(Shape::Struct(of)) => match of.fields.get(name) {
                Some(field) => (Some(field.id), field.patch.clone()),
                None => (None, Patch::Usual),
            },
            Some(shape) => (shape.child(name), Patch::Usual),
            None => (None, Patch::Usual),
        }
    }

    fn item(&self, of: Option<TypeId>) -> Option<TypeId> {
        match of.map(|of| self.types.shape(of)) {
            Some(Shape::List(list)) => Some(list.item),
            _ => None,
        }
    }

    fn merge_objects(&self, of: Option<TypeId>, mut target: Object, patch: &Object) -> Result<Object, Refusal> {
        match patch.get(DIRECTIVE).map(Value::as_str) {
            Some(Some("replace")) => return Ok(without_directives(patch)),
            Some(Some("delete")) => return Ok(Object::new()),
            None => {}
            Some(_) => return Err(bad_patch(&Value::Object(patch.clone()))),
        }
        if let Some(retained) = patch.get(RETAIN) {
            let Some(retained) = retained.as_array() else { return Err(bad_retain()) };
            let strays = patch.iter().any(|(key, value)| {
                !value.is_null() && !key.starts_with('$') && !retained.iter().any(|kept| kept == key.as_str())
            });
            if strays {
                return Err(bad_retain());
            }
            target.retain(|key, _| retained.iter().any(|kept| kept == key.as_str()));
        }
        for (key, value) in patch {
            if key == RETAIN || key.starts_with(ORDER) {
                continue;
            }
            if let Some(name) = key.strip_prefix(DELETE) {
                if let (Some(Value::Array(items)), Some(gone)) = (target.get_mut(name), value.as_array()) {
                    items.retain(|item| !gone.contains(item));
                }
                continue;
            }
            self.merge_field(of, &mut target, key, value)?;
        }
        for (key, order) in patch {
            if let (Some(name), Some(order)) = (key.strip_prefix(ORDER), order.as_array()) {
                let (_, strategy) = self.field(of, name);
                if let Some(Value::Array(items)) = target.get_mut(name) {
                    let before = items.clone();
                    *items = in_order(std::mem::take(items), order, &before, key_of(&strategy));
                }
            }
        }
        Ok(target)
    }

    fn merge_field(&self, of: Option<TypeId>, target: &mut Object, name: &str, value: &Value) -> Result<(), Refusal> {
        if value.is_null() {
            target.remove(name);
            return Ok(());
        }
        let (of, strategy) = self.field(of, name);
        let merged = match (target.remove(name), value) {
            (Some(Value::Object(old)), Value::Object(new)) if strategy != Patch::Whole => {
                Value::Object(self.merge_objects(of, old, new)?)
            }
            (Some(Value::Array(old)), Value::Array(new)) => match strategy {
                Patch::MergeBy(key) => Value::Array(self.merge_items(self.item(of), old, new, &key)?),
                Patch::Union => Value::Array(union(old, new)),
                Patch::Usual | Patch::Whole => value.clone(),
            },
            _ => match settled(value) {
                Some(value) => value,
                None => return Ok(()),
            },
        };
        target.insert(name.to_owned(), merged);
        Ok(())
    }

    fn merge_items(
        &self,
        of: Option<TypeId>,
        old: Vec<Value>,
        patch: &[Value],
        key: &str,
    ) -> Result<Vec<Value>, Refusal> {
        let mut merged = old;
        let mut wanted: Vec<&Value> = Vec::new();
        let mut replace = false;
        for item in patch {
            match item[DIRECTIVE].as_str() {
                None => wanted.push(item),
                Some("delete") => {
                    let value = item.get(key).ok_or_else(|| no_key(item, key))?;
                    merged.retain(|old| old.get(key) != Some(value));
                }
                Some("replace") => replace = true,
                Some(_) => return Err(bad_patch(item)),
            }
        }
        if replace {
            return Ok(wanted.into_iter().cloned().collect());
        }
        let before = merged.clone();
        for item in &wanted {
            let value = item.get(key).ok_or_else(|| no_key(item, key))?;
            match merged.iter_mut().find(|old| old.get(key) == Some(value)) {
                Some(Value::Object(old)) => {
                    let patch = item.as_object().cloned().unwrap_or_default();
                    *old = self.merge_objects(of, std::mem::take(old), &patch)?;
                }
                Some(other) => *other = (*item).clone(),
                None => merged.extend(settled(item)),
            }
        }
        let order: Vec<Value> = wanted.into_iter().cloned().collect();
        Ok(in_order(merged, &order, &before, Some(key)))
    }
}

fn key_of(strategy: &Patch) -> Option<&str> {
    match strategy {
        Patch::MergeBy(key) => Some(key),
        _ => None,
    }
}

fn bad_retain() -> Refusal {
    Refusal::BadRequest(
        "invalid patch format of retainKeys, it should be a list of all keys that will be retained".into(),
    )
}

fn no_key(item: &Value, key: &str) -> Refusal {
    Refusal::Internal(format!("map: {} does not contain declared merge key: {key}", go(item)))
}

fn bad_patch(map: &Value) -> Refusal {
    let kind = map[DIRECTIVE].as_str().map_or_else(|| go(&map[DIRECTIVE]), str::to_owned);
    Refusal::Internal(format!("unknown patch type: {kind} in map: {}", go(map)))
}

/// What is said of an outcome that cannot be read: it is restored from maps, not parsed as other objects are.
pub(crate) fn restore_words(words: &str) -> String {
    let parts = words.strip_prefix("json: cannot unmarshal ").and_then(|rest| rest.split_once(" into Go "));
    let Some((is, wanted)) = parts else { return words.to_owned() };
    let wanted = wanted.rsplit(' ').next().unwrap_or_default();
    let is = match is {
        "object" => "map",
        "array" => "slice",
        "number" => "int64",
        is => is,
    };
    match wanted {
        _ if wanted.starts_with("[]") => format!("cannot restore slice from {is}"),
        _ if wanted.starts_with("map[") => format!("cannot restore map from {is}"),
        _ => words.to_owned(),
    }
}

/// A value as Go prints it.
pub(crate) fn go(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let parts: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", go(value))).collect();
            format!("map[{}]", parts.join(" "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(go).collect::<Vec<_>>().join(" ")),
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

/// Scalars that are in one list or the other, those of the patch in its order.
fn union(old: Vec<Value>, new: &[Value]) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for item in old.iter().chain(new) {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
    in_order(all, new, &old, None)
}

/// Items of the patch in its order, the others where they were before.
fn in_order(items: Vec<Value>, order: &[Value], before: &[Value], key: Option<&str>) -> Vec<Value> {
    let same = |one: &Value, other: &Value| match key {
        Some(key) => one.get(key).is_some() && one.get(key) == other.get(key),
        None => one == other,
    };
    let index = |list: &[Value], item: &Value| list.iter().position(|other| same(item, other));
    let (mut patched, mut others): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| index(order, item).is_some());
    patched.sort_by_key(|item| index(order, item));
    others.sort_by(|one, other| match (index(before, one), index(before, other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => Ordering::Equal,
    });
    let mut merged = Vec::new();
    let (mut left, mut right) = (others.into_iter().peekable(), patched.into_iter().peekable());
    loop {
        let take_left = match (left.peek(), right.peek()) {
            (Some(one), Some(other)) => {
                matches!((index(before, one), index(before, other)), (Some(one), Some(other)) if one < other)
            }
            (Some(_), None) => true,
            (None, _) => false,
        };
        match if take_left { left.next() } else { right.next() } {
            Some(item) => merged.push(item),
            None => return merged,
        }
    }
}

/// A patch's value where nothing was before: without directives and nulls. Nothing if it is a directive itself.
fn settled(value: &Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => Some(Value::Object(without_directives(map))),
        Value::Array(items) => Some(items.iter().filter_map(settled).collect()),
        other => Some(other.clone()),
    }
}

fn without_directives(map: &Object) -> Object {
    let keeps = |key: &str, value: &Value| {
        !value.is_null() && key != DIRECTIVE && key != RETAIN && !key.starts_with(ORDER) && !key.starts_with(DELETE)
    };
    map.iter()
        .filter(|(key, value)| keeps(key, value))
        .filter_map(|(key, value)| Some((key.clone(), settled(value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::content::builtin_kinds;

    fn patched(target: Value, patch: Value) -> Value {
        let kind = builtin_kinds().into_iter().find(|kind| kind.kind == "Pod").unwrap();
        let mut target = target;
        strategic_patch(&kind, &mut target, &patch).unwrap();
        target
    }

    #[test]
    fn lists_with_keys_are_merged_by_them() {
        let pod = json!({ "spec": { "containers": [{ "name": "a", "image": "1" }, { "name": "b", "image": "1" }] } });
        for (patch, containers) in [
            (
                json!([{ "name": "b", "image": "2" }]),
                json!([{ "name": "a", "image": "1" }, { "name": "b", "image": "2" }]),
            ),
            (
                json!([{ "name": "c", "image": "2" }]),
                json!([{ "name": "c", "image": "2" }, { "name": "a", "image": "1" }, { "name": "b", "image": "1" }]),
            ),
            (json!([{ "name": "a", "$patch": "delete" }]), json!([{ "name": "b", "image": "1" }])),
            (json!([{ "name": "c", "image": "2" }, { "$patch": "replace" }]), json!([{ "name": "c", "image": "2" }])),
            (json!([{ "name": "a", "image": null }]), json!([{ "name": "a" }, { "name": "b", "image": "1" }])),
        ] {
            let result = patched(pod.clone(), json!({ "spec": { "containers": patch } }));
            assert_eq!(result["spec"]["containers"], containers, "{patch}");
        }
    }

    #[test]
    fn other_lists_are_replaced_and_sets_are_added_to() {
        let pod = json!({ "metadata": { "finalizers": ["a"] }, "spec": { "tolerations": [{ "key": "a" }] } });
        let patch = json!({ "metadata": { "finalizers": ["b"] }, "spec": { "tolerations": [{ "key": "b" }] } });
        let result = patched(pod, patch);
        assert_eq!(result["spec"]["tolerations"], json!([{ "key": "b" }]));
        assert_eq!(result["metadata"]["finalizers"], json!(["b", "a"]));
    }

    #[test]
    fn directives_replace_delete_and_order() {
        let pod = json!({ "metadata": { "labels": { "a": "1" }, "finalizers": ["a", "b"] } });
        for (patch, metadata) in [
            (
                json!({ "labels": { "$patch": "replace", "b": "2" } }),
                json!({ "labels": { "b": "2" }, "finalizers": ["a", "b"] }),
            ),
            (
                json!({ "$deleteFromPrimitiveList/finalizers": ["a"] }),
                json!({ "labels": { "a": "1" }, "finalizers": ["b"] }),
            ),
            (
                json!({ "$setElementOrder/finalizers": ["b", "a"], "finalizers": ["b", "a"] }),
                json!({ "labels": { "a": "1" }, "finalizers": ["b", "a"] }),
            ),
            (json!({ "$retainKeys": ["labels"], "labels": { "a": null } }), json!({ "labels": {} })),
        ] {
            assert_eq!(patched(pod.clone(), json!({ "metadata": patch }))["metadata"], metadata, "{patch}");
        }
    }

    #[test]
    fn an_item_without_its_key_is_refused() {
        let kind = builtin_kinds().into_iter().find(|kind| kind.kind == "Pod").unwrap();
        let mut pod = json!({ "spec": { "containers": [{ "name": "a" }] } });
        let refused = strategic_patch(&kind, &mut pod, &json!({ "spec": { "containers": [{ "image": "1" }] } }));
        assert!(matches!(refused, Err(Refusal::Internal(_))));
    }
}
