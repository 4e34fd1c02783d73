//! List and watch: how a world comes to know its API server's objects.
//!
//! A watch that ends, for whatever reason, is followed by a list. It costs a request every five minutes, and needs no
//! thought about versions that are too old, or of another time, after a backup was restored.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use kube::{
    Api, Client,
    api::{ListParams, WatchEvent, WatchParams},
};
use tokio::time::{sleep, timeout};

use super::{Shared, objects::Kept};

/// How long a watch lasts.
const WATCH: u32 = 290;
/// How much later than that a connection is taken for dead.
const LATE: Duration = Duration::from_secs(WATCH as u64 + 30);
/// How long a list may take.
const LIST: Duration = Duration::from_secs(10);
/// The pause after something failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Follows the objects of one kind until dropped.
pub(super) async fn follow<K: Kept>(shared: Arc<Shared>, client: Client) {
    let api = Api::<K>::all(client);
    loop {
        if Box::pin(see(&shared, &api)).await.is_err() {
            sleep(PAUSE).await;
        }
    }
}

async fn see<K: Kept>(shared: &Shared, api: &Api<K>) -> Result<(), ()> {
    let mut list = ListParams::default();
    let mut watch = WatchParams::default().timeout(WATCH).disable_bookmarks();
    if !K::FIELDS.is_empty() {
        (list, watch) = (list.fields(K::FIELDS), watch.fields(K::FIELDS));
    }
    let list = timeout(LIST, api.list(&list)).await.map_err(drop)?.map_err(drop)?;
    let version = list.metadata.resource_version.unwrap_or_default();
    shared.learn(|objects| objects.listed(list.items));
    let events = timeout(LIST, api.watch(&watch, &version)).await.map_err(drop)?.map_err(drop)?;
    let mut events = Box::pin(events);
    loop {
        match timeout(LATE, events.next()).await.map_err(drop)? {
            None => return Ok(()),
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                shared.learn(|objects| objects.shown(object));
            }
            Some(Ok(WatchEvent::Deleted(object))) => shared.deleted(object),
            Some(Ok(WatchEvent::Bookmark(_))) => {}
            Some(Ok(WatchEvent::Error(_)) | Err(_)) => return Err(()),
        }
    }
}
