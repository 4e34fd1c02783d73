//! Server-side apply.

use serde_json::Value;

use super::{
    Cause, Force, Kind, Refusal, Writer, custom, decode,
    managed::{
        Entry, Operation, Who, ignored, keep_times, never_owned, put, read, take, take_away, updated, written_time,
    },
    ownership::{Difference, Fields, compare, fields_of, fit, merge, remove},
};

/// The object that comes of applying `applied` by this manager to `live`, or to nothing. It is read as its type, and
/// has its managed fields; name and namespace are as they were applied.
pub fn apply(
    kind: &Kind,
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer<'_>,
    force: Force,
) -> Result<Value, Refusal> {
    judge(kind, applied)?;
    let mut bare = live.cloned().unwrap_or_else(|| kind.empty.as_ref().clone());
    let before = take(&mut bare).unwrap_or(Value::Null);
    let mut entries = read(&before).ok_or_else(|| Refusal::Internal("failed to decode managed fields".to_owned()))?;
    if entries.is_empty() && live.is_some() {
        let who = Who { manager: "before-first-apply".to_owned(), ..Who::updater(writer) };
        entries = updated(kind, None, &bare, entries, &who, writer);
    }
    let (merged, mut entries) = merged(kind, &bare, applied, entries, writer, force)?;
    let changed = merged != bare;
    if changed {
        let who = Who::new(writer, Operation::Apply);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.is_of(&who, "")) {
            entry.time = Some(written_time(writer));
        }
    }
    let mut object = if changed { merged } else { bare };
    if kind.custom {
        custom::read_applied(kind, &mut object)?;
    } else {
        read_applied(kind, applied, &mut object)?;
    }
    put(&mut object, entries);
    if let Some(live) = live {
        keep_times(live, &mut object);
    }
    Ok(object)
}

