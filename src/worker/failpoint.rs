//! A fail-point for tests: the process ends, as by `kill -9`, right after the n-th write that an API server has
//! answered. What a controller can be killed between, it is killed between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Method, Request};
use tower::{Layer, Service};

/// Counts writes, and ends the process after the last one that it lets through.
#[derive(Clone, Debug, Default)]
pub struct Failpoint {
    left: Option<Arc<AtomicU64>>,
}

impl Failpoint {
    /// Ends the process after this many writes.
    #[must_use]
    pub fn after(writes: u64) -> Self {
        Self { left: Some(Arc::new(AtomicU64::new(writes))) }
    }
}

impl<S> Layer<S> for Failpoint {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, left: self.left.clone() }
    }
}

/// A connection whose writes are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    left: Option<Arc<AtomicU64>>,
}

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let write = counts(&request);
        let left = self.left.clone().filter(|_| write);
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await;
            if let Some(left) = left
                && left.fetch_sub(1, Ordering::SeqCst) == 1
            {
                // No destructor runs and nothing is said: this stands for a power cut.
                std::process::abort();
            }
            response
        })
    }
}

/// Leases and events are no steps of a database's life.
fn counts<B>(request: &Request<B>) -> bool {
    let read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let path = request.uri().path();
    !(read || path.contains("/leases") || path.contains("/events") || path.contains("/authorization.k8s.io/"))
}
