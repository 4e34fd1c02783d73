//! Changing things.

use serde_json::{Value, json};

use super::{APPLY, JSON, JSON_PATCH, MANAGERS, MERGE, STRATEGIC, Writer};
use crate::kinds::{Kind, parse};
use crate::step::{Body, Verb, as_merge_patch, put};

impl Writer {
    fn look_first(&mut self, kind: &'static Kind, name: &str, chance: usize) {
        if self.dice.percent(chance) {
            self.ask(Verb::Get, "GET", kind.path(name));
            self.answered(kind, name);
        }
    }

    /// Some changes of an object, most of them valid, and of its version and identity.
    fn changes(&mut self, kind: &'static Kind) -> Vec<(String, Value)> {
        let mut set = Vec::new();
        for _ in 0..self.dice.below(3) {
            let (pointer, value) = kind.change(&mut self.dice);
            set.push((pointer.to_owned(), value));
        }
        if self.dice.percent(15) {
            let (pointer, value) = kind.mistake(&mut self.dice);
            set.push((pointer.to_owned(), value));
        }
        match self.dice.below(25) {
            0..=2 => set.push(("/metadata/resourceVersion".into(), Value::Null)),
            3 => set.push(("/metadata/uid".into(), json!("00000000-0000-4000-8000-00000000000c"))),
            4 => set.push(("/metadata/uid".into(), Value::Null)),
            5 => set.push(("/metadata/managedFields".into(), json!([]))),
            6 => set.push(("/metadata/managedFields".into(), json!([{}]))),
            7 => set.push(("/metadata/name".into(), Value::Null)),
            8 => set.push(("/metadata/creationTimestamp".into(), Value::Null)),
            9 => set.push(("/metadata/resourceVersion".into(), json!("1"))),
            _ => {}
        }
        // A label as a text, or as no label at all, must still not show up in others' lists.
        set.retain(|(pointer, _)| kind.namespaced || pointer != "/metadata/labels");
        set
    }

    pub(super) fn update(&mut self, kind: &'static Kind) {
        let name = self.name(kind);
        self.look_first(kind, &name, 40);
        let otherwise = kind.object(&mut self.dice, &name);
        let set = self.changes(kind);
        let body = match self.seen(kind, &name) {
            Some(from) => Body::Changed { from, otherwise, set },
            None => Body::Json(otherwise),
        };
        self.send(Verb::Update, "PUT", kind.path(&name), JSON, body);
        self.write_options();
        self.answered(kind, &name);
    }

    pub(super) fn merge_patch(&mut self, kind: &'static Kind) {
        let name = self.name(kind);
        let mut patch = json!({});
        for (pointer, value) in self.changes(kind) {
            if let Some(part) = as_merge_patch(&pointer, &value) {
                merge(&mut patch, part);
            }
        }
        if self.dice.percent(20) {
            self.pin(kind, &name, &mut patch);
        }
        self.send(Verb::MergePatch, "PATCH", kind.path(&name), MERGE, Body::Json(patch));
        self.write_options();
        self.answered(kind, &name);
    }

    /// A patch that is about one object, or one version of it, only.
    fn pin(&mut self, kind: &'static Kind, name: &str, patch: &mut Value) {
        if let Some(seen) = self.seen(kind, name) {
            let field = self.dice.choose(&["uid", "resourceVersion"]);
            let value = if self.dice.percent(75) {
                json!(format!("{{{{{seen}:/metadata/{field}}}}}"))
            } else if field == "uid" {
                json!("00000000-0000-4000-8000-00000000000b")
            } else {
                json!("1")
            };
            put(patch, &format!("/metadata/{field}"), value);
        }
    }

    pub(super) fn strategic_patch(&mut self, kind: &'static Kind) {
        let name = self.name(kind);
        let mut patch = if kind.strategic.is_empty() {
            json!({ "metadata": { "labels": { "app": "y" } } })
        } else {
            parse(self.dice.pick(kind.strategic))
        };
        if self.dice.percent(10) {
            self.pin(kind, &name, &mut patch);
        }
        self.send(Verb::StrategicPatch, "PATCH", kind.path(&name), STRATEGIC, Body::Json(patch));
        self.write_options();
        self.answered(kind, &name);
    }

