//! Sweeping: what becomes of a worker's registration, of its debts, and of what nobody knows, while no database asks.

use std::collections::BTreeMap;

use super::{
    act::{Act, Kind, Reason},
    database::DatabaseKey,
    debt::Owed,
    delete::{all, clear},
    name::{ObjectName, Uid, WorkerName},
    seen::{Ending, Meta, Objects, Source},
    usage::Users,
};

/// Whether a registration carries the finalizer that keeps it while it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It does.
    Held,
    /// It does not.
    Free,
}

/// What is known of one registration.
#[derive(Clone, Debug)]
pub struct Holding {
    /// Whether our finalizer is on it.
    pub hold: Hold,
    /// Whether it is being deleted.
    pub ending: Ending,
    /// The cluster that it is pinned to.
    pub pinned: Option<Uid>,
    /// What deleted databases may still have there.
    pub debts: Vec<Owed>,
}

/// What is to be done about one registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chore {
    /// Nothing.
    Nothing,
    /// Put the finalizer on: databases have members there.
    Hold,
    /// Take the finalizer off, once a live list of a worker that can be reached shows nothing of any database.
    LetGo,
    /// Strike a debt: a person has accepted that the registration leads to another cluster, so what was in the former
    /// one counts as lost.
    Strike(Uid),
    /// Delete what these databases have left there.
    Pay(Vec<Owed>),
}

/// What is to be done.
#[must_use]
pub fn chore(holding: &Holding, users: &Users) -> Chore {
    let elsewhere = |debt: &&Owed| holding.pinned.as_ref().is_some_and(|pinned| *pinned != debt.worker_identity);
    if let Some(lost) = holding.debts.iter().find(elsewhere) {
        return Chore::Strike(lost.uid.clone());
    }
    let used = !holding.debts.is_empty() || matches!(users, Users::Known(users) if !users.is_empty());
    match (holding.hold, used) {
        // One that is being deleted takes no finalizer any more.
        (Hold::Free, true) if holding.ending == Ending::Staying => Chore::Hold,
        _ if !holding.debts.is_empty() => Chore::Pay(holding.debts.clone()),
        (Hold::Held, false) if users.are_none() => Chore::LetGo,
        _ => Chore::Nothing,
    }
}

/// How far a debt is paid.
#[derive(Clone, Debug, PartialEq)]
pub enum Payment {
    /// The worker cannot be seen, or is another one.
    Unseen,
    /// These are deleted now, and this is left until then.
    Owing(Vec<Act>, Vec<String>),
    /// Nothing is left: it may be struck.
    Paid,
}

/// What to delete for a debt, by live lists of the database's name in the worker. Objects of any other UID are no part
/// of it, whatever their names.
#[must_use]
pub fn pay(worker: &WorkerName, debt: &Owed, objects: &Objects) -> Payment {
    if objects.source != Source::Live || objects.identity != debt.worker_identity {
        return Payment::Unseen;
    }
    let theirs: Vec<_> = all(objects).filter(|(_, meta)| meta.database.as_ref() == Some(&debt.uid)).collect();
    match clear(worker, Reason::DebtPaid, debt.volumes, &theirs) {
        (_, left) if left.is_empty() => Payment::Paid,
        (acts, left) => Payment::Owing(acts, left),
    }
}

/// What stands in one worker with our labels, by the database that it was made for.
pub type Possessions = BTreeMap<(DatabaseKey, Uid), Vec<(Kind, ObjectName)>>;

/// Adds one object to them.
pub fn possess(possessions: &mut Possessions, key: &DatabaseKey, kind: Kind, meta: &Meta) {
    let whose = meta.database.clone().unwrap_or_else(|| Uid::from(""));
    possessions.entry((key.clone(), whose)).or_default().push((kind, meta.name.clone()));
}

/// What is left in a worker of a database that the master does not know, and that nobody recorded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan {
    /// What the database was called.
    pub database: DatabaseKey,
    /// Its UID, as its objects say.
    pub uid: Uid,
    /// What is there: kind and name.
    pub objects: Vec<(Kind, ObjectName)>,
}

