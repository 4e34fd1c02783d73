#![allow(missing_docs)]
//! fallback core
use crate::content::{self, Endpoint, Force, Kind, Refusal, Writer};
use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;

pub type Body = UnsyncBoxBody<Bytes, io::Error>;
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub resource: String,
    pub namespace: String,
    pub name: String,
}
impl Place {
    pub fn namespaced(r: &str, ns: &str, n: &str) -> Self {
        Self { resource: r.into(), namespace: ns.into(), name: n.into() }
    }
}
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.resource, self.namespace, self.name)
    }
}
#[derive(Clone, Debug)]
pub struct Commit {
    pub user: String,
    pub verb: &'static str,
    pub place: Place,
    pub before: Option<Arc<Value>>,
    pub after: Option<Arc<Value>>,
    pub version: u64,
}
#[derive(Clone, Debug)]
pub struct Rule {
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub verbs: Vec<String>,
}
#[derive(Clone, Debug)]
pub enum Rights {
    All,
    Rules(Vec<Rule>),
}
#[derive(Clone, Debug)]
pub struct Account {
    pub user: String,
    pub rights: Rights,
    pub expires: Option<Timestamp>,
}
#[derive(Clone, Debug)]
pub enum Who {
    Admin,
    Token(String),
}
#[derive(Clone)]
pub struct Admission {
    words: String,
}
impl Admission {
    pub fn deny(words: &str) -> Self {
        Self { words: words.into() }
    }
}
pub struct Options {
    pub identity: String,
    pub version: String,
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub seed: u64,
}
type Objects = BTreeMap<String, BTreeMap<(String, String), Arc<Value>>>;
#[derive(Clone)]
pub struct Snapshot {
    objects: Objects,
    version: u64,
}
type Hook = Arc<dyn Fn(&Commit) + Send + Sync>;
#[derive(Clone)]
pub struct ApiServer(Arc<Mutex<State>>);
#[derive(Clone)]
struct Change {
    version: u64,
    resource: String,
    before: Option<Arc<Value>>,
    after: Option<Arc<Value>>,
    last: Arc<Value>,
}
struct Watcher {
    resource: String,
    namespace: String,
    select: Select,
    out: mpsc::UnboundedSender<Bytes>,
}
struct State {
    o: Options,
    version: u64,
    compacted: u64,
    kinds: Vec<Arc<Kind>>,
    objects: Objects,
    history: VecDeque<Change>,
    watchers: Vec<Watcher>,
    frozen: Option<(Objects, u64, Vec<Change>)>,
    accounts: BTreeMap<String, Account>,
    rng: u64,
    next_ip: u32,
    next_port: u32,
    hooks: Vec<Hook>,
    admission: Option<Admission>,
    commits: Vec<Commit>,
}
#[derive(Clone, Default)]
struct Select {
    labels: Vec<(String, Op, Vec<String>)>,
    fields: Vec<(String, String)>,
}
#[derive(Clone, Copy, PartialEq)]
enum Op {
    In,
    NotIn,
    Exists,
    Not,
}
impl Select {
    fn matches(&self, o: &Value) -> bool {
        self.labels.iter().all(|(k, op, vs)| {
            let v = o["metadata"]["labels"][k].as_str();
            match op {
                Op::In => v.is_some_and(|v| vs.iter().any(|x| x == v)),
                Op::NotIn => !v.is_some_and(|v| vs.iter().any(|x| x == v)),
                Op::Exists => v.is_some(),
                Op::Not => v.is_none(),
            }
        }) && self.fields.iter().all(|(p, v)| {
            let f = o.pointer(&format!("/{}", p.replace('.', "/"))).and_then(Value::as_str).unwrap_or("");
            f == v
        })
    }
}

struct Fail {
    code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}
