//! Creating and changing objects.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    admission::Operation,
    content::{self, Endpoint, Kind, Writer},
    delete::empties_finalizers,
    failure::{About, Failure},
    precondition::{check_number, check_uid, check_version},
    server::refused,
    state::{Ask, State, text},
    store::bytes_of,
};

/// How often a name is generated before it is given up.
const ATTEMPTS: u32 = 8;

/// A code and an object.
pub(crate) type Written = (u16, Bytes);

/// How an object is changed.
pub(crate) struct Way {
    pub verb: &'static str,
    /// What the object's UID must be, if that is said.
    pub uid: Option<String>,
    /// Whether it may be made if it is not there.
    pub may_create: bool,
}

impl Ask<'_> {
    pub(crate) fn about(&self) -> About<'_> {
        About::of(self.kind(), self.name())
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        match self.target.subresource.as_str() {
            "status" => Endpoint::Status,
            "finalize" => Endpoint::Finalize,
            _ => Endpoint::Main,
        }
    }

    pub(crate) fn writer<'a>(&'a self, state: &State) -> Writer<'a> {
        let subresource = self.target.subresource.as_str();
        Writer {
            manager: &self.manager,
            subresource: (!subresource.is_empty()).then_some(subresource),
            time: state.now(),
        }
    }

    /// The object in the body, read as its type.
    fn object(&self) -> Result<Value, Failure> {
        if !matches!(self.content_type, "" | "application/json" | "application/yaml") {
            return Err(Failure::unsupported_media(
                "application/json, application/yaml, application/vnd.kubernetes.protobuf",
            ));
        }
        let kind = self.kind();
        let mut object: Value = serde_json::from_slice(self.body).map_err(|error| {
            let (name, shown) = (&kind.kind, shown(self.body));
            Failure::bad_request(format!(
                "the object provided is unrecognized (must be of type {name}): couldn't get version/kind; json parse \
                 error: {error} ({shown})"
            ))
        })?;
        let Some(map) = object.as_object_mut() else {
            let words = "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value";
            return Err(Failure::bad_request(words));
        };
        name_type(kind, map, self.body)?;
        let unknown = content::decode(kind, &mut object).map_err(|refusal| self.refusal(refusal))?;
        if self.query.field_validation == "Strict" && !unknown.is_empty() {
            let words: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
            let version = &kind.version;
            let name = &kind.kind;
            return Err(Failure::bad_request(format!(
                "{name} in version {version:?} cannot be handled as a {name}: strict decoding error: {}",
                words.join(", ")
            )));
        }
        if !object["metadata"].is_object() {
            object["metadata"] = Value::Object(Map::new());
        }
        Ok(object)
    }

    pub(crate) fn refusal(&self, refusal: content::Refusal) -> Failure {
        Failure::of(self.kind(), self.name(), refusal)
    }

    /// Puts an object into the namespace of the request.
    pub(crate) fn place(&self, object: &mut Value) -> Result<(), Failure> {
        let (wanted, given) = (self.namespace(), text(object, &["metadata", "namespace"]));
        if given == wanted {
            return Ok(());
        }
        if !given.is_empty() && !wanted.is_empty() {
            let words = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Failure::bad_request(words));
        }
        let Some(metadata) = object["metadata"].as_object_mut() else { return Ok(()) };
        if wanted.is_empty() {
            metadata.remove("namespace");
        } else {
            metadata.insert("namespace".to_owned(), wanted.into());
        }
        Ok(())
    }

    /// The object must have the name of the request.
    pub(crate) fn check_name(&self, object: &Value) -> Result<(), Failure> {
        let (wanted, given) = (self.name(), text(object, &["metadata", "name"]));
        if given.is_empty() {
            return Err(Failure::bad_request(format!(
                "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
            )));
        }
        if given != wanted {
            let words = format!("the name of the object ({given}) does not match the name on the URL ({wanted})");
            return Err(Failure::bad_request(words));
        }
        Ok(())
    }
}

/// The beginning of a body, as it stands in refusals.
fn shown(body: &[u8]) -> String {
    const MOST: usize = 30;
    let start = body.get(..MOST).unwrap_or(body);
    let more = if body.len() > MOST { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => start.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")) + more,
    }
}

/// An object may leave out what it is, but not say anything else.
fn name_type(kind: &Kind, map: &mut Map<String, Value>, body: &[u8]) -> Result<(), Failure> {
    let word = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, name) = (word("apiVersion"), word("kind"));
    let expected = kind.api_version();
    if kind.custom && name.is_empty() {
        return Err(Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing in '{}' ({})",
            kind.kind,
            String::from_utf8_lossy(body),
            shown(body)
        )));
    }
    // Another kind of a custom resource is refused when that is judged.
    if !name.is_empty() && name != kind.kind && !kind.custom {
        let version = api_version.rsplit('/').next().unwrap_or_default();
        return Err(Failure::bad_request(format!(
            "{name} in version {version:?} cannot be handled as a {}: converting ({api_version}.{name}) to \
             ({expected}.{}): unknown conversion",
            kind.kind, kind.kind
        )));
    }
    if api_version != expected && (kind.custom || !api_version.is_empty()) {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if !kind.custom {
        map.insert("apiVersion".to_owned(), expected.into());
        map.insert("kind".to_owned(), kind.kind.as_str().into());
    }
    Ok(())
}

