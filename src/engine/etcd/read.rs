//! Reading etcd's answers.

use crate::{
    engine::{Distrust, Exchange, HttpReply, Question},
    plan::{
        membership::{Answer, Rung},
        record::{Member, Record},
    },
};

/// What to ask one member.
pub fn question(member: &Member) -> Question {
    Question { member: member.name.clone(), port: 2379, exchange: Exchange::Http(Vec::new()) }
}

/// Reads its replies.
pub fn read(_record: &Record, member: &Member, _rung: Rung, _replies: &[HttpReply]) -> Result<Answer, Distrust> {
    Err(Distrust::Unreadable { member: member.name.clone(), why: "no reply".to_owned() })
}
