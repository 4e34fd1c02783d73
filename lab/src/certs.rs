//! The lab's certificate authority and what it signs.
//!
//! One authority serves all clusters, so that a credential redirected to another cluster is refused (or not) for
//! who it is, and not because TLS stopped it first.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::error::{Error, Result, make_dir, write};
use crate::model::Cluster;

/// Backwards, because a clock that is a little late must not refuse it; forwards, longer than any lab lives.
const VALID: (Duration, Duration) = (Duration::from_hours(1), Duration::from_hours(365 * 24));

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub(crate) pem: String,
}

/// A certificate and its key, as PEM.
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Signed {
    /// Writes `<name>.crt` and `<name>.key`.
    pub(crate) fn save(&self, dir: &Path, name: &str) -> Result<()> {
        write(&dir.join(format!("{name}.crt")), &self.certificate)?;
        write(&dir.join(format!("{name}.key")), &self.key)
    }
}

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let failed = |source| Error::Certificate { name: "the lab's authority".to_owned(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params("atoll-lab-ca", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self { pem: certificate.pem(), issuer: Issuer::new(params, key) })
    }

    /// For a client: its user and its group.
    pub(crate) fn client(&self, user: &str, group: &str) -> Result<Signed> {
        let now = SystemTime::now();
        self.client_between(user, group, now - VALID.0, now + VALID.1)
    }

    /// The same, valid between these times.
    pub(crate) fn client_between(
        &self,
        user: &str,
        group: &str,
        from: SystemTime,
        until: SystemTime,
    ) -> Result<Signed> {
        let mut params = params(user, Some(group));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (from.into(), until.into());
        self.sign(params, user)
    }

    /// For a server with these names and addresses.
    pub(crate) fn server(&self, name: &str, names: &[String], ips: &[Ipv4Addr]) -> Result<Signed> {
        let mut params = params(name, None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names {
            let san = name.as_str().try_into().map_err(|source| Error::Certificate { name: name.clone(), source })?;
            params.subject_alt_names.push(SanType::DnsName(san));
        }
        params.subject_alt_names.extend(ips.iter().map(|ip| SanType::IpAddress(IpAddr::V4(*ip))));
        self.sign(params, name)
    }

    fn sign(&self, mut params: CertificateParams, name: &str) -> Result<Signed> {
        let failed = |source| Error::Certificate { name: name.to_owned(), source };
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Signed { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn params(user: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    name.push(DnType::CommonName, user);
    params.distinguished_name = name;
    let now = SystemTime::now();
    params.not_before = (now - VALID.0).into();
    params.not_after = (now + VALID.1).into();
    params
}

/// The group whose members may do everything.
pub(crate) const MASTERS: &str = "system:masters";

/// The clients of a cluster that have certificates: file name, user, group.
pub(crate) fn clients(cluster: &Cluster) -> Vec<(String, String, &'static str)> {
    let mut clients = vec![
        ("admin".to_owned(), "lab:admin".to_owned(), MASTERS),
        ("cert".to_owned(), "lab:cert".to_owned(), MASTERS),
        ("addons".to_owned(), "lab:addons".to_owned(), MASTERS),
        ("coredns".to_owned(), "lab:coredns".to_owned(), MASTERS),
        ("metallb".to_owned(), "lab:metallb".to_owned(), MASTERS),
        ("controller-manager".to_owned(), "system:kube-controller-manager".to_owned(), MASTERS),
        ("scheduler".to_owned(), "system:kube-scheduler".to_owned(), MASTERS),
        ("proxy".to_owned(), "system:kube-proxy".to_owned(), "lab"),
        ("apiserver-kubelet".to_owned(), "lab:apiserver".to_owned(), MASTERS),
    ];
    clients.extend(
        cluster.nodes().map(|(_, node)| (node.name.clone(), format!("system:node:{}", node.name), "system:nodes")),
    );
    clients
}

/// Where a cluster's certificates and keys are.
pub(crate) fn directory(state: &Path, cluster: &str) -> PathBuf {
    state.join(cluster).join("pki")
}

/// Makes everything that one cluster's processes and users need.
pub(crate) fn issue(authority: &Authority, state: &Path, cluster: &Cluster) -> Result<()> {
    let dir = directory(state, &cluster.name);
    make_dir(&dir)?;
    write(&dir.join("ca.crt"), &authority.pem)?;
    for (file, user, group) in clients(cluster) {
        authority.client(&user, group)?.save(&dir, &file)?;
    }
    let kubernetes = "kubernetes.default.svc";
    let names = [
        "localhost".to_owned(),
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        kubernetes.to_owned(),
        format!("{kubernetes}.{}", cluster.domain),
        format!("{kubernetes}.cluster.local"),
        format!("api.{}", cluster.domain),
    ];
    let ips = [cluster.ip, cluster.api_service_ip, Ipv4Addr::LOCALHOST];
    authority.server("kube-apiserver", &names, &ips)?.save(&dir, "apiserver")?;
    for (place, node) in cluster.nodes() {
        let name = std::slice::from_ref(&node.name);
        authority.server(&node.name, name, &[place.ip])?.save(&dir, &format!("{}-serving", node.name))?;
    }
    let signing =
        KeyPair::generate().map_err(|source| Error::Certificate { name: "service accounts".to_owned(), source })?;
    write(&dir.join("sa.key"), signing.serialize_pem())?;
    write(&dir.join("sa.pub"), signing.public_key_pem())
}
