//! The lease against an API server in memory, in virtual time.

use std::{
    sync::Mutex,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// One Lease, as an API server keeps it: versions, 404 and 409 included.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    lease: Option<Value>,
    version: u64,
    writes: usize,
    /// Answers nothing any more.
    cut: bool,
    /// Does what it is asked for, but the answer to this many next writes is lost.
    mute: usize,
}

impl Server {
    fn client(&self) -> Client {
        Client::new(self.clone(), "atoll-system")
    }

    fn lease(&self, name: &str) -> Lease {
        Lease::with(&self.client(), "atoll-system", "atoll", Identity(name.to_owned()), Times::default())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn holder(&self) -> Option<String> {
        self.with(|store| store.lease.as_ref()?["spec"]["holderIdentity"].as_str().map(str::to_owned))
    }

    /// Somebody else writes.
    fn write(&self, holder: &str) {
        self.with(|store| {
            store.version += 1;
            store.lease = Some(json!({
                "metadata": {"name": "atoll", "resourceVersion": store.version.to_string()},
                "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 4},
            }));
        });
    }
}

impl tower::Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let answer = server.with(|store| store.answer(&parts.method, serde_json::from_slice(&bytes).ok()));
            match answer {
                Some((code, body)) => {
                    Ok(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap())
                }
                None => std::future::pending().await,
            }
        })
    }
}

