//! The one seam between Atoll and the workers' API servers: [`Connect`] makes a client out of checked credentials.
//! Production opens TLS connections; a simulation answers from memory.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header::USER_AGENT};
use hyper_util::rt::TokioExecutor;
use kube::{Client, Config, client::ConfigExt as _};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tower::ServiceBuilder;

use super::{
    addresses::Addresses,
    credentials::{Credentials, Trust},
    dial::Dial,
    failpoint::Failpoint,
    measured::Measured,
    program::TokenLayer,
    timing,
};
use crate::{metrics::Metrics, plan::name::WorkerName};

/// Makes clients.
pub trait Connect: Send + Sync {
    /// A client for this worker that uses exactly these credentials. Nothing is sent yet.
    fn connect(&self, worker: &WorkerName, credentials: &Credentials) -> Result<Client, ConnectError>;
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
    fn connect(&self, worker: &WorkerName, credentials: &Credentials) -> Result<Client, ConnectError> {
        // kube's errors here can quote PEM text: which of the two it was is not worth that.
        let measured = Measured { worker: worker.clone(), metrics: self.metrics.clone() };
        let dial = Dial::new(self.addresses.clone(), credentials.proxy().cloned());
        let tokens = credentials.token_source().map(TokenLayer);
        let client = client(config(credentials)?, dial, tokens, measured, self.failpoint.clone());
        client.map_err(|_| match credentials.trust() {
            _ if credentials.name_files() => ConnectError::Files,
            Trust::System => ConnectError::NoSystemRoots,
            _ => ConnectError::Certificates,
        })
    }
}

/// kube's own stack without what Atoll does itself (retries, traces), over sockets of our own.
fn client(
    config: Config,
    sockets: Dial,
    tokens: Option<TokenLayer>,
    measured: Measured,
    failpoint: Failpoint,
) -> kube::Result<Client> {
    let connector = config.rustls_https_connector_with_connector(sockets)?;
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(measured)
        .layer(failpoint)
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .option_layer(tokens)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace.as_str()))
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
