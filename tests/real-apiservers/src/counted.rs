//! The controller's connections, as they are written down, and counted until a life ends at one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use atoll::{
    plan::name::WorkerName,
    worker::{
        connect::{Connect, ConnectError, Connection, KubeConnect},
        kubeconfig::Credentials,
        limits::Limits,
    },
};
use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use simulation::{
    countdown::Countdown,
    tape::{Answer, Call, Event, Life, Site, Tape},
};
use tokio_util::sync::CancellationToken;
use tower::BoxError;

/// Steps of all lives: what is neither read, lease nor event. Cheap to clone, the same behind all clones.
#[derive(Clone, Default)]
pub struct Steps(Arc<Counts>);

#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    made: AtomicU64,
    until_death: Countdown,
}

impl Steps {
    /// The life that makes the last of so many steps ends right after it.
    pub fn end_after(&self, steps: u64) {
        self.0.until_death.begin(steps);
    }

    /// How many were made so far.
    pub fn made(&self) -> u64 {
        self.0.made.load(Ordering::SeqCst)
    }

    /// Counts one. Whether it was the last.
    fn count(&self) -> bool {
        self.0.made.fetch_add(1, Ordering::SeqCst);
        self.0.until_death.is_over()
    }
}

/// What one life does is written down and counted here.
#[derive(Clone)]
pub struct Ledger {
    /// Whose.
    pub life: Life,
    /// Where.
    pub tape: Tape,
    /// All lives' steps.
    pub steps: Steps,
    /// Ends this life.
    pub end: CancellationToken,
}

impl Ledger {
    /// The same connection, with all that is sent by it in this ledger.
    pub fn keep(&self, client: Client, site: impl Into<Site>) -> Client {
        let namespace = client.default_namespace().to_owned();
        Client::new(Counted { client, site: site.into(), ledger: self.clone() }, namespace)
    }
}

/// Connects to workers as the product does.
pub struct Connecting {
    /// The product's own way.
    pub by: KubeConnect,
    /// Where it is written down.
    pub ledger: Ledger,
}

impl Connect for Connecting {
    fn connect(
        &self,
        worker: &WorkerName,
        credentials: &Credentials,
        limits: &Arc<Limits>,
    ) -> Result<Connection, ConnectError> {
        let connection = self.by.connect(worker, credentials, limits)?;
        Ok(Connection { client: self.ledger.keep(connection.client, worker.as_str()), ..connection })
    }
}

#[derive(Clone)]
struct Counted {
    client: Client,
    site: Site,
    ledger: Ledger,
}

impl tower::Service<Request<Body>> for Counted {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { client, site, ledger } = self.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let request = Request::from_parts(parts, body);
            let number = ledger.steps.0.calls.fetch_add(1, Ordering::Relaxed);
            let call = Arc::new(Call::of(number, ledger.life, site, &request));
            // The lease is renewed all the time, and by itself of no interest.
            let telling = call.is_write() && !call.path.contains("/leases/");
            if telling {
                ledger.tape.note(Event::Sent(call.clone()));
            }
            let answered = client.send(request.map(Body::from)).await;
            let answer = answered.as_ref().map_or(Answer::Refused, |reply| Answer::Code(reply.status().as_u16()));
            if telling || !matches!(answer, Answer::Code(200)) {
                ledger.tape.note(Event::Answered(call.clone(), answer));
            }
            if call.is_step() && matches!(answer, Answer::Code(..400)) && ledger.steps.count() {
                ledger.tape.note(Event::Controller(ledger.life, "dies of its last step"));
                ledger.end.cancel();
                // It never hears of it.
                return std::future::pending().await;
            }
            answered.map_err(BoxError::from)
        }
        .boxed()
    }
}
