//! From the text of a kubeconfig to [`Credentials`], by an allow-list.
//!
//! A kubeconfig can make whoever loads it run programs, send its own files to strangers and trust anybody. So nothing
//! is used that is not named here, and no error quotes a single character of the text: conditions are read by more
//! people than Secrets are.

use base64::Engine as _;
use http::Uri;
use kube::config::{AuthInfo, Cluster, Context, Kubeconfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha1::{Digest as _, Sha1};

/// The largest kubeconfig that is read, in bytes.
pub const MOST_BYTES: usize = 256 * 1024;

/// What a client needs, and nothing more. Its `Debug` prints no secret.
#[derive(Clone)]
pub struct Credentials {
    context: String,
    server: Uri,
    authorities: Vec<Vec<u8>>,
    tls_server_name: Option<String>,
    token: Option<SecretString>,
    certificate: Option<Certificate>,
    digest: [u8; 20],
}

/// A client certificate with its key, both PEM.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate chain.
    pub chain: Vec<u8>,
    /// The key.
    pub key: SecretBox<[u8]>,
}

impl Credentials {
    /// The context that they come from.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The API server's address.
    #[must_use]
    pub fn server(&self) -> &Uri {
        &self.server
    }

    /// The certificate authorities, DER.
    #[must_use]
    pub fn authorities(&self) -> &[Vec<u8>] {
        &self.authorities
    }

    /// The name that the server's certificate must have, where it is not the host of [`Self::server`].
    #[must_use]
    pub fn tls_server_name(&self) -> Option<&str> {
        self.tls_server_name.as_deref()
    }

    /// The bearer token.
    #[must_use]
    pub fn token(&self) -> Option<&SecretString> {
        self.token.as_ref()
    }

    /// The client certificate.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
}

