//! The connection to a worker, against real sockets. What takes seconds here takes them by its nature.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use http::Version;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client, api::WatchParams};
use tokio::time::{Instant, timeout};

use super::{
    bounded::TooLarge,
    connect::Connection,
    contact::identity,
    fault::{Fault, call},
    limits::{Limits, Refusal},
    timing,
    wire::Protocol,
    wire_testing::{LONG, Server, Way},
};

const BOTH: &[&str] = &["h2", "http/1.1"];

fn connect(server: &Server) -> Connection {
    server.connect(&Arc::new(Limits::default()))
}

fn pods(client: &Client) -> Api<Pod> {
    Api::namespaced(client.clone(), "default")
}

async fn answers(client: &Client) -> bool {
    identity(client, LONG).await.is_ok_and(|uid| uid.as_str() == "uid-1")
}

/// A watch that has begun; says how it ended.
async fn watch(client: &Client) -> tokio::task::JoinHandle<Option<Fault>> {
    let pods: Api<Pod> = Api::all(client.clone());
    let stream = call(pods.watch(&WatchParams::default(), "1")).await.expect("a watch");
    let mut stream = Box::pin(stream);
    stream.next().await.expect("a bookmark").expect("a bookmark");
    tokio::spawn(async move {
        match stream.next().await {
            Some(Err(error)) => Some(error.into()),
            Some(Ok(_)) | None => None,
        }
    })
}

#[tokio::test]
async fn four_watches_and_all_requests_share_one_connection() {
    let server = Server::start(BOTH).await;
    let Connection { client, spoken } = connect(&server);
    assert_eq!(spoken.protocol(), None);
    // At once: none of them finds a connection.
    let asked = futures::future::join_all((0..10).map(|_| answers(&client))).await;
    assert!(asked.iter().all(|answered| *answered), "{asked:?}");
    let mut watches = Vec::new();
    for _ in 0..4 {
        watches.push(watch(&client).await);
    }
    assert!(answers(&client).await);
    assert_eq!(server.connections(), 1);
    assert_eq!(spoken.protocol(), Some(Protocol::Http2));
    assert!(watches.iter().all(|watch| !watch.is_finished()));
    assert!(server.requests().iter().all(|(version, _)| *version == Version::HTTP_2));
}

#[tokio::test]
async fn an_api_server_that_speaks_http1_only_is_served_and_said_to() {
    for alpn in [&["http/1.1"][..], &[]] {
        let server = Server::start(alpn).await;
        let Connection { client, spoken } = connect(&server);
        assert!(answers(&client).await);
        let _watch = watch(&client).await;
        assert!(answers(&client).await);
        assert_eq!(spoken.protocol(), Some(Protocol::Http1));
        assert_eq!(Protocol::Http1.watch_seconds(), timing::WATCH_SECONDS_HTTP1);
    }
}

#[tokio::test]
async fn a_port_forward_has_its_own_connection_of_http1() {
    let server = Server::start(BOTH).await;
    let Connection { client, spoken } = connect(&server);
    assert!(answers(&client).await);
    assert_eq!(server.connections(), 1, "none is opened before it is needed");
    assert!(pods(&client).portforward("a", &[1]).await.is_err(), "the test's server forwards nothing");
    let asked = server.requests().pop().expect("a request");
    assert_eq!(asked, (Version::HTTP_11, "/api/v1/namespaces/default/pods/a/portforward".to_owned()));
    assert!(answers(&client).await);
    assert_eq!((server.connections(), spoken.protocol()), (2, Some(Protocol::Http2)));
}

