//! A network check in one worker: make what is needed, dial, sweep up. What is deleted is what was seen, by its UID.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::{
    objects::{self, Run},
    way::{Listening, Way},
};
use crate::{
    admin::{
        pod::{Progress, progress},
        termination,
    },
    cli::probe::{Met, Target},
    plan::name::{Uid, WorkerName},
    worker::fault::{Fault, call},
};

/// How often something that has to come is looked at.
const GLANCE: Duration = Duration::from_millis(500);
/// How long a namespace may take to go, and a fresh one to get its service account.
const NAMESPACE: Duration = Duration::from_secs(45);

/// One worker that takes part.
#[derive(Clone)]
pub struct Site {
    /// Its number in this run.
    pub index: usize,
    /// Its name.
    pub worker: WorkerName,
    /// Its DNS domain, where its `K8sCluster` names one.
    pub domain: Option<String>,
    /// Its client.
    pub client: Client,
}

impl Site {
    /// Makes the services and the listener, of `workers` that take part, and waits for their addresses.
    pub async fn listen(&self, run: &Run, workers: usize, patience: Duration) -> Result<Listening, String> {
        let told = |what: &str, fault: Fault| format!("{what}: {fault}");
        self.room(run).await?;
        let services: Api<Service> = Api::namespaced(self.client.clone(), &run.namespace);
        for service in objects::services(run, workers) {
            let made = call(services.create(&PostParams::default(), &service)).await;
            made.map_err(|fault| told("a service cannot be made", fault))?;
        }
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &run.namespace);
        self.create(&pods, &objects::listener(run, self.index)).await?;
        let end = Instant::now() + patience;
        let mut listening = self.await_pod(&pods, &run.listener(), end).await?;
        if let Some(name) = run.service(Way::NodePort).filter(|_| run.ways.contains(&Way::NodePort)) {
            let service = call(services.get(&name)).await.map_err(|fault| told("its node port", fault))?;
            listening.node_port = node_port(&service);
        }
        if let Some(name) = run.service(Way::LoadBalancer).filter(|_| run.ways.contains(&Way::LoadBalancer)) {
            while listening.balancer.is_none() && Instant::now() < end {
                let service = call(services.get(&name)).await.map_err(|fault| told("its load balancer", fault))?;
                listening.balancer = ingress(&service);
                if listening.balancer.is_none() {
                    sleep(GLANCE).await;
                }
            }
        }
        Ok(listening)
    }

    /// Sees to it that the namespace is there.
    async fn room(&self, run: &Run) -> Result<(), String> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let end = Instant::now() + NAMESPACE;
        loop {
            let there = call(api.get_opt(&run.namespace)).await;
            match there.map_err(|fault| format!("namespace {} cannot be read: {fault}", run.namespace))? {
                Some(there) if there.metadata.deletion_timestamp.is_none() => return Ok(()),
                // An earlier check's, on its way out.
                Some(_) if Instant::now() < end => sleep(GLANCE).await,
                Some(_) => return Err(format!("namespace {} is being deleted and does not go", run.namespace)),
                None => match call(api.create(&PostParams::default(), &objects::namespace(run))).await {
                    Ok(_) => return Ok(()),
                    Err(fault) if fault.status().is_some_and(kube::core::Status::is_already_exists) => {}
                    Err(fault) => {
                        return Err(format!(
                            "namespace {} cannot be made: {fault}; --probe-namespace can name one that is there",
                            run.namespace
                        ));
                    }
                },
            }
        }
    }

    /// Makes a pod. A namespace that is new has no service account for a moment, and refuses pods till then.
    async fn create(&self, pods: &Api<Pod>, pod: &Pod) -> Result<(), String> {
        let end = Instant::now() + NAMESPACE;
        loop {
            match call(pods.create(&PostParams::default(), pod)).await {
                Ok(_) => return Ok(()),
                Err(fault) if fault.to_string().contains("serviceaccount") && Instant::now() < end => {
                    sleep(GLANCE).await;
                }
                Err(fault) => return Err(format!("a pod cannot be made: {fault}")),
            }
        }
    }

    async fn await_pod(&self, pods: &Api<Pod>, name: &str, end: Instant) -> Result<Listening, String> {
        loop {
            let pod = call(pods.get(name)).await.map_err(|fault| vanished("its listener", &fault))?;
            let status = pod.status.clone().unwrap_or_default();
            match (running(&pod), status.pod_ip) {
                (true, Some(address)) => {
                    return Ok(Listening { pod: address, node: status.host_ip, ..Listening::default() });
                }
                _ if Instant::now() < end => sleep(GLANCE).await,
                _ => return Err(format!("its listener does not run: {}", why(&pod))),
            }
        }
    }

    /// Dials all of these from this worker.
    pub async fn dial(&self, run: &Run, targets: &[Target], patience: Duration) -> Result<Vec<Met>, String> {
        let text = serde_json::to_string(targets).map_err(|error| error.to_string())?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &run.namespace);
        let pod = objects::dialler(run, &text);
        self.create(&pods, &pod).await?;
        let end = Instant::now() + patience;
        loop {
            let pod = call(pods.get(&pod.name_any())).await.map_err(|fault| vanished("its dialler", &fault))?;
            match progress(&pod) {
                Progress::Ended(message) => {
                    let met: Vec<Met> = termination::unpack(&message).map_err(|why| format!("its dialler: {why}"))?;
                    return if met.len() == targets.len() {
                        Ok(met)
                    } else {
                        Err("its dialler answered for other targets: is the image of this version?".to_owned())
                    };
                }
                Progress::Waiting(_) if Instant::now() < end => sleep(GLANCE).await,
                Progress::Waiting(_) => return Err(format!("its dialler did not come to an end: {}", why(&pod))),
            }
        }
    }

    /// Deletes what checks for this master have made here, this one or earlier ones; answers how many objects of
    /// which kinds that were, and what is left and why.
    pub async fn sweep(&self, master: &Uid, namespaces: bool) -> Swept {
        let mut swept = Swept::default();
        self.delete_all::<Service>(master, &mut swept).await;
        self.delete_all::<Pod>(master, &mut swept).await;
        if namespaces {
            self.delete_all::<Namespace>(master, &mut swept).await;
            if swept.left.is_empty() {
                self.gone(master, &mut swept).await;
            }
        }
        swept
    }

    async fn delete_all<K>(&self, master: &Uid, swept: &mut Swept)
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Scoped,
    {
        let kind = K::kind(&());
        let all: Api<K> = Api::all(self.client.clone());
        let found = call(all.list(&ListParams::default().labels(&objects::selector(master)))).await;
        let found = match found {
            Ok(found) => found.items,
            Err(fault) => return swept.left.push(format!("its {kind}s cannot be listed: {fault}")),
        };
        for object in found.into_iter().filter(|object| object.meta().deletion_timestamp.is_none()) {
            let api = K::api(&self.client, &object);
            let preconditions = Preconditions { uid: object.uid(), resource_version: None };
            let how = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            match call(api.delete(&object.name_any(), &how)).await {
                Ok(_) => swept.deleted += 1,
                Err(fault) if fault.is_not_found() || fault.is_other_object() => {}
                Err(fault) => swept.left.push(format!("{kind} {}: {fault}", object.name_any())),
            }
        }
    }

    /// Waits until the namespaces are gone, with all that was in them.
    async fn gone(&self, master: &Uid, swept: &mut Swept) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let made = ListParams::default().labels(&objects::selector(master));
        let end = Instant::now() + NAMESPACE;
        loop {
            match call(api.list(&made)).await {
                Ok(left) if left.items.is_empty() => return,
                Ok(_) if Instant::now() < end => sleep(GLANCE).await,
                Ok(left) => {
                    swept
                        .left
                        .extend(left.items.iter().map(|there| format!("namespace {} still goes", there.name_any())));
                    return;
                }
                Err(fault) => return swept.left.push(format!("its namespaces cannot be listed: {fault}")),
            }
        }
    }
}

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// How many objects were deleted.
    pub deleted: usize,
    /// What is left, and why.
    pub left: Vec<String>,
}

