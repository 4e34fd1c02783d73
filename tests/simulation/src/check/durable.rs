//! D1: what a database has acknowledged is there in the end.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    Truth, damage,
    look::{self, called, engine_id, members, record, text, votes},
    request::DATABASES,
    sight::majority,
};
use crate::{etcd::ClusterId, tape::Acknowledged};

/// Acknowledged writes that are lost, in words.
///
/// Databases that are gone went with their data, unless another resource has taken them over; of one that has lost a
/// majority of its members to somebody else's hand, nothing can be asked.
pub fn durable(truth: &Truth, acknowledged: &Acknowledged) -> Vec<String> {
    let mut held: BTreeMap<(&str, ClusterId), Held> = BTreeMap::new();
    let mut lost = Vec::new();
    for ((database, key), written) in acknowledged {
        match held.entry((database, written.by)).or_insert_with(|| look_up(truth, database, written.by)) {
            Held::Nobody => {}
            Held::Silence(words) => lost.extend(words.take()),
            Held::Keys(called, keys) => {
                let why = missing(key, &written.value, keys.get(key));
                lost.extend(why.map(|why| format!("database {called}: {why}")));
            }
        }
    }
    lost
}

/// What a database holds now.
enum Held {
    /// It is gone, or hurt beyond asking.
    Nobody,
    /// It should answer and does not; said once.
    Silence(Option<String>),
    /// Its name, keys and values.
    Keys(String, BTreeMap<String, String>),
}

/// What has become of a database, and of the cluster that acknowledged its writes.
fn look_up(truth: &Truth, database: &str, by: ClusterId) -> Held {
    let Some(found) = look::database(truth, database).or_else(|| successor(truth, by)) else { return Held::Nobody };
    let Some(record) = record(&found) else { return Held::Nobody };
    // What only those had who were given up is lost by a person's word.
    if !record["recovered"].is_null() {
        return Held::Nobody;
    }
    let cluster = serves(record);
    // An attempt at founding that nobody knew to have served went with all of its volumes: another one begins nowhere else
    // (A2).
    if cluster != Some(by) && record["stage"]["attempt"].as_u64() > Some(1) {
        return Held::Nobody;
    }
    if cluster != Some(by) && is_anothers(truth, database, by) {
        return Held::Nobody;
    }
    // By whatever label its processes started with: a database may have been taken over since.
    let views = truth.etcds.inspect();
    let own = views.iter().filter(|view| view.cluster_id == cluster && cluster.is_some());
    let mut histories =
        own.flat_map(|view| truth.etcds.history(&view.owner)).filter(|held| Some(held.cluster_id) == cluster);
    if let Some(history) = histories.next() {
        return Held::Keys(called(&found), history.keys);
    }
    let all = members(record).filter(|member| votes(member)).count();
    let hurt = damage::damage(truth, &found).len();
    if all.saturating_sub(hurt) < majority(all) {
        return Held::Nobody;
    }
    Held::Silence(Some(format!("database {}: nobody leads it who could tell what it holds", called(&found))))
}

/// Whether a cluster was founded for another resource, which is gone: a person let it go while a worker could not be seen,
/// and there it answers to the name of both until that worker returns.
fn is_anothers(truth: &Truth, database: &str, cluster: ClusterId) -> bool {
    let foundings = truth.etcds.foundings();
    let mut owners = foundings.iter().filter(|founding| founding.cluster_id == cluster).map(|founding| &founding.owner);
    owners.any(|owner| owner != database && look::database(truth, owner).is_none())
}

/// The cluster that a record speaks of.
fn serves(record: &Value) -> Option<ClusterId> {
    engine_id(text(record, "/stage/cluster")).map(ClusterId)
}

/// The resource that has taken this cluster over from one that is gone.
fn successor(truth: &Truth, cluster: ClusterId) -> Option<Arc<Value>> {
    look::all(truth, look::MASTER, DATABASES).into_iter().find(|found| record(found).and_then(serves) == Some(cluster))
}

/// What has become of one acknowledged write, if it is lost.
fn missing(key: &str, value: &str, there: Option<&String>) -> Option<String> {
    match there {
        None => Some(format!("{key}={value} was acknowledged, and {key} is gone")),
        Some(there) if there == value || later(there, value) => None,
        Some(there) => Some(format!("{key}={value} was acknowledged, and {key} is {there}")),
    }
}

/// Whether a value was written after another: clients number them. One that nobody answered may have taken effect.
fn later(there: &str, acknowledged: &str) -> bool {
    let number = |value: &str| value.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    number(there).zip(number(acknowledged)).is_some_and(|(there, acknowledged)| there > acknowledged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledged_write_is_there_or_a_later_one_is() {
        for (there, fine) in [
            (Some("value-7"), true),
            (Some("value-12"), true),
            (Some("value-6"), false),
            (Some("else"), false),
            (None, false),
        ] {
            let there = there.map(str::to_owned);
            assert_eq!(missing("key-1", "value-7", there.as_ref()).is_none(), fine, "{there:?}");
        }
    }
}