fn judge(kind: &Kind, applied: &Value) -> Result<(), Refusal> {
    let word = |name: &str| applied[name].as_str().unwrap_or_default();
    let (api_version, name) = (word("apiVersion"), word("kind"));
    if api_version != kind.api_version() || name != kind.kind {
        let version = if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") };
        return Err(Refusal::BadRequest(format!("invalid object type: {version}, Kind={name}")));
    }
    if !applied["metadata"]["managedFields"].is_null() {
        return Err(Refusal::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    let faults = fit(&kind.schema.types, kind.schema.root, applied);
    if faults.is_empty() {
        return Ok(());
    }
    let words = match faults.as_slice() {
        [only] => only.clone(),
        several => {
            let lines: Vec<String> = several.iter().map(|fault| format!("  {fault}")).collect();
            format!("errors:\n{}", lines.join("\n"))
        }
    };
    Err(Refusal::Internal(format!("failed to create typed patch object ({}): {words}", about(kind, applied))))
}

/// Which object it is about.
fn about(kind: &Kind, applied: &Value) -> String {
    let word = |name: &str| applied["metadata"][name].as_str().unwrap_or_default();
    format!("{}/{}; {}", word("namespace"), word("name"), typed(kind))
}

fn typed(kind: &Kind) -> String {
    format!("{}/{}, Kind={}", kind.group, kind.version, kind.kind)
}

/// Reads a built-in object that an apply has made: what does not fit is not told as it is elsewhere.
fn read_applied(kind: &Kind, applied: &Value, object: &mut Value) -> Result<(), Refusal> {
    let read = decode(kind, object).map(drop);
    read.map_err(|refusal| {
        let words = refusal.message(kind, "");
        let words = words.split_once(": ").map_or(words.as_str(), |(_, rest)| rest);
        // Only what reads itself is read in the same way.
        let same = ["parsing time", "quantities must"].iter().any(|begin| words.starts_with(begin));
        let from = if same { "" } else { "error decoding from json: " };
        Refusal::Internal(format!(
            "failed to convert new object ({}) to proper version: unable to convert unstructured object to {}: {from}{words}",
            about(kind, applied),
            typed(kind)
        ))
    })
}

/// The object and its owners after an apply.
fn merged(
    kind: &Kind,
    live: &Value,
    applied: &Value,
    mut entries: Vec<Entry>,
    writer: &Writer<'_>,
    force: Force,
) -> Result<(Value, Vec<Entry>), Refusal> {
    let (types, root) = (&kind.schema.types, kind.schema.root);
    let who = Who::new(writer, Operation::Apply);
    let ignored = ignored(kind, &who.subresource);
    let wanted = fields_of(types, root, applied).without(&ignored);
    let mut object = merge(types, root, live, applied);
    let last = entries.iter().position(|entry| entry.is_of(&who, "")).map(|at| entries.remove(at));
    if let Some(last) = &last {
        object = prune(kind, object, &last.fields, &wanted, &entries);
    }
    let Difference { added, changed, removed } = compare(types, root, live, &object).without(&ignored);
    let touched = added.union(changed);
    let conflicts: Vec<(&Entry, Fields)> = entries
        .iter()
        .map(|entry| (entry, entry.fields.intersection(&touched)))
        .filter(|(_, fields)| !fields.is_empty())
        .collect();
    if force == Force::No && !conflicts.is_empty() {
        return Err(conflict(&conflicts));
    }
    take_away(&mut entries, &touched);
    take_away(&mut entries, &removed);
    let mine = wanted.difference(never_owned());
    if !mine.is_empty() {
        let time = last.and_then(|last| last.time);
        entries.push(Entry { who, api_version: kind.api_version(), time, fields: mine });
    }
    Ok((object, entries))
}

/// Removes what this manager applied the last time, does not apply now, and nobody else owns.
fn prune(kind: &Kind, merged: Value, last: &Fields, wanted: &Fields, others: &[Entry]) -> Value {
    if last.is_empty() {
        return merged;
    }
    let (types, root) = (&kind.schema.types, kind.schema.root);
    let full = |set: &Fields| set.with_parents(types, Some(root));
    let last = full(last);
    let mut pruned = remove(types, root, &merged, &last);
    let everything = full(&fields_of(types, root, &merged));
    let owned = others.iter().fold(wanted.clone(), |all, entry| all.union(entry.fields.clone()));
    let kept = full(&fields_of(types, root, &pruned)).union(full(&owned));
    pruned = remove(types, root, &merged, &everything.clone().difference(&kept));
    // What goes must have been applied the last time.
    let kept = full(&fields_of(types, root, &pruned));
    remove(types, root, &merged, &everything.difference(&kept).intersection(&last))
}

fn conflict(conflicts: &[(&Entry, Fields)]) -> Refusal {
    let mut conflicts: Vec<_> = conflicts.iter().collect();
    conflicts.sort_by_cached_key(|(entry, _)| entry.identifier());
    let conflicts: Vec<(String, Vec<String>)> =
        conflicts.iter().map(|(entry, fields)| (entry.shown(), fields.paths())).collect();
    let causes: Vec<Cause> = conflicts
        .iter()
        .flat_map(|(who, paths)| paths.iter().map(move |path| (who, path)))
        .map(|(who, path)| Cause {
            field: path.clone(),
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {who}"),
        })
        .collect();
    let words = if let ([only], Some((who, _))) = (causes.as_slice(), conflicts.first()) {
        format!("Apply failed with 1 conflict: conflict with {who}: {}", only.field)
    } else {
        let lines: Vec<String> = conflicts
            .iter()
            .flat_map(|(who, paths)| {
                std::iter::once(format!("conflicts with {who}:")).chain(paths.iter().map(|path| format!("- {path}")))
            })
            .collect();
        format!("Apply failed with {} conflicts: {}", causes.len(), lines.join("\n"))
    };
    Refusal::Conflict(causes, words)
}