impl State {
    /// POST.
    pub(crate) fn create(&mut self, ask: &Ask<'_>) -> Result<Bytes, Failure> {
        ask.query.check_write("CreateOptions")?;
        let mut object = ask.object()?;
        wipe(&mut object);
        ask.place(&mut object)?;
        self.forget_fields(ask, &mut object);
        content::record_update(ask.kind(), None, &mut object, &ask.writer(self));
        self.admit(ask, Operation::Create, None, &mut object)?;
        let generated =
            text(&object, &["metadata", "name"]).is_empty() && !text(&object, &["metadata", "generateName"]).is_empty();
        for _ in 1..ATTEMPTS {
            match self.make(ask, object.clone(), "create") {
                Err(failure) if generated && failure.is_already_exists() => {}
                done => return done,
            }
        }
        self.make(ask, object, "create")
    }

    /// What is left of a creation once its object has been through mutating admission.
    fn make(&mut self, ask: &Ask<'_>, mut object: Value, verb: &'static str) -> Result<Bytes, Failure> {
        let kind = ask.kind();
        let generate = text(&object, &["metadata", "generateName"]).to_owned();
        let mut generated = false;
        if text(&object, &["metadata", "name"]).is_empty() && !generate.is_empty() {
            object["metadata"]["name"] = self.random.name(&generate).into();
            generated = true;
        }
        object["metadata"]["uid"] = self.random.uid().into();
        object["metadata"]["creationTimestamp"] = self.stamp().into();
        let name = text(&object, &["metadata", "name"]).to_owned();
        self.begin_create(ask, &mut object)?;
        let raw = content::completed_when_read(kind, &object);
        content::admit_create(kind, &mut object).map_err(|refusal| {
            Failure::of(kind, &name, refusal).called(kind, text(&object, &["apiVersion"]), text(&object, &["kind"]))
        })?;
        authorize_create(ask)?;
        self.judge(ask, Operation::Create, None, &object)?;
        let about = About::of(kind, &name);
        let version = text(&object, &["metadata", "resourceVersion"]).parse::<u64>();
        if version.is_ok_and(|version| version > 0) && !ask.query.is_dry_run() {
            return Err(Failure::bare(500, "resourceVersion should not be set on objects to be created"));
        }
        let key = crate::place::key(ask.namespace(), &name);
        if let Some(there) = self.store.get(&ask.served.shelf, &key) {
            let going = there.value["metadata"]["deletionTimestamp"].is_string();
            return Err(match (generated, going) {
                (true, _) => Failure::no_unique_name(&about),
                (false, true) => Failure::still_going(&about),
                (false, false) => Failure::already_exists(&about),
            });
        }
        if ask.query.is_dry_run() {
            return Ok(bytes_of(&object));
        }
        forget_link(&mut object);
        let object = ask.served.save(object);
        let stored = self.put_new(&ask.served.shelf, &key, verb, object, raw);
        self.after_write(ask, &stored.value);
        Ok(ask.served.json(&stored))
    }

    /// PUT.
    pub(crate) fn update(&mut self, ask: &Ask<'_>) -> Result<Written, Failure> {
        ask.query.check_write("UpdateOptions")?;
        let mut object = ask.object()?;
        ask.place(&mut object)?;
        ask.check_name(&object)?;
        self.forget_fields(ask, &mut object);
        let uid = text(&object, &["metadata", "uid"]);
        let way = Way {
            verb: "update",
            uid: (!uid.is_empty()).then(|| uid.to_owned()),
            may_create: ask.kind().create_on_update,
        };
        self.change(ask, &way, |state, live| {
            content::record_update(ask.kind(), live, &mut object, &ask.writer(state));
            Ok(object)
        })
    }

