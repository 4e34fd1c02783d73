//! Custom resources.

use super::*;

fn schema() -> Value {
    json!({ "type": "object", "required": ["spec"], "properties": {
        "spec": { "type": "object", "required": ["name"], "properties": {
            "name": { "type": "string" },
            "note": { "type": "string", "nullable": true },
            "mode": { "type": "string", "enum": ["A", "B"], "default": "A" },
            "size": { "type": "integer", "minimum": 0 },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "nested": { "type": "object", "default": {}, "properties": {
                "deep": { "type": "boolean", "default": true } } },
            "words": { "type": "object", "additionalProperties": { "type": "string" } },
        } },
        "status": { "type": "object", "properties": {
            "phase": { "type": "string" },
            "conditions": { "type": "array", "default": [], "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"], "items": { "type": "object", "required": ["type", "status"],
                    "properties": { "type": { "type": "string" }, "status": { "type": "string" } } } } } },
    } })
}

fn thing(spec: Value) -> Value {
    json!({ "spec": spec })
}

#[test]
fn unknown_fields_are_pruned_defaults_set_and_nulls_dropped() {
    for (given, stored) in [
        (json!({ "name": "a" }), json!({ "name": "a", "mode": "A", "nested": { "deep": true } })),
        (
            json!({ "name": "a", "bogus": 1, "nested": { "deep": false, "bogus": {} }, "mode": null, "size": null, "note": null,
                "words": { "k": "v" }, "free": { "any": [1, null] } }),
            json!({ "name": "a", "nested": { "deep": false }, "mode": "A", "note": null, "words": { "k": "v" },
                "free": { "any": [1, null] } }),
        ),
    ] {
        let mut object = Object::custom(schema());
        object.create("a", thing(given)).unwrap();
        assert_eq!(object.live()["spec"], stored);
    }
}

#[test]
fn what_was_dropped_is_told() {
    let object = Object::custom(schema());
    let mut given =
        object.whole(json!({ "spec": { "name": "a", "x": 1, "nested": { "y": 1 } }, "z": 1, "metadata": { "w": 1 } }));
    let mut unknown = decode(&object.kind, &mut given).unwrap();
    unknown.sort();
    assert_eq!(unknown, ["metadata.w", "spec.nested.y", "spec.x", "z"]);
}

#[test]
fn where_no_object_belongs_its_content_is_unknown() {
    for (given, dropped, told) in [
        (json!({ "name": { "a": 1, "b": {} } }), json!({ "name": {} }), &["spec.name.a", "spec.name.b"][..]),
        (json!({ "name": [{ "a": 1 }, 1] }), json!({ "name": [{}, 1] }), &["spec.name[0].a"]),
        (json!({ "nested": [{ "deep": true }] }), json!({ "nested": [{}] }), &["spec.nested[0].deep"]),
        (json!({ "words": { "k": { "a": 1 } } }), json!({ "words": { "k": {} } }), &["spec.words.k.a"]),
        (json!({ "free": [{ "a": 1 }] }), json!({ "free": [{ "a": 1 }] }), &[]),
    ] {
        let object = Object::custom(schema());
        let mut given = object.whole(thing(given));
        assert_eq!(decode(&object.kind, &mut given).unwrap(), told);
        for (name, value) in dropped.as_object().unwrap() {
            assert_eq!(given["spec"][name], *value);
        }
    }
}

#[test]
fn what_is_missing_is_told_after_the_faults_of_what_is_there() {
    let told = causes(Object::custom(schema()).create("a", thing(json!({ "size": -1 }))).map(|_| &Value::Null));
    assert!(told[0].starts_with("spec.size: Invalid value") && told[1] == "spec.name: Required value", "{told:?}");
}

#[test]
fn what_does_not_fit_is_refused_with_its_causes() {
    for (given, told) in [
        (json!({}), &["spec.name: Required value"][..]),
        (
            json!({ "name": 1, "size": -1, "mode": "C" }),
            &[
                "spec.mode: Unsupported value: \"C\": supported values: \"A\", \"B\"",
                "spec.name: Invalid value: \"integer\": spec.name in body must be of type string: \"integer\"",
                "spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0",
            ],
        ),
    ] {
        let mut object = Object::custom(schema());
        assert_eq!(causes(object.create("a", thing(given))), told);
    }
    assert_eq!(causes(Object::custom(schema()).create("a", json!({}))), ["spec: Required value"]);
}

#[test]
fn the_status_is_written_at_its_endpoint_and_does_not_count_as_a_generation() {
    let mut object = Object::custom(schema());
    object.create("a", json!({ "spec": { "name": "a" }, "status": { "phase": "x" } })).unwrap();
    assert!(object.live().get("status").is_none());
    assert_eq!(object.live()["metadata"]["generation"], 1);
    object.merge("a", Endpoint::Main, thing(json!({ "note": "n" }))).unwrap();
    assert_eq!(object.live()["metadata"]["generation"], 2);
    object.merge("a", Endpoint::Main, json!({ "metadata": { "labels": { "l": "1" } } })).unwrap();
    assert_eq!(object.live()["metadata"]["generation"], 2);
    let patch = json!({ "metadata": { "labels": { "l": "2" } }, "spec": { "note": "m" }, "status": { "phase": "Up" } });
    object.merge("b", Endpoint::Status, patch).unwrap();
    assert_eq!(object.live()["status"], json!({ "phase": "Up", "conditions": [] }));
    assert_eq!(object.live()["spec"]["note"], "n");
    assert_eq!(object.live()["metadata"]["labels"]["l"], "1");
    assert_eq!(object.live()["metadata"]["generation"], 2);
    object.merge("a", Endpoint::Main, json!({ "status": { "phase": "Down" } })).unwrap();
    assert_eq!(object.live()["status"]["phase"], "Up");
}

