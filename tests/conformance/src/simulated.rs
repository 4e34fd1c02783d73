//! The simulated API server.

use std::sync::Arc;
use std::time::Duration;

use apiserver::{Account, ApiServer, Rights, Rule};
use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;

use crate::side::{Flow, Side, flow, whole};
use crate::step::Who;
use crate::{Trouble, crds, guest};

/// A simulated API server with Atoll's resources, and nothing else.
pub struct Simulated {
    server: ApiServer,
}

impl std::fmt::Debug for Simulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulated").field("version", &self.server.version()).finish_non_exhaustive()
    }
}

impl Simulated {
    /// Starts one.
    pub async fn start() -> Result<Self, Trouble> {
        let server = ApiServer::new(apiserver::Options {
            identity: "5e5f3c52-0c3c-4b4f-9a39-2f6d8f1b7d11".to_owned(),
            version: "v1.34.4".to_owned(),
            clock: Arc::new(Timestamp::now),
            seed: 1,
        });
        server.account(guest::NAME, Account { user: guest::NAME.to_owned(), rights: guest_rights(), expires: None });
        let simulated = Self { server };
        for crd in crds() {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            let request = Request::post(path).header("content-type", "application/json");
            let answer = whole(simulated.send(Who::Admin, request.body(crd.to_string().into())?).await?).await;
            if answer.status != 201 {
                return Err(Trouble::Server(format!("a resource was refused: {}", answer.body)));
            }
        }
        Ok(simulated)
    }
}

impl Side for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(10)
    }

    async fn send(&self, who: Who, request: Request<Bytes>) -> Result<Response<Flow>, Trouble> {
        let who = match who {
            Who::Admin => apiserver::Who::Admin,
            Who::Guest => apiserver::Who::Token(guest::NAME.to_owned()),
            Who::Stranger => apiserver::Who::Token("nobody's".to_owned()),
        };
        Ok(self.server.answer(&who, request).map(flow))
    }

    async fn catch_up(&self) {}

    async fn compact(&self) -> Result<(), Trouble> {
        self.server.compact();
        Ok(())
    }

    async fn settle(&self, _: &str) -> Result<(), Trouble> {
        Ok(())
    }

    async fn tidy(&self, _: &str) -> Result<(), Trouble> {
        Ok(())
    }
}

fn guest_rights() -> Rights {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let rule = |(group, resources, verbs): &(&str, &[&str], &[&str])| Rule {
        groups: vec![(*group).to_owned()],
        resources: words(resources),
        verbs: words(verbs),
        reason: guest::REASON.to_owned(),
        ..Rule::default()
    };
    Rights::Rules(guest::RULES.iter().map(rule).collect())
}
