//! Looking at things.

use super::Writer;
use crate::kinds::Kind;
use crate::step::Verb;

const LABELS: &[&str] = &[
    "app=x",
    "app==y",
    "app!=x",
    "app in (x,y)",
    "app notin (x)",
    "tier",
    "!tier",
    "app=x,tier=1",
    "app in (x), !tier",
    "nosuch=label",
    "",
];
const BAD_LABELS: &[&str] = &["app=x=y", "app in x", "=x", "app in ()", "a b", "!", "-bad=x", "app=bad value", "app>x"];
const FIELDS: &[&str] = &[
    "metadata.name=a",
    "metadata.name!=a",
    "metadata.namespace={{ns}}",
    "metadata.name=a,metadata.namespace={{ns}}",
    "metadata.name={{ns}}-a",
    "status.phase=Running",
    "status.phase!=Pending",
    "spec.nodeName=n1",
    "spec.nodeName=",
    "spec.nosuchfield=1",
    "metadata.name",
    "type=Opaque",
];

impl Writer {
    pub(super) fn get(&mut self, kind: &'static Kind) {
        let name = self.name(kind);
        self.ask(Verb::Get, "GET", kind.path(&name));
        self.answered(kind, &name);
        match self.dice.below(10) {
            0 => self.query("resourceVersion", "0"),
            1 => {
                if let Some(version) = self.version(kind) {
                    self.query("resourceVersion", version);
                }
            }
            2 => self.query("resourceVersion", "abc"),
            _ => {}
        }
    }

    /// A version that was learned.
    fn version(&mut self, kind: &'static Kind) -> Option<String> {
        let steps: Vec<_> =
            self.answers.iter().filter(|known| known.kind == kind.kind).map(|known| known.step).collect();
        let lists: Vec<_> = self
            .steps
            .iter()
            .filter(|step| step.verb == Verb::List && step.path.ends_with(kind.plural))
            .map(|step| step.id)
            .collect();
        let all = if !lists.is_empty() && self.dice.percent(40) { lists } else { steps };
        let step = *all.get(self.dice.below(all.len()))?;
        Some(format!("{{{{{step}:/metadata/resourceVersion}}}}"))
    }

    fn selectors(&mut self, kind: &'static Kind, everywhere: bool) {
        let mut labels = String::new();
        if everywhere || !kind.namespaced {
            "seq={{ns}}".clone_into(&mut labels);
        }
        if self.dice.percent(35) {
            let bad = self.dice.percent(15);
            let more = self.dice.pick(if bad { BAD_LABELS } else { LABELS });
            if !labels.is_empty() {
                labels.push(',');
            }
            labels.push_str(more);
        }
        if !labels.is_empty() {
            self.query("labelSelector", labels);
        }
        if self.dice.percent(15) {
            let fields = self.dice.pick(FIELDS);
            self.query("fieldSelector", fields);
        }
    }

    /// Where to look: in the namespace, or everywhere.
    fn place(&mut self, kind: &'static Kind) -> (String, bool) {
        let everywhere = !kind.namespaced || self.dice.percent(15);
        (if everywhere { kind.everywhere() } else { kind.collection() }, everywhere)
    }

    pub(super) fn list(&mut self, kind: &'static Kind) {
        let (path, everywhere) = self.place(kind);
        let list = self.ask(Verb::List, "GET", path);
        self.selectors(kind, everywhere);
        match self.dice.below(10) {
            0 => self.query("resourceVersion", "0"),
            1 => self.versioned(kind, &["Exact", "NotOlderThan", "Odd", ""]),
            2 => self.query("resourceVersionMatch", "NotOlderThan"),
            _ => {}
        }
        // In other places, whether there is more depends on what other sequences have made.
        if !everywhere && self.dice.percent(35) {
            let limit = self.dice.choose(&["1", "1", "2", "500", "0", "-1", "x"]);
            self.query("limit", limit);
            if self.dice.percent(70) {
                self.pages(list);
            }
        }
    }

    /// Goes on with a list.
    fn pages(&mut self, first: usize) {
        let mut last = first;
        for _ in 0..=self.dice.below(2) {
            let (path, query) = (self.steps[first].path.clone(), self.steps[first].query.clone());
            let page = self.ask(Verb::List, "GET", path);
            for (name, value) in query {
                // A token brings its version along; a few forget that.
                if !name.starts_with("resourceVersion") || self.dice.percent(10) {
                    self.query(name, value);
                }
            }
            let token =
                if self.dice.percent(5) { "nonsense".to_owned() } else { format!("{{{{{last}:/metadata/continue}}}}") };
            self.query("continue", token);
            last = page;
        }
    }

    fn versioned(&mut self, kind: &'static Kind, matches: &[&'static str]) {
        let version = if self.dice.percent(10) { Some("abc".to_owned()) } else { self.version(kind) };
        if let Some(version) = version {
            self.query("resourceVersion", version);
            let how = self.dice.choose(matches);
            if !how.is_empty() {
                self.query("resourceVersionMatch", how);
            }
        }
    }

    pub(super) fn watch(&mut self, kind: &'static Kind) {
        let (path, everywhere) = self.place(kind);
        self.ask(Verb::Watch, "GET", path);
        self.query("watch", "true");
        self.selectors(kind, everywhere);
        if self.dice.percent(50) {
            self.query("allowWatchBookmarks", "true");
        }
        match self.dice.below(20) {
            0..=3 => {}
            4..=7 => self.query("resourceVersion", "0"),
            8..=11 => {
                if let Some(version) = self.version(kind) {
                    self.query("resourceVersion", version);
                }
            }
            12..=15 => {
                self.query("sendInitialEvents", "true");
                self.query("resourceVersionMatch", "NotOlderThan");
                if self.dice.percent(30) {
                    self.query("resourceVersion", "0");
                }
            }
            16 => self.query("sendInitialEvents", "true"),
            17 => {
                self.query("sendInitialEvents", "false");
                self.query("resourceVersionMatch", "NotOlderThan");
            }
            18 => self.query("resourceVersion", "abc"),
            _ => self.versioned(kind, &["NotOlderThan", "Exact"]),
        }
    }
}
