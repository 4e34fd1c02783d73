//! Measures each request to a worker's API server, for `/metrics`.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use tower::{Layer, Service};

use crate::{
    metrics::{Answer, Metrics},
    plan::name::WorkerName,
};

/// Measures what goes to one worker.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The worker.
    pub worker: WorkerName,
    /// Where it is counted.
    pub metrics: Metrics,
}

impl<S> Layer<S> for Measured {
    type Service = Measuring<S>;

    fn layer(&self, inner: S) -> Measuring<S> {
        Measuring { inner, measured: self.clone() }
    }
}

/// A connection that is measured.
#[derive(Clone, Debug)]
pub struct Measuring<S> {
    inner: S,
    measured: Measured,
}

impl<S, B, R> Service<Request<B>> for Measuring<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send,
    R: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (verb, resource) = describe(request.method(), request.uri().path(), request.uri().query());
        let (measured, started) = (self.measured.clone(), Instant::now());
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await;
            let answer = match &response {
                Ok(response) => Answer::Code(response.status().as_u16()),
                Err(_) => Answer::None,
            };
            measured.metrics.request(&measured.worker, verb, resource, answer, started.elapsed());
            response
        })
    }
}

/// The verb and the resource of a request, each from a bounded list.
fn describe(method: &Method, path: &str, query: Option<&str>) -> (&'static str, &'static str) {
    const RESOURCES: [&str; 8] = [
        "namespaces",
        "pods",
        "services",
        "persistentvolumeclaims",
        "jobs",
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "version",
    ];
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    // The last part that names a resource: in /api/v1/namespaces/NS/pods/NAME it is "pods".
    // Behind the API's own prefix (/api/v1, /apis/batch/v1) resources and names take turns.
    let resources = match parts.first() {
        Some(&"api") => parts.get(2..),
        Some(&"apis") => parts.get(3..),
        _ => Some(parts.as_slice()),
    }
    .unwrap_or_default();
    let at = if resources.first() == Some(&"namespaces") && resources.len() > 2 { 2 } else { 0 };
    let named = resources.get(at).and_then(|part| RESOURCES.iter().find(|name| *name == part));
    let resource = named.copied().unwrap_or("other");
    let names_one = resources.len() > at + 1;
    let watches = query.is_some_and(|query| query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1"));
    let verb = match *method {
        Method::GET if watches => "watch",
        Method::GET if names_one || resource == "version" => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    };
    (verb, resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_by_verb_and_resource() {
        for (method, path, query, named) in [
            (Method::GET, "/api/v1/namespaces/kube-system", None, ("get", "namespaces")),
            (Method::GET, "/api/v1/pods", Some("labelSelector=a&watch=true"), ("watch", "pods")),
            (Method::GET, "/api/v1/pods", Some("limit=250"), ("list", "pods")),
            (Method::POST, "/api/v1/namespaces/default/pods", None, ("create", "pods")),
            (Method::DELETE, "/api/v1/namespaces/pods/services/pods", None, ("delete", "services")),
            (Method::PATCH, "/apis/batch/v1/namespaces/default/jobs/j", None, ("patch", "jobs")),
            (Method::GET, "/version", None, ("get", "version")),
            (Method::GET, "/apis/apps/v1/deployments", None, ("list", "other")),
        ] {
            assert_eq!(describe(&method, path, query), named, "{method} {path}");
        }
    }
}