impl Store {
    fn answer(&mut self, method: &Method, body: Option<Value>) -> Option<(u16, Value)> {
        if self.cut {
            return None;
        }
        let refused = |code: u16, reason: &str| {
            (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}))
        };
        if method == Method::GET {
            return Some(self.lease.clone().map_or_else(|| refused(404, "NotFound"), |lease| (200, lease)));
        }
        let mut body = body?;
        let versions = (self.lease.as_ref().map(|lease| &lease["metadata"]["resourceVersion"]), method);
        match versions {
            (Some(_), &Method::POST) => return Some(refused(409, "AlreadyExists")),
            (None, &Method::PUT) => return Some(refused(404, "NotFound")),
            (Some(version), &Method::PUT) if *version != body["metadata"]["resourceVersion"] => {
                return Some(refused(409, "Conflict"));
            }
            _ => {}
        }
        self.version += 1;
        self.writes += 1;
        body["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(body.clone());
        if self.mute > 0 {
            self.mute -= 1;
            return None;
        }
        Some((if method == Method::POST { 201 } else { 200 }, body))
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Leads until `stop` has passed; the gate is looked at each half second, and the moments at which it was open returned.
async fn led(lease: Lease, stop: Duration) -> (Ended, Vec<Duration>) {
    let start = Instant::now();
    let open = Mutex::new(Vec::new());
    let ended = lease
        .lead(sleep(stop), &Metrics::new(), |gate| async {
            let gate = gate;
            // Work that is told to stop comes to its end by itself.
            while start.elapsed() <= stop {
                if gate.check().is_ok() {
                    open.lock().unwrap().push(start.elapsed());
                }
                sleep(Duration::from_millis(500)).await;
            }
        })
        .await;
    (ended, open.into_inner().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_lone_instance_leads_at_once_renews_and_lets_go() {
    let server = Server::default();
    let (ended, open) = led(server.lease("a"), seconds(60)).await;
    assert_eq!(ended, Ended::Stopped);
    assert!(open.first().unwrap() < &seconds(1));
    assert!(open.len() >= 119, "the gate never closed in between: {}", open.len());
    assert_eq!(server.holder(), None);
    // One at first, one each five seconds, one to let go.
    let writes = server.with(|store| store.writes);
    assert!((12..=14).contains(&writes), "{writes}");
}

#[tokio::test(start_paused = true)]
async fn after_a_release_the_next_takes_over_at_once() {
    let server = Server::default();
    let (first, second) = (server.lease("a"), server.lease("b"));
    let ((_, first), (_, second)) = tokio::join!(led(first, seconds(20)), led(second, seconds(60)));
    assert!(first.last().unwrap() < second.first().unwrap());
    assert!(second.first().unwrap() <= &seconds(22), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_the_next_takes_over_within_the_duration_and_one_look() {
    let server = Server::default();
    let dying = server.lease("a");
    let killed = seconds(31);
    let ((), (_, open)) = tokio::join!(
        async {
            // A dropped future sends nothing more, as a killed process.
            let _ = timeout(killed, led(dying, seconds(600))).await;
        },
        async {
            sleep(seconds(1)).await;
            led(server.lease("b"), seconds(90)).await
        },
    );
    let taken = *open.first().unwrap() + seconds(1);
    assert!(taken > killed && taken <= killed + Times::default().duration + seconds(1), "{taken:?}");
    let transitions = server.with(|store| store.lease.as_ref().unwrap()["spec"]["leaseTransitions"].clone());
    assert_eq!(transitions, 1);
}

#[tokio::test(start_paused = true)]
async fn cut_off_it_stops_writing_before_another_may_start_and_ends() {
    let server = Server::default();
    let cut = async {
        sleep(seconds(12)).await;
        server.with(|store| store.cut = true);
    };
    let ((ended, open), ()) = tokio::join!(led(server.lease("a"), seconds(600)), cut);
    assert_eq!(ended, Ended::Lost);
    // The last renewal was at ten seconds: others wait until twenty-five.
    assert!(open.last().unwrap() < &seconds(20), "{:?}", open.last());
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_does_no_harm() {
    let server = Server::default();
    let cut = async {
        sleep(seconds(12)).await;
        server.with(|store| store.cut = true);
        sleep(seconds(5)).await;
        server.with(|store| store.cut = false);
    };
    let ((ended, open), ()) = tokio::join!(led(server.lease("a"), seconds(60)), cut);
    assert_eq!(ended, Ended::Stopped);
    assert!(open.len() >= 119);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_was_lost_is_seen_as_ours() {
    let server = Server::default();
    let mute = async {
        sleep(seconds(12)).await;
        server.with(|store| store.mute = 1);
    };
    let ((ended, open), ()) = tokio::join!(led(server.lease("a"), seconds(60)), mute);
    assert_eq!(ended, Ended::Stopped);
    assert!(open.len() >= 119);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_replaced_ends_at_its_next_renewal() {
    let server = Server::default();
    let usurped = async {
        sleep(seconds(12)).await;
        server.write("other");
    };
    let ((ended, open), ()) = tokio::join!(led(server.lease("a"), seconds(600)), usurped);
    assert_eq!(ended, Ended::Lost);
    assert!(open.last().unwrap() <= &seconds(15));
    assert_eq!(server.holder().as_deref(), Some("other"), "what is another's is not released");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_again() {
    let server = Server::default();
    let deleted = async {
        sleep(seconds(12)).await;
        server.with(|store| store.lease = None);
        sleep(seconds(6)).await;
        assert_eq!(server.holder().as_deref(), Some("a"));
    };
    let ((ended, _), ()) = tokio::join!(led(server.lease("a"), seconds(60)), deleted);
    assert_eq!(ended, Ended::Stopped);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_start_together_exactly_one_leads_at_any_time() {
    let server = Server::default();
    let ((_, first), (_, second)) =
        tokio::join!(led(server.lease("a"), seconds(50)), led(server.lease("b"), seconds(50)));
    assert!(first.is_empty() != second.is_empty(), "{} and {}", first.len(), second.len());
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_is_stopped_leaves_the_lease_alone() {
    let server = Server::default();
    server.write("other");
    let (ended, open) = led(server.lease("a"), seconds(3)).await;
    assert_eq!((ended, open.len()), (Ended::Stopped, 0));
    assert_eq!(server.holder().as_deref(), Some("other"));
}

#[test]
fn a_process_has_a_name_of_its_own() {
    let name = identity().0;
    assert!(!name.is_empty() && !name.contains(char::is_whitespace), "{name:?}");
}