    /// PUT and PATCH.
    pub(crate) fn change(
        &mut self,
        ask: &Ask<'_>,
        way: &Way,
        make: impl FnOnce(&mut Self, Option<&Value>) -> Result<Value, Failure>,
    ) -> Result<Written, Failure> {
        let (about, key) = (ask.about(), ask.key());
        let stored = self.store.get(&ask.served.shelf, &key);
        let raw = stored.is_some_and(|stored| stored.raw);
        let live = stored.map(|stored| ask.served.load(stored));
        if live.is_none() && !way.may_create {
            return Err(Failure::not_found(&about));
        }
        if let Some(wanted) = &way.uid {
            let uid = live.as_ref().map_or("", |live| text(live, &["metadata", "uid"]));
            check_uid(ask, wanted, uid)?;
        }
        let mut object = make(self, live.as_deref())?;
        let Some(live) = live else {
            self.admit(ask, Operation::Create, None, &mut object)?;
            check_number(&object)?;
            if !ask.query.is_dry_run()
                && let Some(metadata) = object["metadata"].as_object_mut()
            {
                metadata.remove("resourceVersion");
            }
            return Ok((201, self.make(ask, object, way.verb)?));
        };
        self.admit(ask, Operation::Update, Some(&live), &mut object)?;
        check_version(ask, &live, &mut object)?;
        self.begin_update(ask, &live, &mut object)?;
        if text(&object, &["apiVersion"]).is_empty() {
            return Err(Failure::internal("Object 'apiVersion' is missing in 'object has no apiVersion field'"));
        }
        let called = ["apiVersion", "kind"].map(|name| text(&object, &[name]).to_owned());
        content::admit_update(ask.kind(), ask.endpoint(), &live, &mut object, self.now())
            .map_err(|refusal| ask.refusal(refusal).called(ask.kind(), &called[0], &called[1]))?;
        keep_times(&live, &mut object);
        self.judge(ask, Operation::Update, Some(&live), &object)?;
        if empties_finalizers(ask.kind(), &live, &object) {
            if !ask.query.is_dry_run() {
                self.remove(&ask.served.shelf, &key);
                self.after_delete(ask, &live);
            }
            return Ok((200, bytes_of(&object)));
        }
        if ask.query.is_dry_run() {
            return Ok((200, bytes_of(&object)));
        }
        forget_link(&mut object);
        if object == *live && !raw {
            let stored = self.store.get(&ask.served.shelf, &key).cloned();
            return Ok((200, stored.map_or_else(Bytes::new, |stored| ask.served.json(&stored))));
        }
        let object = ask.served.save(object);
        let stored = self.put(&ask.served.shelf, &key, way.verb, object);
        self.after_write(ask, &stored.value);
        Ok((200, ask.served.json(&stored)))
    }

    /// Drops what a server of another version does not know.
    pub(crate) fn forget_fields(&self, ask: &Ask<'_>, object: &mut Value) {
        for (resource, path) in &self.unknown {
            if **resource == *ask.served.shelf {
                forget(object, path);
            }
        }
    }

    /// What follows from a write.
    pub(crate) fn after_write(&mut self, ask: &Ask<'_>, object: &Arc<Value>) {
        if ask.served.shelf.starts_with("customresourcedefinitions.") {
            self.crd_written(object);
        }
    }

    /// What follows from the end of an object.
    pub(crate) fn after_delete(&mut self, ask: &Ask<'_>, _: &Value) {
        if ask.kind().custom {
            self.finish_crds();
        } else if ask.served.shelf.starts_with("customresourcedefinitions.") {
            self.serve_crds();
        }
    }
}

/// Drops a field; lists on the way stand for all their elements.
fn forget(value: &mut Value, path: &[String]) {
    match (value, path) {
        (Value::Array(list), _) => list.iter_mut().for_each(|element| forget(element, path)),
        (Value::Object(map), [last]) => {
            map.remove(last);
        }
        (Value::Object(map), [first, rest @ ..]) => {
            if let Some(inner) = map.get_mut(first) {
                forget(inner, rest);
            }
        }
        _ => {}
    }
}

/// A link is answered to a dry run but never stored.
fn forget_link(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("selfLink");
    }
}

/// What a client cannot say of a new object.
fn wipe(object: &mut Value) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    for name in ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        metadata.remove(name);
    }
}

/// Somebody who makes an object by a PUT or an apply must be allowed to, which is asked late.
fn authorize_create(ask: &Ask<'_>) -> Result<(), Failure> {
    let wanted = crate::server::attributes("create", ask.target);
    if ask.rights.allow(&wanted) { Ok(()) } else { Err(refused(ask.user, &wanted)) }
}

/// A change of nothing but the times of managed fields is none.
fn keep_times(live: &Value, object: &mut Value) {
    let (before, after) = (&live["metadata"]["managedFields"], &object["metadata"]["managedFields"]);
    if before == after {
        return;
    }
    let (Some(before_list), Some(after_list)) = (before.as_array(), after.as_array()) else { return };
    // What was applied without changing anything has no time.
    let rest = |one: &Value, other: &Value| {
        let fields = one.as_object().into_iter().flatten();
        fields.filter(|(name, _)| *name != "time").all(|(name, value)| other.get(name) == Some(value))
    };
    let same = |one: &Value, other: &Value| rest(one, other) && rest(other, one);
    if before_list.len() != after_list.len() || !before_list.iter().zip(after_list).all(|(one, other)| same(one, other))
    {
        return;
    }
    let given = object["metadata"]["managedFields"].take();
    object["metadata"]["managedFields"] = before.clone();
    if object != live {
        object["metadata"]["managedFields"] = given;
    }
}
