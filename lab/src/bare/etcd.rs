//! The two questions that a server's etcd is asked, by its JSON gateway.

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::{Context, Error, Result};

/// Forgets all versions before the present one.
pub(super) async fn compact(server: &str, ip: Ipv4Addr) -> Result<()> {
    let failed = |reason: String| Error::Api { cluster: server.to_owned(), request: "a compaction".to_owned(), reason };
    // A key is asked for in base64; this one is a zero byte, and there is none.
    let present = post(ip, "/v3/kv/range", &json!({ "key": "AA==" })).await?;
    let revision = present["header"]["revision"].as_str().ok_or_else(|| failed(present.to_string()))?;
    let done = post(ip, "/v3/kv/compaction", &json!({ "revision": revision, "physical": true })).await?;
    // Compacted already is as good: nothing was written in between.
    let well = done["header"].is_object() || done.to_string().contains("has been compacted");
    if well { Ok(()) } else { Err(failed(done.to_string())) }
}

/// HTTP/1.0, so that the answer is not chunked and ends with the connection.
async fn post(ip: Ipv4Addr, path: &str, body: &Value) -> Result<Value> {
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: {ip}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect((ip, 2379)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = exchange.await.or_cannot(|| format!("ask etcd at {ip} for {path}"))?;
    let text = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(text).map_err(|error| Error::Api {
        cluster: ip.to_string(),
        request: path.to_owned(),
        reason: format!("no JSON came back ({error}): {answer}"),
    })
}
