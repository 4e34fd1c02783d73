//! Reading etcd's answers. They come from its JSON gateway, which every served version has.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use super::identity::hexadecimal;
use crate::{
    engine::{Distrust, Exchange, HttpReply, HttpRequest, Knowledge, Method, Question},
    plan::{
        membership::{Answer, Ballot, Listed, Role, Rung},
        record::{Member, Record},
    },
};

/// What to ask one member: its status, then the membership as a quorum knows it.
///
/// In this order because the status is local and comes at once, whereas a member without a quorum keeps the second
/// request waiting. A carrier hands over what it has when its time is up.
pub fn question(member: &Member) -> Question {
    let post =
        |path: &str, body: &str| HttpRequest { method: Method::Post, path: path.to_owned(), body: body.to_owned() };
    Question {
        member: member.name.clone(),
        port: super::Etcd.ports().client.number,
        exchange: Exchange::Http(vec![
            post("/v3/maintenance/status", "{}"),
            post("/v3/cluster/member/list", r#"{"linearizable":true}"#),
        ]),
    }
}

/// Reads one member's replies, in the order of the question; those at the end may be missing.
pub fn read(record: &Record, member: &Member, rung: Rung, replies: &[HttpReply]) -> Result<Answer, Distrust> {
    let [status, rest @ ..] = replies else {
        return Err(unreadable(member, "it sent no reply"));
    };
    if status.status != 200 {
        return Err(unreadable(member, format!("its status was refused with HTTP {}", status.status)));
    }
    let status: Status = parse(&status.body).map_err(|why| unreadable(member, format!("its status {why}")))?;
    let (cluster, id) = checked(record, member, &status.header)?;
    let role = if status.is_learner {
        Role::Learner
    } else if status.leader == status.header.member_id {
        Role::Leader
    } else {
        Role::Follower
    };
    let listed = match rest.first() {
        // A list that failed or did not come: no quorum, or a learner, which may not ask for one.
        None => None,
        Some(list) if list.status != 200 => None,
        Some(list) => {
            let list: MemberList =
                parse(&list.body).map_err(|why| unreadable(member, format!("its list of members {why}")))?;
            // Each reply is checked for itself: behind a balancer two requests may meet two processes.
            checked(record, member, &list.header)?;
            Some(list.members.into_iter().map(Entry::into_listed).collect())
        }
    };
    Ok(Answer { rung, cluster, member: id, role, listed, term: status.header.raft_term })
}

/// The cluster's and the member's identity, if they are those on record.
fn checked(record: &Record, member: &Member, header: &Header) -> Result<(String, String), Distrust> {
    let (Some(expected), Some(engine_id)) = (record.identity(), &member.engine_id) else {
        return Err(unreadable(member, "no identity is recorded to check it by"));
    };
    let (cluster, id) = (hexadecimal(header.cluster_id), hexadecimal(header.member_id));
    if cluster == expected.cluster && id == *engine_id {
        Ok((cluster, id))
    } else {
        Err(Distrust::WrongIdentity { member: member.name.clone(), cluster, id })
    }
}

fn unreadable(member: &Member, why: impl Into<String>) -> Distrust {
    Distrust::Unreadable { member: member.name.clone(), why: why.into() }
}

/// Parses one reply. The error names the place, never the content: whoever answered may be anyone.
fn parse<T: DeserializeOwned>(body: &str) -> Result<T, String> {
    serde_json::from_str(body)
        .map_err(|error| format!("is not etcd's (line {}, column {})", error.line(), error.column()))
}

#[derive(Deserialize)]
struct Header {
    #[serde(deserialize_with = "number")]
    cluster_id: u64,
    #[serde(deserialize_with = "number")]
    member_id: u64,
    #[serde(default, deserialize_with = "number")]
    raft_term: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    header: Header,
    /// Zero, which the gateway leaves out, means none is known.
    #[serde(default, deserialize_with = "number")]
    leader: u64,
    #[serde(default)]
    is_learner: bool,
}

#[derive(Deserialize)]
struct MemberList {
    header: Header,
    members: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "ID", deserialize_with = "number")]
    id: u64,
    #[serde(default)]
    is_learner: bool,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
}

impl Entry {
    fn into_listed(self) -> Listed {
        let ballot = if self.is_learner { Ballot::Learner } else { Ballot::Voter };
        let peers = self.peer_urls.iter().map(|url| super::member::address(url).to_owned()).collect();
        Listed { id: hexadecimal(self.id), ballot, peers }
    }
}

/// The gateway writes 64-bit numbers as decimal strings, since JSON numbers cannot hold them everywhere.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(u64),
    }
    match Either::deserialize(from)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
