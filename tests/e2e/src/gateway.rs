//! etcd's JSON gateway, as far as a client of a test needs it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::{Outcome, Trouble, ensure};

/// Speaks to members at `host:port`.
pub struct Gateway(Client<HttpConnector, Full<hyper::body::Bytes>>);

impl Default for Gateway {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

impl Gateway {
    async fn post(&self, endpoint: &str, path: &str, body: &Value) -> Outcome<Value> {
        let trouble = |error: &dyn std::fmt::Display| Trouble::new(format!("{endpoint}: {error}"));
        let request = http::Request::post(format!("http://{endpoint}{path}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::from(body.to_string()))
            .map_err(|error| trouble(&error))?;
        let reply = self.0.request(request).await.map_err(|error| trouble(&error))?;
        let status = reply.status();
        let body = reply.into_body().collect().await.map_err(|error| trouble(&error))?.to_bytes();
        ensure!(status.is_success(), "{endpoint} answers {status}");
        Ok(serde_json::from_slice(&body)?)
    }

    /// Sets a key to a number, unless it has this or a higher one: what comes late overwrites nothing.
    pub async fn advance(&self, endpoint: &str, key: &str, number: u64) -> Outcome {
        let (key, value) = (STANDARD.encode(key), STANDARD.encode(format!("{number:020}")));
        let put = json!({ "requestPut": { "key": key, "value": value } });
        let lower = json!({ "key": key, "target": "VALUE", "result": "LESS", "value": value });
        let absent = json!({ "key": key, "target": "VERSION", "result": "EQUAL", "version": "0" });
        for compare in [lower, absent] {
            let body = json!({ "compare": [compare], "success": [put] });
            if self.post(endpoint, "/v3/kv/txn", &body).await?["succeeded"] == true {
                return Ok(());
            }
        }
        Err(Trouble::new(format!("{endpoint} has a higher number already")))
    }

    /// What a majority agrees on; 0 if the key is not there.
    pub async fn read(&self, endpoint: &str, key: &str) -> Outcome<u64> {
        let said = self.post(endpoint, "/v3/kv/range", &json!({ "key": STANDARD.encode(key) })).await?;
        let Some(value) = said["kvs"][0]["value"].as_str() else { return Ok(0) };
        let text = String::from_utf8(STANDARD.decode(value).unwrap_or_default()).unwrap_or_default();
        text.parse().map_err(|_| Trouble::new(format!("{endpoint} has {text:?} for {key}")))
    }

    /// Where clients reach the members that vote.
    pub async fn clients(&self, endpoint: &str) -> Outcome<Vec<String>> {
        let said = self.post(endpoint, "/v3/cluster/member/list", &json!({})).await?;
        let members = said["members"].as_array().cloned().unwrap_or_default();
        let voters = members.iter().filter(|member| member["isLearner"] != true);
        let urls = voters.filter_map(|member| member["clientURLs"][0].as_str());
        Ok(urls.map(|url| url.trim_start_matches("http://").to_owned()).collect())
    }
}
