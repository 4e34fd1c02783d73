//! Addresses for Services of type `LoadBalancer`, as a cloud or `MetalLB` would give them.
//!
//! Only the addresses: the lab routes the range to a node, where kube-proxy takes the traffic. Where `MetalLB` itself
//! gives them ([`super::Balancer`]), this does not run.

use k8s_openapi::api::core::v1::Service;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::watch as channel;

use super::allocation::{Assignment, assign};
use super::connection::{Failure, ask};
use super::grumble::{Grumbler, complaint_of};
use super::level::Addon;
use super::sight::{Key, Sight};
use super::{AddressRange, Config};

/// Gives each load balancer Service an address of the cluster's range.
pub struct LoadBalancer {
    client: Client,
    range: AddressRange,
    services: Sight<Service>,
    grumbler: Grumbler,
}

impl LoadBalancer {
    pub(super) fn new(config: &Config, client: &Client, services: Sight<Service>) -> Self {
        Self {
            client: client.clone(),
            range: config.lb_range,
            services,
            grumbler: Grumbler::new(&config.cluster, client, "load-balancer"),
        }
    }

    async fn write(&self, assignment: &Assignment) -> Result<(), Failure> {
        let service = &assignment.service;
        let patch = json!({
            "metadata": {"resourceVersion": service.metadata.resource_version},
            "status": {"loadBalancer": {"ingress": [{"ip": assignment.address}]}},
        });
        let services = Api::<Service>::namespaced(self.client.clone(), &service.namespace().unwrap_or_default());
        let written =
            ask(services.patch_status(&service.name_any(), &PatchParams::default(), &Patch::Merge(patch))).await?;
        // The next pass must not give the same address to somebody else.
        self.services.learn(written);
        let name = Key::of(&**service);
        self.grumbler.log(&format!("service {name} has address {}", assignment.address));
        Ok(())
    }
}

impl Addon for LoadBalancer {
    fn name(&self) -> &'static str {
        "load balancer"
    }

    fn wakers(&self) -> Vec<channel::Receiver<u64>> {
        vec![self.services.waker()]
    }

    async fn pass(&mut self) {
        let Some(services) = self.services.objects() else {
            return;
        };
        let (assignments, mut complaints) = assign(self.range, &services);
        for assignment in assignments {
            if let Err(failure) = self.write(&assignment).await {
                complaints.extend(complaint_of(&*assignment.service, "AllocationFailed", failure));
            }
        }
        self.grumbler.tell(&complaints).await;
    }
}
