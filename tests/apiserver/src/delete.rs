//! DELETE: at once, after a while, or when the last finalizer has gone.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::{
    admission::Operation,
    content::Kind,
    failure::{About, Failure},
    precondition::precondition,
    query::check_dry_run,
    state::{Ask, State, take, text, texts, written},
    store::bytes_of,
    write::Written,
};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What a deletion shall be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub uid: Option<String>,
    pub version: Option<String>,
    pub grace: Option<i64>,
    pub propagation: Option<Propagation>,
    /// The older way to say so.
    pub orphan: Option<bool>,
    pub dry_run: bool,
}

/// What becomes of the dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// What a deletion comes to.
pub(crate) struct Deleted {
    object: Value,
    /// Whether it is gone.
    gone: bool,
}

/// What a graceful deletion means for an object.
enum Grace {
    /// There is none, or it is over.
    None,
    /// The object has been marked.
    Marked(Value),
    /// It is already on its way, and nothing changes.
    Pending,
}

impl Options {
    fn read(ask: &Ask<'_>) -> Result<Self, Failure> {
        let query = &ask.query;
        let (options, propagation, dry_run) = if ask.body.is_empty() {
            let options = Self { grace: query.grace_seconds, orphan: query.orphan_dependents, ..Self::default() };
            (options, query.propagation.clone(), query.dry_run.clone())
        } else {
            let body: Value = serde_json::from_slice(ask.body).map_err(|error| {
                Failure::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
            })?;
            check_types(&body)?;
            let some = |value: &Value| value.as_str().map(str::to_owned);
            let options = Self {
                uid: some(&body["preconditions"]["uid"]),
                version: some(&body["preconditions"]["resourceVersion"]),
                grace: body["gracePeriodSeconds"].as_i64(),
                orphan: body["orphanDependents"].as_bool(),
                ..Self::default()
            };
            let dry_run = texts(&body, &["dryRun"]).map(str::to_owned).collect();
            (options, text(&body, &["propagationPolicy"]).to_owned(), dry_run)
        };
        check_dry_run("DeleteOptions", &dry_run)?;
        let propagation = match propagation.as_str() {
            "" => None,
            "Orphan" => Some(Propagation::Orphan),
            "Background" => Some(Propagation::Background),
            "Foreground" => Some(Propagation::Foreground),
            other => {
                let words = format!(
                    "Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
                );
                let (field, reason) = ("propagationPolicy", "FieldValueNotSupported");
                return Err(Failure::invalid_options("DeleteOptions", field, reason, &words));
            }
        };
        if let (Some(policy), Some(_)) = (propagation, options.orphan) {
            let words =
                format!("Invalid value: \"{policy:?}\": orphanDependents and deletionPropagation cannot be both set");
            let (field, reason) = ("propagationPolicy", "FieldValueInvalid");
            return Err(Failure::invalid_options("DeleteOptions", field, reason, &words));
        }
        Ok(Self { propagation, dry_run: !dry_run.is_empty(), ..options })
    }

    /// The finalizers for the garbage collector that an object of this kind gets.
    fn collector(&self, kind: &Kind, object: &Value) -> (bool, bool) {
        if kind.plural == "events" {
            return (false, false);
        }
        match (self.orphan, self.propagation) {
            (Some(orphan), _) => return (orphan, false),
            (None, Some(policy)) => return (policy == Propagation::Orphan, policy == Propagation::Foreground),
            (None, None) => {}
        }
        match texts(object, &["metadata", "finalizers"]).find(|name| matches!(*name, ORPHAN | FOREGROUND)) {
            Some(ORPHAN) => (true, false),
            Some(_) => (false, true),
            // Jobs are from before there was a garbage collector.
            None => (kind.group == "batch" && kind.plural == "jobs", false),
        }
    }

    /// The finalizers of an object that is deleted so, if they change.
    fn finalizers(&self, kind: &Kind, object: &Value) -> Option<Vec<String>> {
        let (orphan, foreground) = self.collector(kind, object);
        let had: Vec<&str> = texts(object, &["metadata", "finalizers"]).collect();
        if had.contains(&ORPHAN) == orphan && had.contains(&FOREGROUND) == foreground {
            return None;
        }
        let mut now: Vec<String> =
            had.iter().filter(|name| !matches!(**name, ORPHAN | FOREGROUND)).map(|name| (*name).to_owned()).collect();
        now.extend(orphan.then(|| ORPHAN.to_owned()));
        now.extend(foreground.then(|| FOREGROUND.to_owned()));
        Some(now)
    }
}

