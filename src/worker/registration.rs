//! From a `K8sCluster`, and the Secret that it may name, to what is needed to reach the worker. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry};
use kube::ResourceExt as _;

use super::{
    allowances::Allowances,
    kubeconfig::{self, Credentials, KubeconfigError},
};
use crate::{
    dialect::k8scluster::{crd::K8sCluster, health::Trouble},
    plan::{
        name::{Namespace, ObjectName, Uid, WorkerName},
        terms::{Duty, Tenants, Terms},
    },
};

/// One registered worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The name of its `K8sCluster`.
    pub name: WorkerName,
    /// What manifests may call it besides: `spec.name` and the context.
    pub aliases: Vec<String>,
    /// The DNS domain of its services, where one is named.
    pub domain: Option<String>,
    /// On what terms it takes members.
    pub terms: Terms,
    /// The identity that was pinned at first contact.
    pub pinned: Option<Uid>,
    /// Another identity that a person has accepted since (annotation [`ACCEPT_IDENTITY`]).
    pub accepted: Option<Uid>,
    /// How to get in.
    pub access: Access,
}

/// The annotation by which a person accepts that a registration leads to another cluster from now on.
pub const ACCEPT_IDENTITY: &str = "atoll.dev/accept-identity";

/// How to get into a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody knows yet: its Secret is still being read.
    Pending,
    /// With these.
    Credentials(Box<Credentials>),
    /// Not at all, until this is mended.
    Refused(Trouble),
}

/// A Secret of the master, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
}

impl std::fmt::Display for SecretName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What is known of a Secret. It has no `Debug`: what it holds is not for logs.
#[derive(Clone)]
pub enum SecretState {
    /// Nothing yet.
    Unread,
    /// It is not there.
    Absent,
    /// The master's API server does not let it be read, and says why.
    Unreadable(String),
    /// Its keys and values.
    Read(BTreeMap<String, ByteString>),
}

/// In which namespaces Atoll may read kubeconfig Secrets (DECISIONS 16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretNamespaces {
    /// Its own.
    pub own: Namespace,
    /// Those that whoever installed it has listed besides.
    pub listed: BTreeSet<Namespace>,
}

impl SecretNamespaces {
    /// Whether this one is among them.
    #[must_use]
    pub fn permit(&self, namespace: &Namespace) -> bool {
        *namespace == self.own || self.listed.contains(namespace)
    }
}

/// The Secret that a `K8sCluster` names, if any, whether or not it may be read.
#[must_use]
pub fn secret_of(cluster: &K8sCluster, namespaces: &SecretNamespaces) -> Option<SecretName> {
    let secret = cluster.spec.kube_config_secret_ref.as_ref()?;
    let namespace = secret.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    Some(SecretName {
        namespace: namespace.map_or_else(|| namespaces.own.clone(), Namespace::new),
        name: ObjectName::new(secret.name.as_str()),
    })
}

/// What a `K8sCluster` registers, given what is known of the Secret that it names.
#[must_use]
pub fn registration(
    cluster: &K8sCluster,
    namespaces: &SecretNamespaces,
    secret: &SecretState,
    allowances: &Allowances,
) -> Registration {
    let access = access(cluster, namespaces, secret, allowances).unwrap_or_else(Access::Refused);
    let name = WorkerName::new(cluster.name_any());
    let context = match &access {
        Access::Credentials(credentials) => Some(credentials.context().to_owned()),
        _ => cluster.spec.context().map(str::to_owned),
    };
    let mut aliases: Vec<String> = Some(cluster.spec.name.clone())
        .into_iter()
        .chain(context)
        .filter(|alias| !alias.is_empty() && alias != name.as_str())
        .collect();
    aliases.dedup();
    Registration {
        name,
        aliases,
        domain: cluster.spec.cluster_domain.clone().filter(|domain| !domain.is_empty()),
        terms: terms(cluster),
        pinned: cluster.status.as_ref().and_then(|status| status.identity.as_deref()).map(Uid::from),
        accepted: cluster.annotations().get(ACCEPT_IDENTITY).map(|uid| Uid::from(uid.trim())),
        access,
    }
}

