//! The labels and annotations of everything that Atoll puts in a worker: who it belongs to, and what it was made from.
//!
//! Ownership across clusters is told by labels only: an ownerReference to an object of the master would make the
//! worker's garbage collector delete live data (DESIGN section 4).

use std::collections::BTreeMap;

use super::{
    database::{Database, DatabaseKey},
    name::{MemberName, Namespace, Uid},
};

/// `app.kubernetes.io/managed-by`, always [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`], and our field manager.
pub const MANAGER: &str = "atoll";
/// The UID of the kube-system namespace of the master that owns the object.
pub const MASTER: &str = "atoll.dev/master";
/// The kind of the resource in the master, as `kind.group`.
pub const DATABASE_KIND: &str = "atoll.dev/kind";
/// The namespace of the resource in the master.
pub const DATABASE_NAMESPACE: &str = "atoll.dev/namespace";
/// The name of the resource in the master.
pub const DATABASE_NAME: &str = "atoll.dev/name";
/// The UID of the resource in the master.
pub const DATABASE_UID: &str = "atoll.dev/uid";
/// The namespace that the object was made in, where it is not the one of the resource's own name. A copy in another
/// namespace (a restored backup, say) is told by it.
pub const WORKER_NAMESPACE: &str = "atoll.dev/worker-namespace";
/// The member that the object belongs to.
pub const MEMBER: &str = "atoll.dev/member";
/// What a pod is for: [`PART_MEMBER`] or [`PART_ADDRESS`]. Services select only the former.
pub const PART: &str = "atoll.dev/part";
/// A member's own pod.
pub const PART_MEMBER: &str = "member";
/// A placeholder that finds out a member's node.
pub const PART_ADDRESS: &str = "address";
/// Annotation: a digest of what the object was rendered from, to tell drift without comparing server defaults.
pub const RENDERED: &str = "atoll.dev/rendered";
/// Annotation on a volume claim: its member's part of the record (DECISIONS 5).
pub const MEMBER_RECORD: &str = "atoll.dev/member-record";
/// Annotation on a pod: the version that it runs.
pub const VERSION: &str = "atoll.dev/version";
/// Annotation on a pod that forgets all other members when it starts.
pub const ALONE: &str = "atoll.dev/alone";
/// Annotation on a pod that founds: with how many, itself among them.
pub const FOUNDERS: &str = "atoll.dev/founders";
/// Annotation on a pod that joins: a digest of whom it is told of as it starts.
pub const PEERS: &str = "atoll.dev/peers";

/// The selector by which Atoll watches its own objects, and nothing else, in a worker.
#[must_use]
pub fn selector(master: &Uid) -> String {
    format!("{MANAGED_BY}={MANAGER},{MASTER}={master}")
}

/// The selector of one database's objects, of whichever UID.
#[must_use]
pub fn database_selector(master: &Uid, key: &DatabaseKey) -> String {
    format!(
        "{},{DATABASE_KIND}={},{DATABASE_NAMESPACE}={},{DATABASE_NAME}={}",
        selector(master),
        key.kind.label(),
        key.namespace,
        key.name
    )
}

/// The labels that identify an object in this namespace of a worker as ours and as this database's. A manifest's own
/// labels never override them.
#[must_use]
pub fn owned(master: &Uid, database: &Database, home: &Namespace) -> BTreeMap<String, String> {
    let id = &database.id;
    let elsewhere = (*home != id.namespace).then_some((WORKER_NAMESPACE, home.as_str()));
    [
        (MANAGED_BY, MANAGER),
        ("app.kubernetes.io/name", database.engine.kind.as_str()),
        ("app.kubernetes.io/instance", id.name.as_str()),
        ("app.kubernetes.io/component", database.component.as_str()),
        (MASTER, master.as_str()),
        (DATABASE_KIND, id.kind.label()),
        (DATABASE_NAMESPACE, id.namespace.as_str()),
        (DATABASE_NAME, id.name.as_str()),
        (DATABASE_UID, id.uid.as_str()),
    ]
    .into_iter()
    .chain(elsewhere)
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// The labels of what belongs to one member: its pod, its volumes, its services.
#[must_use]
pub fn of_member(master: &Uid, database: &Database, member: &MemberName, home: &Namespace) -> BTreeMap<String, String> {
    let mut labels = owned(master, database, home);
    labels.insert(MEMBER.to_owned(), member.to_string());
    labels
}

/// What a service selects one member's pod by.
#[must_use]
pub fn member_selector(master: &Uid, database: &Database, member: &MemberName) -> BTreeMap<String, String> {
    let mut selector = database_pods(master, database);
    selector.insert(MEMBER.to_owned(), member.to_string());
    selector
}

/// What a service selects all of a database's pods by: not its UID, so that a database which is taken over by a new
/// resource (annotation `atoll.dev/adopt`) keeps its services as they are.
#[must_use]
pub fn database_pods(master: &Uid, database: &Database) -> BTreeMap<String, String> {
    let id = &database.id;
    [
        (MASTER, master.as_str()),
        (DATABASE_KIND, id.kind.label()),
        (DATABASE_NAMESPACE, id.namespace.as_str()),
        (DATABASE_NAME, id.name.as_str()),
        (PART, PART_MEMBER),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}
