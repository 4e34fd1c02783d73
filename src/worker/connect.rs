//! The one seam between Atoll and the workers' API servers: [`Connect`] makes a client out of checked credentials.
//! Production opens TLS connections; a simulation answers from memory.

use base64::Engine as _;
use http::{HeaderName, HeaderValue, header::USER_AGENT};
use kube::{Client, Config, client::ClientBuilder, config::AuthInfo};
use secrecy::ExposeSecret as _;

use super::{failpoint::Failpoint, kubeconfig::Credentials, measured::Measured, timing};
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
    fn connect(&self, worker: &WorkerName, credentials: &Credentials) -> Result<Client, ConnectError> {
        // kube's errors here can quote PEM text: which of the two it was is not worth that.
        let builder = ClientBuilder::try_from(config(credentials)).map_err(|_| ConnectError::Certificates)?;
        let measured = Measured { worker: worker.clone(), metrics: self.metrics.clone() };
        Ok(builder.with_layer(&measured).with_layer(&self.failpoint).build())
    }
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
