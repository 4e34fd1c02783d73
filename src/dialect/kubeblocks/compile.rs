//! From a `Cluster` to the plan.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Affinity, PodAffinityTerm, PodAntiAffinity, WeightedPodAffinityTerm},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::ResourceExt;

use super::crd::{
    AntiAffinity, Cluster, ComponentSpec, OldAffinity, SchedulingPolicy, ServiceSpec, ServiceType, TerminationPolicy,
    VolumeClaimTemplate,
};
use crate::{
    dialect::Settings,
    engine::{
        EngineKind,
        etcd::{member::VOLUME, versions},
    },
    plan::{
        database::{
            Consent, Database, DatabaseId, DatabaseKind, Engine, Intent, Names, OnDelete, PlacementRequest,
            PodTemplate, Problem, Volume, Volumes,
        },
        name::{Namespace, ObjectName, Uid},
        network::{Exposure, MemberServices, Network, Spread},
    },
};

/// Annotation: the workers to place members in, in order, with commas between them.
pub const PLACEMENT: &str = "apps.kubeblocks.io/multi-cluster-placement";
/// Annotation on a service: `unique` or `mirror`.
pub const SERVICE_PLACEMENT: &str = "apps.kubeblocks.io/multi-cluster-service-placement";
/// The service that etcd's members use among themselves.
const PEER: &str = "peer";
/// More members than any database here gains by. The record of all of them must fit into one status, and a slip of the
/// finger must not fill every worker with pods.
const MOST_MEMBERS: u32 = 99;
/// What a pod, a service and a label value may be long.
const LONGEST: usize = 63;

/// Compiles a `Cluster`. What cannot be served stands in [`Database::problems`]; the rest is as close to the manifest
/// as it can be, so that a database whose manifest was spoilt can still be deleted.
#[must_use]
pub fn compile(cluster: &Cluster, settings: &Settings) -> Database {
    let mut problems = Vec::new();
    let nothing = ComponentSpec::default();
    let component = match cluster.spec.component_specs.as_slice() {
        [component] => component,
        [] => {
            problems.push(problem("NoComponent", "spec.componentSpecs is empty; name one component"));
            &nothing
        }
        [first, ..] => {
            problems.push(problem(
                "SeveralComponents",
                format!(
                    "spec.componentSpecs has {} components; Atoll runs clusters of one. Make a Cluster for each of them",
                    cluster.spec.component_specs.len()
                ),
            ));
            first
        }
    };
    let ignored = ignored(cluster, component);
    let (volumes, mut services) = sort_templates(&component.volume_claim_templates);
    services.extend(component.services.iter().cloned());

    let names = Names { prefix: format!("{}-{}", cluster.name_any(), component.name) };
    let engine = engine(component, settings, &mut problems);
    let network = network(&services, &mut problems);
    let replicas = u32::try_from(component.replicas).unwrap_or(0);
    if replicas == 0 && problems.is_empty() {
        problems.push(problem(
            "NoMembers",
            "spec.componentSpecs[0].replicas is 0; a database needs at least one member. To stop paying for it and keep \
             its data, delete it with terminationPolicy Halt",
        ));
    }
    if replicas > MOST_MEMBERS {
        problems.push(problem(
            "TooManyMembers",
            format!(
                "spec.componentSpecs[0].replicas is {replicas}; a database may have {MOST_MEMBERS} members, and etcd is \
                 best with three or five"
            ),
        ));
    }
    check_env(component, engine.kind, &mut problems);
    check_names(&names, &network, replicas, &mut problems);
    let volumes = claim_volumes(volumes, &mut problems);

    Database {
        id: DatabaseId {
            kind: DatabaseKind::KubeBlocksCluster,
            namespace: Namespace::new(cluster.namespace().unwrap_or_else(|| "default".to_owned())),
            name: ObjectName::new(cluster.name_any()),
            uid: Uid::new(cluster.uid().unwrap_or_default()),
        },
        generation: cluster.metadata.generation.unwrap_or_default(),
        created: cluster.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        component: component.name.clone(),
        engine,
        replicas,
        placement: placement(cluster),
        pod: pod(cluster, component),
        names,
        volumes,
        network,
        on_delete: match cluster.spec.termination_policy {
            TerminationPolicy::DoNotTerminate => OnDelete::Refuse,
            TerminationPolicy::Halt => OnDelete::KeepVolumes,
            TerminationPolicy::Delete => OnDelete::RemoveVolumes,
            TerminationPolicy::WipeOut => OnDelete::Wipe,
        },
        intent: cluster.metadata.deletion_timestamp.as_ref().map_or(Intent::Run, |time| Intent::Delete(time.0)),
        consent: Consent::of(cluster.annotations()),
        problems,
        ignored,
    }
}

fn problem(reason: &'static str, message: impl Into<String>) -> Problem {
    Problem { reason, message: message.into() }
}

