//! Who uses a worker, what deleted databases owe it, and what nobody knows there: conditions and fields of its
//! `K8sCluster`, beside those that tell its health. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::crd::{K8sCluster, K8sClusterStatus};
use crate::plan::{
    act::Kind,
    debt::{Debt, Owed, Volumes},
    name::{MemberName, Uid},
    report::{Condition, Truth, merge_conditions},
    seen::Ending,
    sweep::{Hold, Holding, Orphan},
    usage::Users,
};

/// The finalizer that keeps a registration while databases have members in the worker, or debts.
pub const FINALIZER: &str = "atoll.dev/in-use";
/// How many users, debts or orphans are named; of more, only how many there are.
const NAMED: usize = 20;
/// How many objects of one orphan are named.
const FEW: usize = 3;

/// Told while a registration that is in use is to be deleted.
const DELETABLE: &str = "Deletable";
/// Told while deleted databases may still have something there.
const PAID: &str = "DebtsPaid";
/// Told while something is there that belongs to no database of this master.
const ORPHANS: &str = "OrphansFound";

/// What is told beside health.
#[derive(Clone, Debug)]
pub struct Usage {
    /// Who uses it.
    pub users: Users,
    /// Whether it is being deleted.
    pub ending: Ending,
    /// What deleted databases may still have there.
    pub debts: Vec<Owed>,
    /// What the sweeper has found.
    pub findings: Findings,
}

/// What the sweeper has found in one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is left of each debt that is being paid, by the UID of its database: while a worker cannot be seen, nothing.
    pub left: BTreeMap<Uid, String>,
    /// What belongs to nobody.
    pub orphans: Vec<Orphan>,
    /// What no record names, although its database is there: it keeps the registration as well.
    pub unrecorded: Vec<Orphan>,
}

/// What a `K8sCluster` says of its usage.
#[must_use]
pub fn holding(cluster: &K8sCluster) -> Holding {
    let status = cluster.status.as_ref();
    let finalizers = cluster.metadata.finalizers.iter().flatten();
    Holding {
        hold: if finalizers.into_iter().any(|finalizer| finalizer == FINALIZER) { Hold::Held } else { Hold::Free },
        ending: if cluster.metadata.deletion_timestamp.is_some() { Ending::Going } else { Ending::Staying },
        pinned: status.and_then(|status| status.identity.as_deref()).map(Uid::from),
        debts: status.into_iter().flat_map(|status| status.debts.iter().cloned()).map(Owed::from_status).collect(),
    }
}

/// The status that tells this as well. `wanted` tells everything else; `standing` is what stands in the master.
#[must_use]
pub fn tell(
    mut wanted: K8sClusterStatus,
    standing: &K8sClusterStatus,
    usage: &Usage,
    generation: i64,
    now: Timestamp,
) -> K8sClusterStatus {
    wanted.conditions.retain(|condition| ![DELETABLE, PAID, ORPHANS].contains(&condition.kind.as_str()));
    let Users::Known(users) = &usage.users else {
        // Nobody can tell yet. What stands, stands.
        let ours = standing.conditions.iter().filter(|c| [DELETABLE, PAID, ORPHANS].contains(&c.kind.as_str()));
        wanted.conditions.extend(ours.cloned());
        return wanted;
    };
    wanted.used_by = users.iter().take(NAMED).map(ToString::to_string).collect();
    wanted.users = u32::try_from(users.len()).ok().filter(|users| *users > 0);
    let told: Vec<_> =
        [deletable(usage, &wanted), paid(usage), orphans(&usage.findings)].into_iter().flatten().collect();
    wanted.conditions.extend(merge_conditions(&standing.conditions, &told, generation, now));
    wanted
}

/// The merge patch that makes the status this. Debts are not in it: they are written by themselves, each with the
/// version that was read, so that no report of anybody's health ever takes one back.
#[must_use]
pub fn patch(wanted: &K8sClusterStatus) -> Value {
    let mut patch = json!(K8sClusterStatus { debts: Vec::new(), ..wanted.clone() });
    if let Some(fields) = patch.as_object_mut() {
        for field in ["usedBy", "users"] {
            fields.entry(field).or_insert(Value::Null);
        }
    }
    patch
}

fn deletable(usage: &Usage, wanted: &K8sClusterStatus) -> Option<Condition> {
    if usage.ending != Ending::Going {
        return None;
    }
    let unrecorded = usage.findings.unrecorded.iter().map(orphan);
    let users = first(wanted.used_by.iter().cloned().chain(unrecorded), wanted.users.unwrap_or_default() as usize);
    let debts = usage.debts.len();
    let (reason, what) = match (users.is_empty(), debts) {
        (true, 0) => return None,
        (true, debts) => (
            "InDebt",
            format!("deleted databases may still have something there ({debts}); see DebtsPaid for the way out"),
        ),
        (false, _) => (
            "InUse",
            format!(
                "{users}. What runs there runs on, and no new members are placed there. Delete these databases, and the \
                 registration goes by itself. If this cluster is lost for good, `atoll release` lets their deletion go \
                 on without it"
            ),
        ),
    };
    Some(told(DELETABLE, Truth::False, reason, format!("deletion was asked for, but the worker is in use: {what}")))
}

