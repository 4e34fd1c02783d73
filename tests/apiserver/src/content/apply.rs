//! Server-side apply.

use serde_json::Value;

use super::{Force, Kind, Refusal, Writer, merge_patch};

/// The object that comes of applying `applied` by this manager to `live`, or to nothing.
pub fn apply(
    kind: &Kind,
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer<'_>,
    force: Force,
) -> Result<Value, Refusal> {
    let _ = (kind, writer, force);
    let mut object = live.cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    merge_patch(&mut object, applied);
    Ok(object)
}
