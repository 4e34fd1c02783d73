//! Whoever answers: the real API server or the simulated one.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, future};
use http::{Request, Response};
use http_body_util::{BodyDataStream, BodyExt as _};
use serde_json::Value;

use crate::Trouble;
use crate::step::Who;

/// An answer that is complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; what is no JSON is a text.
    pub body: Value,
}

/// One side.
pub trait Side: Send + Sync {
    /// What it is called when answers are printed.
    fn name(&self) -> &'static str;
    /// How long it is quiet when all events were told.
    fn quiet(&self) -> Duration;
    /// Sends a request, and gives the answer as far as it is there.
    fn send(&self, who: Who, request: Request<Bytes>) -> impl Future<Output = Result<Response<Flow>, Trouble>> + Send;
    /// Waits until what was written is seen by reads that are served from memory.
    fn settle(&self, collection: &str) -> impl Future<Output = Result<(), Trouble>> + Send;
    /// Waits for what happens by and by.
    fn catch_up(&self) -> impl Future<Output = ()> + Send;
    /// Lets all older versions expire.
    fn compact(&self) -> impl Future<Output = Result<(), Trouble>> + Send;
    /// Removes what only a few sequences can have at a time.
    fn tidy(&self, namespace: &str) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// A body that comes bit by bit.
pub type Flow = futures::stream::BoxStream<'static, Bytes>;

/// A body as a flow; an error ends it.
pub fn flow<B>(body: B) -> Flow
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    BodyDataStream::new(body.map_err(drop))
        .take_while(|part| future::ready(part.is_ok()))
        .filter_map(|part| future::ready(part.ok()))
        .boxed()
}

/// Reads an answer to its end.
pub async fn whole(response: Response<Flow>) -> Answer {
    let status = response.status().as_u16();
    let bytes: Vec<Bytes> = response.into_body().collect().await;
    Answer { status, body: parse(&bytes.concat()) }
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}

/// A watch that is open.
pub struct Watching {
    body: Flow,
    line: Vec<u8>,
    events: VecDeque<Value>,
}

/// What a watch has told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events {
    /// In order.
    pub events: Vec<Value>,
    /// Whether the server ended it.
    pub ended: bool,
}

/// How long no event comes before there are none.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// As many are expected; longer waits end when they are there.
    pub expected: usize,
    /// How long at most until they are there.
    pub most: Duration,
    /// How long after that for those that nobody expects.
    pub quiet: Duration,
    /// Whether every bookmark counts.
    pub all_bookmarks: bool,
}

impl Watching {
    /// That is this answer's body.
    pub fn new(body: Flow) -> Self {
        Self { body, line: Vec::new(), events: VecDeque::new() }
    }

    /// The next event. It is read here and not by another task, so that what is there is seen at once, however little
    /// time the machine has for us.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let Some(part) = self.body.next().await else {
                let rest = std::mem::take(&mut self.line);
                return (!rest.is_empty()).then(|| parse(&rest));
            };
            for byte in part {
                if byte == b'\n' {
                    self.events.push_back(parse(&self.line));
                    self.line.clear();
                } else {
                    self.line.push(byte);
                }
            }
        }
    }

    /// Everything that it told and will tell soon; it is closed then. Bookmarks come when they like and do not count,
    /// except for the one that ends the initial events.
    pub async fn finish(mut self, patience: Patience) -> Events {
        let mut told = Events::default();
        let begun = tokio::time::Instant::now();
        loop {
            let enough = told.events.len() >= patience.expected;
            let left = if enough { patience.quiet } else { patience.most.saturating_sub(begun.elapsed()) };
            match tokio::time::timeout(left, self.next()).await {
                Ok(Some(event))
                    if event["type"] == "BOOKMARK" && !patience.all_bookmarks && !ends_initial_events(&event) => {}
                Ok(Some(event)) => told.events.push(event),
                Ok(None) => {
                    told.ended = true;
                    break;
                }
                Err(_) => break,
            }
        }
        told
    }
}

fn ends_initial_events(event: &Value) -> bool {
    event.pointer("/object/metadata/annotations/k8s.io~1initial-events-end").is_some()
}