/// What of the options has the wrong type.
fn check_types(body: &Value) -> Result<(), Failure> {
    let called = |value: &Value| match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(_) | Value::Null => "number",
    };
    for (name, kind, is) in [
        ("gracePeriodSeconds", "int64", Value::is_i64 as fn(&Value) -> bool),
        ("orphanDependents", "bool", Value::is_boolean),
        ("propagationPolicy", "v1.DeletionPropagation", Value::is_string),
        ("preconditions", "v1.Preconditions", Value::is_object),
    ] {
        let value = &body[name];
        if !value.is_null() && !is(value) {
            let found = called(value);
            let words =
                format!("json: cannot unmarshal {found} into Go struct field DeleteOptions.{name} of type {kind}");
            return Err(Failure::bare(500, words));
        }
    }
    Ok(())
}

/// Whether an update takes the last finalizer from an object on its way out.
pub(crate) fn empties_finalizers(kind: &Kind, live: &Value, object: &Value) -> bool {
    let is_namespace = kind.group.is_empty() && kind.plural == "namespaces";
    live["metadata"]["deletionTimestamp"].is_string()
        && live["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && texts(object, &["metadata", "finalizers"]).next().is_none()
        && !(is_namespace && texts(object, &["spec", "finalizers"]).next().is_some())
}

/// What the real server answers to a dry run that takes the last finalizers: an object of the kind, and nothing in it.
fn nobody(kind: &Kind) -> Value {
    let mut object = (*kind.empty).clone();
    if !kind.custom {
        object["metadata"] = json!({});
    }
    object
}

/// The real server forgets the version of a precondition when a deletion takes the last finalizers of an object that
/// then goes at once: it asks for an empty one, which none has.
fn lost_version(ask: &Ask<'_>, name: &str, live: &Value) -> Failure {
    let target = crate::route::Target { name: name.to_owned(), ..ask.target.clone() };
    let mut one = Ask { target: &target, ..ask.clone() };
    // What a body says counts, not the query.
    one.query.dry_run.clear();
    precondition(&one, "ResourceVersion", "", text(live, &["metadata", "resourceVersion"]))
}

/// What stands in the answer to a deletion that is done.
pub(crate) fn deleted(ask: &Ask<'_>, object: &Value) -> Bytes {
    let kind = ask.kind();
    let whole = !kind.custom
        && matches!(
            kind.plural.as_str(),
            "namespaces"
                | "persistentvolumes"
                | "persistentvolumeclaims"
                | "pods"
                | "resourcequotas"
                | "services"
                | "serviceaccounts"
                | "storageclasses"
                | "volumeattachments"
        );
    if whole {
        return bytes_of(object);
    }
    let mut details = Map::new();
    let words = [
        ("name", text(object, &["metadata", "name"])),
        ("group", &kind.group),
        ("kind", &kind.plural),
        ("uid", text(object, &["metadata", "uid"])),
    ];
    for (key, word) in words {
        if !word.is_empty() {
            details.insert(key.to_owned(), word.into());
        }
    }
    bytes_of(&json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details }))
}

impl State {
    pub(crate) fn delete(&mut self, ask: &Ask<'_>) -> Result<Written, Failure> {
        let options = Options::read(ask)?;
        let Deleted { object, gone } = self.delete_one(ask, ask.name(), &options)?;
        let code = if !gone && options.orphan == Some(false) { 202 } else { 200 };
        Ok((code, if gone { deleted(ask, &object) } else { bytes_of(&object) }))
    }

    pub(crate) fn delete_collection(&mut self, ask: &Ask<'_>) -> Result<Bytes, Failure> {
        let options = Options::read(ask)?;
        let page = self.page(ask)?;
        let bytes = self.list(ask)?;
        for stored in &page.items {
            let name = text(&stored.value, &["metadata", "name"]).to_owned();
            let namespace = text(&stored.value, &["metadata", "namespace"]).to_owned();
            let target = crate::route::Target { namespace, ..ask.target.clone() };
            let one = Ask { target: &target, ..ask.clone() };
            match self.delete_one(&one, &name, &options) {
                Err(failure) if !failure.is_not_found() => return Err(failure),
                _ => {}
            }
        }
        Ok(bytes)
    }

