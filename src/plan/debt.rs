//! Debts: what a deleted database may still have in a worker that could not be seen, and that a person let go of.
//!
//! A debt stands in the status of the worker's `K8sCluster`, for it must outlive the database. It is written before the
//! database goes, and only by it is anything of that database deleted there later (DESIGN 5.7).

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    database::{DatabaseId, DatabaseKey, DatabaseKind, OnDelete},
    name::{MemberName, Namespace, ObjectName, Uid, WorkerName},
    report::seconds,
    seen::Ending,
};

/// How many debts one worker may have. More would not fit into one object for ever.
pub const MOST: usize = 200;

/// What a deleted database may still have in a worker, as it stands in the status of a `K8sCluster`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Debt {
    /// The database's kind, as in label `atoll.dev/kind`.
    pub kind: String,
    /// The namespace of the database, in the master and in the worker.
    pub namespace: Namespace,
    /// The name of the database.
    pub name: ObjectName,
    /// The UID of the database: only objects with label `atoll.dev/uid` of this value are deleted for this debt.
    pub uid: Uid,
    /// The members that it had there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberName>,
    /// What becomes of its volumes.
    pub volumes: Volumes,
    /// When the database was let go.
    pub released_at: String,
    /// The cluster that they are in: the UID of its kube-system namespace. In no other one is anything deleted.
    pub worker_identity: Uid,
}

/// What becomes of a database's volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Volumes {
    /// They stay.
    Keep,
    /// They go.
    Delete,
}

impl From<OnDelete> for Volumes {
    fn from(policy: OnDelete) -> Self {
        match policy {
            OnDelete::Refuse | OnDelete::KeepVolumes => Self::Keep,
            OnDelete::RemoveVolumes | OnDelete::Wipe => Self::Delete,
        }
    }
}

/// A debt that is to be written: all of it but the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whose it is.
    pub database: DatabaseId,
    /// The members that it has there.
    pub members: Vec<MemberName>,
    /// What becomes of its volumes.
    pub volumes: Volumes,
    /// The cluster that they are in.
    pub identity: Uid,
}

impl Due {
    /// The debt, made at this time.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Debt {
        let Self { database, members, volumes, identity } = self;
        Debt {
            kind: database.kind.label().to_owned(),
            namespace: database.namespace.clone(),
            name: database.name.clone(),
            uid: database.uid.clone(),
            members: members.clone(),
            volumes: *volumes,
            released_at: seconds(now),
            worker_identity: identity.clone(),
        }
    }

    /// Whether this is what that debt says.
    #[must_use]
    pub fn is(&self, owed: &Owed) -> bool {
        self.database.uid == owed.uid && self.volumes == owed.volumes && self.identity == owed.worker_identity
    }
}

impl Debt {
    /// The database's name as a person says it; `None` for a kind that this version does not know.
    #[must_use]
    pub fn key(&self) -> Option<DatabaseKey> {
        let kind = DatabaseKind::from_label(&self.kind)?;
        Some(DatabaseKey { kind, namespace: self.namespace.clone(), name: self.name.clone() })
    }
}

/// A debt as the master's API server holds it. Only by such a debt is a worker let go of, and only by such a debt is
/// anything deleted there later: what is not yet written might never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed(Debt);

impl Owed {
    /// Takes a debt out of a `K8sCluster`'s status, as it was read from the API server or returned by it.
    #[must_use]
    pub fn from_status(debt: Debt) -> Self {
        Self(debt)
    }
}

impl std::ops::Deref for Owed {
    type Target = Debt;

    fn deref(&self) -> &Debt {
        &self.0
    }
}

/// What is to be written into the status of `K8sCluster`s before anything else is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The worker owes this.
    Owe(WorkerName, Due),
    /// The worker owes this database nothing after all: it is not let go of any more, or its data is to be kept.
    Withdraw(WorkerName, Uid),
}

/// What the registration of one worker says, besides how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The cluster that it is pinned to, once it was reached.
    pub pinned: Option<Uid>,
    /// Whether it is being deleted: no new members go there then.
    pub ending: Ending,
    /// The debt of the database that is decided about.
    pub owed: Option<Owed>,
}
