//! Watches: streams of what changes.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    failure::Failure,
    list::{invalid_version, version},
    selector::Selector,
    server::Shared,
    state::{Ask, Served, State},
    store::{Change, bytes_of, set_version},
};

/// How often a quiet watch says how far it has come.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);
/// A last bookmark comes so long before the end.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// How long a watch lasts, at least, if its client does not say.
const LEAST: u64 = 1_800;

/// A watch that runs.
pub(crate) struct Watching {
    shared: Arc<Shared>,
    served: Arc<Served>,
    id: u64,
    epoch: u64,
    prefix: String,
    selector: Selector,
    /// Everything up to this version has been told.
    since: u64,
    lines: VecDeque<Bytes>,
    bookmarks: bool,
    bookmark: Option<Instant>,
    end: Instant,
    ended: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl State {
    pub(crate) fn watch(&mut self, shared: &Arc<Shared>, ask: &Ask<'_>) -> Result<Watching, Failure> {
        let query = &ask.query;
        let selector = Self::selector(ask)?;
        let wanted = match query.version.as_str() {
            "" => 0,
            text => version(text).map_err(invalid_version)?,
        };
        let initial = query.initial_events.unwrap_or(wanted == 0);
        let seconds = query.timeout_seconds.filter(|seconds| *seconds > 0);
        let seconds = seconds.unwrap_or_else(|| LEAST + self.random.below(LEAST));
        let end = Instant::now() + Duration::from_secs(seconds);
        self.watchers += 1;
        let mut watching = Watching {
            shared: shared.clone(),
            served: ask.served.clone(),
            id: self.watchers,
            epoch: self.epoch,
            prefix: ask.prefix(),
            selector,
            since: wanted,
            lines: VecDeque::new(),
            bookmarks: query.bookmarks,
            bookmark: None,
            end,
            ended: false,
            timer: None,
        };
        watching.bookmark = watching.next_bookmark(Instant::now());
        let visible = self.visible();
        // Whoever says nothing wants what a quorum knows, which a cache that lags has not seen.
        let needed = if query.version.is_empty() { self.store.version() } else { wanted };
        if initial && needed > visible {
            watching.fail(&Failure::too_large_version(needed, visible, 1));
        } else if initial {
            watching.begin(self, visible);
        } else if wanted == 0 {
            watching.since = visible;
        } else if wanted < self.store.floor {
            let words = format!("too old resource version: {wanted} ({})", self.store.floor);
            watching.fail(&Failure::expired(words));
        }
        Ok(watching)
    }
}

impl Watching {
    /// What is there already.
    fn begin(&mut self, state: &State, visible: u64) {
        if let Some(shelf) = state.store.shelf(&self.served.shelf) {
            let past = shelf.at(visible);
            let objects = past.as_ref().unwrap_or(&shelf.objects);
            for (_, stored) in crate::store::range(objects, &self.prefix, "") {
                if self.selector.is_empty() || self.selector.matches(&self.served.load(stored)) {
                    self.lines.push_back(line("ADDED", &self.served.json(stored)));
                }
            }
        }
        self.since = self.since.max(visible);
        if self.bookmarks {
            let mut bookmark = self.bookmark_at(self.since);
            bookmark["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
            self.lines.push_back(line("BOOKMARK", &bytes_of(&bookmark)));
        }
    }

    fn fail(&mut self, failure: &Failure) {
        self.lines.push_back(line("ERROR", &bytes_of(&failure.status())));
        self.ended = true;
    }

    fn bookmark_at(&self, version: u64) -> Value {
        let mut bookmark = (*self.served.kind.empty).clone();
        bookmark["metadata"] = json!({ "resourceVersion": version.to_string() });
        bookmark
    }

    fn next_bookmark(&self, now: Instant) -> Option<Instant> {
        let at = (now + BOOKMARK_EVERY).min(self.end.checked_sub(BOOKMARK_BEFORE_END)?);
        (self.bookmarks && at > now).then_some(at)
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Poll::Ready(Some(line));
            }
            if self.ended || !self.look(context) {
                return Poll::Ready(None);
            }
            if !self.lines.is_empty() {
                continue;
            }
            let next = self.bookmark.unwrap_or(self.end).min(self.end);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if timer.deadline() != next {
                timer.as_mut().reset(next);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if next == self.end {
                self.ended = true;
            } else {
                self.bookmark = self.next_bookmark(next);
                let version = self.shared.state().visible();
                if version >= self.since {
                    self.lines.push_back(line("BOOKMARK", &bytes_of(&self.bookmark_at(version))));
                }
            }
        }
    }

    /// Takes what is new; `false` if this watch is over.
    fn look(&mut self, context: &mut Context<'_>) -> bool {
        let shared = self.shared.clone();
        let mut state = shared.state();
        if state.epoch != self.epoch {
            return false;
        }
        let visible = state.visible();
        if self.since < visible {
            if let Some(shelf) = state.store.shelf(&self.served.shelf) {
                let Some(changes) = shelf.changes(self.since, visible) else { return false };
                let lines: Vec<Bytes> = changes.filter_map(|change| self.told(change)).collect();
                self.lines.extend(lines);
            }
            self.since = visible;
        }
        if self.lines.is_empty() {
            state.store.shelf_mut(&self.served.shelf).sleep(self.id, context.waker());
        }
        true
    }

    /// What a change is to whoever selects some objects only.
    fn told(&self, change: &Change) -> Option<Bytes> {
        if !change.key.starts_with(&self.prefix) {
            return None;
        }
        let selected = |stored: &_| self.selector.is_empty() || self.selector.matches(&self.served.load(stored));
        let before = change.before.as_ref().filter(|stored| selected(stored));
        let after = !change.gone && selected(&change.after);
        match (before, after) {
            (None, false) => None,
            (None, true) => Some(line("ADDED", &self.served.json(&change.after))),
            (Some(_), true) => Some(line("MODIFIED", &self.served.json(&change.after))),
            (Some(_), false) if change.gone => Some(line("DELETED", &self.served.json(&change.after))),
            (Some(before), false) => {
                let mut last = (*self.served.load(before)).clone();
                set_version(&mut last, change.version);
                Some(line("DELETED", &bytes_of(&last)))
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.store.shelf_mut(&self.served.shelf).forget_sleeper(self.id);
    }
}

fn line(kind: &str, object: &Bytes) -> Bytes {
    let mut line = BytesMut::with_capacity(object.len() + kind.len() + 24);
    line.put_slice(br#"{"type":""#);
    line.put_slice(kind.as_bytes());
    line.put_slice(br#"","object":"#);
    line.put_slice(object);
    line.put_slice(b"}\n");
    line.freeze()
}
