//! An API server of a few hundred bytes, in memory: enough of lists, watches, creates, patches and deletes to test the
//! pool against, and faults to order. It is no model of the real one; what depends on fine points is tested in the lab.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::{
    allowances::Allowances,
    connect::{Connect, ConnectError, Connection},
    kubeconfig::{self, Credentials},
    limits::Limits,
    stack,
    wire::{Protocol, Spoken},
};

/// In place of a kind: the watch ends.
const END: &str = "end";

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;
/// Kind, namespace and name.
type Place = (String, String, String);

/// A cluster in memory.
#[derive(Clone)]
pub struct Cluster(Arc<Mutex<State>>);

struct State {
    uid: String,
    version: u64,
    objects: BTreeMap<Place, Value>,
    events: Vec<(u64, String, Value)>,
    news: broadcast::Sender<(u64, String, Value)>,
    requests: Vec<String>,
    silent: bool,
    refusals: BTreeMap<String, Value>,
}

impl Cluster {
    pub fn new(uid: &str) -> Self {
        let cluster = Self(Arc::new(Mutex::new(State {
            uid: uid.to_owned(),
            version: 100,
            objects: BTreeMap::new(),
            events: Vec::new(),
            news: broadcast::channel(256).0,
            requests: Vec::new(),
            silent: false,
            refusals: BTreeMap::new(),
        })));
        for namespace in ["kube-system", "default"] {
            cluster.put("namespaces", "", namespace, json!({ "metadata": { "name": namespace } }));
        }
        cluster
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().expect("a lock"))
    }

    /// From now on the cluster has another identity.
    pub fn become_another(&self, uid: &str) {
        self.with(|state| uid.clone_into(&mut state.uid));
    }

    /// Stops answering, or starts again. Watches that run get nothing more either way: their connections are dead.
    pub fn cut(&self, silent: bool) {
        self.with(|state| {
            state.silent = silent;
            state.news = broadcast::channel(256).0;
        });
    }

    /// Answers requests that begin so (`POST pods`) with this status.
    pub fn refuse(&self, what: &str, code: u16, reason: &str, message: &str, details: Value) {
        let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
            "message": message, "details": details, "metadata": {} });
        self.with(|state| state.refusals.insert(what.to_owned(), status));
    }

    /// Answers requests that begin so with 429, and asks for so many seconds to itself.
    pub fn overload(&self, what: &str, seconds: u64) {
        self.refuse(what, 429, "TooManyRequests", "please try again later", json!({ "retryAfterSeconds": seconds }));
    }

    pub fn accept(&self, what: &str) {
        self.with(|state| state.refusals.remove(what));
    }

    /// The requests since the last time, as `METHOD plural`, watches as `WATCH plural`.
    pub fn requests(&self) -> Vec<String> {
        self.with(|state| std::mem::take(&mut state.requests))
    }

    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let place = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.with(|state| state.objects.get(&place).cloned())
    }

    /// Makes or changes an object, as its other writers would.
    pub fn put(&self, plural: &str, namespace: &str, name: &str, object: Value) -> Value {
        self.with(|state| state.put(plural, namespace, name, object))
    }

    pub fn remove(&self, plural: &str, namespace: &str, name: &str) {
        self.with(|state| state.remove(&(plural.to_owned(), namespace.to_owned(), name.to_owned())));
    }

    /// The object goes, and no watch says so.
    pub fn remove_in_silence(&self, plural: &str, namespace: &str, name: &str) {
        let place = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.with(|state| drop(state.objects.remove(&place)));
    }

    /// The object goes and another one comes in its place, and no watch says so yet.
    pub fn replace_in_silence(&self, plural: &str, namespace: &str, name: &str, object: Value) {
        self.remove_in_silence(plural, namespace, name);
        self.with(|state| {
            let watched = std::mem::replace(&mut state.news, broadcast::channel(1).0);
            state.put(plural, namespace, name, object);
            state.events.pop();
            state.news = watched;
        });
    }

    /// A backup from before the object was made is restored: versions count anew, and watches end as by a server that
    /// is restarted.
    pub fn restore_without(&self, plural: &str, namespace: &str, name: &str) {
        let place = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.with(|state| {
            state.objects.remove(&place);
            state.version -= 1;
            let now = state.version;
            state.events.retain(|(version, ..)| *version <= now);
            let _ = state.news.send((0, END.to_owned(), Value::Null));
        });
    }

    pub fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let (plural, namespace, name) = place(parts.uri.path());
        let watch = query.contains("watch=true");
        let method = if watch { "WATCH".to_owned() } else { parts.method.to_string() };
        let asked = format!("{method} {plural}");
        let refusal = self.with(|state| {
            state.requests.push(asked.clone());
            if state.silent { Some(Value::Null) } else { state.refusals.get(&asked).cloned() }
        });
        match refusal {
            Some(Value::Null) => std::future::pending().await,
            Some(status) => {
                return answer(u16::try_from(status["code"].as_u64().unwrap_or(500)).unwrap_or(500), status);
            }
            None => {}
        }
        if watch {
            return self.watch(&plural, &query);
        }
        self.with(|state| state.request(&parts.method, (plural, namespace, name), &query, body))
    }

    fn watch(&self, plural: &str, query: &str) -> Answer {
        let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)).map(str::to_owned);
        let from: u64 = parameter("resourceVersion=").and_then(|text| text.parse().ok()).unwrap_or(0);
        let wanted = plural.to_owned();
        let (past, news) = self.with(|state| (state.events.clone(), state.news.subscribe()));
        let past = stream::iter(past).filter(move |(version, ..)| std::future::ready(*version > from));
        let coming = stream::unfold(news, |mut news| async move { news.recv().await.ok().map(|event| (event, news)) });
        // A channel that closes is a connection that dies in silence: such a stream never ends.
        let events = past.chain(coming).chain(stream::pending());
        let events = events.take_while(|(_, plural, _)| std::future::ready(plural != END)).filter_map(
            move |(_, plural, event)| {
                let line = (plural == wanted).then(|| Ok(Frame::data(Bytes::from(format!("{event}\n")))));
                std::future::ready(line)
            },
        );
        Response::new(BodyExt::boxed_unsync(StreamBody::new(events)))
    }
}

