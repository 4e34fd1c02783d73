//! Whose fields are after creates, updates and patches.

use super::*;

fn config(data: Value) -> Value {
    json!({ "data": data })
}

#[test]
fn who_creates_an_object_owns_what_it_said_and_what_was_filled_in() {
    let mut service = Object::of("Service");
    service
        .create("a", json!({ "metadata": { "labels": { "l": "1" } }, "spec": { "ports": [{ "port": 80 }] } }))
        .unwrap();
    let port = json!({ ".": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {} });
    assert_eq!(
        service.owned("a", "Update"),
        json!({
            "f:metadata": { "f:labels": { ".": {}, "f:l": {} } },
            "f:spec": { "f:internalTrafficPolicy": {}, "f:sessionAffinity": {}, "f:type": {},
                "f:ports": { ".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": port } },
        })
    );
    let entry = &service.live()["metadata"]["managedFields"][0];
    assert_eq!(entry["apiVersion"], "v1");
    assert_eq!(entry["fieldsType"], "FieldsV1");
    assert_eq!(entry["time"], "1970-01-01T00:00:00Z");
}

#[test]
fn who_changes_a_field_takes_it_and_who_removes_it_leaves_it_to_nobody() {
    let mut object = Object::of("ConfigMap");
    object.create("a", config(json!({ "x": "1", "y": "1" }))).unwrap();
    object.merge("b", Endpoint::Main, config(json!({ "x": "2" }))).unwrap();
    assert_eq!(object.owned("a", "Update"), json!({ "f:data": { ".": {}, "f:y": {} } }));
    assert_eq!(object.owned("b", "Update"), json!({ "f:data": { "f:x": {} } }));
    object.merge("c", Endpoint::Main, config(json!({ "x": null, "y": null }))).unwrap();
    assert_eq!(object.owned("a", "Update"), Value::Null);
    assert_eq!(object.owned("b", "Update"), Value::Null);
    assert_eq!(object.owned("c", "Update"), Value::Null, "removing is not owning");
}

#[test]
fn a_write_that_changes_nothing_leaves_the_object_as_it_was() {
    let mut object = Object::of("ConfigMap");
    object.create("a", config(json!({ "x": "1" }))).unwrap();
    let before = object.live().clone();
    object.merge("b", Endpoint::Main, config(json!({ "x": "1" }))).unwrap();
    assert_eq!(*object.live(), before);
}

#[test]
fn a_status_is_owned_by_its_endpoint_only() {
    let mut pod = Object::of("Pod");
    let container = json!([{ "name": "c", "image": "i" }]);
    pod.create("a", json!({ "spec": { "containers": container }, "status": { "phase": "Running" } })).unwrap();
    assert_eq!(pod.live()["status"], json!({ "phase": "Pending", "qosClass": "BestEffort" }));
    assert!(pod.owned("a", "Update")["f:status"].is_null());
    pod.merge("b", Endpoint::Main, json!({ "status": { "phase": "Running" } })).unwrap();
    assert_eq!(pod.live()["status"]["phase"], "Pending");
    assert_eq!(pod.owned("b", "Update"), Value::Null);
    let ready = json!({ "type": "Ready", "status": "True" });
    let patch = json!({ "spec": { "nodeName": "q" }, "status": { "phase": "Running", "conditions": [ready] } });
    pod.merge("kubelet", Endpoint::Status, patch).unwrap();
    assert!(pod.live()["spec"]["nodeName"].is_null());
    let condition = json!({ ".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}, "f:type": {} });
    assert_eq!(
        pod.owned("kubelet", "Update"),
        json!({ "f:status": { "f:phase": {}, "f:conditions": { ".": {}, "k:{\"type\":\"Ready\"}": condition } } })
    );
    let entries = pod.live()["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.iter().filter(|entry| entry["subresource"] == "status").count(), 1);
}

#[test]
fn items_of_lists_that_have_keys_have_owners_of_their_own() {
    let mut object = Object::of("ConfigMap");
    object.create("a", json!({ "metadata": { "finalizers": ["a/a"] } })).unwrap();
    let owner = |uid: &str| json!({ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid });
    let patch = json!({ "metadata": { "finalizers": ["a/a", "b/b"], "ownerReferences": [owner("1")] } });
    object.merge("b", Endpoint::Main, patch).unwrap();
    assert_eq!(
        object.owned("b", "Update"),
        json!({ "f:metadata": { "f:finalizers": { "v:\"b/b\"": {} },
            "f:ownerReferences": { ".": {}, "k:{\"uid\":\"1\"}": {} } } })
    );
    let patch = json!({ "metadata": { "ownerReferences": [owner("1"), owner("2")] } });
    object.merge("c", Endpoint::Main, patch).unwrap();
    assert_eq!(
        object.owned("c", "Update"),
        json!({ "f:metadata": { "f:ownerReferences": { "k:{\"uid\":\"2\"}": {} } } })
    );
}

#[test]
fn managed_fields_can_be_written_and_forgotten() {
    let mut object = Object::of("ConfigMap");
    object.create("a", config(json!({ "x": "1" }))).unwrap();
    let mut entries = object.live()["metadata"]["managedFields"].clone();
    entries[0]["operation"] = "Apply".into();
    object.merge("a", Endpoint::Main, json!({ "metadata": { "managedFields": entries } })).unwrap();
    assert_eq!(object.owned("a", "Apply"), json!({ "f:data": { ".": {}, "f:x": {} } }));
    assert_eq!(object.owned("a", "Update"), Value::Null);
    for forget in [json!([]), json!([{}])] {
        let mut object = Object::of("ConfigMap");
        object.create("a", config(json!({ "x": "1" }))).unwrap();
        object.merge("a", Endpoint::Main, json!({ "metadata": { "managedFields": forget } })).unwrap();
        assert_eq!(object.live()["metadata"]["managedFields"], Value::Null);
        object.merge("a", Endpoint::Main, config(json!({ "x": "2" }))).unwrap();
        assert_eq!(object.live()["metadata"]["managedFields"], Value::Null, "nobody is tracked until an apply");
    }
    object.merge("a", Endpoint::Main, json!({ "metadata": { "managedFields": [{ "manager": "z" }] } })).unwrap();
    assert_eq!(object.owned("a", "Apply"), json!({ "f:data": { ".": {}, "f:x": {} } }), "nonsense is ignored");
}

#[test]
fn the_eleventh_updater_merges_the_oldest_two() {
    let mut object = Object::of("ConfigMap");
    object.create("m0", config(json!({ "k0": "" }))).unwrap();
    for number in 1..=10 {
        let key = format!("k{number}");
        object.merge(&format!("m{number}"), Endpoint::Main, config(json!({ key: "" }))).unwrap();
    }
    let entries = object.live()["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 10);
    assert_eq!(object.owned("ancient-changes", "Update"), json!({ "f:data": { ".": {}, "f:k0": {}, "f:k1": {} } }));
}