    pub(super) fn json_patch(&mut self, kind: &'static Kind) {
        let name = self.name(kind);
        let patch = parse(self.dice.pick(&[
            r#"[{"op":"add","path":"/metadata/labels/app","value":"y"}]"#,
            r#"[{"op":"replace","path":"/metadata/labels/app","value":"z"}]"#,
            r#"[{"op":"remove","path":"/metadata/labels/tier"}]"#,
            r#"[{"op":"add","path":"/metadata/finalizers/-","value":"atoll.dev/more"}]"#,
            r#"[{"op":"test","path":"/metadata/labels/app","value":"x"},{"op":"add","path":"/metadata/labels/tested","value":"yes"}]"#,
            r#"[{"op":"remove","path":"/metadata/finalizers"}]"#,
            r#"[{"op":"copy","from":"/metadata/labels/app","path":"/metadata/labels/copy"}]"#,
            r#"[{"op":"move","from":"/metadata/labels/app","path":"/metadata/labels/moved"}]"#,
            r#"[{"op":"odd","path":"/metadata/labels/app"}]"#,
            r#"{"op":"add"}"#,
            "[]",
        ]));
        self.send(Verb::JsonPatch, "PATCH", kind.path(&name), JSON_PATCH, Body::Json(patch));
        self.write_options();
        self.answered(kind, &name);
    }

    pub(super) fn apply(&mut self, kind: &'static Kind) {
        let name = self.name(kind);
        let mut object = parse(self.dice.pick(kind.applied));
        kind.stamp(&mut object, &name);
        if !kind.namespaced || self.dice.percent(60) {
            put(&mut object, "/metadata/labels/seq", json!("{{ns}}"));
        }
        match self.dice.below(20) {
            0..=2 => self.pin(kind, &name, &mut object),
            3 => put(&mut object, "/metadata/name", Value::Null),
            4 => put(&mut object, "/metadata/managedFields", json!([])),
            5 => put(&mut object, "/metadata/managedFields", json!([{}])),
            6 => put(&mut object, "/metadata/generation", json!(5)),
            7 => {
                let (pointer, value) = kind.mistake(&mut self.dice);
                if kind.namespaced || pointer != "/metadata/labels" {
                    put(&mut object, pointer, value);
                }
            }
            _ => {}
        }
        let path = kind.path(&name) + if kind.status && self.dice.percent(12) { "/status" } else { "" };
        if path.ends_with("/status") {
            put(&mut object, "/status", kind.whole_status(&mut self.dice));
        }
        self.send(Verb::Apply, "PATCH", path, APPLY, Body::Json(object));
        if !self.dice.percent(3) {
            let manager = self.dice.choose(MANAGERS);
            self.query("fieldManager", manager);
        }
        match self.dice.below(20) {
            0..=8 => self.query("force", "true"),
            9 => self.query("force", "false"),
            10 => self.query("dryRun", "All"),
            _ => {}
        }
        self.answered(kind, &name);
        self.lives(kind, &name, true);
    }

    pub(super) fn status(&mut self, kind: &'static Kind) {
        let name = self.name(kind);
        self.look_first(kind, &name, 30);
        let path = kind.path(&name) + "/status";
        let status = kind.whole_status(&mut self.dice);
        if self.dice.percent(40) {
            let mut patch = json!({ "status": status });
            if self.dice.percent(30) {
                put(&mut patch, "/metadata/annotations", json!({ "by": "status" }));
            }
            if self.dice.percent(30) {
                self.pin(kind, &name, &mut patch);
            }
            self.send(Verb::MergePatch, "PATCH", path, MERGE, Body::Json(patch));
        } else {
            let otherwise = kind.object(&mut self.dice, &name);
            let mut set = vec![("/status".to_owned(), status)];
            if self.dice.percent(50) {
                set.extend(self.changes(kind));
            }
            let body = match self.seen(kind, &name) {
                Some(from) => Body::Changed { from, otherwise, set },
                None => Body::Json(otherwise),
            };
            self.send(Verb::Update, "PUT", path, JSON, body);
        }
        self.write_options();
        self.answered(kind, &name);
    }

    /// Takes an object's finalizers away, as who cleans up does.
    pub(super) fn finalize(&mut self, kind: &'static Kind) {
        let name = self.name(kind);
        let finalizers =
            parse(self.dice.choose(&["null", "null", "[]", r#"["atoll.dev/hold"]"#, r#"["late.example.com/x"]"#]));
        let path = kind.path(&name);
        if self.dice.percent(60) {
            let mut patch = json!({ "metadata": { "finalizers": finalizers } });
            if self.dice.percent(30) {
                self.pin(kind, &name, &mut patch);
            }
            self.send(Verb::MergePatch, "PATCH", path, MERGE, Body::Json(patch));
        } else {
            self.look_first(kind, &name, 70);
            let otherwise = kind.plain(&name);
            let set = vec![("/metadata/finalizers".to_owned(), finalizers)];
            let body = match self.seen(kind, &name) {
                Some(from) => Body::Changed { from, otherwise, set },
                None => Body::Json(otherwise),
            };
            self.send(Verb::Update, "PUT", path, JSON, body);
        }
        self.answered(kind, &name);
    }
}

/// Puts one nested object into another.
fn merge(target: &mut Value, part: Value) {
    match (target, part) {
        (Value::Object(target), Value::Object(part)) => {
            for (name, value) in part {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
        (target, part) => *target = part,
    }
}
