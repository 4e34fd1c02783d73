//! The address of a member: what its peers and its clients call it, as its network mode gives it.

use std::collections::BTreeMap;

use super::{
    database::Database,
    name::{ObjectName, WorkerName},
    network::{Exposure, MemberServices, Network, Spread},
    record::{Member, Record},
    seen::{Doubt, Seen, Service, Sight, Worker, WorkerView},
    view::ELSEWHERE,
    wait::Wait,
};

/// The DNS domain of a worker whose `K8sCluster` names none: what kubeadm and most clouds use.
pub const DEFAULT_DOMAIN: &str = "cluster.local";

/// Where one member is reached, as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// By its peers.
    pub peer: String,
    /// By its clients.
    pub client: String,
}

/// The addresses of all members, in order.
///
/// # Errors
/// The first thing that must happen before every address is known. Founding needs all of them at once (DECISIONS 1).
pub fn addresses(database: &Database, record: &Record, seen: &Seen) -> Result<Vec<Address>, Wait> {
    if matches!(database.network, Network::PodNames) {
        domains_differ(record, seen)?;
    }
    let all = record.members.iter().map(|member| address(database, member, seen)).collect::<Result<Vec<_>, _>>()?;
    differ(record, &all)?;
    Ok(all)
}

/// Whether a member that is to join is reached elsewhere by now than was recorded.
#[must_use]
pub fn has_moved(database: &Database, member: &Member, seen: &Seen) -> bool {
    let (known, now) = (member.peer.as_deref(), address(database, member, seen).ok());
    known.zip(now).is_some_and(|(known, now)| !same(&database.network, &now.peer, known))
}

/// The address of a member that is to join the others.
///
/// # Errors
/// What must happen before it is known.
pub fn of_joining(database: &Database, record: &Record, member: &Member, seen: &Seen) -> Result<Address, Wait> {
    if matches!(database.network, Network::PodNames) {
        domains_differ(record, seen)?;
    }
    let own = address(database, member, seen)?;
    let same = record.members.iter().find(|other| other.name != member.name && other.peer.as_ref() == Some(&own.peer));
    match same {
        None => Ok(own),
        Some(other) => {
            Err(Wait::AddressesAlike { address: own.peer, members: vec![other.name.clone(), member.name.clone()] })
        }
    }
}

/// A member that is reached elsewhere by now than where its peers and clients know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved<'a> {
    /// The member.
    pub member: &'a Member,
    /// Where it is known.
    pub known: &'a str,
    /// Where it is.
    pub now: Address,
}

/// The first member whose address has changed since it was recorded: a service that was made again got another one.
#[must_use]
pub fn moved<'a>(database: &Database, record: &'a Record, seen: &Seen) -> Option<Moved<'a>> {
    record.voters().find_map(|member| {
        let (known, now) = (member.peer.as_deref()?, address(database, member, seen).ok()?);
        (!same(&database.network, &now.peer, known)).then_some(Moved { member, known, now })
    })
}

/// A node port leads to its member from every node, so that a member which wakes up on another one has not moved.
fn same(network: &Network, one: &str, other: &str) -> bool {
    let port = |address: &str| address.rsplit(':').next().map(str::to_owned);
    match network {
        Network::MemberServices(services) if services.exposure == Exposure::NodePort => port(one) == port(other),
        Network::MemberServices(_) | Network::PodNames => one == other,
    }
}

/// Two members at one address would have one identity.
fn differ(record: &Record, addresses: &[Address]) -> Result<(), Wait> {
    let at = |peer: &str| -> Vec<_> {
        record.members.iter().zip(addresses).filter(|(_, a)| a.peer == peer).map(|(m, _)| m.name.clone()).collect()
    };
    match addresses.iter().find(|address| at(&address.peer).len() > 1) {
        None => Ok(()),
        Some(Address { peer, .. }) => Err(Wait::AddressesAlike { address: peer.clone(), members: at(peer) }),
    }
}

fn address(database: &Database, member: &Member, seen: &Seen) -> Result<Address, Wait> {
    let ports = database.engine.kind.knowledge().ports();
    let (peer, client) = (ports.peer.number.to_string(), ports.client.number.to_string());
    let host = |host: &str| Address { peer: join(host, &peer), client: join(host, &client) };
    let worker = worker_of(seen, member)?;
    match &database.network {
        Network::PodNames => Ok(host(&format!(
            "{}.{}.{}.svc.{}",
            member.name,
            database.names.headless(),
            member.home(&database.id),
            domain(worker)
        ))),
        Network::MemberServices(services) => {
            let name = database.names.member_service(&services.name, member.ordinal);
            match (services.exposure, services.spread) {
                (Exposure::ClusterIp, Spread::Mirror) => Ok(host(&format!("{name}.{}.svc", member.home(&database.id)))),
                (Exposure::ClusterIp, Spread::Unique) => service(worker, member, name)?
                    .cluster_ip
                    .as_deref()
                    .map(host)
                    .ok_or_else(|| unaddressed(database, services, member)),
                (Exposure::LoadBalancer, _) => service(worker, member, name)?
                    .ingress
                    .as_deref()
                    .map(host)
                    .ok_or_else(|| unaddressed(database, services, member)),
                (Exposure::NodePort, _) => {
                    let service = service(worker, member, name)?;
                    let node = node(database, worker, member)?;
                    let port = |name: &str| service.node_ports.get(name).map(|port| join(&node, &port.to_string()));
                    port(ports.peer.name)
                        .zip(port(ports.client.name))
                        .map(|(peer, client)| Address { peer, client })
                        .ok_or_else(|| unaddressed(database, services, member))
                }
            }
        }
    }
}