fn engine(component: &ComponentSpec, settings: &Settings, problems: &mut Vec<Problem>) -> Engine {
    let definition = component.component_def.as_deref().unwrap_or_default();
    let resolved = versions::resolve(definition, component.service_version.as_deref());
    let version = resolved.unwrap_or_else(|unsupported| {
        if problems.is_empty() {
            problems.push(problem(unsupported.reason(), unsupported.to_string()));
        }
        versions::default()
    });
    let image = versions::mirror(&versions::image(&version), &settings.mirrors);
    Engine { kind: EngineKind::Etcd, version, image }
}

fn placement(cluster: &Cluster) -> PlacementRequest {
    let listed = cluster.annotations().get(PLACEMENT).map(String::as_str).unwrap_or_default();
    let words: Vec<_> = listed.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    if words.is_empty() { PlacementRequest::Spread } else { PlacementRequest::Listed(words) }
}

/// Volumes, and the services that stand among them: an entry without a claim but with a service's fields is what the
/// first example of document 001 means by `peer`.
fn sort_templates(templates: &[VolumeClaimTemplate]) -> (Vec<&VolumeClaimTemplate>, Vec<ServiceSpec>) {
    let is_service = |template: &&VolumeClaimTemplate| {
        template.spec.is_none() && (template.service_type.is_some() || template.pod_service.is_some())
    };
    let (services, volumes): (Vec<_>, Vec<_>) = templates.iter().partition(is_service);
    let services = services.into_iter().map(|template| ServiceSpec {
        name: template.name.clone(),
        service_type: template.service_type.unwrap_or_default(),
        annotations: template.annotations.clone(),
        pod_service: template.pod_service.unwrap_or_default(),
    });
    (volumes, services.collect())
}

/// The service for peers is the network mode. Without one, peers are pod names.
fn network(services: &[ServiceSpec], problems: &mut Vec<Problem>) -> Network {
    let of_members: Vec<_> = services.iter().filter(|service| service.pod_service).collect();
    let Some(service) = of_members.iter().find(|service| service.name == PEER).or(of_members.first()) else {
        return Network::PodNames;
    };
    let spread = match service.annotations.get(SERVICE_PLACEMENT).map(String::as_str) {
        Some("unique") => Spread::Unique,
        None | Some("mirror" | "") => Spread::Mirror,
        Some(other) => {
            problems.push(problem(
                "UnknownServicePlacement",
                format!("annotation {SERVICE_PLACEMENT} is {other:?}; it can be \"unique\" or \"mirror\""),
            ));
            Spread::Mirror
        }
    };
    let annotations = service.annotations.iter().filter(|(key, _)| *key != SERVICE_PLACEMENT);
    Network::MemberServices(MemberServices {
        name: service.name.clone(),
        exposure: match service.service_type {
            ServiceType::ClusterIp => Exposure::ClusterIp,
            ServiceType::NodePort => Exposure::NodePort,
            ServiceType::LoadBalancer => Exposure::LoadBalancer,
        },
        spread,
        annotations: annotations.map(|(key, value)| (key.clone(), value.clone())).collect(),
    })
}

fn claim_volumes(templates: Vec<&VolumeClaimTemplate>, problems: &mut Vec<Problem>) -> Volumes {
    let mut volumes: Vec<_> = templates
        .into_iter()
        .filter_map(|template| {
            let spec = template.spec.as_ref()?;
            let size = spec.resources.requests.get("storage")?.clone();
            let access_modes =
                if spec.access_modes.is_empty() { vec!["ReadWriteOnce".to_owned()] } else { spec.access_modes.clone() };
            Some(Volume {
                name: template.name.clone(),
                size,
                class: spec.storage_class_name.clone(),
                access_modes,
                mode: spec.volume_mode.clone(),
                mount: None,
            })
        })
        .collect();
    let data = volumes.iter().position(|volume| volume.name == "data").unwrap_or(0);
    if volumes.is_empty() {
        if problems.is_empty() {
            problems.push(problem(
                "NoDataVolume",
                "spec.componentSpecs[0].volumeClaimTemplates has no volume with spec.resources.requests.storage; etcd \
                 keeps its data on the one that is called \"data\"",
            ));
        }
        volumes.push(Volume {
            name: "data".to_owned(),
            size: k8s_openapi::apimachinery::pkg::api::resource::Quantity("1Gi".to_owned()),
            class: None,
            access_modes: vec!["ReadWriteOnce".to_owned()],
            mode: None,
            mount: None,
        });
    }
    let mut data = volumes.remove(data);
    if data.mode.as_deref() == Some("Block") {
        problems.push(problem(
            "DataVolumeIsBlock",
            format!("volume {:?} has volumeMode Block; etcd keeps its data in files and needs Filesystem", data.name),
        ));
    }
    data.mount = Some(VOLUME.to_owned());
    Volumes { data, others: volumes }
}

