//! The seam to workers: credentials lead to the simulated cluster at their address.

use std::{future::ready, sync::Arc};

use apiserver::Who;
use atoll::{
    plan::name::WorkerName,
    worker::{
        addresses::Addresses,
        connect::{Connect, ConnectError, Connection},
        kubeconfig::Credentials,
        limits::Limits,
        wire::{Protocol, Spoken},
    },
};
use http::{Request, Response};
use kube::{Client, client::Body};
use secrecy::ExposeSecret as _;
use tower::{BoxError, service_fn};

use crate::{
    link::Links,
    tape::{Life, Party, Site},
};

/// The top-level domain of simulated API servers: `https://w1.sim`.
pub const DOMAIN: &str = ".sim";

/// Connects one life of the controller.
pub struct Simulated {
    /// The links.
    pub links: Links,
    /// The life.
    pub life: Life,
}

impl Connect for Simulated {
    fn connect(
        &self,
        _: &WorkerName,
        credentials: &Credentials,
        limits: &Arc<Limits>,
    ) -> Result<Connection, ConnectError> {
        let host = credentials.server().host().unwrap_or_default();
        // Names are not resolved here. Addresses that are written as such are judged as real connections judge them.
        let literal = host.trim_matches(['[', ']']).parse().map(|address| Addresses::default().check(address));
        if let Ok(Err(refused)) = literal {
            let service = service_fn(move |_: Request<Body>| ready(Err::<Response<Body>, BoxError>(refused.into())));
            let client = Client::new(service, "default");
            return Ok(Connection { client, spoken: Spoken::from_the_start(Protocol::Http1) });
        }
        let site = Site::from(host.strip_suffix(DOMAIN).unwrap_or(host));
        let token = credentials.token().map(|token| token.expose_secret().to_owned()).unwrap_or_default();
        let client = self.links.limited(Party::Controller(self.life), &site, Who::Token(token), limits);
        // A link is no connection that could be asked whether it is still there.
        Ok(Connection { client, spoken: Spoken::from_the_start(Protocol::Http1) })
    }
}

/// A kubeconfig that leads to a site with a token.
pub fn kubeconfig(site: &str, token: &str) -> String {
    // A certificate that nobody checks: there is no TLS here, but the allow-list wants one.
    const CA: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BTUNBUUU9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {site}\n\
         clusters:\n- name: {site}\n  cluster: {{server: \"https://{site}{DOMAIN}\", certificate-authority-data: {CA}}}\n\
         users:\n- name: {site}\n  user: {{token: {token}}}\n\
         contexts:\n- name: {site}\n  context: {{cluster: {site}, user: {site}}}\n"
    )
}

/// The same kubeconfig with a change.
pub fn altered(kubeconfig: &str, alter: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut found: serde_json::Value = serde_saphyr::from_str(kubeconfig).expect("a kubeconfig");
    alter(&mut found);
    found.to_string()
}
