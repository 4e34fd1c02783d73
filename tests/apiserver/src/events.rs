//! Events are one resource with two faces: `v1`, as which they are stored, and `events.k8s.io/v1`.

use serde_json::Value;

pub(crate) const GROUP: &str = "events.k8s.io";

/// What the fields are called in `v1`, and in `events.k8s.io/v1`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

pub(crate) fn from_core(event: &mut Value) {
    rename(event, "events.k8s.io/v1", |(core, new)| (core, new));
}

pub(crate) fn to_core(event: &mut Value) {
    rename(event, "v1", |(core, new)| (new, core));
}

fn rename(
    event: &mut Value,
    version: &str,
    way: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Some(map) = event.as_object_mut() else { return };
    map.insert("apiVersion".to_owned(), version.into());
    for (from, to) in NAMES.map(way) {
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_survives_the_way_there_and_back() {
        let event =
            json!({ "apiVersion": "events.k8s.io/v1", "note": "n", "regarding": { "kind": "Pod" }, "reason": "R" });
        let mut other = event.clone();
        to_core(&mut other);
        assert_eq!(
            other,
            json!({ "apiVersion": "v1", "message": "n", "involvedObject": { "kind": "Pod" }, "reason": "R" })
        );
        from_core(&mut other);
        assert_eq!(other, event);
    }
}
