//! Sequences that chance does not write: what needs waiting, an order, or many objects.

mod names;
mod nonsense;
mod ports;
mod rights;
mod surprises;

use serde_json::{Value, json};

use crate::generate::{APPLY, JSON, MERGE, STRATEGIC, Sequence};
use crate::step::{Body, COMPACT, Step, Verb, WAIT, Who};

/// A sequence that somebody wrote.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it is about.
    pub name: &'static str,
    /// Its requests.
    pub sequence: Sequence,
}

/// Those that may be played beside others.
pub fn scripts() -> Vec<Script> {
    vec![
        quota(),
        a_namespace_goes(),
        definitions(),
        pages(),
        watches_end(),
        versions_of_the_future(),
        taken_over_by_apply(),
        which_one_is_meant(),
        ports::script(),
        names::script(),
        nonsense::script(),
        surprises::script(),
        rights::script(),
    ]
}

/// Those that change the server for everybody.
pub fn alone() -> Vec<Script> {
    vec![expiry()]
}

const MAPS: &str = "/api/v1/namespaces/{{ns}}/configmaps";
const PODS: &str = "/api/v1/namespaces/{{ns}}/pods";

struct Author {
    steps: Vec<Step>,
}

impl Author {
    fn new() -> Self {
        let mut author = Self { steps: Vec::new() };
        author.post(
            "/api/v1/namespaces",
            json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": "{{ns}}" } }),
        );
        let account = json!({ "kind": "ServiceAccount", "apiVersion": "v1", "metadata": { "name": "default" } });
        author.post("/api/v1/namespaces/{{ns}}/serviceaccounts", account);
        author
    }

    fn add(&mut self, verb: Verb, method: &'static str, uri: &str, content: Option<&'static str>, body: Body) -> usize {
        let id = self.steps.len();
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let query = query.split('&').filter_map(|part| part.split_once('='));
        let names = QUERY.iter().copied();
        let query = query
            .filter_map(|(name, value)| Some((names.clone().find(|known| *known == name)?, value.to_owned())))
            .collect();
        self.steps.push(Step { id, verb, who: Who::Admin, method, path: path.to_owned(), query, content, body });
        id
    }

    fn get(&mut self, uri: &str) -> usize {
        let verb = if uri.contains("watch=true") { Verb::Watch } else { Verb::List };
        self.add(verb, "GET", uri, None, Body::Nothing)
    }

    /// Lets somebody with few rights send the last one.
    fn by_guest(&mut self) {
        if let Some(step) = self.steps.last_mut() {
            step.who = Who::Guest;
        }
    }

    /// One object, though the query may say something else.
    fn read(&mut self, uri: &str) -> usize {
        self.add(Verb::Get, "GET", uri, None, Body::Nothing)
    }

    fn delete_many(&mut self, uri: &str) -> usize {
        self.add(Verb::DeleteCollection, "DELETE", uri, None, Body::Nothing)
    }

    fn post(&mut self, uri: &str, body: Value) -> usize {
        self.add(Verb::Create, "POST", uri, Some(JSON), Body::Json(body))
    }

    fn put(&mut self, uri: &str, from: usize, set: &[(&str, Value)]) -> usize {
        let set = set.iter().map(|(pointer, value)| ((*pointer).to_owned(), value.clone())).collect();
        let body = Body::Changed { from, otherwise: json!({}), set };
        // The kind must be the one of the step; a script knows that it is.
        let body = match body {
            Body::Changed { from, set, .. } => Body::Changed { from, otherwise: self.kind_of(from), set },
            other => other,
        };
        self.add(Verb::Update, "PUT", uri, Some(JSON), body)
    }

    fn kind_of(&self, step: usize) -> Value {
        match &self.steps[step].body {
            Body::Json(body) => json!({ "kind": body["kind"] }),
            _ => json!({}),
        }
    }

    fn merge(&mut self, uri: &str, body: Value) -> usize {
        self.add(Verb::MergePatch, "PATCH", uri, Some(MERGE), Body::Json(body))
    }

    fn strategic(&mut self, uri: &str, body: Value) -> usize {
        self.add(Verb::StrategicPatch, "PATCH", uri, Some(STRATEGIC), Body::Json(body))
    }

    fn apply(&mut self, uri: &str, body: Value) -> usize {
        self.add(Verb::Apply, "PATCH", uri, Some(APPLY), Body::Json(body))
    }

    /// An object that is put as it is here.
    fn put_whole(&mut self, uri: &str, body: Value) -> usize {
        self.add(Verb::Update, "PUT", uri, Some(JSON), Body::Json(body))
    }

