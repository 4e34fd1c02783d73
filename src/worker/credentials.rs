//! What a client of a worker is made from: the outcome of reading a kubeconfig, with every field checked.

use std::collections::BTreeMap;

use base64::Engine as _;
use http::Uri;
use kube::config::AuthInfo;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha1::{Digest as _, Sha1};

use super::{
    dial::Proxy,
    program::{Program, Source},
};

/// What a client needs, and nothing more. Its `Debug` prints no secret.
#[derive(Clone)]
pub struct Credentials {
    context: String,
    parts: Parts,
    digest: [u8; 20],
}

/// The fields of [`Credentials`], as they are read.
#[derive(Clone)]
pub(super) struct Parts {
    pub server: Uri,
    pub trust: Trust,
    pub tls_server_name: Option<String>,
    pub proxy: Option<Proxy>,
    pub token: Option<SecretString>,
    pub basic: Option<Basic>,
    pub chain: Option<Vec<u8>>,
    pub key: Option<SecretBox<[u8]>>,
    pub program: Option<Program>,
    pub files: Files,
    pub impersonation: Impersonation,
}

/// Whom a server's certificate must be vouched for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// These authorities, DER.
    Authorities(Vec<Vec<u8>>),
    /// Those in a file, PEM.
    File(String),
    /// Those that the machine trusts.
    System,
    /// Nobody: whoever answers is believed.
    Anybody,
    /// There is no certificate: the server speaks plain http.
    Unneeded,
}

/// A user's name and password.
#[derive(Clone)]
pub(super) struct Basic {
    pub username: String,
    pub password: SecretString,
}

/// Files: those of a certificate are read when a client is made, that of a token every minute.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub token: Option<String>,
    pub chain: Option<String>,
    pub key: Option<String>,
}

/// Whom requests are made for.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Impersonation {
    pub user: Option<String>,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Credentials {
    pub(super) fn new(context: &str, parts: Parts) -> Self {
        let digest = parts.digest();
        Self { context: context.to_owned(), parts, digest }
    }

    /// The context that they come from.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The API server's address.
    #[must_use]
    pub fn server(&self) -> &Uri {
        &self.parts.server
    }

    /// Whom the server's certificate must be vouched for by.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.parts.trust
    }

    /// The name that the server's certificate must have, where it is not the host of [`Self::server`].
    #[must_use]
    pub fn tls_server_name(&self) -> Option<&str> {
        self.parts.tls_server_name.as_deref()
    }

    /// The proxy to go through.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        self.parts.proxy.as_ref()
    }

    /// The bearer token.
    #[must_use]
    pub fn token(&self) -> Option<&SecretString> {
        self.parts.token.as_ref()
    }

    /// The client certificate with its chain, PEM.
    #[must_use]
    pub fn chain(&self) -> Option<&[u8]> {
        self.parts.chain.as_deref()
    }

    /// Where tokens come from, if they are not in the kubeconfig.
    #[must_use]
    pub fn token_source(&self) -> Option<Source> {
        let Parts { token, program, files, .. } = &self.parts;
        let file = files.token.clone().map(Source::File);
        // The order that kubectl has: what is written down, then the file, then the program.
        file.or_else(|| program.clone().map(Source::Program)).filter(|_| token.is_none())
    }

    /// Whether making a client reads files.
    #[must_use]
    pub fn name_files(&self) -> bool {
        self.parts.files.chain.is_some() || self.parts.files.key.is_some() || matches!(self.parts.trust, Trust::File(_))
    }

    /// Who comes, as kube wants to be told, without what [`Self::token_source`] gives.
    #[must_use]
    pub fn auth_info(&self) -> AuthInfo {
        let Parts { token, basic, chain, key, files, impersonation, .. } = &self.parts;
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let Impersonation { user, uid, groups, extra } = impersonation;
        AuthInfo {
            token: token.clone(),
            username: basic.as_ref().map(|basic| basic.username.clone()),
            password: basic.as_ref().map(|basic| basic.password.clone()),
            client_certificate_data: chain.as_deref().map(encode),
            client_certificate: files.chain.clone(),
            client_key_data: key.as_ref().map(|key| encode(key.expose_secret()).into()),
            client_key: files.key.clone(),
            impersonate: user.clone(),
            impersonate_uid: uid.clone(),
            impersonate_groups: Some(groups.clone()).filter(|groups| !groups.is_empty()),
            impersonate_user_extra: Some(extra.clone().into_iter().collect()).filter(|_| !extra.is_empty()),
            ..AuthInfo::default()
        }
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

impl Parts {
    /// Of everything: a field that is left out here would be changed without effect.
    fn digest(&self) -> [u8; 20] {
        let Self { server, trust, tls_server_name, proxy, token, basic, chain, key, program, files, impersonation } =
            self;
        let mut sha = Sha1::new();
        let mut part = |name: &str, bytes: &[u8]| {
            sha.update(format!("{name}:{}:", bytes.len()));
            sha.update(bytes);
        };
        part("server", server.to_string().as_bytes());
        match trust {
            Trust::Authorities(all) => all.iter().for_each(|authority| part("ca", authority)),
            Trust::File(path) => part("ca-file", path.as_bytes()),
            Trust::System => part("ca-system", &[]),
            Trust::Anybody => part("ca-any", &[]),
            Trust::Unneeded => part("ca-none", &[]),
        }
        let mut text = |name: &str, text: Option<&str>| {
            if let Some(text) = text {
                part(name, text.as_bytes());
            }
        };
        text("name", tls_server_name.as_deref());
        text("proxy", proxy.as_ref().map(|proxy| proxy.address.to_string()).as_deref());
        text("proxy-login", proxy.as_ref().and_then(|proxy| proxy.login.as_ref()).map(ExposeSecret::expose_secret));
        text("token", token.as_ref().map(ExposeSecret::expose_secret));
        text("username", basic.as_ref().map(|basic| basic.username.as_str()));
        text("password", basic.as_ref().map(|basic| basic.password.expose_secret()));
        for (name, value) in program.iter().flat_map(Program::words) {
            text(name, Some(value));
        }
        text("token-file", files.token.as_deref());
        text("chain-file", files.chain.as_deref());
        text("key-file", files.key.as_deref());
        text("as", impersonation.user.as_deref());
        text("as-uid", impersonation.uid.as_deref());
        for group in &impersonation.groups {
            text("as-group", Some(group));
        }
        for (key, values) in &impersonation.extra {
            text("as-extra", Some(key));
            for value in values {
                text("as-extra-value", Some(value));
            }
        }
        part("chain", chain.as_deref().unwrap_or_default());
        part("key", key.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default());
        sha.finalize().into()
    }
}
