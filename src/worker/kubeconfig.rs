//! From the text of a kubeconfig to [`Credentials`], by an allow-list.
//!
//! A kubeconfig can make whoever loads it run programs, send its own files to strangers and trust anybody. So nothing
//! is used that is not named here, and no error quotes a single character of the text: conditions are read by more
//! people than Secrets are.

use std::path::Path;

use base64::Engine as _;
use http::Uri;
use kube::config::{AuthInfo, Cluster, Context, ExecInteractiveMode, Kubeconfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret, SecretBox, SecretString};

pub use super::credentials::{Credentials, Trust};
use super::{
    allowances::{Allowance, Allowances, Reach},
    credentials::{Basic, Files, Impersonation, Parts},
    dial::Proxy,
    program::Program,
};

/// The largest kubeconfig that is read, in bytes.
pub const MOST_BYTES: usize = 256 * 1024;

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
    #[error("the kubeconfig uses {field}, which Atoll refuses: {remedy}{}", way_out(*allowance))]
    Refused {
        /// The field.
        field: &'static str,
        /// What to do instead.
        remedy: &'static str,
        /// What would have to be allowed; `None` where nothing can.
        allowance: Option<Allowance>,
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

fn way_out(allowance: Option<Allowance>) -> String {
    let Some(allowance) = allowance else { return String::new() };
    let single = if allowance.reach() == Reach::OurPod { " and --tenancy=single" } else { "" };
    format!(", or allow it with --kubeconfig-allow={allowance}{single}")
}

/// The names of a kubeconfig's contexts, in its order.
pub fn contexts(text: &str) -> Result<Vec<String>, KubeconfigError> {
    Ok(parse(text)?.contexts.into_iter().map(|context| context.name).collect())
}

/// Reads one context's credentials: the one asked for, else the current one, else the only one.
pub fn credentials(text: &str, context: Option<&str>, allowances: &Allowances) -> Result<Credentials, KubeconfigError> {
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
    refuse(allowances, &of_cluster(cluster))?;
    refuse(allowances, &of_user(user))?;
    let trust = trust(cluster, allowances)?;
    Ok(Credentials::new(name, parts(cluster, user, trust)?))
}

fn parse(text: &str) -> Result<Kubeconfig, KubeconfigError> {
    if text.len() > MOST_BYTES {
        return Err(KubeconfigError::TooLarge(text.len()));
    }
    let compact: String = text.split_whitespace().collect();
    let decoded =
        base64::engine::general_purpose::STANDARD.decode(&compact).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    // No kubeconfig needs anchors, and a dozen lines of them can keep a parser busy for seconds. Of several documents
    // kube would make one, whose fields came from here and there.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_anchors: 0, max_aliases: 0, max_merge_keys: 0, max_documents: 1 },
        with_snippet: false,
    };
    // The parser's error quotes what it read, so it goes no further than here.
    let kubeconfig: Kubeconfig = serde_saphyr::from_str_with_options(decoded.as_deref().unwrap_or(text), options)
        .map_err(|_| KubeconfigError::Unparsable)?;
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
const REMOVE: &str = "remove it";

/// A field that is not ordinary, what to do instead, and what has to be allowed.
type Doubtful = (&'static str, Use, &'static str, Option<Allowance>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Used,
    Unused,
}

impl Use {
    fn of<T>(field: Option<&T>) -> Self {
        if field.is_some() { Self::Used } else { Self::Unused }
    }
}

fn refuse(allowances: &Allowances, fields: &[Doubtful]) -> Result<(), KubeconfigError> {
    let permitted = |allowance: Option<Allowance>| allowance.is_some_and(|allowance| allowances.permit(allowance));
    let first = fields.iter().find(|(_, used, _, allowance)| *used == Use::Used && !permitted(*allowance));
    match first {
        Some(&(field, _, remedy, allowance)) => Err(KubeconfigError::Refused { field, remedy, allowance }),
        None => Ok(()),
    }
}

fn of_cluster(cluster: &Cluster) -> [Doubtful; 5] {
    let skips = cluster.insecure_skip_tls_verify.filter(|skips| *skips);
    let plain = cluster.server.as_deref().filter(|server| is_plain(server));
    let unknown = cluster.other.first_key_value();
    [
        (
            "certificate-authority (a file)",
            Use::of(cluster.certificate_authority.as_ref()),
            EMBED,
            Some(Allowance::Files),
        ),
        (
            "proxy-url",
            Use::of(cluster.proxy_url.as_ref()),
            "give an address that Atoll can reach directly",
            Some(Allowance::ProxyUrl),
        ),
        (
            "insecure-skip-tls-verify",
            Use::of(skips.as_ref()),
            "give the server's certificate-authority-data",
            Some(Allowance::InsecureSkipTlsVerify),
        ),
        (
            "a plain http `server`",
            Use::of(plain.as_ref()),
            "credentials would cross the network in clear: use https",
            Some(Allowance::PlainHttp),
        ),
        ("a cluster field that Atoll does not know", Use::of(unknown.as_ref()), REMOVE, None),
    ]
}

fn of_user(user: &AuthInfo) -> [Doubtful; 12] {
    let unknown = user.other.first_key_value();
    let permissions = "give credentials that have the permissions themselves";
    let (files, acts) = (Some(Allowance::Files), Some(Allowance::Impersonation));
    [
        ("exec (a program)", Use::of(user.exec.as_ref()), TOKEN, Some(Allowance::Exec)),
        // Kubernetes took it out in 1.26, and what remains in kube runs a program at a moment that blocks others.
        ("auth-provider (gone since Kubernetes 1.26)", Use::of(user.auth_provider.as_ref()), TOKEN, None),
        ("tokenFile (a file)", Use::of(user.token_file.as_ref()), EMBED, files),
        ("client-certificate (a file)", Use::of(user.client_certificate.as_ref()), EMBED, files),
        ("client-key (a file)", Use::of(user.client_key.as_ref()), EMBED, files),
        ("username and password", Use::of(user.username.as_ref()), TOKEN, Some(Allowance::BasicAuth)),
        ("username and password", Use::of(user.password.as_ref()), TOKEN, Some(Allowance::BasicAuth)),
        ("impersonation", Use::of(user.impersonate.as_ref()), permissions, acts),
        ("impersonation", Use::of(user.impersonate_uid.as_ref()), permissions, acts),
        ("impersonation", Use::of(user.impersonate_groups.as_ref()), permissions, acts),
        ("impersonation", Use::of(user.impersonate_user_extra.as_ref()), permissions, acts),
        ("a user field that Atoll does not know", Use::of(unknown.as_ref()), REMOVE, None),
    ]
}

fn is_plain(server: &str) -> bool {
    server.trim().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"))
}

/// Whom the server's certificate must be vouched for by. Every doubtful field has been allowed by now.
fn trust(cluster: &Cluster, allowances: &Allowances) -> Result<Trust, KubeconfigError> {
    let field = "certificate-authority-data";
    let data = cluster.certificate_authority_data.as_deref().filter(|data| !data.is_empty());
    let server = cluster.server.as_deref().unwrap_or_default();
    match (data, &cluster.certificate_authority) {
        _ if cluster.insecure_skip_tls_verify == Some(true) => Ok(Trust::Anybody),
        _ if is_plain(server) => Ok(Trust::Unneeded),
        (Some(data), _) => {
            let authorities: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&decode(field, data)?)
                .map(|certificate| certificate.map(|der| der.to_vec()))
                .collect::<Result<_, _>>()
                .map_err(|_| KubeconfigError::Bad { field, what: "not PEM" })?;
            match authorities.as_slice() {
                [] => Err(KubeconfigError::Bad { field, what: "without a certificate" }),
                _ => Ok(Trust::Authorities(authorities)),
            }
        }
        (None, Some(path)) => Ok(Trust::File(file("certificate-authority", path)?)),
        (None, None) if allowances.permit(Allowance::SystemRoots) => Ok(Trust::System),
        (None, None) => Err(KubeconfigError::Refused {
            field: "no certificate-authority-data",
            remedy: "give the server's",
            allowance: Some(Allowance::SystemRoots),
        }),
    }
}