    fn delete(&mut self, uri: &str) -> usize {
        self.add(Verb::Delete, "DELETE", uri, None, Body::Nothing)
    }

    fn delete_so(&mut self, uri: &str, options: Value) -> usize {
        self.add(Verb::Delete, "DELETE", uri, Some(JSON), Body::Json(options))
    }

    fn wait(&mut self) {
        self.add(Verb::Other, WAIT, "", None, Body::Nothing);
    }

    fn compact(&mut self) {
        self.add(Verb::Other, COMPACT, "", None, Body::Nothing);
    }

    fn script(self, name: &'static str) -> Script {
        Script { name, sequence: Sequence { number: 0, steps: self.steps } }
    }
}

/// The parameters that scripts use.
const QUERY: &[&str] = &[
    "watch",
    "limit",
    "continue",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "allowWatchBookmarks",
    "timeoutSeconds",
    "labelSelector",
    "fieldSelector",
    "fieldManager",
    "force",
    "gracePeriodSeconds",
    "dryRun",
    "fieldValidation",
];

fn map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "a": "1" } })
}

fn pod(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "automountServiceAccountToken": false, "containers": [{ "name": "main", "image": "img:1" }] } })
}

fn claim(name: &str, size: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": size } } } })
}

/// What is more than a quota allows is refused, in the words that Atoll reads.
fn quota() -> Script {
    let mut author = Author::new();
    let hard = json!({ "pods": "2", "persistentvolumeclaims": "1", "requests.storage": "2Gi", "services": "2",
        "services.loadbalancers": "1", "count/configmaps": "1", "requests.cpu": "1" });
    let quotas = "/api/v1/namespaces/{{ns}}/resourcequotas";
    let made = author.post(
        quotas,
        json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "limits" }, "spec": { "hard": hard } }),
    );
    let used = json!({ "pods": "0", "persistentvolumeclaims": "0", "requests.storage": "0", "services": "0",
        "services.loadbalancers": "0", "count/configmaps": "0", "requests.cpu": "0" });
    author.put(&format!("{quotas}/limits/status"), made, &[("/status", json!({ "hard": hard, "used": used }))]);
    author.wait();
    let sized = |name: &str, cpu: &str| {
        let mut pod = pod(name);
        pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": cpu } });
        pod
    };
    author.post(PODS, pod("none"));
    author.post(PODS, sized("a", "500m"));
    author.post(PODS, sized("b", "600m"));
    author.post(PODS, sized("b", "500m"));
    author.post(PODS, sized("c", "0"));
    let claims = "/api/v1/namespaces/{{ns}}/persistentvolumeclaims";
    author.post(claims, claim("a", "3Gi"));
    author.post(claims, claim("a", "1Gi"));
    author.post(claims, claim("b", "1Gi"));
    author.post(MAPS, map("a"));
    author.post(MAPS, map("b"));
    let service = |name: &str, kind: &str| {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "type": kind, "ports": [{ "port": 80 }] } })
    };
    let services = "/api/v1/namespaces/{{ns}}/services";
    author.post(services, service("a", "LoadBalancer"));
    author.post(services, service("b", "LoadBalancer"));
    author.post(services, service("b", "ClusterIP"));
    author.post(services, service("c", "ClusterIP"));
    author.get(&format!("{quotas}/limits"));
    author.script("quota")
}

fn a_namespace_goes() -> Script {
    let mut author = Author::new();
    author.post(PODS, pod("a"));
    author.get("/api/v1/namespaces?watch=true&labelSelector=kubernetes.io/metadata.name={{ns}}");
    author.delete("/api/v1/namespaces/{{ns}}");
    author.wait();
    author.post(PODS, pod("b"));
    author.post(MAPS, map("a"));
    author.apply(&format!("{MAPS}/b?fieldManager=x"), map("b"));
    author.merge(&format!("{PODS}/a"), json!({ "metadata": { "labels": { "still": "works" } } }));
    author.delete("/api/v1/namespaces/{{ns}}");
    author.merge("/api/v1/namespaces/{{ns}}", json!({ "metadata": { "labels": { "still": "works" } } }));
    author.merge("/api/v1/namespaces/{{ns}}", json!({ "spec": { "finalizers": [] } }));
    author.delete(&format!("{PODS}/a"));
    let last = author.get("/api/v1/namespaces/{{ns}}");
    let set: &[(&str, Value)] = &[("/spec/finalizers", json!([]))];
    let end = author.put("/api/v1/namespaces/{{ns}}/finalize", last, set);
    if let Body::Changed { otherwise, .. } = &mut author.steps[end].body {
        *otherwise = json!({ "kind": "Namespace" });
    }
    author.get("/api/v1/namespaces/{{ns}}");
    author.post(MAPS, map("c"));
    author.script("a namespace goes")
}

