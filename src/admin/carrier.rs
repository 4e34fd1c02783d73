//! Carries questions over the network.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use kube::Client;

use super::{Ask, Deadline, Route, Silence, http, job, portforward};
use crate::{
    engine::{Exchange, HttpReply, Question},
    plan::name::WorkerName,
    worker::gate::Gate,
};

/// The workers' clients, as the worker pool has them at this moment.
pub trait Clients: Send + Sync {
    /// The verified client of a worker; none while the worker is not registered, not verified or paused.
    fn client(&self, worker: &WorkerName) -> Option<Client>;

    /// A client that can upgrade a request to a stream, which HTTP/2 cannot.
    fn streaming_client(&self, worker: &WorkerName) -> Option<Client> {
        self.client(worker)
    }

    /// Whether anything may be written with these clients: a question by a job is.
    fn gate(&self) -> &dyn Gate;
}

/// Carries questions over the network, by any route.
pub struct Carrier {
    clients: Arc<dyn Clients>,
    job_image: Option<String>,
}

impl Carrier {
    /// A carrier that reaches workers by these clients. Jobs run `atoll ask` from the image, if there is one.
    #[must_use]
    pub fn new(clients: Arc<dyn Clients>, job_image: Option<String>) -> Self {
        Self { clients, job_image }
    }
}

impl Ask for Carrier {
    fn ask<'a>(
        &'a self,
        route: &'a Route,
        question: &'a Question,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<HttpReply>, Silence>> {
        let Exchange::Http(requests) = &question.exchange;
        async move {
            match route {
                Route::Address(address) | Route::Service(address) => http::ask(address, requests, deadline).await,
                Route::PortForward(pod) => {
                    let client = self.clients.streaming_client(&pod.worker);
                    let client = client.ok_or_else(|| Silence::NoClient(pod.worker.clone()))?;
                    portforward::ask(client, pod, requests, deadline).await
                }
                Route::Job(route) => {
                    let image = self.job_image.as_deref().ok_or(Silence::NoJobImage)?;
                    let way = job::Way { clients: self.clients.as_ref(), image };
                    job::ask(way, route, question, requests, deadline).await
                }
            }
        }
        .boxed()
    }
}
