//! Carries out acts in one worker: each an idempotent request (or a few) whose answer goes into the cache at once.

use k8s_openapi::{
    api::core::v1::{self as core},
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ManagedFieldsEntry, ObjectMeta},
    },
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::Status,
};

pub use super::outcome::{ActError, Done};
use super::{
    fault::{Fault, call, clip},
    gate::Gate,
    kept::Kept,
    outcome::{Named, Refusal},
    slot::Slot,
};
use crate::plan::{
    act::{Change, Kind, MissingNamespace, Object, Target},
    adopt::ClaimRecord,
    labels,
    name::{Namespace, ObjectName, ResourceVersion, Uid, WorkerName},
};

/// Writes to one worker on one connection, whose identity has been verified.
pub(super) struct Writer<'a> {
    pub client: Client,
    pub gate: &'a dyn Gate,
    pub slot: &'a Slot,
    pub master: &'a Uid,
}

impl Writer<'_> {
    pub async fn carry_out(&self, change: &Change) -> Result<Done, ActError> {
        match change {
            Change::Create(Object::Pod(object), missing) => self.create(object.as_ref(), *missing).await,
            Change::Create(Object::Service(object), missing) => self.create(object.as_ref(), *missing).await,
            Change::Create(Object::Claim(object), missing) => self.create(object.as_ref(), *missing).await,
            Change::Create(Object::Job(object), missing) => self.create(object.as_ref(), *missing).await,
            Change::Apply(Object::Pod(object), uid) => self.apply(object.as_ref(), uid).await,
            Change::Apply(Object::Service(object), uid) => self.apply(object.as_ref(), uid).await,
            Change::Apply(Object::Claim(object), uid) => self.apply(object.as_ref(), uid).await,
            Change::Apply(Object::Job(object), uid) => self.apply(object.as_ref(), uid).await,
            Change::Delete(target) => self.delete_any(target, None).await,
            Change::DeleteUnchanged(target, version) => self.delete_any(target, Some(version)).await,
            Change::Grow(target, size) => self.grow(target, size).await,
            Change::Tell(target, told) => self.tell(target, told).await,
            Change::TakeOver(target, database) => match target.kind {
                Kind::Pod => self.take_over::<core::Pod>(target, database).await,
                Kind::Service => self.take_over::<core::Service>(target, database).await,
                Kind::Claim => self.take_over::<core::PersistentVolumeClaim>(target, database).await,
                Kind::Job => self.take_over::<k8s_openapi::api::batch::v1::Job>(target, database).await,
            },
        }
    }

    /// Asks for more space for exactly this claim: the UID in the patch makes the API server refuse any other.
    async fn grow(&self, target: &Target, size: &Quantity) -> Result<Done, ActError> {
        let patch = serde_json::json!({
            "metadata": { "uid": target.uid.as_str() },
            "spec": { "resources": { "requests": { "storage": size.0 } } },
        });
        self.merge::<core::PersistentVolumeClaim>(target, &patch).await
    }

    /// Changes one annotation of exactly this claim: the UID in the patch makes the API server refuse any other.
    async fn tell(&self, target: &Target, told: &ClaimRecord) -> Result<Done, ActError> {
        let mut annotations = serde_json::Map::new();
        annotations.insert(labels::MEMBER_RECORD.to_owned(), told.to_text().into());
        let metadata = serde_json::json!({ "uid": target.uid.as_str(), "annotations": annotations });
        self.merge::<core::PersistentVolumeClaim>(target, &serde_json::json!({ "metadata": metadata })).await
    }

    /// Changes one label of exactly this object: the UID in the patch makes the API server refuse any other.
    async fn take_over<K: Kept>(&self, target: &Target, database: &Uid) -> Result<Done, ActError> {
        let mut labels = serde_json::Map::new();
        labels.insert(labels::DATABASE_UID.to_owned(), database.as_str().into());
        let patch = serde_json::json!({ "metadata": { "uid": target.uid.as_str(), "labels": labels } });
        self.merge::<K>(target, &patch).await
    }

    async fn merge<K: Kept>(&self, target: &Target, patch: &serde_json::Value) -> Result<Done, ActError> {
        let named = Named { kind: target.kind, namespace: target.namespace.clone(), name: target.name.clone() };
        let params = PatchParams { field_manager: Some(labels::MANAGER.to_owned()), ..PatchParams::default() };
        self.may_write()?;
        let api = self.api::<K>(&target.namespace);
        let patched = call(api.patch(target.name.as_str(), &params, &Patch::Merge(patch))).await;
        self.changed(named, &target.uid, patched.map_err(ActErrorOrFault::Fault))
    }

    /// What came of changing exactly one object.
    fn changed<K: Kept>(&self, named: Named, uid: &Uid, answer: Result<K, ActErrorOrFault>) -> Result<Done, ActError> {
        match answer {
            Ok(made) => {
                self.slot.written(&made);
                Ok(Done::Changed)
            }
            Err(ActErrorOrFault::Fault(fault)) if fault.is_not_found() => {
                self.slot.deleted::<K>(&named.namespace, &named.name, uid);
                Err(ActError::Replaced { worker: self.worker(), object: named })
            }
            Err(error) => Err(self.error(named, error)),
        }
    }

    /// Asked before each write: what has begun does not go on when another leads, or when a person has marked the worker.
    fn may_write(&self) -> Result<(), ActError> {
        self.gate.check()?;
        match self.slot.set_aside() {
            None => Ok(()),
            Some(why) => Err(ActError::Unseen { worker: self.worker(), why }),
        }
    }

    fn api<K: Kept>(&self, namespace: &Namespace) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace.as_str())
    }

    async fn create<K: Kept>(&self, object: &K, missing: MissingNamespace) -> Result<Done, ActError> {
        let named = named::<K>(object.metadata());
        let mut made = self.post(&named, object).await;
        if let Err(fault) = &made
            && says_namespace_missing(fault)
        {
            match missing {
                MissingNamespace::Fail => {
                    return Err(ActError::NamespaceGone { worker: self.worker(), namespace: named.namespace });
                }
                MissingNamespace::Create => {
                    self.create_namespace(&named).await?;
                    made = self.post(&named, object).await;
                }
            }
        }
        match made {
            Ok(made) => {
                self.slot.written(&made);
                Ok(Done::Changed)
            }
            Err(ActErrorOrFault::Fault(fault)) if fault.status().is_some_and(Status::is_already_exists) => {
                self.is_ours(object, named).await
            }
            Err(error) => Err(self.error(named, error)),
        }
    }

    async fn post<K: Kept>(&self, named: &Named, object: &K) -> Result<K, ActErrorOrFault> {
        self.may_write()?;
        let params = PostParams { field_manager: Some(labels::MANAGER.to_owned()), ..PostParams::default() };
        Ok(call(self.api::<K>(&named.namespace).create(&params, object)).await?)
    }

    async fn create_namespace(&self, named: &Named) -> Result<(), ActError> {
        self.may_write()?;
        let namespace = core::Namespace {
            metadata: ObjectMeta {
                name: Some(named.namespace.to_string()),
                labels: Some(
                    [(labels::MANAGED_BY, labels::MANAGER), (labels::MASTER, self.master.as_str())]
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into(),
                ),
                ..ObjectMeta::default()
            },
            ..core::Namespace::default()
        };
        let api: Api<core::Namespace> = Api::all(self.client.clone());
        match call(api.create(&PostParams::default(), &namespace)).await {
            Ok(_) => Ok(()),
            // Somebody else was quicker, which is as good.
            Err(fault) if fault.status().is_some_and(Status::is_already_exists) => Ok(()),
            Err(fault) => Err(self.error(named.clone(), fault.into())),
        }
    }

    /// What is there under the name that we wanted to create: ours from a write whose answer was lost, or foreign.
    async fn is_ours<K: Kept>(&self, wanted: &K, named: Named) -> Result<Done, ActError> {
        let there = match call(self.api::<K>(&named.namespace).get(named.name.as_str())).await {
            Ok(there) => there,
            Err(fault) => return Err(self.error(named, fault.into())),
        };
        let worker = self.worker();
        if !same_owner(there.metadata(), wanted.metadata()) {
            return Err(ActError::Foreign { worker, object: named });
        }
        self.slot.written(&there);
        if there.metadata().deletion_timestamp.is_some() {
            return Err(ActError::StillGoing { worker, object: named });
        }
        Ok(Done::Already)
    }

    async fn apply<K: Kept>(&self, object: &K, uid: &Uid) -> Result<Done, ActError> {
        let named = named::<K>(object.metadata());
        let mut object = object.clone();
        // An apply with a UID changes that very object or fails: it neither re-creates a deleted one nor touches
        // another one of its name.
        object.metadata_mut().uid = Some(uid.to_string());
        object.metadata_mut().managed_fields = None;
        object.metadata_mut().resource_version = None;
        let made = self.patch(&named, &object, uid).await;
        self.changed(named, uid, made)
    }

    async fn patch<K: Kept>(&self, named: &Named, object: &K, uid: &Uid) -> Result<K, ActErrorOrFault> {
        let api = self.api::<K>(&named.namespace);
        let name = named.name.as_str();
        let there = call(api.get(name)).await?;
        if there.metadata().uid.as_deref() != Some(uid.as_str()) {
            return Err(ActErrorOrFault::Replaced);
        }
        if let Some(patch) = owned_by_apply(there.metadata()) {
            self.may_write()?;
            call(api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))).await?;
        }
        self.may_write()?;
        Ok(call(api.patch(name, &PatchParams::apply(labels::MANAGER).force(), &Patch::Apply(object))).await?)
    }

    async fn delete_any(&self, target: &Target, version: Option<&ResourceVersion>) -> Result<Done, ActError> {
        match target.kind {
            Kind::Pod => self.delete::<core::Pod>(target, version).await,
            Kind::Service => self.delete::<core::Service>(target, version).await,
            Kind::Claim => self.delete::<core::PersistentVolumeClaim>(target, version).await,
            Kind::Job => self.delete::<k8s_openapi::api::batch::v1::Job>(target, version).await,
        }
    }

    async fn delete<K: Kept>(&self, target: &Target, version: Option<&ResourceVersion>) -> Result<Done, ActError> {
        self.may_write()?;
        let preconditions =
            Preconditions { uid: Some(target.uid.to_string()), resource_version: version.map(ToString::to_string) };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let named = Named { kind: target.kind, namespace: target.namespace.clone(), name: target.name.clone() };
        match call(self.api::<K>(&target.namespace).delete(target.name.as_str(), &params)).await {
            Ok(either) => {
                match either.left() {
                    Some(going) if going.metadata().uid.as_deref() == Some(target.uid.as_str()) => {
                        self.slot.written(&going);
                    }
                    _ => self.slot.deleted::<K>(&target.namespace, &target.name, &target.uid),
                }
                Ok(Done::Changed)
            }
            // Gone, or another object by now: either way this one is no more.
            Err(fault) if fault.is_not_found() || fault.is_other_object() => {
                self.slot.deleted::<K>(&target.namespace, &target.name, &target.uid);
                Ok(Done::Already)
            }
            Err(fault) => Err(self.error(named, fault.into())),
        }
    }

    fn worker(&self) -> WorkerName {
        self.slot.name().clone()
    }

    fn error(&self, object: Named, error: ActErrorOrFault) -> ActError {
        let worker = self.worker();
        let fault = match error {
            ActErrorOrFault::Act(error) => return error,
            ActErrorOrFault::Replaced => return ActError::Replaced { worker, object },
            ActErrorOrFault::Fault(fault) => fault,
        };
        let Some(status) = fault.status() else { return ActError::Fault { worker, object, fault } };
        if (status.is_conflict() && !status.is_already_exists()) || fault.is_other_object() {
            return ActError::Replaced { worker, object };
        }
        match Refusal::of(status) {
            Some(refusal) => ActError::Refused { worker, object, refusal, words: clip(&status.message) },
            None => ActError::Fault { worker, object, fault },
        }
    }
}

