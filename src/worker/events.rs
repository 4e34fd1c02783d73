//! The events of a watch, as they come.
//!
//! kube's own stream of them holds a buffer of eight KiB for as long as it lasts, which is most of what a watch at rest
//! costs: four for each worker. This one holds what has come of a line.

use std::io;

use futures::{AsyncBufRead, AsyncBufReadExt as _, Stream, StreamExt as _, future::ready};
use http::{HeaderValue, header};
use kube::{
    Api,
    api::{Request, WatchEvent, WatchParams},
    core::Status,
};
use serde::de::DeserializeOwned;

use super::fault::{Fault, call, cause};

/// Opens a watch from this version on.
pub async fn watch<K: Clone + DeserializeOwned + kube::Resource>(
    api: &Api<K>,
    params: &WatchParams,
    version: &str,
) -> Result<impl Stream<Item = Result<WatchEvent<K>, Fault>> + use<K>, Fault> {
    let request = Request::new(api.resource_url()).watch(params, version);
    let mut request = request.map_err(|error| Fault::from(kube::Error::BuildRequest(error)))?;
    // API servers of 1.37 and later compress each event by itself, which what decompresses here does not expect.
    request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let client = api.clone().into_client();
    let answer = call(async move { client.request_stream(request).await }).await?;
    Ok(events(answer))
}

fn events<K: DeserializeOwned>(answer: impl AsyncBufRead) -> impl Stream<Item = Result<WatchEvent<K>, Fault>> {
    answer.lines().filter_map(|line| ready(event(line)))
}

/// What a line says; `None`: nothing any more.
fn event<K: DeserializeOwned>(line: io::Result<String>) -> Option<Result<WatchEvent<K>, Fault>> {
    let line = match line {
        Ok(line) => line,
        Err(error) if was_cut_off(&error) => return None,
        Err(error) => return Some(Err(kube::Error::ReadEvents(error).into())),
    };
    match serde_json::from_str(&line) {
        Ok(event) => Some(Ok(event)),
        // The rest of a line that was cut off.
        Err(error) if error.is_eof() => None,
        Err(error) => Some(Err(refusal(&line).unwrap_or(kube::Error::SerdeError(error)).into())),
    }
}

/// An API server that cannot go on may say so without calling it an event.
fn refusal(line: &str) -> Option<kube::Error> {
    let status: Status = serde_json::from_str(line).ok()?;
    (status.code >= 400).then(|| kube::Error::Api(status.boxed()))
}

/// Whether its connection went in the middle of an answer: that is the end of a watch like any other.
fn was_cut_off(error: &io::Error) -> bool {
    let cut = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
    cut(error) || error.get_ref().and_then(|inner| cause::<io::Error>(inner)).is_some_and(cut)
}

#[cfg(test)]
mod tests {
    use futures::{TryStreamExt as _, io::Cursor, stream};
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    const ADDED: &str = r#"{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}}"#;

    async fn told(answer: impl AsyncBufRead) -> Vec<String> {
        let told = events::<ConfigMap>(answer).map(|event| match event {
            Ok(WatchEvent::Added(object)) => object.metadata.name.unwrap_or_default(),
            Ok(WatchEvent::Error(status)) => format!("error {}", status.code),
            Ok(other) => format!("{other:?}"),
            Err(fault) => fault.reason().to_owned(),
        });
        told.collect().await
    }

    #[tokio::test]
    async fn each_line_is_an_event_and_what_is_cut_off_is_none() {
        for (answer, expected) in [
            (String::new(), vec![]),
            (format!("{ADDED}\n{ADDED}\n"), vec!["a", "a"]),
            (format!("{ADDED}\n{}", &ADDED[..40]), vec!["a"]),
            (r#"{"type":"ERROR","object":{"kind":"Status","code":410}}"#.to_owned(), vec!["error 410"]),
            (r#"{"kind":"Status","code":403,"reason":"Forbidden"}"#.to_owned(), vec!["Forbidden"]),
            (format!("nonsense\n{ADDED}\n"), vec!["Unreadable", "a"]),
        ] {
            assert_eq!(told(Cursor::new(answer.clone())).await, expected, "{answer}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_breaks_in_the_middle_ends_it_and_any_other_trouble_is_told() {
        let eof = || io::Error::new(io::ErrorKind::UnexpectedEof, "cut");
        for (trouble, expected) in [
            (eof(), vec!["a"]),
            (io::Error::other(eof()), vec!["a"]),
            (io::Error::other("reset"), vec!["a", "Unreachable"]),
        ] {
            let said = format!("{trouble:?}");
            let pieces = stream::iter([Ok(ADDED[..40].to_owned()), Ok(format!("{}\n", &ADDED[40..])), Err(trouble)]);
            assert_eq!(told(pieces.into_async_read()).await, expected, "{said}");
        }
    }
}
