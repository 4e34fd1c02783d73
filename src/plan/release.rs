//! Letting go of a worker that cannot be seen: by a person's word, and by a debt that is written first.
//!
//! The word is annotation `atoll.dev/release-worker: <UID>/<worker>[,…]`. It names the database's UID, so that it says
//! nothing about another resource that it was copied to.

use std::collections::BTreeMap;

use super::{
    database::Consent,
    debt::{Account, Due, Entry, Owed, Volumes},
    name::{Uid, WorkerName},
    record::Member,
    report::{Condition, Truth, seconds},
    seen::{Absence, Registry, WorkerView},
    view::View,
};

/// How a worker that cannot be seen stands to the deletion of a database.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// It holds it: nobody has let go of it.
    Holds,
    /// A person has let go of it, and the debt is yet to be written.
    Owes(Due),
    /// It holds nothing any more.
    LetGo(LetGo<'a>),
}

/// Why a worker that cannot be seen holds a deletion no longer.
#[derive(Debug, PartialEq, Eq)]
pub enum LetGo<'a> {
    /// The debt is written: what is left is cleaned up when the worker returns.
    Owed(&'a Owed),
    /// There is nowhere to write it: no registration leads to the cluster that the members are in. Should it be
    /// registered again, what is left there is reported and not deleted.
    Unrecorded,
}

/// How this worker, which cannot be seen, stands to the deletion.
#[must_use]
pub fn standing<'a>(view: &View<'a>, worker: &WorkerName) -> Standing<'a> {
    if !view.database.consent.lets_go(&view.database.id.uid, worker) {
        return Standing::Holds;
    }
    let (account, due) = (view.seen.accounts.get(worker), due(view, worker));
    match (account, due) {
        // A registration that has not been read yet may well be there.
        (None, _) if view.seen.registry == Registry::Unread => Standing::Holds,
        (None, _) | (_, None) => Standing::LetGo(LetGo::Unrecorded),
        (Some(Account { owed: Some(owed), .. }), Some(due)) if due.is(owed) => Standing::LetGo(LetGo::Owed(owed)),
        (Some(_), Some(due)) => Standing::Owes(due),
    }
}

/// Debts that were written and are not due any more, because the person has taken the word back.
#[must_use]
pub fn withdrawn(view: &View, consent: &Consent) -> Vec<Entry> {
    let uid = &view.database.id.uid;
    let owed = view.seen.accounts.iter().filter(|(_, account)| account.owed.is_some());
    let withdrawn = owed.filter(|(worker, _)| !consent.lets_go(uid, worker));
    withdrawn.map(|(worker, _)| Entry::Withdraw(worker.clone(), uid.clone())).collect()
}

/// What would be owed in this worker; `None` where its registration does not lead to the cluster of the members.
fn due(view: &View, worker: &WorkerName) -> Option<Due> {
    let account = view.seen.accounts.get(worker)?;
    let members = members(view, worker);
    let mut founded_in = members.iter().filter_map(|member| member.worker_identity.as_ref());
    // Where a registration leads that was made anew and not reached yet, nobody knows. The members' cluster is recorded
    // with them, and only there anything is deleted.
    let identity = account.pinned.as_ref().or_else(|| founded_in.clone().next())?.clone();
    if founded_in.any(|founded| *founded != identity) {
        return None;
    }
    Some(Due {
        database: view.database.id.clone(),
        members: members.iter().map(|member| member.name.clone()).collect(),
        volumes: Volumes::from(view.database.on_delete),
        identity,
    })
}

fn members<'a>(view: &View<'a>, worker: &WorkerName) -> Vec<&'a Member> {
    let all = view.record.into_iter().flat_map(|record| &record.members);
    all.filter(|member| &member.worker == worker).collect()
}

/// What is left in a worker that cannot be seen, since when, and the way out.
#[must_use]
pub fn unseen(view: &View, worker: &WorkerName) -> String {
    let id = &view.database.id;
    let claims = |member: &Member| {
        let volumes = view.database.volumes.iter();
        let names: Vec<_> =
            volumes.map(|volume| view.database.names.claim(&volume.name, &member.name).to_string()).collect();
        format!("{} with volume claim {}", member.name, names.join(" and "))
    };
    let left: Vec<_> = members(view, worker).into_iter().map(claims).collect();
    let since = match view.seen.workers.get(worker).map(|worker| &worker.view) {
        Some(WorkerView::Unseen { absence: Absence::Since(since), .. }) => format!(" since {}", seconds(*since)),
        _ => String::new(),
    };
    format!(
        "{} ({}){since}. It goes on by itself when the worker can be seen again; to let go of what is there: atoll \
         release {} -n {} --worker {worker}",
        left.join(", "),
        view.unseen(worker).message(),
        id.name,
        id.namespace,
    )
}

/// Tells which workers were let go of, and what becomes of what is there.
#[must_use]
pub fn told(released: &BTreeMap<WorkerName, LetGo>) -> Option<Condition> {
    let each: Vec<_> = released
        .iter()
        .map(|(worker, how)| match how {
            LetGo::Owed(owed) => {
                let volumes = match owed.volumes {
                    Volumes::Keep => "volumes stay",
                    Volumes::Delete => "with its volumes",
                };
                format!(
                    "worker {worker} was let go of at {}; what is left there is deleted when it returns ({volumes})",
                    owed.released_at
                )
            }
            LetGo::Unrecorded => format!(
                "worker {worker} was let go of, and no registration leads to the cluster that the members are in; what \
                 is left there is reported if it is registered again, and never deleted"
            ),
        })
        .collect();
    let reason = if released.values().any(|how| *how == LetGo::Unrecorded) { "Unrecorded" } else { "DebtRecorded" };
    (!each.is_empty()).then(|| Condition {
        kind: "WorkersReleased",
        status: Truth::True,
        reason,
        message: each.join("; "),
    })
}

/// The value of annotation `atoll.dev/release-worker` that lets go of this worker besides those that it names already.
#[must_use]
pub fn word(standing: Option<&str>, uid: &Uid, worker: &WorkerName) -> String {
    let ours = format!("{uid}/{worker}");
    let mut words: Vec<_> = standing
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        // What another resource's UID says, it says to nobody here.
        .filter(|word| word.starts_with(&format!("{uid}/")) && *word != ours)
        .map(str::to_owned)
        .collect();
    words.push(ours);
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_added_to_those_that_stand_and_to_nobody_elses() {
        let (uid, worker) = (Uid::from("u"), WorkerName::from("b"));
        for (standing, wanted) in [
            (None, "u/b"),
            (Some(""), "u/b"),
            (Some("u/b"), "u/b"),
            (Some("u/a"), "u/a,u/b"),
            (Some("old/a, u/c"), "u/c,u/b"),
        ] {
            let said = word(standing, &uid, &worker);
            assert_eq!(said, wanted);
            let annotations = [("atoll.dev/release-worker".to_owned(), said)].into();
            assert!(Consent::of(&annotations).lets_go(&uid, &worker));
            assert!(!Consent::of(&annotations).lets_go(&Uid::from("old"), &WorkerName::from("a")));
        }
    }
}
