//! D1: what a database has acknowledged is there in the end.

use std::collections::BTreeMap;

use super::{
    Truth, liveness,
    look::{self, called, engine_id, members, record, text},
    sight::majority,
};
use crate::etcd::ClusterId;

/// Acknowledged writes that are lost, in words. `acknowledged` has the last value of each database's (UID) and key.
///
/// Databases that are gone went with their data; of one that has lost a majority of its members to somebody else's hand,
/// nothing can be asked.
pub fn durable(truth: &Truth, acknowledged: &BTreeMap<(String, String), String>) -> Vec<String> {
    let mut held: BTreeMap<&str, Held> = BTreeMap::new();
    let mut lost = Vec::new();
    for ((database, key), value) in acknowledged {
        match held.entry(database).or_insert_with(|| look_up(truth, database)) {
            Held::Nobody => {}
            Held::Silence(words) => lost.extend(words.take()),
            Held::Keys(called, keys) => {
                lost.extend(missing(key, value, keys.get(key)).map(|why| format!("database {called}: {why}")));
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

fn look_up(truth: &Truth, database: &str) -> Held {
    let Some(found) = look::database(truth, database) else { return Held::Nobody };
    let Some(record) = record(&found) else { return Held::Nobody };
    let cluster = engine_id(text(record, "/stage/cluster")).map(ClusterId);
    // By whatever label its processes started with: a database may have been taken over since.
    let views = truth.etcds.inspect();
    let own = views.iter().filter(|view| view.cluster_id == cluster && cluster.is_some());
    let mut histories =
        own.flat_map(|view| truth.etcds.history(&view.owner)).filter(|held| Some(held.cluster_id) == cluster);
    if let Some(history) = histories.next() {
        return Held::Keys(called(&found), history.keys);
    }
    let all = members(record).count();
    let hurt = liveness::damage(truth, &found).len();
    if all.saturating_sub(hurt) < majority(all) {
        return Held::Nobody;
    }
    Held::Silence(Some(format!("database {}: nobody leads it who could tell what it holds", called(&found))))
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
