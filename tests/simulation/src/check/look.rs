//! Looking at objects as they really are: labels, records, owners. Nothing here trusts the code that is being checked,
//! but for the names of its labels and fields.

use std::sync::Arc;

use apiserver::Place;
use atoll::plan::labels;
use serde_json::Value;

use super::{
    Truth,
    request::{DATABASES, NAMESPACES, WORKERS},
};
use crate::tape::Site;

pub use crate::place::MASTER;

/// The finalizer by which the controller holds a database's resource.
pub const FINALIZER: &str = "atoll.dev/database";

/// How long news may take to reach the controller before it counts as known: what changed a moment ago could not have
/// been seen.
pub const HEARD: std::time::Duration = std::time::Duration::from_secs(2);

/// An object of a cluster.
pub fn object(truth: &Truth, site: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
    let place = Place { resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
    truth.servers.get(site)?.get(&place)
}

/// All objects of a kind in a cluster.
pub fn all(truth: &Truth, site: &str, resource: &str) -> Vec<Arc<Value>> {
    truth.servers.get(site).map(|server| server.list(resource)).unwrap_or_default()
}

/// Which cluster this is: the UID of its kube-system namespace.
pub fn identity(truth: &Truth, site: &str) -> Option<String> {
    let namespace = object(truth, site, NAMESPACES, "", "kube-system")?;
    Some(uid(&namespace).to_owned())
}

/// The cluster of this identity, if it can still be found.
pub fn site_of<'a>(truth: &'a Truth, wanted: &str) -> Option<&'a Site> {
    truth.servers.keys().find(|site| identity(truth, site).as_deref() == Some(wanted))
}

/// The database with this UID.
pub fn database(truth: &Truth, wanted: &str) -> Option<Arc<Value>> {
    all(truth, MASTER, DATABASES).into_iter().find(|database| uid(database) == wanted)
}

/// The registration of this name.
pub fn worker(truth: &Truth, name: &str) -> Option<Arc<Value>> {
    object(truth, MASTER, WORKERS, "", name)
}

/// The debts of every registration that is pinned to this cluster.
pub fn debts(truth: &Truth, site: &str) -> Vec<Value> {
    let Some(here) = identity(truth, site) else { return Vec::new() };
    let workers = all(truth, MASTER, WORKERS);
    let pinned = workers.iter().filter(|worker| text(worker, "/status/identity") == here);
    let debts = pinned.flat_map(|worker| worker["status"]["debts"].as_array().cloned().unwrap_or_default());
    debts.filter(|debt| text(debt, "/workerIdentity") == here).collect()
}

/// Whether a person has let go of a worker for this database.
pub fn lets_go(database: &Value, worker: &str) -> bool {
    let wanted = format!("{}/{worker}", uid(database));
    annotation(database, "atoll.dev/release-worker").split(',').any(|word| word.trim() == wanted)
}

/// A text in an object, empty where there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A condition in an object's status; null where there is none.
pub fn condition_of<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

/// Status and reason of a condition; empty where there is none.
pub fn condition<'a>(object: &'a Value, kind: &str) -> (&'a str, &'a str) {
    let condition = condition_of(object, kind);
    (text(condition, "/status"), text(condition, "/reason"))
}

/// `metadata.uid`.
pub fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// `metadata.name`.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// `metadata.namespace`.
pub fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

/// A label, empty where there is none.
pub fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["labels"][key].as_str().unwrap_or_default()
}

/// An annotation, empty where there is none.
pub fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["annotations"][key].as_str().unwrap_or_default()
}

/// Whether it is on its way out.
pub fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The UID of the database that an object says it belongs to.
pub fn owner(object: &Value) -> &str {
    label(object, labels::DATABASE_UID)
}

/// The member that an object says it belongs to.
pub fn member(object: &Value) -> &str {
    label(object, labels::MEMBER)
}

/// Whether it is a member's own pod.
pub fn is_member_pod(object: &Value) -> bool {
    label(object, labels::PART) == labels::PART_MEMBER
}

/// What an object's labels lack to make it ours, if anything.
pub fn foreign(object: &Value, master: &str) -> Option<String> {
    if label(object, labels::MANAGED_BY) != labels::MANAGER {
        return Some(format!("it has no label {}={}", labels::MANAGED_BY, labels::MANAGER));
    }
    match label(object, labels::MASTER) {
        "" => return Some(format!("it has no label {}", labels::MASTER)),
        owner if owner != master => return Some(format!("it belongs to the master {owner}")),
        _ => {}
    }
    let of_database = [labels::DATABASE_KIND, labels::DATABASE_NAMESPACE, labels::DATABASE_NAME, labels::DATABASE_UID];
    of_database.into_iter().find(|key| label(object, key).is_empty()).map(|key| format!("it has no label {key}"))
}

