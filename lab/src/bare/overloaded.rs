//! What stands in for a server that has too much to do.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use super::files::{SERVER_NAME, address};
use super::{PORT, Server};
use crate::certs::Signed;
use crate::error::{Context, Error, Result};

/// Answers every request with 429 and a `Retry-After`, with a certificate of the same authority. A
/// [`Proxy`](super::Proxy) may lead here in place of its server. Its tasks run on the runtime in which it was started,
/// until it is dropped.
#[derive(Debug)]
pub struct Overloaded {
    ip: Ipv4Addr,
    task: JoinHandle<()>,
}

impl Overloaded {
    /// Stands in for this server. Must be called within a runtime of tokio.
    pub async fn beside(server: &Server, retry_after: Duration) -> Result<Self> {
        let ip = address()?;
        let signed = server.authority().server("overloaded", &[SERVER_NAME.to_owned()], &[ip])?;
        let acceptor = acceptor(&signed)
            .map_err(|reason| Error::Options(format!("a certificate of the lab's own cannot be used: {reason}")))?;
        let listener = TcpListener::bind((ip, PORT)).await.or_cannot(|| format!("listen at {ip}"))?;
        let answer = Arc::new(answer(retry_after));
        let task = tokio::spawn(async move {
            // Dropped with this task, and all connections with it.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((socket, _)) = accepted {
                        connections.spawn(refuse(socket, acceptor.clone(), answer.clone()));
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { ip, task })
    }

    pub(super) fn ip(&self) -> Ipv4Addr {
        self.ip
    }
}

impl Drop for Overloaded {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn acceptor(signed: &Signed) -> std::result::Result<TlsAcceptor, String> {
    let unusable = |error: &dyn std::fmt::Display| error.to_string();
    let certificate = CertificateDer::from_pem_slice(signed.certificate.as_bytes()).map_err(|e| unusable(&e))?;
    let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).map_err(|e| unusable(&e))?;
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![certificate], key))
        .map_err(|e| unusable(&e))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn answer(retry_after: Duration) -> String {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "TooManyRequests",
        "message": "Too many requests, please try again later.", "code": 429,
    })
    .to_string();
    format!(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: {}\r\nContent-Type: application/json\r\nContent-Length: \
         {}\r\n\r\n{status}",
        retry_after.as_secs(),
        status.len()
    )
}

/// Answers to each empty line: the end of a head. Whoever sends a body after it gets more answers than it has asked for,
/// and closes.
async fn refuse(socket: TcpStream, acceptor: TlsAcceptor, answer: Arc<String>) -> std::io::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(socket).await?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if line == b"\r\n" {
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
        }
    }
}