#[test]
fn a_status_is_judged_at_its_endpoint() {
    let mut object = Object::custom(schema());
    object.create("a", thing(json!({ "name": "a" }))).unwrap();
    for (status, told) in [
        (json!({ "conditions": [{ "type": "A" }] }), "status.conditions[0].status: Required value"),
        (
            json!({ "conditions": [{ "type": "A", "status": "" }, { "type": "A", "status": "" }] }),
            "status.conditions[1]: Duplicate value: {\"type\":\"A\"}",
        ),
        (
            json!({ "phase": 1 }),
            "status.phase: Invalid value: \"integer\": phase in body must be of type string: \"integer\"",
        ),
    ] {
        assert_eq!(causes(object.merge("a", Endpoint::Status, json!({ "status": status }))), [told]);
    }
}

#[test]
fn what_cannot_be_read_by_its_type_is_nobodys_even_where_it_is_put_back() {
    let mut object = Object::custom(schema());
    object.create("a", thing(json!({ "name": "a" }))).unwrap();
    object.merge("a", Endpoint::Main, json!({ "status": { "phase": 1 } })).unwrap();
    assert_eq!(object.live()["status"], Value::Null);
    assert_eq!(object.live()["metadata"]["managedFields"], Value::Null);

    let mut object = Object::custom(schema());
    object.create("a", thing(json!({ "name": "a" }))).unwrap();
    object.merge("a", Endpoint::Status, json!({ "kind": "Elsewhat" })).unwrap();
    assert_eq!(object.live()["kind"], "Thing");
    assert_eq!(object.live()["metadata"]["managedFields"], Value::Null);
}

#[test]
fn conditions_are_applied_one_by_one() {
    let condition = |kind: &str| json!({ "status": { "conditions": [{ "type": kind, "status": "True" }] } });
    let mut object = Object::custom(schema());
    object.create("a", thing(json!({ "name": "a" }))).unwrap();
    object.apply_to("a", Endpoint::Status, Force::No, condition("A")).unwrap();
    object.apply_to("b", Endpoint::Status, Force::No, condition("B")).unwrap();
    object.apply_to("a", Endpoint::Status, Force::No, condition("C")).unwrap();
    let kinds: Vec<&Value> =
        object.live()["status"]["conditions"].as_array().unwrap().iter().map(|condition| &condition["type"]).collect();
    assert_eq!(kinds, ["B", "C"]);
}

#[test]
fn nulls_are_dropped_from_a_patch_and_refused_in_an_apply() {
    let mut object = Object::custom(schema());
    object.create("a", thing(json!({ "name": "a", "size": 1 }))).unwrap();
    object.merge("a", Endpoint::Main, thing(json!({ "words": { "k": null } }))).unwrap();
    assert_eq!(
        causes(object.apply("b", Force::Yes, thing(json!({ "size": null })))),
        ["spec.size: Invalid value: \"null\": spec.size in body must be of type integer: \"null\""]
    );
    object.apply("b", Force::Yes, thing(json!({ "note": null }))).unwrap();
    assert_eq!(object.live()["spec"]["note"], Value::Null);
    assert!(object.live()["spec"].as_object().unwrap().contains_key("note"), "here null is a value");
}

#[test]
fn metadata_is_read_as_that_of_any_object() {
    let mut object = Object::custom(schema());
    object.create("a", json!({ "metadata": { "bogus": 1, "labels": {} }, "spec": { "name": "a" } })).unwrap();
    assert!(object.live()["metadata"].get("bogus").is_none());
    let refused = object.merge("a", Endpoint::Main, json!({ "metadata": { "labels": { "a": 1 } } })).map(drop);
    assert!(matches!(refused, Err(Refusal::BadRequest(_))), "{refused:?}");
    assert_eq!(
        causes(object.merge("a", Endpoint::Main, json!({ "metadata": { "name": "y" } }))),
        ["metadata.name: Invalid value: \"y\": field is immutable"]
    );
}

#[test]
fn nothing_can_be_held_up_once_it_is_going() {
    let mut object = Object::custom(schema());
    object.create("a", json!({ "metadata": { "finalizers": ["a/a"] }, "spec": { "name": "a" } })).unwrap();
    let live = object.live.as_mut().unwrap();
    live["metadata"]["deletionTimestamp"] = "1970-01-01T00:00:00Z".into();
    let patch = |names: Value| json!({ "metadata": { "finalizers": names, "deletionTimestamp": null } });
    assert_eq!(
        causes(object.merge("a", Endpoint::Main, patch(json!(["a/a", "b/b"])))),
        ["metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
          finalizers []string{\"b/b\"}"]
    );
    object.merge("a", Endpoint::Main, patch(json!([]))).unwrap();
    assert_eq!(object.live()["metadata"]["deletionTimestamp"], "1970-01-01T00:00:00Z", "what goes cannot come back");
}