/// Which of these belong to nobody. `known` says whether the master may have the database of a UID.
#[must_use]
pub fn orphans(possessions: &Possessions, debts: &[Owed], known: impl Fn(&Uid) -> bool) -> Vec<Orphan> {
    let nobodys = possessions.iter().filter(|((_, uid), _)| !known(uid) && debts.iter().all(|debt| debt.uid != *uid));
    nobodys
        .map(|((database, uid), objects)| Orphan {
            database: database.clone(),
            uid: uid.clone(),
            objects: objects.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{
        debt::{Due, Volumes},
        testing,
        usage::User,
    };

    fn debt(volumes: Volumes) -> Owed {
        let due = Due {
            database: testing::database().id,
            members: vec!["db-etcd-1".into()],
            volumes,
            identity: Uid::from("uid-b"),
        };
        Owed::from_status(due.at(testing::now()))
    }

    fn someone() -> Users {
        let database = testing::database();
        let record = testing::placed(&database);
        Users::Known(User::of(&database.id.key(), &record, &WorkerName::from("b")).into_iter().collect())
    }

    #[test]
    fn a_registration_is_held_while_it_is_used_and_let_go_only_when_that_is_known_to_be_over() {
        let nobody = || Users::Known(Vec::new());
        let owing = || vec![debt(Volumes::Delete)];
        let staying = Ending::Staying;
        for (hold, ending, users, debts, wanted) in [
            (Hold::Free, staying, nobody(), vec![], Chore::Nothing),
            (Hold::Free, staying, Users::Unread, vec![], Chore::Nothing),
            (Hold::Free, staying, someone(), vec![], Chore::Hold),
            (Hold::Free, staying, nobody(), owing(), Chore::Hold),
            // The API server refuses it.
            (Hold::Free, Ending::Going, someone(), vec![], Chore::Nothing),
            (Hold::Held, staying, someone(), vec![], Chore::Nothing),
            (Hold::Held, Ending::Going, someone(), vec![], Chore::Nothing),
            (Hold::Held, Ending::Going, Users::Unread, vec![], Chore::Nothing),
            (Hold::Held, Ending::Going, nobody(), vec![], Chore::LetGo),
            (Hold::Held, staying, nobody(), vec![], Chore::LetGo),
            (Hold::Held, staying, nobody(), owing(), Chore::Pay(owing())),
            (Hold::Held, Ending::Going, Users::Unread, owing(), Chore::Pay(owing())),
        ] {
            let holding = Holding { hold, ending, pinned: Some(Uid::from("uid-b")), debts };
            assert_eq!(chore(&holding, &users), wanted, "{holding:?} {users:?}");
        }
    }

    #[test]
    fn a_debt_in_a_cluster_that_a_person_gave_up_is_struck() {
        let pinned = |identity: &str| Holding {
            hold: Hold::Held,
            ending: Ending::Staying,
            pinned: Some(Uid::from(identity)),
            debts: vec![debt(Volumes::Delete)],
        };
        let struck = Chore::Strike(testing::database().id.uid);
        assert_eq!(chore(&pinned("another"), &Users::Unread), struck);
        assert_ne!(chore(&pinned("uid-b"), &Users::Unread), struck);
    }

    /// What a worker shows of the database, and of another one of its name.
    fn shown() -> Objects {
        let database = testing::database();
        let mut seen = testing::founded_world(&database);
        let objects = testing::objects(&mut seen, "b");
        objects.source = Source::Live;
        let mut other = objects.claims.values().next().unwrap().clone();
        other.meta.name = "data-of-the-next".into();
        other.meta.database = Some(Uid::from("uid-of-the-next"));
        objects.claims.insert(other.meta.name.clone(), other);
        objects.clone()
    }

    fn names(payment: &Payment) -> Vec<String> {
        let Payment::Owing(acts, _) = payment else { return Vec::new() };
        let target = |act: &Act| match &act.change {
            super::super::act::Change::Delete(target) => format!("{} {}", target.kind.as_str(), target.name),
            other => panic!("{other:?}"),
        };
        acts.iter().map(target).collect()
    }

    #[test]
    fn a_debt_is_paid_with_pods_first_then_volumes_and_with_nothing_of_another_database() {
        let worker = WorkerName::from("b");
        let mut objects = shown();
        let paid = names(&pay(&worker, &debt(Volumes::Delete), &objects));
        assert!(paid.contains(&"pod db-etcd-1".to_owned()), "{paid:?}");
        assert!(!paid.iter().any(|name| name.contains("claim")), "{paid:?}");
        objects.pods.clear();
        objects.services.clear();
        assert_eq!(names(&pay(&worker, &debt(Volumes::Delete), &objects)), ["volume claim data-db-etcd-1"]);
        assert_eq!(pay(&worker, &debt(Volumes::Keep), &objects), Payment::Paid);
        objects.claims.retain(|name, _| name.as_str() == "data-of-the-next");
        assert_eq!(pay(&worker, &debt(Volumes::Delete), &objects), Payment::Paid);
    }

    #[test]
    fn a_debt_is_paid_only_by_a_live_list_of_the_cluster_that_it_is_in() {
        let worker = WorkerName::from("b");
        let spoil: [fn(&mut Objects); 2] =
            [|objects| objects.source = Source::Watch, |objects| objects.identity = Uid::from("another")];
        for spoil in spoil {
            let mut objects = shown();
            spoil(&mut objects);
            assert_eq!(pay(&worker, &debt(Volumes::Delete), &objects), Payment::Unseen);
        }
    }

    #[test]
    fn what_belongs_to_no_database_and_to_no_debt_is_an_orphan() {
        let database = testing::database();
        let mut possessions = Possessions::new();
        for (kind, meta) in all(&shown()) {
            possess(&mut possessions, &database.id.key(), kind, meta);
        }
        let found = |debts: &[Owed], known: &[&str]| {
            let orphans = orphans(&possessions, debts, |uid| known.contains(&uid.as_str()));
            orphans.into_iter().map(|orphan| orphan.uid.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found(&[], &["uid-db"]), ["uid-of-the-next"]);
        assert_eq!(found(&[debt(Volumes::Delete)], &[]), ["uid-of-the-next"]);
        assert_eq!(found(&[], &[]), ["uid-db", "uid-of-the-next"]);
        assert_eq!(found(&[], &["uid-db", "uid-of-the-next"]), Vec::<String>::new());
    }
}
