//! Plain HTTP/1.1, one connection for one question: small bodies, no redirects, never beyond the deadline.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Deadline, Silence};
use crate::engine::{HttpReply, HttpRequest, Method};

/// The most that is read of one body.
pub(super) const BODY_LIMIT: usize = 64 * 1024;

/// Asks whoever listens at `host:port`.
pub(super) async fn ask(
    address: &str,
    requests: &[HttpRequest],
    deadline: Deadline,
) -> Result<Vec<HttpReply>, Silence> {
    let stream =
        deadline.bound(TcpStream::connect(address)).await?.map_err(|error| Silence::Unreachable(error.to_string()))?;
    converse(stream, address, requests, deadline).await
}

/// Asks over a stream that leads to the server already. Replies that do not come in time are missing at the end.
pub(super) async fn converse<S>(
    stream: S,
    host: &str,
    requests: &[HttpRequest],
    deadline: Deadline,
) -> Result<Vec<HttpReply>, Silence>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        deadline.bound(handshake(TokioIo::new(stream))).await?.map_err(|error| broken(&error))?;
    // The connection ends with the question, also when nobody waits for the outcome any more.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut replies = Vec::with_capacity(requests.len());
    for request in requests {
        match deadline.bound(exchange(&mut sender, host, request)).await.flatten() {
            Ok(reply) => replies.push(reply),
            Err(silence @ (Silence::TooLarge { .. } | Silence::Unaskable(_))) => return Err(silence),
            Err(silence) if replies.is_empty() => return Err(silence),
            Err(_) => break,
        }
    }
    Ok(replies)
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    host: &str,
    request: &HttpRequest,
) -> Result<HttpReply, Silence> {
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
    };
    let request = Request::builder()
        .method(method)
        .uri(&request.path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "atoll")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(request.body.clone()))
        .map_err(|error| Silence::Unaskable(error.to_string()))?;
    sender.ready().await.map_err(|error| broken(&error))?;
    let reply = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = reply.status().as_u16();
    let body = Limited::new(reply.into_body(), BODY_LIMIT).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Silence::TooLarge { limit: BODY_LIMIT }
        } else {
            Silence::Broken(error.to_string())
        }
    })?;
    Ok(HttpReply { status, body: String::from_utf8_lossy(&body.to_bytes()).into_owned() })
}

fn broken(error: &hyper::Error) -> Silence {
    Silence::Broken(error.to_string())
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
