//! What etcd is told to do, through its JSON gateway.

use serde::Deserialize;
use serde_json::json;

use super::member::url;
use crate::{
    engine::{HttpReply, HttpRequest, Method, Refused},
    plan::command::Wish,
};

/// A wish as a request. Identities go as decimal numbers in text, which is how the gateway has them.
pub fn command(wish: &Wish) -> HttpRequest {
    let (path, body) = match wish {
        Wish::HandOver { to } => ("maintenance/transfer-leadership", json!({ "targetID": decimal(to) })),
        Wish::Join { peer } => ("cluster/member/add", json!({ "peerURLs": [url(peer)], "isLearner": true })),
        Wish::Promote { member } => ("cluster/member/promote", json!({ "ID": decimal(member) })),
        Wish::Leave { member } => ("cluster/member/remove", json!({ "ID": decimal(member) })),
        Wish::Move { member, peer } => {
            ("cluster/member/update", json!({ "ID": decimal(member), "peerURLs": [url(peer)] }))
        }
    };
    HttpRequest { method: Method::Post, path: format!("/v3/{path}"), body: body.to_string() }
}

/// Whether etcd did as it was told.
pub fn obeyed(reply: &HttpReply) -> Result<(), Refused> {
    if reply.status == 200 {
        return Ok(());
    }
    let said = serde_json::from_str(&reply.body).ok().map(|Said { message }| message).filter(|said| !said.is_empty());
    Err(Refused(said.unwrap_or_else(|| format!("HTTP {}", reply.status))))
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
}

fn decimal(id: &str) -> String {
    u64::from_str_radix(id, 16).map_or_else(|_| id.to_owned(), |id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_said_as_the_gateway_understands_them() {
        let id = || "8e081189572e0458".to_owned();
        for (wish, path, body) in [
            (
                Wish::HandOver { to: id() },
                "/v3/maintenance/transfer-leadership",
                r#"{"targetID":"10234449434770277464"}"#,
            ),
            (
                Wish::Join { peer: "h:2380".into() },
                "/v3/cluster/member/add",
                r#"{"isLearner":true,"peerURLs":["http://h:2380"]}"#,
            ),
            (Wish::Promote { member: id() }, "/v3/cluster/member/promote", r#"{"ID":"10234449434770277464"}"#),
            (Wish::Leave { member: id() }, "/v3/cluster/member/remove", r#"{"ID":"10234449434770277464"}"#),
            (
                Wish::Move { member: id(), peer: "h:2380".into() },
                "/v3/cluster/member/update",
                r#"{"ID":"10234449434770277464","peerURLs":["http://h:2380"]}"#,
            ),
        ] {
            let request = command(&wish);
            assert_eq!((request.path.as_str(), request.body.as_str()), (path, body));
        }
    }

    #[test]
    fn a_refusal_is_told_in_etcds_own_words() {
        let reply = |status, body: &str| HttpReply { status, body: body.to_owned() };
        assert_eq!(obeyed(&reply(200, "{}")), Ok(()));
        for (body, words) in [
            (r#"{"error":"e","code":9,"message":"etcdserver: unhealthy cluster"}"#, "etcdserver: unhealthy cluster"),
            ("<html>", "HTTP 503"),
        ] {
            assert_eq!(obeyed(&reply(503, body)), Err(Refused(words.to_owned())));
        }
    }
}
