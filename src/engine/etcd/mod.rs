//! etcd: what its members run, how its identity comes about, what its answers mean.

mod command;
mod identity;
pub mod member;
mod read;
mod spoilt;
pub mod versions;

use k8s_openapi::api::core::v1::Container;

use super::{
    Distrust, ExpectedIdentity, HttpReply, HttpRequest, Knowledge, Port, Ports, Question, Refused, Start, Upgrade,
    Version,
};
use crate::plan::{
    command::Wish,
    membership::{Answer, Rung},
    name::MemberName,
    record::{Member, Record},
};

/// What is known of etcd.
pub struct Etcd;

impl Knowledge for Etcd {
    fn ports(&self) -> Ports {
        Ports {
            client: Port { name: "client", number: 2379 },
            peer: Port { name: "peer", number: 2380 },
            others: &[Port { name: "metrics", number: 2381 }],
        }
    }

    fn forbidden_env(&self) -> &'static [&'static str] {
        &member::FORBIDDEN_ENV
    }

    fn expected_identity(&self, members: &[(MemberName, String)], token: &str) -> ExpectedIdentity {
        let urls: Vec<_> = members.iter().map(|(name, peer)| (name.clone(), member::url(peer))).collect();
        identity::expected_identity(&urls, token)
    }

    fn container(&self, record: &Record, member: &Member, start: Start) -> Container {
        member::container(record, member, start)
    }

    fn no_op(&self) -> Vec<String> {
        vec!["/usr/local/bin/etcd".to_owned(), "--version".to_owned()]
    }

    fn question(&self, member: &Member) -> Question {
        read::question(member)
    }

    fn read(&self, record: &Record, member: &Member, rung: Rung, replies: &[HttpReply]) -> Result<Answer, Distrust> {
        read::read(record, member, rung, replies)
    }

    fn is_spoilt(&self, last_words: &str) -> bool {
        spoilt::is_spoilt(last_words)
    }

    fn command(&self, wish: &Wish) -> HttpRequest {
        command::command(wish)
    }

    fn obeyed(&self, reply: &HttpReply) -> Result<(), Refused> {
        command::obeyed(reply)
    }

    fn upgrade(&self, from: &Version, to: &Version) -> Result<Upgrade, String> {
        versions::step(from, to).map_err(|refused| refused.to_string())
    }

    fn may_grow(&self, version: &Version) -> Result<(), String> {
        versions::may_grow(version)
    }
}
