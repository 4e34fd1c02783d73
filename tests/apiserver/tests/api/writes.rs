//! Creating and changing.

use apiserver::{Account, Rights, Rule, Who};
use http::Method;
use serde_json::{Value, json};

use crate::{MAPS, PODS, Server, config_map, pod};

fn reason(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["reason"].as_str().unwrap_or_default())
}

#[test]
fn what_is_created_can_be_read() {
    let server = Server::with(&[]);
    let (code, made) = server.post(MAPS, &config_map("a", "1"));
    assert_eq!(code, 201);
    assert_eq!(made["metadata"]["creationTimestamp"], "2023-11-14T22:13:20Z");
    assert_eq!(made["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert_eq!(server.get(&format!("{MAPS}/a")), (200, made));
}

#[test]
fn creations_are_refused_as_the_real_server_refuses_them() {
    let server = Server::with(&[config_map("there", "1")]);
    let with = |path: &[&str], value: Value| {
        let mut object = config_map("a", "1");
        let place = path.iter().fold(&mut object, |object, name| &mut object[*name]);
        *place = value;
        object
    };
    let elsewhere = "/api/v1/namespaces/nowhere/configmaps";
    for (path, object, code, reason) in [
        (MAPS, config_map("there", "1"), 409, "AlreadyExists"),
        (elsewhere, config_map("a", "1"), 404, "NotFound"),
        (MAPS, with(&["metadata", "name"], Value::Null), 422, "Invalid"),
        (MAPS, with(&["metadata", "namespace"], "other".into()), 400, "BadRequest"),
        (MAPS, with(&["kind"], "Secret".into()), 400, "BadRequest"),
        (MAPS, with(&["apiVersion"], "v2".into()), 400, "BadRequest"),
    ] {
        let answer = server.post(path, &object);
        assert_eq!(self::reason(&answer), (code, reason), "{}", answer.1);
    }
    let (_, status) = server.post(elsewhere, &config_map("a", "1"));
    assert_eq!(status["details"], json!({ "name": "nowhere", "kind": "namespaces" }));
}

#[test]
fn a_generated_name_has_five_letters_more() {
    let server = Server::with(&[]);
    let object = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "generateName": "a-" } });
    let (code, made) = server.post(MAPS, &object);
    assert_eq!((code, made["metadata"]["name"].as_str().unwrap().len()), (201, 7));
}

#[test]
fn a_dry_run_changes_nothing() {
    let server = Server::with(&[]);
    let version = server.0.version();
    let (code, _) = server.post(&format!("{MAPS}?dryRun=All"), &config_map("a", "1"));
    assert_eq!((code, server.0.version()), (201, version));
}

#[test]
fn an_update_needs_the_version_that_it_saw() {
    let server = Server::with(&[config_map("a", "1")]);
    let path = format!("{MAPS}/a");
    let (_, seen) = server.get(&path);
    let mut changed = seen.clone();
    changed["data"]["key"] = "2".into();
    assert_eq!(server.put(&path, &changed).0, 200);
    let answer = server.put(&path, &changed);
    assert_eq!(reason(&answer), (409, "Conflict"));
    let words = answer.1["message"].as_str().unwrap();
    assert!(words.starts_with("Operation cannot be fulfilled on configmaps \"a\": the object has been modified"));
    changed["metadata"]["resourceVersion"] = Value::Null;
    changed["metadata"]["uid"] = "another".into();
    let answer = server.put(&path, &changed);
    assert_eq!(reason(&answer), (409, "Conflict"));
    assert!(answer.1["message"].as_str().unwrap().contains("Precondition failed: UID in precondition: another"));
}

#[test]
fn an_update_that_says_nothing_new_changes_nothing() {
    let server = Server::with(&[config_map("a", "1")]);
    let path = format!("{MAPS}/a");
    let (_, seen) = server.get(&path);
    assert_eq!(server.put(&path, &seen), (200, seen.clone()));
    assert_eq!(server.merge(&path, &json!({ "data": { "key": "1" } })), (200, seen));
}

#[test]
fn a_patch_with_another_uid_is_invalid() {
    let server = Server::with(&[config_map("a", "1")]);
    let path = format!("{MAPS}/a");
    let answer = server.merge(&path, &json!({ "metadata": { "uid": "another" } }));
    assert_eq!(reason(&answer), (422, "Invalid"));
    assert_eq!(answer.1["details"]["causes"][0]["field"], "metadata.uid");
    let body = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "none", "uid": "another" } });
    let answer = server.apply(&format!("{MAPS}/none?fieldManager=x"), &body);
    assert_eq!(reason(&answer), (409, "Conflict"));
}

#[test]
fn leases_are_made_by_a_put() {
    let server = Server::with(&[]);
    let lease = json!({ "kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": { "name": "l" } });
    let leases = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";
    assert_eq!(server.put(&format!("{leases}/l"), &lease).0, 201);
    assert_eq!(server.put(&format!("{MAPS}/none"), &config_map("none", "1")).0, 404);
}

