//! An admission webhook or policy, for tests to put up.

use serde_json::{Value, json};

use crate::failure::Failure;

/// What an admission webhook or policy does to some requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// `CREATE`, `UPDATE`, `DELETE`; all of them if there are none.
    pub operations: Vec<String>,
    /// `pods`, `jobs.batch` …; everything but leases and events if there are none.
    pub resources: Vec<String>,
    /// What it does.
    pub verdict: Verdict,
}

/// What an admission webhook or policy does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It denies, in these words.
    Deny(String),
    /// It cannot be asked; 500.
    Unavailable(String),
    /// It is overloaded, or the server is; 503.
    Overloaded(String),
    /// It adds a label.
    AddLabel(String, String),
    /// It adds a container to pods.
    AddContainer(Value),
}

/// The name under which it stands in messages.
const NAME: &str = "policy.example.com";

impl Admission {
    /// Denies every creation and change.
    pub fn deny(words: &str) -> Self {
        Self::of(Verdict::Deny(words.to_owned()))
    }

    /// Cannot be asked, so that every creation and change fails.
    pub fn unavailable(words: &str) -> Self {
        Self::of(Verdict::Unavailable(words.to_owned()))
    }

    /// Adds a label to everything that is made or changed.
    pub fn add_label(key: &str, value: &str) -> Self {
        Self::of(Verdict::AddLabel(key.to_owned(), value.to_owned()))
    }

    /// Adds a container to every pod that is made.
    pub fn add_container(container: Value) -> Self {
        Self::of(Verdict::AddContainer(container)).operations(&["CREATE"]).resources(&["pods"])
    }

    fn of(verdict: Verdict) -> Self {
        let operations = vec!["CREATE".to_owned(), "UPDATE".to_owned()];
        Self { operations, resources: Vec::new(), verdict }
    }

    /// Only these operations.
    #[must_use]
    pub fn operations(mut self, operations: &[&str]) -> Self {
        self.operations = operations.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Only these resources.
    #[must_use]
    pub fn resources(mut self, resources: &[&str]) -> Self {
        self.resources = resources.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    fn is_about(&self, operation: &str, shelf: &str) -> bool {
        let operation = self.operations.is_empty() || self.operations.iter().any(|one| one == operation);
        let resource = if self.resources.is_empty() {
            !matches!(shelf, "leases.coordination.k8s.io" | "events")
        } else {
            self.resources.iter().any(|one| one == shelf)
        };
        operation && resource
    }

    /// What it changes.
    pub(crate) fn mutate(&self, operation: &str, shelf: &str, object: &mut Value) {
        if !self.is_about(operation, shelf) {
            return;
        }
        match &self.verdict {
            Verdict::AddLabel(key, value) => {
                if !object["metadata"]["labels"].is_object() {
                    object["metadata"]["labels"] = json!({});
                }
                object["metadata"]["labels"][key] = value.as_str().into();
            }
            Verdict::AddContainer(container) => {
                if let Some(containers) = object["spec"]["containers"].as_array_mut()
                    && containers.iter().all(|one| one["name"] != container["name"])
                {
                    containers.push(container.clone());
                }
            }
            Verdict::Deny(_) | Verdict::Unavailable(_) | Verdict::Overloaded(_) => {}
        }
    }

    /// Whether it lets a request through.
    pub(crate) fn judge(&self, operation: &str, shelf: &str) -> Result<(), Failure> {
        if !self.is_about(operation, shelf) {
            return Ok(());
        }
        match &self.verdict {
            Verdict::Deny(words) => {
                let words = format!("admission webhook {NAME:?} denied the request: {words}");
                Err(Failure::denied(&words))
            }
            Verdict::Unavailable(words) => {
                let words = format!(
                    "failed calling webhook {NAME:?}: failed to call webhook: Post \
                     \"https://policy.policy.svc:443/validate?timeout=10s\": {words}"
                );
                Err(Failure::internal(&words))
            }
            Verdict::Overloaded(words) => Err(Failure::service_unavailable(words.as_str())),
            Verdict::AddLabel(..) | Verdict::AddContainer(_) => Ok(()),
        }
    }
}