fn paid(usage: &Usage) -> Option<Condition> {
    if usage.debts.is_empty() {
        return None;
    }
    let seen = usage.debts.iter().any(|debt| usage.findings.left.contains_key(&debt.uid));
    let each = usage.debts.iter().map(|debt| match usage.findings.left.get(&debt.uid) {
        Some(left) => format!("{}: {left}", debt_told(debt)),
        None => debt_told(debt),
    });
    let each = first(each, usage.debts.len());
    let (reason, what) = if seen {
        ("ObjectsLeft", "what they left is being deleted; what is held there by others has to be let go by them")
    } else {
        (
            "WorkerUnseen",
            "it is deleted when the worker can be seen again and is not marked unavailable. If this cluster is lost for good, register another one \
             here and accept its identity: the debts are then struck; or take finalizer atoll.dev/in-use off",
        )
    };
    Some(told(
        PAID,
        Truth::False,
        reason,
        format!("databases were let go of while this worker could not be seen: {each}; {what}"),
    ))
}

fn debt_told(debt: &Debt) -> String {
    let members: Vec<_> = debt.members.iter().map(MemberName::as_str).collect();
    let volumes = match debt.volumes {
        Volumes::Keep => "its volumes stay",
        Volumes::Delete => "with its volumes",
    };
    let kind = debt.key().map_or(debt.kind.as_str(), |key| key.kind.word());
    format!(
        "{kind} {}/{} (UID {}, {}, {volumes}, since {})",
        debt.namespace,
        debt.name,
        debt.uid,
        members.join(" and "),
        debt.released_at
    )
}

fn orphans(findings: &Findings) -> Option<Condition> {
    let orphans = &findings.orphans;
    if orphans.is_empty() {
        return None;
    }
    let claims = |orphan: &Orphan| orphan.objects.iter().all(|(kind, _)| *kind == Kind::Claim);
    let reason = if orphans.iter().all(claims) { "VolumesLeft" } else { "ObjectsLeft" };
    let each = first(orphans.iter().map(orphan), orphans.len());
    let (namespace, name) = orphans.first().map(|first| (first.database.namespace.as_str(), first.uid.as_str()))?;
    let message = format!(
        "{} databases that the master does not know have left something here; nothing of it is deleted: {each}. To take \
         one over, create a database of its name and annotate it with atoll.dev/adopt=<UID>; to throw it away, in this \
         worker: kubectl -n {namespace} delete pods,jobs,services,pvc -l atoll.dev/uid={name}",
        orphans.len()
    );
    Some(told(ORPHANS, Truth::True, reason, message))
}

fn orphan(orphan: &Orphan) -> String {
    let objects = orphan.objects.iter().map(|(kind, name)| format!("{} {name}", kind.as_str()));
    let objects: Vec<_> = objects.take(FEW).collect();
    let more = match orphan.objects.len().saturating_sub(FEW) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let Orphan { database, uid, .. } = orphan;
    format!("{} {database} (UID {uid}): {}{more}", database.kind.word(), objects.join(", "))
}