impl PartialEq for Credentials {
    /// Equal credentials make equal clients: a change elsewhere in the same kubeconfig reconnects nobody.
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Credentials {}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// Why a kubeconfig is not used. No text here comes from the kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigError {
    /// Too large to be one.
    #[error(
        "the kubeconfig has {0} bytes, more than the {MOST_BYTES} that are read: keep only the contexts that are used"
    )]
    TooLarge(usize),
    /// Not a kubeconfig at all: a placeholder, a comment, or broken YAML.
    #[error(
        "the kubeconfig is not one: put in the output of `kubectl config view --raw --minify` \
         for the worker (plain or base64), in place of what is there now"
    )]
    Unparsable,
    /// No context is asked for and the kubeconfig does not choose one.
    #[error("the kubeconfig holds {0} contexts and names no current-context: say which one in the field `context`")]
    WhichContext(usize),
    /// The context that is asked for is not there.
    #[error("the kubeconfig has no context of the name {0:?} that is asked for")]
    NoSuchContext(String),
    /// `current-context` leads nowhere.
    #[error("the kubeconfig's current-context names a context that is not in it")]
    LostCurrentContext,
    /// A field is missing, or leads nowhere.
    #[error("the kubeconfig lacks {0} for this context")]
    Missing(&'static str),
    /// A field would let the kubeconfig's author do more than connect.
    #[error("the kubeconfig uses {field}, which Atoll refuses: {remedy}")]
    Refused {
        /// The field.
        field: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A field has a value that cannot be used.
    #[error("{field} of the kubeconfig is {what}")]
    Bad {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The names of a kubeconfig's contexts, in its order.
pub fn contexts(text: &str) -> Result<Vec<String>, KubeconfigError> {
    Ok(parse(text)?.contexts.into_iter().map(|context| context.name).collect())
}

/// Reads one context's credentials: the one asked for, else the current one, else the only one.
pub fn credentials(text: &str, context: Option<&str>) -> Result<Credentials, KubeconfigError> {
    let kubeconfig = parse(text)?;
    let (name, context) = choose(&kubeconfig, context)?;
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|cluster| cluster.name == context.cluster)
        .and_then(|cluster| cluster.cluster.as_ref())
        .ok_or(KubeconfigError::Missing("the cluster"))?;
    let user = context
        .user
        .as_ref()
        .and_then(|user| kubeconfig.auth_infos.iter().find(|named| &named.name == user))
        .and_then(|named| named.auth_info.as_ref())
        .ok_or(KubeconfigError::Missing("the user"))?;
    refuse_in_cluster(cluster)?;
    refuse_in_user(user)?;
    build(name, cluster, user)
}

fn parse(text: &str) -> Result<Kubeconfig, KubeconfigError> {
    if text.len() > MOST_BYTES {
        return Err(KubeconfigError::TooLarge(text.len()));
    }
    let compact: String = text.split_whitespace().collect();
    let decoded =
        base64::engine::general_purpose::STANDARD.decode(&compact).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    // The parser's error quotes the lines around it, so it goes no further than here.
    let kubeconfig =
        Kubeconfig::from_yaml(decoded.as_deref().unwrap_or(text)).map_err(|_| KubeconfigError::Unparsable)?;
    if kubeconfig.clusters.is_empty() && kubeconfig.contexts.is_empty() && kubeconfig.auth_infos.is_empty() {
        return Err(KubeconfigError::Unparsable);
    }
    Ok(kubeconfig)
}

fn choose<'a>(kubeconfig: &'a Kubeconfig, asked: Option<&str>) -> Result<(&'a str, &'a Context), KubeconfigError> {
    let current = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    let named = match (asked.filter(|name| !name.is_empty()), current, kubeconfig.contexts.as_slice()) {
        (Some(asked), _, all) => all
            .iter()
            .find(|context| context.name == asked)
            .ok_or_else(|| KubeconfigError::NoSuchContext(asked.to_owned()))?,
        (None, Some(current), all) => {
            all.iter().find(|context| context.name == current).ok_or(KubeconfigError::LostCurrentContext)?
        }
        (None, None, [only]) => only,
        (None, None, all) => return Err(KubeconfigError::WhichContext(all.len())),
    };
    let context = named.context.as_ref().ok_or(KubeconfigError::Missing("the content of the context"))?;
    Ok((&named.name, context))
}

const EMBED: &str = "embed the content (`kubectl config view --raw --flatten` does)";
const TOKEN: &str = "use a service account's token or a client certificate";

fn first_refused(fields: &[(&'static str, bool, &'static str)]) -> Result<(), KubeconfigError> {
    match fields.iter().find(|(_, present, _)| *present) {
        Some(&(field, _, remedy)) => Err(KubeconfigError::Refused { field, remedy }),
        None => Ok(()),
    }
}

fn refuse_in_cluster(cluster: &Cluster) -> Result<(), KubeconfigError> {
    first_refused(&[
        ("certificate-authority (a file)", cluster.certificate_authority.is_some(), EMBED),
        ("proxy-url", cluster.proxy_url.is_some(), "give an address that Atoll can reach directly"),
        (
            "insecure-skip-tls-verify",
            cluster.insecure_skip_tls_verify == Some(true),
            "give the server's certificate-authority-data",
        ),
        ("a cluster field that Atoll does not know", !cluster.other.is_empty(), "remove it"),
    ])
}

fn refuse_in_user(user: &AuthInfo) -> Result<(), KubeconfigError> {
    let impersonates = user.impersonate.is_some()
        || user.impersonate_uid.is_some()
        || user.impersonate_groups.is_some()
        || user.impersonate_user_extra.is_some();
    first_refused(&[
        ("exec (a program)", user.exec.is_some(), TOKEN),
        ("auth-provider (a program)", user.auth_provider.is_some(), TOKEN),
        ("tokenFile (a file)", user.token_file.is_some(), EMBED),
        ("client-certificate (a file)", user.client_certificate.is_some(), EMBED),
        ("client-key (a file)", user.client_key.is_some(), EMBED),
        ("username and password", user.username.is_some() || user.password.is_some(), TOKEN),
        ("impersonation", impersonates, "give credentials that have the permissions themselves"),
        ("a user field that Atoll does not know", !user.other.is_empty(), "remove it"),
    ])
}

fn build(context: &str, cluster: &Cluster, user: &AuthInfo) -> Result<Credentials, KubeconfigError> {
    let server = server(cluster.server.as_deref().ok_or(KubeconfigError::Missing("`server`"))?)?;
    let field = "certificate-authority-data";
    let data = cluster.certificate_authority_data.as_deref().filter(|data| !data.is_empty());
    let authorities: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&decode(field, data)?)
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|_| KubeconfigError::Bad { field, what: "not PEM" })?;
    if authorities.is_empty() {
        return Err(KubeconfigError::Bad { field, what: "without a certificate" });
    }
    let token = user.token.as_ref().filter(|token| !token.expose_secret().trim().is_empty()).cloned();
    let certificate = certificate(user)?;
    if token.is_none() && certificate.is_none() {
        return Err(KubeconfigError::Missing("a token, or client-certificate-data with client-key-data,"));
    }
    let tls_server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
    let digest = digest(&server, &authorities, tls_server_name.as_deref(), token.as_ref(), certificate.as_ref());
    Ok(Credentials { context: context.to_owned(), server, authorities, tls_server_name, token, certificate, digest })
}

