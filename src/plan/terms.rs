//! On what terms a worker takes members: what its `K8sCluster` says besides how to reach it.
//!
//! Terms rule over *new* members. What is recorded in a worker stays there, whatever is changed later: narrowing who
//! may come in never hurts data.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    name::{Namespace, WorkerName},
    seen::WorkerView,
    wait::Wait,
};

/// What a `K8sCluster` says of its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Whether it serves, and takes new members.
    pub duty: Duty,
    /// Whose members it takes.
    pub tenants: Tenants,
    /// Where what comes from a namespace of the master goes, if not into the namespace of the same name.
    pub namespaces: BTreeMap<Namespace, Namespace>,
}

/// What a worker is good for, as a person says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duty {
    /// Everything.
    #[default]
    Serving,
    /// The members that it has, and no new ones: `spec.unschedulable`.
    NoNewMembers,
    /// Nothing: `spec.unavailable`. It is neither believed nor written to.
    Unavailable {
        /// When it was marked so, if the master knows.
        since: Option<Timestamp>,
    },
}

/// From which namespaces of the master a worker takes new members: `spec.allowedNamespaces`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tenants {
    /// From every one.
    #[default]
    All,
    /// From these.
    Only(BTreeSet<Namespace>),
}

impl Terms {
    /// Whether a new member of a database in this namespace may go to the worker.
    ///
    /// # Errors
    /// What to wait for.
    pub fn admit(&self, worker: &WorkerName, namespace: &Namespace) -> Result<(), Wait> {
        let worker = || worker.clone();
        match (&self.duty, &self.tenants) {
            (Duty::Unavailable { since }, _) => Err(Wait::WorkerUnavailable { worker: worker(), since: *since }),
            (_, Tenants::Only(allowed)) if !allowed.contains(namespace) => {
                Err(Wait::NamespaceNotAllowed { worker: worker(), namespace: namespace.clone() })
            }
            (Duty::NoNewMembers, _) => Err(Wait::WorkerUnschedulable { worker: worker() }),
            (Duty::Serving, _) => Ok(()),
        }
    }

    /// What decisions may see of a worker that shows this: nothing, while it is marked unavailable.
    #[must_use]
    pub fn applied(&self, view: WorkerView) -> WorkerView {
        match self.duty {
            Duty::Serving | Duty::NoNewMembers => view,
            Duty::Unavailable { since } => WorkerView::Unavailable { since },
        }
    }

    /// The namespace in the worker for what comes from this one of the master; `None` for the one of the same name.
    #[must_use]
    pub fn mapped(&self, namespace: &Namespace) -> Option<Namespace> {
        self.namespaces.get(namespace).filter(|mapped| *mapped != namespace).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_say_who_may_come_in_and_if_not_why() {
        let only = |namespaces: &[&str]| Tenants::Only(namespaces.iter().map(|name| Namespace::from(*name)).collect());
        let unavailable = Duty::Unavailable { since: None };
        for (duty, tenants, reason) in [
            (Duty::Serving, Tenants::All, None),
            (Duty::Serving, only(&["team-a", "team-b"]), None),
            (Duty::Serving, only(&["team-b"]), Some("NamespaceNotAllowed")),
            (Duty::Serving, only(&[]), Some("NamespaceNotAllowed")),
            (Duty::NoNewMembers, Tenants::All, Some("WorkerUnschedulable")),
            (Duty::NoNewMembers, only(&["team-b"]), Some("NamespaceNotAllowed")),
            (unavailable, Tenants::All, Some("WorkerUnavailable")),
            (unavailable, only(&[]), Some("WorkerUnavailable")),
        ] {
            let terms = Terms { duty, tenants, ..Terms::default() };
            let refused = terms.admit(&"w".into(), &"team-a".into()).err();
            assert_eq!(refused.map(|wait| wait.reason()), reason, "{terms:?}");
        }
    }

    #[test]
    fn a_namespace_that_is_mapped_to_itself_is_not_mapped() {
        let namespaces = [("a", "tenant-a"), ("b", "b")].map(|(from, to)| (from.into(), to.into())).into();
        let terms = Terms { namespaces, ..Terms::default() };
        assert_eq!(terms.mapped(&"a".into()), Some("tenant-a".into()));
        assert_eq!(terms.mapped(&"b".into()), None);
        assert_eq!(terms.mapped(&"c".into()), None);
    }
}
