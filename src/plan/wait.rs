//! What a database waits for: each with a bounded reason, and words for a person.

use jiff::Timestamp;

use super::{
    name::{MemberName, Namespace, ObjectName, WorkerName},
    report::{Condition, Truth, seconds},
};

/// Something that must happen before the next step. None of it is an error: it goes on by itself when it has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The registrations of workers have not been read yet.
    WorkersUnread,
    /// Peers would have one and the same address.
    AddressesAlike {
        /// The address.
        address: String,
        /// Whose.
        members: Vec<MemberName>,
    },
    /// A manifest names a worker that no `K8sCluster` registers.
    WorkerNotRegistered {
        /// As the manifest has it.
        word: String,
    },
    /// A manifest's word for a worker fits several.
    WorkerAmbiguous {
        /// As the manifest has it.
        word: String,
        /// Those it fits.
        names: Vec<WorkerName>,
    },
    /// No worker can be used.
    NoWorkerReady {
        /// How many are registered.
        registered: usize,
        /// How many of them would not take a new member of this database.
        closed: usize,
    },
    /// A worker is registered and was never reached yet.
    WorkerConnecting {
        /// Which.
        worker: WorkerName,
    },
    /// The registration of a worker is being deleted: no new members go there.
    WorkerLeaving {
        /// Which.
        worker: WorkerName,
    },
    /// A worker that must take part cannot be seen.
    WorkerUnseen {
        /// Which.
        worker: WorkerName,
        /// Why.
        why: String,
    },
    /// A worker that must take part is marked unavailable.
    WorkerUnavailable {
        /// Which.
        worker: WorkerName,
        /// Since when, if the master knows.
        since: Option<Timestamp>,
    },
    /// A worker that must take part takes no new members.
    WorkerUnschedulable {
        /// Which.
        worker: WorkerName,
    },
    /// A worker that must take part takes no members from the database's namespace.
    NamespaceNotAllowed {
        /// Which.
        worker: WorkerName,
        /// The database's namespace in the master.
        namespace: Namespace,
    },
    /// Workers would put what must have one name everywhere into namespaces that differ.
    NamespacesDiffer {
        /// The database's namespace in the master.
        namespace: Namespace,
        /// Two workers that differ.
        workers: Vec<WorkerName>,
    },
    /// A load balancer has no address yet.
    LoadBalancerAddress {
        /// Its service.
        service: ObjectName,
        /// Where.
        worker: WorkerName,
    },
    /// A service has no cluster IP or node port yet.
    ServiceAddress {
        /// The service.
        service: ObjectName,
        /// Where.
        worker: WorkerName,
    },
    /// The node of a member is not known yet.
    NodeAddress {
        /// Whose.
        member: MemberName,
        /// Where.
        worker: WorkerName,
        /// What the placeholder pod says.
        trouble: Option<String>,
    },
    /// Pod names of several workers cannot be told apart.
    DomainsAlike {
        /// The DNS domain they share.
        domain: String,
        /// Those who share it.
        workers: Vec<WorkerName>,
    },
    /// A volume claim is not in view yet.
    Volume {
        /// The claim.
        claim: ObjectName,
        /// Where.
        worker: WorkerName,
    },
    /// A volume claim of that name is another database's: it came back with a worker, or from a backup.
    VolumeTaken {
        /// The claim.
        claim: ObjectName,
        /// Where.
        worker: WorkerName,
    },
    /// Members have pods that do not serve yet.
    Members {
        /// How many serve.
        ready: usize,
        /// How many there are.
        total: usize,
        /// The first that does not, and why, if anything is known.
        first: String,
    },
}