fn fail(code: u16, reason: &'static str, message: impl Into<String>) -> Fail {
    Fail { code, reason, message: message.into(), details: Value::Null }
}
impl Fail {
    fn with(mut self, d: Value) -> Self {
        self.details = d;
        self
    }
    fn status(&self) -> Value {
        let mut s = json!({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":self.message,"reason":self.reason,"code":self.code});
        if !self.details.is_null() {
            s["details"] = self.details.clone();
        }
        s
    }
}
type Res<T> = Result<T, Fail>;

fn full(code: u16, v: &Value) -> Response<Body> {
    let mut r = Response::new(Full::new(Bytes::from(v.to_string())).map_err(|n| match n {}).boxed_unsync());
    *r.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    r.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    r
}

impl ApiServer {
    pub fn new(o: Options) -> Self {
        let rng = o.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let s = Self(Arc::new(Mutex::new(State {
            o,
            version: 100,
            compacted: 0,
            kinds: content::builtin_kinds().into_iter().map(Arc::new).collect(),
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            watchers: vec![],
            frozen: None,
            accounts: BTreeMap::new(),
            rng,
            next_ip: 10,
            next_port: 30000,
            hooks: vec![],
            admission: None,
            commits: vec![],
        })));
        for n in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            let r = Request::post("/api/v1/namespaces")
                .body(Bytes::from(json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":n}}).to_string()))
                .unwrap_or_default();
            let _ = s.answer(&Who::Admin, r);
        }
        s.with(|st| {
            let id = st.o.identity.clone();
            st.set_uid("kube-system", &id);
        });
        s
    }
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    fn flush(&self) {
        let (commits, hooks) = self.with(|s| (std::mem::take(&mut s.commits), s.hooks.clone()));
        for c in &commits {
            for h in &hooks {
                h(c);
            }
        }
    }
    pub fn get(&self, at: &Place) -> Option<Arc<Value>> {
        self.with(|s| s.objects.get(&at.resource)?.get(&(at.namespace.clone(), at.name.clone())).cloned())
    }
    pub fn list(&self, r: &str) -> Vec<Arc<Value>> {
        self.with(|s| s.objects.get(r).map(|m| m.values().cloned().collect()).unwrap_or_default())
    }
    pub fn version(&self) -> u64 {
        self.with(|s| s.version)
    }
    pub fn on_commit(&self, h: Hook) {
        self.with(|s| s.hooks.push(h));
    }
    pub fn account(&self, t: &str, a: Account) {
        self.with(|s| s.accounts.insert(t.into(), a));
    }
    pub fn revoke(&self, t: &str) {
        self.with(|s| s.accounts.remove(t));
    }
    pub fn snapshot(&self) -> Snapshot {
        self.with(|s| Snapshot { objects: s.objects.clone(), version: s.version })
    }
    pub fn restore(&self, b: &Snapshot) {
        self.with(|s| {
            s.objects = b.objects.clone();
            s.version = b.version;
            s.history.retain(|c| c.version <= b.version);
            s.watchers.clear();
            s.frozen = None;
        });
    }
    pub fn compact(&self) {
        self.with(|s| {
            s.compacted = s.version;
            s.history.clear();
        });
    }
    pub fn close_watches(&self) {
        self.with(|s| s.watchers.clear());
    }
    pub fn freeze_cache(&self) {
        self.with(|s| {
            if s.frozen.is_none() {
                s.frozen = Some((s.objects.clone(), s.version, vec![]));
            }
        });
    }
    pub fn thaw_cache(&self) {
        self.with(|s| {
            if let Some((_, _, held)) = s.frozen.take() {
                for c in held {
                    s.tell(&c);
                }
            }
        });
    }
    pub fn set_identity(&self, u: String) {
        self.with(|s| {
            s.o.identity = u.clone();
            s.set_uid("kube-system", &u);
        });
    }
    pub fn admission(&self, a: Option<Admission>) {
        self.with(|s| s.admission = a);
    }
    pub fn wipe_namespace(&self, n: &str) {
        self.with(|s| {
            let all: Vec<_> = s
                .objects
                .iter()
                .flat_map(|(r, m)| {
                    m.keys()
                        .filter(|k| k.0 == n || (r == "namespaces" && k.1 == n))
                        .map(|k| (r.clone(), k.clone()))
                        .collect::<Vec<_>>()
                })
                .collect();
            for (r, k) in all {
                s.drop_object("wipe", &r, &k);
            }
        });
        self.flush();
    }
    pub fn answer(&self, who: &Who, request: Request<Bytes>) -> Response<Body> {
        let r = self.with(|s| s.serve(who, &request));
        self.flush();
        match r {
            Ok(r) => r,
            Err(f) => full(f.code, &f.status()),
        }
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        self.rng
    }
    fn uid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }
    fn set_uid(&mut self, ns: &str, uid: &str) {
        if let Some(o) = self.objects.get_mut("namespaces").and_then(|m| m.get_mut(&(String::new(), ns.into()))) {
            let mut v = (**o).clone();
            v["metadata"]["uid"] = json!(uid);
            *o = Arc::new(v);
        }
    }
    fn now(&self) -> String {
        let t = (self.o.clock)();
        Timestamp::from_second(t.as_second()).unwrap_or(t).to_string()
    }
    fn tell(&mut self, c: &Change) {
        self.watchers.retain(|w| !w.out.is_closed());
        for w in &self.watchers {
            if w.resource == c.resource {
                if let Some(l) = line(c, &w.namespace, &w.select) {
                    let _ = w.out.send(l);
                }
            }
        }
    }
    fn commit(
        &mut self,
        user: &str,
        verb: &'static str,
        r: &str,
        key: (String, String),
        after: Option<Value>,
    ) -> Arc<Value> {
        self.version += 1;
        let before = self.objects.get(r).and_then(|m| m.get(&key)).cloned();
        let (last, after) = if let Some(mut v) = after {
            v["metadata"]["resourceVersion"] = json!(self.version.to_string());
            let v = Arc::new(v);
            self.objects.entry(r.into()).or_default().insert(key.clone(), v.clone());
            (v.clone(), Some(v))
        } else {
            if let Some(m) = self.objects.get_mut(r) {
                m.remove(&key);
            }
            let mut v = before.as_deref().cloned().unwrap_or_default();
            v["metadata"]["resourceVersion"] = json!(self.version.to_string());
            (Arc::new(v), None)
        };
        let c = Change {
            version: self.version,
            resource: r.into(),
            before: before.clone(),
            after: after.clone(),
            last: last.clone(),
        };
        self.history.push_back(c.clone());
        if self.history.len() > 3000 {
            if let Some(x) = self.history.pop_front() {
                self.compacted = self.compacted.max(x.version);
            }
        }
        if let Some((_, _, held)) = &mut self.frozen {
            held.push(c);
        } else {
            self.tell(&c);
        }
        self.commits.push(Commit {
            user: user.into(),
            verb,
            place: Place { resource: r.into(), namespace: key.0, name: key.1 },
            before,
            after,
            version: self.version,
        });
        last
    }
    fn drop_object(&mut self, user: &str, r: &str, key: &(String, String)) -> Arc<Value> {
        let last = self.commit(user, "delete", r, key.clone(), None);
        if r == "customresourcedefinitions.apiextensions.k8s.io" {
            let (p, g) = (
                last["spec"]["names"]["plural"].as_str().unwrap_or("").to_owned(),
                last["spec"]["group"].as_str().unwrap_or("").to_owned(),
            );
            self.kinds.retain(|k| !(k.custom && k.plural == p && k.group == g));
        }
        last
    }
    fn serve(&mut self, who: &Who, q: &Request<Bytes>) -> Res<Response<Body>> {
        let now = (self.o.clock)();
        let (user, rights) = match who {
            Who::Admin => ("admin".to_owned(), Rights::All),
            Who::Token(t) => match self.accounts.get(t) {
                Some(a) if a.expires.is_none_or(|e| e > now) => (a.user.clone(), a.rights.clone()),
                _ => return Err(fail(401, "Unauthorized", "Unauthorized")),
            },
        };
        let path = q.uri().path().to_owned();
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        if parts.first() == Some(&"version") {
            return Ok(full(
                200,
                &json!({"major":"1","minor":"34","gitVersion":self.o.version,"gitCommit":"","gitTreeState":"clean","buildDate":"","goVersion":"","compiler":"gc","platform":"linux/amd64"}),
            ));
        }
        let (group, version, rest) = match parts.as_slice() {
            ["api", v, rest @ ..] => ("", *v, rest),
            ["apis", g, v, rest @ ..] => (*g, *v, rest),
            _ => return Err(fail(404, "NotFound", "404 page not found")),
        };
        let known =
            |p: &str| self.kinds.iter().find(|k| k.group == group && k.version == version && k.plural == p).cloned();
        let (ns, kind, name, sub) = match rest {
            ["namespaces", ns, p, tail @ ..] if *p != "status" && *p != "finalize" => {
                (*ns, known(p), tail.first().copied().unwrap_or(""), tail.get(1).copied().unwrap_or(""))
            }
            [p, tail @ ..] => ("", known(p), tail.first().copied().unwrap_or(""), tail.get(1).copied().unwrap_or("")),
            [] => return Err(fail(404, "NotFound", "404 page not found")),
        };
        if rest.last() == Some(&"selfsubjectaccessreviews") {
            let b: Value = serde_json::from_slice(q.body()).unwrap_or_default();
            let mut b = b;
            let a = &b["spec"]["resourceAttributes"];
            let ok = allowed(
                &rights,
                a["group"].as_str().unwrap_or(""),
                a["resource"].as_str().unwrap_or(""),
                a["verb"].as_str().unwrap_or(""),
            );
            b["status"] = json!({"allowed": ok});
            return Ok(full(201, &b));
        }
        let Some(kind) = kind else { return Err(fail(404, "NotFound", "404 page not found")) };
        let resource =
            if kind.group.is_empty() { kind.plural.clone() } else { format!("{}.{}", kind.plural, kind.group) };
        let query: BTreeMap<String, String> = q
            .uri()
            .query()
            .unwrap_or("")
            .split('&')
            .filter_map(|p| p.split_once('='))
            .map(|(k, v)| (k.to_owned(), unescape(v)))
            .collect();
        let watch = matches!(query.get("watch").map(String::as_str), Some("true" | "1"));
        let verb = match *q.method() {
            Method::GET if watch => "watch",
            Method::GET if name.is_empty() => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if name.is_empty() => "deletecollection",
            Method::DELETE => "delete",
            _ => {
                return Err(fail(
                    405,
                    "MethodNotAllowed",
                    "the server does not allow this method on the requested resource",
                ));
            }
        };
        if !allowed(&rights, &kind.group, &kind.plural, verb) {
            let at = if ns.is_empty() { "at the cluster scope".to_owned() } else { format!("in the namespace {ns:?}") };
            return Err(fail(
                403,
                "Forbidden",
                format!(
                    "{} is forbidden: User {user:?} cannot {verb} resource {:?} in API group {:?} {at}",
                    kind.plural, kind.plural, kind.group
                ),
            )
            .with(json!({"kind": kind.plural})));
        }
        let body: Value = if q.body().is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(q.body()).map_err(|e| fail(400, "BadRequest", e.to_string()))?
        };
        let key = (if kind.namespaced { ns.to_owned() } else { String::new() }, name.to_owned());
        let agent = q
            .headers()
            .get(header::USER_AGENT)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
            .split('/')
            .next()
            .unwrap_or("")
            .to_owned();
        let manager = query.get("fieldManager").cloned().unwrap_or(agent);
        let c = Ctx { kind, resource, key, sub: sub.to_owned(), user, manager, query };
        match verb {
            "get" => {
                let o = self.find(&c)?;
                Ok(full(200, &o))
            }
            "list" => self.do_list(&c),
            "watch" => self.do_watch(&c),
            "create" if c.sub == "binding" => {
                let mut o = (*self.find(&c)?).clone();
                o["spec"]["nodeName"] = body["target"]["name"].clone();
                set_condition(&mut o, "PodScheduled", "True");
                self.commit(&c.user, "bind", &c.resource, c.key.clone(), Some(o));
                Ok(full(201, &json!({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201})))
            }
            "create" if c.sub == "eviction" => {
                let _ = self.find(&c)?;
                self.do_delete(&c, &json!({"gracePeriodSeconds": Value::Null}))
            }
            "create" => {
                let o = self.create(&c, body, false)?;
                Ok(full(201, &o))
            }
            "update" => {
                let r = match self.find(&c) {
                    Ok(old) => self.update(&c, &old, body),
                    Err(e) if e.code == 404 && c.kind.create_on_update => self.create(&c, body, false),
                    Err(e) => Err(e),
                }?;
                Ok(full(200, &r))
            }
            "patch" => self.do_patch(&c, q, body),
            "delete" => self.do_delete(&c, &body),
            _ => Err(fail(405, "MethodNotAllowed", "not here")),
        }
    }
    fn not_found(c: &Ctx) -> Fail {
        let r =
            if c.kind.group.is_empty() { c.kind.plural.clone() } else { format!("{}.{}", c.kind.plural, c.kind.group) };
        let mut d = json!({"name": c.key.1, "kind": c.kind.plural});
        if !c.kind.group.is_empty() {
            d["group"] = json!(c.kind.group);
        }
        fail(404, "NotFound", format!("{r} {:?} not found", c.key.1)).with(d)
    }
    fn find(&self, c: &Ctx) -> Res<Arc<Value>> {
        self.objects.get(&c.resource).and_then(|m| m.get(&c.key)).cloned().ok_or_else(|| Self::not_found(c))
    }
    fn conflict(c: &Ctx, words: &str) -> Fail {
        fail(409, "Conflict", format!("Operation cannot be fulfilled on {} {:?}: {words}", c.resource, c.key.1))
            .with(json!({"name": c.key.1, "kind": c.kind.plural}))
    }
    fn refused(c: &Ctx, name: &str, r: Refusal) -> Fail {
        let m = r.message(&c.kind, name);
        match r { Refusal::Invalid(cs) => fail(422, "Invalid", m).with(json!({"name": name, "kind": c.kind.kind, "group": c.kind.group, "causes": cs.iter().map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field})).collect::<Vec<_>>()})),
            Refusal::BadRequest(_) => fail(400, "BadRequest", m), Refusal::Internal(_) => fail(500, "InternalError", m),
            Refusal::Conflict(cs, _) => fail(409, "Conflict", m).with(json!({"causes": cs.iter().map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field})).collect::<Vec<_>>()})) }
    }
    fn create(&mut self, c: &Ctx, mut o: Value, applied: bool) -> Res<Arc<Value>> {
        if c.kind.namespaced {
            match self.objects.get("namespaces").and_then(|m| m.get(&(String::new(), c.key.0.clone()))) {
                None => return Err(fail(404, "NotFound", format!("namespaces {:?} not found", c.key.0)).with(json!({"name": c.key.0, "kind": "namespaces"}))),
                Some(n) if !n["metadata"]["deletionTimestamp"].is_null() => return Err(fail(403, "Forbidden", format!("{} {:?} is forbidden: unable to create new content in namespace {} because it is being terminated", c.resource, o["metadata"]["name"].as_str().unwrap_or(""), c.key.0)).with(json!({"name": o["metadata"]["name"], "kind": c.kind.plural, "causes": [{"reason":"NamespaceTerminating","message": format!("namespace {} is being terminated", c.key.0), "field":"metadata.namespace"}]}))),
                _ => {}
            }
        }
        if !applied {
            content::decode(&c.kind, &mut o).map_err(|r| Self::refused(c, "", r))?;
        }
        let m = &mut o["metadata"];
        if m["name"].as_str().unwrap_or("").is_empty() && !m["generateName"].is_null() {
            let g = m["generateName"].as_str().unwrap_or("").to_owned();
            let x = self.next();
            o["metadata"]["name"] = json!(format!("{g}{:05x}", x & 0xf_ffff));
        }
        let name = o["metadata"]["name"].as_str().unwrap_or("").to_owned();
        if c.kind.namespaced {
            o["metadata"]["namespace"] = json!(c.key.0);
        }
        if !o["metadata"]["resourceVersion"].is_null() {
            return Err(fail(500, "InternalError", "resourceVersion should not be set on objects to be created"));
        }
        let time = (self.o.clock)();
        let uid = self.uid();
        if !applied {
            content::record_update(&c.kind, None, &mut o, &Writer { manager: &c.manager, subresource: None, time });
        }
        o["metadata"]["uid"] = json!(uid);
        o["metadata"]["creationTimestamp"] = json!(self.now());
        let key = (c.key.0.clone(), name.clone());
        if self.objects.get(&c.resource).is_some_and(|m| m.contains_key(&key)) {
            return Err(fail(409, "AlreadyExists", format!("{} {name:?} already exists", c.resource))
                .with(json!({"name": name, "kind": c.kind.plural, "group": c.kind.group})));
        }
        self.admit(c, &mut o)?;
        content::admit_create(&c.kind, &mut o).map_err(|r| Self::refused(c, &name, r))?;
        if c.resource.starts_with("customresourcedefinitions") {
            for k in content::kinds_of_crd(&o).map_err(|r| Self::refused(c, &name, r))? {
                self.kinds.push(Arc::new(k));
            }
            o["status"] = json!({"conditions": [{"type":"Established","status":"True","reason":"InitialNamesAccepted"},{"type":"NamesAccepted","status":"True"}]});
        }
        if c.query.contains_key("dryRun") {
            return Ok(Arc::new(o));
        }
        Ok(self.commit(&c.user, "create", &c.resource, key, Some(o)))
    }
    fn admit(&mut self, c: &Ctx, o: &mut Value) -> Res<()> {
        let name = o["metadata"]["name"].as_str().unwrap_or("").to_owned();
        let core = c.kind.group.is_empty();
        if let Some(a) = &self.admission
            && core
            && ["pods", "services", "persistentvolumeclaims"].contains(&c.kind.plural.as_str())
        {
            return Err(fail(
                403,
                "Forbidden",
                format!("admission webhook \"policy.example\" denied the request: {}", a.words),
            ));
        }
        match (core, c.kind.plural.as_str()) {
            (true, "namespaces") => {
                o["spec"]["finalizers"] = json!(["kubernetes"]);
                o["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
                o["status"] = json!({"phase":"Active"});
            }
            (true, "persistentvolumeclaims") => {
                let mut f = o["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
                f.push(json!("kubernetes.io/pvc-protection"));
                o["metadata"]["finalizers"] = json!(f);
            }
            (true, "pods") => {
                let sa = o["spec"]["serviceAccountName"].as_str().unwrap_or("default").to_owned();
                o["spec"]["serviceAccountName"] = json!(sa.clone());
                o["spec"]["serviceAccount"] = json!(sa.clone());
                if !self.objects.get("serviceaccounts").is_some_and(|m| m.contains_key(&(c.key.0.clone(), sa.clone())))
                {
                    return Err(fail(
                        403,
                        "Forbidden",
                        format!(
                            "pods {name:?} is forbidden: error looking up service account {}/{sa}: serviceaccount {sa:?} not found",
                            c.key.0
                        ),
                    ));
                }
            }
            (true, "services") => {
                let t = o["spec"]["type"].as_str().unwrap_or("ClusterIP").to_owned();
                if o["spec"]["clusterIP"].is_null() && t != "ExternalName" {
                    self.next_ip += 1;
                    let ip = format!("10.{}.{}.{}", 200 + self.o.seed % 50, self.next_ip >> 8, self.next_ip & 255);
                    o["spec"]["clusterIP"] = json!(ip);
                    o["spec"]["clusterIPs"] = json!([ip]);
                }
                if t == "NodePort" || t == "LoadBalancer" {
                    for p in o["spec"]["ports"].as_array_mut().into_iter().flatten() {
                        if p["nodePort"].is_null() {
                            self.next_port += 1;
                            p["nodePort"] = json!(self.next_port);
                        }
                    }
                }
                if o["status"].is_null() {
                    o["status"] = json!({"loadBalancer": {}});
                }
            }
            _ => {}
        }
        if core && c.kind.namespaced {
            for q in self
                .objects
                .get("resourcequotas")
                .into_iter()
                .flatten()
                .filter(|((n, _), _)| *n == c.key.0)
                .map(|(_, q)| q.clone())
                .collect::<Vec<_>>()
            {
                if let Some(h) = q["spec"]["hard"][&c.kind.plural].as_str().and_then(|h| h.parse::<usize>().ok()) {
                    let used = self.objects.get(&c.resource).map_or(0, |m| m.keys().filter(|k| k.0 == c.key.0).count());
                    if used + 1 > h {
                        return Err(fail(403, "Forbidden", format!("{} {name:?} is forbidden: exceeded quota: {}, requested: {}=1, used: {}={used}, limited: {}={h}", c.kind.plural, q["metadata"]["name"].as_str().unwrap_or(""), c.kind.plural, c.kind.plural, c.kind.plural)).with(json!({"name": name, "kind": c.kind.plural})));
                    }
                }
            }
        }
        Ok(())
    }
    fn endpoint(c: &Ctx) -> Endpoint {
        match c.sub.as_str() {
            "status" => Endpoint::Status,
            "finalize" => Endpoint::Finalize,
            _ => Endpoint::Main,
        }
    }
    fn update(&mut self, c: &Ctx, old: &Arc<Value>, mut new: Value) -> Res<Arc<Value>> {
        content::decode(&c.kind, &mut new).map_err(|r| Self::refused(c, &c.key.1, r))?;
        self.check_versions(c, old, &mut new)?;
        let sub = (!c.sub.is_empty()).then_some(c.sub.as_str());
        content::record_update(
            &c.kind,
            Some(old),
            &mut new,
            &Writer { manager: &c.manager, subresource: sub, time: (self.o.clock)() },
        );
        self.store(c, old, new, "update")
    }
    fn check_versions(&self, c: &Ctx, old: &Value, new: &mut Value) -> Res<()> {
        let m = &mut new["metadata"];
        if let Some(u) = m["uid"].as_str()
            && u != old["metadata"]["uid"].as_str().unwrap_or("")
            && !u.is_empty()
        {
            return Err(Self::conflict(
                c,
                &format!(
                    "Precondition failed: UID in precondition: {u}, UID in object meta: {}",
                    old["metadata"]["uid"].as_str().unwrap_or("")
                ),
            ));
        }
        if let Some(v) = m["resourceVersion"].as_str()
            && !v.is_empty()
            && v != old["metadata"]["resourceVersion"].as_str().unwrap_or("")
        {
            return Err(Self::conflict(
                c,
                "the object has been modified; please apply your changes to the latest version and try again",
            ));
        }
        m["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        Ok(())
    }
    fn store(&mut self, c: &Ctx, old: &Arc<Value>, mut new: Value, verb: &'static str) -> Res<Arc<Value>> {
        content::admit_update(&c.kind, Self::endpoint(c), old, &mut new).map_err(|r| Self::refused(c, &c.key.1, r))?;
        if new == **old {
            return Ok(old.clone());
        }
        if c.query.contains_key("dryRun") {
            return Ok(Arc::new(new));
        }
        let gone = !new["metadata"]["deletionTimestamp"].is_null()
            && new["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
            && (c.kind.plural != "pods" || new["metadata"]["deletionGracePeriodSeconds"] == json!(0))
            && (c.kind.plural != "namespaces" || new["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty));
        if gone {
            return Ok(self.drop_object(&c.user, &c.resource, &c.key));
        }
        let k = c.key.clone();
        Ok(self.commit(&c.user, verb, &c.resource, k, Some(new)))
    }
    fn do_patch(&mut self, c: &Ctx, q: &Request<Bytes>, patch: Value) -> Res<Response<Body>> {
        let t = q.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
        let time = (self.o.clock)();
        let sub = (!c.sub.is_empty()).then_some(c.sub.clone());
        let w = Writer { manager: &c.manager, subresource: sub.as_deref(), time };
        if t.starts_with("application/apply-patch") {
            let force = if c.query.get("force").is_some_and(|f| f == "true") { Force::Yes } else { Force::No };
            return match self.find(c) {
                Ok(old) => {
                    let mut new = content::apply(&c.kind, Some(&old), &patch, &w, force)
                        .map_err(|r| Self::refused(c, &c.key.1, r))?;
                    self.check_versions(c, &old, &mut new)?;
                    let o = self.store(c, &old, new, "apply")?;
                    Ok(full(200, &o))
                }
                Err(e) if e.code == 404 && c.sub.is_empty() => {
                    if patch["metadata"]["uid"].as_str().is_some_and(|u| !u.is_empty()) {
                        return Err(Self::conflict(
                            c,
                            &format!(
                                "Precondition failed: UID in precondition: {}, UID in object meta: ",
                                patch["metadata"]["uid"].as_str().unwrap_or("")
                            ),
                        ));
                    }
                    let new =
                        content::apply(&c.kind, None, &patch, &w, force).map_err(|r| Self::refused(c, &c.key.1, r))?;
                    let o = self.create(c, new, true)?;
                    Ok(full(201, &o))
                }
                Err(e) => Err(e),
            };
        }
        let old = self.find(c)?;
        let mut new = (*old).clone();
        if t.starts_with("application/strategic") {
            content::strategic_patch(&c.kind, &mut new, &patch).map_err(|r| Self::refused(c, &c.key.1, r))?;
        } else {
            content::merge_patch(&mut new, &patch);
        }
        if let Some(u) = patch["metadata"]["uid"].as_str()
            && u != old["metadata"]["uid"].as_str().unwrap_or("")
        {
            return Err(Self::conflict(
                c,
                &format!(
                    "Precondition failed: UID in precondition: {u}, UID in object meta: {}",
                    old["metadata"]["uid"].as_str().unwrap_or("")
                ),
            ));
        }
        let o = self.update(c, &old, new)?;
        Ok(full(200, &o))
    }
    fn do_delete(&mut self, c: &Ctx, opts: &Value) -> Res<Response<Body>> {
        let old = self.find(c)?;
        let p = &opts["preconditions"];
        for (f, l) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
            if let Some(x) = p[f].as_str()
                && x != old["metadata"][f].as_str().unwrap_or("")
            {
                return Err(Self::conflict(
                    c,
                    &format!(
                        "Precondition failed: {l} in precondition: {x}, {l} in object meta: {}",
                        old["metadata"][f].as_str().unwrap_or("")
                    ),
                ));
            }
        }
        let fin = old["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty())
            || (c.kind.plural == "namespaces" && old["spec"]["finalizers"].as_array().is_some_and(|f| !f.is_empty()));
        let grace = match opts["gracePeriodSeconds"].as_i64() {
            Some(g) => g,
            None => old["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30),
        };
        let graceful = c.kind.plural == "pods"
            && old["spec"]["nodeName"].as_str().is_some_and(|n| !n.is_empty())
            && grace > 0
            && old["status"]["phase"] != "Succeeded"
            && old["status"]["phase"] != "Failed";
        if !fin && !graceful {
            let last = self.drop_object(&c.user, &c.resource, &c.key);
            return Ok(full(
                200,
                &if c.kind.plural == "pods" || c.kind.plural == "services" || c.kind.plural == "persistentvolumeclaims"
                {
                    (*last).clone()
                } else {
                    json!({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name": c.key.1, "kind": c.kind.plural, "uid": old["metadata"]["uid"]}})
                },
            ));
        }
        let mut new = (*old).clone();
        if old["metadata"]["deletionTimestamp"].is_null() {
            new["metadata"]["deletionTimestamp"] = json!(self.now());
            new["metadata"]["deletionGracePeriodSeconds"] = json!(if graceful { grace } else { 0 });
            if c.kind.custom || c.kind.plural == "jobs" {
                let g = new["metadata"]["generation"].as_i64().unwrap_or(0);
                new["metadata"]["generation"] = json!(g + 1);
            }
            if c.kind.plural == "namespaces" {
                new["status"]["phase"] = json!("Terminating");
            }
        } else if c.kind.plural == "pods" && !graceful {
            new["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        }
        if new == *old {
            return Ok(full(200, &old));
        }
        let k = c.key.clone();
        let o = self.commit(&c.user, "delete-asked", &c.resource, k, Some(new));
        Ok(full(200, &o))
    }
    fn select(c: &Ctx) -> Select {
        let mut s = Select::default();
        for t in split_terms(c.query.get("labelSelector").map_or("", String::as_str)) {
            let t = t.trim();
            if t.is_empty() {
                continue;
            }
            if let Some((k, v)) = t.split_once("!=") {
                s.labels.push((k.trim().into(), Op::NotIn, vec![v.trim().into()]));
            } else if let Some((k, v)) = t.split_once("==").or_else(|| t.split_once('=')) {
                s.labels.push((k.trim().into(), Op::In, vec![v.trim().into()]));
            } else if let Some((k, v)) = t.split_once(" notin ") {
                s.labels.push((
                    k.trim().into(),
                    Op::NotIn,
                    v.trim().trim_matches(['(', ')']).split(',').map(|x| x.trim().to_owned()).collect(),
                ));
            } else if let Some((k, v)) = t.split_once(" in ") {
                s.labels.push((
                    k.trim().into(),
                    Op::In,
                    v.trim().trim_matches(['(', ')']).split(',').map(|x| x.trim().to_owned()).collect(),
                ));
            } else if let Some(k) = t.strip_prefix('!') {
                s.labels.push((k.trim().into(), Op::Not, vec![]));
            } else {
                s.labels.push((t.into(), Op::Exists, vec![]));
            }
        }
        for t in c.query.get("fieldSelector").map_or("", String::as_str).split(',') {
            if let Some((k, v)) = t.split_once('=') {
                s.fields.push((k.into(), v.trim_start_matches('=').into()));
            }
        }
        if !c.key.1.is_empty() {
            s.fields.push(("metadata.name".into(), c.key.1.clone()));
        }
        s
    }
    fn do_list(&mut self, c: &Ctx) -> Res<Response<Body>> {
        let select = Self::select(c);
        let rv = c.query.get("resourceVersion").map_or("", String::as_str);
        let stale =
            rv == "0" || (!rv.is_empty() && c.query.get("resourceVersionMatch").map(String::as_str) != Some("Exact"));
        let token = c.query.get("continue").map_or("", String::as_str).to_owned();
        let (objects, version) = match &self.frozen {
            Some((o, v, _)) if stale => (o, *v),
            _ => (&self.objects, self.version),
        };
        let (version, after) = match token.split_once('|') {
            Some((v, a)) => {
                let v: u64 = v.parse().unwrap_or(0);
                if v <= self.compacted && self.compacted > 0 {
                    return Err(fail(
                        410,
                        "Expired",
                        "The provided continue parameter is too old to display a consistent list result.",
                    ));
                }
                (v, a.to_owned())
            }
            None => (version, String::new()),
        };
        let limit: usize = c.query.get("limit").and_then(|l| l.parse().ok()).unwrap_or(0);
        let mut items = vec![];
        let mut more = String::new();
        for ((ns, name), o) in objects.get(&c.resource).into_iter().flatten() {
            let at = format!("{ns}/{name}");
            if !after.is_empty() && at <= after {
                continue;
            }
            if !c.key.0.is_empty() && *ns != c.key.0 || !select.matches(o) {
                continue;
            }
            if limit > 0 && items.len() == limit {
                more = format!(
                    "{version}|{}",
                    items
                        .last()
                        .map(|o: &Arc<Value>| format!(
                            "{}/{}",
                            o["metadata"]["namespace"].as_str().unwrap_or(""),
                            o["metadata"]["name"].as_str().unwrap_or("")
                        ))
                        .unwrap_or_default()
                );
                break;
            }
            items.push(o.clone());
        }
        let mut body = format!(
            "{{\"kind\":{:?},\"apiVersion\":{:?},\"metadata\":{{\"resourceVersion\":\"{version}\"",
            c.kind.list_kind,
            c.kind.api_version()
        );
        if !more.is_empty() {
            body.push_str(&format!(",\"continue\":{more:?}"));
        }
        body.push_str("},\"items\":[");
        for (n, o) in items.iter().enumerate() {
            if n > 0 {
                body.push(',');
            }
            body.push_str(&o.to_string());
        }
        body.push_str("]}");
        let mut r = Response::new(Full::new(Bytes::from(body)).map_err(|n| match n {}).boxed_unsync());
        r.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        Ok(r)
    }
    fn do_watch(&mut self, c: &Ctx) -> Res<Response<Body>> {
        let select = Self::select(c);
        let (out, inn) = mpsc::unbounded_channel();
        let rv = c.query.get("resourceVersion").map_or("", String::as_str);
        let (objects, now) = match &self.frozen {
            Some((o, v, _)) => (o, *v),
            None => (&self.objects, self.version),
        };
        let initial = c.query.get("sendInitialEvents").is_some_and(|v| v == "true");
        if rv.is_empty() || rv == "0" || initial {
            for ((ns, _), o) in objects.get(&c.resource).into_iter().flatten() {
                if (c.key.0.is_empty() || *ns == c.key.0) && select.matches(o) {
                    let _ = out.send(event("ADDED", o));
                }
            }
            if initial {
                let _ = out.send(event("BOOKMARK", &json!({"kind": c.kind.kind, "apiVersion": c.kind.api_version(), "metadata": {"resourceVersion": now.to_string(), "annotations": {"k8s.io/initial-events-end": "true"}}})));
            }
        } else {
            let from: u64 = rv.parse().map_err(|_| fail(400, "BadRequest", "invalid resource version"))?;
            if from < self.compacted {
                let s = fail(410, "Expired", format!("too old resource version: {from} ({})", self.compacted)).status();
                let _ = out.send(event("ERROR", &s));
                return Ok(stream(inn, Duration::ZERO, None));
            }
            for ch in
                self.history.iter().filter(|ch| ch.version > from && ch.version <= now && ch.resource == c.resource)
            {
                if let Some(l) = line(ch, &c.key.0, &select) {
                    let _ = out.send(l);
                }
            }
        }
        self.watchers.push(Watcher { resource: c.resource.clone(), namespace: c.key.0.clone(), select, out });
        let secs = c.query.get("timeoutSeconds").and_then(|t| t.parse().ok()).unwrap_or(1800);
        Ok(stream(inn, Duration::from_secs(secs), None))
    }
}
struct Ctx {
    kind: Arc<Kind>,
    resource: String,
    key: (String, String),
    sub: String,
    user: String,
    manager: String,
    query: BTreeMap<String, String>,
}
fn stream(inn: mpsc::UnboundedReceiver<Bytes>, secs: Duration, _b: Option<()>) -> Response<Body> {
    let end = tokio::time::Instant::now() + secs;
    let s = futures::stream::unfold((inn, end), |(mut inn, end)| async move {
        tokio::select! { biased; x = inn.recv() => x.map(|x| (Ok::<_, io::Error>(Frame::data(x)), (inn, end))), () = tokio::time::sleep_until(end) => None }
    });
    Response::new(StreamBody::new(s.boxed()).boxed_unsync())
}
fn event(t: &str, o: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":{t:?},\"object\":{o}}}\n"))
}
fn line(c: &Change, ns: &str, s: &Select) -> Option<Bytes> {
    if !ns.is_empty() && c.last["metadata"]["namespace"] != ns {
        return None;
    }
    let was = c.before.as_deref().is_some_and(|o| s.matches(o));
    let is = c.after.as_deref().is_some_and(|o| s.matches(o));
    match (was, is) {
        (false, true) => Some(event("ADDED", &c.last)),
        (true, true) => Some(event("MODIFIED", &c.last)),
        (true, false) => {
            let mut o = c.before.as_deref().cloned().unwrap_or_default();
            o["metadata"]["resourceVersion"] = json!(c.version.to_string());
            Some(event("DELETED", &o))
        }
        (false, false) => None,
    }
}
fn set_condition(o: &mut Value, t: &str, v: &str) {
    let mut cs = o["status"]["conditions"].as_array().cloned().unwrap_or_default();
    cs.retain(|c| c["type"] != t);
    cs.push(json!({"type": t, "status": v}));
    o["status"]["conditions"] = json!(cs);
}
fn allowed(r: &Rights, g: &str, res: &str, v: &str) -> bool {
    match r {
        Rights::All => true,
        Rights::Rules(rs) => rs.iter().any(|r| {
            r.groups.iter().any(|x| x == g)
                && r.resources.iter().any(|x| x == res)
                && r.verbs.iter().any(|x| x == v || x == "*")
        }),
    }
}
fn unescape(t: &str) -> String {
    let b = t.as_bytes();
    let mut o = vec![];
    let mut i = 0;
    while i < b.len() {
        match b[i] {
            b'%' if i + 2 < b.len() => {
                o.push(u8::from_str_radix(&t[i + 1..i + 3], 16).unwrap_or(b'?'));
                i += 3;
            }
            b'+' => {
                o.push(b' ');
                i += 1;
            }
            x => {
                o.push(x);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&o).into_owned()
}
fn split_terms(t: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut depth = 0;
    for ch in t.chars() {
        match ch {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if ch == ',' && depth == 0 {
            out.push(String::new());
        } else if let Some(l) = out.last_mut() {
            l.push(ch);
        }
    }
    out
}
