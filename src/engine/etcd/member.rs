//! What one etcd member runs.

use k8s_openapi::api::core::v1::Container;

use crate::{
    engine::Start,
    plan::{
        database::Database,
        record::{Member, Record},
    },
};

/// The URL under which peers know a member.
pub fn peer_url(peer: &str) -> String {
    format!("http://{peer}")
}

/// The container of one member.
pub fn container(
    _database: &Database,
    _record: &Record,
    _member: &Member,
    _start: Start,
) -> Container {
    Container::default()
}