fn server(text: &str) -> Result<Uri, KubeconfigError> {
    let field = "`server`";
    let uri: Uri = text.trim().parse().map_err(|_| KubeconfigError::Bad { field, what: "not an address" })?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("https"), Some(authority)) if !authority.as_str().contains('@') => Ok(uri),
        (Some("https"), Some(_)) => Err(KubeconfigError::Bad { field, what: "an address that holds a user name" }),
        (Some("http"), _) => Err(KubeconfigError::Refused {
            field: "a plain http `server`",
            remedy: "credentials would cross the network in clear: use https",
        }),
        _ => Err(KubeconfigError::Bad { field, what: "not an https address" }),
    }
}

fn certificate(user: &AuthInfo) -> Result<Option<Certificate>, KubeconfigError> {
    let chain = user.client_certificate_data.as_deref().filter(|data| !data.is_empty());
    let key = user.client_key_data.as_ref().map(ExposeSecret::expose_secret).filter(|data| !data.is_empty());
    if chain.is_none() && key.is_none() {
        return Ok(None);
    }
    let field = "client-certificate-data";
    let chain = decode(field, chain)?;
    if CertificateDer::from_pem_slice(&chain).is_err() {
        return Err(KubeconfigError::Bad { field, what: "not a PEM certificate" });
    }
    let field = "client-key-data";
    let key = decode(field, key)?;
    if PrivateKeyDer::from_pem_slice(&key).is_err() {
        return Err(KubeconfigError::Bad { field, what: "not a PEM key" });
    }
    Ok(Some(Certificate { chain, key: SecretBox::from(key.into_boxed_slice()) }))
}

fn decode(field: &'static str, data: Option<&str>) -> Result<Vec<u8>, KubeconfigError> {
    let compact: String = data.ok_or(KubeconfigError::Missing(field))?.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD
        .decode(compact)
        .map_err(|_| KubeconfigError::Bad { field, what: "not base64" })
}

fn digest(
    server: &Uri,
    authorities: &[Vec<u8>],
    tls_server_name: Option<&str>,
    token: Option<&SecretString>,
    certificate: Option<&Certificate>,
) -> [u8; 20] {
    let mut sha = Sha1::new();
    let mut part = |name: &str, bytes: &[u8]| {
        sha.update(format!("{name}:{}:", bytes.len()));
        sha.update(bytes);
    };
    part("server", server.to_string().as_bytes());
    for authority in authorities {
        part("ca", authority);
    }
    part("name", tls_server_name.unwrap_or_default().as_bytes());
    part("token", token.map(|token| token.expose_secret().as_bytes()).unwrap_or_default());
    part("chain", certificate.map(|certificate| certificate.chain.as_slice()).unwrap_or_default());
    part("key", certificate.map(|certificate| certificate.key.expose_secret()).unwrap_or_default());
    sha.finalize().into()
}
