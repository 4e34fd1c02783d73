//! One worker's one connection: HTTP/2 where its API server speaks it, HTTP/1.1 where it does not.
//!
//! kube's own client speaks HTTP/1.1 only: each watch has a connection of its own, which can die in silence. Here all
//! requests and watches share one, and that is asked every few seconds whether it is still there. What cannot be done
//! over HTTP/2, an upgraded request (a port-forward), goes over a connection of its own, opened when it is needed.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response, Uri, header, uri::Scheme};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_rustls::{DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, ResolveServerName};
use hyper_util::{
    client::legacy::{self, connect::Connection as _},
    rt::{TokioExecutor, TokioTimer},
};
use kube::client::Body;
use rustls::{ClientConfig, client::Resumption, pki_types::ServerName};
use tokio::{sync::Mutex, time::timeout};
use tower::{BoxError, Service, ServiceExt as _};

use super::{dial::Dial, limits::Limits, timing};
pub use crate::dialect::k8scluster::health::Protocol;

/// How much an API server may send ahead of our reading, on one stream and on all. It is no memory that is set aside:
/// what we have read is never held here. A page of a list over a slow line needs it.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// What may wait to be sent, a stream: our requests are smaller.
const SEND_BUFFER: usize = 64 * 1024;
/// How many streams are opened before the API server has said how many it takes.
const STREAMS_AT_FIRST: usize = 64;
/// Connections of HTTP/1.1 that are kept for the next request.
const IDLE_HTTP1: usize = 4;
const IDLE_HTTP1_FOR: Duration = Duration::from_secs(30);

impl Protocol {
    /// How long a watch may last before it is asked for anew.
    #[must_use]
    pub fn watch_seconds(self) -> u32 {
        match self {
            Self::Http2 => timing::WATCH_SECONDS_HTTP2,
            Self::Http1 => timing::WATCH_SECONDS_HTTP1,
        }
    }
}

/// What a connection turned out to speak. Cheap to clone, the same behind all clones.
#[derive(Clone, Debug, Default)]
pub struct Spoken(Arc<AtomicU8>);

impl Spoken {
    /// Known from the beginning.
    #[must_use]
    pub fn from_the_start(protocol: Protocol) -> Self {
        let spoken = Self::default();
        spoken.is(protocol);
        spoken
    }

    /// `None` before the first connection.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        match self.0.load(Ordering::Acquire) {
            1 => Some(Protocol::Http1),
            2 => Some(Protocol::Http2),
            _ => None,
        }
    }

    fn is(&self, protocol: Protocol) {
        let number = match protocol {
            Protocol::Http1 => 1,
            Protocol::Http2 => 2,
        };
        self.0.store(number, Ordering::Release);
    }
}

/// Where a connection leads, and how it is opened.
pub struct Way {
    /// The API server.
    pub server: Uri,
    /// Makes its sockets.
    pub sockets: Dial,
    /// Whom it trusts and who we are.
    pub tls: ClientConfig,
    /// The name in the API server's certificate, where it is not the one in its address.
    pub server_name: Option<ServerName<'static>>,
}

/// The connection. Cheap to clone, the same behind all clones.
#[derive(Clone)]
pub struct Wire(Arc<Inner>);

struct Inner {
    server: Uri,
    /// Offers both protocols.
    either: HttpsConnector<Dial>,
    /// Offers HTTP/1.1 only.
    http1: HttpsConnector<Dial>,
    /// Made when it is first needed: most workers never do.
    upgrading: OnceLock<Http1>,
    line: Mutex<Line>,
    spoken: Spoken,
    limits: Arc<Limits>,
}

type Http1 = legacy::Client<HttpsConnector<Dial>, Body>;

/// Whoever opens a connection holds it, and all others wait: for their own deadlines, and one connection.
enum Line {
    /// None.
    Down,
    /// One, and the how-manieth it is.
    Http2(SendRequest<Body>, u64),
    /// The API server speaks HTTP/1.1: as many connections as requests need.
    Http1,
}

