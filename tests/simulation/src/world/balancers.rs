//! Load balancers: services of that type get an address.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{LoadBalancerIngress, Service};
use serde_json::json;

use super::{
    Balancing, Goods,
    hand::Part,
    objects::{id, leaving},
    round::Round,
};

/// Who has which address, by the services' UIDs.
#[derive(Default)]
pub(super) struct Balancers {
    given: BTreeMap<String, u32>,
    /// The last number given; it only grows, so that an address of old does not come back soon.
    last: u32,
}

impl Balancers {
    /// A service gets another address.
    pub(super) fn change(&mut self, uid: &str) {
        self.last += 1;
        self.given.insert(uid.to_owned(), self.last);
    }

    /// Gives addresses.
    pub(super) fn serve(&mut self, round: &mut Round) {
        let objects = round.objects;
        let there: BTreeSet<_> = objects.services.values().map(id).collect();
        self.given.retain(|uid, _| there.contains(uid.as_str()));
        if !round.has(Goods::LoadBalancers) {
            return;
        }
        for (key, service) in &objects.services {
            let Some(spec) = service.spec.as_ref().filter(|_| !leaving(service)) else { continue };
            let ours = spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none();
            if !ours {
                continue;
            }
            let has: Vec<_> = ingress(service).filter_map(|one| one.ip.as_ref().or(one.hostname.as_ref())).collect();
            let known = self.given.get(id(service)).copied();
            let wanted = known.map(|number| round.settings.balancer(number));
            if wanted.as_ref().map_or(!has.is_empty(), |wanted| has == [wanted]) {
                continue;
            }
            let pause = round.settings.pace.balance;
            if !round.due("balance", &format!("{}{wanted:?}", id(service)), pause) {
                continue;
            }
            let number = known.unwrap_or_else(|| {
                self.change(id(service));
                self.last
            });
            let address = round.settings.balancer(number);
            let ingress = match round.settings.flavour.balancing {
                Balancing::Addresses => json!({ "ip": address, "ipMode": "VIP" }),
                Balancing::Names => json!({ "hostname": address }),
            };
            let patch = json!({ "status": { "loadBalancer": { "ingress": [ingress] } } });
            let (key, uid) = (key.clone(), id(service).to_owned());
            round.act(format!("address of service {}/{}", key.0, key.1), move |hand| async move {
                hand.patch::<Service>(&key, &uid, Part::Status, patch).await
            });
        }
    }
}

/// What a service's load balancer is reached by.
pub(super) fn ingress(service: &Service) -> impl Iterator<Item = &LoadBalancerIngress> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    status.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten()
}