/// The first few, and how many more there are.
fn first(each: impl Iterator<Item = String>, all: usize) -> String {
    let named: Vec<_> = each.take(NAMED).collect();
    match all.saturating_sub(named.len()) {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}

fn told(kind: &'static str, status: Truth, reason: &'static str, message: String) -> Condition {
    Condition { kind, status, reason, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{debt::Due, name::WorkerName, testing, usage::User};

    fn usage(ending: Ending) -> Usage {
        let database = testing::database();
        let user = User::of(&database.id.key(), &testing::placed(&database), &WorkerName::from("b"));
        let users = Users::Known(user.into_iter().collect());
        Usage { users, ending, debts: Vec::new(), findings: Findings::default() }
    }

    fn nobody() -> Usage {
        Usage { users: Users::Known(Vec::new()), ..usage(Ending::Staying) }
    }

    fn owed() -> Owed {
        let (database, members) = (testing::database().id, vec!["db-etcd-1".into()]);
        let due = Due { database, members, volumes: Volumes::Delete, identity: Uid::from("uid-b") };
        Owed::from_status(due.at(testing::now()))
    }

    fn orphaned() -> Orphan {
        let id = testing::database().id;
        let objects = (0..5).map(|n| (Kind::Pod, format!("pod-{n}").as_str().into())).collect();
        Orphan { database: id.key(), uid: id.uid, objects }
    }

    fn tell_of(standing: &K8sClusterStatus, usage: &Usage) -> K8sClusterStatus {
        tell(standing.clone(), standing, usage, 1, testing::now())
    }

    fn condition<'a>(status: &'a K8sClusterStatus, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
        let condition = status.conditions.iter().find(|condition| condition.kind == kind)?;
        Some((&condition.status, &condition.reason, &condition.message))
    }

    #[test]
    fn who_uses_a_worker_stands_in_its_status_and_goes_when_nobody_does() {
        let told = tell_of(&K8sClusterStatus::default(), &usage(Ending::Staying));
        assert_eq!(told.used_by, ["Cluster default/db: db-etcd-1"]);
        assert_eq!(told.users, Some(1));
        assert!(told.conditions.is_empty());
        assert_eq!(tell_of(&told, &usage(Ending::Staying)), told, "nothing new, nothing to write");
        let gone = tell_of(&told, &nobody());
        assert_eq!((gone.users, gone.used_by.len()), (None, 0));
        assert_eq!(patch(&gone)["usedBy"], Value::Null);
        assert!(
            patch(&gone).as_object().unwrap().contains_key("usedBy"),
            "a merge patch takes away only what it names"
        );
    }

    #[test]
    fn a_deletion_in_use_names_the_databases_and_the_members_and_says_what_to_do() {
        let told = tell_of(&K8sClusterStatus::default(), &usage(Ending::Going));
        let (status, reason, message) = condition(&told, "Deletable").unwrap();
        assert_eq!((status, reason), ("False", "InUse"));
        assert!(
            message.contains("Cluster default/db: db-etcd-1") && message.contains("Delete these databases"),
            "{message}"
        );
        assert_eq!(condition(&tell_of(&told, &usage(Ending::Staying)), "Deletable"), None);
    }

    #[test]
    fn what_nobody_can_tell_yet_stands_as_it_was() {
        let told = tell_of(&K8sClusterStatus::default(), &usage(Ending::Going));
        let unread = Usage { users: Users::Unread, ..nobody() };
        assert_eq!(tell_of(&told, &unread), told);
        // Health alone tells conditions of its own, and leaves ours out.
        let healthy = K8sClusterStatus { conditions: Vec::new(), ..told.clone() };
        assert_eq!(tell(healthy, &told, &unread, 1, testing::now()), told);
    }

    #[test]
    fn debts_are_told_until_they_are_paid_and_are_never_part_of_a_report() {
        let mut indebted = Usage { debts: vec![owed()], ..nobody() };
        let standing = K8sClusterStatus { debts: vec![(*owed()).clone()], ..K8sClusterStatus::default() };
        let told = tell_of(&standing, &indebted);
        let (status, reason, message) = condition(&told, "DebtsPaid").unwrap();
        assert_eq!((status, reason), ("False", "WorkerUnseen"));
        assert!(message.contains("Cluster default/db (UID uid-db, db-etcd-1, with its volumes"), "{message}");
        assert_eq!(patch(&told).get("debts"), None);
        indebted.findings.left.insert(Uid::from("uid-db"), "pod x (held by y)".to_owned());
        let (_, reason, message) = condition(&tell_of(&standing, &indebted), "DebtsPaid")
            .map(|(s, r, m)| (s.to_owned(), r.to_owned(), m.to_owned()))
            .unwrap();
        assert!(reason == "ObjectsLeft" && message.contains("pod x (held by y)"), "{message}");
        indebted.ending = Ending::Going;
        assert_eq!(condition(&tell_of(&standing, &indebted), "Deletable").unwrap().1, "InDebt");
    }

    #[test]
    fn orphans_are_counted_named_and_never_deleted() {
        let findings = Findings { orphans: vec![orphaned()], ..Findings::default() };
        let told = tell_of(&K8sClusterStatus::default(), &Usage { findings, ..nobody() });
        let (status, reason, message) = condition(&told, "OrphansFound").unwrap();
        assert_eq!((status, reason), ("True", "ObjectsLeft"));
        for words in ["1 databases", "pod pod-0", "and 2 more", "atoll.dev/adopt", "atoll.dev/uid=uid-db"] {
            assert!(message.contains(words), "{words}: {message}");
        }
    }

    #[test]
    fn of_many_users_the_first_are_named_and_all_are_counted() {
        let one = usage(Ending::Going);
        let Users::Known(users) = &one.users else { panic!("they are known") };
        let many = Usage { users: Users::Known(users.iter().cycle().take(100).cloned().collect()), ..one };
        let told = tell_of(&K8sClusterStatus::default(), &many);
        assert_eq!((told.users, told.used_by.len()), (Some(100), 20));
        assert!(condition(&told, "Deletable").unwrap().2.contains("and 80 more"));
    }
}
