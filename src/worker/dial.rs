//! Sockets to workers, opened only to addresses that may be dialled, directly or through a proxy.
//!
//! What is checked is what is dialled: a name is resolved here, and only the addresses that pass are handed to the
//! socket; nothing resolves it again. An address that is written as such never comes to a resolver, and is checked
//! before. Redirects are followed by nobody in this stack.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use base64::Engine as _;
use futures::future::BoxFuture;
use http::Uri;
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::Name},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tower::{BoxError, Service};

use super::{
    addresses::{Addresses, Refused},
    timing,
};

/// Opens sockets.
#[derive(Clone, Debug)]
pub struct Dial {
    sockets: HttpConnector<Resolver>,
    addresses: Arc<Addresses>,
    proxy: Option<Proxy>,
}

/// A proxy that is asked for a tunnel (`CONNECT`), plain http. What goes through the tunnel is TLS with the worker.
#[derive(Clone)]
pub struct Proxy {
    /// Where it is. Without a user's name.
    pub address: Uri,
    /// `user:password`, where it wants one.
    pub login: Option<secrecy::SecretString>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proxy(…)")
    }
}

/// Why a proxy opens no tunnel. Nothing of what it says is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTunnel {
    /// It answers with something else than 200.
    #[error("the proxy of the kubeconfig answers {0} instead of opening a way to the API server")]
    Answer(u16),
    /// It wants a name and password, or others.
    #[error("the proxy of the kubeconfig does not accept the name and password in its proxy-url, or misses them")]
    Login,
    /// It speaks no HTTP, or hangs up.
    #[error("the proxy of the kubeconfig does not answer as a proxy does")]
    NoProxy,
    /// There is nowhere to lead to.
    #[error("the API server's address has no host")]
    NoHost,
}

impl Dial {
    /// Sockets that forget in time.
    ///
    /// What a socket holds when its request is given up, or its process is killed, the kernel still delivers when the
    /// way is free again: minutes later, a create could bring back what has been deleted since. `TCP_USER_TIMEOUT`
    /// bounds that, below the time that a deletion waits before it looks.
    #[must_use]
    pub fn new(addresses: Arc<Addresses>, proxy: Option<Proxy>) -> Self {
        let mut sockets = HttpConnector::new_with_resolver(Resolver(addresses.clone()));
        sockets.enforce_http(false);
        sockets.set_nodelay(true);
        sockets.set_connect_timeout(Some(timing::CONNECT_DEADLINE));
        sockets.set_tcp_user_timeout(Some(timing::UNACKNOWLEDGED));
        Self { sockets, addresses, proxy }
    }

    /// An address that is written as such, in place of a name.
    fn check_literal(&self, target: &Uri) -> Result<(), Refused> {
        literal(target).map_or(Ok(()), |address| self.addresses.check(address))
    }
}

fn literal(target: &Uri) -> Option<IpAddr> {
    let host = target.host()?;
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<TokioIo<TcpStream>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.sockets.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let refused = self.check_literal(&target);
        let Some(proxy) = self.proxy.clone() else {
            let socket = self.sockets.call(target);
            return Box::pin(async move {
                refused?;
                Ok(socket.await?)
            });
        };
        // The proxy resolves the target's name in its own network; what it leads to there is not ours to see.
        let refused = refused.and(self.check_literal(&proxy.address));
        let socket = self.sockets.call(proxy.address.clone());
        Box::pin(async move {
            refused?;
            tunnel(socket.await?.into_inner(), &target, &proxy).await.map(TokioIo::new)
        })
    }
}

/// Asks a proxy for a way to the target.
async fn tunnel(mut socket: TcpStream, target: &Uri, proxy: &Proxy) -> Result<TcpStream, BoxError> {
    /// More than the head of any answer to `CONNECT`.
    const MOST: usize = 8 * 1024;
    let host = target.host().ok_or(NoTunnel::NoHost)?;
    let port = target.port_u16().unwrap_or(if target.scheme_str() == Some("http") { 80 } else { 443 });
    let login = proxy.login.as_ref().map_or_else(String::new, |login| {
        let login = secrecy::ExposeSecret::expose_secret(login);
        format!("Proxy-Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(login))
    });
    let question = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{login}\r\n");
    socket.write_all(question.as_bytes()).await?;
    // By the byte: what comes after the head is the worker's, and must stay in the socket.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MOST {
            return Err(NoTunnel::NoProxy.into());
        }
        head.push(socket.read_u8().await.map_err(|_| NoTunnel::NoProxy)?);
    }
    match code(&head).ok_or(NoTunnel::NoProxy)? {
        200 => Ok(socket),
        407 => Err(NoTunnel::Login.into()),
        code => Err(NoTunnel::Answer(code).into()),
    }
}

/// The code in `HTTP/1.1 200 …`.
fn code(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

/// Resolves names as the machine does, and keeps the addresses that may be dialled.
#[derive(Clone, Debug)]
struct Resolver(Arc<Addresses>);

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<vec::IntoIter<SocketAddr>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let addresses = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(keep(&addresses, found)?.into_iter())
        })
    }
}

/// Those that may be dialled; if none may, why not.
fn keep(addresses: &Addresses, found: impl IntoIterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
    let mut refused = Ok(());
    let mut kept = Vec::new();
    for address in found {
        match addresses.check(address.ip()) {
            Ok(()) => kept.push(address),
            Err(why) => refused = refused.and(Err(why)),
        }
    }
    if kept.is_empty() { refused.map(|()| kept) } else { Ok(kept) }
}
