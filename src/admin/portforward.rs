//! HTTP through a port-forward, which is one stream through the worker's API server and its kubelet.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::Portforwarder};

use super::{Deadline, PodRoute, Silence, http};
use crate::engine::{HttpReply, HttpRequest};

/// Asks the pod's own port. The client must speak HTTP/1.1, since the stream is an upgraded request.
pub(super) async fn ask(
    client: Client,
    route: &PodRoute,
    requests: &[HttpRequest],
    deadline: Deadline,
) -> Result<Vec<HttpReply>, Silence> {
    let pods: Api<Pod> = Api::namespaced(client, route.namespace.as_str());
    let forward = deadline.bound(pods.portforward(route.pod.as_str(), &[route.port])).await?.map_err(|error| {
        // Which of the two the API server checks depends on its version: websockets are a get, streams a create.
        Silence::of(&error, &route.worker, &route.namespace, "create and get", "pods/portforward")
    })?;
    let mut forward = Forward(forward);
    let (Some(stream), Some(refusal)) = (forward.0.take_stream(route.port), forward.0.take_error(route.port)) else {
        return Err(Silence::Broken("the port-forward has no stream".to_owned()));
    };
    tokio::select! {
        outcome = http::converse(stream, route.pod.as_str(), requests, deadline) => outcome,
        // Comes when nobody listens in the pod. Its end without words is the end of the stream, told by the stream.
        Some(why) = refusal => Err(Silence::Unreachable(first_line(&why))),
    }
}

/// Ends its background task with the question, also when nobody waits for the outcome any more.
struct Forward(Portforwarder);

impl Drop for Forward {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the kubelet says is long and repeats itself.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}
