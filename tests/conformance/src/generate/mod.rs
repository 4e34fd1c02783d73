//! Random sequences of requests.
//!
//! A sequence is about one or two kinds and a handful of names, so that its requests meet each other. Nothing here
//! knows answers: what a request needs of an earlier answer, it names.

use serde_json::json;

use crate::dice::Dice;
use crate::kinds::{KINDS, Kind};
use crate::step::{Body, Step, Verb, Who};

mod change;
mod create;
mod delete;
mod read;

/// A sequence of requests that belong together.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// Its number under its seed.
    pub number: u64,
    /// The requests.
    pub steps: Vec<Step>,
}

/// Short names of objects. `z` is never made.
const NAMES: &[&str] = &["a", "b", "c"];
/// Who asks, and how often.
const WHO: &[(usize, Who)] = &[(960, Who::Admin), (38, Who::Guest), (2, Who::Stranger)];
/// Who writes.
const MANAGERS: &[&str] = &["atoll", "other"];

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// The sequence of this number.
pub fn sequence(seed: u64, number: u64) -> Sequence {
    let mut writer = Writer {
        dice: Dice::of(seed, number),
        steps: Vec::new(),
        answers: Vec::new(),
        alive: Vec::new(),
        began: false,
    };
    writer.begin();
    let length = 8 + writer.dice.below(8);
    let kinds: Vec<_> = (0..=writer.dice.below(2)).map(|_| writer.dice.weigh(KINDS)).collect();
    while writer.steps.len() < length + BEGINNING {
        let kind = writer.dice.choose(&kinds);
        writer.something(kind);
    }
    writer.end(&kinds);
    Sequence { number, steps: writer.steps }
}

/// How many requests a sequence begins with.
const BEGINNING: usize = 2;

/// The answer to a step is about an object of this kind and (real) name.
struct Answered {
    step: usize,
    kind: &'static str,
    name: String,
}

