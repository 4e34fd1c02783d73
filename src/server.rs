//! `/metrics`, `/livez` and `/readyz`.
//!
//! Three paths that take no input need no framework: this is hyper, which kube brings anyway, and one match.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle, time::timeout};

use crate::metrics::Metrics;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// More than a few probes and scrapers are nobody's honest need.
const CONNECTIONS: usize = 64;
const HEADERS: Duration = Duration::from_secs(5);
/// How long one connection may live. Scrapers and kubelets open a new one without noticing.
const CONNECTION: Duration = Duration::from_mins(2);

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; choose another address with --listen")]
pub struct ServeError {
    address: SocketAddr,
    source: std::io::Error,
}

impl From<ServeError> for String {
    fn from(error: ServeError) -> Self {
        error.to_string()
    }
}

/// How the process is, for `/readyz`. Cheap to clone, the same behind all clones.
///
/// An instance that waits for the lease is ready: it would take over at once, and an update that waited for it to lead
/// would wait for ever.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<AtomicU8>);

const STANDING_BY: u8 = 0;
const LEADING: u8 = 1;
const STOPPING: u8 = 2;

impl Health {
    /// This instance leads.
    pub fn lead(&self) {
        self.set(LEADING);
    }

    /// This instance is about to end.
    pub fn stop(&self) {
        self.set(STOPPING);
    }

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::Release);
    }

    fn ready(&self) -> (StatusCode, &'static str) {
        match self.0.load(Ordering::Acquire) {
            STANDING_BY => (StatusCode::OK, "standing by: another instance leads\n"),
            LEADING => (StatusCode::OK, "leading\n"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        }
    }
}

/// Listens, and serves until the task is aborted.
pub async fn serve(address: SocketAddr, metrics: Metrics, health: Health) -> Result<JoinHandle<()>, ServeError> {
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError { address, source })?;
    Ok(tokio::spawn(accept(listener, metrics, health)))
}

async fn accept(listener: TcpListener, metrics: Metrics, health: Health) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most often no file descriptor is left: trying at once would only burn a core.
                tracing::warn!(%error, "a connection to the metrics port could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (metrics, health) = (metrics.clone(), health.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(request.method(), request.uri().path(), &metrics, &health);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS)
                .serve_connection(TokioIo::new(stream), service);
            // A client that breaks off is not worth a log line.
            let _ = timeout(CONNECTION, connection).await;
            drop(place);
        });
    }
}

fn answer(method: &Method, path: &str, metrics: &Metrics, health: &Health) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n");
    }
    match path {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => {
            let (status, body) = health.ready();
            text(status, body)
        }
        "/metrics" => match metrics.text() {
            Ok(body) => respond(StatusCode::OK, OPENMETRICS, body),
            Err(error) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics could not be written: {error}\n"))
            }
        },
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /livez and /readyz\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, TEXT, body)
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    #[test]
    fn each_path_has_its_answer() {
        let (metrics, health) = (Metrics::new(), Health::default());
        let status = |method: Method, path: &str| answer(&method, path, &metrics, &health).status().as_u16();
        assert_eq!(status(Method::GET, "/livez"), 200);
        assert_eq!(status(Method::HEAD, "/metrics"), 200);
        assert_eq!(status(Method::POST, "/metrics"), 405);
        assert_eq!(status(Method::GET, "/"), 404);
        assert_eq!(status(Method::GET, "/readyz"), 200, "standing by is ready");
        health.lead();
        assert_eq!(status(Method::GET, "/readyz"), 200);
        health.clone().stop();
        assert_eq!(status(Method::GET, "/readyz"), 503);
        assert_eq!(status(Method::GET, "/livez"), 200, "it must not be killed while it stops");
    }

    #[tokio::test]
    async fn a_scraper_gets_the_metrics_over_a_real_socket() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let serving = serve(address, Metrics::new(), Health::default()).await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("atoll_leader 0") && answer.ends_with("# EOF\n"), "{answer}");
        serving.abort();
    }

    #[tokio::test]
    async fn a_taken_address_is_named_in_the_error() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = serve(address, Metrics::new(), Health::default()).await.unwrap_err();
        assert!(String::from(error).contains(&address.to_string()));
    }
}