fn parts(cluster: &Cluster, user: &AuthInfo, trust: Trust) -> Result<Parts, KubeconfigError> {
    let token = user.token.as_ref().map(|token| token.expose_secret().trim()).filter(|token| !token.is_empty());
    let token = token.map(|token| header("token", token)).transpose()?.map(SecretString::from);
    let (chain, key) = certificate(user)?;
    let parts = Parts {
        server: server(cluster.server.as_deref().ok_or(KubeconfigError::Missing("`server`"))?)?,
        trust,
        tls_server_name: cluster.tls_server_name.clone().filter(|name| !name.is_empty()),
        proxy: cluster.proxy_url.as_deref().map(proxy).transpose()?,
        token,
        basic: basic(user)?,
        chain,
        key,
        program: program(user)?,
        files: Files {
            token: user.token_file.as_deref().map(|path| file("tokenFile", path)).transpose()?,
            chain: user.client_certificate.as_deref().map(|path| file("client-certificate", path)).transpose()?,
            key: user.client_key.as_deref().map(|path| file("client-key", path)).transpose()?,
        },
        impersonation: impersonation(user)?,
    };
    let certified = match (parts.chain.is_some(), parts.key.is_some(), &parts.files) {
        (true, true, _) => true,
        (chain, key, files) if chain || key || files.chain.is_some() || files.key.is_some() => {
            let whole = (chain || files.chain.is_some()) && (key || files.key.is_some());
            if !whole {
                let lacks = if key || files.key.is_some() { "client-certificate-data" } else { "client-key-data" };
                return Err(KubeconfigError::Missing(lacks));
            }
            true
        }
        _ => false,
    };
    let proves =
        parts.token.is_some() || parts.basic.is_some() || parts.program.is_some() || parts.files.token.is_some();
    if certified || proves {
        Ok(parts)
    } else {
        Err(KubeconfigError::Missing("a token, or client-certificate-data with client-key-data,"))
    }
}

