//! Plays a sequence to one side and writes down what it says.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use serde_json::Value;

use crate::Trouble;
use crate::generate::Sequence;
use crate::side::{Events, Patience, Side, Watching, whole};
use crate::step::{COMPACT, Learned, Step, Verb, WAIT, Words};

/// Everything that was said.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// The namespace that it was about.
    pub namespace: String,
    /// The requests and their answers, in order.
    pub exchanges: Vec<Exchange>,
    /// What watches told, by step.
    pub events: BTreeMap<usize, Events>,
    /// When it began and when it ended.
    pub time: (Timestamp, Timestamp),
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The step.
    pub id: usize,
    /// The request.
    pub words: Words,
    /// The HTTP status.
    pub status: u16,
    /// The answer; nothing for a watch that was opened.
    pub body: Value,
}

/// How long events may take that the other side has told.
const LONG: Duration = Duration::from_secs(5);

/// Plays a sequence in this namespace, which must be new. As many events are waited for as the other side has told.
pub async fn play(
    side: &impl Side,
    sequence: &Sequence,
    namespace: &str,
    like: Option<&Transcript>,
) -> Result<Transcript, Trouble> {
    let begun = Timestamp::now();
    let mut learned = Learned { namespace: namespace.to_owned(), ..Learned::default() };
    let (mut exchanges, mut watches) = (Vec::new(), BTreeMap::new());
    for step in &sequence.steps {
        match step.method {
            COMPACT => {
                side.compact().await?;
                continue;
            }
            WAIT => {
                side.catch_up().await;
                continue;
            }
            _ => {}
        }
        let words = step.words(&learned);
        if reads_from_memory(step) {
            let path = words.uri.split('?').next().unwrap_or_default();
            let collection =
                if step.verb == Verb::Get { path.rsplit_once('/').map_or(path, |(all, _)| all) } else { path };
            side.settle(collection).await?;
        }
        let mut request = Request::builder().method(step.method).uri(&words.uri).header("user-agent", "conformance/1");
        if let Some(content) = step.content {
            request = request.header("content-type", content);
        }
        let response = side.send(step.who, request.body(Bytes::from(words.body.clone()))?).await?;
        let status = response.status().as_u16();
        let body = if step.verb == Verb::Watch && status == 200 {
            watches.insert(step.id, Watching::new(response.into_body()));
            Value::Null
        } else {
            whole(response).await.body
        };
        learned.answers.insert(step.id, body.clone());
        exchanges.push(Exchange { id: step.id, words, status, body });
    }
    let mut events = BTreeMap::new();
    for (id, watching) in watches {
        let expected = like.and_then(|other| other.events.get(&id)).map_or(0, |told| told.events.len());
        let timeout = timeout_of(sequence, id);
        // One that ends by itself is waited for.
        let quiet = timeout.map_or(side.quiet(), |timeout| timeout + Duration::from_secs(2));
        let patience = Patience { expected, most: LONG, quiet, all_bookmarks: timeout.is_some() };
        events.insert(id, watching.finish(patience).await);
    }
    if sequence.steps.iter().any(|step| step.path.contains("/services")) {
        side.tidy(namespace).await?;
    }
    let time = (begun, Timestamp::now());
    Ok(Transcript { namespace: namespace.to_owned(), exchanges, events, time })
}

fn timeout_of(sequence: &Sequence, id: usize) -> Option<Duration> {
    let step = sequence.steps.iter().find(|step| step.id == id)?;
    let (_, seconds) = step.query.iter().find(|(name, _)| *name == "timeoutSeconds")?;
    seconds.parse().ok().map(Duration::from_secs)
}

fn reads_from_memory(step: &Step) -> bool {
    let cached = step.query.iter().any(|(name, _)| *name == "resourceVersion");
    step.verb == Verb::Watch || (cached && step.verb == Verb::List) || (cached && step.verb == Verb::Get)
}