fn terms(cluster: &K8sCluster) -> Terms {
    let spec = &cluster.spec;
    let duty = match (spec.unavailable, spec.unschedulable) {
        (true, _) => Duty::Unavailable { since: marked(cluster) },
        (false, true) => Duty::NoNewMembers,
        (false, false) => Duty::Serving,
    };
    let named = |namespaces: &Vec<String>| namespaces.iter().map(|name| Namespace::from(name.as_str())).collect();
    let mapping = spec.namespace_mapping.iter().filter(|(_, there)| !there.is_empty());
    Terms {
        duty,
        tenants: spec.allowed_namespaces.as_ref().map_or(Tenants::All, |namespaces| Tenants::Only(named(namespaces))),
        namespaces: mapping.map(|(here, there)| (here.as_str().into(), there.as_str().into())).collect(),
    }
}

/// When `spec.unavailable` was set, by the API server's own account of who set which field when. It outlives us, and is
/// the same for whatever the mark was set with.
fn marked(cluster: &K8sCluster) -> Option<Timestamp> {
    let marks = cluster.metadata.managed_fields.iter().flatten().filter(|entry| is_of_mark(entry));
    marks.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).min()
}

/// Whether this account is of who set `spec.unavailable`.
pub(super) fn is_of_mark(entry: &ManagedFieldsEntry) -> bool {
    entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:unavailable").is_some())
}

fn access(
    cluster: &K8sCluster,
    namespaces: &SecretNamespaces,
    secret: &SecretState,
    allowances: &Allowances,
) -> Result<Access, Trouble> {
    let spec = &cluster.spec;
    let named = secret_of(cluster, namespaces);
    let text = match (spec.kube_config.as_deref().filter(|text| !text.trim().is_empty()), &named) {
        (Some(_), Some(_)) => {
            return Err(Trouble::InvalidKubeconfig(
                "spec has both kubeConfig and kubeConfigSecretRef: remove the one that is not meant".to_owned(),
            ));
        }
        (None, None) => {
            return Err(Trouble::InvalidKubeconfig(
                "spec has no kubeconfig: fill in kubeConfig, or name a Secret in kubeConfigSecretRef".to_owned(),
            ));
        }
        (Some(text), None) => text.to_owned(),
        (None, Some(named)) if !namespaces.permit(&named.namespace) => {
            return Err(Trouble::SecretNotPermitted(named.namespace.to_string()));
        }
        (None, Some(named)) => {
            let key = spec.kube_config_secret_ref.as_ref().map_or("kubeconfig", |secret| secret.key());
            match secret {
                SecretState::Unread => return Ok(Access::Pending),
                state => kubeconfig_in(state, named, key)?,
            }
        }
    };
    let credentials = kubeconfig::credentials(&text, spec.context(), allowances);
    let credentials = credentials.map_err(|error| match (&error, &named) {
        (KubeconfigError::NoSuchContext(_), _) => Trouble::ContextNotFound(error.to_string()),
        (_, Some(named)) => Trouble::InvalidKubeconfig(format!("Secret {named}: {error}")),
        (_, None) => Trouble::InvalidKubeconfig(error.to_string()),
    })?;
    Ok(Access::Credentials(Box::new(credentials)))
}

/// The kubeconfig in a Secret.
pub fn kubeconfig_in(secret: &SecretState, named: &SecretName, key: &str) -> Result<String, Trouble> {
    match secret {
        SecretState::Unread => Err(Trouble::SecretNotFound(format!("Secret {named} has not been read yet"))),
        SecretState::Absent => Err(Trouble::SecretNotFound(format!("Secret {named} does not exist: create it"))),
        SecretState::Unreadable(why) => Err(Trouble::SecretNotFound(format!("Secret {named} cannot be read: {why}"))),
        SecretState::Read(data) => {
            let bytes = data
                .get(key)
                .ok_or_else(|| Trouble::SecretNotFound(format!("Secret {named} has no key {key:?}: add it")))?;
            String::from_utf8(bytes.0.clone())
                .map_err(|_| Trouble::InvalidKubeconfig(format!("key {key:?} of Secret {named} is not text")))
        }
    }
}
