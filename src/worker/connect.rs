//! The one seam between Atoll and the workers' API servers: [`Connect`] makes a connection out of checked credentials.
//! Production opens TLS connections; a simulation answers from memory.

use std::sync::Arc;

use base64::Engine as _;
use http::{HeaderName, HeaderValue, header::USER_AGENT};
use hyper_util::client::legacy::connect::HttpConnector;
use kube::{Client, Config, client::ConfigExt as _, config::AuthInfo};
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret as _;
use tower::ServiceBuilder;

use super::{
    failpoint::Failpoint,
    kubeconfig::Credentials,
    limits::Limits,
    measured::Measured,
    stack, timing,
    wire::{Spoken, Way, Wire},
};
use crate::{metrics::Metrics, plan::name::WorkerName};

/// Makes connections.
pub trait Connect: Send + Sync {
    /// A connection to this worker that uses exactly these credentials, within the worker's limits. Nothing is sent yet.
    fn connect(
        &self,
        worker: &WorkerName,
        credentials: &Credentials,
        limits: &Arc<Limits>,
    ) -> Result<Connection, ConnectError>;
}

/// A connection to a worker: opened with its first request, and again when it broke.
#[derive(Clone)]
pub struct Connection {
    /// What to ask it by.
    pub client: Client,
    /// What its API server turned out to speak.
    pub spoken: Spoken,
}

/// Why no client could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The TLS stack does not take the CA or the client's certificate and key.
    #[error(
        "the certificate-authority-data, or the client-certificate-data with its client-key-data, cannot be used: \
         check that they are whole, and that the key belongs to the certificate"
    )]
    Certificates,
    /// The name that the certificate shall have is no DNS name.
    #[error("the tls-server-name is neither a DNS name nor an address")]
    ServerName,
}

/// Real connections.
#[derive(Clone, Debug, Default)]
pub struct KubeConnect {
    /// What ends the process in tests.
    pub failpoint: Failpoint,
    /// Where requests are counted.
    pub metrics: Metrics,
}

impl Connect for KubeConnect {
    fn connect(
        &self,
        worker: &WorkerName,
        credentials: &Credentials,
        limits: &Arc<Limits>,
    ) -> Result<Connection, ConnectError> {
        let measured = Measured { worker: worker.clone(), metrics: self.metrics.clone() };
        connection(&config(credentials), measured, self.failpoint.clone(), limits)
    }
}

/// What opens sockets.
pub type Sockets = HttpConnector;

/// Sockets that forget in time.
///
/// What a socket holds when its request is given up, or its process is killed, the kernel still delivers when the way
/// is free again: minutes later, a create could bring back what has been deleted since. `TCP_USER_TIMEOUT` bounds that,
/// below the time that a deletion waits before it looks.
fn sockets() -> Sockets {
    let mut sockets = HttpConnector::new();
    sockets.enforce_http(false);
    sockets.set_nodelay(true);
    sockets.set_connect_timeout(Some(timing::CONNECT_DEADLINE));
    sockets.set_tcp_user_timeout(Some(timing::UNACKNOWLEDGED));
    sockets
}

/// kube's own stack without what Atoll does itself (retries, traces), over one connection.
fn connection(
    config: &Config,
    measured: Measured,
    failpoint: Failpoint,
    limits: &Arc<Limits>,
) -> Result<Connection, ConnectError> {
    // kube's errors here can quote PEM text: which of the two it was is not worth that.
    let unusable = |_: kube::Error| ConnectError::Certificates;
    let server_name = config.tls_server_name.clone().map(ServerName::try_from).transpose();
    let wire = Wire::new(
        Way {
            server: config.cluster_url.clone(),
            sockets: sockets(),
            tls: config.rustls_client_config().map_err(unusable)?,
            server_name: server_name.map_err(|_| ConnectError::ServerName)?,
        },
        limits.clone(),
    );
    let spoken = wire.spoken();
    let service = ServiceBuilder::new()
        .layer(measured)
        .layer(failpoint)
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(unusable)?)
        .layer(config.extra_headers_layer().map_err(unusable)?)
        .service(wire);
    let client = stack::client(service, limits.clone(), &config.default_namespace);
    Ok(Connection { client, spoken })
}

/// How Atoll names itself to API servers; their audit logs show it.
pub fn agent() -> (HeaderName, HeaderValue) {
    (USER_AGENT, HeaderValue::from_static(concat!("atoll/", env!("CARGO_PKG_VERSION"))))
}

/// Built afresh, field by field, so that nothing is taken from the environment (proxies), from files, or from a field
/// that a later kube adds.
fn config(credentials: &Credentials) -> Config {
    let mut config = Config::new(credentials.server().clone());
    config.root_cert = Some(credentials.authorities().to_vec());
    config.tls_server_name = credentials.tls_server_name().map(str::to_owned);
    config.connect_timeout = Some(timing::CONNECT_DEADLINE);
    // Watches are long silences: their own clock (`timing::WATCH_GRACE`) and every other call's deadline do this work.
    config.read_timeout = None;
    // kube would obey a worker's Retry-After without bound, and repeat a POST.
    config.default_retry = false;
    config.headers = vec![agent()];
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    config.auth_info = AuthInfo {
        token: credentials.token().cloned(),
        client_certificate_data: credentials.certificate().map(|certificate| encode(&certificate.chain)),
        client_key_data: credentials.certificate().map(|certificate| encode(certificate.key.expose_secret()).into()),
        ..AuthInfo::default()
    };
    config
}
