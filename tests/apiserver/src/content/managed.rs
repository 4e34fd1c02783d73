//! Who owns which field: `metadata.managedFields`.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::{
    Kind, Writer,
    ownership::{Difference, Fields, compare, fits},
};

/// More updaters than this share one entry.
const MOST_UPDATERS: usize = 10;

/// One entry of managed fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub who: Who,
    pub api_version: String,
    pub time: Option<String>,
    pub fields: Fields,
}

/// Whose an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    pub manager: String,
    pub operation: Operation,
    pub subresource: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Entry {
    /// An update in another version of the API is somebody else's, an apply is not.
    pub fn is_of(&self, who: &Who, api_version: &str) -> bool {
        self.who == *who && (who.operation == Operation::Apply || self.api_version == api_version)
    }

    /// Whose it is, in the words by which the server sorts entries.
    pub fn identifier(&self) -> String {
        let optional = |name: &str, value: &str| {
            if value.is_empty() { String::new() } else { format!(",{name:?}:{value:?}") }
        };
        let version = if self.who.operation == Operation::Update { self.api_version.as_str() } else { "" };
        let (version, part) = (optional("apiVersion", version), optional("subresource", &self.who.subresource));
        format!("{{\"manager\":{:?},\"operation\":\"{:?}\"{version}{part}}}", self.who.manager, self.who.operation)
    }

    /// As people read whose it is.
    pub fn shown(&self) -> String {
        let mut shown = format!("{:?}", self.who.manager);
        if !self.who.subresource.is_empty() {
            shown.push_str(&format!(" with subresource {:?}", self.who.subresource));
        }
        if self.who.operation == Operation::Update {
            shown.push_str(&format!(" using {}", self.api_version));
        }
        shown
    }

    fn read(value: &Value) -> Option<Self> {
        let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let operation = match value["operation"].as_str()? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let api_version = word("apiVersion");
        if api_version.is_empty() || value["fieldsType"] != "FieldsV1" {
            return None;
        }
        let fields = match value.get("fieldsV1") {
            Some(fields) if !fields.is_null() => Fields::read(fields)?,
            _ => Fields::default(),
        };
        Some(Self {
            who: Who { manager: word("manager"), operation, subresource: word("subresource") },
            api_version,
            time: value["time"].as_str().map(str::to_owned),
            fields,
        })
    }

    fn write(&self) -> Value {
        let operation = match self.who.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        let mut written = json!({
            "operation": operation,
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.write(),
        });
        let optional = [
            ("manager", Some(self.who.manager.as_str())),
            ("subresource", Some(self.who.subresource.as_str())),
            ("time", self.time.as_deref()),
        ];
        for (name, value) in optional {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                written[name] = value.into();
            }
        }
        written
    }
}

/// Records in `metadata.managedFields` of `new` what this create, update or patch changed.
pub fn record_update(kind: &Kind, old: Option<&Value>, new: &mut Value, writer: &Writer<'_>) {
    let before = old.map_or(&Value::Null, |old| &old["metadata"]["managedFields"]);
    let sent = take(new);
    let entries = match &sent {
        // A subresource cannot write the managed fields of others.
        _ if writer.subresource.is_some() => read(before).unwrap_or_default(),
        Some(sent) if is_reset(sent) => Vec::new(),
        Some(sent) => match read(sent) {
            Some(entries) if !entries.is_empty() => entries,
            _ => read(before).unwrap_or_default(),
        },
        None => read(before).unwrap_or_default(),
    };
    if entries.is_empty() && old.is_some() {
        // Whose the fields are has been forgotten: an apply starts over.
        return;
    }
    let is_of_kind = new["kind"] == *kind.kind && new["apiVersion"] == *kind.api_version();
    if kind.custom && !(is_of_kind && fits(&kind.schema.types, kind.schema.root, new)) {
        // What cannot be read by its type is nobody's: the owners are forgotten, even if that part is put back later,
        // as a status endpoint does with the rest.
        return;
    }
    let who = Who::updater(writer);
    let entries = updated(kind, old, new, entries, &who, writer);
    put(new, entries);
    if let Some(old) = old {
        keep_times(old, new);
    }
}

impl Who {
    pub fn updater(writer: &Writer<'_>) -> Self {
        Self::new(writer, Operation::Update)
    }

    pub fn new(writer: &Writer<'_>, operation: Operation) -> Self {
        let manager = if writer.manager.is_empty() { "unknown" } else { writer.manager };
        Self { manager: manager.to_owned(), operation, subresource: writer.subresource.unwrap_or_default().to_owned() }
    }
}

/// The entries after an update by `who`.
pub(super) fn updated(
    kind: &Kind,
    old: Option<&Value>,
    new: &Value,
    mut entries: Vec<Entry>,
    who: &Who,
    writer: &Writer<'_>,
) -> Vec<Entry> {
    let schema = &kind.schema;
    let difference = match old {
        Some(old) => without_managed(old, |old| compare(&schema.types, schema.root, old, new)),
        None => compare(&schema.types, schema.root, &kind.empty, new),
    };
    let Difference { added, changed, removed } = difference.without(&ignored(kind, &who.subresource));
    let touched = added.union(changed);
    take_away(&mut entries, &touched);
    take_away(&mut entries, &removed);
    let mine = touched.difference(never_owned());
    if !mine.is_empty() {
        let api_version = kind.api_version();
        let time = Some(written_time(writer));
        match entries.iter_mut().find(|entry| entry.is_of(who, &api_version)) {
            Some(entry) => {
                entry.fields = std::mem::take(&mut entry.fields).union(mine);
                entry.time = time;
            }
            None => entries.push(Entry { who: who.clone(), api_version, time, fields: mine }),
        }
    }
    cap(&mut entries);
    entries
}