impl Wire {
    /// A connection that is opened with its first request.
    pub fn new(way: Way, limits: Arc<Limits>) -> Self {
        let Way { server, sockets, mut tls, server_name } = way;
        // A ticket saves a round trip and keeps the API server's certificates in memory, for a connection that is
        // opened once an hour; and each new one shall look at its certificate.
        tls.resumption = Resumption::disabled();
        let names: Arc<dyn ResolveServerName + Send + Sync> = match server_name {
            Some(name) => Arc::new(FixedServerNameResolver::new(name)),
            None => Arc::new(DefaultServerNameResolver::default()),
        };
        let connector = |alpn: &[&[u8]]| {
            let mut tls = tls.clone();
            tls.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
            HttpsConnector::new(sockets.clone(), tls, false, names.clone())
        };
        Self(Arc::new(Inner {
            either: connector(&[b"h2", b"http/1.1"]),
            http1: connector(&[b"http/1.1"]),
            server,
            upgrading: OnceLock::new(),
            line: Mutex::new(Line::Down),
            spoken: Spoken::default(),
            limits,
        }))
    }

    /// What it turned out to speak.
    #[must_use]
    pub fn spoken(&self) -> Spoken {
        self.0.spoken.clone()
    }
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Incoming>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move { inner.send(request).await })
    }
}

impl Inner {
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, BoxError> {
        if request.headers().contains_key(header::UPGRADE) {
            return Ok(self.http1().request(request).await?);
        }
        let mut passed = None;
        loop {
            let (mut sender, number) = match self.line(passed).await? {
                Open::Http1 => return Ok(self.http1().request(request).await?),
                Open::Http2(sender, number) => (sender, number),
            };
            request = match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    // The API server is going down, or the connection broke just now: nothing of it was sent.
                    Some(request) if passed.is_none() => request,
                    _ => return Err(error.into_error().into()),
                },
            };
            passed = Some(number);
        }
    }

    /// The connection that stands, or a new one: another one than that of number `passed`.
    async fn line(&self, passed: Option<u64>) -> Result<Open, BoxError> {
        let mut line = self.line.lock().await;
        let last = match &*line {
            Line::Http1 => return Ok(Open::Http1),
            Line::Http2(sender, number) if passed != Some(*number) && !sender.is_closed() => {
                return Ok(Open::Http2(sender.clone(), *number));
            }
            Line::Http2(_, number) => *number,
            Line::Down => 0,
        };
        self.limits.connection().await;
        let opened = timeout(timing::CONNECT_DEADLINE, self.open()).await;
        let opened = opened.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection within 5 s"))??;
        match (opened, self.spoken.protocol()) {
            (Some(sender), _) => {
                self.spoken.is(Protocol::Http2);
                let number = last + 1;
                *line = Line::Http2(sender.clone(), number);
                Ok(Open::Http2(sender, number))
            }
            // How long its watches last was decided for a connection that is asked whether it is still there.
            (None, Some(Protocol::Http2)) => Err(io::Error::other("it no longer speaks HTTP/2").into()),
            (None, _) => {
                self.spoken.is(Protocol::Http1);
                *line = Line::Http1;
                Ok(Open::Http1)
            }
        }
    }

    /// Opens a connection. `None`: it is one that speaks HTTP/1.1.
    async fn open(&self) -> Result<Option<SendRequest<Body>>, BoxError> {
        // Without TLS nobody says what is spoken.
        if self.server.scheme() == Some(&Scheme::HTTP) {
            return Ok(None);
        }
        let io = self.either.clone().oneshot(self.server.clone()).await?;
        if !io.connected().is_negotiated_h2() {
            return Ok(None);
        }
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(timing::PING_EVERY)
            .keep_alive_timeout(timing::PING_DEADLINE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(STREAMS_AT_FIRST)
            .max_send_buf_size(SEND_BUFFER)
            .handshake(io)
            .await?;
        // It ends with the last of its senders and streams, or when it breaks; whoever waits for an answer hears why.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Some(sender))
    }

    fn http1(&self) -> &Http1 {
        self.upgrading.get_or_init(|| {
            legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_HTTP1_FOR)
                .pool_max_idle_per_host(IDLE_HTTP1)
                .build(self.http1.clone())
        })
    }
}

enum Open {
    Http1,
    Http2(SendRequest<Body>, u64),
}
