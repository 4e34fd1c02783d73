//! What members last said, and whose turn it is to ask them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use crate::plan::{
    membership::{EngineId, Membership},
    name::Uid,
    record::Record,
    seen::Pod,
};

/// What members last said, of each database. Lost with the process, which costs one round of questions.
#[derive(Default)]
pub struct Answers {
    known: Mutex<BTreeMap<Uid, Known>>,
    asking: Mutex<BTreeSet<Uid>>,
}

/// The turn to ask one database's members: nobody else asks them meanwhile.
pub(super) struct Turn {
    answers: Arc<Answers>,
    database: Uid,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.answers.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.database);
    }
}

#[derive(Clone)]
pub(super) struct Known {
    /// When it was said.
    pub at: Instant,
    /// Who was asked.
    pub of: Of,
    /// What was said.
    pub membership: Membership,
}

/// Who there was to ask: another pod, or another voter, is reason to ask again.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Of {
    pods: Vec<Uid>,
    voters: Vec<Option<EngineId>>,
}

impl Of {
    pub(super) fn new<'a>(record: &Record, pods: impl Iterator<Item = &'a Pod>) -> Self {
        let voters = record.voters().map(|voter| voter.engine_id.clone()).collect();
        Self { pods: pods.map(|pod| pod.meta.uid.clone()).collect(), voters }
    }

    /// Whether these are the voters of a record.
    pub(super) fn voters_of(&self, record: &Record) -> bool {
        self.voters.iter().eq(record.voters().map(|voter| &voter.engine_id))
    }
}

impl Answers {
    /// The turn to ask, unless somebody is asking already.
    pub(super) fn take_turn(self: &Arc<Self>, database: &Uid) -> Option<Turn> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.insert(database.clone()).then(|| Turn { answers: self.clone(), database: database.clone() })
    }

    /// What was last said.
    pub(super) fn get(&self, database: &Uid) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(database).cloned()
    }

    /// Takes in what was said.
    pub(super) fn put(&self, database: &Uid, known: Known) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(database.clone(), known);
    }

    /// Forgets a database that is gone.
    pub fn forget(&self, database: &Uid) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(database);
    }
}