/// What stands between a request and an [`ActError`]. Small, so that requests can use `?`.
enum ActErrorOrFault {
    Act(ActError),
    Replaced,
    Fault(Fault),
}

impl From<ActError> for ActErrorOrFault {
    fn from(error: ActError) -> Self {
        Self::Act(error)
    }
}

impl From<Fault> for ActErrorOrFault {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn named<K: Kept>(metadata: &ObjectMeta) -> Named {
    Named {
        kind: <K as Kept>::KIND,
        namespace: Namespace::new(metadata.namespace.clone().unwrap_or_default()),
        name: ObjectName::new(metadata.name.clone().unwrap_or_default()),
    }
}

fn says_namespace_missing(error: &ActErrorOrFault) -> bool {
    let ActErrorOrFault::Fault(fault) = error else { return false };
    fault.status().is_some_and(|status| {
        status.is_not_found() && status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
    })
}

/// Whether two objects belong to the same database of the same master, by the labels that say so.
fn same_owner(there: &ObjectMeta, wanted: &ObjectMeta) -> bool {
    let label =
        |metadata: &ObjectMeta, name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name)).cloned();
    [
        labels::MANAGED_BY,
        labels::MASTER,
        labels::DATABASE_KIND,
        labels::DATABASE_NAMESPACE,
        labels::DATABASE_NAME,
        labels::DATABASE_UID,
        labels::WORKER_NAMESPACE,
        labels::MEMBER,
    ]
    .into_iter()
    .all(|name| label(there, name) == label(wanted, name))
}

/// The patch that turns our ownership of fields by the create into ownership by apply. Without it, a field that a
/// manifest no longer has would stay for ever: an apply removes only what earlier applies have set.
fn owned_by_apply(there: &ObjectMeta) -> Option<serde_json::Value> {
    let fields = there.managed_fields.as_ref()?;
    let created = |entry: &&ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(labels::MANAGER) && entry.subresource.as_deref().is_none_or(str::is_empty)
    };
    let is =
        |operation: &'static str| move |entry: &&_| created(entry) && entry.operation.as_deref() == Some(operation);
    if fields.iter().any(|entry| is("Apply")(&entry)) || !fields.iter().any(|entry| is("Update")(&entry)) {
        return None;
    }
    let fields: Vec<_> = fields
        .iter()
        .cloned()
        .map(|mut entry| {
            if is("Update")(&&entry) {
                entry.operation = Some("Apply".to_owned());
            }
            entry
        })
        .collect();
    Some(serde_json::json!({
        "metadata": { "uid": there.uid, "resourceVersion": there.resource_version, "managedFields": fields }
    }))
}
