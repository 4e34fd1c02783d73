//! What stands between Atoll and every worker's API server, whatever carries the bytes: limits on what is asked, and
//! bounds on what comes back. The simulation's connections stand under it as real ones do.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Body as HttpBody;
use kube::{Client, client::Body};
use tokio::time::Instant;
use tower::{BoxError, Service, ServiceExt as _};

use super::{
    bounded::Bounded,
    limits::{Lane, Limits, Place},
};

/// A client of the worker whose limits these are.
pub fn client<S, B>(service: S, limits: Arc<Limits>, namespace: &str) -> Client
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    Client::new(Limited { service, limits }, namespace)
}

#[derive(Clone)]
struct Limited<S> {
    service: S,
    limits: Arc<Limits>,
}

impl<S, B> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Bounded<B, Place>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Whether it is ready is asked when it is this request's turn.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { service, limits } = self.clone();
        let lane = Lane::of(&request);
        let bound = lane.bound(request.uri().query().unwrap_or_default());
        Box::pin(async move {
            let place = limits.admit(lane).await?;
            let sent = Instant::now();
            let response = service.oneshot(request).await.map_err(Into::into)?;
            limits.heed(sent, response.status(), response.headers());
            // The place is given back with the last byte of the answer.
            Ok(response.map(|body| Bounded::new(body, bound, place)))
        })
    }
}
