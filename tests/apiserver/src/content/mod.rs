//! What an API server does to the content of objects: pure functions over JSON.
//!
//! The order of a request, as the real server has it:
//!
//! * **create**: [`decode`] → [`record_update`] (no old object) → admission → name, uid and creationTimestamp are
//!   settled → (services are given addresses) → [`admit_create`] → store.
//! * **update, patch**: (patch: [`merge_patch`] or [`strategic_patch`] on the live object) → [`decode`] →
//!   [`record_update`] → admission → the resource version is settled → (services are given addresses) →
//!   [`admit_update`] → store, unless nothing changed.
//! * **apply**: [`apply`] (which decodes its result) → as after `record_update` of a create or of an update.
//!
//! `record_update` and `apply` leave an object that says nothing new exactly as it was, times of managed fields
//! included, so that "nothing changed" is `old == new`.
//!
//! What the server answers where these functions are not asked:
//!
//! * `decode` refuses what a *patch* has made: 422 with one cause (field `patch`, `FieldValueInvalid`), without kind and
//!   name, so that the message begins with `"" is invalid: patch:`.
//! * an object that has lost its name by a patch: 400 `the name of the object (x based on URL) was undeterminable: name
//!   must be provided`.
//! * an apply with a UID to what is not there: 409 `uid mismatch: the provided object specified uid X, and no existing
//!   object was found`. One to another UID is refused here, by `admit_update`: 422, `metadata.uid` is immutable. (A PUT
//!   with another UID is a failed precondition, 409, before that.)
//! * an apply to `/status` of what is not there: 404; only the resource itself is made by an apply.
//! * a strategic merge patch of a custom resource: 415.
//! * a PUT without resource version, where [`Kind::unconditional_update`] is false: 422 of the *resource*
//!   (`leases.coordination.k8s.io "x" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an
//!   update`); where it is true, it takes the live object's before `admit_update`.
//! * the first write to an object that is [`completed_when_read`] gives it a new version even if it says nothing new.
//! * growth of a claim whose class does not allow it: 403 of an admission plugin.

mod admit;
mod apply;
mod builtin;
mod bytes;
mod check;
mod custom;
mod decode;
mod faults;
mod kinds;
mod managed;
mod metadata;
mod names;
mod numbers;
mod ownership;
mod patch;
mod quantity;
mod strategic;
mod structural;
mod table;
#[cfg(test)]
mod tests;
mod types;

use jiff::Timestamp;
use serde_json::Value;

pub use admit::{admit_create, admit_update, completed_when_read};
pub use apply::apply;
pub use kinds::{Kind, builtin_kinds, kinds_of_crd};
pub use managed::record_update;
pub(crate) use names::{label_value, qualified_name};
pub use patch::merge_patch;
pub use quantity::Quantity;
pub use strategic::strategic_patch;
pub(crate) use strategic::{go as shown_patch, restore_words};
pub use types::Schema;

/// Which part of an object a request writes. The rest is put back as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The resource itself; its status cannot be written here if it has an endpoint of its own.
    Main,
    /// `/status`.
    Status,
    /// `/finalize` of namespaces.
    Finalize,
}

/// One reason for refusing an object, as it stands in a Status's details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The path, such as `spec.containers[0].name`.
    pub field: String,
    /// Such as `FieldValueRequired`.
    pub reason: String,
    /// In the words of the server, without the path.
    pub message: String,
}

/// Why an object is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 422 `Invalid`. The server's message is `KIND.GROUP "NAME" is invalid: [FIELD: MESSAGE, …]` (brackets where
    /// there are several).
    Invalid(Vec<Cause>),
    /// 400 `BadRequest`: not an object of this kind at all.
    BadRequest(String),
    /// 409 `Conflict` of an apply, with a cause `FieldManagerConflict` for each field, and the whole message.
    Conflict(Vec<Cause>, String),
    /// 500 with a message and nothing else, not even a reason: what the server answers where an applied object does not
    /// fit its schema.
    Internal(String),
}

