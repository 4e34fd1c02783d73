//! etcd: what its members run, how its identity comes about, what its answers mean.

use k8s_openapi::api::core::v1::Container;

use super::{Distrust, ExpectedIdentity, HttpReply, Knowledge, Port, Ports, Question, Start};
use crate::plan::{
    database::Database,
    membership::{Answer, Rung},
    name::MemberName,
    record::{Member, Record},
};

/// What is known of etcd.
pub struct Etcd;
