//! Admission: the plugins that a kube-apiserver has by default, as far as they matter, and a hook for tests.

mod pods;
mod quota;
mod security;
mod storage;

use serde_json::{Value, json};

use crate::{
    content::Kind,
    failure::{About, Failure},
    state::{Ask, State, text},
};

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// What admission calls an object that may not have a name yet.
pub(super) fn about<'a>(kind: &'a Kind, name: &'a str, object: &'a Value) -> About<'a> {
    let metadata = &object["metadata"];
    let words = [name, text(metadata, &["name"]), text(metadata, &["generateName"]), "Unknown"];
    let name = words.into_iter().find(|word| !word.is_empty()).unwrap_or_default();
    About::of(kind, name)
}

impl State {
    /// What plugins do to an object before it is judged.
    pub(crate) fn admit(
        &mut self,
        ask: &Ask<'_>,
        operation: Operation,
        live: Option<&Value>,
        object: &mut Value,
    ) -> Result<(), Failure> {
        self.check_namespace(ask, operation, object)?;
        if ask.served.ending && operation == Operation::Create {
            let words = "create not allowed while custom resource definition is terminating";
            return Err(Failure::forbidden(&about(ask.kind(), ask.name(), object), words));
        }
        if ask.target.subresource.is_empty() {
            match &*ask.served.shelf {
                "pods" if operation == Operation::Create => self.admit_pod(ask, object)?,
                "pods" => pods::admit_change(live, object),
                "persistentvolumeclaims" if operation == Operation::Create => self.admit_claim(object),
                "persistentvolumes" if operation == Operation::Create => {
                    storage::add_finalizer(object, "kubernetes.io/pv-protection");
                }
                "nodes" if operation == Operation::Create => taint(object),
                _ => {}
            }
        }
        if let Some(hook) = &self.hook {
            hook.mutate(operation.as_str(), &ask.served.shelf, object);
        }
        Ok(())
    }

    /// Whether plugins let a request through.
    pub(crate) fn judge(
        &mut self,
        ask: &Ask<'_>,
        operation: Operation,
        live: Option<&Value>,
        object: &Value,
    ) -> Result<(), Failure> {
        let shelf = ask.served.shelf.clone();
        if operation == Operation::Delete && &*shelf == "namespaces" && IMMORTAL.contains(&ask.name()) {
            return Err(Failure::forbidden(&ask.about(), "this namespace may not be deleted"));
        }
        if ask.target.subresource.is_empty() {
            match (&*shelf, operation) {
                ("pods", Operation::Create) => self.judge_security(ask, object)?,
                ("namespaces", Operation::Create | Operation::Update) => security::judge_labels(live, object)?,
                ("persistentvolumeclaims", Operation::Update) => self.judge_resize(ask, live, object)?,
                _ => {}
            }
        }
        if let Some(hook) = &self.hook {
            hook.judge(operation.as_str(), &shelf)?;
        }
        if operation != Operation::Delete && ask.target.subresource.is_empty() {
            self.judge_quota(ask, operation, live, object)?;
        }
        Ok(())
    }

    /// Nothing is made in a namespace that is not there, or is on its way out.
    fn check_namespace(&self, ask: &Ask<'_>, operation: Operation, object: &Value) -> Result<(), Failure> {
        let namespace = ask.namespace();
        if namespace.is_empty() {
            return Ok(());
        }
        let Some(there) = self.object("namespaces", "", namespace) else {
            return Err(Failure::not_found(&About { group: "", resource: "namespaces", name: namespace }));
        };
        if operation == Operation::Create && text(&there.value, &["status", "phase"]) == "Terminating" {
            let words = format!("unable to create new content in namespace {namespace} because it is being terminated");
            let message = format!("namespace {namespace} is being terminated");
            return Err(Failure::forbidden(&about(ask.kind(), ask.name(), object), &words).because(
                "NamespaceTerminating",
                &message,
                "metadata.namespace",
            ));
        }
        Ok(())
    }
}

/// A new node is not ready until somebody has looked.
fn taint(node: &mut Value) {
    const NOT_READY: &str = "node.kubernetes.io/not-ready";
    if !node["spec"].is_object() {
        node["spec"] = json!({});
    }
    if !node["spec"]["taints"].is_array() {
        node["spec"]["taints"] = json!([]);
    }
    if let Some(taints) = node["spec"]["taints"].as_array_mut()
        && taints.iter().all(|taint| taint["key"] != NOT_READY)
    {
        taints.push(json!({ "key": NOT_READY, "effect": "NoSchedule" }));
    }
}
