//! Which nodes are accepted.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::Value;

use super::{
    super::{faults::Faults, metadata::text, names},
    judged::{empty, list},
};

/// Judges a node as it is.
pub(super) fn judge(node: &Value, faults: &mut Faults) {
    judge_taints(&node["spec"]["taints"], faults);
    judge_ranges(&node["spec"]["podCIDRs"], faults);
}

/// Judges a change of a node: what it is stays.
pub(super) fn judge_change(old: &Value, new: &Value, faults: &mut Faults) {
    let (before, after) = (&old["spec"], &new["spec"]);
    for (name, shown) in [("podCIDRs", "podCIDR"), ("providerID", "providerID")] {
        if !empty(&before[name]) && before[name] != after[name] {
            let words = format!("node updates may not change {shown} except from \"\" to valid");
            faults.forbidden(format!("spec.{name}"), &words);
        }
    }
    judge_taints(&after["taints"], faults);
}

/// Judges what keeps pods away.
fn judge_taints(taints: &Value, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (index, taint) in list(taints).enumerate() {
        // The server looks for them where they once were.
        let at = |name: &str| format!("metadata.taints[{index}].{name}");
        let word = |name: &str| taint[name].as_str().unwrap_or_default();
        faults.invalid_each(&at("key"), word("key"), names::qualified_name(word("key")));
        let wrong = names::label_value(word("value"));
        if !wrong.is_empty() {
            faults.invalid(at("value"), word("value"), &wrong.join(";"));
        }
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        match text(taint, "effect") {
            None => faults.required(at("effect"), ""),
            Some(effect) if !effects.contains(&effect) => faults.not_supported(at("effect"), effect, &effects),
            Some(_) => {}
        }
        if !seen.insert((word("key"), word("effect"))) {
            let shown = format!(
                "{{\"Key\":{:?},\"Value\":{:?},\"Effect\":{:?},\"TimeAdded\":{}}}: taints must be unique by key and effect \
                 pair",
                word("key"),
                word("value"),
                word("effect"),
                taint["timeAdded"]
            );
            faults.duplicate_as(format!("metadata.taints[{index}]"), &shown);
        }
    }
}

fn judge_ranges(ranges: &Value, faults: &mut Faults) {
    const FIELD: &str = "spec.podCIDRs";
    let mut families = Vec::new();
    for (index, range) in list(ranges).filter_map(Value::as_str).enumerate() {
        match family(range) {
            None => {
                let words = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
                faults.invalid(format!("{FIELD}[{index}]"), range, words);
            }
            Some(newer) => families.push(newer),
        }
    }
    if families.len() > 2 || (families.len() == 2 && families[0] == families[1]) {
        faults.invalid(FIELD, ranges.clone(), "may specify no more than one CIDR for each IP family");
    }
}

/// Whether the addresses of a range are of the newer protocol.
pub(super) fn family(range: &str) -> Option<bool> {
    let (address, bits) = range.split_once('/')?;
    let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse::<u32>().ok()?);
    (bits <= if address.is_ipv6() { 128 } else { 32 }).then_some(address.is_ipv6())
}