fn server(text: &str) -> Result<Uri, KubeconfigError> {
    let field = "`server`";
    let uri: Uri = text.trim().parse().map_err(|_| KubeconfigError::Bad { field, what: "not an address" })?;
    let Some(authority) = uri.authority() else {
        return Err(KubeconfigError::Bad { field, what: "not an https address" });
    };
    match uri.scheme_str() {
        _ if authority.as_str().contains('@') => {
            Err(KubeconfigError::Bad { field, what: "an address that holds a user name" })
        }
        _ if authority.host().is_empty() => Err(KubeconfigError::Bad { field, what: "an address without a host" }),
        // Not used by anybody, and a place where people have left tokens.
        _ if uri.query().is_some() => Err(KubeconfigError::Bad { field, what: "an address with a query" }),
        Some("https" | "http") => Ok(uri),
        _ => Err(KubeconfigError::Bad { field, what: "not an https address" }),
    }
}

fn proxy(text: &str) -> Result<Proxy, KubeconfigError> {
    let field = "proxy-url";
    let bad = |what| KubeconfigError::Bad { field, what };
    let uri: Uri = text.trim().parse().map_err(|_| bad("not an address"))?;
    let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(bad("not an http:// address, and Atoll knows no other kind of proxy"));
    };
    let (login, place) = match authority.as_str().rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, authority.as_str()),
    };
    // The proxy's port is not guessed: the usual ones differ.
    let address: Uri = format!("http://{place}").parse().map_err(|_| bad("not an address"))?;
    if address.port_u16().is_none() {
        return Err(bad("without a port"));
    }
    let login = login.map(percent_decoded).transpose().map_err(|()| bad("not an address"))?.map(SecretString::from);
    Ok(Proxy { address, login })
}

/// Undoes `%40` and its like.
fn percent_decoded(text: &str) -> Result<String, ()> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let (digits, after) = rest.split_at_checked(2).ok_or(())?;
            let digits = std::str::from_utf8(digits).map_err(|_| ())?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| ())?);
            rest = after;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).map_err(|_| ())
}

fn basic(user: &AuthInfo) -> Result<Option<Basic>, KubeconfigError> {
    match (&user.username, &user.password) {
        (None, None) => Ok(None),
        // What is before the first colon is the name, for whoever reads it.
        (Some(username), Some(_)) if username.contains(':') => {
            Err(KubeconfigError::Bad { field: "username", what: "a text with a colon" })
        }
        (Some(username), Some(password)) => Ok(Some(Basic { username: username.clone(), password: password.clone() })),
        (None, Some(_)) => Err(KubeconfigError::Missing("a username beside the password")),
        (Some(_), None) => Err(KubeconfigError::Missing("a password beside the username")),
    }
}