/// A definition makes its resource served, and takes its objects along.
fn definitions() -> Script {
    let mut author = Author::new();
    let all = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definition = |schema: Value| {
        json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": "widgets.{{ns}}.test" },
            "spec": { "group": "{{ns}}.test", "scope": "Namespaced",
                "names": { "kind": "Widget", "plural": "widgets" },
                "versions": [{ "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                    "schema": { "openAPIV3Schema": schema } }] } })
    };
    let widgets = "/apis/{{ns}}.test/v1/namespaces/{{ns}}/widgets";
    let widget = |name: &str| json!({ "apiVersion": "{{ns}}.test/v1", "kind": "Widget", "metadata": { "name": name }, "spec": { "size": 1 } });
    let schema = json!({ "type": "object",
        "properties": { "spec": { "type": "object", "properties": { "size": { "type": "integer" } } } } });
    author.get(widgets);
    author.post(all, definition(schema));
    author.wait();
    author.get(&format!("{all}/widgets.{{{{ns}}}}.test"));
    author.post(widgets, widget("a"));
    let mut held = widget("held");
    held["metadata"]["finalizers"] = json!(["atoll.dev/hold"]);
    author.post(widgets, held);
    let changed = json!({ "spec": { "versions": [{ "name": "v1", "served": true, "storage": true,
        "subresources": { "status": {} },
        "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": { "type": "object",
            "properties": { "size": { "type": "integer", "maximum": 5 }, "colour": { "type": "string", "default": "red" } } } } } } }] } });
    author.merge(&format!("{all}/widgets.{{{{ns}}}}.test"), changed);
    author.wait();
    author.get(&format!("{widgets}/a"));
    author.merge(&format!("{widgets}/a"), json!({ "spec": { "size": 6 } }));
    author.delete(&format!("{all}/widgets.{{{{ns}}}}.test"));
    author.wait();
    author.wait();
    author.get(widgets);
    author.post(widgets, widget("late"));
    author.get(&format!("{all}/widgets.{{{{ns}}}}.test"));
    author.merge(&format!("{widgets}/held"), json!({ "metadata": { "finalizers": null } }));
    author.wait();
    author.wait();
    author.wait();
    author.get(widgets);
    author.get(&format!("{all}/widgets.{{{{ns}}}}.test"));
    author.script("definitions of resources")
}

/// What says which object is meant: a UID to everybody but to those who write a status.
fn which_one_is_meant() -> Script {
    let mut author = Author::new();
    let things = "/apis/test.atoll.dev/v1/namespaces/{{ns}}/things";
    author.post(
        things,
        json!({ "apiVersion": "test.atoll.dev/v1", "kind": "Thing", "metadata": { "name": "a" }, "spec": {} }),
    );
    for path in [format!("{things}/a"), format!("{things}/a/status")] {
        for which in [json!({ "uid": "another" }), json!({ "resourceVersion": "1" })] {
            author.merge(&path, json!({ "metadata": which, "status": { "phase": "Good" } }));
        }
    }
    author.read(&format!("{things}/a"));
    author.script("which one is meant")
}

/// Pages show what was there when the first one was asked for.
fn pages() -> Script {
    let mut author = Author::new();
    for name in ["a", "b", "c", "d", "e"] {
        author.post(MAPS, map(name));
    }
    let first = author.get(&format!("{MAPS}?limit=2"));
    author.delete(&format!("{MAPS}/c"));
    author.post(MAPS, map("cc"));
    author.merge(&format!("{MAPS}/e"), json!({ "data": { "a": "2" } }));
    let second = author.get(&format!("{MAPS}?limit=2&continue={{{{{first}:/metadata/continue}}}}"));
    author.get(&format!("{MAPS}?limit=2&continue={{{{{second}:/metadata/continue}}}}"));
    // A token that was used may be used again, with another limit.
    author.get(&format!("{MAPS}?limit=1&continue={{{{{first}:/metadata/continue}}}}"));
    author.get(&format!("{MAPS}?resourceVersionMatch=Exact&resourceVersion={{{{{first}:/metadata/resourceVersion}}}}"));
    author.get(&format!("{MAPS}?watch=true&resourceVersion={{{{{first}:/metadata/resourceVersion}}}}"));
    author.get(MAPS);
    author.script("pages")
}

fn watches_end() -> Script {
    let mut author = Author::new();
    author.post(MAPS, map("a"));
    author.get(&format!("{MAPS}?watch=true&timeoutSeconds=1"));
    author.get(&format!("{MAPS}?watch=true&timeoutSeconds=4&allowWatchBookmarks=true"));
    author.merge(&format!("{MAPS}/a"), json!({ "data": { "a": "2" } }));
    author.script("watches end")
}

