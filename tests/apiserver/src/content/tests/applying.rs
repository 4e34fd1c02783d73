//! Server-side apply.

use super::*;

fn labels(labels: Value) -> Value {
    json!({ "metadata": { "labels": labels } })
}

fn applied(steps: &[(&str, Force, Value)]) -> Object {
    let mut object = Object::of("ConfigMap");
    for (manager, force, given) in steps {
        object.apply(manager, *force, given.clone()).unwrap();
    }
    object
}

#[test]
fn what_is_no_longer_applied_goes_unless_somebody_else_owns_it() {
    let object = applied(&[
        ("a", Force::No, labels(json!({ "x": "1", "y": "1" }))),
        ("b", Force::No, labels(json!({ "y": "1" }))),
        ("a", Force::No, labels(json!({}))),
    ]);
    assert_eq!(object.live()["metadata"]["labels"], json!({ "y": "1" }));
    assert_eq!(object.owned("b", "Apply"), json!({ "f:metadata": { "f:labels": { "f:y": {} } } }));
}

#[test]
fn what_was_updated_meanwhile_stays_though_it_is_no_longer_applied() {
    let mut object = applied(&[("a", Force::No, labels(json!({ "x": "1" })))]);
    object.merge("b", Endpoint::Main, labels(json!({ "x": "2" }))).unwrap();
    object.apply("a", Force::No, labels(json!({}))).unwrap();
    assert_eq!(object.live()["metadata"]["labels"], json!({ "x": "2" }));
}

#[test]
fn a_field_of_somebody_else_is_a_conflict_unless_forced_or_equal() {
    let mut object = Object::of("ConfigMap");
    object.create("kubectl-create", labels(json!({ "x": "1", "y": "1" }))).unwrap();
    object.apply("a", Force::No, labels(json!({ "x": "1" }))).unwrap();
    assert_eq!(object.owned("kubectl-create", "Update")["f:metadata"]["f:labels"]["f:x"], json!({}), "it is shared");
    let refused = object.apply("b", Force::No, labels(json!({ "x": "2" }))).map(drop);
    let Err(Refusal::Conflict(found, words)) = refused else { panic!("{refused:?}") };
    assert_eq!(found.len(), 2);
    assert_eq!(
        words,
        "Apply failed with 2 conflicts: conflicts with \"a\":\n- .metadata.labels.x\nconflicts with \"kubectl-create\" using \
         v1:\n- .metadata.labels.x"
    );
    let refused = object.apply("b", Force::No, labels(json!({ "y": "2" }))).map(drop);
    let Err(Refusal::Conflict(found, words)) = refused else { panic!("{refused:?}") };
    assert_eq!(words, "Apply failed with 1 conflict: conflict with \"kubectl-create\" using v1: .metadata.labels.y");
    assert_eq!(found[0].reason, "FieldManagerConflict");
    assert_eq!(found[0].field, ".metadata.labels.y");
    object.apply("b", Force::Yes, labels(json!({ "x": "2", "y": "2" }))).unwrap();
    assert_eq!(object.live()["metadata"]["labels"], json!({ "x": "2", "y": "2" }));
    assert_eq!(object.owned("a", "Apply"), Value::Null);
    assert_eq!(object.owned("kubectl-create", "Update"), json!({ "f:metadata": { "f:labels": {} } }));
}

#[test]
fn of_two_endpoints_of_one_manager_the_status_is_told_first() {
    let mut object = Object::of("Pod");
    let pod = |labels: Value| json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    object.create("m", pod(json!({ "a": "1" }))).unwrap();
    object.merge("m", Endpoint::Status, json!({ "metadata": { "labels": { "b": "1" } } })).unwrap();
    let Err(Refusal::Conflict(_, words)) = object.apply("n", Force::No, labels(json!({ "a": "2", "b": "2" }))) else {
        panic!("no conflict");
    };
    let (first, second) = (words.find("labels.b").unwrap(), words.find("labels.a").unwrap());
    assert!(first < second, "{words}");
}

#[test]
fn an_apply_that_says_nothing_new_leaves_the_object_as_it_was() {
    let mut object = applied(&[("a", Force::No, labels(json!({ "x": "1" })))]);
    let before = object.live().clone();
    object.version += 1;
    object.apply("a", Force::No, labels(json!({ "x": "1" }))).unwrap();
    assert_eq!(*object.live(), before);
}

