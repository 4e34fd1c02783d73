//! etcd's cluster and member identities: a pure hash of peer URLs and token (DECISIONS 1).
//!
//! Every member of a static founding computes the same identities from its `--initial-cluster` and
//! `--initial-cluster-token`. Computing them here lets the record hold them before the first pod is made.

use std::collections::BTreeMap;

use sha1::{Digest, Sha1};

use crate::{engine::ExpectedIdentity, plan::name::MemberName};

/// The identity that a static founding with these peer URLs and this token will have.
///
/// A member with several peer URLs has several entries, one for each.
pub fn expected_identity(members: &[(MemberName, String)], token: &str) -> ExpectedIdentity {
    let mut urls: BTreeMap<&MemberName, Vec<&str>> = BTreeMap::new();
    for (name, url) in members {
        urls.entry(name).or_default().push(url);
    }
    let ids: BTreeMap<MemberName, u64> =
        urls.into_iter().map(|(name, urls)| (name.clone(), member_id(urls, token))).collect();
    ExpectedIdentity {
        cluster: hexadecimal(cluster_id(ids.values().copied().collect())),
        members: ids.into_iter().map(|(name, id)| (name, hexadecimal(id))).collect(),
    }
}

/// An identity as etcd prints it: lower case, without leading zeros.
pub(super) fn hexadecimal(id: u64) -> String {
    format!("{id:x}")
}

/// The member's peer URLs in order, then the token.
fn member_id(mut urls: Vec<&str>, token: &str) -> u64 {
    urls.sort_unstable();
    let mut hash = Sha1::new();
    for url in urls {
        hash.update(url.as_bytes());
    }
    hash.update(token.as_bytes());
    first_eight(hash)
}

/// The members' identities in order.
fn cluster_id(mut members: Vec<u64>) -> u64 {
    members.sort_unstable();
    let mut hash = Sha1::new();
    for id in members {
        hash.update(id.to_be_bytes());
    }
    first_eight(hash)
}

/// The hash's first eight bytes, most significant first.
fn first_eight(hash: Sha1) -> u64 {
    hash.finalize().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Token, members with their peer URL and identity, and the cluster's identity.
    type Founding = (&'static str, &'static [(&'static str, &'static str, &'static str)], &'static str);

    /// Each read from real etcd 3.5.35 processes that founded statically with these arguments.
    const FOUNDED: [Founding; 5] = [
        (
            "atoll",
            &[
                ("etcd-0", "http://127.0.0.1:23001", "54a4b98259aad7f2"),
                ("etcd-1", "http://127.0.0.1:23011", "62839fc01f7ff1b1"),
                ("etcd-2", "http://127.0.0.1:23021", "85ff547dffb871b5"),
            ],
            "8e081189572e0458",
        ),
        // Names in another order than addresses: names do not matter to identities.
        (
            "2f8d1c9e-5a7b-4b52-9a3e-6c1d0f4e7a91.1.7be0c1de-93f4-4b07-8d6a-51a2b3c4d5e6",
            &[
                ("b-2", "http://localhost:23101", "afc30e9e77867db4"),
                ("a-1", "http://localhost:23111", "36a27d74f45bf3af"),
                ("c-0", "http://localhost:23121", "1b04bf80b137bf46"),
            ],
            "25ff531d176e9ba4",
        ),
        (
            "uid.2.pvc",
            &[
                ("m0", "http://127.0.0.1:23201", "a1c0a0095ea9a4a2"),
                ("m1", "http://127.0.0.1:23211", "6d917920917f6d83"),
                ("m2", "http://127.0.0.1:23221", "4d91aa72ec327843"),
            ],
            "16eb83cc10172a75",
        ),
        ("uid.1.pvc", &[("only", "http://127.0.0.1:23301", "aeb7f08b5044cfa6")], "a675ee636918c94b"),
        // The cluster's identity and one member's begin with zeros, which etcd does not print.
        (
            "uid.873.pvc",
            &[
                ("etcd-0", "http://127.0.0.1:23501", "31f60156fd59fd"),
                ("etcd-1", "http://127.0.0.1:23511", "ac15f073db59a4d1"),
                ("etcd-2", "http://127.0.0.1:23521", "34c4df4ea823f77a"),
            ],
            "1f08ad1084b3db2",
        ),
    ];

    fn peers(members: &[(&str, &str, &str)]) -> Vec<(MemberName, String)> {
        members.iter().map(|(name, url, _)| (MemberName::from(*name), (*url).to_owned())).collect()
    }

    #[test]
    fn the_identity_is_the_one_that_a_real_etcd_takes() {
        for (token, members, cluster) in FOUNDED {
            let expected = expected_identity(&peers(members), token);
            assert_eq!(expected.cluster, cluster, "cluster of {token}");
            for (name, _, id) in members {
                assert_eq!(expected.members[&MemberName::from(*name)], *id, "{name} of {token}");
            }
        }
    }

    #[test]
    fn the_order_in_which_members_are_given_does_not_matter() {
        let (token, members, _) = FOUNDED[1];
        let mut reversed = peers(members);
        reversed.reverse();
        assert_eq!(expected_identity(&peers(members), token), expected_identity(&reversed, token));
    }

    #[test]
    fn another_token_is_another_cluster_with_other_members() {
        let (_, members, _) = FOUNDED[0];
        let (one, two) =
            (expected_identity(&peers(members), "uid.1.pvc"), expected_identity(&peers(members), "uid.2.pvc"));
        assert_ne!(one.cluster, two.cluster);
        assert!(one.members.iter().all(|(name, id)| two.members[name] != *id));
    }
}
