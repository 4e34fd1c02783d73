//! What services lead to, told to the network. Nothing of it is written to the API server: nobody reads it there.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Pod, Service, ServicePort},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    balancers::ingress,
    net::{self, Backend, Port, Target},
    objects::{Key, Objects},
};

/// Every service, with the pods behind it as the API server tells of them.
pub(super) fn services(objects: &Objects) -> BTreeMap<Key, net::Service> {
    objects.services.iter().map(|(key, service)| (key.clone(), lead(objects, key, service))).collect()
}

fn lead(objects: &Objects, (namespace, name): &Key, service: &Service) -> net::Service {
    let absent = k8s_openapi::api::core::v1::ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&absent);
    let all = spec.publish_not_ready_addresses == Some(true);
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty());
    let chosen = |pod: &&Pod| {
        let labels = pod.metadata.labels.as_ref();
        let label = |key: &str| labels.and_then(|labels| labels.get(key));
        selector.is_some_and(|selector| selector.iter().all(|(key, value)| label(key) == Some(value)))
            && (all || is_ready(pod) && pod.metadata.deletion_timestamp.is_none())
    };
    let own = (namespace.clone(), String::new())..;
    let pods = objects.pods.range(own).take_while(|((at, _), _)| at == namespace).map(|(_, pod)| pod);
    let balanced = spec.type_.as_deref() == Some("LoadBalancer");
    net::Service {
        cluster_ip: spec.cluster_ip.clone().filter(|ip| !ip.is_empty() && ip != "None"),
        ingress: ingress(service)
            .filter(|_| balanced)
            .filter_map(|one| one.ip.clone().or_else(|| one.hostname.clone()))
            .collect(),
        ports: spec.ports.iter().flatten().filter_map(port).collect(),
        backends: pods.filter(chosen).filter_map(|pod| backend(pod, name)).collect(),
    }
}

fn port(port: &ServicePort) -> Option<Port> {
    let number = u16::try_from(port.port).ok()?;
    Some(Port {
        number,
        node: port.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
        target: match &port.target_port {
            Some(IntOrString::Int(port)) => Target::Number(u16::try_from(*port).ok()?),
            Some(IntOrString::String(name)) => Target::Name(name.clone()),
            None => Target::Number(number),
        },
    })
}

fn backend(pod: &Pod, service: &str) -> Option<Backend> {
    let status = pod.status.as_ref()?;
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let spec = pod.spec.as_ref()?;
    let named = spec.subdomain.as_deref() == Some(service);
    Some(Backend {
        ip: status.pod_ip.clone().filter(|ip| !ip.is_empty())?,
        hostname: spec.hostname.clone().filter(|_| named),
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