fn pod(cluster: &Cluster, component: &ComponentSpec) -> PodTemplate {
    let none = SchedulingPolicy::default();
    let policy = component.scheduling_policy.as_ref().or(cluster.spec.scheduling_policy.as_ref()).unwrap_or(&none);
    let old = component.affinity.as_ref().or(cluster.spec.affinity.as_ref());
    let tolerations = [&policy.tolerations, &component.tolerations, &cluster.spec.tolerations];
    let mut node_selector = policy.node_selector.clone();
    node_selector.extend(old.map(|old| old.node_labels.clone()).unwrap_or_default());
    PodTemplate {
        labels: component.labels.clone(),
        annotations: component.annotations.clone(),
        env: component.env.clone(),
        resources: component.resources.clone(),
        affinity: policy.affinity.clone().or_else(|| old.and_then(|old| anti_affinity(cluster, component, old))),
        node_selector,
        tolerations: tolerations.into_iter().find(|list| !list.is_empty()).cloned().unwrap_or_default(),
        topology_spread: policy.topology_spread_constraints.clone(),
        scheduler: policy.scheduler_name.clone(),
        service_account: component.service_account_name.clone(),
        image_pull_secrets: component.image_pull_secrets.clone(),
        priority_class: None,
    }
}

/// The older form: members avoid each other over each topology.
fn anti_affinity(cluster: &Cluster, component: &ComponentSpec, old: &OldAffinity) -> Option<Affinity> {
    let labels = BTreeMap::from([
        ("app.kubernetes.io/instance".to_owned(), cluster.name_any()),
        ("app.kubernetes.io/component".to_owned(), component.name.clone()),
    ]);
    let terms: Vec<_> = old
        .topology_keys
        .iter()
        .map(|key| PodAffinityTerm {
            topology_key: key.clone(),
            label_selector: Some(LabelSelector { match_labels: Some(labels.clone()), match_expressions: None }),
            ..PodAffinityTerm::default()
        })
        .collect();
    let anti = match old.pod_anti_affinity {
        _ if terms.is_empty() => return None,
        AntiAffinity::Required => PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: Some(terms),
            preferred_during_scheduling_ignored_during_execution: None,
        },
        AntiAffinity::Preferred => PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(
                terms
                    .into_iter()
                    .map(|pod_affinity_term| WeightedPodAffinityTerm { weight: 100, pod_affinity_term })
                    .collect(),
            ),
            required_during_scheduling_ignored_during_execution: None,
        },
    };
    Some(Affinity { pod_anti_affinity: Some(anti), ..Affinity::default() })
}

fn check_env(component: &ComponentSpec, engine: EngineKind, problems: &mut Vec<Problem>) {
    let forbidden = engine.knowledge().forbidden_env();
    if let Some(var) = component.env.iter().find(|var| forbidden.contains(&var.name.as_str())) {
        problems.push(problem(
            "UnsafeEnvironment",
            format!(
                "spec.componentSpecs[0].env sets {}, which would have members found or forget a database against their \
                 record; remove it",
                var.name
            ),
        ));
    }
}

/// Pods, services and labels have room for 63 characters.
fn check_names(names: &Names, network: &Network, replicas: u32, problems: &mut Vec<Problem>) {
    let last = replicas.saturating_sub(1);
    let mut all = vec![names.member(last).to_string(), names.headless().to_string()];
    if let Network::MemberServices(services) = network {
        all.push(names.member_service(&services.name, last).to_string());
        if services.exposure == Exposure::NodePort {
            all.push(names.scout(&names.member(last)).to_string());
        }
    }
    if let Some(long) = all.iter().find(|name| name.len() > LONGEST) {
        problems.push(problem(
            "NameTooLong",
            format!(
                "{long:?} has {} characters, and names of pods and services may have {LONGEST}; create the Cluster under a \
                 shorter name",
                long.len()
            ),
        ));
    }
    if !names.prefix.starts_with(|first: char| first.is_ascii_lowercase()) || names.prefix.contains('.') {
        problems.push(problem(
            "NameUnfit",
            format!("services must begin with a letter and have no dots, {:?} does not; create the Cluster under another name", names.prefix),
        ));
    }
}

/// Fields that are there and do nothing.
fn ignored(cluster: &Cluster, component: &ComponentSpec) -> Vec<String> {
    let spec = cluster.spec.other.keys().map(|key| format!("spec.{key}"));
    let of_component = component.other.keys().map(|key| format!("spec.componentSpecs[0].{key}"));
    let services = component
        .services
        .iter()
        .filter(|service| !service.pod_service)
        .map(|service| format!("spec.componentSpecs[0].services[{}] (without podService)", service.name));
    spec.chain(of_component).chain(services).collect()
}
