use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

fn retry_after(text: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())])
}

#[test]
fn what_sight_hangs_on_is_told_from_work() {
    for (path, lane) in [
        ("/api/v1/namespaces/kube-system", Lane::Probe),
        ("/api/v1/namespaces/kube-system/pods?limit=250", Lane::Call),
        ("/api/v1/pods?labelSelector=a&limit=250", Lane::View),
        ("/api/v1/pods?labelSelector=a&watch=true", Lane::View),
        ("/api/v1/pods?labelSelector=a%2Catoll.dev%2Fname%3Detcd&limit=250", Lane::Call),
        ("/apis/batch/v1/jobs?watch=true", Lane::View),
        ("/api/v1/namespaces/default/pods?limit=250", Lane::Call),
        ("/version", Lane::Call),
    ] {
        assert_eq!(Lane::of(&get(path)), lane, "{path}");
    }
    let create = Request::post("/api/v1/namespaces/default/pods").body(()).unwrap();
    assert_eq!(Lane::of(&create), Lane::Call);
    let forward = Request::get("/api/v1/namespaces/default/pods/a/portforward").header(header::UPGRADE, "websocket");
    assert_eq!(Lane::of(&forward.body(()).unwrap()), Lane::Stream);
}

#[test]
fn a_watch_is_bounded_by_its_events_and_all_else_as_a_whole() {
    assert_eq!(Lane::View.bound("watch=true&timeoutSeconds=290"), Bound::EVENT);
    for lane in [Lane::View, Lane::Call, Lane::Probe] {
        assert_eq!(lane.bound("limit=250"), Bound::ANSWER, "{lane:?}");
    }
    assert_eq!(Lane::Stream.bound(""), Bound::Unbounded);
}

#[tokio::test(start_paused = true)]
async fn a_burst_goes_at_once_and_the_rest_at_its_pace() {
    let (limits, begun) = (Limits::default(), Instant::now());
    for _ in 0..REQUESTS_AT_ONCE {
        limits.admit(Lane::Call).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for _ in 0..10 {
        limits.admit(Lane::Call).await.unwrap();
    }
    assert_eq!(begun.elapsed(), REQUEST_EVERY * 10);
    advance(REQUEST_EVERY * 1000).await;
    let later = Instant::now();
    for _ in 0..REQUESTS_AT_ONCE {
        limits.admit(Lane::Call).await.unwrap();
    }
    assert_eq!(later.elapsed(), Duration::ZERO, "what was not used is there again, and no more than that");
    limits.admit(Lane::Call).await.unwrap();
    assert_eq!(later.elapsed(), REQUEST_EVERY);
}

#[tokio::test(start_paused = true)]
async fn whoever_would_wait_too_long_is_told_at_once_and_costs_nobody_a_turn() {
    let limits = Arc::new(Limits::default());
    let waiting: Vec<_> = (0..1000)
        .map(|_| {
            let limits = limits.clone();
            tokio::spawn(async move { limits.turn().await })
        })
        .collect();
    let mut refused = 0;
    for asked in waiting {
        refused += u32::from(asked.await.unwrap() == Err(Refusal::Crowded));
    }
    let most = REQUESTS_AT_ONCE + u32::try_from(TURN.as_millis() / REQUEST_EVERY.as_millis()).unwrap();
    assert_eq!(refused, 1000 - most);
    assert_eq!(limits.turn().await, Ok(()), "they have had their turns; nobody waits behind those who were refused");
}

#[tokio::test(start_paused = true)]
async fn a_probe_and_a_watch_wait_for_no_work() {
    let limits = Limits::default();
    let mut in_flight = Vec::new();
    for _ in 0..IN_FLIGHT {
        in_flight.push(limits.admit(Lane::Call).await.unwrap());
    }
    let (begun, full) = (Instant::now(), tokio::time::timeout(SECOND, limits.admit(Lane::Call)));
    assert!(full.await.is_err(), "no more than {IN_FLIGHT} at a time");
    while limits.pace().requests.take(Instant::now(), TURN).is_some() {}
    for lane in [Lane::Probe, Lane::View] {
        limits.admit(lane).await.unwrap();
    }
    assert_eq!(begun.elapsed(), SECOND, "only the call has waited");
    advance(TURN * 2).await;
    in_flight.pop();
    limits.admit(Lane::Call).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_worker_is_left_alone_as_long_as_it_asks_but_not_for_an_hour() {
    for (asked, left_alone) in [("3", 3), ("3600", 15), ("99999999999999999999999", 0), ("soon", 0), ("0", 0)] {
        let limits = Limits::default();
        limits.heed(Instant::now(), StatusCode::TOO_MANY_REQUESTS, &retry_after(asked));
        assert_eq!(limits.held(), SECOND * left_alone, "{asked}");
    }
    let limits = Limits::default();
    limits.heed(Instant::now(), StatusCode::OK, &retry_after("3"));
    assert_eq!(limits.held(), Duration::ZERO, "only 429 means that");
}

#[tokio::test(start_paused = true)]
async fn while_it_is_left_alone_work_is_refused_at_once_a_watch_waits_and_a_probe_goes() {
    let limits = Limits::default();
    limits.heed(Instant::now(), StatusCode::TOO_MANY_REQUESTS, &retry_after("3"));
    limits.heed(Instant::now(), StatusCode::TOO_MANY_REQUESTS, &retry_after("1"));
    let begun = Instant::now();
    assert_eq!(limits.admit(Lane::Call).await.unwrap_err(), Refusal::Held(SECOND * 3));
    assert_eq!(limits.admit(Lane::Stream).await.unwrap_err(), Refusal::Held(SECOND * 3));
    limits.admit(Lane::Probe).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    limits.admit(Lane::View).await.unwrap();
    assert!(begun.elapsed() >= SECOND * 3);
    limits.admit(Lane::Call).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn connections_are_opened_a_second_apart() {
    let (limits, begun) = (Limits::default(), Instant::now());
    for _ in 0..4 {
        limits.connection().await;
    }
    assert_eq!(begun.elapsed(), timing::CONNECT_EVERY * 3);
}
