//! The `KubeBlocks` way of registering workers: one Secret with a kubeconfig of many contexts, named on the command
//! line, becomes one `K8sCluster` for each context. Pure.

use std::collections::BTreeMap;

use kube::{ResourceExt as _, api::ObjectMeta};

use super::{
    kubeconfig,
    registration::{SecretName, SecretState, kubeconfig_in},
};
use crate::{
    dialect::k8scluster::{
        crd::{K8sCluster, K8sClusterSpec, KubeConfigSecretRef},
        health::Trouble,
        names::object_name,
    },
    plan::{
        labels,
        name::{Namespace, ObjectName, Uid, WorkerName},
    },
};

/// The key that holds the kubeconfig.
pub const KEY: &str = "kubeconfig";
/// The annotation of a `K8sCluster` that was made from a Secret: `namespace/name` of that Secret.
pub const MADE_FROM: &str = "atoll.dev/kubeconfig-secret";

/// What `--multi-cluster-kubeconfig` and `--multi-cluster-contexts` say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contexts {
    /// The Secret.
    pub secret: SecretName,
    /// The contexts to use; none means all that the Secret has, also those that are added later.
    pub only: Vec<String>,
}

impl Contexts {
    /// Reads `[NAMESPACE/]NAME` and the list of contexts, as the two flags have them.
    #[must_use]
    pub fn new(secret: &str, only: impl IntoIterator<Item = String>, own: &Namespace) -> Self {
        let (namespace, name) = match secret.split_once('/') {
            Some((namespace, name)) => (Namespace::new(namespace), name),
            None => (own.clone(), secret),
        };
        let mut contexts = Vec::new();
        for context in only.into_iter().map(|context| context.trim().to_owned()) {
            if !context.is_empty() && !contexts.contains(&context) {
                contexts.push(context);
            }
        }
        Self { secret: SecretName { namespace, name: ObjectName::new(name) }, only: contexts }
    }

    /// Logs what a person should know of these steps.
    pub fn say(&self, steps: &Steps) {
        let secret = &self.secret;
        if let Some(trouble) = &steps.trouble {
            tracing::warn!(reason = trouble.reason(), "no contexts can be read: {trouble}");
        }
        for name in &steps.held {
            tracing::warn!(worker = %name, "Secret {secret} no longer has its context, but databases have members there");
        }
        for name in &steps.taken {
            tracing::warn!(worker = %name, "a K8sCluster of this name was made by a person; the context of Secret {secret} is not registered");
        }
    }
}

/// One change to the `K8sCluster`s that were made from the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Register a context, by its name in the kubeconfig.
    Create(WorkerName, String),
    /// Let an object that we made point to the Secret and the context that are named now.
    Point(WorkerName, String),
    /// Remove an object that we made, whose context is gone.
    Delete(WorkerName, Uid),
}

/// What is to change, and what a person should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// In this order.
    pub steps: Vec<Step>,
    /// Objects that stay although their contexts are gone, because databases have members there.
    pub held: Vec<WorkerName>,
    /// Contexts whose name is taken by a `K8sCluster` that a person made; it is left alone.
    pub taken: Vec<WorkerName>,
    /// Why the contexts of the Secret cannot be told. Nothing is removed then.
    pub trouble: Option<Trouble>,
}

/// Compares the contexts with the `K8sCluster`s that exist.
#[must_use]
pub fn steps(
    contexts: &Contexts,
    secret: &SecretState,
    existing: &BTreeMap<WorkerName, K8sCluster>,
    in_use: &dyn Fn(&WorkerName) -> bool,
) -> Steps {
    let mut steps = Steps::default();
    let held = kubeconfig_in(secret, &contexts.secret, KEY).and_then(|text| {
        kubeconfig::contexts(&text)
            .map_err(|error| Trouble::InvalidKubeconfig(format!("Secret {}: {error}", contexts.secret)))
    });
    // A context that is asked for by name is registered also while the Secret lacks it: the condition of its
    // `K8sCluster` is where a person looks for the reason.
    let wanted = match (&held, contexts.only.as_slice()) {
        (Ok(all), []) => all.clone(),
        (_, only) => only.to_vec(),
    };
    let certain = held.is_ok();
    steps.trouble = held.err();
    let wanted: BTreeMap<WorkerName, String> =
        wanted.into_iter().map(|context| (object_name(&context), context)).collect();
    for (name, context) in &wanted {
        let made = Some(reference(context, &contexts.secret));
        match existing.get(name) {
            None => steps.steps.push(Step::Create(name.clone(), context.clone())),
            Some(there) if !is_made(there) => {
                if there.spec.kube_config_secret_ref != made {
                    steps.taken.push(name.clone());
                }
            }
            Some(there) if there.spec.kube_config_secret_ref != made => {
                steps.steps.push(Step::Point(name.clone(), context.clone()));
            }
            Some(_) => {}
        }
    }
    if certain {
        for (name, there) in existing.iter().filter(|(name, there)| is_made(there) && !wanted.contains_key(name)) {
            match there.uid() {
                _ if there.metadata.deletion_timestamp.is_some() => {}
                _ if in_use(name) => steps.held.push(name.clone()),
                Some(uid) => steps.steps.push(Step::Delete(name.clone(), Uid::new(uid))),
                None => {}
            }
        }
    }
    steps
}

fn is_made(cluster: &K8sCluster) -> bool {
    cluster.annotations().contains_key(MADE_FROM)
        && cluster.labels().get(labels::MANAGED_BY).is_some_and(|manager| manager == labels::MANAGER)
}

fn reference(context: &str, secret: &SecretName) -> KubeConfigSecretRef {
    KubeConfigSecretRef {
        namespace: Some(secret.namespace.to_string()),
        name: secret.name.to_string(),
        key: Some(KEY.to_owned()),
        context: Some(context.to_owned()),
    }
}

/// The `K8sCluster` of one context.
#[must_use]
pub fn cluster(name: &WorkerName, context: &str, secret: &SecretName) -> K8sCluster {
    K8sCluster {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            labels: Some(BTreeMap::from([(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned())])),
            annotations: Some(BTreeMap::from([(MADE_FROM.to_owned(), secret.to_string())])),
            ..ObjectMeta::default()
        },
        spec: K8sClusterSpec {
            name: context.to_owned(),
            description: Some(format!("registered by Atoll from Secret {secret}")),
            kube_config_secret_ref: Some(reference(context, secret)),
            ..K8sClusterSpec::default()
        },
        status: None,
    }
}
