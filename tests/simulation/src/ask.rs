//! The seam to members: questions reach simulated processes through the simulated networks.

use std::sync::Arc;

use atoll::{
    admin::{Ask, Carrier, Clients, Deadline, Route, Silence},
    engine::{Exchange, HttpReply, HttpRequest, Question},
};
use futures::{FutureExt, future::BoxFuture};
use http::Request;

use crate::{
    link::Links,
    place::Place,
    programs::Processes,
    tape::{Life, Party},
    world::net::Net,
};

/// The image that jobs run `atoll ask` from.
pub const IMAGE: &str = "atoll.test/atoll:simulated";

/// The way to members. Cheap to clone.
#[derive(Clone)]
pub struct Members {
    /// Who answers where.
    pub net: Net,
    /// What runs.
    pub processes: Processes,
}

impl Members {
    /// As one life of the controller has it.
    pub fn asked_by(self, links: Links, life: Life, clients: Arc<dyn Clients>) -> Asker {
        let jobs = Carrier::new(clients.clone(), Some(IMAGE.to_owned()));
        Asker { members: self, links, life, clients, jobs }
    }

    /// Puts requests to whoever answers at an address. Waits for ever where nobody does.
    pub async fn converse(&self, from: &Place, address: &str, requests: &[HttpRequest]) -> Vec<HttpReply> {
        let Some((run, port)) = self.net.dial(from, address) else { return std::future::pending().await };
        let replies = self.processes.converse(run, port, requests);
        if replies.is_empty() { std::future::pending().await } else { replies }
    }
}

/// Asks for one life.
pub struct Asker {
    members: Members,
    links: Links,
    life: Life,
    clients: Arc<dyn Clients>,
    jobs: Carrier,
}

impl Ask for Asker {
    fn ask<'a>(
        &'a self,
        route: &'a Route,
        question: &'a Question,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<HttpReply>, Silence>> {
        let Exchange::Http(requests) = &question.exchange;
        async move {
            match route {
                Route::Address(address) | Route::Service(address) if is_command(requests) => {
                    let (members, address, sent) = (self.members.clone(), address.clone(), requests.clone());
                    let telling = async move { members.converse(&Place::Master, &address, &sent).await };
                    deadline.bound(self.links.carry(self.life, &requests[0], telling)).await
                }
                Route::Address(address) | Route::Service(address) => {
                    let asking = async {
                        self.links.pass(Party::Controller(self.life)).await;
                        self.members.converse(&Place::Master, address, requests).await
                    };
                    deadline.bound(asking).await
                }
                Route::PortForward(pod) => {
                    let client = self.clients.client(&pod.worker);
                    let client = client.ok_or_else(|| Silence::NoClient(pod.worker.clone()))?;
                    let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.pod);
                    // A stream through the API server: it fares as any request does.
                    let get =
                        Request::get(path).body(Vec::new()).map_err(|error| Silence::Unaskable(error.to_string()))?;
                    let found = deadline.bound(client.request::<k8s_openapi::api::core::v1::Pod>(get)).await?;
                    let found = found.map_err(|error| Silence::Broken(error.to_string()))?;
                    let ip = found.status.and_then(|status| status.pod_ip).unwrap_or_default();
                    let place = self.members.net.place_of(&found.metadata.uid.unwrap_or_default());
                    let place = place.ok_or_else(|| Silence::Unreachable("the pod does not run".to_owned()))?;
                    if is_command(requests) {
                        let (members, address) = (self.members.clone(), format!("{ip}:{}", pod.port));
                        let sent = requests.clone();
                        let telling = async move { members.converse(&place, &address, &sent).await };
                        return deadline.bound(self.links.carry(self.life, &requests[0], telling)).await;
                    }
                    deadline.bound(self.members.converse(&place, &format!("{ip}:{}", pod.port), requests)).await
                }
                Route::Job(_) => self.jobs.ask(route, question, deadline).await,
            }
        }
        .boxed()
    }
}

/// Whether a member is told something, rather than asked.
fn is_command(requests: &[HttpRequest]) -> bool {
    let tells = ["member/add", "member/remove", "member/promote", "member/update", "transfer-leadership"];
    matches!(requests, [only] if tells.iter().any(|end| only.path.ends_with(end)))
}