    pub(crate) fn delete_one(&mut self, ask: &Ask<'_>, name: &str, options: &Options) -> Result<Deleted, Failure> {
        let kind = ask.kind();
        let about = About::of(kind, name);
        let key = crate::place::key(ask.namespace(), name);
        let stored = self.store.get(&ask.served.shelf, &key).ok_or_else(|| Failure::not_found(&about))?;
        let live = ask.served.load(stored);
        if &*ask.served.shelf == "namespaces" {
            if let Some(deleted) = self.delete_namespace(ask, name, &live, options)? {
                return Ok(deleted);
            }
        } else if ask.served.shelf.starts_with("customresourcedefinitions.")
            && let Some(object) = self.delete_crd(ask, name, &live, options)?
        {
            return Ok(Deleted { object, gone: false });
        }
        check_preconditions(ask, name, &live, options)?;
        let graceful = self.grace(kind, &live, options);
        if matches!(graceful, Grace::Pending) {
            return Ok(Deleted { object: (*live).clone(), gone: false });
        }
        self.judge_delete(ask, name, &live)?;
        let is_graceful = matches!(graceful, Grace::Marked(_));
        let mut object = match graceful {
            Grace::Marked(marked) => marked,
            Grace::None | Grace::Pending => (*live).clone(),
        };
        if let Some(finalizers) = options.finalizers(kind, &live) {
            set_finalizers(&mut object, finalizers);
        }
        let held = texts(&object, &["metadata", "finalizers"]).next().is_some();
        if held && !is_graceful {
            self.mark(&mut object);
        }
        let waits = held || object["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|left| left > 0);
        let emptied = !held && !is_graceful && texts(&live, &["metadata", "finalizers"]).next().is_some();
        if options.dry_run && emptied {
            return Ok(Deleted { object: nobody(kind), gone: false });
        }
        if options.dry_run {
            return Ok(Deleted { object, gone: !(waits && (held || is_graceful)) });
        }
        if emptied && options.version.is_some() {
            return Err(lost_version(ask, name, &live));
        }
        if (held || is_graceful) && object != *live {
            let stored = self.put(&ask.served.shelf, &key, "delete", ask.served.save(object));
            object = (*ask.served.load(&stored)).clone();
        }
        if waits && (held || is_graceful) {
            return Ok(Deleted { object, gone: false });
        }
        let last = self.remove(&ask.served.shelf, &key).ok_or_else(|| Failure::not_found(&about))?;
        let last = ask.served.load(&last);
        self.after_delete(ask, &last);
        Ok(Deleted { object: (*last).clone(), gone: true })
    }

    /// How a pod goes: at once if it runs nowhere, else when its node has said so.
    fn grace(&self, kind: &Kind, live: &Value, options: &Options) -> Grace {
        if kind.custom || kind.plural != "pods" {
            return Grace::None;
        }
        let asked = options.grace.map(|seconds| if seconds < 0 { 1 } else { seconds });
        let metadata = &live["metadata"];
        let now = self.now();
        let mark = |at: Timestamp, seconds: i64| {
            let mut object = live.clone();
            object["metadata"]["deletionTimestamp"] = written(at).into();
            object["metadata"]["deletionGracePeriodSeconds"] = seconds.into();
            object
        };
        if let Some(since) = metadata["deletionTimestamp"].as_str() {
            let left = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
            return match asked {
                _ if left == 0 => Grace::None,
                Some(wanted) if wanted < left => {
                    let since: Timestamp = since.parse().unwrap_or(now);
                    let at = since + SignedDuration::from_secs(wanted - left);
                    let wanted = if at < now && wanted != 0 { 1 } else { wanted };
                    Grace::Marked(mark(at.max(now), wanted))
                }
                _ => Grace::Pending,
            };
        }
        let ended = matches!(text(live, &["status", "phase"]), "Failed" | "Succeeded");
        let seconds = if text(live, &["spec", "nodeName"]).is_empty() || ended {
            0
        } else {
            let usual = || live["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(0);
            let seconds = asked.unwrap_or_else(usual);
            if seconds < 0 { 1 } else { seconds }
        };
        let mut object = mark(now + SignedDuration::from_secs(seconds), seconds);
        if let Some(generation) = metadata["generation"].as_i64().filter(|generation| *generation > 0) {
            object["metadata"]["generation"] = (generation + 1).into();
        }
        Grace::Marked(object)
    }

    /// Marks an object that waits for its finalizers.
    pub(crate) fn mark(&self, object: &mut Value) {
        let now = self.now();
        let since = object["metadata"]["deletionTimestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        if since.is_none()
            && let Some(generation) = object["metadata"]["generation"].as_i64().filter(|generation| *generation > 0)
        {
            object["metadata"]["generation"] = (generation + 1).into();
        }
        if since.is_none_or(|since| since > now) {
            object["metadata"]["deletionTimestamp"] = written(now).into();
        }
        object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
    }

    /// The first deletion of a namespace only says that it ends; what is in it goes by a controller's hand.
    fn delete_namespace(
        &mut self,
        ask: &Ask<'_>,
        name: &str,
        live: &Value,
        options: &Options,
    ) -> Result<Option<Deleted>, Failure> {
        self.judge_delete(ask, name, live)?;
        let about = About::of(ask.kind(), name);
        let (uid, version) = (text(live, &["metadata", "uid"]), text(live, &["metadata", "resourceVersion"]));
        for (what, wanted, there) in [("UID", &options.uid, uid), ("ResourceVersion", &options.version, version)] {
            if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != there) {
                let words =
                    format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {there}");
                return Err(Failure::conflict(&about, &words));
            }
        }
        if live["metadata"]["deletionTimestamp"].is_string() {
            let held = texts(live, &["spec", "finalizers"]).next().is_some();
            return Ok(held.then(|| Deleted { object: live.clone(), gone: false }));
        }
        let mut object = live.clone();
        object["metadata"]["deletionTimestamp"] = self.stamp().into();
        object["status"]["phase"] = "Terminating".into();
        // Here the older way to keep no orphans means to delete them first.
        let policy = match options.orphan {
            Some(false) => Some(Propagation::Foreground),
            Some(true) => Some(Propagation::Orphan),
            None => options.propagation,
        };
        let asked = Options { propagation: policy, orphan: None, ..options.clone() };
        if let Some(finalizers) = asked.finalizers(ask.kind(), live) {
            set_finalizers(&mut object, finalizers);
        }
        if !options.dry_run {
            let stored = self.put(&ask.served.shelf, name, "delete", object);
            object = (*stored.value).clone();
        }
        Ok(Some(Deleted { object, gone: false }))
    }

    fn judge_delete(&mut self, ask: &Ask<'_>, name: &str, live: &Value) -> Result<(), Failure> {
        let target = crate::route::Target { name: name.to_owned(), ..ask.target.clone() };
        let one = Ask { target: &target, ..ask.clone() };
        self.judge(&one, Operation::Delete, Some(live), live)
    }
}

pub(crate) fn set_finalizers(object: &mut Value, finalizers: Vec<String>) {
    if finalizers.is_empty() {
        take(object, &["metadata"], "finalizers");
    } else {
        object["metadata"]["finalizers"] = finalizers.into();
    }
}

pub(crate) fn check_preconditions(ask: &Ask<'_>, name: &str, live: &Value, options: &Options) -> Result<(), Failure> {
    let kind = ask.kind();
    // In these words an object is called by its kind.
    let about = About { group: &kind.group, resource: &kind.kind, name };
    let uid = text(live, &["metadata", "uid"]);
    if let Some(wanted) = options.uid.as_deref().filter(|wanted| *wanted != uid) {
        let words = format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have \
             been deleted and then recreated"
        );
        return Err(Failure::conflict(&about, &words));
    }
    let version = text(live, &["metadata", "resourceVersion"]);
    if let Some(wanted) = options.version.as_deref().filter(|wanted| *wanted != version) {
        let words = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
             ({version}). The object might have been modified"
        );
        return Err(Failure::conflict(&about, &words));
    }
    Ok(())
}
