//! An API server on loopback, over real sockets and TLS, that behaves as badly as a test wants.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::Engine as _;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::AbortHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    addresses::Addresses,
    allowances::Allowances,
    connect::{Connect as _, Connection, KubeConnect},
    kubeconfig,
    limits::Limits,
};
use crate::plan::name::WorkerName;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// How the way to the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Bytes pass.
    Open,
    /// Bytes are taken, and never arrive: what a stopped process or a dead middlebox looks like.
    BlackHole,
    /// Connections are accepted and closed at once.
    EndsAtOnce,
}

/// A server, and the way to it.
pub struct Server {
    address: SocketAddr,
    ca: String,
    way: watch::Sender<Way>,
    state: Arc<State>,
    tasks: Vec<AbortHandle>,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    requests: Mutex<Vec<(Version, String)>>,
    goodbye: Notify,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Server {
    /// Starts one that speaks these protocols.
    pub async fn start(alpn: &[&str]) -> Self {
        let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
        let mut tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], secret)
            .expect("a TLS server");
        tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let (acceptor, state) = (TlsAcceptor::from(Arc::new(tls)), Arc::new(State::default()));
        let behind = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let before = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (inner, address) = (behind.local_addr().expect("an address"), before.local_addr().expect("an address"));
        let way = watch::Sender::new(Way::Open);
        let serving = tokio::spawn(serve(behind, acceptor, state.clone()));
        let relaying = tokio::spawn(relay(before, inner, way.clone(), state.clone()));
        let tasks = vec![serving.abort_handle(), relaying.abort_handle()];
        let ca = base64::engine::general_purpose::STANDARD.encode(key.cert.pem());
        Self { address, ca, way, state, tasks }
    }

    /// From now on the way is so.
    pub fn way(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// The requests so far, by version and path.
    pub fn requests(&self) -> Vec<(Version, String)> {
        self.state.requests.lock().expect("a lock").clone()
    }

    /// Asks its clients to leave (GOAWAY), and answers what they have asked.
    pub fn say_goodbye(&self) {
        self.state.goodbye.notify_waiters();
    }

    /// The product's own connection to it.
    pub fn connect(&self, limits: &Arc<Limits>) -> Connection {
        let (address, ca) = (self.address, &self.ca);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
             clusters:\n- name: a\n  cluster: {{server: 'https://{address}', certificate-authority-data: {ca}}}\n\
             users:\n- name: a\n  user: {{token: t}}\n\
             contexts:\n- name: a\n  context: {{cluster: a, user: a}}\n"
        );
        let credentials = kubeconfig::credentials(&text, None, &Allowances::default()).expect("credentials");
        let loopback = Addresses::new(["127.0.0.0/8".parse().expect("a range")], []);
        let connect = KubeConnect { addresses: Arc::new(loopback), ..KubeConnect::default() };
        connect.connect(&WorkerName::from("k8s-1"), &credentials, limits).expect("a connection")
    }
}

async fn relay(listener: TcpListener, to: SocketAddr, way: watch::Sender<Way>, state: Arc<State>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        state.connections.fetch_add(1, Ordering::SeqCst);
        if *way.borrow() == Way::EndsAtOnce {
            continue;
        }
        let ways = way.subscribe();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(to).await else { return };
            let (client, server) = (client.into_split(), server.into_split());
            tokio::select! {
                () = carry(client.0, server.1, ways.clone()) => {}
                () = carry(server.0, client.1, ways.clone()) => {}
                () = ends(ways) => {}
            }
        });
    }
}

async fn ends(mut ways: watch::Receiver<Way>) {
    let _ = ways.wait_for(|way| *way == Way::EndsAtOnce).await;
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut ways: watch::Receiver<Way>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if ways.wait_for(|way| *way != Way::BlackHole).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (acceptor, state) = (acceptor.clone(), state.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(socket).await {
                converse(stream, state).await;
            }
        });
    }
}

async fn converse(stream: TlsStream<TcpStream>, state: Arc<State>) {
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let answering = state.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let state = answering.clone();
        async move { Ok::<_, Infallible>(answer(&state, &request)) }
    });
    if http2 {
        let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = state.goodbye.notified() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    } else {
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }
}

fn answer(state: &State, request: &Request<Incoming>) -> Answer {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    state.requests.lock().expect("a lock").push((request.version(), path.to_owned()));
    let endless = || {
        let part = Bytes::from(vec![b' '; 64 * 1024]);
        let frames = stream::repeat_with(move || Ok(Frame::data(part.clone())));
        Response::new(StreamBody::new(frames).boxed_unsync())
    };
    if query.contains("watch=true") && path.ends_with("/services") {
        return endless();
    }
    if query.contains("watch=true") {
        let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "resourceVersion": "2" } });
        let line = format!("{}\n", json!({ "type": "BOOKMARK", "object": object }));
        let frames = stream::iter([Ok(Frame::data(Bytes::from(line)))]).chain(stream::pending());
        return Response::new(StreamBody::new(frames).boxed_unsync());
    }
    match path {
        "/api/v1/namespaces/default/pods/endless" => endless(),
        "/api/v1/namespaces/default/pods/busy" => {
            let mut response = told(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests");
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("3600"));
            response
        }
        "/api/v1/namespaces/kube-system" => {
            whole(StatusCode::OK, &json!({ "metadata": { "name": "kube-system", "uid": "uid-1" } }))
        }
        _ => told(StatusCode::NOT_FOUND, "NotFound"),
    }
}

fn told(code: StatusCode, reason: &str) -> Answer {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(),
        "reason": reason, "message": "as the test wants it", "metadata": {} });
    whole(code, &status)
}

fn whole(code: StatusCode, body: &serde_json::Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).boxed_unsync());
    *response.status_mut() = code;
    response
}

/// Longer than any of this should take.
pub const LONG: Duration = Duration::from_secs(30);
