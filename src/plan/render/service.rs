//! Services: which ones a network mode needs, in which workers, and what they look like.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{Owner, digest::digest};
use crate::{
    engine::Port,
    plan::{
        labels,
        name::{Namespace, ObjectName, WorkerName},
        network::{Exposure, MemberServices, Network, Spread},
        record::{Homes, Member, Record},
    },
};

/// A service as it should be in one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// Where.
    pub worker: WorkerName,
    /// Its name.
    pub name: ObjectName,
    /// What it was rendered from.
    pub digest: String,
    /// The object.
    pub service: Service,
}

/// A worker, and the namespace in it.
type Place<'a> = (&'a WorkerName, &'a Namespace);

/// Every service of a database: the headless one in each of its workers, and those of its network mode. A member that has
/// left needs none.
#[must_use]
pub fn services(owner: Owner, record: &Record) -> Vec<Rendered> {
    let home = |member: &Member| (member.worker.clone(), member.home(&owner.database.id).clone());
    let homes: Homes = record.present().map(home).collect();
    let mut rendered: Vec<_> = homes.iter().map(|place| headless(owner, place)).collect();
    if let Network::MemberServices(services) = &owner.database.network {
        for member in record.present() {
            match services.spread {
                Spread::Unique => {
                    let place = (&member.worker, member.home(&owner.database.id));
                    rendered.push(of_member(owner, services, member, place));
                }
                Spread::Mirror => {
                    rendered.extend(homes.iter().map(|place| of_member(owner, services, member, place)));
                }
            }
        }
    }
    rendered
}

/// The headless service: it gives each pod its DNS name. Peers must find each other before they are ready.
fn headless(owner: Owner, (worker, home): Place) -> Rendered {
    let database = owner.database;
    let mut metadata = super::metadata(home, &database.names.headless());
    metadata.labels = Some(labels::owned(owner.master, database, home));
    finish(
        worker,
        Service {
            metadata,
            spec: Some(ServiceSpec {
                cluster_ip: Some("None".to_owned()),
                publish_not_ready_addresses: Some(true),
                selector: Some(labels::database_pods(owner.master, database)),
                ports: Some(ports(owner)),
                ..ServiceSpec::default()
            }),
            status: None,
        },
    )
}

/// A member's own service. It routes to a member that is not ready as well: etcd becomes ready through its peers, and
/// they reach it through this service.
fn of_member(owner: Owner, services: &MemberServices, member: &Member, (worker, home): Place) -> Rendered {
    let database = owner.database;
    let mut metadata = super::metadata(home, &database.names.member_service(&services.name, member.ordinal));
    metadata.labels = Some(labels::of_member(owner.master, database, &member.name, home));
    metadata.annotations = Some(services.annotations.clone()).filter(|annotations| !annotations.is_empty());
    let kind = match services.exposure {
        Exposure::LoadBalancer => "LoadBalancer",
        Exposure::ClusterIp => "ClusterIP",
        Exposure::NodePort => "NodePort",
    };
    finish(
        worker,
        Service {
            metadata,
            spec: Some(ServiceSpec {
                type_: Some(kind.to_owned()),
                publish_not_ready_addresses: Some(true),
                selector: Some(labels::member_selector(owner.master, database, &member.name)),
                ports: Some(ports(owner)),
                ..ServiceSpec::default()
            }),
            status: None,
        },
    )
}

fn ports(owner: Owner) -> Vec<ServicePort> {
    let ports = owner.database.engine.kind.knowledge().ports();
    [ports.client, ports.peer].into_iter().map(port).collect()
}

fn port(port: Port) -> ServicePort {
    ServicePort {
        name: Some(port.name.to_owned()),
        port: port.number.into(),
        target_port: Some(IntOrString::Int(port.number.into())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}

fn finish(worker: &WorkerName, mut service: Service) -> Rendered {
    let digest = digest(&service);
    service.metadata.annotations.get_or_insert_with(BTreeMap::new).insert(labels::RENDERED.to_owned(), digest.clone());
    Rendered {
        worker: worker.clone(),
        name: ObjectName::new(service.metadata.name.clone().unwrap_or_default()),
        digest,
        service,
    }
}