impl tower::Service<Request<Body>> for Cluster {
    type Response = Answer;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Answer, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let cluster = self.clone();
        async move { Ok(cluster.answer(request).await) }.boxed()
    }
}

impl State {
    fn put(&mut self, plural: &str, namespace: &str, name: &str, mut object: Value) -> Value {
        let place = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.version += 1;
        let there = self.objects.get(&place);
        let uid =
            there.map_or_else(|| json!(format!("uid-{}", self.version)), |there| there["metadata"]["uid"].clone());
        let kind = if there.is_some() { "MODIFIED" } else { "ADDED" };
        object["metadata"]["name"] = json!(name);
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object["metadata"]["uid"] = uid;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(place, object.clone());
        self.tell(plural, kind, object.clone());
        object
    }

    fn remove(&mut self, place: &Place) -> Option<Value> {
        let mut object = self.objects.remove(place)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.tell(&place.0, "DELETED", object.clone());
        Some(object)
    }

    fn tell(&mut self, plural: &str, kind: &str, object: Value) {
        let event = (self.version, plural.to_owned(), json!({ "type": kind, "object": object }));
        self.events.push(event.clone());
        let _ = self.news.send(event);
    }

    fn request(&mut self, method: &Method, place: Place, query: &str, body: Value) -> Answer {
        let (plural, namespace, name) = place.clone();
        if plural == "version" {
            return answer(
                200,
                json!({ "major": "1", "minor": "34", "gitVersion": "v1.34.4", "gitCommit": "",
                "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": "" }),
            );
        }
        let is_there = self.objects.contains_key(&place);
        match (method.as_str(), name.as_str()) {
            ("GET", "") => answer(200, self.list(&plural, &namespace, query)),
            ("GET", _) if is_there => {
                let mut object = self.objects[&place].clone();
                if (plural.as_str(), name.as_str()) == ("namespaces", "kube-system") {
                    object["metadata"]["uid"] = json!(self.uid);
                }
                answer(200, object)
            }
            ("POST", _) => self.create(&plural, &namespace, body),
            ("PATCH", _) if is_there => {
                let there = self.objects[&place].clone();
                let uid = &body["metadata"]["uid"];
                // A write of the status takes nothing else into account.
                let is_status = body.get("status").is_some();
                if !is_status && !uid.is_null() && *uid != there["metadata"]["uid"] {
                    let causes = json!({ "causes": [{ "reason": "FieldValueInvalid", "field": "metadata.uid", "message": "" }] });
                    return refusal(422, "Invalid", "metadata.uid: field is immutable", causes);
                }
                let version = &body["metadata"]["resourceVersion"];
                if !version.is_null() && *version != there["metadata"]["resourceVersion"] {
                    return refusal(409, "Conflict", "the object has been modified", json!({}));
                }
                let mut merged = there;
                merge(&mut merged, body);
                answer(200, self.put(&plural, &namespace, &name, merged))
            }
            ("DELETE", _) if is_there => {
                for (precondition, called) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
                    let wanted = &body["preconditions"][precondition];
                    if !wanted.is_null() && *wanted != self.objects[&place]["metadata"][precondition] {
                        let words = format!("Precondition failed: {called} in precondition differs");
                        return refusal(409, "Conflict", &words, json!({}));
                    }
                }
                self.remove(&place);
                answer(200, json!({ "kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {} }))
            }
            _ => refusal(404, "NotFound", &format!("{plural} {name:?} not found"), json!({ "kind": plural })),
        }
    }

    fn create(&mut self, plural: &str, namespace: &str, body: Value) -> Answer {
        let made_up = || body["metadata"]["generateName"].as_str().map(|begin| format!("{begin}{}", self.version));
        let name = body["metadata"]["name"].as_str().map(str::to_owned).or_else(made_up).unwrap_or_default();
        let namespaces = |name: &str| ("namespaces".to_owned(), String::new(), name.to_owned());
        if !namespace.is_empty() && !self.objects.contains_key(&namespaces(namespace)) {
            let words = format!("namespaces {namespace:?} not found");
            return refusal(404, "NotFound", &words, json!({ "kind": "namespaces", "name": namespace }));
        }
        if self.objects.contains_key(&(plural.to_owned(), namespace.to_owned(), name.clone())) {
            return refusal(409, "AlreadyExists", &format!("{plural} {name:?} already exists"), json!({}));
        }
        answer(201, self.put(plural, namespace, &name, body))
    }

    fn list(&self, plural: &str, namespace: &str, query: &str) -> Value {
        let selector = query.split('&').find_map(|pair| pair.strip_prefix("labelSelector=")).unwrap_or_default();
        let selector = selector.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/");
        let matches = |object: &Value| {
            selector.split(',').filter(|term| !term.is_empty()).all(|term| {
                term.split_once('=').is_some_and(|(key, value)| object["metadata"]["labels"][key] == json!(value))
            })
        };
        let items: Vec<_> = self
            .objects
            .iter()
            .filter(|((kind, within, _), object)| {
                kind == plural && (namespace.is_empty() || within == namespace) && matches(object)
            })
            .map(|(_, object)| object.clone())
            .collect();
        json!({ "kind": "List", "apiVersion": "v1", "items": items,
            "metadata": { "resourceVersion": self.version.to_string() } })
    }
}

/// `/api/v1/namespaces/NS/pods/NAME` and its like.
fn place(path: &str) -> Place {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (["api", _, rest @ ..] | ["apis", _, _, rest @ ..] | rest) = parts.as_slice();
    let (namespace, plural, name) = match rest {
        ["namespaces", namespace, plural, name @ ..] if *plural != "status" => (*namespace, *plural, name.first()),
        [plural, name @ ..] => ("", *plural, name.first()),
        [] => ("", "", None),
    };
    (plural.to_owned(), namespace.to_owned(), name.copied().unwrap_or_default().to_owned())
}

fn merge(into: &mut Value, patch: Value) {
    match patch {
        Value::Object(fields) => {
            if !into.is_object() {
                *into = json!({});
            }
            for (key, value) in fields {
                if value.is_null() {
                    into.as_object_mut().expect("an object").remove(&key);
                } else {
                    merge(&mut into[key], value);
                }
            }
        }
        other => *into = other,
    }
}

fn refusal(code: u16, reason: &str, message: &str, details: Value) -> Answer {
    answer(
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": message, "details": details, "metadata": {} }),
    )
}

fn answer(code: u16, body: Value) -> Answer {
    let retry_after = body["details"]["retryAfterSeconds"].as_u64();
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
    let mut response = Response::new(BodyExt::boxed_unsync(body));
    *response.status_mut() = http::StatusCode::from_u16(code).expect("a status code");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Connects credentials to clusters in memory by their server's host.
#[derive(Clone, Default)]
pub struct Clusters(Arc<Mutex<BTreeMap<String, Cluster>>>);

impl Clusters {
    pub fn add(&self, host: &str, cluster: &Cluster) {
        self.0.lock().expect("a lock").insert(host.to_owned(), cluster.clone());
    }
}

impl Connect for Clusters {
    fn connect(
        &self,
        _: &crate::plan::name::WorkerName,
        credentials: &Credentials,
        limits: &Arc<Limits>,
    ) -> Result<Connection, ConnectError> {
        let host = credentials.server().host().unwrap_or_default();
        let clusters = self.0.lock().expect("a lock");
        let cluster = clusters.get(host).ok_or(ConnectError::Certificates)?;
        let client = stack::client(cluster.clone(), limits.clone(), "default");
        Ok(Connection { client, spoken: Spoken::from_the_start(Protocol::Http1) })
    }
}

/// A certificate that nobody trusts, in the form that kubeconfigs have it.
pub const CA: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BTUNBUUU9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";

/// A kubeconfig with a context for each host, all with this token.
pub fn kubeconfig(hosts: &[&str], token: &str) -> String {
    let mut text = String::from("apiVersion: v1\nkind: Config\n");
    let section = |title: &str, item: &dyn Fn(&str) -> String| {
        hosts.iter().fold(format!("{title}:\n"), |text, host| text + &item(host))
    };
    text += &section("clusters", &|host| {
        format!("- name: {host}\n  cluster: {{server: 'https://{host}:6443', certificate-authority-data: {CA}}}\n")
    });
    text += &section("contexts", &|host| format!("- name: {host}\n  context: {{cluster: {host}, user: {host}}}\n"));
    text += &section("users", &|host| format!("- name: {host}\n  user: {{token: {token}}}\n"));
    text
}

pub fn credentials_of_token(token: &str) -> Credentials {
    kubeconfig::credentials(&kubeconfig(&["one"], token), None, &Allowances::default()).expect("credentials")
}

pub fn credentials(host: &str) -> Credentials {
    kubeconfig::credentials(&kubeconfig(&[host], "token"), None, &Allowances::default()).expect("credentials")
}
