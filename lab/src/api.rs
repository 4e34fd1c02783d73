//! A few requests to API servers, for code that is not asynchronous and may be called from code that is.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use http::Request;
use kube::Client;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::kubeconfig::config;

/// A client of one API server.
pub(crate) struct Api {
    cluster: String,
    client: Client,
}

/// Runs requests on a thread of its own, since a runtime must not be made inside another one.
pub(crate) fn session<T: Send>(
    cluster: &str,
    kubeconfig: &str,
    work: impl AsyncFnOnce(&Api) -> Result<T> + Send,
) -> Result<T> {
    let failed =
        |reason: String| Error::Api { cluster: cluster.to_owned(), request: "a connection".to_owned(), reason };
    let job = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| failed(error.to_string()))?.block_on(async {
            let client = connect(kubeconfig).await.map_err(failed)?;
            work(&Api { cluster: cluster.to_owned(), client }).await
        })
    };
    std::thread::scope(|scope| scope.spawn(job).join())
        .unwrap_or_else(|_| Err(failed("the thread ended early".to_owned())))
}

async fn connect(kubeconfig: &str) -> std::result::Result<Client, String> {
    let mut config = config(kubeconfig).await.map_err(|error| error.to_string())?;
    config.connect_timeout = Some(Duration::from_secs(2));
    config.read_timeout = Some(Duration::from_secs(10));
    Client::try_from(config).map_err(|error| error.to_string())
}

impl Api {
    async fn send(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Result<String> {
        let failed = |reason| Error::Api { cluster: self.cluster.clone(), request: format!("{method} {path}"), reason };
        let request =
            Request::builder().method(method).uri(path).header("content-type", kind).header("user-agent", "atoll-lab");
        let request = request.body(body).map_err(|error| failed(error.to_string()))?;
        self.client.request_text(request).await.map_err(|error| failed(error.to_string()))
    }

    fn parse(&self, path: &str, text: &str) -> Result<Value> {
        serde_json::from_str(text).map_err(|error| Error::Api {
            cluster: self.cluster.clone(),
            request: path.to_owned(),
            reason: format!("no JSON came back: {error}"),
        })
    }

    /// Reads an object or a list.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let text = self.send("GET", path, "application/json", Vec::new()).await?;
        self.parse(path, &text)
    }

    /// Reads something that is no object.
    pub(crate) async fn get_text(&self, path: &str) -> Result<String> {
        self.send("GET", path, "application/json", Vec::new()).await
    }

    /// Creates something.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let text = self.send("POST", path, "application/json", body.to_string().into_bytes()).await?;
        self.parse(path, &text)
    }

    /// Makes an object be as given (server-side apply), whether it is there or not.
    pub(crate) async fn apply(&self, path: &str, body: &Value) -> Result<()> {
        let path = format!("{path}?fieldManager=lab&force=true");
        self.send("PATCH", &path, "application/apply-patch+yaml", body.to_string().into_bytes()).await.map(drop)
    }

    /// Asks again until the answer satisfies; the error holds the last answer.
    pub(crate) async fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        log: PathBuf,
        mut ask: impl AsyncFnMut(&Self) -> std::result::Result<T, String>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            let last = match ask(self).await {
                Ok(answer) => return Ok(answer),
                Err(reason) => reason,
            };
            if begun.elapsed() > limit {
                let what = format!("{what} of {}", self.cluster);
                return Err(Error::NotReady { what, seconds: limit.as_secs(), last, log });
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