impl Refusal {
    /// The message of the Status. `name` is the object's.
    pub fn message(&self, kind: &Kind, name: &str) -> String {
        match self {
            Self::BadRequest(words) | Self::Conflict(_, words) | Self::Internal(words) => words.clone(),
            Self::Invalid(causes) => {
                let group = if kind.group.is_empty() { String::new() } else { format!(".{}", kind.group) };
                let mut told: Vec<String> = Vec::new();
                for Cause { field, message, .. } in causes {
                    let words = format!("{field}: {message}");
                    if !told.contains(&words) {
                        told.push(words);
                    }
                }
                let told = if told.len() == 1 { told.concat() } else { format!("[{}]", told.join(", ")) };
                format!("{}{group} {name:?} is invalid: {told}", kind.kind)
            }
        }
    }
}

/// Who writes, for managed fields.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// `fieldManager`, or the user agent's part before the slash.
    pub manager: &'a str,
    /// `Some("status")` on that endpoint.
    pub subresource: Option<&'a str>,
    /// Now.
    pub time: Timestamp,
}

/// Whether an apply takes fields from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// `force=true`.
    Yes,
    /// A field of somebody else's is a conflict.
    No,
}

/// Whether this can be a piece of a path.
pub(crate) fn is_path_segment(name: &str) -> bool {
    names::path_segment(name).is_empty()
}

/// Judges nothing but the fields of a service from which it is given its addresses.
pub(crate) fn judge_addresses(service: &Value) -> Result<(), Refusal> {
    builtin::judge_addresses_of(service)
}

/// Reads an object as its type: wrong JSON types are refused, unknown fields dropped, absent fields defaulted.
/// Answers with the paths of the unknown fields (for `fieldValidation=Strict` and for warnings).
pub fn decode(kind: &Kind, object: &mut Value) -> Result<Vec<String>, Refusal> {
    let mut unknown = judge_type(kind, object)?;
    if kind.custom {
        return custom::read(kind, object);
    }
    unknown.extend(decode::typed(&kind.schema, object).map_err(|words| cannot_be_handled(kind, &words))?);
    builtin::set_defaults(&kind.kind, object);
    Ok(unknown)
}

/// What an object that a patch has made says it is must be this kind. What makes something else of a custom resource
/// is refused when that is judged. Answers with the names of the fields that are not read at all.
fn judge_type(kind: &Kind, object: &mut Value) -> Result<Vec<String>, Refusal> {
    let Some(map) = object.as_object_mut() else {
        return Err(cannot_be_handled(kind, "json: cannot unmarshal into Go value"));
    };
    let word = |map: &serde_json::Map<String, Value>, name: &str| {
        map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (version, name) = (word(map, "apiVersion"), word(map, "kind"));
    if kind.custom {
        if name.is_empty() {
            let words = format!("Object 'Kind' is missing in '{}'", Value::Object(map.clone()));
            return Err(Refusal::BadRequest(words));
        }
        return Ok(Vec::new());
    }
    let mut unread = Vec::new();
    if version.is_empty() {
        // It is read as the type that the server works with inside, which has none of these fields.
        unread = map.keys().filter(|name| !matches!(name.as_str(), "apiVersion" | "kind")).cloned().collect();
        map.clear();
    } else if version != kind.api_version() || !(name.is_empty() || name == kind.kind) {
        let name = if name.is_empty() { &kind.kind } else { &name };
        let words =
            format!("no kind {name:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:110\"");
        return Err(Refusal::BadRequest(words));
    }
    map.insert("apiVersion".to_owned(), kind.api_version().into());
    map.insert("kind".to_owned(), kind.kind.as_str().into());
    Ok(unread)
}

fn cannot_be_handled(kind: &Kind, words: &str) -> Refusal {
    let (name, version) = (&kind.kind, &kind.version);
    Refusal::BadRequest(format!("{name} in version {version:?} cannot be handled as a {name}: {words}"))
}
