//! The seam to workers: credentials lead to the simulated cluster at their address.

use std::{future::ready, sync::Arc};

use apiserver::Who;
use atoll::{
    plan::name::WorkerName,
    worker::{
        addresses::Addresses,
        connect::{Connect, ConnectError, Connection},
        credentials::{Credentials, Trust},
        limits::Limits,
        wire::{Protocol, Spoken},
    },
};
use http::{Request, Response};
use kube::{Client, client::Body};
use secrecy::ExposeSecret as _;
use tower::{BoxError, service_fn};

use crate::{
    kubeconfigs::authority_der,
    link::{Links, Proof},
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
        let proof = match credentials.trust() {
            Trust::Authorities(all) if !all.contains(&authority_der(&site)) => Proof::Fails,
            _ => Proof::Stands,
        };
        let client = self.links.limited(Party::Controller(self.life), &site, who(credentials), proof, limits);
        // A link is no connection that could be asked whether it is still there.
        Ok(Connection { client, spoken: Spoken::from_the_start(Protocol::Http1) })
    }
}

/// An API server looks at a client's certificate first. Here it knows it as it knows a token: by its words.
fn who(credentials: &Credentials) -> Who {
    let certificate = credentials.chain().map(|chain| String::from_utf8_lossy(chain).into_owned());
    let token = || credentials.token().map(|token| token.expose_secret().to_owned());
    Who::Token(certificate.or_else(token).unwrap_or_default())
}
