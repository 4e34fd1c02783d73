//! Writes to the master: the finalizer, the record, the status. Each is refused by the API server if the resource has
//! changed since it was read.

use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    runtime::events::{Event as KubeEvent, EventType, Recorder},
};
use serde_json::json;

use crate::{
    dialect::Dialect,
    plan::{
        labels::MANAGER,
        report::{Event, Tone},
    },
    worker::{
        fault::{Fault, call},
        gate::{Gate, LeaseLost},
        ledger::LedgerError,
    },
};

/// The finalizer on a database's resource: its objects in the workers are taken down first.
pub const FINALIZER: &str = "atoll.dev/database";
/// What the events API takes of a note.
const LONGEST_NOTE: usize = 1_000;

/// Why a write to the master was not done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// Another instance may be at work.
    #[error(transparent)]
    Lease(#[from] LeaseLost),
    /// The master's API server does not answer, or refuses.
    #[error("the master's API server: {0}")]
    Fault(#[from] Fault),
    /// A registration could not be written.
    #[error(transparent)]
    Registration(#[from] LedgerError),
}

impl WriteError {
    /// Whether the resource has changed meanwhile: look again, it is no failure.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Fault(fault) => fault.status().is_some_and(|status| status.code == 409),
            Self::Registration(error) => error.is_conflict(),
            Self::Lease(_) => false,
        }
    }

    /// Whether the resource is not there any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.is_not_found())
    }
}

/// Writes to the master's resources of one kind.
pub(super) struct Writer<'a> {
    pub client: &'a Client,
    pub gate: &'a dyn Gate,
    pub recorder: &'a Recorder,
}

impl Writer<'_> {
    fn api<D: Dialect>(&self, resource: &D) -> Api<D> {
        Api::namespaced(self.client.clone(), &resource.namespace().unwrap_or_default())
    }

    /// Writes the status, whole.
    pub async fn status<D: Dialect>(&self, told: &D) -> Result<D, WriteError> {
        self.gate.check()?;
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        Ok(call(self.api(told).replace_status(&told.name_any(), &params, told)).await?)
    }

    /// Puts our finalizer on.
    pub async fn claim<D: Dialect>(&self, resource: &D) -> Result<D, WriteError> {
        let mut finalizers = resource.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        self.finalizers(resource, finalizers).await
    }

    /// Takes our finalizer off.
    pub async fn release<D: Dialect>(&self, resource: &D) -> Result<D, WriteError> {
        let mut finalizers = resource.finalizers().to_vec();
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        self.finalizers(resource, finalizers).await
    }

    async fn finalizers<D: Dialect>(&self, resource: &D, finalizers: Vec<String>) -> Result<D, WriteError> {
        self.gate.check()?;
        let patch = json!({ "metadata": {
            "uid": resource.uid(),
            "resourceVersion": resource.resource_version(),
            "finalizers": finalizers,
        }});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        Ok(call(self.api(resource).patch(&resource.name_any(), &params, &Patch::Merge(&patch))).await?)
    }

    /// Publishes events. One that cannot be published is only logged: conditions tell the same.
    pub async fn events<D: Dialect>(&self, resource: &D, events: Vec<Event>) {
        let reference = resource.object_ref(&());
        for event in events {
            if self.gate.check().is_err() {
                return;
            }
            let mut note = event.message;
            if note.len() > LONGEST_NOTE {
                let end = (0..=LONGEST_NOTE).rev().find(|at| note.is_char_boundary(*at)).unwrap_or(0);
                note.truncate(end);
            }
            let published = KubeEvent {
                type_: match event.tone {
                    Tone::Normal => EventType::Normal,
                    Tone::Warning => EventType::Warning,
                },
                reason: event.reason.to_owned(),
                note: Some(note),
                action: "Reconcile".to_owned(),
                secondary: None,
            };
            if let Err(fault) = call(self.recorder.publish(&published, &reference)).await {
                tracing::debug!(%fault, reason = event.reason, "an event could not be published");
            }
        }
    }
}