/// Takes fields from everybody.
pub(super) fn take_away(entries: &mut Vec<Entry>, fields: &Fields) {
    if fields.is_empty() {
        return;
    }
    for entry in entries.iter_mut() {
        entry.fields = std::mem::take(&mut entry.fields).difference(fields);
    }
    entries.retain(|entry| !entry.fields.is_empty());
}

/// Merges the oldest updaters, if there are too many.
fn cap(entries: &mut Vec<Entry>) {
    let is_updater = |entry: &Entry| entry.who.operation == Operation::Update;
    let mut count = entries.iter().filter(|entry| is_updater(entry)).count();
    if count <= MOST_UPDATERS {
        return;
    }
    sort(entries);
    let bucket =
        Who { manager: "ancient-changes".to_owned(), operation: Operation::Update, subresource: String::new() };
    let mut first: Vec<(String, Entry)> = Vec::new();
    let mut kept: Vec<Entry> = Vec::new();
    for entry in std::mem::take(entries) {
        if !is_updater(&entry) || count <= MOST_UPDATERS {
            kept.push(entry);
            continue;
        }
        match first.iter_mut().find(|(version, _)| *version == entry.api_version) {
            Some((_, oldest)) => {
                oldest.fields = std::mem::take(&mut oldest.fields).union(entry.fields);
                oldest.time = entry.time;
                oldest.who = bucket.clone();
                count -= 1;
            }
            None => first.push((entry.api_version.clone(), entry)),
        }
    }
    entries.extend(first.into_iter().map(|(_, entry)| entry).chain(kept));
}

/// Fields of which nobody asks whose they are.
pub(super) fn never_owned() -> &'static Fields {
    static FIELDS: OnceLock<Fields> = OnceLock::new();
    FIELDS.get_or_init(|| {
        let metadata = [
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        ];
        let whole = [&["apiVersion"], &["kind"], &["metadata"]].map(|path| Fields::of_path(path));
        let parts = metadata.map(|name| Fields::of_path(&["metadata", name]));
        whole.into_iter().chain(parts).fold(Fields::default(), Fields::union)
    })
}

/// Fields that an endpoint puts back and that count for nothing there.
pub(super) fn ignored(kind: &Kind, subresource: &str) -> Fields {
    let names: &[&[&str]] = match subresource {
        "status" => match kind.kind.as_str() {
            "Pod" => &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]],
            "VolumeAttachment" | "ValidatingAdmissionPolicy" | "CustomResourceDefinition" if !kind.custom => {
                &[&["metadata"], &["spec"]]
            }
            _ => &[&["spec"]],
        },
        _ if kind.status => &[&["status"]],
        _ => &[],
    };
    names.iter().fold(Fields::default(), |set, path| set.union(Fields::of_path(path)))
}

/// Nothing for what cannot be read.
pub(super) fn read(value: &Value) -> Option<Vec<Entry>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(entries) => entries.iter().map(Entry::read).collect(),
        _ => None,
    }
}

fn is_reset(sent: &Value) -> bool {
    match sent.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

/// Takes the managed fields out of an object.
pub(super) fn take(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields").filter(|sent| !sent.is_null())
}

pub(super) fn put(object: &mut Value, mut entries: Vec<Entry>) {
    sort(&mut entries);
    let written: Vec<Value> = entries.iter().map(Entry::write).collect();
    let Some(object) = object.as_object_mut() else { return };
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Some(metadata) = metadata.as_object_mut()
        && !written.is_empty()
    {
        metadata.insert("managedFields".to_owned(), Value::Array(written));
    }
}

fn sort(entries: &mut [Entry]) {
    fn key(entry: &Entry) -> (Operation, &str, &str, &str, &str) {
        let who = &entry.who;
        let time = entry.time.as_deref().unwrap_or_default();
        (who.operation, time, &who.manager, &entry.api_version, &who.subresource)
    }
    entries.sort_by(|one, other| key(one).cmp(&key(other)));
}

pub(super) fn written_time(writer: &Writer<'_>) -> String {
    writer.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Gives the object without managed fields to something.
pub(super) fn without_managed<T>(object: &Value, then: impl FnOnce(&Value) -> T) -> T {
    if object["metadata"]["managedFields"].is_null() {
        return then(object);
    }
    let mut bare = object.clone();
    take(&mut bare);
    then(&bare)
}

/// Puts the times of the old entries back if nothing but times has changed.
pub(super) fn keep_times(old: &Value, new: &mut Value) {
    let (before, after) = (&old["metadata"]["managedFields"], &new["metadata"]["managedFields"]);
    let (Some(before), Some(after)) = (before.as_array(), after.as_array()) else { return };
    let rest = |entry: &'_ Value, other: &Value| {
        let fields = entry.as_object().into_iter().flatten();
        fields.filter(|(name, _)| *name != "time").all(|(name, value)| other.get(name) == Some(value))
    };
    let same = |one: &Value, other: &Value| rest(one, other) && rest(other, one);
    if before.len() != after.len() || before == after || !before.iter().zip(after).all(|(old, new)| same(old, new)) {
        return;
    }
    let mut changed = new.clone();
    changed["metadata"]["managedFields"] = Value::Array(before.clone());
    if changed == *old {
        *new = changed;
    }
}