#[test]
fn lists_are_merged_by_their_keys_in_the_order_of_the_applied_one() {
    let ports = |numbers: &[u16]| {
        let ports: Vec<Value> =
            numbers.iter().map(|number| json!({ "name": format!("p{number}"), "port": number })).collect();
        json!({ "spec": { "ports": ports } })
    };
    let numbers = |service: &Object| -> Vec<i64> {
        service.live()["spec"]["ports"].as_array().unwrap().iter().filter_map(|port| port["port"].as_i64()).collect()
    };
    for (first, second, third, left) in [
        (&[1, 2][..], &[3][..], &[1, 2][..], &[1, 2, 3][..]),
        (&[1, 2], &[3], &[2, 1], &[2, 3, 1]),
        (&[1, 2], &[3, 2], &[1], &[1, 3, 2]),
        (&[1, 2], &[2, 1], &[1], &[2, 1]),
    ] {
        let mut service = Object::of("Service");
        service.apply("a", Force::No, ports(first)).unwrap();
        service.apply("b", Force::No, ports(second)).unwrap();
        service.apply("a", Force::No, ports(third)).unwrap();
        assert_eq!(numbers(&service), left, "{first:?} {second:?} {third:?}");
    }
}

#[test]
fn sets_lose_only_what_this_manager_put_in() {
    let finalizers = |names: &[&str]| json!({ "metadata": { "finalizers": names } });
    let object = applied(&[
        ("a", Force::No, finalizers(&["a/a", "b/b"])),
        ("b", Force::No, finalizers(&["b/b", "c/c"])),
        ("a", Force::No, finalizers(&["a/a"])),
        ("b", Force::No, finalizers(&["c/c"])),
    ]);
    assert_eq!(object.live()["metadata"]["finalizers"], json!(["a/a", "c/c"]));
}

#[test]
fn an_apply_to_what_nobody_tracks_shares_it_with_whoever_was_before() {
    let mut object = Object::of("ConfigMap");
    object.create("a", labels(json!({ "x": "1" }))).unwrap();
    object.merge("a", Endpoint::Main, json!({ "metadata": { "managedFields": [{}] } })).unwrap();
    assert_eq!(
        causes(object.apply("b", Force::No, labels(json!({ "x": "2" })))),
        [".metadata.labels.x: conflict with \"before-first-apply\" using v1"]
    );
    object.apply("b", Force::Yes, labels(json!({ "x": "2" }))).unwrap();
    assert_eq!(object.owned("before-first-apply", "Update"), json!({ "f:metadata": { "f:labels": {} } }));
}

#[test]
fn what_does_not_fit_its_type_is_refused_without_a_reason() {
    for (given, words) in [
        (json!({ "data": { "a": 1 } }), ".data.a: expected string, got &value.valueUnstructured{Value:1}"),
        (json!({ "dat": {} }), ".dat: field not declared in schema"),
        (json!({ "immutable": "x" }), ".immutable: expected boolean, got &{x}"),
        (
            json!({ "metadata": { "finalizers": ["a", "a"] } }),
            ".metadata.finalizers: duplicate entries for key [=\"a\"]",
        ),
    ] {
        let refused = Object::of("ConfigMap").apply("a", Force::No, given).map(drop);
        let Err(Refusal::Internal(told)) = refused else { panic!("{refused:?}") };
        assert_eq!(told, format!("failed to create typed patch object (n/x; /v1, Kind=ConfigMap): {words}"));
    }
}

#[test]
fn managed_fields_cannot_be_applied() {
    let refused =
        Object::of("ConfigMap").apply("a", Force::No, json!({ "metadata": { "managedFields": [] } })).map(drop);
    assert_eq!(refused, Err(Refusal::BadRequest("metadata.managedFields must be nil".to_owned())));
}

#[test]
fn another_uid_is_refused() {
    let mut object = applied(&[("a", Force::No, labels(json!({ "x": "1" })))]);
    let refused = object.apply("a", Force::No, json!({ "metadata": { "uid": "other" } }));
    assert_eq!(causes(refused), ["metadata.uid: Invalid value: \"other\": field is immutable"]);
    object.apply("a", Force::No, json!({ "metadata": { "uid": "uid" } })).unwrap();
}
