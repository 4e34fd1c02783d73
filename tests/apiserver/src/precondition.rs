//! What must hold of the live object before it is changed: its identity and its version.

use serde_json::Value;

use crate::{
    content::{self, Kind},
    failure::{Failure, MODIFIED},
    state::{Ask, text},
};

/// The words of the store when a precondition fails.
pub(crate) fn precondition(ask: &Ask<'_>, what: &str, wanted: &str, there: &str) -> Failure {
    let words = format!(
        "StorageError: invalid object, Code: 4, Key: {}/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: \
         {what} in precondition: {wanted}, {what} in object meta: {there}",
        if ask.query.is_dry_run() { "" } else { "/registry" },
        registry(ask.kind()),
        ask.key()
    );
    Failure::conflict(&ask.about(), &words)
}

pub(crate) fn check_uid(ask: &Ask<'_>, wanted: &str, there: &str) -> Result<(), Failure> {
    if wanted == there { Ok(()) } else { Err(precondition(ask, "UID", wanted, there)) }
}

/// Where etcd has the objects of a kind.
fn registry(kind: &Kind) -> String {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "services") => "services/specs".to_owned(),
        ("", "endpoints") => "services/endpoints".to_owned(),
        ("", "nodes") => "minions".to_owned(),
        ("apiextensions.k8s.io", plural) => format!("apiextensions.k8s.io/{plural}"),
        (group, plural) if kind.custom => format!("{group}/{plural}"),
        (_, plural) => plural.to_owned(),
    }
}

/// The version that the object was changed from must be the present one.
pub(crate) fn check_version(ask: &Ask<'_>, live: &Value, object: &mut Value) -> Result<(), Failure> {
    let given = text(object, &["metadata", "resourceVersion"]).to_owned();
    let there = &live["metadata"]["resourceVersion"];
    if matches!(given.as_str(), "" | "0") {
        if ask.kind().unconditional_update {
            object["metadata"]["resourceVersion"] = there.clone();
            return Ok(());
        }
        let cause = content::Cause {
            field: "metadata.resourceVersion".to_owned(),
            reason: "FieldValueInvalid".to_owned(),
            message: "Invalid value: 0: must be specified for an update".to_owned(),
        };
        let kind = ask.kind();
        return Err(Failure::invalid(&kind.group, &kind.plural, ask.name(), &[cause]));
    }
    check_number(object)?;
    if there.as_str() != Some(&given) {
        return Err(Failure::conflict(&ask.about(), MODIFIED));
    }
    Ok(())
}

/// A resource version is a number.
pub(crate) fn check_number(object: &Value) -> Result<(), Failure> {
    let given = text(object, &["metadata", "resourceVersion"]);
    if given.is_empty() || given.parse::<u64>().is_ok() {
        return Ok(());
    }
    Err(Failure::bare(500, format!("strconv.ParseUint: parsing {given:?}: invalid syntax")))
}
