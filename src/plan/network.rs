//! How members reach each other and how clients reach them: the network modes, the services each of them needs, and
//! the address that each of them gives to a member.
//!
//! A further network mode is a variant here. The compiler then leads to its services (`render/service.rs`), its
//! addresses (`address.rs`) and its words in `atoll plan`; whether strangers can see it (`exposure.rs`) and whether the
//! master can dial it (`controller/observe.rs`) are asked of it there.

use std::collections::BTreeMap;

use super::exposure;

/// The network of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// No service of their own: peers are pod names under the headless service, in each worker's own DNS domain.
    PodNames,
    /// A service for every member.
    MemberServices(MemberServices),
}

impl Network {
    /// The mode in one word or two, with what decides where an address leads: another text is another address for
    /// every member.
    #[must_use]
    pub fn mode(&self) -> String {
        match self {
            Self::PodNames => "PodNames".to_owned(),
            Self::MemberServices(services) => {
                let reach = exposure::deciding(&services.annotations);
                format!("{}/{:?}/{:?}{reach}", services.name, services.exposure, services.spread)
            }
        }
    }
}

/// One service for every member (KubeBlocks: `podService: true`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberServices {
    /// What the manifest calls it.
    pub name: String,
    /// How it is exposed.
    pub exposure: Exposure,
    /// In which workers each member's service stands.
    pub spread: Spread,
    /// Annotations, passed through as they are (clouds and meshes read them).
    pub annotations: BTreeMap<String, String>,
}

/// How a member's service is exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// By a load balancer: peers use the address that it is given.
    LoadBalancer,
    /// By a cluster IP.
    ClusterIp,
    /// By a port of every node: peers use the node on which the member's volume is.
    NodePort,
}

/// In which workers a member's service stands (KubeBlocks: `multi-cluster-service-placement`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Only in the member's own worker: it is reached from the others by its address.
    Unique,
    /// In every worker of the database under the same name, joined by a mesh: it is reached by its name.
    Mirror,
}