fn versions_of_the_future() -> Script {
    let mut author = Author::new();
    author.post(MAPS, map("a"));
    author.get(&format!("{MAPS}?resourceVersion=99999999"));
    author.get(&format!("{MAPS}?resourceVersion=99999999&resourceVersionMatch=NotOlderThan"));
    author.get(&format!("{MAPS}/a?resourceVersion=99999999"));
    author.script("versions of the future")
}

/// What Atoll does with objects that it made: it owns them by apply from then on.
fn taken_over_by_apply() -> Script {
    let mut author = Author::new();
    let service = |ports: Value| {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a", "labels": { "one": "1", "two": "2" } },
            "spec": { "clusterIP": "None", "publishNotReadyAddresses": true, "selector": { "x": "y" }, "ports": ports } })
    };
    let services = "/api/v1/namespaces/{{ns}}/services";
    let ports = json!([{ "name": "client", "port": 2379, "targetPort": 2379, "protocol": "TCP" },
        { "name": "peer", "port": 2380, "targetPort": 2380, "protocol": "TCP" }]);
    let made = author.post(&format!("{services}?fieldManager=atoll"), service(ports));
    // The whole object again, with the owner's operation changed.
    author.merge(&format!("{services}/a?fieldManager=atoll"), json!({ "metadata": {
        "uid": format!("{{{{{made}:/metadata/uid}}}}"), "resourceVersion": format!("{{{{{made}:/metadata/resourceVersion}}}}"),
        "managedFields": [{ "manager": "atoll", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "time": "2024-01-01T00:00:00Z",
            "fieldsV1": { "f:metadata": { "f:labels": { "f:one": {}, "f:two": {} } },
                "f:spec": { "f:clusterIP": {}, "f:publishNotReadyAddresses": {}, "f:selector": {},
                    "f:ports": { "k:{\"port\":2379,\"protocol\":\"TCP\"}": { ".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {} },
                        "k:{\"port\":2380,\"protocol\":\"TCP\"}": { ".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {} } } } } }] } }));
    author.get(&format!("{services}/a"));
    let mut fewer = service(json!([{ "name": "client", "port": 2379, "targetPort": 2379, "protocol": "TCP" }]));
    fewer["metadata"]["uid"] = format!("{{{{{made}:/metadata/uid}}}}").into();
    fewer["metadata"]["labels"] = json!({ "one": "1" });
    author.apply(&format!("{services}/a?fieldManager=atoll&force=true"), fewer.clone());
    author.apply(&format!("{services}/a?fieldManager=atoll&force=true"), fewer.clone());
    fewer["metadata"]["uid"] = "00000000-0000-4000-8000-000000000007".into();
    author.apply(&format!("{services}/a?fieldManager=atoll&force=true"), fewer.clone());
    author.delete(&format!("{services}/a"));
    author.apply(&format!("{services}/a?fieldManager=atoll&force=true"), fewer);
    author.get(services);
    author.script("taken over by apply")
}

/// Versions expire.
fn expiry() -> Script {
    let mut author = Author::new();
    for name in ["a", "b", "c", "d"] {
        author.post(MAPS, map(name));
    }
    let first = author.get(&format!("{MAPS}?limit=1"));
    let of_all = author.get(MAPS);
    author.merge(&format!("{MAPS}/c"), json!({ "data": { "a": "2" } }));
    let old = format!("{{{{{of_all}:/metadata/resourceVersion}}}}");
    let token = format!("{{{{{first}:/metadata/continue}}}}");
    author.get(&format!("{MAPS}?limit=1&continue={token}"));
    author.compact();
    let gone = author.get(&format!("{MAPS}?limit=1&continue={token}"));
    // The answer has a token with which to go on at the present version.
    author.get(&format!("{MAPS}?limit=1&continue={{{{{gone}:/metadata/continue}}}}"));
    author.get(&format!("{MAPS}?resourceVersion={old}&resourceVersionMatch=Exact"));
    author.get(&format!("{MAPS}?resourceVersion={old}&resourceVersionMatch=NotOlderThan"));
    author.get(&format!("{MAPS}?resourceVersion={old}"));
    author.get(&format!("{MAPS}/c?resourceVersion={old}"));
    author.get(&format!("{MAPS}?watch=true&resourceVersion={old}"));
    let now = author.get(MAPS);
    author.get(&format!("{MAPS}?watch=true&resourceVersion={{{{{now}:/metadata/resourceVersion}}}}"));
    author.merge(&format!("{MAPS}/a"), json!({ "data": { "a": "3" } }));
    author.script("versions expire")
}
