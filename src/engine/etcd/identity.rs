//! etcd's cluster and member identities: a pure hash of peer URLs and token (DECISIONS 1).

use crate::{engine::ExpectedIdentity, plan::name::MemberName};

/// The identity that a static founding with these peer URLs and this token will have.
pub fn expected_identity(_members: &[(MemberName, String)], _token: &str) -> ExpectedIdentity {
    ExpectedIdentity { cluster: String::new(), members: std::collections::BTreeMap::new() }
}
