//! The view: everything that a decision looks at, and nothing else.

use jiff::Timestamp;

use super::{
    address,
    database::Database,
    name::{ObjectName, Uid, WorkerName},
    record::{Member, Recorded},
    render::Owner,
    seen::{Claim, Doubt, Pod, Seen, Service, Sight},
    wait::Wait,
};

/// Everything that a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The UID of the master's kube-system namespace.
    pub master: &'a Uid,
    /// What is asked for.
    pub database: &'a Database,
    /// What is recorded.
    pub record: Option<&'a Recorded>,
    /// What is seen.
    pub seen: &'a Seen,
    /// When.
    pub now: Timestamp,
}

impl<'a> View<'a> {
    /// Whose objects are rendered.
    #[must_use]
    pub fn owner(&self) -> Owner<'a> {
        Owner { master: self.master, database: self.database }
    }

    /// A member's pod.
    #[must_use]
    pub fn pod(&self, member: &Member) -> Sight<&'a Pod> {
        self.sight_of_pod(&member.worker, &ObjectName::from(&member.name))
    }

    /// The pod of this name in this worker.
    #[must_use]
    pub fn sight_of_pod(&self, worker: &WorkerName, name: &ObjectName) -> Sight<&'a Pod> {
        self.seen.workers.get(worker).map_or(Sight::Unknown(Doubt::WorkerUnseen), |worker| worker.view.pod(name))
    }

    /// A member's claim for one of its volumes.
    #[must_use]
    pub fn claim(&self, member: &Member, volume: &str) -> Sight<&'a Claim> {
        let name = self.database.names.claim(volume, &member.name);
        let worker = self.seen.workers.get(&member.worker);
        worker.map_or(Sight::Unknown(Doubt::WorkerUnseen), |worker| worker.view.claim(&name))
    }

    /// The service of this name in this worker.
    #[must_use]
    pub fn service(&self, worker: &WorkerName, name: &ObjectName) -> Sight<&'a Service> {
        self.seen.workers.get(worker).map_or(Sight::Unknown(Doubt::WorkerUnseen), |worker| worker.view.service(name))
    }

    /// The wait for a worker that cannot be seen.
    #[must_use]
    pub fn unseen(&self, worker: &WorkerName) -> Wait {
        match self.seen.workers.get(worker) {
            Some(sight) => address::unseen(worker, &sight.view),
            None => Wait::WorkerNotRegistered { word: worker.to_string() },
        }
    }
}
