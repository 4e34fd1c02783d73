//! Writes to the API server. What an answer shows is known at once; an event would show it later.

use std::time::Duration;

use http::{Method, Request};
use kube::{Client, Error};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::objects::{Kept, Key, Objects};

/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// What an act has taught.
pub(super) type Learned = Box<dyn FnOnce(&mut Objects) + Send>;
/// How an act ended; `None` where only an event will show what it changed.
pub(super) type Done = Result<Option<Learned>, Fault>;

/// Why an act was in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no such object.
    Missing,
    /// Somebody else was faster: what is known was old.
    Conflict,
    /// The API server does not want it.
    Refused,
    /// No answer, or none that means anything.
    Silence,
}

/// Which part of an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All but its status.
    Object,
    /// Its status.
    Status,
}

/// Sends requests.
#[derive(Clone)]
pub(super) struct Hand {
    client: Client,
}

impl Hand {
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// One request.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, Fault> {
        let content = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header(http::header::CONTENT_TYPE, content);
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(body).map_err(|_| Fault::Refused)?;
        match timeout(DEADLINE, self.client.request::<T>(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Error::Api(status))) => Err(match status.code {
                404 => Fault::Missing,
                409 => Fault::Conflict,
                400..500 if status.code != 429 => Fault::Refused,
                _ => Fault::Silence,
            }),
            Ok(Err(_)) | Err(_) => Err(Fault::Silence),
        }
    }

    /// Changes an object by a merge patch. It names the UID, so that another object of that name stays as it is.
    pub(super) async fn patch<K: Kept>(&self, key: &Key, uid: &str, part: Part, mut patch: Value) -> Done {
        patch["metadata"]["uid"] = uid.into();
        let suffix = if part == Part::Status { "/status" } else { "" };
        let path = format!("{}{suffix}", path::<K>(key));
        match self.send::<K>(Method::PATCH, &path, Some(patch)).await {
            Ok(object) => Ok(shown(object)),
            Err(Fault::Missing) => Ok(missing::<K>(key, uid)),
            Err(fault) => Err(fault),
        }
    }

    /// Makes an object.
    pub(super) async fn create<K: Kept>(&self, namespace: &str, object: Value) -> Done {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        let path = K::url_path(&(), namespace);
        let made = self.send::<K>(Method::POST, &path, Some(object)).await?;
        Ok(shown(made))
    }

    /// Deletes exactly this object, with this grace if any is said.
    pub(super) async fn delete<K: Kept>(&self, key: &Key, uid: &str, grace: Option<u32>) -> Done {
        let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid } });
        match grace {
            Some(grace) => options["gracePeriodSeconds"] = grace.into(),
            None => options["propagationPolicy"] = "Background".into(),
        }
        let answer = self.send::<Value>(Method::DELETE, &path::<K>(key), Some(options)).await;
        match answer {
            Ok(object) => Ok(serde_json::from_value::<K>(object).ok().filter(stays).and_then(shown)),
            Err(Fault::Missing) => Ok(missing::<K>(key, uid)),
            Err(fault) => Err(fault),
        }
    }
}

/// Whether an object that a deletion was answered with is still there: held, or with time to go.
fn stays<K: Kept>(object: &K) -> bool {
    let meta = object.meta();
    let held = meta.finalizers.as_ref().is_some_and(|held| !held.is_empty());
    meta.deletion_timestamp.is_some() && (held || meta.deletion_grace_period_seconds.unwrap_or(0) > 0)
}

/// Where an object is.
pub(super) fn path<K: Kept>((namespace, name): &Key) -> String {
    let namespace = Some(namespace.as_str()).filter(|namespace| !namespace.is_empty());
    format!("{}/{name}", K::url_path(&(), namespace))
}

/// This is how an object is now.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn shown<K: Kept>(object: K) -> Option<Learned> {
    Some(Box::new(|objects| objects.shown(object)))
}

/// There is no such object.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn missing<K: Kept>(key: &Key, uid: &str) -> Option<Learned> {
    let (key, uid) = (key.clone(), uid.to_owned());
    Some(Box::new(move |objects| objects.unknown::<K>(&key, &uid)))
}
