//! The view: everything that a decision looks at, and nothing else.

use jiff::SignedDuration;

use super::{
    address,
    database::Database,
    name::{ObjectName, Uid, WorkerName},
    record::{Member, Recorded},
    render::Owner,
    seen::{Claim, Doubt, Pod, Seen, Service, Sight, WorkerView},
    wait::Wait,
};

/// Why a worker that answers shows nothing of a database.
pub(super) const ELSEWHERE: &str = "its registration leads to another cluster than the one that this database's members are in; \
                         point it back there, and this goes on by itself";

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
    /// For how long this process has known that the database is to run, or that it is to go: by the clock that
    /// measures, for wall clocks jump, and the API server's is another one.
    pub known: SignedDuration,
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

    /// What can be seen of this worker, if it is the one that this database's members there are in.
    ///
    /// A registration that leads to another cluster than before shows nothing of them: what is missing there was never
    /// there, and proves nothing.
    #[must_use]
    pub fn worker(&self, name: &WorkerName) -> Option<&'a WorkerView> {
        let members = self.record.iter().flat_map(|record| record.present());
        self.shows(name, members)
    }

    /// The same, if all that were ever there are in it, also those that have left.
    #[must_use]
    pub fn worker_of_all(&self, name: &WorkerName) -> Option<&'a WorkerView> {
        let members = self.record.iter().flat_map(|record| &record.members);
        self.shows(name, members)
    }

    /// The same, if it is the one that this member is in.
    #[must_use]
    pub fn worker_of(&self, member: &Member) -> Option<&'a WorkerView> {
        self.shows(&member.worker, std::iter::once(member))
    }

    fn shows<'m>(&self, name: &WorkerName, mut members: impl Iterator<Item = &'m Member>) -> Option<&'a WorkerView> {
        let view = &self.seen.workers.get(name)?.view;
        let Some(objects) = view.objects() else { return Some(view) };
        let is_elsewhere = |member: &Member| member.worker == *name && !member.could_be_in(&objects.identity);
        (!members.any(is_elsewhere)).then_some(view)
    }

    /// Whether the registration of a member's worker has been seen to lead to another cluster than the member is in.
    #[must_use]
    pub fn is_elsewhere(&self, member: &Member) -> bool {
        self.seen.workers.contains_key(&member.worker) && self.worker_of(member).is_none()
    }

    /// The pod of this name in this worker.
    #[must_use]
    pub fn sight_of_pod(&self, worker: &WorkerName, name: &ObjectName) -> Sight<&'a Pod> {
        self.worker(worker).map_or(Sight::Unknown(Doubt::WorkerUnseen), |view| view.pod(name))
    }

    /// A member's claim for one of its volumes.
    #[must_use]
    pub fn claim(&self, member: &Member, volume: &str) -> Sight<&'a Claim> {
        let name = self.database.names.claim(volume, &member.name);
        self.worker(&member.worker).map_or(Sight::Unknown(Doubt::WorkerUnseen), |view| view.claim(&name))
    }

    /// The service of this name in this worker.
    #[must_use]
    pub fn service(&self, worker: &WorkerName, name: &ObjectName) -> Sight<&'a Service> {
        self.worker(worker).map_or(Sight::Unknown(Doubt::WorkerUnseen), |view| view.service(name))
    }

    /// The wait for a worker that cannot be seen.
    #[must_use]
    pub fn unseen(&self, worker: &WorkerName) -> Wait {
        match (self.worker_of_all(worker), self.seen.workers.get(worker)) {
            (Some(view), _) => address::unseen(worker, view),
            (None, Some(_)) => Wait::WorkerUnseen { worker: worker.clone(), why: ELSEWHERE.to_owned() },
            (None, None) => Wait::WorkerNotRegistered { word: worker.to_string() },
        }
    }
}
