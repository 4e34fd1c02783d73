//! Kubeconfigs, for the lab's processes and for people.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// A kubeconfig with one context per cluster, named like the cluster; the first is the current one.
pub(crate) fn compose(ca: &str, entries: &[(&Cluster, Credential)]) -> Result<String> {
    let each = |entry: &dyn Fn(&Cluster, &Credential) -> Value| -> Vec<Value> {
        entries.iter().map(|(cluster, credential)| entry(cluster, credential)).collect()
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": entries.first().map(|(cluster, _)| cluster.name.as_str()).unwrap_or_default(),
        "clusters": each(&|cluster, _| json!({ "name": cluster.name, "cluster": {
            "server": cluster.api_url(),
            "certificate-authority-data": STANDARD.encode(ca),
        }})),
        "users": each(&|cluster, credential| json!({ "name": cluster.name, "user": credential.user() })),
        "contexts": each(&|cluster, _| json!({ "name": cluster.name, "context": { "cluster": cluster.name, "user": cluster.name }})),
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