#[test]
fn an_apply_makes_what_is_missing_and_needs_a_manager() {
    let server = Server::with(&[]);
    let path = format!("{MAPS}/a");
    assert_eq!(server.apply(&path, &config_map("a", "1")).0, 422);
    let (code, made) = server.apply(&format!("{path}?fieldManager=me"), &config_map("a", "1"));
    assert_eq!(code, 201);
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "me");
    assert_eq!(server.apply(&format!("{path}?fieldManager=other"), &config_map("a", "2")).0, 409);
    assert_eq!(server.apply(&format!("{path}?fieldManager=other&force=true"), &config_map("a", "2")).0, 200);
}

#[test]
fn status_and_the_rest_are_written_apart() {
    let server = Server::with(&[pod("p")]);
    let path = format!("{PODS}/p");
    server.merge(&format!("{path}/status"), &json!({ "status": { "phase": "Running" } }));
    server.merge(&path, &json!({ "status": { "phase": "Failed" }, "metadata": { "labels": { "x": "y" } } }));
    let (_, seen) = server.get(&path);
    assert_eq!((&seen["status"]["phase"], &seen["metadata"]["labels"]["x"]), (&json!("Running"), &json!("y")));
}

#[test]
fn a_pod_needs_its_service_account() {
    let server = Server::bare();
    server.make(&json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": "ns" } }));
    let answer = server.post(PODS, &pod("p"));
    assert_eq!(reason(&answer), (403, "Forbidden"));
    assert_eq!(
        answer.1["message"],
        "pods \"p\" is forbidden: error looking up service account ns/default: serviceaccount \"default\" not found"
    );
}

#[test]
fn quotas_and_pod_security_speak_up() {
    let quota = json!({ "kind": "ResourceQuota", "apiVersion": "v1", "metadata": { "name": "q" }, "spec": {
        "hard": { "pods": "1" } } });
    let server = Server::with(&[quota, pod("p")]);
    let (code, status) = server.post(PODS, &pod("q"));
    assert_eq!(code, 403);
    assert_eq!(
        status["message"],
        "pods \"q\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"
    );
    let labels = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
    server.merge("/api/v1/namespaces/ns", &labels);
    let (code, status) = server.post(PODS, &pod("q"));
    assert_eq!(code, 403);
    assert_eq!(
        status["message"],
        "pods \"q\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false \
         (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities \
         (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or \
         container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must \
         set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
}

#[test]
fn nothing_is_made_in_a_namespace_on_its_way_out() {
    let server = Server::with(&[]);
    server.delete("/api/v1/namespaces/ns", &Value::Null);
    let answer = server.post(MAPS, &config_map("a", "1"));
    assert_eq!(reason(&answer), (403, "Forbidden"));
    assert_eq!(answer.1["details"]["causes"][0]["reason"], "NamespaceTerminating");
}

fn crd() -> Value {
    json!({
        "kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": { "name": "things.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": { "plural": "things", "kind": "Thing" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                    "spec": { "type": "object", "properties": { "size": { "type": "integer" } } },
                    "status": { "type": "object", "properties": { "seen": { "type": "integer" } } },
                } } } }],
        },
    })
}

#[test]
fn a_crd_serves_its_resource_until_it_is_gone() {
    let server = Server::with(&[]);
    let things = "/apis/example.com/v1/namespaces/ns/things";
    assert_eq!(server.get(things), (404, "404 page not found\n".into()));
    server.make(&crd());
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com";
    let (_, seen) = server.get(crds);
    assert_eq!(seen["status"]["conditions"][1]["type"], "Established");
    let thing = json!({ "kind": "Thing", "apiVersion": "example.com/v1", "metadata": { "name": "a",
        "finalizers": ["example.com/hold"] }, "spec": { "size": 1 }, "status": { "seen": 1 } });
    let (code, made) = server.post(things, &thing);
    assert_eq!((code, &made["status"], &made["metadata"]["generation"]), (201, &Value::Null, &json!(1)));
    let path = format!("{things}/a");
    let (_, changed) =
        server.merge(&format!("{path}/status"), &json!({ "status": { "seen": 2 }, "spec": { "size": 9 } }));
    assert_eq!((&changed["status"]["seen"], &changed["spec"]["size"]), (&json!(2), &json!(1)));
    let (_, changed) = server.merge(&path, &json!({ "spec": { "size": 2 } }));
    assert_eq!(changed["metadata"]["generation"], 2);
    let mut versions = crd()["spec"]["versions"].take();
    versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["colour"] =
        json!({ "type": "string", "default": "red" });
    server.merge(crds, &json!({ "spec": { "versions": versions } }));
    let (_, read) = server.get(&path);
    assert_eq!(read["spec"], json!({ "size": 2, "colour": "red" }), "a new default holds for what is stored");
    assert_eq!(read["metadata"]["resourceVersion"], changed["metadata"]["resourceVersion"]);
    let (_, changed) = server.merge(&path, &json!({ "spec": { "colour": "red" } }));
    assert_ne!(read["metadata"]["resourceVersion"], changed["metadata"]["resourceVersion"], "now it is written");
    assert_eq!(changed["metadata"]["generation"], 2, "which is no change");
    server.delete(crds, &Value::Null);
    assert_eq!(server.get(&path).0, 200, "its finalizer holds it");
    server.merge(&path, &json!({ "metadata": { "finalizers": null } }));
    assert_eq!(server.get(crds).0, 404);
    assert_eq!(server.get(things), (404, "404 page not found\n".into()));
}

