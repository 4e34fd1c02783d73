//! Amounts of CPU and memory.

use std::{collections::BTreeMap, ops::SubAssign};

use k8s_openapi::{api::core::v1::PodSpec, apimachinery::pkg::api::resource::Quantity};

/// CPU and memory, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resources {
    pub(super) cpu: i128,
    pub(super) memory: i128,
}

impl Resources {
    /// What is listed; nothing where nothing is.
    pub(super) fn of(quantities: Option<&BTreeMap<String, Quantity>>) -> Self {
        let amount =
            |name: &str| quantities.and_then(|all| all.get(name)).map_or(0, |quantity| thousandths(&quantity.0));
        Self { cpu: amount("cpu"), memory: amount("memory") }
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, other: Self) {
        self.cpu -= other.cpu;
        self.memory -= other.memory;
    }
}

/// What a pod asks for.
pub(super) fn requested(pod: &PodSpec) -> Resources {
    let mut sum = Resources::default();
    for container in &pod.containers {
        let one = Resources::of(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
        sum.cpu += one.cpu;
        sum.memory += one.memory;
    }
    sum
}

/// A quantity as the API writes it (`100m`, `1.5Gi`, `2e3`), in thousandths. What is none counts as nothing.
fn thousandths(text: &str) -> i128 {
    const SUFFIXES: [(&str, i128); 12] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("e3", 1_000),
        ("e6", 1_000_000),
    ];
    if let Some(number) = text.strip_suffix('m') {
        return number.parse().unwrap_or(0);
    }
    let found = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (number, factor) = found.unwrap_or((text, 1));
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let thousandths = whole.parse::<i128>().unwrap_or(0) * 1_000 + part.parse::<i128>().unwrap_or(0);
    thousandths * factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_the_api_writes_them() {
        let cases = [
            ("100m", 100),
            ("2", 2_000),
            ("1.5", 1_500),
            ("1Ki", 1_024_000),
            ("0.5Gi", 536_870_912_000),
            ("1k", 1_000_000),
            ("x", 0),
        ];
        for (text, amount) in cases {
            assert_eq!(thousandths(text), amount, "{text}");
        }
    }
}
