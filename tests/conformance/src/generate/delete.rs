//! Removing things.

use serde_json::{Value, json};

use super::{JSON, Writer};
use crate::kinds::Kind;
use crate::step::{Body, Verb};

impl Writer {
    /// How to delete, as far as anybody says.
    fn delete_options(&mut self, kind: &'static Kind, name: Option<&str>) -> Value {
        let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
        match self.dice.below(20) {
            0..=5 => options["propagationPolicy"] = "Background".into(),
            6 | 7 => options["propagationPolicy"] = "Foreground".into(),
            8 => options["propagationPolicy"] = "Orphan".into(),
            9 => options["propagationPolicy"] = "Odd".into(),
            10 => options["orphanDependents"] = true.into(),
            11 => options["orphanDependents"] = false.into(),
            _ => {}
        }
        match self.dice.below(20) {
            0..=4 => options["gracePeriodSeconds"] = 0.into(),
            5 => options["gracePeriodSeconds"] = 7.into(),
            6 => options["gracePeriodSeconds"] = 1.into(),
            7 => options["gracePeriodSeconds"] = (-1).into(),
            8 => options["dryRun"] = json!(["All"]),
            9 => options["unknownField"] = 1.into(),
            10 => options["gracePeriodSeconds"] = "7".into(),
            _ => {}
        }
        if let Some(seen) = name.and_then(|name| self.seen(kind, name)) {
            match self.dice.below(10) {
                0..=3 => options["preconditions"] = json!({ "uid": format!("{{{{{seen}:/metadata/uid}}}}") }),
                4 => {
                    let version = format!("{{{{{seen}:/metadata/resourceVersion}}}}");
                    options["preconditions"] = json!({ "resourceVersion": version });
                }
                5 => options["preconditions"] = json!({ "uid": "00000000-0000-4000-8000-00000000000a" }),
                6 => options["preconditions"] = json!({ "resourceVersion": "1" }),
                _ => {}
            }
        }
        options
    }

    pub(super) fn delete(&mut self, kind: &'static Kind) {
        let name = self.name(kind);
        let path = kind.path(&name);
        if self.dice.percent(25) {
            self.ask(Verb::Delete, "DELETE", path);
            match self.dice.below(8) {
                0 => self.query("gracePeriodSeconds", "0"),
                1 => self.query("propagationPolicy", "Background"),
                2 => self.query("dryRun", "All"),
                3 => self.query("gracePeriodSeconds", "x"),
                _ => {}
            }
        } else {
            let options = self.delete_options(kind, Some(&name));
            self.send(Verb::Delete, "DELETE", path, JSON, Body::Json(options));
        }
        self.answered(kind, &name);
        if self.dice.percent(50) {
            self.lives(kind, &name, false);
        }
        if self.dice.percent(20) {
            self.create(kind);
        }
    }

    pub(super) fn delete_collection(&mut self, kind: &'static Kind) {
        let options = self.delete_options(kind, None);
        self.send(Verb::DeleteCollection, "DELETE", kind.collection(), JSON, Body::Json(options));
        let mut labels = if kind.namespaced { String::new() } else { "seq={{ns}}".to_owned() };
        if self.dice.percent(40) {
            labels = format!("{labels}{}app=x", if labels.is_empty() { "" } else { "," });
        }
        if !labels.is_empty() {
            self.query("labelSelector", labels);
        }
    }
}
