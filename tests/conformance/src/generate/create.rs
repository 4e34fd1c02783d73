//! Creating things.

use serde_json::{Value, json};

use super::{JSON, NAMES, Writer};
use crate::kinds::Kind;
use crate::normalise::GENERATED;
use crate::step::{Body, Verb, put};

impl Writer {
    pub(super) fn create(&mut self, kind: &'static Kind) {
        let name = kind.name(self.dice.pick(NAMES));
        let mut object = kind.object(&mut self.dice, &name);
        let mut answered = name.clone();
        if object.pointer("/metadata/generateName").is_some() {
            // Each with a prefix of its own, so that chance does not decide which of two comes first in a list.
            put(&mut object, "/metadata/generateName", format!("{GENERATED}{:02}-", self.steps.len()).into());
            put(&mut object, "/metadata/name", Value::Null);
            answered = format!("{{{{{}:/metadata/name}}}}", self.steps.len());
        }
        let mistaken = self.dice.percent(15);
        if mistaken {
            let (pointer, value) = kind.mistake(&mut self.dice);
            put(&mut object, pointer, value);
        }
        match self.dice.below(60) {
            // For a service without a name, kube-apiserver tries all 65,536 addresses in turn.
            0 if kind.kind != "Service" => put(&mut object, "/metadata/name", Value::Null),
            1 => put(&mut object, "/metadata/namespace", json!("{{ns}}")),
            2 => put(&mut object, "/metadata/resourceVersion", json!("1")),
            3 => put(&mut object, "/metadata/uid", json!("00000000-0000-4000-8000-00000000000d")),
            4 => put(&mut object, "/metadata/managedFields", json!([{ "manager": "x", "operation": "Update" }])),
            _ => {}
        }
        // Never one that other sequences' lists would show.
        if kind.namespaced || object.pointer("/metadata/labels").is_none_or(Value::is_object) {
            put(&mut object, "/metadata/labels/seq", json!("{{ns}}"));
        }
        self.send(Verb::Create, "POST", kind.collection(), JSON, Body::Json(object));
        self.write_options();
        self.answered(kind, &answered);
        if !mistaken {
            self.lives(kind, &answered, true);
        }
    }
}
