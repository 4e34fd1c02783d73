//! Collects the causes of a refusal, in the server's words.

use serde_json::Value;

use super::{Cause, Refusal};

/// The causes found so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Cause>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, reason: &str, message: String) {
        self.0.push(Cause { field: field.into(), reason: reason.to_owned(), message });
    }

    pub fn invalid(&mut self, field: impl Into<String>, value: impl Into<Value>, detail: &str) {
        self.add(field, "FieldValueInvalid", format!("Invalid value: {}: {detail}", shown(&value.into())));
    }

    /// With the value as it is shown.
    pub fn invalid_as(&mut self, field: impl Into<String>, shown: &str, detail: &str) {
        self.add(field, "FieldValueInvalid", format!("Invalid value: {shown}: {detail}"));
    }

    /// Without the value.
    pub fn invalid_whole(&mut self, field: impl Into<String>, detail: &str) {
        self.add(field, "FieldValueInvalid", format!("Invalid value: {detail}"));
    }

    /// The same for each of several details.
    pub fn invalid_each(&mut self, field: &str, value: &str, details: Vec<String>) {
        for detail in details {
            self.invalid(field, value, &detail);
        }
    }

    pub fn wrong_type(&mut self, field: impl Into<String>, value: impl Into<Value>, detail: &str) {
        self.add(field, "FieldValueTypeInvalid", format!("Invalid value: {}: {detail}", shown(&value.into())));
    }

    pub fn required(&mut self, field: impl Into<String>, detail: &str) {
        self.add(field, "FieldValueRequired", with("Required value".to_owned(), detail));
    }

    pub fn not_supported(&mut self, field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) {
        let supported: Vec<String> = supported.iter().map(|word| format!("{word:?}")).collect();
        let supported = supported.join(", ");
        let message = format!("Unsupported value: {}: supported values: {supported}", shown(&value.into()));
        self.add(field, "FieldValueNotSupported", message);
    }

    pub fn duplicate(&mut self, field: impl Into<String>, value: impl Into<Value>) {
        self.duplicate_as(field, &shown(&value.into()));
    }

    /// With the value as it is shown.
    pub fn duplicate_as(&mut self, field: impl Into<String>, shown: &str) {
        self.add(field, "FieldValueDuplicate", format!("Duplicate value: {shown}"));
    }

    pub fn forbidden(&mut self, field: impl Into<String>, detail: &str) {
        self.add(field, "FieldValueForbidden", with("Forbidden".to_owned(), detail));
    }

    pub fn not_found(&mut self, field: impl Into<String>, value: impl Into<Value>) {
        self.add(field, "FieldValueNotFound", format!("Not found: {}", shown(&value.into())));
    }

    pub fn too_long(&mut self, field: impl Into<String>, most: u64) {
        let bytes = if most == 1 { "byte" } else { "bytes" };
        self.add(field, "FieldValueTooLong", format!("Too long: may not be more than {most} {bytes}"));
    }

    pub fn too_many(&mut self, field: impl Into<String>, actual: usize, most: u64) {
        let items = if most == 1 { "item" } else { "items" };
        self.add(field, "FieldValueTooMany", format!("Too many: {actual}: must have at most {most} {items}"));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over what was found elsewhere.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Takes over what was found in a part that was judged as if it were the whole.
    pub fn extend_under(&mut self, part: &str, other: Self) {
        self.0.extend(other.0.into_iter().map(|mut cause| {
            cause.field = match cause.field.as_str() {
                "" => part.to_owned(),
                "<nil>" => cause.field,
                field => format!("{part}.{field}"),
            };
            cause
        }));
    }

    /// Nothing found is fine; otherwise this is why the object is refused.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::Invalid(self.0)) }
    }
}

fn with(words: String, detail: &str) -> String {
    if detail.is_empty() { words } else { format!("{words}: {detail}") }
}

/// A value as it is shown to people.
fn shown(value: &Value) -> String {
    value.to_string()
}
