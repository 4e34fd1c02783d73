//! The budget: how many voters may be down by our hand, over all workers (S1, DECISIONS 3).

use std::collections::BTreeSet;

use super::{
    membership::{Answer, Asked, EngineId, Membership},
    name::MemberName,
    record::{Member, Record},
};

/// What is to be done to a healthy voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It stops, and comes back as it was.
    ForAMoment,
    /// It stops being a voter.
    ForGood,
}

/// Why a healthy voter stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nobody has been asked for this very decision.
    NotAsked,
    /// Other voters do not serve, or nobody knows whether they do; unknown counts as down.
    OthersDown(Vec<MemberName>),
    /// Members list others than the record.
    ListsDiffer(MemberName),
    /// Those left would be no majority.
    NoMajorityLeft {
        /// How many would serve.
        left: usize,
        /// How many voters there would be.
        voters: usize,
    },
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAsked => write!(f, "the members have not been asked"),
            Self::OthersDown(others) => {
                let others: Vec<_> = others.iter().map(MemberName::as_str).collect();
                write!(f, "{} must serve first", others.join(", "))
            }
            Self::ListsDiffer(member) => write!(f, "{member} lists other voters than the record"),
            Self::NoMajorityLeft { left, voters } => {
                write!(f, "only {left} of {voters} voters would be left, which is no majority")
            }
        }
    }
}

/// From so many voters on one may be lost, and the others can decide that it is replaced.
pub const SPARE: usize = 3;

/// How many of so many voters are a majority.
#[must_use]
pub fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// Whether a voter has just read through a quorum.
#[must_use]
pub fn serves(membership: &Membership, member: &MemberName) -> bool {
    membership.answers.get(member).is_some_and(|answer| answer.listed.is_some())
}

/// Whether this healthy voter may be taken down now.
///
/// One of two, and an only one, may be stopped for a moment: there is no other way to change it, and what it costs is
/// an interruption, not data.
///
/// # Errors
/// Why it may not.
pub fn ask(record: &Record, membership: &Membership, member: &Member, leave: Leave) -> Result<(), Held> {
    if membership.asked != Asked::Now {
        return Err(Held::NotAsked);
    }
    let recorded: BTreeSet<&EngineId> = record.voters().filter_map(|voter| voter.engine_id.as_ref()).collect();
    let differs = |name: &&MemberName| {
        let voters = membership.answers.get(*name).and_then(Answer::voters);
        voters.is_some_and(|voters| voters.into_iter().collect::<BTreeSet<_>>() != recorded)
    };
    if let Some(member) = record.voters().map(|voter| &voter.name).find(differs) {
        return Err(Held::ListsDiffer(member.clone()));
    }
    let others = || record.voters().filter(|voter| voter.name != member.name);
    let down: Vec<_> =
        others().filter(|voter| !serves(membership, &voter.name)).map(|voter| voter.name.clone()).collect();
    if !down.is_empty() {
        return Err(Held::OthersDown(down));
    }
    let left = others().count();
    let voters = match leave {
        Leave::ForAMoment => left + 1,
        Leave::ForGood => left,
    };
    let unavoidable = leave == Leave::ForAMoment && voters <= 2;
    if left == 0 && leave == Leave::ForGood || left < majority(voters) && !unavoidable {
        return Err(Held::NoMajorityLeft { left, voters });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{
        membership::{Ballot, Listed, Role, Rung},
        testing,
    };

    /// What a member does when it is asked.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum State {
        Serves,
        Mute,
        WithoutQuorum,
    }

    fn record(voters: u32) -> Record {
        let database = testing::database();
        let member = |ordinal| {
            let mut member = Member::placed(database.names.member(ordinal), ordinal, "a".into());
            member.engine_id = Some(ordinal.to_string());
            member
        };
        Record::placed(&database, 1, (0..voters).map(member).collect())
    }

    fn membership(record: &Record, states: &[State]) -> Membership {
        let listed = |member: &Member| Listed {
            id: member.engine_id.clone().unwrap(),
            ballot: Ballot::Voter,
            peers: Vec::new(),
        };
        let list: Vec<_> = record.members.iter().map(listed).collect();
        let answer = |(member, state): (&Member, &State)| {
            let answer = Answer {
                rung: Rung::Address,
                cluster: "c".into(),
                member: member.engine_id.clone().unwrap(),
                role: Role::Follower,
                listed: (*state == State::Serves).then(|| list.clone()),
                term: 1,
            };
            (*state != State::Mute).then(|| (member.name.clone(), answer))
        };
        let answers = record.members.iter().zip(states).filter_map(answer).collect();
        Membership { answers, asked: Asked::Now, ..Membership::default() }
    }

    /// Every state of up to five voters.
    fn states() -> impl Iterator<Item = Vec<State>> {
        let kinds = [State::Serves, State::Mute, State::WithoutQuorum];
        (1..=5_u32).flat_map(move |voters| {
            (0..3_usize.pow(voters)).map(move |code| (0..voters).map(|n| kinds[code / 3_usize.pow(n) % 3]).collect())
        })
    }

    #[test]
    fn in_every_state_a_voter_leaves_only_where_all_others_serve_and_are_a_majority() {
        for states in states() {
            let record = record(u32::try_from(states.len()).unwrap());
            let seen = membership(&record, &states);
            for (index, member) in record.members.iter().enumerate() {
                let others = states.iter().enumerate().filter(|(other, _)| *other != index);
                let others_serve = others.clone().all(|(_, state)| *state == State::Serves);
                let left = states.len() - 1;
                for (leave, after) in [(Leave::ForAMoment, left + 1), (Leave::ForGood, left)] {
                    let granted = ask(&record, &seen, member, leave).is_ok();
                    if granted {
                        assert!(others_serve);
                        assert!(left >= majority(after) || leave == Leave::ForAMoment && after <= 2);
                    } else {
                        let unavoidable = leave == Leave::ForAMoment;
                        assert!(!others_serve || left == 0 && !unavoidable, "{} voters are stuck", states.len());
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_said_a_while_ago_or_of_other_voters_grants_nothing() {
        let record = record(3);
        let mut seen = membership(&record, &[State::Serves; 3]);
        assert_eq!(ask(&record, &seen, &record.members[0], Leave::ForAMoment), Ok(()));
        seen.asked = Asked::Lately;
        assert_eq!(ask(&record, &seen, &record.members[0], Leave::ForAMoment), Err(Held::NotAsked));
        seen.asked = Asked::Now;
        let answer = seen.answers.values_mut().last().unwrap();
        answer.listed.as_mut().unwrap().pop();
        let held = ask(&record, &seen, &record.members[0], Leave::ForAMoment);
        assert_eq!(held, Err(Held::ListsDiffer(record.members[2].name.clone())));
    }
}