struct Writer {
    dice: Dice,
    steps: Vec<Step>,
    answers: Vec<Answered>,
    /// Kinds and names of what most likely is there.
    alive: Vec<(&'static str, String)>,
    /// Whether what sequences begin with is written.
    began: bool,
}

impl Writer {
    /// The sequence's namespace and what pods need in it.
    fn begin(&mut self) {
        let mut labels = json!({ "seq": "{{ns}}" });
        if self.dice.percent(8) {
            labels["pod-security.kubernetes.io/enforce"] =
                self.dice.choose(&["restricted", "baseline", "privileged"]).into();
        }
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "{{ns}}", "labels": labels } });
        self.send(Verb::Create, "POST", "/api/v1/namespaces", JSON, Body::Json(namespace));
        let name = if self.dice.percent(3) { "other" } else { "default" };
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name } });
        self.send(Verb::Create, "POST", "/api/v1/namespaces/{{ns}}/serviceaccounts", JSON, Body::Json(account));
        self.began = true;
    }

    /// What is there in the end.
    fn end(&mut self, kinds: &[&'static Kind]) {
        self.began = false;
        for (number, kind) in kinds.iter().enumerate() {
            if kinds[..number].iter().all(|before| before.plural != kind.plural) {
                self.ask(Verb::List, "GET", kind.everywhere());
                self.query("labelSelector", "seq={{ns}}");
            }
        }
    }

    fn something(&mut self, kind: &'static Kind) {
        // Little can be done with what is not there.
        if self.alive.is_empty() && self.dice.percent(70) {
            return self.create(kind);
        }
        let deed: fn(&mut Self, &'static Kind) = self.dice.weigh(&[
            (16, Self::create as fn(&mut Self, &'static Kind)),
            (6, Self::get),
            (10, Self::list),
            (8, Self::watch),
            (12, Self::update),
            (9, Self::merge_patch),
            (5, Self::strategic_patch),
            (3, Self::json_patch),
            (13, Self::apply),
            (9, Self::status),
            (5, Self::finalize),
            (10, Self::delete),
            (2, Self::delete_collection),
            (4, Self::special),
            (2, Self::odd),
        ]);
        deed(self, kind);
    }

    /// Adds a request without a body.
    fn ask(&mut self, verb: Verb, method: &'static str, path: impl Into<String>) -> usize {
        let id = self.steps.len();
        let (path, query) = (path.into(), Vec::new());
        let who = if self.began { self.dice.weigh(WHO) } else { Who::Admin };
        self.steps.push(Step { id, verb, who, method, path, query, content: None, body: Body::Nothing });
        id
    }

    /// Adds a request with a body.
    fn send(
        &mut self,
        verb: Verb,
        method: &'static str,
        path: impl Into<String>,
        content: &'static str,
        body: Body,
    ) -> usize {
        let id = self.ask(verb, method, path);
        self.steps[id].content = Some(content);
        self.steps[id].body = body;
        id
    }

    /// Adds to the query of the last request.
    fn query(&mut self, name: &'static str, value: impl Into<String>) {
        if let Some(step) = self.steps.last_mut() {
            step.query.push((name, value.into()));
        }
    }

    /// The last request's answer is about this object.
    fn answered(&mut self, kind: &'static Kind, name: &str) {
        self.answers.push(Answered { step: self.steps.len() - 1, kind: kind.kind, name: name.to_owned() });
    }

    /// The real name of some object; mostly one that was spoken of.
    fn name(&mut self, kind: &'static Kind) -> String {
        let alive: Vec<_> = self.alive.iter().filter(|(alive, _)| *alive == kind.kind).collect();
        if !alive.is_empty() && self.dice.percent(85) {
            return alive[self.dice.below(alive.len())].1.clone();
        }
        let known: Vec<_> = self.answers.iter().filter(|answer| answer.kind == kind.kind).collect();
        if !known.is_empty() && self.dice.percent(50) {
            return known[self.dice.below(known.len())].name.clone();
        }
        if self.dice.percent(5) {
            return kind.name("z");
        }
        kind.name(self.dice.pick(NAMES))
    }

    /// From now on this object most likely is there, or not.
    fn lives(&mut self, kind: &'static Kind, name: &str, alive: bool) {
        self.alive.retain(|(other, known)| *other != kind.kind || known != name);
        if alive {
            self.alive.push((kind.kind, name.to_owned()));
        }
    }

    /// A step that was answered with this object: mostly the last one.
    fn seen(&mut self, kind: &'static Kind, name: &str) -> Option<usize> {
        let steps: Vec<_> = self
            .answers
            .iter()
            .filter(|known| known.kind == kind.kind && known.name == name)
            .map(|known| known.step)
            .collect();
        let last = *steps.last()?;
        Some(if self.dice.percent(75) { last } else { steps[self.dice.below(steps.len())] })
    }

    /// Parameters that any write may have.
    fn write_options(&mut self) {
        if self.dice.percent(50) {
            let manager = self.dice.choose(MANAGERS);
            self.query("fieldManager", manager);
        }
        match self.dice.below(50) {
            0 | 1 => self.query("dryRun", "All"),
            2 => self.query("dryRun", "Some"),
            3 | 4 => self.query("fieldValidation", "Strict"),
            5 => self.query("fieldValidation", "Ignore"),
            6 => self.query("fieldValidation", "Odd"),
            7 => self.query("pretty", "true"),
            _ => {}
        }
    }

    /// What only some kinds have, or what is no resource at all.
    fn special(&mut self, kind: &'static Kind) {
        let name = self.name(kind);
        let path = kind.path(&name);
        match kind.kind {
            "Pod" if self.dice.percent(60) => {
                let mut binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
                    "target": { "apiVersion": "v1", "kind": "Node", "name": self.dice.choose(&["n1", "n2", ""]) } });
                if self.dice.percent(20) {
                    binding["metadata"]["uid"] = "00000000-0000-4000-8000-00000000000e".into();
                }
                self.send(Verb::Other, "POST", path + "/binding", JSON, Body::Json(binding));
            }
            "Pod" => {
                let mut eviction =
                    json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name } });
                if self.dice.percent(50) {
                    eviction["deleteOptions"] = json!({ "gracePeriodSeconds": self.dice.choose(&[0, 10]) });
                }
                self.send(Verb::Other, "POST", path + "/eviction", JSON, Body::Json(eviction));
            }
            "Namespace" => {
                let otherwise = kind.plain(&name);
                let finalizers = self.dice.choose(&["[]", r#"["kubernetes"]"#, r#"["example.com/mine"]"#]);
                let set = vec![("/spec/finalizers".to_owned(), crate::kinds::parse(finalizers))];
                let body = match self.seen(kind, &name) {
                    Some(from) => Body::Changed { from, otherwise, set },
                    None => Body::Json(otherwise),
                };
                self.send(Verb::Other, "PUT", path + "/finalize", JSON, body);
                self.answered(kind, &name);
            }
            _ => {
                self.ask(Verb::Get, "GET", path + "/status");
                self.answered(kind, &name);
            }
        }
    }

    /// Requests that nobody should send.
    fn odd(&mut self, kind: &'static Kind) {
        let name = self.name(kind);
        let path = kind.path(&name);
        match self.dice.below(14) {
            0 => drop(self.ask(Verb::Other, "GET", "/api/v1/namespaces/{{ns}}/nosuchthings")),
            1 => drop(self.ask(Verb::Other, "GET", "/apis/no.such.group/v1/things")),
            2 => drop(self.ask(Verb::Other, "GET", path + "/nosuchsubresource")),
            3 => drop(self.send(Verb::Other, "POST", path, JSON, Body::Json(json!({})))),
            4 => drop(self.ask(Verb::Other, "PUT", kind.collection())),
            5 => drop(self.send(Verb::Create, "POST", kind.collection(), JSON, Body::Raw("{"))),
            6 => drop(self.send(Verb::Create, "POST", kind.collection(), JSON, Body::Raw(""))),
            7 => drop(self.send(Verb::Create, "POST", kind.collection(), JSON, Body::Raw("[]"))),
            8 => drop(self.send(Verb::Update, "PUT", path, JSON, Body::Json(json!({})))),
            9 => drop(self.send(Verb::MergePatch, "PATCH", path, "application/unheard-of", Body::Json(json!({})))),
            10 => {
                let object = kind.plain("{{ns}}-elsewhere");
                let path = kind.collection().replace("{{ns}}", "{{ns}}-nowhere");
                self.send(Verb::Create, "POST", path, JSON, Body::Json(object));
            }
            11 | 12 => {
                let verb = self.dice.choose(&["get", "list", "create", "delete", "patch", "*"]);
                let mut wanted = json!({ "verb": verb, "group": kind.group(), "resource": kind.plural });
                if kind.namespaced && self.dice.percent(60) {
                    wanted["namespace"] = "{{ns}}".into();
                }
                let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                    "spec": { "resourceAttributes": wanted } });
                let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
                let id = self.send(Verb::Other, "POST", path, JSON, Body::Json(review));
                self.steps[id].who = self.dice.choose(&[Who::Admin, Who::Guest, Who::Guest]);
            }
            _ => {
                self.ask(Verb::List, "GET", kind.collection().replace("{{ns}}", "{{ns}}-nowhere"));
                self.query("labelSelector", "seq={{ns}}");
            }
        }
    }
}
