//! The ports of every node that services are given, each to one at a time.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    failure::Failure,
    service::refuse,
    state::{State, text},
};

const FIRST: u64 = 30_000;
const LAST: u64 = 32_767;
/// The first ones are for those who ask for one by its number (KEP-3668). There are more of the others than any
/// simulation uses.
const STATIC: u64 = 86;

/// What one write of a service is given. Ports that it lets go of are free only when it is done.
struct Grant<'a> {
    name: &'a str,
    /// The ports that nobody else can have.
    taken: BTreeSet<u64>,
    /// Those that this service asks for.
    asked: BTreeSet<u64>,
    /// Those that it has been given now.
    given: Vec<u64>,
    dry_run: bool,
}

impl Grant<'_> {
    /// A port that was asked for.
    fn this(&mut self, port: u64) -> Result<(), String> {
        // A dry run does not look where a port lies.
        if !(FIRST..=LAST).contains(&port) && !self.dry_run {
            let range = format!("The range of valid ports is {FIRST}-{LAST}");
            return Err(format!("provided port is not in the valid range. {range}"));
        }
        if !self.taken.insert(port) {
            return Err("provided port is already allocated".to_owned());
        }
        self.given.push(port);
        Ok(())
    }

    /// A port that was asked for by one of the service's own.
    fn for_port(&mut self, at: usize, port: u64) -> Result<(), Failure> {
        let field = format!("spec.ports[{at}].nodePort");
        self.this(port).map_err(|words| refuse(self.name, &field, &format!("Invalid value: {port}: {words}")))
    }

    /// Any port.
    fn any(&mut self, state: &mut State) -> u64 {
        let port = if self.dry_run { self.pretended() } else { self.free(state) };
        self.taken.insert(port);
        self.given.push(port);
        port
    }

    fn free(&self, state: &mut State) -> u64 {
        loop {
            let port = FIRST + STATIC + state.random.below(LAST - FIRST + 1 - STATIC);
            if !self.taken.contains(&port) && !self.asked.contains(&port) {
                return port;
            }
        }
    }

    /// A dry run allocates nothing: it tells a port that no service can have, and the next one for each more.
    fn pretended(&self) -> u64 {
        self.given.iter().max().unwrap_or(&(LAST + 1)) + 1
    }

    /// The port at which a balancer asks whether a node has pods of the service.
    fn health(&mut self, state: &mut State, service: &mut Value) -> Result<(), Failure> {
        let wanted = health(service);
        if wanted == 0 {
            service["spec"]["healthCheckNodePort"] = self.any(state).into();
            return Ok(());
        }
        self.this(wanted).map_err(|words| {
            Failure::internal(&format!("failed to allocate requested HealthCheck NodePort {wanted}: {words}"))
        })
    }
}

impl State {
    /// Gives a service, new or changed, the node ports that it needs.
    pub(crate) fn give_ports(
        &mut self,
        live: Option<&Value>,
        service: &mut Value,
        dry_run: bool,
    ) -> Result<(), Failure> {
        if !has_ports(service) {
            return Ok(());
        }
        let name = text(service, &["metadata", "name"]).to_owned();
        let taken = self.objects("services", "").iter().flat_map(|service| all_of(service)).collect();
        let asked = all_of(service).collect();
        let mut grant = Grant { name: &name, taken, asked, given: Vec::new(), dry_run };
        match live {
            None => self.give_new_ports(&mut grant, service)?,
            Some(live) => self.give_changed_ports(&mut grant, live, service)?,
        }
        if is_asked_for_health(service) && !live.is_some_and(is_asked_for_health) {
            grant.health(self, service)?;
        }
        Ok(())
    }

