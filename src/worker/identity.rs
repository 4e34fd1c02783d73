//! Which registration serves which cluster. Pure.
//!
//! A cluster is known by the UID of its kube-system namespace. The registration that was pinned to it first serves it;
//! any other one of the same cluster, and one whose credentials lead elsewhere than before, writes nothing.

use std::collections::BTreeMap;

use super::registration::Registration;
use crate::plan::name::{Uid, WorkerName};

/// Who may serve a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This registration.
    Ours,
    /// The credentials lead to another cluster than the pinned one.
    Changed {
        /// What it was.
        pinned: Uid,
        /// What it is.
        found: Uid,
    },
    /// Another registration serves this cluster.
    DuplicateOf(WorkerName),
}

/// Who serves what.
#[derive(Debug, Default)]
pub struct Claims {
    by_identity: BTreeMap<Uid, WorkerName>,
}

impl Claims {
    /// Claims what a registration was pinned to in an earlier life, unless somebody has.
    pub fn remember(&mut self, registration: &Registration) {
        if let Some(pinned) = &registration.pinned {
            self.by_identity.entry(pinned.clone()).or_insert_with(|| registration.name.clone());
        }
    }

    /// A registration reached the cluster `found`: may it serve it? The first to ask claims it.
    pub fn verdict(&mut self, registration: &Registration, found: &Uid) -> Verdict {
        let known = registration.pinned.as_ref().is_none_or(|pinned| pinned == found);
        if let (false, Some(pinned)) = (known || registration.accepted.as_ref() == Some(found), &registration.pinned) {
            return Verdict::Changed { pinned: pinned.clone(), found: found.clone() };
        }
        let holder = self.by_identity.entry(found.clone()).or_insert_with(|| registration.name.clone());
        if *holder != registration.name {
            return Verdict::DuplicateOf(holder.clone());
        }
        let old: Vec<_> = self
            .by_identity
            .iter()
            .filter(|(identity, name)| **name == registration.name && *identity != found)
            .map(|(identity, _)| identity.clone())
            .collect();
        for identity in old {
            self.by_identity.remove(&identity);
        }
        Verdict::Ours
    }

    /// The registration is gone: others may serve its cluster.
    pub fn forget(&mut self, name: &WorkerName) {
        self.by_identity.retain(|_, holder| holder != name);
    }
}
