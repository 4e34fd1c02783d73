//! An API server, asked by code that blocks. As another user than Atoll, so that audit logs tell them apart.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use kube::Client;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{Outcome, Trouble};

const DEADLINE: Duration = Duration::from_secs(10);

/// One cluster's API server.
#[derive(Clone)]
pub struct Rest {
    cluster: String,
    runtime: Arc<Runtime>,
    client: Client,
}

impl Rest {
    /// A connection with this kubeconfig.
    pub fn new(cluster: &str, kubeconfig: &str, runtime: &Arc<Runtime>) -> Outcome<Self> {
        let bad = |why: String| Trouble::new(format!("the kubeconfig of {cluster}: {why}"));
        let client = runtime.block_on(async {
            let mut config = lab::kubeconfig::config(kubeconfig).await.map_err(|error| bad(error.to_string()))?;
            config.connect_timeout = Some(Duration::from_secs(2));
            Client::try_from(config).map_err(|error| bad(error.to_string()))
        })?;
        Ok(Self { cluster: cluster.to_owned(), runtime: runtime.clone(), client })
    }

    fn wait<T>(&self, what: &str, work: impl Future<Output = Result<T, kube::Error>>) -> Outcome<Option<T>> {
        let told = |why: String| Trouble::new(format!("{what} in {}: {why}", self.cluster));
        match self.runtime.block_on(async { tokio::time::timeout(DEADLINE, work).await }) {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
            Ok(Err(error)) => Err(told(error.to_string())),
            Err(_) => Err(told(format!("no answer within {} s", DEADLINE.as_secs()))),
        }
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Outcome<Option<Value>> {
        let request = Request::builder().method(method).uri(path).header("content-type", kind).body(body);
        let request = request.map_err(|error| Trouble::new(error.to_string()))?;
        self.wait(&format!("{method} {path}"), self.client.request::<Value>(request))
    }

    /// An object, if it is there.
    pub fn find(&self, path: &str) -> Outcome<Option<Value>> {
        self.send("GET", path, "application/json", Vec::new())
    }

    /// An object that must be there.
    pub fn get(&self, path: &str) -> Outcome<Value> {
        self.find(path)?.ok_or_else(|| Trouble::new(format!("{path} is not there in {}", self.cluster)))
    }

    /// The items of a list; empty where nobody serves that path.
    pub fn list(&self, path: &str) -> Outcome<Vec<Value>> {
        let mut list = self.find(path)?.unwrap_or_default();
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Creates an object.
    pub fn create(&self, path: &str, object: &Value) -> Outcome<Value> {
        self.send("POST", path, "application/json", object.to_string().into_bytes())?
            .ok_or_else(|| Trouble::new(format!("{path} is not served in {}", self.cluster)))
    }

    /// Changes fields of an object.
    pub fn patch(&self, path: &str, change: &Value) -> Outcome<Value> {
        self.send("PATCH", path, "application/merge-patch+json", change.to_string().into_bytes())?
            .ok_or_else(|| Trouble::new(format!("{path} is not there in {}", self.cluster)))
    }

    /// Deletes an object; it may be gone already.
    pub fn delete(&self, path: &str) -> Outcome {
        self.send("DELETE", path, "application/json", Vec::new()).map(drop)
    }

    /// Deletes a pod at once, as a person does with `--force --grace-period=0`, or after this many seconds.
    pub fn delete_within(&self, path: &str, seconds: u32) -> Outcome {
        self.delete(&format!("{path}?gracePeriodSeconds={seconds}"))
    }
}

/// The name of an object.
#[must_use]
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The UID of an object.
#[must_use]
pub fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}
