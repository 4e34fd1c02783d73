//! What a network check puts in the workers. Pure.
//!
//! All of it carries a manager of its own: the controller, which watches what is managed by `atoll`, never sees it.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Namespace, Pod, Service, ServicePort, ServiceSpec},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use super::way::Way;
use crate::{
    admin::pod::own_pod,
    plan::{labels, name::Uid},
};

/// The port of listeners and of their services.
pub const PORT: u16 = 7080;
/// The value of `app.kubernetes.io/managed-by`.
pub const MANAGER: &str = "atoll-check";
/// Which run an object belongs to.
const RUN: &str = "atoll.dev/check";
/// Which worker's listener a pod is.
const INDEX: &str = "atoll.dev/check-worker";
const LISTEN: &str = "check-listen";
const DIAL: &str = "check-dial";
/// Pods end by themselves after this, should the check not live to delete them.
const SECONDS_TO_LIVE: i64 = 600;

/// One run of the check.
#[derive(Clone, Debug)]
pub struct Run {
    /// What tells its objects from those of other runs.
    pub id: String,
    /// The namespace, the same in every worker.
    pub namespace: String,
    /// The image of its pods: Atoll's own.
    pub image: String,
    /// The master that it was started for.
    pub master: Uid,
    /// The ways that are tried.
    pub ways: Vec<Way>,
}

impl Run {
    /// The name of the headless service.
    #[must_use]
    pub fn headless(&self) -> String {
        format!("atoll-check-{}", self.id)
    }

    /// The name of the listening pod.
    #[must_use]
    pub fn listener(&self) -> String {
        format!("atoll-check-{}-listen", self.id)
    }

    /// The name of the service of a way, where it has one of its own in the listener's worker.
    #[must_use]
    pub fn service(&self, way: Way) -> Option<String> {
        match way {
            Way::Name | Way::Address | Way::Global => None,
            Way::NodePort => Some(format!("atoll-check-{}-node", self.id)),
            Way::LoadBalancer => Some(format!("atoll-check-{}-lb", self.id)),
        }
    }

    /// The name of the service by which a mesh leads to one worker's listener.
    #[must_use]
    pub fn global(&self, index: usize) -> String {
        format!("atoll-check-{}-global-{index}", self.id)
    }

    /// What the listener of a worker tells.
    #[must_use]
    pub fn token(&self, index: usize) -> String {
        format!("{}.{index}", self.id)
    }

    fn labels(&self, more: &[(&str, String)]) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            (labels::MANAGED_BY.to_owned(), MANAGER.to_owned()),
            (labels::MASTER.to_owned(), self.master.to_string()),
            (RUN.to_owned(), self.id.clone()),
        ]);
        labels.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        labels
    }

    fn metadata(&self, name: String, more: &[(&str, String)]) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels(more)),
            ..ObjectMeta::default()
        }
    }
}

/// Selects everything that checks for this master have made, whichever run it was.
#[must_use]
pub fn selector(master: &Uid) -> String {
    format!("{}={MANAGER},{}={master}", labels::MANAGED_BY, labels::MASTER)
}

/// The namespace. Its pods keep to the strictest standard, and it says so.
#[must_use]
pub fn namespace(run: &Run) -> Namespace {
    let restricted = [("pod-security.kubernetes.io/enforce", "restricted".to_owned())];
    Namespace {
        metadata: ObjectMeta { namespace: None, ..run.metadata(run.namespace.clone(), &restricted) },
        ..Namespace::default()
    }
}

/// The pod that is dialled.
#[must_use]
pub fn listener(run: &Run, index: usize) -> Pod {
    let args = ["probe", "listen", &format!("--port={PORT}"), &format!("--token={}", run.token(index))];
    let mut spec = own_pod("listen", &run.image, args.map(str::to_owned).to_vec());
    spec.hostname = Some(run.listener());
    spec.subdomain = Some(run.headless());
    spec.restart_policy = Some("Always".to_owned());
    spec.active_deadline_seconds = Some(SECONDS_TO_LIVE);
    spec.termination_grace_period_seconds = Some(2);
    let part = [(labels::PART, LISTEN.to_owned()), (INDEX, index.to_string())];
    Pod { metadata: run.metadata(run.listener(), &part), spec: Some(spec), status: None }
}

/// The pod that dials.
#[must_use]
pub fn dialler(run: &Run, targets: &str) -> Pod {
    let args = ["probe", "dial", &format!("--targets={targets}")];
    let mut spec = own_pod("dial", &run.image, args.map(str::to_owned).to_vec());
    spec.restart_policy = Some("Never".to_owned());
    spec.active_deadline_seconds = Some(SECONDS_TO_LIVE);
    spec.termination_grace_period_seconds = Some(2);
    let name = format!("atoll-check-{}-dial", run.id);
    Pod { metadata: run.metadata(name, &[(labels::PART, DIAL.to_owned())]), spec: Some(spec), status: None }
}

