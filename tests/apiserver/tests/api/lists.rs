//! Lists.

use serde_json::{Value, json};

use crate::{MAPS, PODS, Server, config_map, pod};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[test]
fn lists_are_paged_at_one_version() {
    let server = Server::with(&["a", "b", "c", "d", "e"].map(|name| config_map(name, "1")));
    let (_, first) = server.get(&format!("{MAPS}?limit=2"));
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(3)));
    assert_eq!(first["items"][0]["kind"], Value::Null, "items of built-in kinds do not say what they are");
    server.delete(&format!("{MAPS}/c"), &Value::Null);
    server.merge(&format!("{MAPS}/d"), &json!({ "data": { "key": "2" } }));
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, second) = server.get(&format!("{MAPS}?limit=2&continue={token}"));
    assert_eq!(names(&second), ["c", "d"], "as they were");
    assert_eq!(second["items"][1]["data"]["key"], "1");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let token = second["metadata"]["continue"].as_str().unwrap();
    let (_, third) = server.get(&format!("{MAPS}?limit=2&continue={token}"));
    assert_eq!((names(&third), &third["metadata"]["continue"]), (vec!["e"], &Value::Null));
    let now = server.0.version().to_string();
    assert_eq!(server.get(MAPS).1["metadata"]["resourceVersion"], now);
}

#[test]
fn a_token_that_is_too_old_comes_with_another() {
    let server = Server::with(&["a", "b", "c"].map(|name| config_map(name, "1")));
    let (_, first) = server.get(&format!("{MAPS}?limit=1"));
    server.delete(&format!("{MAPS}/b"), &Value::Null);
    server.0.compact();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (code, status) = server.get(&format!("{MAPS}?limit=1&continue={token}"));
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
    let token = status["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = server.get(&format!("{MAPS}?limit=1&continue={token}"));
    assert_eq!(names(&rest), ["c"]);
}

#[test]
fn the_past_can_be_listed_until_it_is_compacted() {
    let server = Server::with(&[config_map("a", "1")]);
    let then = server.0.version();
    server.make(&config_map("b", "1"));
    let path = format!("{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact");
    assert_eq!(names(&server.get(&path).1), ["a"]);
    assert_eq!(names(&server.get(&format!("{MAPS}?resourceVersion={then}")).1), ["a", "b"]);
    server.0.compact();
    assert_eq!(server.get(&path).0, 410);
    let (code, status) = server.get(&format!("{MAPS}?resourceVersion={}", then + 100));
    assert_eq!((code, &status["details"]["causes"][0]["reason"]), (504, &json!("ResourceVersionTooLarge")));
}

#[test]
fn lists_select() {
    let server = Server::with(&[pod("a"), pod("b")]);
    for (query, expected) in [
        ("labelSelector=app%3Db", vec!["b"]),
        ("labelSelector=app+in+(a,b)", vec!["a", "b"]),
        ("fieldSelector=metadata.name%3Da", vec!["a"]),
        ("fieldSelector=spec.nodeName%3D", vec!["a", "b"]),
        ("fieldSelector=status.phase!%3DPending", vec![]),
    ] {
        assert_eq!(names(&server.get(&format!("{PODS}?{query}")).1), expected, "{query}");
    }
    assert_eq!(server.get(&format!("{PODS}?fieldSelector=spec.foo%3D1")).0, 400);
}

#[test]
fn a_replica_that_lags_shows_the_past_to_whoever_accepts_it() {
    let server = Server::with(&[config_map("a", "1")]);
    server.0.freeze_cache();
    server.make(&config_map("b", "1"));
    let names_of = |query: &str| {
        let list = server.get(&format!("{MAPS}{query}")).1;
        names(&list).join(" ")
    };
    assert_eq!((names_of(""), names_of("?resourceVersion=0")), ("a b".to_owned(), "a".to_owned()));
    assert_eq!(server.get(&format!("{MAPS}/b?resourceVersion=0")).0, 404);
    assert_eq!(server.get(&format!("{MAPS}/b")).0, 200);
    server.0.thaw_cache();
    assert_eq!(names_of("?resourceVersion=0"), "a b");
}
