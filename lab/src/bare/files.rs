//! What a server's processes read, and their arguments.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use rcgen::KeyPair;

use super::{Options, ServiceAccounts};
use crate::cache::hex;
use crate::certs::{Authority, MASTERS};
use crate::error::{Context, Error, Result, write};

/// The name that every server's certificate has, by whatever address it is reached.
pub(super) const SERVER_NAME: &str = "kubernetes.default.svc";
/// The user that may do everything.
pub(super) const ADMIN: &str = "lab:admin";

/// A certificate authority and the tokens of users: shared by twins.
#[derive(Clone)]
pub struct Trust {
    authority: Arc<Authority>,
    seed: String,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust(…)")
    }
}

impl Trust {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { authority: Arc::new(Authority::new()?), seed: hex(&random::<16>()?) })
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The authority's certificate, PEM.
    pub(super) fn ca(&self) -> &str {
        &self.authority.pem
    }

    /// The bearer token of a user.
    pub(super) fn token(&self, user: &str) -> String {
        crate::cache::fingerprint([self.seed.as_bytes(), user.as_bytes()])
    }
}

/// Random bytes of the operating system.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    use std::io::Read as _;
    let mut bytes = [0; N];
    let filled = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    filled.or_cannot(|| "read /dev/urandom".to_owned())?;
    Ok(bytes)
}

/// An address that most likely nobody uses: the kernel gives connections that go out only 127.0.0.1.
pub(super) fn address() -> Result<Ipv4Addr> {
    let [a, b, c] = random::<3>()?;
    // Neither 127.0.x.y, where others live, nor what looks like a network's or a broadcast address.
    Ok(Ipv4Addr::new(127, a.clamp(1, 254), b, c.clamp(1, 254)))
}

/// Writes certificates, keys and tokens.
pub(super) fn write_all(dir: &Path, ip: Ipv4Addr, trust: &Trust, users: &[String]) -> Result<()> {
    let names = ["localhost", "kubernetes", "kubernetes.default", SERVER_NAME].map(str::to_owned);
    trust.authority.server("kube-apiserver", &names, &[ip, Ipv4Addr::LOCALHOST])?.save(dir, "apiserver")?;
    write(&dir.join("ca.crt"), trust.ca())?;
    let failed = |source| Error::Certificate { name: "service accounts".to_owned(), source };
    let signing = KeyPair::generate().map_err(failed)?;
    write(&dir.join("sa.key"), signing.serialize_pem())?;
    write(&dir.join("sa.pub"), signing.public_key_pem())?;
    let mut groups: BTreeMap<&str, &str> = users.iter().map(|user| (user.as_str(), "lab")).collect();
    groups.insert(ADMIN, MASTERS);
    let line = |(user, group): (&&str, &&str)| format!("{},{user},{user},{group}\n", trust.token(user));
    write(&dir.join("tokens.csv"), groups.iter().map(line).collect::<String>())?;
    // As the lab's: every request once, when its answer is known, without its body.
    let policy = serde_json::json!({ "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived"], "rules": [{ "level": "Metadata" }] });
    write(&dir.join("audit-policy.json"), policy.to_string())
}

pub(super) fn etcd_arguments(dir: &Path, ip: Ipv4Addr) -> Vec<String> {
    vec![
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
        format!("--data-dir={}", dir.join("etcd").display()),
        format!("--listen-client-urls=http://{ip}:2379"),
        format!("--advertise-client-urls=http://{ip}:2379"),
        format!("--listen-peer-urls=http://{ip}:2380"),
        format!("--initial-advertise-peer-urls=http://{ip}:2380"),
        format!("--initial-cluster=default=http://{ip}:2380"),
    ]
}

pub(super) fn apiserver_arguments(dir: &Path, ip: Ipv4Addr, options: &Options) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    let mut arguments = vec![
        format!("--etcd-servers=http://{ip}:2379"),
        format!("--bind-address={ip}"),
        "--secure-port=6443".to_owned(),
        // For Service `kubernetes`, which takes no loopback address; nobody goes there.
        "--advertise-address=192.0.2.1".to_owned(),
        format!("--cert-dir={}", dir.display()),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", file("sa.pub")),
        format!("--service-account-signing-key-file={}", file("sa.key")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--audit-policy-file={}", file("audit-policy.json")),
        format!("--audit-log-path={}", file("audit.log")),
        "--audit-log-maxsize=100000".to_owned(),
    ];
    if options.service_accounts == ServiceAccounts::Ignored {
        arguments.push("--disable-admission-plugins=ServiceAccount".to_owned());
    }
    arguments.extend(options.flags.iter().cloned());
    arguments
}
