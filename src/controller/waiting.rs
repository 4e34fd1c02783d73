//! How soon a database that waits is looked at again: soon at first, and the less often the longer nothing has come of it. Each look
//! asks all its members and lists its workers.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::plan::{database::DatabaseKey, operation::Operation};

/// The longest time between two looks.
const LONGEST: Duration = Duration::from_secs(30);
/// A look comes when this share of the time that it has waited has passed once more.
const SHARE: u32 = 10;

/// What each database waits for, and since when.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<BTreeMap<DatabaseKey, (Operation, Instant)>>);

impl Waiting {
    /// How long until the next look, which is to come after `soonest` at first.
    pub fn until(&self, key: &DatabaseKey, operation: Option<&Operation>, soonest: Duration) -> Duration {
        let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(operation) = operation.filter(|operation| operation.waiting_for.is_some()) else {
            waits.remove(key);
            return soonest;
        };
        match waits.get(key) {
            Some((same, since)) if same == operation => stretched(soonest, since.elapsed()),
            Some(_) | None => {
                waits.insert(key.clone(), (operation.clone(), Instant::now()));
                soonest
            }
        }
    }

    /// Forgets a database that is gone.
    pub fn forget(&self, key: &DatabaseKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

fn stretched(soonest: Duration, waited: Duration) -> Duration {
    soonest.max(LONGEST.min(waited / SHARE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{operation::Kind, testing};

    #[test]
    fn the_longer_it_waits_the_less_often_it_is_looked_at() {
        let of = Duration::from_secs;
        for (waited, wanted) in [(0, 2), (20, 2), (60, 6), (300, 30), (86_400, 30)] {
            assert_eq!(stretched(of(2), of(waited)), of(wanted), "after {waited} s");
        }
        assert_eq!(stretched(of(40), of(86_400)), of(40), "never sooner than it was to be");
    }

    #[test]
    fn whatever_comes_of_it_begins_anew() {
        let (waiting, key, soon) = (Waiting::default(), testing::database().id.key(), Duration::from_secs(2));
        let waits = |why: &str| Operation {
            kind: Kind::Replacing,
            member: "db-etcd-1".into(),
            step: "leaves".to_owned(),
            done: 2,
            total: 3,
            waiting_for: Some(why.to_owned()),
        };
        let long_ago = Instant::now().checked_sub(Duration::from_mins(2)).expect("a machine that is up for minutes");
        waiting.0.lock().unwrap().insert(key.clone(), (waits("no majority"), long_ago));
        assert!(waiting.until(&key, Some(&waits("no majority")), soon) >= Duration::from_secs(12));
        assert_eq!(waiting.until(&key, Some(&waits("one to serve")), soon), soon);
        assert_eq!(waiting.until(&key, None, soon), soon);
        assert!(waiting.0.lock().unwrap().is_empty(), "nothing is waited for");
    }
}
