//! JSON patches (RFC 6902).

use serde_json::Value;

use crate::failure::Failure;

/// Carries out every operation, or none.
pub(crate) fn apply(object: &mut Value, patch: &Value) -> Result<(), Failure> {
    let operations = patch
        .as_array()
        .ok_or_else(|| Failure::bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch"))?;
    for operation in operations {
        step(object, operation).map_err(|_| Failure::unprocessable())?;
    }
    Ok(())
}

fn step(object: &mut Value, operation: &Value) -> Result<(), String> {
    let word = |name: &str| operation[name].as_str().unwrap_or_default();
    let (op, path) = (word("op"), word("path"));
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    match op {
        "add" => add(object, path, value()),
        "remove" => remove(object, path).map(drop),
        "replace" => replace(object, path, value()),
        "test" => {
            let there = object.pointer(path).unwrap_or(&Value::Null);
            if *there == value() { Ok(()) } else { Err(format!("testing value {path} failed: test failed")) }
        }
        "move" => {
            let taken = remove(object, word("from"))?;
            add(object, path, taken)
        }
        "copy" => {
            let copied = get(object, word("from")).ok_or_else(|| missing("copy", word("from")))?;
            add(object, path, copied)
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn missing(op: &str, path: &str) -> String {
    format!("{op} operation does not apply: doc is missing key: {path}: missing value")
}

/// The place that holds a path's last part, and that part.
fn parent<'a>(object: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((object.pointer_mut(parent)?, last.replace("~1", "/").replace("~0", "~")))
}

/// What stands at a path; a field that an object does not have is null, as Go's library for patches has it.
fn get(object: &mut Value, path: &str) -> Option<Value> {
    match parent(object, path)? {
        (Value::Object(map), name) => Some(map.get(&name).cloned().unwrap_or_default()),
        (Value::Array(list), at) => list.get(at.parse::<usize>().ok()?).cloned(),
        _ => None,
    }
}

fn replace(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    let place = match parent(object, path) {
        Some((Value::Object(map), name)) => Some(map.entry(name).or_insert(Value::Null)),
        Some((Value::Array(list), at)) => at.parse::<usize>().ok().and_then(|at| list.get_mut(at)),
        _ => None,
    };
    *place.ok_or_else(|| missing("replace", path))? = value;
    Ok(())
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    match parent(object, path) {
        Some((Value::Object(map), name)) => {
            map.insert(name, value);
            Ok(())
        }
        Some((Value::Array(list), at)) => {
            let at = if at == "-" { list.len() } else { at.parse().map_err(|_| missing("add", path))? };
            if at > list.len() {
                return Err(missing("add", path));
            }
            list.insert(at, value);
            Ok(())
        }
        _ => Err(missing("add", path)),
    }
}

fn remove(object: &mut Value, path: &str) -> Result<Value, String> {
    let removed = match parent(object, path) {
        Some((Value::Object(map), name)) => map.remove(&name),
        Some((Value::Array(list), at)) => {
            let at = at.parse::<usize>().ok().filter(|at| *at < list.len());
            at.map(|at| list.remove(at))
        }
        _ => None,
    };
    removed.ok_or_else(|| missing("remove", path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_change_what_they_name() {
        for (patch, expected) in [
            (json!([{ "op": "add", "path": "/b", "value": 2 }]), json!({ "a": [1], "b": 2 })),
            (json!([{ "op": "add", "path": "/a/-", "value": 2 }]), json!({ "a": [1, 2] })),
            (json!([{ "op": "add", "path": "/a/0", "value": 0 }]), json!({ "a": [0, 1] })),
            (json!([{ "op": "remove", "path": "/a/0" }]), json!({ "a": [] })),
            (
                json!([{ "op": "test", "path": "/a/0", "value": 1 }, { "op": "replace", "path": "/a", "value": 3 }]),
                json!({ "a": 3 }),
            ),
            (json!([{ "op": "move", "from": "/a", "path": "/x~1y" }]), json!({ "x/y": [1] })),
            (json!([{ "op": "copy", "from": "/z", "path": "/b" }]), json!({ "a": [1], "b": null })),
            (json!([{ "op": "replace", "path": "/z", "value": 1 }]), json!({ "a": [1], "z": 1 })),
        ] {
            let mut object = json!({ "a": [1] });
            apply(&mut object, &patch).expect("a patch that applies");
            assert_eq!(object, expected, "{patch}");
        }
    }

    #[test]
    fn what_does_not_apply_is_refused() {
        for patch in [
            json!([{ "op": "remove", "path": "/z" }]),
            json!([{ "op": "test", "path": "/a", "value": 1 }]),
            json!([{ "op": "replace", "path": "/z/y", "value": 1 }]),
        ] {
            let refused = apply(&mut json!({ "a": [1] }), &patch).expect_err("a refusal");
            assert_eq!(refused.code(), 422, "{patch}");
        }
    }
}
