//! The server as tests and clients see it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    account::{Account, Attributes, Rights, Who},
    body::Body,
    content,
    failure::{About, Failure},
    hook::Admission,
    place::Place,
    query::Query,
    review,
    route::{Route, Target},
    selector::Selector,
    state::{Ask, State},
    store::{Saved, bytes_of},
    watch::Watching,
};

/// A Kubernetes API server in memory. Cheap to clone; the same behind all clones.
#[derive(Clone)]
pub struct ApiServer {
    shared: Arc<Shared>,
}

/// What a server is made of.
#[derive(Clone)]
pub struct Options {
    /// The UID of its namespace `kube-system`.
    pub identity: String,
    /// Such as `v1.34.4`.
    pub version: String,
    /// The time on its wall.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// What UIDs and generated names come from.
    pub seed: u64,
}

/// A change that was made.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Who asked for it; empty if it was the hand behind the curtain.
    pub user: String,
    /// `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// What was changed.
    pub place: Place,
    /// The object before, if it was there.
    pub before: Option<Arc<Value>>,
    /// The object after, if it is still there.
    pub after: Option<Arc<Value>>,
    /// The resource version of the change.
    pub version: u64,
}

/// Everything that a server held at some moment, as a backup of its etcd.
#[derive(Clone, Debug)]
pub struct Snapshot(Saved);

type Hook = Arc<dyn Fn(&Commit) + Send + Sync>;

pub(crate) struct Shared {
    state: Mutex<State>,
    hooks: Mutex<Vec<Hook>>,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request comes to.
enum Answer {
    Object(u16, Bytes),
    Watch(Watching),
}

impl ApiServer {
    /// A server with the namespaces that every cluster has.
    pub fn new(options: Options) -> Self {
        let identity = options.identity.clone();
        let shared = Arc::new(Shared { state: Mutex::new(State::new(options)), hooks: Mutex::default() });
        let server = Self { shared };
        server.work(|state| {
            for name in ["kube-system", "default", "kube-public", "kube-node-lease"] {
                let uid = if name == "kube-system" { identity.clone() } else { state.random.uid() };
                let namespace = json!({
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {
                        "name": name,
                        "uid": uid,
                        "creationTimestamp": state.stamp(),
                        "labels": { "kubernetes.io/metadata.name": name },
                    },
                    "spec": { "finalizers": ["kubernetes"] },
                    "status": { "phase": "Active" },
                });
                state.put(&"namespaces".into(), name, "create", namespace);
            }
        });
        server
    }

    /// Does something behind the lock, and tells of it when nothing is locked any more.
    fn work<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.shared.state();
        let result = work(&mut state);
        let (wakers, news) = (state.store.woken(), std::mem::take(&mut state.news));
        state.actor.clear();
        drop(state);
        if !news.is_empty() {
            let hooks = self.shared.hooks.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for commit in &news {
                for hook in &hooks {
                    hook(commit);
                }
            }
        }
        for waker in wakers {
            waker.wake();
        }
        result
    }

    /// Answers one request, atomically. The body of a watch goes on, and needs a tokio runtime; every other is complete.
    pub fn answer(&self, who: &Who, request: Request<Bytes>) -> Response<Body> {
        let answer = self.work(|state| state.serve_request(&self.shared, who, &request));
        match answer {
            Ok(Answer::Object(code, bytes)) => response(code, "application/json", Body::whole(bytes)),
            Ok(Answer::Watch(watching)) => response(200, "application/json", Body::watch(watching)),
            Err(failure) if failure.is_plain() => {
                response(failure.code(), "text/plain; charset=utf-8", Body::whole(failure.message().to_owned()))
            }
            Err(failure) => {
                let body = Body::whole(bytes_of(&failure.status()));
                let mut response = response(failure.code(), "application/json", body);
                if let (429 | 500..=599, Some(seconds)) = (failure.code(), failure.seconds()) {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                response
            }
        }
    }

    /// An object as it is.
    pub fn get(&self, at: &Place) -> Option<Arc<Value>> {
        self.shared.state().store.get(&at.resource, &at.key()).map(|stored| stored.value.clone())
    }

    /// All objects of a resource, such as `pods` or `jobs.batch`.
    pub fn list(&self, resource: &str) -> Vec<Arc<Value>> {
        self.shared.state().objects(resource, "")
    }

    /// The present resource version.
    pub fn version(&self) -> u64 {
        self.shared.state().store.version()
    }

    /// Calls this after every change, in their order.
    pub fn on_commit(&self, hook: Arc<dyn Fn(&Commit) + Send + Sync>) {
        self.shared.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(hook);
    }

    /// Accepts a token from now on, as this account's.
    pub fn account(&self, token: &str, account: Account) {
        self.work(|state| state.accounts.insert(token.to_owned(), account));
    }

    /// Does not accept a token any more.
    pub fn revoke(&self, token: &str) {
        self.work(|state| state.accounts.remove(token));
    }

    /// A backup.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.shared.state().store.save())
    }

