//! What services are given: cluster addresses here, [node ports](crate::node_ports) there, each to one at a time.

use std::{collections::BTreeSet, net::Ipv4Addr};

use serde_json::{Value, json};

use crate::{
    content::{self, Cause},
    failure::Failure,
    node_ports::keep_ports,
    state::{Ask, State, take, text, texts},
};

/// 10.96.0.0/16.
const FIRST_ADDRESS: u32 = 0x0a60_0000;
const ADDRESSES: u32 = 1 << 16;
/// The first ones are for those who ask for one by its number (KEP-3070). There are more of the others than any
/// simulation uses.
const STATIC: u32 = 256;

impl State {
    /// What a new object is given before it is judged.
    pub(crate) fn begin_create(&mut self, ask: &Ask<'_>, object: &mut Value) -> Result<(), Failure> {
        if &*ask.served.shelf != "services" || !ask.target.subresource.is_empty() || !object["spec"].is_object() {
            return Ok(());
        }
        let address = text(object, &["spec", "clusterIP"]).to_owned();
        if !address.is_empty() && !has_addresses(object) {
            object["spec"]["clusterIPs"] = json!([address]);
        }
        let name = text(object, &["metadata", "name"]);
        content::judge_addresses(object).map_err(|refusal| Failure::of(ask.kind(), name, refusal))?;
        families(None, object)?;
        self.give_address(None, object, ask.query.is_dry_run())?;
        self.give_ports(None, object, ask.query.is_dry_run())
    }

    /// What a changed object keeps, and is given.
    pub(crate) fn begin_update(&mut self, ask: &Ask<'_>, live: &Value, object: &mut Value) -> Result<(), Failure> {
        if &*ask.served.shelf != "services" || !ask.target.subresource.is_empty() || !object["spec"].is_object() {
            return Ok(());
        }
        keep_given(live, object);
        let (before, after) = (text(live, &["spec", "clusterIP"]), text(object, &["spec", "clusterIP"]).to_owned());
        if has_addresses(live) && !has_addresses(object) && before == after {
            object["spec"]["clusterIPs"] = live["spec"]["clusterIPs"].clone();
        }
        if before != after && live["spec"]["clusterIPs"] == object["spec"]["clusterIPs"] {
            if after.is_empty() {
                take(object, &["spec"], "clusterIPs");
            } else {
                object["spec"]["clusterIPs"] = json!([after]);
            }
        }
        let name = text(object, &["metadata", "name"]);
        content::judge_addresses(object).map_err(|refusal| Failure::of(ask.kind(), name, refusal))?;
        families(Some(live), object)?;
        self.give_address(Some(live), object, ask.query.is_dry_run())?;
        self.give_ports(Some(live), object, ask.query.is_dry_run())
    }

    fn give_address(&mut self, live: Option<&Value>, object: &mut Value, dry_run: bool) -> Result<(), Failure> {
        if text(object, &["spec", "type"]) == "ExternalName" || is_headless(object) {
            return Ok(());
        }
        let wanted = texts(object, &["spec", "clusterIPs"]).next().unwrap_or_default().to_owned();
        // What a service has, it keeps.
        if live.is_some_and(|live| text(live, &["spec", "type"]) != "ExternalName") {
            return Ok(());
        }
        let name = text(object, &["metadata", "name"]).to_owned();
        let taken: BTreeSet<String> = self
            .objects("services", "")
            .iter()
            .flat_map(|service| texts(service, &["spec", "clusterIPs"]).map(str::to_owned).collect::<Vec<_>>())
            .collect();
        if wanted.is_empty() {
            // A dry run pretends to be given the first address, which no service has.
            let address = if dry_run { Ipv4Addr::from(FIRST_ADDRESS).to_string() } else { self.free_address(&taken) };
            object["spec"]["clusterIP"] = address.as_str().into();
            object["spec"]["clusterIPs"] = json!([address]);
            return Ok(());
        }
        // What is no address at all is told by the judges of the whole object.
        let Ok(address) = wanted.parse::<Ipv4Addr>() else { return Ok(()) };
        let refusal = |words: &str| {
            let words = format!("Invalid value: [{wanted:?}]: failed to allocate IP {wanted}: {words}");
            Err(refuse(&name, "spec.clusterIPs", &words))
        };
        // The first address names the network, the last one means all of it.
        if !(FIRST_ADDRESS + 1..FIRST_ADDRESS + ADDRESSES - 1).contains(&u32::from(address)) {
            if dry_run {
                let range = "The range of valid IPs is 10.96.0.0/16";
                return refusal(&format!("the provided IP ({address}) is not in the valid range. {range}"));
            }
            return refusal("the provided network does not match the current range");
        }
        if taken.contains(&wanted) && !dry_run {
            return refusal("provided IP is already allocated");
        }
        if text(object, &["spec", "clusterIP"]).is_empty() {
            return Ok(());
        }
        object["spec"]["clusterIP"] = wanted.into();
        Ok(())
    }

