//! The kinds of objects that sequences are about: bodies, changes that are valid, changes that are not.
//!
//! All of it is data: JSON texts, and pairs of a JSON pointer and a JSON text to put there (null removes).

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::step::put;

mod cluster;
mod custom;
mod jobs;
mod plain;
mod pods;
mod services;
mod storage;

/// A JSON pointer and what to put there, as JSON.
pub type Change = (&'static str, &'static str);

/// A kind of objects.
#[derive(Debug)]
pub struct Kind {
    /// `Pod`.
    pub kind: &'static str,
    /// `v1`, `batch/v1`.
    pub api: &'static str,
    /// `pods`.
    pub plural: &'static str,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether its status is written apart.
    pub status: bool,
    /// Whether it takes strategic merge patches.
    pub builtin: bool,
    /// Objects without metadata.
    pub bodies: &'static [&'static str],
    /// What may be different in a new object.
    pub variations: &'static [Change],
    /// What may be changed later.
    pub changes: &'static [Change],
    /// What makes an object, or a change of it, invalid.
    pub mistakes: &'static [Change],
    /// Strategic merge patches.
    pub strategic: &'static [&'static str],
    /// What managers apply.
    pub applied: &'static [&'static str],
    /// Whole statuses.
    pub statuses: &'static [&'static str],
    /// Statuses that are invalid.
    pub bad_statuses: &'static [&'static str],
}

/// What tells a kind from an empty one.
const NOTHING: Kind = Kind {
    kind: "",
    api: "v1",
    plural: "",
    namespaced: true,
    status: true,
    builtin: true,
    bodies: &["{}"],
    variations: &[],
    changes: &[],
    mistakes: &[],
    strategic: &[],
    applied: &["{}"],
    statuses: &["{}"],
    bad_statuses: &[],
};

/// All kinds, and how often a sequence is about them.
pub const KINDS: &[(usize, &Kind)] = &[
    (24, &pods::PODS),
    (16, &services::SERVICES),
    (10, &storage::CLAIMS),
    (8, &jobs::JOBS),
    (6, &plain::SECRETS),
    (8, &plain::CONFIG_MAPS),
    (6, &plain::NAMESPACES),
    (6, &plain::LEASES),
    (8, &custom::K8S_CLUSTERS),
    (8, &custom::CLUSTERS),
    (12, &custom::THINGS),
    (3, &cluster::SERVICE_ACCOUNTS),
    (4, &cluster::NODES),
    (3, &cluster::VOLUMES),
    (2, &cluster::CLASSES),
    (4, &cluster::EVENTS),
    (2, &cluster::BUDGETS),
];

