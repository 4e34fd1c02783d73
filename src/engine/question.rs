//! Questions to members, as data: `admin` carries them, whichever protocol they need.

use serde::{Deserialize, Serialize};

use crate::plan::name::MemberName;

/// What one member is asked. All requests go the same way, so that all replies come from the same process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who is asked.
    pub member: MemberName,
    /// The port that answers.
    pub port: u16,
    /// What is asked.
    pub exchange: Exchange,
}

/// A protocol and the requests in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Plain HTTP, one request after another.
    Http(Vec<HttpRequest>),
}

/// One HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The path, from `/`.
    pub path: String,
    /// The body; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

/// The HTTP methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
}

/// One HTTP reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// The body, at most 64 KiB of it.
    pub body: String,
}
