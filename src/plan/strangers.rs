//! Strangers: members that a majority lists and the record does not know.

use super::{
    budget,
    command::{Command, Wish},
    membership::{Ballot, Listed, Membership},
    operation::{Course, Operation},
    record::Record,
    step::Step,
};

/// What is done about a stranger, before anything else is done to the membership.
///
/// One with a vote holds every change: the record may have come back from a backup, and only a person can tell what has
/// happened since. One without a vote is taken off the list again. It was to join before that was called off, and the
/// word that it does came late; it takes part in nothing.
pub fn step(record: &Record, membership: &Membership, list: &[Listed], operation: Operation) -> Option<Course> {
    let known = |listed: &&Listed| {
        record.present().any(|member| match &member.engine_id {
            Some(id) => *id == listed.id,
            None => member.peer.as_ref().is_some_and(|peer| listed.peers.contains(peer)),
        })
    };
    let mut strangers = list.iter().filter(|listed| !known(listed));
    let stranger = strangers.next()?;
    let serving: Vec<_> = record.voters().filter(|voter| budget::serves(membership, &voter.name)).collect();
    let (id, peers) = (&stranger.id, stranger.peers.join(", "));
    Some(match (stranger.ballot, Command::to_any(membership, &serving, Wish::Leave { member: id.clone() })) {
        (Ballot::Learner, Some(command)) => operation.does(Step::Command(command)),
        (Ballot::Learner, None) => operation.waits("no voter serves"),
        (Ballot::Voter, _) => operation.waits(format!(
            "the members list a voter that the record does not know ({id} at {peers}). Was the master restored from a \
             backup? Nothing is changed until the list and the record agree"
        )),
    })
}