/// Metadata that any object may have.
pub const METADATA: &[Change] = &[
    ("/metadata/labels/app", r#""x""#),
    ("/metadata/labels/app", r#""y""#),
    ("/metadata/labels/tier", r#""1""#),
    ("/metadata/labels/app", "null"),
    ("/metadata/annotations/note", r#""something""#),
    ("/metadata/annotations/note", "null"),
    ("/metadata/annotations", r#"{"example.com/a":"1","b":""}"#),
    ("/metadata/finalizers", r#"["atoll.dev/hold"]"#),
    ("/metadata/finalizers", r#"["atoll.dev/hold","example.com/other"]"#),
    ("/metadata/finalizers", "[]"),
    (
        "/metadata/ownerReferences",
        r#"[{"apiVersion":"v1","kind":"PersistentVolumeClaim","name":"a","uid":"00000000-0000-4000-8000-000000000001","controller":true}]"#,
    ),
    (
        "/metadata/ownerReferences",
        r#"[{"apiVersion":"v1","kind":"Pod","name":"a","uid":"00000000-0000-4000-8000-000000000002"},
            {"apiVersion":"v1","kind":"Pod","name":"b","uid":"00000000-0000-4000-8000-000000000003","blockOwnerDeletion":true}]"#,
    ),
    ("/metadata/generation", "7"),
    ("/metadata/creationTimestamp", r#""2020-01-01T00:00:00Z""#),
    ("/metadata/selfLink", r#""/x""#),
];

/// Metadata that no object may have.
pub const BAD_METADATA: &[Change] = &[
    ("/metadata/labels/-bad", r#""x""#),
    ("/metadata/labels/app", r#""not a value""#),
    ("/metadata/labels", r#"["x"]"#),
    ("/metadata/labels/app", "1"),
    ("/metadata/annotations/not a key", r#""x""#),
    ("/metadata/finalizers", r#"["not a finalizer"]"#),
    ("/metadata/finalizers", r#"["plain"]"#),
    ("/metadata/ownerReferences", r#"[{"apiVersion":"v1","kind":"Pod","name":"a"}]"#),
    (
        "/metadata/ownerReferences",
        r#"[{"apiVersion":"v1","kind":"Pod","name":"a","uid":"u-1","controller":true},
            {"apiVersion":"v1","kind":"Pod","name":"b","uid":"u-2","controller":true}]"#,
    ),
    ("/metadata/namespace", r#""elsewhere""#),
    ("/metadata/name", r#""UPPER""#),
    ("/metadata/name", r#""dots.and-dashes-""#),
    ("/metadata", r#""text""#),
    ("/metadata/creationTimestamp", r#""yesterday""#),
    ("/metadata/uid", r#""00000000-0000-4000-8000-00000000000f""#),
    ("/metadata/resourceVersion", r#""abc""#),
    ("/metadata/deletionTimestamp", r#""2020-01-01T00:00:00Z""#),
    ("/kind", r#""Elsewhat""#),
    ("/kind", "null"),
    ("/apiVersion", r#""v9""#),
    ("/apiVersion", "null"),
    ("/unknownField", "1"),
    ("/metadata/unknownField", r#"{"x":1}"#),
];

impl Kind {
    /// The path of the collection: `/api/v1/namespaces/{{ns}}/pods`.
    pub fn collection(&self) -> String {
        if self.namespaced {
            format!("{}/namespaces/{{{{ns}}}}/{}", self.root(), self.plural)
        } else {
            format!("{}/{}", self.root(), self.plural)
        }
    }

    /// The path of the collection in all namespaces.
    pub fn everywhere(&self) -> String {
        format!("{}/{}", self.root(), self.plural)
    }

    fn root(&self) -> String {
        if self.api.contains('/') { format!("/apis/{}", self.api) } else { format!("/api/{}", self.api) }
    }

    /// What an object of this short name is really called.
    pub fn name(&self, short: &str) -> String {
        if self.namespaced { short.to_owned() } else { format!("{{{{ns}}}}-{short}") }
    }

    /// Its API group; empty for the core one.
    pub fn group(&self) -> &'static str {
        self.api.split_once('/').map_or("", |(group, _)| group)
    }

    /// The path of an object of this (real) name.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.collection())
    }

    /// The simplest object.
    pub fn plain(&self, name: &str) -> Value {
        let mut object = parse(self.bodies[0]);
        self.stamp(&mut object, name);
        put(&mut object, "/metadata/labels", json!({ "seq": "{{ns}}" }));
        object
    }

    /// A valid object of this (real) name.
    pub fn object(&self, dice: &mut Dice, name: &str) -> Value {
        let mut object = parse(dice.pick(self.bodies));
        self.stamp(&mut object, name);
        put(&mut object, "/metadata/labels", json!({ "seq": "{{ns}}", "app": dice.choose(&["x", "y"]) }));
        for _ in 0..dice.below(3) {
            self.vary(dice, &mut object);
        }
        object
    }

    fn vary(&self, dice: &mut Dice, object: &mut Value) {
        let (pointer, value) = if self.variations.is_empty() || dice.percent(35) {
            dice.choose(METADATA)
        } else {
            dice.choose(self.variations)
        };
        put(object, pointer, parse(value));
    }

    /// Says what it is.
    pub fn stamp(&self, object: &mut Value, name: &str) {
        put(object, "/apiVersion", self.api.into());
        put(object, "/kind", self.kind.into());
        put(object, "/metadata/name", name.into());
    }

    /// A change that mostly is valid.
    pub fn change(&self, dice: &mut Dice) -> (&'static str, Value) {
        let (pointer, value) =
            if self.changes.is_empty() || dice.percent(40) { dice.choose(METADATA) } else { dice.choose(self.changes) };
        (pointer, parse(value))
    }

    /// A change that mostly is not.
    pub fn mistake(&self, dice: &mut Dice) -> (&'static str, Value) {
        let general = self.mistakes.is_empty() || dice.percent(40);
        let (pointer, value) = if general { dice.choose(BAD_METADATA) } else { dice.choose(self.mistakes) };
        (pointer, parse(value))
    }

    /// A whole status, mostly valid.
    pub fn whole_status(&self, dice: &mut Dice) -> Value {
        let bad = !self.bad_statuses.is_empty() && dice.percent(15);
        parse(dice.pick(if bad { self.bad_statuses } else { self.statuses }))
    }
}

/// The tables' texts are JSON, which a test proves.
pub fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tables_are_json() {
        for (_, kind) in KINDS {
            let changes = [kind.variations, kind.changes, kind.mistakes, METADATA, BAD_METADATA];
            let texts = changes.into_iter().flatten().map(|(_, text)| *text);
            let whole = [kind.bodies, kind.strategic, kind.applied, kind.statuses, kind.bad_statuses];
            for text in texts.chain(whole.into_iter().flatten().copied()) {
                assert!(serde_json::from_str::<Value>(text).is_ok(), "{}: {text}", kind.kind);
            }
            for (pointer, _) in changes.into_iter().flatten() {
                assert!(pointer.starts_with('/'), "{pointer}");
            }
        }
    }
}
