//! The one seam between Atoll and the workers' API servers: [`Connect`] makes a connection out of checked credentials.
//! Production opens TLS connections; a simulation answers from memory.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header::USER_AGENT};
use kube::{Client, Config, client::ConfigExt as _};
use rustls::pki_types::ServerName;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tower::ServiceBuilder;

use super::{
    addresses::Addresses,
    credentials::{Credentials, Trust},
    dial::Dial,
    failpoint::Failpoint,
    limits::Limits,
    measured::Measured,
    program::TokenLayer,
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
    /// A file that the kubeconfig names is of no use.
    #[error(
        "a file that the kubeconfig names (certificate-authority, client-certificate or client-key) cannot be read \
         in Atoll's pod, or does not hold what it should: check what is mounted there, and who may read it"
    )]
    Files,
    /// The machine has no trust roots, or unusable ones.
    #[error(
        "the kubeconfig names no certificate authority, and Atoll's own machine or image has none to go by: give the \
         server's certificate-authority-data"
    )]
    NoSystemRoots,
}

/// Real connections.
#[derive(Clone, Debug, Default)]
pub struct KubeConnect {
    /// What ends the process in tests.
    pub failpoint: Failpoint,
    /// Where requests are counted.
    pub metrics: Metrics,
    /// What may be dialled.
    pub addresses: Arc<Addresses>,
}

impl Connect for KubeConnect {
    fn connect(
        &self,
        worker: &WorkerName,
        credentials: &Credentials,
        limits: &Arc<Limits>,
    ) -> Result<Connection, ConnectError> {
        let measured = Measured { worker: worker.clone(), metrics: self.metrics.clone() };
        // kube's errors here can quote PEM text: which of the two it was is not worth that.
        let unusable = |_: kube::Error| match credentials.trust() {
            _ if credentials.name_files() => ConnectError::Files,
            Trust::System => ConnectError::NoSystemRoots,
            _ => ConnectError::Certificates,
        };
        let config = config(credentials)?;
        let server_name = config.tls_server_name.clone().map(ServerName::try_from).transpose();
        let way = Way {
            server: config.cluster_url.clone(),
            sockets: Dial::new(self.addresses.clone(), credentials.proxy().cloned()),
            tls: config.rustls_client_config().map_err(unusable)?,
            server_name: server_name.map_err(|_| ConnectError::ServerName)?,
        };
        let wire = Wire::new(way, limits.clone());
        let spoken = wire.spoken();
        // kube's own stack without what Atoll does itself (retries, traces), over one connection.
        let service = ServiceBuilder::new()
            .layer(measured)
            .layer(self.failpoint.clone())
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer().map_err(unusable)?)
            .option_layer(credentials.token_source().map(TokenLayer))
            .layer(config.extra_headers_layer().map_err(unusable)?)
            .service(wire);
        let client = stack::client(service, limits.clone(), &config.default_namespace);
        Ok(Connection { client, spoken })
    }
}

/// How Atoll names itself to API servers; their audit logs show it.
pub fn agent() -> (HeaderName, HeaderValue) {
    (USER_AGENT, HeaderValue::from_static(concat!("atoll/", env!("CARGO_PKG_VERSION"))))
}

/// Built afresh, field by field, so that nothing is taken from the environment (proxies), from files, or from a field
/// that a later kube adds.
fn config(credentials: &Credentials) -> Result<Config, ConnectError> {
    let mut config = Config::new(credentials.server().clone());
    config.root_cert = match credentials.trust() {
        Trust::Authorities(authorities) => Some(authorities.clone()),
        Trust::File(path) => Some(authorities(path).ok_or(ConnectError::Files)?),
        // kube takes those of the machine if it is given none.
        Trust::System => None,
        Trust::Anybody | Trust::Unneeded => Some(Vec::new()),
    };
    config.accept_invalid_certs = *credentials.trust() == Trust::Anybody;
    config.tls_server_name = credentials.tls_server_name().map(str::to_owned);
    config.connect_timeout = Some(timing::CONNECT_DEADLINE);
    // Watches are long silences: their own clock (`timing::WATCH_GRACE`) and every other call's deadline do this work.
    config.read_timeout = None;
    // kube would obey a worker's Retry-After without bound, and repeat a POST.
    config.default_retry = false;
    config.headers = vec![agent()];
    config.auth_info = credentials.auth_info();
    Ok(config)
}

fn authorities(path: &str) -> Option<Vec<Vec<u8>>> {
    let all = CertificateDer::pem_file_iter(path).ok()?;
    all.map(|certificate| certificate.map(|der| der.to_vec()).ok()).collect::<Option<Vec<_>>>()
}
