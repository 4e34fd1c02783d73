//! The rest of a cluster: scheduler, kubelets, storage, load balancers and controllers, over the API alone.
//!
//! One world stands around one API server, simulated (in virtual time) or real (started bare, in real time), and keeps
//! the networks ([`net::Net`]) up to what it knows. What pods run is [`Programs`]'.
//!
//! Everything is level-triggered: lists and watches ([`follow`]) tell what is, each part says in a [`round`] what it
//! would do about it, and that is done; what is in vain is tried again. At rest nothing is written.

mod balancers;
mod classes;
mod collect;
mod endpoints;
mod follow;
mod hand;
mod jobs;
mod kubelet;
mod namespaces;
pub mod net;
mod nodes;
mod objects;
mod programs;
mod round;
mod schedule;
mod settings;
mod state;
mod trouble;
mod volumes;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use futures::{StreamExt as _, stream::FuturesUnordered};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Namespace, Node, PersistentVolumeClaim, Pod, Service, ServiceAccount},
    storage::v1::StorageClass,
};
use kube::Client;
use tokio::{sync::Notify, task::AbortHandle, time::sleep_until};

pub use programs::{Container, Exit, Programs, RunId};
pub use settings::{Addresses, Balancing, Class, Clock, Flavour, Pace, Settings};
pub use trouble::Goods;

use crate::lock::lock;
use hand::Hand;
use net::Net;
use objects::{Kept, Objects, id};
use round::Work;
use state::State;

/// The rest of one cluster. It goes on until it is dropped; what runs by then runs on.
pub struct World {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

/// What the tasks of a world share.
struct Shared {
    settings: Settings,
    programs: Arc<dyn Programs>,
    net: Net,
    hand: Hand,
    state: Mutex<State>,
    /// Something is to be looked at.
    news: Notify,
}

impl World {
    /// Begins to look after a cluster by a client that may do everything.
    pub fn start(client: Client, mut settings: Settings, programs: Arc<dyn Programs>, net: Net) -> Self {
        let (name, domain) = (settings.cluster.clone(), settings.flavour.domain.clone());
        settings.index = net.join(&name, &domain, |index| Settings { index, ..settings.clone() }.pod_range());
        net.set_hosts(&name, settings.node_names().map(|node| settings.host_ip(&node)).collect());
        let hand = Hand::new(client.clone());
        let (state, news) = (Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { settings, programs, net, hand, state, news });
        let mut tasks = vec![tokio::spawn(shared.clone().run()).abort_handle()];
        tasks.extend([
            following::<Namespace>(&shared, &client),
            following::<ServiceAccount>(&shared, &client),
            following::<StorageClass>(&shared, &client),
            following::<Node>(&shared, &client),
            following::<PersistentVolumeClaim>(&shared, &client),
            following::<Service>(&shared, &client),
            following::<Job>(&shared, &client),
            following::<Pod>(&shared, &client),
        ]);
        Self { shared, tasks }
    }
}

fn following<K: Kept>(shared: &Arc<Shared>, client: &Client) -> AbortHandle {
    tokio::spawn(follow::follow::<K>(shared.clone(), client.clone())).abort_handle()
}

impl Drop for World {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut lock(&self.state))
    }

    /// Something else is known now.
    fn learn(&self, what: impl FnOnce(&mut Objects)) {
        self.with(|state| {
            what(&mut state.objects);
            state.stale = true;
        });
        self.news.notify_one();
    }

    /// An object was deleted; as it last was.
    fn deleted<K: Kept>(&self, object: K) {
        if K::PLURAL == PersistentVolumeClaim::PLURAL {
            self.with(|state| state.kubelets.reclaim(id(&object)));
        }
        self.learn(|objects| objects.went(&object));
    }

    /// Looks and acts until dropped.
    async fn run(self: Arc<Self>) {
        let mut under_way: FuturesUnordered<Work> = FuturesUnordered::new();
        loop {
            let (work, next) = self.with(|state| state.round(&self));
            under_way.extend(work);
            tokio::select! {
                biased;
                Some((what, done)) = under_way.next(), if !under_way.is_empty() => {
                    self.with(|state| state.settle(what, done));
                }
                () = self.news.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }
}