#[test]
fn who_may_see_one_object_must_ask_for_it_and_cannot_delete_by_selector() {
    let server = Server::with(&[config_map("a", "1"), config_map("b", "1")]);
    let rule = Rule {
        groups: vec![String::new()],
        resources: vec!["configmaps".into()],
        names: vec!["a".into()],
        verbs: ["list", "watch", "deletecollection"].map(String::from).to_vec(),
        ..Rule::default()
    };
    server.0.account("t", Account { user: "x".into(), rights: Rights::Rules(vec![rule]), expires: None });
    for (method, query, code) in [
        (Method::GET, "fieldSelector=metadata.name%3Da", 200),
        (Method::GET, "fieldSelector=metadata.name%3D%3Da", 200),
        (Method::GET, "fieldSelector=metadata.name%3Da&watch=true", 200),
        (Method::GET, "fieldSelector=metadata.name%3Db", 403),
        (Method::GET, "fieldSelector=metadata.name!%3Da", 403),
        (Method::GET, "fieldSelector=metadata.name%3Da&labelSelector=a%20b", 403),
        (Method::GET, "", 403),
        (Method::DELETE, "fieldSelector=metadata.name%3Da", 403),
    ] {
        let uri = format!("{MAPS}?{query}");
        let response = server.raw(&Who::Token("t".into()), method.clone(), &uri, "", &Value::Null);
        assert_eq!(response.status(), code, "{method} {query}");
    }
    let named = server.raw(&Who::Token("t".into()), Method::GET, &format!("{MAPS}/a?watch=true"), "", &Value::Null);
    assert_eq!(named.status(), 403, "what is asked for by its name is read, not watched");
}

#[test]
fn an_apply_that_changes_only_what_the_server_counts_changes_nothing() {
    let server = Server::with(&[]);
    let event = json!({ "kind": "Event", "apiVersion": "v1", "metadata": { "name": "e" },
        "involvedObject": { "namespace": "ns" }, "reason": "R" });
    server.make(&event);
    let path = "/api/v1/namespaces/ns/events/e?fieldManager=x";
    let (_, first) = server.apply(path, &event);
    let mut counted = event;
    counted["metadata"]["generation"] = 5.into();
    let (code, second) = server.apply(path, &counted);
    assert_eq!((code, second), (200, first));
}

#[test]
fn rights_are_what_an_account_has() {
    let server = Server::with(&[config_map("a", "1")]);
    let rule = Rule {
        groups: vec![String::new()],
        resources: vec!["configmaps".into()],
        verbs: vec!["get".into()],
        ..Rule::default()
    };
    let rights = Rights::Rules(vec![rule]);
    server.0.account("t", Account { user: "x".into(), rights, expires: None });
    let who = Who::Token("t".into());
    let call = |who: &Who, method, path: &str, body: &Value| {
        let response = server.raw(who, method, path, "application/json", body);
        let code = response.status().as_u16();
        let status: Value = serde_json::from_slice(&response.into_body().bytes().unwrap()).unwrap();
        (code, status)
    };
    assert_eq!(call(&who, Method::GET, &format!("{MAPS}/a"), &Value::Null).0, 200);
    let (code, status) = call(&who, Method::GET, PODS, &Value::Null);
    assert_eq!(code, 403);
    assert_eq!(
        status["message"],
        "pods is forbidden: User \"x\" cannot list resource \"pods\" in API group \"\" in the namespace \"ns\""
    );
    let review = |verb: &str| {
        json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {
            "resourceAttributes": { "verb": verb, "resource": "configmaps" } } })
    };
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (verb, allowed) in [("get", true), ("delete", false)] {
        let (code, answer) = call(&who, Method::POST, reviews, &review(verb));
        assert_eq!((code, &answer["status"]["allowed"]), (201, &json!(allowed)));
    }
    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": { "namespace": "ns" } });
    let (code, answer) = call(&who, Method::POST, rules, &review);
    assert_eq!((code, &answer["status"]["resourceRules"][0]["resources"]), (201, &json!(["configmaps"])));
    assert_eq!(call(&who, Method::POST, rules, &json!({ "spec": {} })).0, 400);
    assert_eq!(call(&Who::Token("unknown".into()), Method::GET, PODS, &Value::Null).0, 401);
    server.0.revoke("t");
    assert_eq!(call(&who, Method::GET, MAPS, &Value::Null).0, 401);
}