/// Whether somebody has copied it into another namespace than the one that it was made in: such a copy is nobody's.
pub fn is_copy(object: &Value) -> bool {
    let made_in = match label(object, labels::WORKER_NAMESPACE) {
        "" => label(object, labels::DATABASE_NAMESPACE),
        elsewhere => elsewhere,
    };
    namespace(object) != made_in
}

/// The namespace in its worker of a member of a database, by the record.
pub fn home<'a>(database: &'a Value, recorded: &'a Value) -> &'a str {
    match text(recorded, "/namespace") {
        "" => namespace(database),
        elsewhere => elsewhere,
    }
}

/// The record of a database, if it is its own.
pub fn record(database: &Value) -> Option<&Value> {
    let record = database.pointer("/status/atoll").filter(|record| record.is_object())?;
    (record["uid"] == database["metadata"]["uid"]).then_some(record)
}

/// How far a database has come, by its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Members have workers.
    Placed,
    /// The identity is announced.
    Founding,
    /// It has served.
    Founded,
    /// All have served.
    Established,
}

/// How far a record says that its database has come.
pub fn stage(record: &Value) -> Option<Stage> {
    match text(record, "/stage/phase") {
        "placed" => Some(Stage::Placed),
        "founding" => Some(Stage::Founding),
        "founded" => Some(Stage::Founded),
        "established" => Some(Stage::Established),
        _ => None,
    }
}

/// The members of a record.
pub fn members(record: &Value) -> impl Iterator<Item = &Value> {
    record["members"].as_array().into_iter().flatten()
}

/// A recorded member's part: `voter`, `joining`, `leaving` or `removed`.
pub fn part(member: &Value) -> &str {
    match text(member, "/part") {
        "" => "voter",
        part => part,
    }
}

/// Whether a member has left for good, by the record.
pub fn is_gone(member: &Value) -> bool {
    ["removed", "givenUp"].contains(&part(member))
}

/// Whether a member has a vote, by the record.
pub fn votes(member: &Value) -> bool {
    ["voter", "leaving"].contains(&part(member))
}

/// Whether an object is of members that have left their database for good, or never got a vote in it: by the record, and
/// by what every process of that database says. The words say why not.
pub fn has_left(truth: &Truth, site: &str, object: &Value) -> Result<(), String> {
    let database = database(truth, owner(object)).ok_or("its database is not in the master")?;
    let record = record(&database).ok_or("its database has no record")?;
    let here = identity(truth, site).unwrap_or_default();
    let of: Vec<_> = match member(object) {
        // What all members of a cluster share, or what leads from there to others.
        of if of.is_empty() || is_service(object) && stays_elsewhere(record, of, &here) => {
            members(record).filter(|member| text(member, "/workerIdentity") == here).collect()
        }
        of => members(record).filter(|member| text(member, "/name") == of).collect(),
    };
    if of.is_empty() {
        return Err("the record does not know whose it is".to_owned());
    }
    let views = truth.etcds.inspect();
    for member in of {
        let (called, part) = (text(member, "/name"), part(member));
        if !is_gone(member) {
            return Err(format!("{called} has not left: its part is {part}"));
        }
        let cluster = engine_id(text(record, "/stage/cluster"));
        let id = engine_id(text(member, "/engineId"));
        let own = views.iter().filter(|view| view.cluster_id.map(|id| id.0) == cluster);
        // Whoever lags behind, or was removed, lists what was.
        let newest = own.filter(|view| view.serving).max_by_key(|view| view.term);
        if let Some(view) = newest.filter(|view| view.voters.iter().any(|voter| Some(voter.0) == id)) {
            return Err(format!("{called} is recorded as removed, and {} lists it as a voter", view.pod));
        }
    }
    Ok(())
}

/// Whether it is a service, by what only services have.
fn is_service(object: &Value) -> bool {
    object["spec"]["selector"].is_object() && object["spec"]["ports"].is_array()
}

/// Whether a member is recorded in another cluster, where it stays, or not at all.
fn stays_elsewhere(record: &Value, of: &str, here: &str) -> bool {
    recorded(record, of).is_none_or(|member| !is_gone(member) && text(member, "/workerIdentity") != here)
}

/// The member of this name.
pub fn recorded<'a>(record: &'a Value, name: &str) -> Option<&'a Value> {
    members(record).find(|member| member["name"].as_str() == Some(name))
}

/// An identity of etcd, as records and etcd itself print it.
pub fn engine_id(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// `NAMESPACE/NAME` of an object.
pub fn called(object: &Value) -> String {
    match namespace(object) {
        "" => name(object).to_owned(),
        namespace => format!("{namespace}/{}", name(object)),
    }
}
