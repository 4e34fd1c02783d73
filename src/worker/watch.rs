//! One list and watch, followed for as long as its worker is.
//!
//! Not kube's `watcher`: its list has no deadline, so that a server that accepts and never answers would hold a worker
//! in between for ever; it reopens a watch that ends at once without a pause; it hides which of its requests failed; and
//! it resumes a watch that broke where it was. An API server whose etcd was restored from a backup takes that for a time
//! that is still to come, and says nothing until it has. So only a watch that came to its own end is resumed.

use std::{future::ready, time::Duration};

use futures::StreamExt as _;
use kube::{
    Api,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    events,
    fault::{Fault, call},
    timing,
};

/// Which objects to follow.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Label selector.
    pub labels: Option<String>,
    /// Field selector.
    pub fields: Option<String>,
    /// `timeoutSeconds` of each watch request.
    pub seconds: u32,
}

/// Where what is seen goes. Called in order, never concurrently.
pub trait Sink<K> {
    /// What is kept of an object while a list is read page by page.
    type Item;

    /// What to keep of an object, if anything.
    fn project(&self, object: K) -> Option<Self::Item>;
    /// Whether whoever has just answered with a list is still who it was; asked after each list, before it is believed.
    fn prove(&self) -> impl Future<Output = Result<(), Fault>> + Send {
        ready(Ok(()))
    }
    /// Everything that matches, at this resource version. Also says that the stream is healthy.
    fn listed(&mut self, objects: Vec<Self::Item>, version: &str);
    /// An object is there, or has changed.
    fn applied(&mut self, object: K);
    /// An object went; as it last was.
    fn deleted(&mut self, object: K);
    /// The watch has come to this resource version.
    fn bookmark(&mut self, version: &str);
    /// A request failed, for the `failures`th time in a row; it is tried again after a pause.
    fn failed(&mut self, fault: &Fault, failures: u32);
}

/// Follows until dropped.
pub async fn follow<K>(name: &str, api: Api<K>, scope: Scope, mut sink: impl Sink<K>)
where
    K: Clone + DeserializeOwned + std::fmt::Debug + kube::Resource<DynamicType = ()> + 'static,
{
    let mut at: Option<String> = None;
    let mut failures = 0;
    loop {
        let opened = Instant::now();
        match step(&api, &scope, &mut sink, &mut at).await {
            Ok(()) => {
                failures = 0;
                sleep_until(opened + timing::WATCH_EVERY).await;
            }
            Err(fault) => {
                at = None;
                // A stream that served for a while before it broke starts its count anew.
                failures = if opened.elapsed() > timing::WATCH_PROVED { 1 } else { failures + 1 };
                sink.failed(&fault, failures);
                tokio::time::sleep(timing::backoff(name, failures)).await;
            }
        }
    }
}

/// One list (where it is not known from where to watch), and one watch to its end.
async fn step<K>(api: &Api<K>, scope: &Scope, sink: &mut impl Sink<K>, at: &mut Option<String>) -> Result<(), Fault>
where
    K: Clone + DeserializeOwned + std::fmt::Debug + kube::Resource<DynamicType = ()> + 'static,
{
    let version = match at.take() {
        Some(version) => version,
        None => list(api, scope, sink).await?,
    };
    *at = Some(version.clone());
    let params = WatchParams {
        label_selector: scope.labels.clone(),
        field_selector: scope.fields.clone(),
        timeout: Some(scope.seconds),
        bookmarks: true,
        ..WatchParams::default()
    };
    // From before it was sent: the API server counts from when it came, so that its own end is never sooner than this.
    let asked = Instant::now();
    let stream = match events::watch(api, &params, &version).await {
        Ok(stream) => stream,
        Err(fault) => return expired(at, fault.status().map(|status| status.code), fault.clone()),
    };
    let mut stream = std::pin::pin!(stream);
    let silence = Duration::from_secs(scope.seconds.into()) + timing::WATCH_GRACE;
    loop {
        // One that outlives its own end may be followed by one that is as deaf: only a list tells what was missed.
        let Ok(next) = timeout(silence, stream.next()).await else {
            return Err(Fault::Timeout(silence));
        };
        let version = match next {
            None => {
                // Somebody ended it: its server is going down, perhaps to come back as another one.
                if asked.elapsed() < Duration::from_secs(scope.seconds.into()) {
                    *at = None;
                }
                return Ok(());
            }
            Some(Err(fault)) => return Err(fault),
            Some(Ok(WatchEvent::Error(status))) => {
                let code = status.code;
                return expired(at, Some(code), kube::Error::Api(status).into());
            }
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                let version = object.meta().resource_version.clone();
                sink.applied(object);
                version
            }
            Some(Ok(WatchEvent::Deleted(object))) => {
                let version = object.meta().resource_version.clone();
                sink.deleted(object);
                version
            }
            Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                sink.bookmark(&bookmark.metadata.resource_version);
                Some(bookmark.metadata.resource_version)
            }
        };
        if version.is_some() {
            *at = version;
        }
    }
}

/// 410 Gone: the history is lost, so list again. That is ordinary, not a failure.
fn expired(at: &mut Option<String>, code: Option<u16>, fault: Fault) -> Result<(), Fault> {
    if code == Some(410) {
        *at = None;
        return Ok(());
    }
    Err(fault)
}

/// A quorum list, page by page.
async fn list<K>(api: &Api<K>, scope: &Scope, sink: &mut impl Sink<K>) -> Result<String, Fault>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut params = ListParams {
        label_selector: scope.labels.clone(),
        field_selector: scope.fields.clone(),
        limit: Some(timing::PAGE),
        ..ListParams::default()
    };
    let mut objects = Vec::new();
    loop {
        let page = call(api.list(&params)).await?;
        objects.extend(page.items.into_iter().filter_map(|object| sink.project(object)));
        let Some(token) = page.metadata.continue_.filter(|token| !token.is_empty()) else {
            let version = page.metadata.resource_version.unwrap_or_default();
            sink.prove().await?;
            sink.listed(objects, &version);
            return Ok(version);
        };
        params.continue_token = Some(token);
    }
}