    fn free_address(&mut self, taken: &BTreeSet<String>) -> String {
        loop {
            let offset = u32::try_from(self.random.below(u64::from(ADDRESSES - 2 - STATIC))).unwrap_or(0) + STATIC + 1;
            let address = Ipv4Addr::from(FIRST_ADDRESS + offset).to_string();
            if !taken.contains(&address) {
                return address;
            }
        }
    }
}

/// This cluster speaks IPv4 only.
fn families(live: Option<&Value>, object: &mut Value) -> Result<(), Failure> {
    if text(object, &["spec", "type"]) == "ExternalName" {
        return Ok(());
    }
    // Who prefers two families keeps what there is.
    let prefers = |service: &Value| text(service, &["spec", "ipFamilyPolicy"]) == "PreferDualStack";
    let same =
        |live: &Value| ["clusterIPs", "ipFamilies"].iter().all(|name| live["spec"][*name] == object["spec"][*name]);
    if live.is_some_and(|live| prefers(live) && prefers(object) && same(live)) {
        return Ok(());
    }
    let selects = object["spec"]["selector"].as_object().is_some_and(|selector| !selector.is_empty());
    let for_others = is_headless(object) && !selects;
    if text(object, &["spec", "ipFamilyPolicy"]).is_empty() {
        let before = live.map_or("", |live| text(live, &["spec", "ipFamilyPolicy"]));
        let policy = match before {
            "" if for_others => "RequireDualStack",
            "" => "SingleStack",
            before => before,
        };
        object["spec"]["ipFamilyPolicy"] = policy.into();
    }
    let policy = text(object, &["spec", "ipFamilyPolicy"]).to_owned();
    let mut families: Vec<String> = texts(object, &["spec", "ipFamilies"]).map(str::to_owned).collect();
    let name = text(object, &["metadata", "name"]).to_owned();
    if policy == "SingleStack" {
        let same = live.is_some_and(|live| live["spec"]["ipFamilies"] == object["spec"]["ipFamilies"]);
        if families.len() > 1 && same {
            families.truncate(1);
        } else if families.len() > 1 {
            let words = "Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple \
                             IP families are specified";
            return Err(refuse(&name, "spec.ipFamilyPolicy", words));
        }
    } else if let Some(live) = live {
        let before = texts(live, &["spec", "ipFamilies"]).count();
        if (1..before).contains(&families.len()) {
            let words = format!("Invalid value: {policy:?}: must be 'SingleStack' to release the secondary IP family");
            return Err(refuse(&name, "spec.ipFamilyPolicy", &words));
        }
    }
    if families.is_empty() {
        families.push("IPv4".to_owned());
    }
    if for_others {
        if families.len() == 1 && policy != "SingleStack" {
            families.push(if families[0] == "IPv4" { "IPv6" } else { "IPv4" }.to_owned());
        }
    } else {
        let mut causes = Vec::new();
        if policy == "RequireDualStack" {
            let words = "Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services";
            causes.push(cause("spec.ipFamilyPolicy", words));
        }
        for (at, family) in families.iter().enumerate().filter(|(_, family)| *family != "IPv4") {
            let words = format!("Invalid value: {family:?}: not configured on this cluster");
            causes.push(cause(&format!("spec.ipFamilies[{at}]"), &words));
        }
        if !causes.is_empty() {
            return Err(Failure::invalid("", "Service", &name, &causes));
        }
    }
    object["spec"]["ipFamilies"] = families.into();
    Ok(())
}

pub(crate) fn refuse(name: &str, field: &str, words: &str) -> Failure {
    Failure::invalid("", "Service", name, &[cause(field, words)])
}

fn cause(field: &str, words: &str) -> Cause {
    Cause { field: field.to_owned(), reason: "FieldValueInvalid".to_owned(), message: words.to_owned() }
}

fn has_addresses(service: &Value) -> bool {
    texts(service, &["spec", "clusterIPs"]).next().is_some()
}

fn is_headless(service: &Value) -> bool {
    text(service, &["spec", "clusterIP"]) == "None"
}

/// What a client leaves out of what the server has given, it need not know.
fn keep_given(live: &Value, object: &mut Value) {
    // Also one of a type that there is not, which is told later.
    let has_address = |service: &Value| text(service, &["spec", "type"]) != "ExternalName";
    if has_address(live) && has_address(object) {
        if text(object, &["spec", "clusterIP"]).is_empty() && !live["spec"]["clusterIP"].is_null() {
            object["spec"]["clusterIP"] = live["spec"]["clusterIP"].clone();
        }
        if !has_addresses(object) && has_addresses(live) {
            object["spec"]["clusterIPs"] = live["spec"]["clusterIPs"].clone();
        }
    }
    keep_ports(live, object);
}
