//! Trouble that a test may order, and take back.

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::{
    World,
    kubelet::Trouble,
    objects::{Key, id},
    volumes,
};

/// What a cluster gives, and may be made to withhold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goods {
    /// Addresses of load balancers.
    LoadBalancers,
    /// Volumes, and their growth.
    Volumes,
    /// Nodes for pods.
    Scheduling,
    /// Images. What runs already runs on.
    Images,
    /// The work of jobs.
    Jobs,
}

impl World {
    fn trouble<T>(&self, work: impl FnOnce(&mut super::State) -> T) -> T {
        let done = self.shared.with(|state| {
            state.stale = true;
            work(state)
        });
        self.shared.news.notify_one();
        done
    }

    /// Something is not to be had until further notice.
    pub fn withhold(&self, goods: Goods) {
        self.trouble(|state| {
            state.withheld.insert(goods);
        });
    }

    /// It is to be had again.
    pub fn provide(&self, goods: Goods) {
        self.trouble(|state| {
            state.withheld.remove(&goods);
            state.kubelets.look_again(tokio::time::Instant::now());
        });
    }

    /// The programs of a pod die. Its kubelet starts them again, at once the first time, later after a pause.
    pub fn crash_pod(&self, namespace: &str, name: &str) {
        let key: Key = (namespace.to_owned(), name.to_owned());
        self.trouble(|state| state.kubelets.crash(&key, &self.shared.ground()));
    }

    /// A node's kubelet does not reach the API server any more. What runs on the node runs on.
    pub fn cut_node(&self, node: &str) {
        self.trouble(|state| {
            state.kubelets.troubled.insert(node.to_owned(), Trouble::Cut);
        });
    }

    /// A node goes down, with all that runs on it. Volumes on its own disk are lost.
    pub fn lose_node(&self, node: &str) {
        self.trouble(|state| {
            let ground = self.shared.ground();
            state.kubelets.troubled.insert(node.to_owned(), Trouble::Lost);
            state.kubelets.lose(node, &ground);
            for claim in state.objects.claims.values() {
                if volumes::node(&state.objects, claim) == Some(node) {
                    ground.programs.lose_volume(id(claim));
                    state.lost.insert(id(claim).to_owned());
                }
            }
        });
    }

    /// A node reaches its API server again, or is up again (what was on its own disk stays lost).
    pub fn heal_node(&self, node: &str) {
        self.trouble(|state| {
            state.kubelets.troubled.remove(node);
        });
    }

    /// Every node's name.
    pub fn nodes(&self) -> Vec<String> {
        self.shared.settings.node_names().collect()
    }

    /// Marks a node as not to be scheduled to (or so again), as `kubectl cordon` does.
    pub async fn cordon(&self, node: &str, unschedulable: bool) -> kube::Result<()> {
        let api: Api<Node> = Api::all(self.shared.hand.client());
        let patch = json!({ "spec": { "unschedulable": unschedulable } });
        api.patch(node, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
    }

    /// The disk under a claim is wiped: what ran on it dies, and is started again on an empty one.
    pub fn wipe_volume(&self, claim_uid: &str) {
        self.trouble(|state| state.kubelets.wipe(claim_uid, &self.shared.ground()));
    }

    /// The volume of a claim is gone for good: the claim says `Lost`.
    pub fn lose_volume(&self, claim_uid: &str) {
        self.trouble(|state| {
            state.kubelets.wipe(claim_uid, &self.shared.ground());
            state.lost.insert(claim_uid.to_owned());
        });
    }

    /// The load balancer of a service gets another address.
    pub fn change_load_balancer_address(&self, namespace: &str, service: &str) {
        self.trouble(|state| {
            let key: Key = (namespace.to_owned(), service.to_owned());
            if let Some(service) = state.objects.services.get(&key) {
                state.balancers.change(id(service));
            }
        });
    }
}
