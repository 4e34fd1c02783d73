//! What a CustomResourceDefinition's schema asks of numbers.

use serde_json::Value;

use super::{faults::Faults, structural::says};

/// The bounds of a number.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    least: Option<Bound>,
    most: Option<Bound>,
    multiple: Option<f64>,
}

#[derive(Debug)]
struct Bound {
    value: f64,
    written: String,
    exclusive: bool,
}

impl Bound {
    fn read(schema: &Value, name: &str, exclusive: &str) -> Option<Self> {
        let value = schema[name].as_f64()?;
        let written = if value.fract() == 0.0 { format!("{value:.0}") } else { value.to_string() };
        Some(Self { value, written, exclusive: says(schema, exclusive) })
    }
}

impl Numbers {
    pub fn read(schema: &Value) -> Self {
        Self {
            least: Bound::read(schema, "minimum", "exclusiveMinimum"),
            most: Bound::read(schema, "maximum", "exclusiveMaximum"),
            multiple: schema["multipleOf"].as_f64(),
        }
    }

    pub fn judge(&self, path: &str, number: &serde_json::Number, faults: &mut Faults) {
        let Some(value) = number.as_f64() else { return };
        let given = || Value::Number(number.clone());
        if let Some(least) = &self.least
            && (value < least.value || (least.exclusive && value <= least.value))
        {
            let words = if least.exclusive { "greater than" } else { "greater than or equal to" };
            faults.invalid(path, given(), &format!("{path} in body should be {words} {}", least.written));
        }
        if let Some(most) = &self.most
            && (value > most.value || (most.exclusive && value >= most.value))
        {
            let words = if most.exclusive { "less than" } else { "less than or equal to" };
            faults.invalid(path, given(), &format!("{path} in body should be {words} {}", most.written));
        }
        if let Some(multiple) = self.multiple
            && (value / multiple).fract() != 0.0
        {
            faults.invalid(path, given(), &format!("{path} in body should be a multiple of {multiple}"));
        }
    }
}