impl Wait {
    /// The bounded reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::WorkersUnread => "WorkersUnread",
            Self::AddressesAlike { .. } => "AddressesAlike",
            Self::WorkerNotRegistered { .. } => "WorkerNotRegistered",
            Self::WorkerAmbiguous { .. } => "WorkerAmbiguous",
            Self::NoWorkerReady { .. } => "NoWorkerReady",
            Self::WorkerLeaving { .. } => "WorkerBeingDeleted",
            Self::WorkerConnecting { .. } => "WorkerConnecting",
            Self::WorkerUnseen { .. } => "WorkerUnseen",
            Self::WorkerUnavailable { .. } => "WorkerUnavailable",
            Self::WorkerUnschedulable { .. } => "WorkerUnschedulable",
            Self::NamespaceNotAllowed { .. } => "NamespaceNotAllowed",
            Self::NamespacesDiffer { .. } => "NamespacesDiffer",
            Self::LoadBalancerAddress { .. } => "WaitingForLoadBalancer",
            Self::ServiceAddress { .. } => "WaitingForServiceAddress",
            Self::NodeAddress { .. } => "WaitingForNodeAddress",
            Self::DomainsAlike { .. } => "ClusterDomainsAlike",
            Self::Volume { .. } => "WaitingForVolumeClaim",
            Self::VolumeTaken { .. } => "NameTaken",
            Self::Members { .. } => "WaitingForMembers",
        }
    }

    /// What is waited for, where, and what a person can do.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::WorkersUnread => "the K8sClusters have not been read yet".to_owned(),
            Self::AddressesAlike { address, members } => format!(
                "{} would all be reached at {address}: the workers' service or node addresses overlap. Use load balancers or \
                 pod names, or address ranges that differ",
                members.iter().map(MemberName::as_str).collect::<Vec<_>>().join(", ")
            ),
            Self::WorkerNotRegistered { word } => format!(
                "no K8sCluster is called {word:?}, neither by its name nor by spec.name nor by its kubeconfig's context; \
                 register it (kubectl get k8scluster lists those there are), and this goes on by itself"
            ),
            Self::WorkerAmbiguous { word, names } => {
                format!("{word:?} fits several K8sClusters ({}); use the name of one of them", join(names))
            }
            Self::NoWorkerReady { registered: 0, .. } => {
                "no K8sCluster is registered; create one, and this goes on by itself".to_owned()
            }
            Self::NoWorkerReady { registered, closed: 0 } => format!(
                "none of the {registered} registered K8sClusters can be reached; kubectl get k8scluster -o wide says why"
            ),
            Self::NoWorkerReady { registered, closed } => format!(
                "of the {registered} registered K8sClusters, {closed} take no new member of this database (spec.unavailable, \
                 spec.unschedulable, or spec.allowedNamespaces without its namespace), and none of the others can be \
                 reached; kubectl get k8scluster -o wide says why"
            ),
            Self::WorkerConnecting { worker } => {
                format!("worker {worker} is being connected for the first time")
            }
            Self::WorkerLeaving { worker } => format!(
                "K8sCluster {worker} is being deleted, so no new members are placed there; name another worker, or \
                 register this one anew when it is gone"
            ),
            Self::WorkerUnseen { worker, why } => format!("worker {worker} cannot be seen: {why}"),
            Self::WorkerUnavailable { worker, since } => {
                let since = since.map(|since| format!(" since {}", seconds(since))).unwrap_or_default();
                format!(
                    "worker {worker} is marked unavailable{since}: nothing there is believed or changed. When it serves \
                     again: atoll worker mark-available {worker}, and this goes on by itself"
                )
            }
            Self::NamespacesDiffer { namespace, workers } => format!(
                "workers {} put members from namespace {namespace} into namespaces that differ, but services that are the \
                 same in every worker need one: make spec.namespaceMapping of their K8sClusters agree, name other workers, \
                 or give each member a service of its own",
                join(workers)
            ),
            Self::WorkerUnschedulable { worker } => format!(
                "worker {worker} takes no new members (spec.unschedulable of its K8sCluster); name another one, or set that \
                 to false, and this goes on by itself"
            ),
            Self::NamespaceNotAllowed { worker, namespace } => format!(
                "worker {worker} takes no members from namespace {namespace}: spec.allowedNamespaces of its K8sCluster does \
                 not list it. Name another worker, or ask whoever may edit K8sClusters to add it; this goes on by itself"
            ),
            Self::LoadBalancerAddress { service, worker } => format!(
                "service {service} in worker {worker} has no load balancer address yet; does that cluster have a load \
                 balancer controller, and addresses left?"
            ),
            Self::ServiceAddress { service, worker } => {
                format!("service {service} in worker {worker} has no address yet")
            }
            Self::NodeAddress { member, worker, trouble: None } => {
                format!("the node of {member} in worker {worker} is not chosen yet")
            }
            Self::NodeAddress { member, worker, trouble: Some(trouble) } => {
                format!("the node of {member} in worker {worker} is not chosen yet: {trouble}")
            }
            Self::DomainsAlike { domain, workers } => format!(
                "workers {} share the DNS domain {domain:?}, so that pod names cannot be told apart between them; set \
                 spec.clusterDomain on their K8sClusters, or give the members a service (podService)",
                join(workers)
            ),
            Self::Volume { claim, worker } => {
                format!("volume claim {claim} in worker {worker} is not in view yet")
            }
            Self::VolumeTaken { claim, worker } => {
                format!(
                    "volume claim {claim} in worker {worker} belongs to another database of this name; nothing is founded \
                     on it. Remove it there, and this goes on by itself"
                )
            }
            Self::Members { ready, total, first } if first.is_empty() => format!("{ready} of {total} members serve"),
            Self::Members { ready, total, first } => format!("{ready} of {total} members serve; {first}"),
        }
    }

    /// The wait as a condition that does not hold.
    #[must_use]
    pub fn condition(&self, kind: &'static str) -> Condition {
        Condition { kind, status: Truth::False, reason: self.reason(), message: self.message() }
    }
}

/// Something that is in the way, as the condition that tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle(pub Condition);

impl Obstacle {
    /// An obstacle told by condition `kind`.
    #[must_use]
    pub fn new(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Condition { kind, status: Truth::False, reason, message: message.into() })
    }

    /// A wait told by condition `kind`.
    #[must_use]
    pub fn waiting(kind: &'static str, wait: &Wait) -> Self {
        Self(wait.condition(kind))
    }
}

fn join(names: &[WorkerName]) -> String {
    names.iter().map(WorkerName::as_str).collect::<Vec<_>>().join(", ")
}
