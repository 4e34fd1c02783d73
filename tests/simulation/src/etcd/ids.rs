//! Identities, computed as etcd computes them. Written from etcd's rule, apart from the product: a check of it.

use std::{fmt, time::Duration};

use sha1::{Digest, Sha1};

use crate::entropy::BEGINNING;

/// The identity of a whole etcd cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterId(pub u64);

/// The identity of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(pub u64);

/// One process, from its start to its end. A restart is another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub u64);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0)
    }
}

/// What tells a member from others at the same address.
#[derive(Clone, Copy, Debug)]
pub(super) enum Salt<'a> {
    /// A founding's token.
    Token(&'a str),
    /// When a member was added to a cluster that runs.
    AddedAt(Duration),
}

/// A member's identity: a hash of its addresses in order, and the salt.
pub(super) fn member(urls: &[String], salt: Salt) -> MemberId {
    let mut urls: Vec<_> = urls.iter().map(String::as_str).collect();
    urls.sort_unstable();
    let mut text = urls.concat();
    match salt {
        Salt::Token(token) => text.push_str(token),
        Salt::AddedAt(now) => text.push_str(&(BEGINNING + now.as_secs()).to_string()),
    }
    MemberId(leading(text.as_bytes()))
}

/// A cluster's identity: a hash of its founders' identities in order.
pub(super) fn cluster(founders: impl IntoIterator<Item = MemberId>) -> ClusterId {
    let mut founders: Vec<_> = founders.into_iter().collect();
    founders.sort_unstable();
    let bytes: Vec<u8> = founders.iter().flat_map(|id| id.0.to_be_bytes()).collect();
    ClusterId(leading(&bytes))
}

/// The first eight bytes of the hash, as a number.
fn leading(bytes: &[u8]) -> u64 {
    let hash = Sha1::digest(bytes);
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn founders(token: &str, urls: &[&str]) -> (String, Vec<String>) {
        let ids: Vec<_> = urls.iter().map(|url| member(&[(*url).to_owned()], Salt::Token(token))).collect();
        (cluster(ids.iter().copied()).to_string(), ids.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn identities_are_those_that_real_processes_took() {
        let (cluster, ids) =
            founders("atoll", &["http://127.0.0.1:23001", "http://127.0.0.1:23011", "http://127.0.0.1:23021"]);
        assert_eq!(cluster, "8e081189572e0458");
        assert_eq!(ids, ["54a4b98259aad7f2", "62839fc01f7ff1b1", "85ff547dffb871b5"]);
        let (cluster, ids) =
            founders("uid.873.pvc", &["http://127.0.0.1:23501", "http://127.0.0.1:23511", "http://127.0.0.1:23521"]);
        assert_eq!((cluster.as_str(), ids[0].as_str()), ("1f08ad1084b3db2", "31f60156fd59fd"));
        assert_eq!(founders("uid.1.pvc", &["http://127.0.0.1:23301"]).0, "a675ee636918c94b");
    }

    #[test]
    fn the_product_computes_the_same_identities() {
        use atoll::engine::EngineKind;
        let token = "2f8d1c9e.3.7be0c1de";
        let addresses = ["etcd-0.etcd.ns.svc:2380", "10.0.0.7:31234", "[fd00::1]:2380"];
        let members: Vec<_> = ["c", "a", "b"].iter().zip(addresses).map(|(n, a)| ((*n).into(), a.to_owned())).collect();
        let expected = EngineKind::Etcd.knowledge().expected_identity(&members, token);
        let urls: Vec<_> = addresses.iter().map(|address| format!("http://{address}")).collect();
        let (cluster, ids) = founders(token, &urls.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(expected.cluster, cluster);
        assert_eq!(members.iter().map(|(name, _)| expected.members[name].clone()).collect::<Vec<_>>(), ids);
    }

    #[test]
    fn a_member_that_is_added_takes_its_identity_from_the_moment() {
        let urls = ["http://127.0.0.1:9".to_owned()];
        let at = |seconds| member(&urls, Salt::AddedAt(Duration::from_secs(seconds)));
        assert_eq!(at(5), at(5));
        assert_ne!(at(5), at(6));
    }
}
