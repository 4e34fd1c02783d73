//! HTTP through a port-forward, which is one stream through the worker's API server and its kubelet.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::Portforwarder};

use super::{Deadline, PodRoute, Silence, http};
use crate::engine::{HttpReply, HttpRequest};

/// How long the kubelet's words may come after the end of the stream that they explain.
const AFTERWARDS: Duration = Duration::from_millis(200);

/// Asks the pod's own port. The client must speak HTTP/1.1, since the stream is an upgraded request.
pub(super) async fn ask(
    client: Client,
    route: &PodRoute,
    requests: &[HttpRequest],
    deadline: Deadline,
) -> Result<Vec<HttpReply>, Silence> {
    let pods: Api<Pod> = Api::namespaced(client, route.namespace.as_str());
    let forward = deadline.bound(pods.portforward(route.pod.as_str(), &[route.port])).await?.map_err(|error| {
        // An upgrade is a get, which is what 1.34 checks; newer API servers want create as well.
        Silence::of(&error, &route.worker, &route.namespace, "create and get", "pods/portforward")
    })?;
    let mut forward = Forward(forward);
    let (Some(stream), Some(refusal)) = (forward.0.take_stream(route.port), forward.0.take_error(route.port)) else {
        return Err(Silence::Broken("the port-forward has no stream".to_owned()));
    };
    match http::converse(stream, route.pod.as_str(), requests, deadline).await {
        // Nobody listens in the pod: the stream just ends, and the kubelet says why beside it.
        Err(Silence::Broken(why)) => match Deadline::after(AFTERWARDS).bound(refusal).await {
            Ok(Some(refusal)) => Err(Silence::Unreachable(in_short(&refusal, route.port))),
            Ok(None) | Err(_) => Err(Silence::Broken(why)),
        },
        outcome => outcome,
    }
}

/// Ends its background task with the question, also when nobody waits for the outcome any more.
struct Forward(Portforwarder);

impl Drop for Forward {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the kubelet says is long and names sandboxes, which help nobody.
fn in_short(refusal: &str, port: u16) -> String {
    if refusal.contains("connection refused") {
        return format!("nothing listens on port {port} of the pod");
    }
    refusal.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_short() {
        let kubelet = "error forwarding port 2399 to pod b20391a6, uid : failed to execute portforward in network \
            namespace \"/var/run/netns/cni-2daedd01\": failed to connect to localhost:2399: connect: connection refused\n";
        assert_eq!(in_short(kubelet, 2399), "nothing listens on port 2399 of the pod");
        assert_eq!(in_short(&format!("{}\nmore", "x".repeat(300)), 1), "x".repeat(200));
    }
}
