//! From an address to the process that answers there.

use std::net::IpAddr;

use super::{Backend, Cluster, Inner, Mode, Net, Pod, Port, RunId, Service, Target, reach::same};
use crate::place::Place;

impl Net {
    /// Who answers at `host:port` for somebody in a place, and at which port of their own; nobody where nobody listens
    /// or packets do not pass.
    pub fn dial(&self, from: &Place, address: &str) -> Option<(RunId, u16)> {
        let from = same(from);
        self.with(|inner| {
            if let Some(known) = inner.known.get(from).and_then(|known| known.get(address)) {
                return *known;
            }
            let (host, port) = address.rsplit_once(':')?;
            let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
            let found = inner.find(from, host, port.parse().ok()?);
            let several = found.as_ref().is_some_and(|found| found.several);
            let answers = found.and_then(|found| inner.answer(from, found));
            // Of several pods, the next answers next time.
            if !several {
                inner.known.entry(from.clone()).or_default().insert(address.to_owned(), answers);
            }
            answers
        })
    }
}

/// A pod's address in a cluster, and the port there.
struct Found {
    place: Place,
    ip: String,
    port: Target,
    /// Others might have been found as well.
    several: bool,
}

impl Inner {
    fn find(&mut self, from: &Place, host: &str, port: u16) -> Option<Found> {
        if host.parse::<IpAddr>().is_ok() {
            self.find_pod(from, host, port)
                .or_else(|| self.find_cluster_ip(from, host, port))
                .or_else(|| self.find_from_outside(host, port))
        } else if let Some((name, domain)) = service_name(host) {
            self.find_name(from, &name, domain, port)
        } else {
            self.find_from_outside(host, port)
        }
    }

    /// A pod's own address. Where two clusters use the same addresses, everybody means their own.
    fn find_pod(&self, from: &Place, ip: &str, port: u16) -> Option<Found> {
        let owns = |cluster: &Cluster| ip.starts_with(&cluster.pod_range);
        let mut owners = self.seen_from(from).filter(|(_, cluster)| owns(cluster));
        let (place, _) = owners.next()?;
        Some(Found { place: place.clone(), ip: ip.to_owned(), port: Target::Number(port), several: false })
    }

    /// A service's own address.
    fn find_cluster_ip(&mut self, from: &Place, ip: &str, port: u16) -> Option<Found> {
        let has = |service: &Service| service.cluster_ip.as_deref() == Some(ip);
        let (place, key) = self.seen_from(from).find_map(|(place, cluster)| {
            let (key, _) = cluster.services.iter().find(|(_, service)| has(service))?;
            Some((place.clone(), key.clone()))
        })?;
        self.through(&[place], &key, |ports| ports.iter().find(|p| p.number == port).map(|p| p.target.clone()))
    }

    /// A load balancer's address, or a node's port: both are seen from everywhere.
    fn find_from_outside(&mut self, host: &str, port: u16) -> Option<Found> {
        let balanced = |service: &Service| service.ingress.iter().any(|ingress| ingress == host);
        let by_balancer = self.clusters.iter().find_map(|(place, cluster)| {
            let (key, _) = cluster.services.iter().find(|(_, service)| balanced(service))?;
            Some((place.clone(), key.clone()))
        });
        if let Some((place, key)) = by_balancer {
            let target = |ports: &[Port]| ports.iter().find(|p| p.number == port).map(|p| p.target.clone());
            return self.through(&[place], &key, target);
        }
        let on_node = |ports: &[Port]| ports.iter().find(|p| p.node == Some(port)).map(|p| p.target.clone());
        let (place, key) = self.clusters.iter().find_map(|(place, cluster)| {
            cluster.hosts.iter().find(|ip| *ip == host)?;
            let (key, _) = cluster.services.iter().find(|(_, service)| on_node(&service.ports).is_some())?;
            Some((place.clone(), key.clone()))
        })?;
        self.through(&[place], &key, on_node)
    }