/// The services in a worker, of `workers` that take part.
#[must_use]
pub fn services(run: &Run, workers: usize) -> Vec<Service> {
    let listener = || BTreeMap::from([(RUN.to_owned(), run.id.clone()), (labels::PART.to_owned(), LISTEN.to_owned())]);
    let service = |name: String, kind: &str, selector| {
        let spec = ServiceSpec {
            type_: Some(kind.to_owned()),
            selector: Some(selector),
            ports: Some(vec![ServicePort {
                name: Some("probe".to_owned()),
                port: i32::from(PORT),
                target_port: Some(IntOrString::Int(i32::from(PORT))),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        };
        Service { metadata: run.metadata(name, &[]), spec: Some(spec), status: None }
    };
    let mut headless = service(run.headless(), "ClusterIP", listener());
    if let Some(spec) = &mut headless.spec {
        spec.cluster_ip = Some("None".to_owned());
        spec.publish_not_ready_addresses = Some(true);
    }
    let mut services = vec![headless];
    for &way in &run.ways {
        match (way, run.service(way)) {
            (Way::NodePort, Some(name)) => services.push(service(name, "NodePort", listener())),
            (Way::LoadBalancer, Some(name)) => services.push(service(name, "LoadBalancer", listener())),
            (Way::Global, _) => services.extend((0..workers).map(|index| {
                let mut selector = listener();
                selector.insert(INDEX.to_owned(), index.to_string());
                let mut service = service(run.global(index), "ClusterIP", selector);
                let shared = BTreeMap::from([("service.cilium.io/global".to_owned(), "true".to_owned())]);
                service.metadata.annotations = Some(shared);
                service
            })),
            _ => {}
        }
    }
    services
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// A run on all ways.
    pub fn run() -> Run {
        Run {
            id: "abc".to_owned(),
            namespace: "net".to_owned(),
            image: "atoll:1".to_owned(),
            master: "m-uid".into(),
            ways: vec![Way::Name, Way::Address, Way::NodePort, Way::LoadBalancer, Way::Global],
        }
    }

    #[test]
    fn every_object_carries_the_labels_by_which_it_is_swept() {
        let run = run();
        let mut all = vec![namespace(&run).metadata, listener(&run, 0).metadata, dialler(&run, "[]").metadata];
        all.extend(services(&run, 2).into_iter().map(|service| service.metadata));
        for metadata in all {
            let labels = metadata.labels.expect("labels");
            assert_eq!(labels[labels::MANAGED_BY], MANAGER);
            assert_eq!(labels[labels::MASTER], "m-uid");
            assert_eq!(labels[RUN], "abc");
        }
        assert_eq!(selector(&run.master), "app.kubernetes.io/managed-by=atoll-check,atoll.dev/master=m-uid");
    }

    #[test]
    fn services_stand_for_the_ways_that_are_asked_for_and_no_others() {
        let kinds = |ways: &[Way]| -> Vec<(String, String)> {
            let run = Run { ways: ways.to_vec(), ..run() };
            let all = services(&run, 2).into_iter();
            all.map(|service| {
                (
                    service.metadata.name.unwrap_or_default(),
                    service.spec.and_then(|spec| spec.type_).unwrap_or_default(),
                )
            })
            .collect()
        };
        let pair = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
        assert_eq!(kinds(&[Way::Name, Way::Address]), [pair("atoll-check-abc", "ClusterIP")]);
        assert_eq!(
            kinds(&run().ways),
            [
                pair("atoll-check-abc", "ClusterIP"),
                pair("atoll-check-abc-node", "NodePort"),
                pair("atoll-check-abc-lb", "LoadBalancer"),
                pair("atoll-check-abc-global-0", "ClusterIP"),
                pair("atoll-check-abc-global-1", "ClusterIP"),
            ]
        );
    }

    #[test]
    fn pods_pass_the_restricted_standard_and_end_by_themselves() {
        for pod in [listener(&run(), 1), dialler(&run(), "[]")] {
            let spec = serde_json::to_value(pod.spec).expect("JSON");
            assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
            assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            let container = &spec["containers"][0]["securityContext"];
            assert_eq!(container["allowPrivilegeEscalation"], false);
            assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
            assert_eq!(spec["automountServiceAccountToken"], false);
            assert_eq!(spec["activeDeadlineSeconds"], SECONDS_TO_LIVE);
        }
    }
}
