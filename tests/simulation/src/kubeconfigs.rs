//! Kubeconfigs for simulated workers: good ones, and ones with everything that a person or a stranger has put into one.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ED25519};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{connect::DOMAIN, entropy, stage::simulated::canary, tape::Site};

/// What is wrong with a kubeconfig, or odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flaw {
    /// It is no YAML.
    Garbage,
    /// There is nothing in it.
    Empty,
    /// It is a megabyte.
    Huge,
    /// It would run a program.
    Program,
    /// It would read a file.
    File,
    /// It would believe whoever answers.
    Credulous,
    /// It would send the token in clear.
    Plain,
    /// Its token is nobody's.
    Token,
    /// Its authority is another cluster's.
    Authority,
    /// Its client certificate has expired.
    Expired,
    /// Its client certificate is not valid yet.
    Early,
    /// It leads to another worker.
    Elsewhere,
    /// It has five hundred contexts, of which the current one is right: it is to be taken.
    Crowded,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Garbage,
        Self::Empty,
        Self::Huge,
        Self::Program,
        Self::File,
        Self::Credulous,
        Self::Plain,
        Self::Token,
        Self::Authority,
        Self::Expired,
        Self::Early,
        Self::Elsewhere,
        Self::Crowded,
    ];

    /// A kubeconfig for a worker with this flaw. `right`: a good one, `neighbour`: a good one of another worker.
    pub fn put_into(self, site: &Site, right: &str, neighbour: &str) -> String {
        let hour = Duration::from_hours(1);
        let now = entropy::wall();
        let worthless = kubeconfig(site, &format!("{}-worthless", canary(site)));
        let user = |user: Value| altered(&worthless, |found| found["users"][0]["user"] = user);
        let cluster =
            |field: &str, value: Value| altered(&worthless, |found| found["clusters"][0]["cluster"][field] = value);
        match self {
            Self::Garbage => format!("{{{}: [unclosed", canary(site)),
            Self::Empty => String::new(),
            Self::Huge => format!("# {}\n", canary(site)).repeat(55_000),
            Self::Program => user(json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1",
                "command": format!("/bin/{}", canary(site)) } })),
            Self::File => user(json!({ "tokenFile": format!("/{}", canary(site)) })),
            Self::Credulous => cluster("insecure-skip-tls-verify", true.into()),
            Self::Plain => cluster("server", format!("http://{site}{DOMAIN}").into()),
            Self::Token => worthless,
            Self::Authority => cluster("certificate-authority-data", authority("somebody").into()),
            Self::Expired => by_certificate(site, &Certificate::new(site, now - 2 * hour, now - hour)),
            Self::Early => by_certificate(site, &Certificate::new(site, now + hour, now + 2 * hour)),
            Self::Elsewhere => neighbour.to_owned(),
            Self::Crowded => crowded(right),
        }
    }
}

/// A kubeconfig that leads to a site with a token.
pub fn kubeconfig(site: &str, token: &str) -> String {
    kubeconfig_of(site, &json!({ "token": token }))
}

/// One that leads there with a client certificate.
pub fn by_certificate(site: &str, certificate: &Certificate) -> String {
    let Certificate { pem, key, .. } = certificate;
    kubeconfig_of(
        site,
        &json!({ "client-certificate-data": STANDARD.encode(pem), "client-key-data": STANDARD.encode(key) }),
    )
}

fn kubeconfig_of(site: &str, user: &Value) -> String {
    let authority = authority(site);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {site}\n\
         clusters:\n- name: {site}\n  cluster: {{server: \"https://{site}{DOMAIN}\", certificate-authority-data: {authority}}}\n\
         users:\n- name: {site}\n  user: {user}\n\
         contexts:\n- name: {site}\n  context: {{cluster: {site}, user: {site}}}\n"
    )
}

/// The same kubeconfig with a change.
pub fn altered(kubeconfig: &str, alter: impl FnOnce(&mut Value)) -> String {
    let mut found: Value = serde_saphyr::from_str(kubeconfig).expect("a kubeconfig");
    alter(&mut found);
    found.to_string()
}

/// The same kubeconfig with four hundred and ninety-nine contexts besides.
pub fn crowded(kubeconfig: &str) -> String {
    altered(kubeconfig, |found| {
        let chosen = found["contexts"][0].clone();
        found["current-context"] = chosen["name"].clone();
        if let Some(contexts) = found["contexts"].as_array_mut() {
            contexts.extend((1..500).map(|number| {
                let mut another = chosen.clone();
                another["name"] = format!("another-{number}").into();
                another
            }));
        }
    })
}

/// What stands for the certificate of a cluster's authority. There is no TLS here: nobody reads what is in it, but the
/// seam (`crate::connect`) wants the right one.
pub fn authority_der(site: &str) -> Vec<u8> {
    format!("the authority of {site}").into_bytes()
}

fn authority(site: &str) -> String {
    STANDARD.encode(pem("CERTIFICATE", &authority_der(site)))
}

fn pem(what: &str, bytes: &[u8]) -> String {
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", STANDARD.encode(bytes))
}

/// A client's certificate, with a key that is a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// It, PEM.
    pub pem: String,
    /// Its key, PEM. Nobody signs anything with it.
    pub key: String,
    /// When it ends.
    pub until: Timestamp,
}

impl Certificate {
    /// One of this life.
    pub fn new(site: &str, from: Timestamp, until: Timestamp) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("atoll in {site}"));
        let at = |time: Timestamp| std::time::SystemTime::from(time).into();
        (params.not_before, params.not_after) = (at(from), at(until));
        // Its signatures are the same for the same words.
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { pem: certificate.pem(), key: pem("PRIVATE KEY", format!("{}-key", canary(site)).as_bytes()), until }
    }
}

#[cfg(test)]
mod tests {
    use atoll::worker::{allowances::Allowances, expiry, kubeconfig::credentials};

    use super::*;

    #[test]
    fn good_ones_are_taken_and_of_flawed_ones_those_whose_flaw_only_the_worker_sees() {
        let site = Site::from("w1");
        let taken = |text: &str| credentials(text, None, &Allowances::default()).is_ok();
        let now = entropy::wall();
        let certificate = Certificate::new(&site, now, now + Duration::from_mins(1));
        assert!(taken(&kubeconfig(&site, "a")) && taken(&by_certificate(&site, &certificate)));
        for flaw in Flaw::ALL {
            let seen_here = matches!(
                flaw,
                Flaw::Garbage | Flaw::Empty | Flaw::Huge | Flaw::Program | Flaw::File | Flaw::Credulous | Flaw::Plain
            );
            let text = flaw.put_into(&site, &kubeconfig("w1", "a"), &kubeconfig("w2", "b"));
            assert_eq!(taken(&text), !seen_here, "{flaw:?}");
        }
    }

    #[test]
    fn a_certificate_says_until_when_it_is_good() {
        let now = entropy::wall();
        let until = now + Duration::from_hours(5);
        let text = by_certificate("w1", &Certificate::new("w1", now, until));
        let read = credentials(&text, None, &Allowances::default()).expect("it is good");
        let ends = expiry::first(&read).expect("it ends").at();
        assert_eq!(ends.as_second(), until.as_second());
    }
}