/// The node of a member, from its placeholder or, later, from its own pod: a worker's role need not allow reading
/// nodes (DECISIONS 15).
fn node(database: &Database, worker: &Worker, member: &Member) -> Result<String, Wait> {
    let scout = worker.view.pod(&database.names.scout(&member.name));
    let own = worker.view.pod(&ObjectName::from(&member.name));
    let pods = [scout.present(), own.present()];
    let trouble = pods.iter().flatten().find_map(|pod| pod.trouble.clone());
    pods.iter().flatten().find_map(|pod| pod.host_ip.clone()).ok_or_else(|| Wait::NodeAddress {
        member: member.name.clone(),
        worker: member.worker.clone(),
        trouble,
    })
}

fn service<'a>(worker: &'a Worker, member: &Member, name: ObjectName) -> Result<&'a Service, Wait> {
    match worker.view.service(&name) {
        Sight::Present(service) => Ok(service),
        Sight::Absent | Sight::Unknown(Doubt::NotInView) => {
            Err(Wait::ServiceAddress { service: name, worker: member.worker.clone() })
        }
        Sight::Unknown(Doubt::WorkerUnseen) => Err(unseen(&member.worker, &worker.view)),
    }
}

fn unaddressed(database: &Database, services: &MemberServices, member: &Member) -> Wait {
    let service = database.names.member_service(&services.name, member.ordinal);
    let worker = member.worker.clone();
    match services.exposure {
        Exposure::LoadBalancer => Wait::LoadBalancerAddress { service, worker },
        Exposure::ClusterIp | Exposure::NodePort => Wait::ServiceAddress { service, worker },
    }
}

fn worker<'a>(seen: &'a Seen, name: &WorkerName) -> Result<&'a Worker, Wait> {
    seen.workers.get(name).ok_or_else(|| Wait::WorkerNotRegistered { word: name.to_string() })
}

/// The worker of a member, while it is the one that the member is in: what leads to another cluster moves nobody.
fn worker_of<'a>(seen: &'a Seen, member: &Member) -> Result<&'a Worker, Wait> {
    let found = worker(seen, &member.worker)?;
    match found.view.objects() {
        None => Err(unseen(&member.worker, &found.view)),
        Some(objects) if member.could_be_in(&objects.identity) => Ok(found),
        Some(_) => Err(Wait::WorkerUnseen { worker: member.worker.clone(), why: ELSEWHERE.to_owned() }),
    }
}

/// The wait for a worker that cannot be seen.
pub(super) fn unseen(name: &WorkerName, view: &WorkerView) -> Wait {
    let worker = name.clone();
    match view {
        WorkerView::Unseen { why, .. } => Wait::WorkerUnseen { worker, why: why.clone() },
        WorkerView::Unavailable { since } => Wait::WorkerUnavailable { worker, since: *since },
        WorkerView::Seen(_) => Wait::WorkerUnseen { worker, why: String::new() },
    }
}

fn domain(worker: &Worker) -> &str {
    worker.domain.as_deref().unwrap_or(DEFAULT_DOMAIN)
}

/// Pod names of two workers with one domain would be the same names for different pods.
fn domains_differ(record: &Record, seen: &Seen) -> Result<(), Wait> {
    let mut by_domain: BTreeMap<&str, Vec<WorkerName>> = BTreeMap::new();
    for name in record.workers() {
        by_domain.entry(domain(worker(seen, name)?)).or_default().push(name.clone());
    }
    match by_domain.into_iter().find(|(_, workers)| workers.len() > 1) {
        Some((domain, workers)) => Err(Wait::DomainsAlike { domain: domain.to_owned(), workers }),
        None => Ok(()),
    }
}

/// `host:port`, with the brackets that an IPv6 address needs.
fn join(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing;

    #[test]
    fn every_network_mode_gives_its_own_address() {
        let services = |exposure, spread| {
            Network::MemberServices(MemberServices {
                name: "peer".into(),
                exposure,
                spread,
                annotations: BTreeMap::new(),
            })
        };
        let cases = [
            (Network::PodNames, "db-etcd-0.db-etcd-headless.default.svc.a.test:2380"),
            (services(Exposure::ClusterIp, Spread::Mirror), "db-etcd-peer-0.default.svc:2380"),
            (services(Exposure::ClusterIp, Spread::Unique), "10.1.0.7:2380"),
            (services(Exposure::LoadBalancer, Spread::Unique), "lb-a.example:2380"),
            (services(Exposure::NodePort, Spread::Unique), "192.0.2.1:30080"),
        ];
        for (network, peer) in cases {
            let mut database = testing::database();
            database.network = network.clone();
            let seen = testing::founded_world(&database);
            let record = testing::placed(&database);
            let addresses = addresses(&database, &record, &seen).unwrap();
            assert_eq!(addresses[0].peer, peer, "{network:?}");
        }
    }

    #[test]
    fn pod_names_need_domains_that_differ() {
        let database = testing::database();
        let mut seen = testing::founded_world(&database);
        for worker in seen.workers.values_mut() {
            worker.domain = None;
        }
        assert!(matches!(
            addresses(&database, &testing::placed(&database), &seen),
            Err(Wait::DomainsAlike { workers, .. }) if workers.len() == 3
        ));
    }

    #[test]
    fn a_load_balancer_without_an_address_is_named_with_its_worker() {
        let mut database = testing::database();
        database.network = testing::load_balancers();
        let mut seen = testing::founded_world(&database);
        let name = ObjectName::from("db-etcd-peer-1");
        testing::objects(&mut seen, "b").services.get_mut(&name).unwrap().ingress = None;
        assert_eq!(
            addresses(&database, &testing::placed(&database), &seen),
            Err(Wait::LoadBalancerAddress { service: name, worker: "b".into() })
        );
    }
}