#[tokio::test]
async fn a_connection_that_no_longer_answers_a_ping_is_dropped_with_all_that_goes_over_it() {
    let server = Server::start(BOTH).await;
    let Connection { client, .. } = connect(&server);
    let quiet = watch(&client).await;
    server.way(Way::BlackHole);
    let cut = Instant::now();
    let ended = timeout(timing::PING_EVERY + timing::PING_DEADLINE + Duration::from_secs(1), quiet).await;
    let fault = ended.expect("a quiet watch ends in time").expect("no panic").expect("and says why");
    assert!(matches!(fault, Fault::Unreachable(_)), "{fault:?}");
    assert!(cut.elapsed() > timing::PING_DEADLINE, "an answer may take its time: {:?}", cut.elapsed());
    server.way(Way::Open);
    assert!(answers(&client).await, "a new connection is opened");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up_in_time() {
    let server = Server::start(BOTH).await;
    server.way(Way::BlackHole);
    let Connection { client, .. } = connect(&server);
    let begun = Instant::now();
    let fault = identity(&client, LONG).await.expect_err("no answer");
    assert_eq!(fault, Fault::Unreachable("no connection within 5 s".to_owned()));
    assert!(begun.elapsed() < timing::CONNECT_DEADLINE + Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_ends_every_connection_is_not_knocked_at_all_the_time() {
    let server = Server::start(BOTH).await;
    server.way(Way::EndsAtOnce);
    let limits = Arc::new(Limits::default());
    let knock = async {
        loop {
            // Another connection each time, as for one life after the other: they are the same worker's.
            let Connection { client, .. } = server.connect(&limits);
            assert!(!answers(&client).await);
        }
    };
    let most = Duration::from_millis(2_500);
    assert!(timeout(most, knock).await.is_err());
    assert_eq!(server.connections(), 3, "one at once, and one each second");
}

#[tokio::test]
async fn what_asks_to_leave_is_left_and_answers_what_it_was_asked() {
    let server = Server::start(BOTH).await;
    let Connection { client, .. } = connect(&server);
    let before = watch(&client).await;
    server.say_goodbye();
    for number in 0..5 {
        assert!(answers(&client).await, "request {number}");
    }
    assert_eq!(server.connections(), 2, "the old one and the new one");
    assert!(!before.is_finished(), "a watch that runs on the old one goes on there");
}

#[tokio::test]
async fn an_hour_of_retry_after_holds_back_work_for_moments_and_a_probe_not_at_all() {
    let server = Server::start(BOTH).await;
    let limits = Arc::new(Limits::default());
    let Connection { client, .. } = server.connect(&limits);
    let told = call(pods(&client).get("busy")).await.expect_err("429");
    assert_eq!(told.status().map(|status| status.code), Some(429));
    let begun = Instant::now();
    let held = call(pods(&client).get("a")).await.expect_err("held back");
    assert!(matches!(held, Fault::Held(Refusal::Held(left)) if left <= timing::RETRY_AFTER_MOST), "{held:?}");
    assert!(answers(&client).await);
    assert!(begun.elapsed() < Duration::from_secs(1), "nobody has slept: {:?}", begun.elapsed());
    assert_eq!(server.requests().len(), 2, "what is held back is not sent");
}

#[tokio::test]
async fn answers_without_end_are_cut_off_with_a_name() {
    let server = Server::start(BOTH).await;
    let Connection { client, .. } = connect(&server);
    let whole = call(pods(&client).get("endless")).await.expect_err("too much");
    assert!(matches!(whole, Fault::TooLarge(TooLarge::Answer(_))), "{whole:?}");
    let services: Api<Service> = Api::all(client.clone());
    let stream = call(services.watch(&WatchParams::default(), "1")).await.expect("a watch");
    let ended = timeout(LONG, Box::pin(stream).next()).await.expect("it ends").expect("an error").map(|_| ());
    let event: Fault = ended.expect_err("too much").into();
    assert!(matches!(event, Fault::TooLarge(TooLarge::Event(_))), "{event:?}");
    assert!(answers(&client).await, "the connection is as good as before");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn sixty_requests_at_once_are_thirty_two_at_a_time_and_all_answered() {
    let server = Server::start(BOTH).await;
    let Connection { client, .. } = connect(&server);
    let asked = futures::future::join_all((0..60).map(|number| {
        let pods = pods(&client);
        async move { call(pods.get(&format!("p{number}"))).await }
    }));
    for answer in asked.await {
        assert!(answer.expect_err("404").is_not_found());
    }
    assert_eq!(server.connections(), 1);
}
