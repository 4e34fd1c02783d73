use std::time::{Duration, Instant};

use super::*;
use crate::admin::testing::{Server, black_hole, ok};

fn get(path: &str) -> HttpRequest {
    HttpRequest { method: Method::Get, path: path.to_owned(), body: String::new() }
}

fn post(path: &str, body: &str) -> HttpRequest {
    HttpRequest { method: Method::Post, path: path.to_owned(), body: body.to_owned() }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(500))
}

#[tokio::test]
async fn requests_go_over_one_connection_in_order() {
    let server = Server::start(ok).await;
    let requests = [post("/a", r#"{"n":1}"#), get("/b")];
    let replies = ask(&server.address(), &requests, soon()).await.expect("replies");
    assert_eq!(replies.len(), 2);
    assert!(replies[0].body.starts_with("POST /a HTTP/1.1") && replies[0].body.ends_with(r#"{"n":1}"#));
    assert!(replies[1].body.starts_with("GET /b HTTP/1.1"));
    assert!(replies[0].body.to_lowercase().contains("content-type: application/json"), "{}", replies[0].body);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_status_is_handed_on_and_a_redirect_is_not_followed() {
    let server =
        Server::start(|_| "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 2\r\n\r\nno".into()).await;
    let replies = ask(&server.address(), &[get("/")], soon()).await.expect("a reply");
    assert_eq!((replies[0].status, replies[0].body.as_str()), (302, "no"));
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_reply_that_does_not_come_is_missing_at_the_end() {
    let server = Server::start(|request| if request.contains("/slow") { String::new() } else { ok("fast") }).await;
    let replies = ask(&server.address(), &[get("/fast"), get("/slow"), get("/fast")], soon()).await.expect("one");
    assert_eq!(replies, [HttpReply { status: 200, body: "fast".into() }]);
    let silence = ask(&server.address(), &[get("/slow"), get("/fast")], soon()).await.expect_err("none");
    assert!(matches!(silence, Silence::Late { .. }), "{silence}");
}

#[tokio::test]
async fn a_black_hole_is_given_up_at_the_deadline() {
    let (address, _listener) = black_hole().await;
    let started = Instant::now();
    let silence = ask(&address, &[get("/")], Deadline::after(Duration::from_secs(1))).await.expect_err("nobody");
    assert!(matches!(silence, Silence::Late { .. }), "{silence}");
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_whether_or_not_it_is_announced() {
    let body = "x".repeat(BODY_LIMIT + 1);
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for reply in [ok(&body), chunked] {
        let server = Server::start(move |_| reply.clone()).await;
        let silence = ask(&server.address(), &[get("/")], soon()).await.expect_err("too large");
        assert!(matches!(silence, Silence::TooLarge { limit: BODY_LIMIT }), "{silence}");
    }
    let server = Server::start(move |_| ok(&"x".repeat(BODY_LIMIT))).await;
    assert_eq!(ask(&server.address(), &[get("/")], soon()).await.expect("fits")[0].body.len(), BODY_LIMIT);
}

#[tokio::test]
async fn nobody_and_somebody_who_speaks_no_http_are_told_apart() {
    let gone = Server::start(|_| String::new()).await.stop().await;
    let silence = ask(&gone, &[get("/")], soon()).await.expect_err("nobody");
    assert!(matches!(silence, Silence::Unreachable(_)), "{silence}");
    let server = Server::start(|_| "SSH-2.0-OpenSSH_9.2\r\n".into()).await;
    let silence = ask(&server.address(), &[get("/")], soon()).await.expect_err("not HTTP");
    assert!(matches!(silence, Silence::Broken(_)), "{silence}");
}
