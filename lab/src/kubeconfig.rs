//! Kubeconfigs, for the lab's processes and for people.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::model::Cluster;

/// As whom to speak to an API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum As {
    /// Everything is allowed; a bearer token that does not expire.
    #[default]
    Admin,
    /// Exactly what document 000 asks for: all verbs on pods, services, PVCs, jobs and namespaces; a bearer token.
    Document,
    /// Everything is allowed; a client certificate.
    Cert,
    /// As `document`, but the token of a service account that ends after ten minutes.
    ShortToken,
}

/// How a client on this machine reaches the server of a kubeconfig, which is given as YAML: directly, since a proxy that
/// the environment names cannot know the way.
pub async fn config(kubeconfig: &str) -> std::result::Result<Config, KubeconfigError> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    Ok(config)
}

/// How a user proves who it is.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    Token(String),
    Certificate { certificate: String, key: String },
}

impl Credential {
    fn user(&self) -> Value {
        match self {
            Self::Token(token) => json!({ "token": token }),
            Self::Certificate { certificate, key } => json!({
                "client-certificate-data": STANDARD.encode(certificate),
                "client-key-data": STANDARD.encode(key),
            }),
        }
    }
}

/// How to reach one API server, as whom.
pub(crate) struct Access<'a> {
    /// Of the cluster, the user and the context.
    pub(crate) name: &'a str,
    pub(crate) server: &'a str,
    /// The name in the server's certificate, where it is not the one in its address.
    pub(crate) tls_server_name: Option<&'a str>,
    pub(crate) credential: Credential,
}

/// A kubeconfig with one context per cluster, named like the cluster; the first is the current one.
pub(crate) fn compose(ca: &str, entries: &[(&Cluster, Credential)]) -> Result<String> {
    let urls: Vec<_> = entries.iter().map(|(cluster, _)| cluster.api_url()).collect();
    let mut accesses = Vec::new();
    for ((cluster, credential), server) in entries.iter().zip(&urls) {
        accesses.push(Access { name: &cluster.name, server, tls_server_name: None, credential: credential.clone() });
    }
    write(ca, &accesses)
}

/// The same for whatever has an address.
pub(crate) fn write(ca: &str, entries: &[Access<'_>]) -> Result<String> {
    let each = |entry: &dyn Fn(&Access<'_>) -> Value| -> Vec<Value> { entries.iter().map(entry).collect() };
    let cluster = |access: &Access<'_>| {
        let mut cluster = json!({ "server": access.server, "certificate-authority-data": STANDARD.encode(ca) });
        if let Some(name) = access.tls_server_name {
            cluster["tls-server-name"] = name.into();
        }
        cluster
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": entries.first().map(|access| access.name).unwrap_or_default(),
        "clusters": each(&|access| json!({ "name": access.name, "cluster": cluster(access) })),
        "users": each(&|access| json!({ "name": access.name, "user": access.credential.user() })),
        "contexts": each(&|access| json!({ "name": access.name, "context": { "cluster": access.name, "user": access.name }})),
    });
    serde_saphyr::to_string(&config).map_err(|error| Error::Options(format!("cannot write a kubeconfig: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::{Options, Topology};

    #[test]
    fn contexts_are_named_like_their_clusters_and_kube_can_read_them() {
        let lab = Topology::new(Options::default()).unwrap();
        let entries: Vec<_> = lab.workers().map(|cluster| (cluster, Credential::Token("t-1".into()))).collect();
        let text = compose("the authority", &entries).unwrap();
        let read = kube::config::Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(
            read.contexts.iter().map(|context| context.name.as_str()).collect::<Vec<_>>(),
            ["k8s-1", "k8s-2", "k8s-3"]
        );
        assert_eq!(read.current_context.as_deref(), Some("k8s-1"));
        let server = read.clusters[1].cluster.as_ref().unwrap().server.as_deref();
        assert_eq!(server, Some("https://10.90.2.10:6443"));
    }
}