    /// Everything is as it was, resource versions included. Open watches break off, and what was later is forgotten.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.work(|state| {
            state.store.restore(&snapshot.0);
            state.epoch += 1;
            state.frozen = None;
            state.serve_crds();
        });
    }

    /// Every resource version before the present one is expired, and so is every continue token.
    pub fn compact(&self) {
        self.work(|state| state.store.floor = state.store.version());
    }

    /// Ends every watch.
    pub fn close_watches(&self) {
        self.work(|state| {
            state.epoch += 1;
            state.store.wake_all();
        });
    }

    /// From now on this is a replica that lags: watches tell nothing new, and what may be read from a cache is as it is
    /// now. Reads without a resource version are still quorum reads.
    pub fn freeze_cache(&self) {
        self.work(|state| state.frozen = Some(state.visible()));
    }

    /// The replica catches up.
    pub fn thaw_cache(&self) {
        self.work(|state| {
            state.frozen = None;
            state.store.wake_all();
        });
    }

    /// From now on it is another cluster, by the UID of its namespace `kube-system`.
    pub fn set_identity(&self, uid: String) {
        self.work(|state| {
            state.options.identity.clone_from(&uid);
            if let Some(stored) = state.object("namespaces", "", "kube-system") {
                let mut namespace = (*stored.value).clone();
                namespace["metadata"]["uid"] = uid.into();
                state.put(&"namespaces".into(), "kube-system", "update", namespace);
            }
        });
    }

    /// A namespace and everything in it is gone at once, as if somebody had forced it.
    pub fn wipe_namespace(&self, name: &str) {
        self.work(|state| {
            let prefix = format!("{name}/");
            let in_it = state.store.shelves().flat_map(|(shelf, content)| {
                content.range(&prefix, "").map(|(key, _)| (shelf.clone(), key.clone())).collect::<Vec<_>>()
            });
            for (shelf, key) in in_it.collect::<Vec<_>>() {
                state.remove(&shelf, &key);
            }
            state.remove(&"namespaces".into(), name);
        });
    }

    /// What an admission webhook or policy does from now on; nothing if there is none.
    pub fn admission(&self, rule: Option<Admission>) {
        self.work(|state| state.hook = rule);
    }

    /// Fields of resources that this server does not know: it drops them, as an older one would.
    pub fn drop_fields(&self, paths: Vec<(String, Vec<String>)>) {
        self.work(|state| state.unknown = paths);
    }
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").field("version", &self.version()).finish_non_exhaustive()
    }
}

