//! Taking over what another resource left: a database whose record is lost, whose resource was let go with its data
//! kept, or that was halted.
//!
//! Never by itself: a resource without a record whose names are taken in a worker founds nothing, and waits for
//! `atoll.dev/adopt: <old UID>` (DECISIONS 5). The volumes tell the rest: who founded, in which attempt, with how many.

use serde::{Deserialize, Serialize};

use super::{
    act::{Act, Change, Kind, Reason},
    address,
    database::Database,
    debt::Volumes,
    found,
    keep::{ours, target},
    name::{Uid, WorkerName},
    record::{Member, Part, Record, Stage},
    seen::{Claim, Objects, Seen},
    view::View,
};

/// A member's part of the record, as it stands on its volume claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRecord {
    /// The database that was founded on it.
    pub database: Uid,
    /// Its member's ordinal.
    pub ordinal: u32,
    /// The attempt at founding.
    pub attempt: u32,
    /// How many members founded; 0 where that does not tell who the members are: on the volume of one that joined later,
    /// and on all of them once one that founded has left.
    pub founders: u32,
}

impl ClaimRecord {
    /// The part of one member.
    #[must_use]
    pub fn of(database: &Database, record: &Record, member: &Member) -> Self {
        Self {
            database: database.id.uid.clone(),
            ordinal: member.ordinal,
            attempt: record.attempt(),
            founders: match member.part {
                Part::Joining => 0,
                Part::Voter | Part::Leaving | Part::Removed | Part::GivenUp => {
                    u32::try_from(record.members.len()).unwrap_or(u32::MAX)
                }
            },
        }
    }

    /// As an annotation's value.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn read(claim: &Claim) -> Option<Self> {
        claim.record.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }
}

/// What volumes in one worker are to tell from now on, where they still tell of a member that has left: it must never come
/// back with them. One that was given up knows nothing of that, and with others like it would serve what is long outdated.
#[must_use]
pub fn outdated(view: &View, record: &Record, worker: &WorkerName, objects: &Objects) -> Vec<Act> {
    let is_member = |ordinal| record.present().any(|member| member.ordinal == ordinal);
    let stays = |part: &ClaimRecord| match record.members.iter().find(|member| member.ordinal == part.ordinal) {
        Some(member) if member.part != Part::Removed => true,
        Some(_) | None => Volumes::from(view.database.on_delete) == Volumes::Keep,
    };
    let standing = objects.claims.values().filter(|claim| ours(view, &claim.meta) && claim.meta.deleting.is_none());
    standing
        .filter_map(|claim| Some((claim, ClaimRecord::read(claim)?)))
        .filter(|(_, part)| stays(part) && !(0..part.founders).all(is_member))
        .map(|(claim, part)| Act {
            worker: worker.clone(),
            reason: Reason::FounderLeft,
            change: Change::Tell(target(Kind::Claim, &claim.meta), ClaimRecord { founders: 0, ..part }),
        })
        .collect()
}

/// What stands in the workers under this database's names, although no record says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The database that it was made for.
    pub database: Uid,
    /// The first object found.
    pub object: String,
    /// Where.
    pub worker: WorkerName,
}

/// The first leftover in sight.
#[must_use]
pub fn leftover(seen: &Seen) -> Option<Leftover> {
    seen.workers.iter().find_map(|(worker, sight)| {
        let objects = sight.view.objects()?;
        let claims = objects.claims.values().map(|claim| ("volume claim", &claim.meta));
        let pods = objects.pods.values().map(|pod| ("pod", &pod.meta));
        let services = objects.services.values().map(|service| ("service", &service.meta));
        let (kind, meta) = claims.chain(pods).chain(services).next()?;
        Some(Leftover {
            database: meta.database.clone().unwrap_or_else(|| Uid::from("unknown")),
            object: format!("{kind} {}", meta.name),
            worker: worker.clone(),
        })
    })
}

/// Rebuilds the record of the database `old` from its volumes, for `database` to take over.
///
/// # Errors
/// What is missing, for a person.
pub fn rebuild(database: &Database, seen: &Seen, old: &Uid) -> Result<Record, String> {
    let mut volumes: Vec<_> = seen
        .workers
        .iter()
        .filter_map(|(worker, sight)| Some((worker, sight.view.objects()?)))
        .flat_map(|(worker, objects)| objects.claims.values().map(move |claim| (worker, objects, claim)))
        .filter(|(_, _, claim)| claim.meta.database.as_ref() == Some(old))
        .filter_map(|(worker, objects, claim)| {
            let record = ClaimRecord::read(claim)?;
            let member = database.names.member(record.ordinal);
            let is_data = claim.meta.name == database.names.claim(&database.volumes.data.name, &member);
            is_data.then_some((record, member, worker, objects, claim))
        })
        .collect();
    volumes.sort_by_key(|(record, ..)| record.ordinal);

    let Some((first, ..)) = volumes.first().cloned() else {
        return Err(format!("no worker in sight holds a data volume of the database {old}"));
    };
    if volumes.iter().any(|(record, ..)| record.founders == 0) {
        return Err(format!(
            "members have joined or left the database {old} since it was founded, and volumes do not say which are its \
             members now, and with which identity; restore its resource with its status instead"
        ));
    }
    let (found, founders) = (volumes.len(), first.founders);
    if volumes.iter().map(|(record, ..)| record.ordinal).ne(0..founders) {
        return Err(format!(
            "{found} of the {founders} data volumes of the database {old} are in sight; the others' workers must be \
             reachable before it can be taken over"
        ));
    }
    let mut record = Record::placed(
        database,
        first.attempt,
        volumes
            .iter()
            .map(|(part, name, worker, _, claim)| {
                let home = claim.meta.namespace.clone();
                let elsewhere = (home != database.id.namespace).then_some(home);
                Member::placed(name.clone(), part.ordinal, (*worker).clone()).inside(elsewhere)
            })
            .collect(),
    );
    let addresses = address::addresses(database, &record, seen).map_err(|wait| wait.message())?;
    let identities: Vec<_> = volumes.iter().map(|(_, _, _, objects, _)| objects.identity.clone()).collect();
    let claims: Vec<_> = volumes.iter().map(|(.., claim)| claim.meta.uid.clone()).collect();
    found::identify(&first.database, database, &mut record, first.attempt, &addresses, &identities, &claims);
    if let Stage::Founding(identity) = &record.stage {
        record.stage = Stage::Established(identity.clone());
    }
    Ok(record)
}