fn impersonation(user: &AuthInfo) -> Result<Impersonation, KubeconfigError> {
    let groups = user.impersonate_groups.clone().unwrap_or_default();
    let extra: std::collections::BTreeMap<_, _> =
        user.impersonate_user_extra.clone().unwrap_or_default().into_iter().collect();
    let values = user.impersonate.iter().chain(&user.impersonate_uid).chain(&groups).chain(extra.values().flatten());
    for value in values {
        header("a field of impersonation", value)?;
    }
    let further = user.impersonate_uid.is_some() || !groups.is_empty() || !extra.is_empty();
    if further && user.impersonate.as_deref().is_none_or(str::is_empty) {
        return Err(KubeconfigError::Missing("`as` beside the other fields of impersonation"));
    }
    Ok(Impersonation { user: user.impersonate.clone(), uid: user.impersonate_uid.clone(), groups, extra })
}

fn program(user: &AuthInfo) -> Result<Option<Program>, KubeconfigError> {
    let Some(exec) = &user.exec else { return Ok(None) };
    let bad = |what| KubeconfigError::Bad { field: "exec", what };
    let command = exec.command.clone().filter(|command| !command.is_empty()).ok_or_else(|| bad("without a command"))?;
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(bad("one that wants to ask somebody, and nobody is there"));
    }
    if exec.provide_cluster_info {
        return Err(bad("one with provideClusterInfo, which Atoll does not give"));
    }
    let environment = exec.env.iter().flatten().map(|pair| match (pair.get("name"), pair.get("value")) {
        (Some(name), Some(value)) if !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0') => {
            Ok((name.clone(), value.clone()))
        }
        _ => Err(bad("one with an env that is no list of name and value")),
    });
    Ok(Some(Program {
        command,
        arguments: exec.args.clone().unwrap_or_default(),
        environment: environment.collect::<Result<_, _>>()?,
        api_version: exec.api_version.clone().unwrap_or_else(|| "client.authentication.k8s.io/v1".to_owned()),
    }))
}

/// A text that goes into the head of a request: with a line break in it, it would be a head of its own.
fn header<'a>(field: &'static str, text: &'a str) -> Result<&'a str, KubeconfigError> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        Ok(text)
    } else {
        Err(KubeconfigError::Bad { field, what: "a text with characters that no request can carry" })
    }
}

/// A path, as it is: relative ones would depend on where Atoll was started.
fn file(field: &'static str, path: &str) -> Result<String, KubeconfigError> {
    if Path::new(path).is_absolute() && !path.contains('\0') {
        Ok(path.to_owned())
    } else {
        Err(KubeconfigError::Bad { field, what: "not an absolute path" })
    }
}

type Key = SecretBox<[u8]>;

fn certificate(user: &AuthInfo) -> Result<(Option<Vec<u8>>, Option<Key>), KubeconfigError> {
    let chain = user.client_certificate_data.as_deref().filter(|data| !data.is_empty());
    let key = user.client_key_data.as_ref().map(ExposeSecret::expose_secret).filter(|data| !data.is_empty());
    let field = "client-certificate-data";
    let chain = chain.map(|data| decode(field, data)).transpose()?;
    if chain.as_deref().is_some_and(|chain| CertificateDer::from_pem_slice(chain).is_err()) {
        return Err(KubeconfigError::Bad { field, what: "not a PEM certificate" });
    }
    let field = "client-key-data";
    let key = key.map(|data| decode(field, data)).transpose()?;
    if key.as_deref().is_some_and(|key| PrivateKeyDer::from_pem_slice(key).is_err()) {
        return Err(KubeconfigError::Bad { field, what: "not a PEM key" });
    }
    Ok((chain, key.map(|key| SecretBox::from(key.into_boxed_slice()))))
}

fn decode(field: &'static str, data: &str) -> Result<Vec<u8>, KubeconfigError> {
    let compact: String = data.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD
        .decode(compact)
        .map_err(|_| KubeconfigError::Bad { field, what: "not base64" })
}