fn response(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

impl State {
    fn serve_request(&mut self, shared: &Arc<Shared>, who: &Who, request: &Request<Bytes>) -> Result<Answer, Failure> {
        let (user, rights) = self.account_of(who)?;
        let path = request.uri().path();
        let target = match Route::of(path) {
            Route::Version => return Ok(Answer::Object(200, self.version_info())),
            Route::Health => return Ok(Answer::Object(200, Bytes::from_static(b"ok"))),
            Route::Resource(target) => target,
            Route::Nowhere if matches!(rights, Rights::All) => return Err(Failure::no_such_path()),
            Route::Nowhere => {
                let verb = request.method().as_str().to_lowercase();
                let words = format!("User {user:?} cannot {verb} path {path:?}");
                return Err(Failure::forbidden(&About { group: "", resource: "", name: "" }, &words));
            }
        };
        let words = request.uri().query().unwrap_or_default();
        let query = Query::parse(words);
        let watch = query.as_ref().map_or_else(|_| Query::watches(words), |query| query.watch);
        let verb = verb(request.method(), &target, watch);
        let one = query.as_ref().ok().and_then(|query| only_name(verb, query));
        authorize(&rights, &user, verb, &target, one.as_deref())?;
        self.actor.clone_from(&user);
        let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let asked = query.as_ref().map_or("", |query| query.field_manager.as_str());
        let manager = match asked {
            "" => manager_of(header(header::USER_AGENT).unwrap_or_default()),
            manager => manager.to_owned(),
        };
        if let Some(reviewed) = review::answer(self, verb, &target, (&user, &manager), &rights, request.body()) {
            return reviewed.map(|bytes| Answer::Object(201, bytes));
        }
        let served = self.at(&target).ok_or_else(|| self.unserved(&target))?;
        let kind = &served.kind;
        let in_namespace = !target.namespace.is_empty();
        let misplaced = if kind.namespaced {
            !in_namespace && !target.name.is_empty()
        } else {
            in_namespace && &*served.shelf != "namespaces"
        };
        if misplaced {
            return Err(if kind.custom { Failure::no_such_path() } else { Failure::no_such_resource() });
        }
        let query = query?;
        let content_type = header(header::CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default();
        let body = request.body();
        let ask = Ask {
            served: served.clone(),
            target: &target,
            query,
            rights: &rights,
            user: &user,
            manager,
            content_type: content_type.trim(),
            body,
        };
        self.act(shared, verb, &ask)
    }

    fn act(&mut self, shared: &Arc<Shared>, verb: &str, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let object = |code| move |bytes| Answer::Object(code, bytes);
        let written = |(code, bytes)| Answer::Object(code, bytes);
        let (kind, subresource) = (ask.kind(), ask.target.subresource.as_str());
        match subresource {
            "" => {}
            "status" if kind.status => {}
            "finalize" if &*ask.served.shelf == "namespaces" => {}
            "binding" | "eviction" if &*ask.served.shelf == "pods" => {
                return match (verb, subresource) {
                    ("create", "binding") => self.bind(ask).map(object(201)),
                    ("create", _) => self.evict(ask).map(object(201)),
                    _ => Err(Failure::method_not_allowed()),
                };
            }
            _ if kind.custom => return Err(Failure::not_found(&ask.about())),
            _ => return Err(Failure::no_such_resource()),
        }
        let named = !ask.target.name.is_empty();
        match (verb, subresource) {
            ("get", _) => self.get(ask).map(object(200)),
            ("list", "") => self.list(ask).map(object(200)),
            ("watch", "") => self.watch(shared, ask).map(Answer::Watch),
            ("create", "") if (!named || kind.custom) && (!kind.namespaced || !ask.namespace().is_empty()) => {
                self.create(ask).map(object(201))
            }
            ("update", _) if named => self.update(ask).map(written),
            ("patch", "" | "status") if named => self.patch(ask).map(written),
            ("delete", "") if named => self.delete(ask).map(written),
            ("deletecollection", "") if &*ask.served.shelf != "namespaces" => {
                self.delete_collection(ask).map(object(200))
            }
            ("update" | "patch", "") if kind.custom => Err(Failure::bad_request("name must be provided")),
            _ => Err(Failure::method_not_allowed()),
        }
    }

    /// A resource that is not served: a known version of a group knows what it has.
    fn unserved(&self, target: &Target) -> Failure {
        let known = self.served.values().any(|served| {
            !served.kind.custom && served.kind.group == target.group && served.kind.version == target.version
        });
        if known { Failure::no_such_resource() } else { Failure::no_such_path() }
    }

    fn account_of(&self, who: &Who) -> Result<(String, Rights), Failure> {
        match who {
            Who::Admin => Ok(("system:admin".to_owned(), Rights::All)),
            Who::Token(token) => {
                let account = self.accounts.get(token).ok_or_else(Failure::unauthorized)?;
                if account.expires.is_some_and(|expires| expires <= self.now()) {
                    return Err(Failure::unauthorized());
                }
                Ok((account.user.clone(), account.rights.clone()))
            }
        }
    }

    fn version_info(&self) -> Bytes {
        let version = self.options.version.as_str();
        let mut parts = version.trim_start_matches('v').split('.');
        let (major, minor) = (parts.next().unwrap_or("1"), parts.next().unwrap_or("0"));
        let info = json!({
            "major": major, "minor": minor, "gitVersion": version, "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.24", "compiler": "gc", "platform": "linux/amd64",
        });
        bytes_of(&info)
    }
}

fn verb(method: &Method, target: &Target, watch: bool) -> &'static str {
    let named = !target.name.is_empty();
    match *method {
        Method::GET if named => "get",
        Method::GET if watch => "watch",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => "",
    }
}

/// The one object that a list or a watch is about, by its field selector. Who asks in a way that cannot be understood asks
/// for all of them, and so does who deletes.
fn only_name(verb: &str, query: &Query) -> Option<String> {
    if !matches!(verb, "list" | "watch") {
        return None;
    }
    let selector = Selector::parse(&query.label_selector, &query.field_selector).ok()?;
    selector.name().filter(|name| content::is_path_segment(name)).map(str::to_owned)
}

fn authorize(rights: &Rights, user: &str, verb: &str, target: &Target, one: Option<&str>) -> Result<(), Failure> {
    let mut wanted = attributes(verb, target);
    wanted.name = one.unwrap_or(wanted.name);
    if rights.allow(&wanted) || review::is_for_everybody(&wanted) {
        return Ok(());
    }
    Err(refused(user, &wanted))
}

pub(crate) fn refused(user: &str, wanted: &Attributes<'_>) -> Failure {
    let about = About { group: wanted.group, resource: wanted.resource, name: wanted.name };
    Failure::forbidden(&about, &wanted.refusal(user))
}

pub(crate) fn attributes<'a>(verb: &'a str, target: &'a Target) -> Attributes<'a> {
    Attributes {
        verb,
        group: &target.group,
        resource: &target.resource,
        subresource: &target.subresource,
        namespace: &target.namespace,
        name: &target.name,
    }
}

/// Who a user agent is, as managed fields have it.
fn manager_of(agent: &str) -> String {
    const LONGEST: usize = 128;
    agent.split('/').next().unwrap_or_default().chars().take(LONGEST).collect()
}
