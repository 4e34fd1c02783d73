//! Watches.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{MAPS, PODS, Server, config_map, pod, told};

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_changes_from_where_it_starts() {
    let server = Server::with(&[config_map("a", "1")]);
    let start = server.0.version();
    server.make(&config_map("b", "1"));
    let mut watch = server.watch(&format!("{MAPS}?watch=true&resourceVersion={start}"));
    assert_eq!(told(&Server::events(&mut watch).await), ["ADDED b"]);
    server.merge(&format!("{MAPS}/a"), &json!({ "data": { "key": "2" } }));
    let (_, gone) = server.delete(&format!("{MAPS}/b"), &Value::Null);
    assert_eq!(gone["status"], "Success");
    let events = Server::events(&mut watch).await;
    assert_eq!(told(&events), ["MODIFIED a", "DELETED b"]);
    assert_eq!(events[1]["object"]["metadata"]["resourceVersion"], server.0.version().to_string());
    assert_eq!(events[1]["object"]["data"]["key"], "1");
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_nowhere_tells_first_what_is_there() {
    let server = Server::with(&[config_map("a", "1"), config_map("b", "1")]);
    for query in ["", "&resourceVersion=0"] {
        let mut watch = server.watch(&format!("{MAPS}?watch=true{query}"));
        assert_eq!(told(&Server::events(&mut watch).await), ["ADDED a", "ADDED b"], "{query}");
    }
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = server.watch(&format!("{MAPS}?watch=true&{query}"));
    let events = Server::events(&mut watch).await;
    assert_eq!(told(&events), ["ADDED a", "ADDED b", "BOOKMARK"]);
    assert_eq!(events[2]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test(start_paused = true)]
async fn an_object_comes_into_a_selection_and_leaves_it() {
    let server = Server::with(&[pod("a")]);
    let version = server.0.version();
    let mut watch = server.watch(&format!("{PODS}?watch=true&labelSelector=x%3Dy&resourceVersion={version}"));
    let label = |value: Value| {
        server.merge(&format!("{PODS}/a"), &json!({ "metadata": { "labels": { "x": value } } }));
    };
    label("y".into());
    label("z".into());
    let events = Server::events(&mut watch).await;
    assert_eq!(told(&events), ["ADDED a", "DELETED a"]);
    assert_eq!(events[1]["object"]["metadata"]["labels"]["x"], "y", "as it last was in the selection");
    assert_eq!(events[1]["object"]["metadata"]["resourceVersion"], server.0.version().to_string());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_forgotten_is_an_error_in_the_stream() {
    let server = Server::with(&[config_map("a", "1")]);
    server.0.compact();
    let mut watch = server.watch(&format!("{MAPS}?watch=true&resourceVersion=2"));
    let events = Server::events(&mut watch).await;
    assert_eq!((&events[0]["type"], &events[0]["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(events[0]["object"]["reason"], "Expired");
    assert!(watch.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_says_how_far_it_is_and_ends_in_time() {
    let server = Server::with(&[config_map("a", "1")]);
    let version = server.0.version();
    let query = format!("watch=true&resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=100");
    let mut watch = server.watch(&format!("{MAPS}?{query}"));
    server.make(&pod("p"));
    let start = tokio::time::Instant::now();
    let mut heard = Vec::new();
    while let Some(frame) = watch.frame().await {
        let event: Value = serde_json::from_slice(&frame.unwrap().into_data().unwrap()).unwrap();
        assert_eq!(event["object"]["metadata"]["resourceVersion"], server.0.version().to_string());
        heard.push((event["type"].as_str().unwrap().to_owned(), start.elapsed()));
    }
    let bookmark = |seconds| ("BOOKMARK".to_owned(), Duration::from_secs(seconds));
    assert_eq!(heard, [bookmark(60), bookmark(98)]);
    assert_eq!(start.elapsed(), Duration::from_secs(100));
}

#[tokio::test(start_paused = true)]
async fn a_watch_sleeps_until_something_happens() {
    let server = Server::with(&[]);
    let mut watch = server.watch(&format!("{MAPS}?watch=true&resourceVersion={}", server.0.version()));
    let heard = tokio::spawn(async move { watch.frame().await.map(|frame| frame.unwrap().into_data().unwrap()) });
    tokio::time::sleep(Duration::from_secs(10)).await;
    server.make(&config_map("a", "1"));
    let line = heard.await.unwrap().expect("an event");
    assert!(line.starts_with(br#"{"type":"ADDED","object":{"#));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_watch_tells_later_what_was_held_back() {
    let server = Server::with(&[]);
    let mut watch = server.watch(&format!("{MAPS}?watch=true&resourceVersion={}", server.0.version()));
    server.0.freeze_cache();
    server.make(&config_map("a", "1"));
    server.make(&config_map("b", "1"));
    assert!(Server::events(&mut watch).await.is_empty());
    server.0.thaw_cache();
    assert_eq!(told(&Server::events(&mut watch).await), ["ADDED a", "ADDED b"]);
}

#[tokio::test(start_paused = true)]
async fn watches_break_off_when_a_server_is_restored_and_old_versions_are_gone() {
    let server = Server::with(&[config_map("a", "1")]);
    let old = server.0.version() - 1;
    let backup = server.0.snapshot();
    server.make(&config_map("b", "1"));
    let ahead = server.0.version();
    let mut watch = server.watch(&format!("{MAPS}?watch=true&resourceVersion={ahead}"));
    assert!(Server::events(&mut watch).await.is_empty());
    server.0.restore(&backup);
    assert!(watch.frame().await.is_none());
    assert_eq!(server.get(&format!("{MAPS}/b")).0, 404);
    let mut watch = server.watch(&format!("{MAPS}?watch=true&resourceVersion={old}"));
    assert_eq!(told(&Server::events(&mut watch).await), ["ERROR"]);
    // Whoever has seen what never came to be hears nothing until that version has passed.
    let mut watch = server.watch(&format!("{MAPS}?watch=true&resourceVersion={ahead}"));
    server.make(&config_map("c", "1"));
    assert_eq!(server.0.version(), ahead);
    assert!(Server::events(&mut watch).await.is_empty());
    server.make(&config_map("d", "1"));
    assert_eq!(told(&Server::events(&mut watch).await), ["ADDED d"]);
}
