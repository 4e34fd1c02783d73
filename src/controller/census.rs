//! The census: every database of every kind, for questions that are about a worker and not about one database.

use std::sync::Arc;

use futures::future::BoxFuture;
use kube::{Api, Resource as _, api::ListParams, core::DeserializeGuard};

use super::Reconciler;
use crate::{
    dialect::Dialect,
    plan::{
        database::{DatabaseKey, DatabaseKind},
        name::{Uid, WorkerName},
        usage::{Known, Users},
    },
    worker::fault::{Fault, call},
};

/// The databases of one kind.
pub trait Roll: Send + Sync {
    /// Which kind.
    fn kind(&self) -> DatabaseKind;
    /// Which of them have members in this worker, by their records.
    fn users(&self, worker: &WorkerName) -> Users;
    /// Whether the database of this UID is among them.
    fn knows(&self, uid: &Uid) -> Known;
    /// The UID of the resource of this name in the master, asked now.
    fn ask<'a>(&'a self, key: &'a DatabaseKey) -> BoxFuture<'a, Result<Option<Uid>, Fault>>;
}

impl<D: Dialect> Roll for Reconciler<D> {
    fn kind(&self) -> DatabaseKind {
        D::KIND
    }

    fn users(&self, worker: &WorkerName) -> Users {
        self.shelf.users(worker)
    }

    fn knows(&self, uid: &Uid) -> Known {
        self.shelf.knows(uid)
    }

    fn ask<'a>(&'a self, key: &'a DatabaseKey) -> BoxFuture<'a, Result<Option<Uid>, Fault>> {
        let api: Api<DeserializeGuard<D>> = Api::namespaced(self.master.client.clone(), key.namespace.as_str());
        Box::pin(async move {
            // A list of one, which needs no right that is used for nothing else. What is there and cannot be read is there.
            let named = ListParams::default().fields(&format!("metadata.name={}", key.name));
            let found = call(api.list(&named)).await?;
            Ok(found.items.into_iter().find_map(|found| found.meta().uid.clone()).map(Uid::new))
        })
    }
}

/// All of them.
#[derive(Clone)]
pub struct Census(pub Vec<Arc<dyn Roll>>);

impl Census {
    /// Which databases have members in this worker.
    #[must_use]
    pub fn users(&self, worker: &WorkerName) -> Users {
        self.0.iter().fold(Users::Known(Vec::new()), |users, roll| users.and(roll.users(worker)))
    }

    /// Whether the master may have the database of this UID.
    #[must_use]
    pub fn knows(&self, uid: &Uid) -> Known {
        if self.0.iter().any(|roll| roll.knows(uid) == Known::Perhaps) { Known::Perhaps } else { Known::No }
    }

    /// Whether the master may have this very database, asked now: a cache could be behind.
    ///
    /// # Errors
    /// The master does not answer, or refuses.
    pub async fn ask(&self, key: &DatabaseKey, uid: &Uid) -> Result<Known, Fault> {
        for roll in self.0.iter().filter(|roll| roll.kind() == key.kind) {
            if roll.ask(key).await?.as_ref() == Some(uid) {
                return Ok(Known::Perhaps);
            }
        }
        Ok(self.knows(uid))
    }
}