    fn give_new_ports(&mut self, grant: &mut Grant<'_>, service: &mut Value) -> Result<(), Failure> {
        // The same port by another protocol has the same node port.
        let mut same: Vec<(u64, u64)> = Vec::new();
        for at in 0..count(service) {
            let (port, wanted) = (number(service, at, "port"), number(service, at, "nodePort"));
            if wanted == 0 && !is_given_ports(service) {
                continue;
            }
            match same.iter().find(|(before, _)| *before == port).map(|(_, given)| *given) {
                None => {
                    let asked = (at..count(service))
                        .filter(|at| number(service, *at, "port") == port)
                        .map(|at| number(service, at, "nodePort"))
                        .find(|asked| *asked != 0);
                    let given = if let Some(asked) = asked {
                        grant.for_port(at, asked)?;
                        asked
                    } else {
                        grant.any(self)
                    };
                    service["spec"]["ports"][at]["nodePort"] = given.into();
                    same.push((port, given));
                }
                Some(given) if wanted == 0 => service["spec"]["ports"][at]["nodePort"] = given.into(),
                Some(given) if wanted != given => grant.for_port(at, wanted)?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn give_changed_ports(&mut self, grant: &mut Grant<'_>, live: &Value, service: &mut Value) -> Result<(), Failure> {
        let own: BTreeSet<u64> = ports_of(live).collect();
        let mut known: Vec<(String, u64)> = Vec::new();
        for at in 0..count(service) {
            let mut port = number(service, at, "nodePort");
            if port == 0 && !is_given_ports(service) {
                continue;
            }
            if port == 0 {
                port = grant.any(self);
                service["spec"]["ports"][at]["nodePort"] = port.into();
            } else if !own.contains(&port) && !grant.given.contains(&port) {
                grant.for_port(at, port)?;
            }
            let this = (text(&service["spec"]["ports"][at], &["protocol"]).to_owned(), port);
            if known.contains(&this) {
                return Err(Failure::bare(500, format!("duplicate nodePort: {{{} {port}}}", this.0)));
            }
            known.push(this);
        }
        Ok(())
    }
}

/// What a client leaves out of the ports that the server has given, it need not know.
pub(crate) fn keep_ports(live: &Value, service: &mut Value) {
    // Who does without node ports is not given the old ones back.
    if is_given_ports(live) && is_given_ports(service) {
        let used: BTreeSet<u64> = ports_of(live).filter(|port| ports_of(service).any(|other| other == *port)).collect();
        let before = live["spec"]["ports"].as_array().cloned().unwrap_or_default();
        for port in service["spec"]["ports"].as_array_mut().into_iter().flatten() {
            if port["nodePort"].as_u64().unwrap_or(0) > 0 {
                continue;
            }
            // Of several without a name, it is the last.
            let same = before.iter().rfind(|before| text(before, &["name"]) == text(port, &["name"]));
            if let Some(node_port) = same.and_then(|before| before["nodePort"].as_u64())
                && node_port > 0
                && !used.contains(&node_port)
            {
                port["nodePort"] = node_port.into();
            }
        }
    }
    if is_asked_for_health(live) && is_asked_for_health(service) && health(service) == 0 && health(live) > 0 {
        service["spec"]["healthCheckNodePort"] = health(live).into();
    }
}

fn count(service: &Value) -> usize {
    service["spec"]["ports"].as_array().map_or(0, Vec::len)
}

fn number(service: &Value, at: usize, name: &str) -> u64 {
    service["spec"]["ports"][at][name].as_u64().unwrap_or(0)
}

fn health(service: &Value) -> u64 {
    service["spec"]["healthCheckNodePort"].as_u64().unwrap_or(0)
}

fn has_ports(service: &Value) -> bool {
    matches!(text(service, &["spec", "type"]), "NodePort" | "LoadBalancer")
}

/// Whether the server chooses the node ports that nobody asks for.
fn is_given_ports(service: &Value) -> bool {
    match text(service, &["spec", "type"]) {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

/// Whether only nodes with pods of it may be sent its load.
fn is_asked_for_health(service: &Value) -> bool {
    text(service, &["spec", "type"]) == "LoadBalancer" && text(service, &["spec", "externalTrafficPolicy"]) == "Local"
}

/// The node ports of a service's ports.
fn ports_of(service: &Value) -> impl Iterator<Item = u64> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    ports.filter_map(|port| port["nodePort"].as_u64()).filter(|port| *port > 0)
}

/// All ports of the nodes that a service has.
fn all_of(service: &Value) -> impl Iterator<Item = u64> {
    ports_of(service).chain(Some(health(service)).filter(|port| *port > 0))
}
