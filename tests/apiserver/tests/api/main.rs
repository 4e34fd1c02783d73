//! Requests, and what comes of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod curtain;
mod deletes;
mod lists;
mod services;
mod watches;
mod writes;

use std::sync::Arc;

use apiserver::{ApiServer, Body, Options, Who};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};

pub struct Server(pub ApiServer);

impl Server {
    pub fn bare() -> Self {
        let start = jiff::Timestamp::from_second(1_700_000_000).unwrap();
        let server = ApiServer::new(Options {
            identity: "the-identity".to_owned(),
            version: "v1.34.4".to_owned(),
            clock: Arc::new(move || start),
            seed: 1,
        });
        Self(server)
    }

    /// One with a namespace `ns`, its service account, and something in it.
    pub fn with(objects: &[Value]) -> Self {
        let server = Self::bare();
        server.make(&json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": "ns" } }));
        server.make(&json!({ "kind": "ServiceAccount", "apiVersion": "v1", "metadata": { "name": "default" } }));
        for object in objects {
            server.make(object);
        }
        server
    }

    pub fn raw(&self, who: &Who, method: Method, path: &str, content: &str, body: &Value) -> Response<Body> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder().method(method).uri(path).header("content-type", content);
        self.0.answer(who, request.body(body).unwrap())
    }

    pub fn call(&self, method: Method, path: &str, content: &str, body: &Value) -> (u16, Value) {
        let response = self.raw(&Who::Admin, method, path, content, body);
        let code = response.status().as_u16();
        let bytes = response.into_body().bytes().expect("a whole body");
        (code, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into()))
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, "", &Value::Null)
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(Method::POST, path, "application/json", body)
    }

    pub fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(Method::PUT, path, "application/json", body)
    }

    pub fn merge(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(Method::PATCH, path, "application/merge-patch+json", body)
    }

    pub fn apply(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(Method::PATCH, path, "application/apply-patch+yaml", body)
    }

    pub fn delete(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(Method::DELETE, path, "application/json", body)
    }

    /// Creates something that must be possible.
    pub fn make(&self, object: &Value) -> Value {
        let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
        let plural = plural.replace("storageclasss", "storageclasses");
        let version = object["apiVersion"].as_str().unwrap();
        let base = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let cluster =
            matches!(plural.as_str(), "namespaces" | "nodes" | "storageclasses" | "customresourcedefinitions");
        let path = if cluster { format!("{base}/{plural}") } else { format!("{base}/namespaces/ns/{plural}") };
        let (code, made) = self.post(&path, object);
        assert_eq!(code, 201, "{made}");
        made
    }

    /// What a watch says until it is silent, as `TYPE name`, and the whole events.
    pub async fn events(body: &mut Body) -> Vec<Value> {
        let mut events = Vec::new();
        while let Ok(Some(frame)) = tokio::time::timeout(std::time::Duration::from_millis(1), body.frame()).await {
            let line = frame.unwrap().into_data().unwrap();
            events.push(serde_json::from_slice(&line).unwrap());
        }
        events
    }

    pub fn watch(&self, path: &str) -> Body {
        let response = self.raw(&Who::Admin, Method::GET, path, "", &Value::Null);
        assert_eq!(response.status(), 200);
        response.into_body()
    }
}

pub fn told(events: &[Value]) -> Vec<String> {
    let word = |event: &Value| {
        let object = &event["object"];
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        format!("{} {name}", event["type"].as_str().unwrap()).trim_end().to_owned()
    };
    events.iter().map(word).collect()
}

pub fn pod(name: &str) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1", "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "automountServiceAccountToken": false, "containers": [{ "name": "c", "image": "i" }] },
    })
}

pub fn config_map(name: &str, value: &str) -> Value {
    json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": name }, "data": { "key": value } })
}

pub const PODS: &str = "/api/v1/namespaces/ns/pods";
pub const MAPS: &str = "/api/v1/namespaces/ns/configmaps";
