//! A kube-apiserver.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use lab::bare::{Options, Server};
use serde_json::Value;

use crate::side::{Answer, Flow, Side, flow, whole};
use crate::step::Who;
use crate::{Trouble, crds, guest};

/// A real API server with Atoll's resources, and nothing else.
pub struct Real {
    server: Server,
    admin: Client,
    guest: Client,
    stranger: Client,
    name: &'static str,
}

impl std::fmt::Debug for Real {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Real").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Real {
    /// Starts one, building the programs if they are not there.
    pub async fn start(name: &'static str) -> Result<Self, Trouble> {
        let options = Options { users: vec![guest::NAME.to_owned()], ..Options::named("real") };
        let server = Server::start(options).await?;
        let guest = client(&server.kubeconfig_of(guest::NAME)?).await?;
        let stranger = client(&server.kubeconfig_of("nobody")?).await?;
        let admin = client(server.kubeconfig()).await?;
        let real = Self { server, admin, guest, stranger, name };
        for (path, object) in guest::objects() {
            real.create(path, &object).await?;
        }
        for crd in crds() {
            real.define(&crd).await?;
        }
        real.welcome().await?;
        Ok(real)
    }

    async fn create(&self, path: &str, object: &Value) -> Result<(), Trouble> {
        let request = Request::post(path).header("content-type", "application/json");
        let answer = whole(self.send(Who::Admin, request.body(object.to_string().into())?).await?).await;
        if answer.status == 201 {
            return Ok(());
        }
        Err(Trouble::Server(format!("{path} refused what comparing needs: {}", answer.body)))
    }

    async fn get(&self, who: Who, path: &str) -> Result<Answer, Trouble> {
        Ok(whole(self.send(who, Request::get(path).body(Bytes::new())?).await?).await)
    }

    /// Waits until the guest may do something.
    async fn welcome(&self) -> Result<(), Trouble> {
        for _ in 0..200 {
            if self.get(Who::Guest, "/api/v1/pods").await?.status == 200 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Trouble::Server("the guest may do nothing after ten seconds".into()))
    }

    /// Defines a resource and waits until it is served.
    async fn define(&self, crd: &Value) -> Result<(), Trouble> {
        self.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd).await?;
        let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
        let path = format!("/apis/{group}/{}/{plural}", text("/spec/versions/0/name"));
        let mut last = 0;
        for _ in 0..600 {
            let answer = self.get(Who::Admin, &path).await?;
            // A write is possible a little later than a read.
            let name = format!("{plural}.{group}");
            let established = self.established(&name).await?;
            if answer.status == 200 && established {
                return Ok(());
            }
            last = answer.status;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Trouble::Server(format!("{path} answers {last} after half a minute")))
    }

    /// A handler that panics closes its connection. If the server lives on, that is its answer.
    async fn unanswered(&self, what: String, error: &kube::Error) -> Result<Response<Flow>, Trouble> {
        let words = chain(error);
        let ready = self.admin.send(Request::get("/readyz").body(Body::empty())?).await;
        match ready {
            Ok(ready) if ready.status() == 200 && words.contains(CLOSED) => {
                Ok(Response::builder().status(PANICKED).body(flow(http_body_util::Full::from(CLOSED)))?)
            }
            _ => Err(Trouble::Unanswered(what, words)),
        }
    }

    async fn established(&self, name: &str) -> Result<bool, Trouble> {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let answer = self.get(Who::Admin, &path).await?;
        let conditions = answer.body["status"]["conditions"].as_array().cloned().unwrap_or_default();
        Ok(conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True"))
    }
}

/// What stands for an answer that a panicking handler does not give.
pub const PANICKED: u16 = 599;
const CLOSED: &str = "connection closed before message completed";

impl Side for Real {
    fn name(&self) -> &'static str {
        self.name
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(150)
    }

    async fn catch_up(&self) {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    async fn compact(&self) -> Result<(), Trouble> {
        Ok(self.server.forget().await?)
    }

    async fn send(&self, who: Who, request: Request<Bytes>) -> Result<Response<Flow>, Trouble> {
        let what = format!("{} {}", request.method(), request.uri());
        let client = match who {
            Who::Admin => &self.admin,
            Who::Guest => &self.guest,
            Who::Stranger => &self.stranger,
        };
        let response = match client.send(request.map(Body::from)).await {
            Ok(response) => response,
            Err(error) => return self.unanswered(what, &error).await,
        };
        Ok(response.map(|body| flow(body.map_err(drop))))
    }

    async fn settle(&self, collection: &str) -> Result<(), Trouble> {
        // A list of the newest state waits until the memory has it.
        let uri = format!("{collection}?labelSelector=seq%3Dnone");
        self.get(Who::Admin, &uri).await?;
        Ok(())
    }

    async fn tidy(&self, namespace: &str) -> Result<(), Trouble> {
        // Node ports are few.
        let uri = format!("/api/v1/namespaces/{namespace}/services");
        let services = self.get(Who::Admin, &uri).await?;
        for service in services.body["items"].as_array().into_iter().flatten() {
            let path = format!("{uri}/{}", service["metadata"]["name"].as_str().unwrap_or_default());
            let bare = r#"{"metadata":{"finalizers":null}}"#;
            let patch =
                Request::patch(&path).header("content-type", "application/merge-patch+json").body(bare.into())?;
            whole(self.send(Who::Admin, patch).await?).await;
            whole(self.send(Who::Admin, Request::delete(&path).body(Bytes::new())?).await?).await;
        }
        Ok(())
    }
}

async fn client(kubeconfig: &str) -> Result<Client, Trouble> {
    let failed = |error: &dyn std::fmt::Display| Trouble::Server(format!("a kubeconfig cannot be used: {error}"));
    let mut config = lab::kubeconfig::config(kubeconfig).await.map_err(|error| failed(&error))?;
    // Each answer counts, also one that asks to come again.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| failed(&error))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
