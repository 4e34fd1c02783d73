//! What is particular to each built-in kind: defaults, strategies, validation.

mod addresses;
mod claim;
mod container;
mod defaults;
mod job;
mod job_policy;
mod job_status;
mod judged;
mod node;
mod pod;
mod pod_change;
mod pod_defaults;
mod quota;
mod service;
mod small;
mod strategy;
mod volume;

use serde_json::{Map, Value};

pub(super) use defaults::set_defaults;
pub(super) use judged::{judge_change, judge_new};
pub(super) use service::judge_addresses_of;
pub(super) use strategy::{prepare_changed, prepare_new};

type Fields = Map<String, Value>;

/// Sets what is not there.
fn default(map: &mut Fields, name: &str, value: impl Into<Value>) {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), value.into());
    }
}

fn fields<'a>(map: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    map.get_mut(name).and_then(Value::as_object_mut)
}

fn items<'a>(map: &'a mut Fields, name: &str) -> impl Iterator<Item = &'a mut Fields> {
    map.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

fn word<'a>(map: &'a Fields, name: &str) -> &'a str {
    map.get(name).and_then(Value::as_str).unwrap_or_default()
}
