//! A stand-in for Cilium Cluster Mesh's global Services, and nothing more of Cilium.
//!
//! A Service annotated `service.cilium.io/global: "true"` under the same name and namespace in several clusters
//! shares its endpoints: the peers' ready endpoints are mirrored here as endpoint slices, so kube-proxy and
//! `CoreDNS` use them like local ones (pod addresses are routed between the lab's clusters when its network is
//! flat). `service.cilium.io/shared: "false"` keeps a cluster's endpoints to itself. A peer that cannot be
//! reached keeps its last endpoints, as with Cilium. Not imitated: affinity, and any health check of its own.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch as channel;

use super::Config;
use super::connection::{Failure, ask, connect};
use super::grumble::{Grumbler, complaint_of};
use super::level::Addon;
use super::mirror::{self, Act, MANAGED_BY, MANAGER, decide};
use super::sight::{self, Key, Sight};

/// Shares the endpoints of global Services with the peers.
pub struct GlobalServices {
    client: Client,
    local: Sight<Service>,
    mirrored: Sight<EndpointSlice>,
    peers: BTreeMap<String, PeerSight>,
    grumbler: Grumbler,
}

struct PeerSight {
    services: Sight<Service>,
    slices: Sight<EndpointSlice>,
}

impl GlobalServices {
    pub(super) fn new(config: &Config, client: &Client, local: Sight<Service>) -> Self {
        let grumbler = Grumbler::new(&config.cluster, client, "global-services");
        let names: Vec<_> = config.peers.iter().map(|peer| peer.cluster.as_str()).collect();
        grumbler.log(&format!(
            "this is no Cilium: the lab's stand-in for Cilium Cluster Mesh's global Services shares endpoints with [{}]",
            names.join(", ")
        ));
        // A mirrored slice is never mirrored again.
        let (ours, theirs) = (format!("{MANAGED_BY}={MANAGER}"), format!("{MANAGED_BY}!={MANAGER}"));
        let watch_peer = |peer: &super::Peer| {
            let (seen_from, connecting) =
                (format!("{} (peer {})", config.cluster, peer.cluster), connect(&peer.cluster, &peer.kubeconfig));
            let sight = PeerSight {
                services: sight::watch_later(connecting.clone(), &seen_from, ""),
                slices: sight::watch_later(connecting, &seen_from, &theirs),
            };
            (peer.cluster.clone(), sight)
        };
        Self {
            client: client.clone(),
            local,
            mirrored: sight::watch(client, &config.cluster, &ours),
            peers: config.peers.iter().filter(|peer| peer.cluster != config.cluster).map(watch_peer).collect(),
            grumbler,
        }
    }

    async fn carry_out(&self, act: &Act) -> Result<(), Failure> {
        let slices = |slice: &EndpointSlice| {
            Api::<EndpointSlice>::namespaced(self.client.clone(), &slice.namespace().unwrap_or_default())
        };
        let (done, slice) = match act {
            Act::Create(slice) => {
                ask(slices(slice).create(&PostParams::default(), slice)).await?;
                ("mirrored", &**slice)
            }
            Act::Replace(slice) => {
                let written = ask(slices(slice).replace(&slice.name_any(), &PostParams::default(), slice)).await?;
                self.mirrored.learn(written);
                ("mirrored again", &**slice)
            }
            Act::Delete(slice) => {
                let only_this = Preconditions { uid: slice.metadata.uid.clone(), resource_version: None };
                let parameters = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
                ask(slices(slice).delete(&slice.name_any(), &parameters)).await?;
                ("no longer mirrored", &**slice)
            }
        };
        self.grumbler.log(&format!("endpoint slice {} {done}: {} endpoints", Key::of(slice), slice.endpoints.len()));
        Ok(())
    }
}

impl Addon for GlobalServices {
    fn name(&self) -> &'static str {
        "stand-in for Cilium's global Services"
    }

    fn wakers(&self) -> Vec<channel::Receiver<u64>> {
        let peers = self.peers.values().flat_map(|peer| [peer.services.waker(), peer.slices.waker()]);
        [self.local.waker(), self.mirrored.waker()].into_iter().chain(peers).collect()
    }

    async fn pass(&mut self) {
        let (Some(local), Some(mirrored)) = (self.local.objects(), self.mirrored.objects()) else {
            return;
        };
        let seen: BTreeMap<_, _> = self
            .peers
            .iter()
            .map(|(name, peer)| (name.clone(), peer.services.objects().zip(peer.slices.objects())))
            .collect();
        let peers = seen
            .iter()
            .map(|(name, seen)| match seen {
                None => (name.clone(), mirror::Peer::Unknown),
                Some((services, slices)) => (name.clone(), mirror::Peer::Seen { services, slices }),
            })
            .collect();
        let mut complaints = Vec::new();
        for act in decide(&local, &mirrored, &peers) {
            if let Err(failure) = self.carry_out(&act).await {
                let (Act::Create(slice) | Act::Replace(slice)) = &act else {
                    // A slice that stays is seen, and deleted, again.
                    continue;
                };
                complaints.extend(complaint_of(&**slice, "EndpointsNotShared", failure));
            }
        }
        self.grumbler.tell(&complaints).await;
    }
}