/// Where objects of a kind are addressed.
trait Scoped: Resource<DynamicType = ()> + Sized {
    fn api(client: &Client, object: &Self) -> Api<Self>;
}

impl Scoped for Namespace {
    fn api(client: &Client, _: &Self) -> Api<Self> {
        Api::all(client.clone())
    }
}

impl Scoped for Pod {
    fn api(client: &Client, object: &Self) -> Api<Self> {
        Api::namespaced(client.clone(), object.metadata.namespace.as_deref().unwrap_or_default())
    }
}

impl Scoped for Service {
    fn api(client: &Client, object: &Self) -> Api<Self> {
        Api::namespaced(client.clone(), object.metadata.namespace.as_deref().unwrap_or_default())
    }
}

fn vanished(what: &str, fault: &Fault) -> String {
    if fault.is_not_found() {
        format!("{what} was deleted by somebody: does another `atoll check --network` run? One at a time")
    } else {
        format!("{what} cannot be seen: {fault}")
    }
}

fn running(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.is_some_and(|statuses| !statuses.is_empty() && statuses.iter().all(|container| container.ready))
}

/// Why a pod has not come further. An image that cannot be had is by far the commonest reason.
fn why(pod: &Pod) -> String {
    let waiting = |pod: &Pod| -> Option<String> {
        let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let image = waiting.reason.as_deref().is_some_and(|reason| reason.contains("Image"));
        image.then(|| format!("the image {} cannot be had there", status.image))
    };
    waiting(pod).unwrap_or_else(|| match progress(pod) {
        Progress::Waiting(why) if why.ends_with("ContainerCreating") => {
            format!("{why} (still pulling the image, or waiting for its network?)")
        }
        Progress::Waiting(why) => why,
        Progress::Ended(message) => format!("it ended: {message}"),
    })
}

fn node_port(service: &Service) -> Option<u16> {
    let port = service.spec.as_ref()?.ports.as_ref()?.first()?.node_port?;
    u16::try_from(port).ok()
}

fn ingress(service: &Service) -> Option<String> {
    let ingress = service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()?.first()?;
    ingress.ip.clone().or_else(|| ingress.hostname.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {}, "status": status})).expect("a pod")
    }

    #[test]
    fn a_listener_that_does_not_come_says_why() {
        let image = pod(json!({"containerStatuses": [{
            "name": "listen", "image": "ghcr.io/x:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff"}},
        }]}));
        assert_eq!(why(&image), "the image ghcr.io/x:1 cannot be had there");
        let unscheduled = pod(json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"},
        ]}));
        assert_eq!(why(&unscheduled), "its pod is not scheduled: 0/1 nodes are available");
        assert!(!running(&image) && !running(&unscheduled));
    }

    #[test]
    fn addresses_are_read_where_they_are_given() {
        let service: Service = serde_json::from_value(json!({
            "spec": {"ports": [{"port": 1, "nodePort": 30001}]},
            "status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}},
        }))
        .expect("a service");
        assert_eq!((node_port(&service), ingress(&service).as_deref()), (Some(30001), Some("lb.example.com")));
        assert_eq!((node_port(&Service::default()), ingress(&Service::default())), (None, None));
    }
}