    /// `NAME.NAMESPACE.svc` or `POD.NAME.NAMESPACE.svc`, with or without a cluster's domain.
    fn find_name(&mut self, from: &Place, name: &[&str], domain: Option<&str>, port: u16) -> Option<Found> {
        let own = self.clusters.get(from);
        let within = match domain {
            Some(domain) if own.is_none_or(|own| own.domain != domain) => {
                let (place, _) = self.seen_from(from).find(|(_, cluster)| cluster.domain == domain)?;
                place.clone()
            }
            _ => from.clone(),
        };
        match *name {
            [service, namespace] => {
                let key = (namespace.to_owned(), service.to_owned());
                let home = self.clusters.get(&within)?.services.get(&key)?;
                if home.cluster_ip.is_none() {
                    return self.through(&[within], &key, |_| Some(Target::Number(port)));
                }
                let places: Vec<_> = match self.reach.mode {
                    Mode::Islands => vec![within],
                    // The service is one with those of its name elsewhere, as a mesh makes it.
                    Mode::Flat => self.clusters.keys().cloned().collect(),
                };
                self.through(&places, &key, |ports| ports.iter().find(|p| p.number == port).map(|p| p.target.clone()))
            }
            [hostname, service, namespace] => {
                let key = (namespace.to_owned(), service.to_owned());
                let service = self.clusters.get(&within)?.services.get(&key)?;
                let named = |backend: &&Backend| backend.hostname.as_deref() == Some(hostname);
                let backend = service.backends.iter().find(named)?;
                Some(Found { place: within, ip: backend.ip.clone(), port: Target::Number(port), several: false })
            }
            _ => None,
        }
    }

    /// One of the pods behind a service that may stand in several clusters; each in turn.
    fn through(
        &mut self,
        places: &[Place],
        key: &(String, String),
        target: impl Fn(&[Port]) -> Option<Target>,
    ) -> Option<Found> {
        let mut choice = Vec::new();
        for place in places {
            let Some(service) = self.clusters.get(place).and_then(|cluster| cluster.services.get(key)) else {
                continue;
            };
            let Some(port) = target(&service.ports) else { continue };
            choice.extend(service.backends.iter().map(|backend| (place, &backend.ip, port.clone())));
        }
        let several = choice.len() > 1;
        let turn = match choice.len() {
            0 => return None,
            1 => 0,
            count => {
                let home = (places.first()?.clone(), key.0.clone(), key.1.clone());
                let turn = self.turns.entry(home).or_default();
                *turn += 1;
                let turn = *turn;
                // The next one who asks gets another answer.
                self.changes += 1;
                turn % count
            }
        };
        let (place, ip, port) = choice.swap_remove(turn);
        Some(Found { place: place.clone(), ip: ip.clone(), port, several })
    }

    fn answer(&self, from: &Place, found: Found) -> Option<(RunId, u16)> {
        if !self.reach.passes(from, &found.place) {
            return None;
        }
        self.clusters.get(&found.place)?.pods.get(&found.ip)?.listener(&found.port)
    }

    /// The clusters whose inner addresses lead anywhere from a place: its own first.
    fn seen_from(&self, from: &Place) -> impl Iterator<Item = (&Place, &Cluster)> {
        let own = self.clusters.get_key_value(from);
        let mut others: Vec<_> = match self.reach.mode {
            Mode::Flat => self.clusters.iter().filter(|(place, _)| *place != from).collect(),
            Mode::Islands => Vec::new(),
        };
        others.sort_by_key(|(_, cluster)| cluster.index);
        own.into_iter().chain(others)
    }
}

impl Pod {
    /// Which of its processes has a port: whose container declares it, else the first.
    fn listener(&self, port: &Target) -> Option<(RunId, u16)> {
        match port {
            Target::Name(name) => {
                self.processes.iter().find_map(|process| Some((process.run, *process.ports.get(name)?)))
            }
            Target::Number(number) => {
                let declares = |process: &&super::Process| process.ports.values().any(|port| port == number);
                let process = self.processes.iter().find(declares).or_else(|| self.processes.first())?;
                Some((process.run, *number))
            }
        }
    }
}

/// The parts of a service's name before `svc`, and the domain after it.
fn service_name(host: &str) -> Option<(Vec<&str>, Option<&str>)> {
    if let Some(name) = host.strip_suffix(".svc") {
        return Some((name.split('.').collect(), None));
    }
    let (name, domain) = host.split_once(".svc.")?;
    Some((name.split('.').collect(), Some(domain)))
}
