//! One server: etcd and kube-apiserver.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use kube::Client;

use super::files::{self, ADMIN, SERVER_NAME, Trust};
use super::process::{Home, Process, lock};
use super::{Options, PORT, Snapshot, etcd};
use crate::audit::{self, AuditEntry};
use crate::cache::Dirs;
use crate::certs::{Authority, MASTERS};
use crate::error::{Context, Error, Result};
use crate::gobuild::{ETCD, KUBE_APISERVER, Programs};
use crate::kubeconfig::{Access, Credential, config};

/// Most are ready within three seconds; a machine that is busy building something needs its time.
const READY: Duration = Duration::from_mins(2);

/// An API server with its etcd. Dropping it ends them.
#[derive(Debug)]
pub struct Server {
    name: String,
    ip: Ipv4Addr,
    trust: Trust,
    kubeconfig: String,
    processes: Mutex<Processes>,
    snapshots: AtomicUsize,
    home: Arc<Home>,
}

/// In the order in which they end.
#[derive(Debug)]
struct Processes {
    apiserver: Process,
    etcd: Process,
}

impl Processes {
    fn pids(&self) -> Vec<u32> {
        [&self.apiserver, &self.etcd].into_iter().filter_map(Process::pid).collect()
    }
}

impl Server {
    /// Starts a server and waits until it is ready. Builds the programs if they are not in the lab's cache.
    pub async fn start(options: Options) -> Result<Self> {
        let server = tokio::task::spawn_blocking(move || Self::prepare(&options)).await;
        let server = server.map_err(|error| Error::Options(format!("the preparation broke off: {error}")))??;
        server.run(|processes| {
            processes.etcd.start()?;
            processes.apiserver.start()
        })?;
        server.ready().await?;
        Ok(server)
    }

    /// Starts several at the same time, in the order given.
    pub async fn start_all(options: impl IntoIterator<Item = Options>) -> Result<Vec<Self>> {
        futures::future::try_join_all(options.into_iter().map(Self::start)).await
    }

    fn prepare(options: &Options) -> Result<Self> {
        let programs = Programs::new(&Dirs::from_env());
        programs.ensure(&[ETCD, KUBE_APISERVER])?;
        let (ip, trust, home) = (free_address()?, options.trust()?, Arc::new(Home::new(&options.name)?));
        let kubeconfig = access(&options.name, &trust, &url(ip), None, ADMIN)?;
        let dir = home.path();
        files::write_all(dir, ip, &trust, &options.users)?;
        let process = |name, program, arguments| Process::new(name, &options.name, program, arguments, dir);
        let etcd = process("etcd", programs.path(&ETCD), files::etcd_arguments(dir, ip));
        let arguments = files::apiserver_arguments(dir, ip, options);
        let apiserver = process("kube-apiserver", programs.path(&KUBE_APISERVER), arguments);
        let processes = Mutex::new(Processes { apiserver, etcd });
        let snapshots = AtomicUsize::new(0);
        Ok(Self { name: options.name.clone(), ip, trust, kubeconfig, processes, snapshots, home })
    }

    /// Changes what runs, and says so to whoever ends it if this process is killed.
    fn run<T>(&self, change: impl FnOnce(&mut Processes) -> Result<T>) -> Result<T> {
        let mut processes = lock(&self.processes);
        let done = change(&mut processes);
        self.home.guard(&processes.pids())?;
        done
    }

    async fn ready(&self) -> Result<()> {
        let (client, begun) = (self.client().await?, Instant::now());
        loop {
            let request =
                http::Request::get("/readyz").body(Vec::new()).map_err(|error| self.api(error.to_string()))?;
            let asked = tokio::time::timeout(Duration::from_secs(3), client.request_text(request)).await;
            let mut last = match asked {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer within 3 s".to_owned(),
            };
            let ended = {
                let mut processes = lock(&self.processes);
                let ended = processes.etcd.ended().or_else(|| processes.apiserver.ended());
                if ended.is_none() && begun.elapsed() > READY {
                    last = format!("{last}\n{}\n{}", processes.etcd.tail(), processes.apiserver.tail());
                }
                ended
            };
            if ended.is_some() || begun.elapsed() > READY {
                let (what, log) = (format!("the API server {}", self.name), self.log());
                return Err(Error::NotReady {
                    what,
                    seconds: begun.elapsed().as_secs(),
                    last: ended.unwrap_or(last),
                    log,
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn api(&self, reason: String) -> Error {
        Error::Api { cluster: self.name.clone(), request: "a connection".to_owned(), reason }
    }

    fn log(&self) -> std::path::PathBuf {
        lock(&self.processes).apiserver.log().to_owned()
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory, with the logs of both processes; it goes with the server.
    pub fn directory(&self) -> &Path {
        self.home.path()
    }

    /// `https://127.x.y.z:6443`.
    pub fn url(&self) -> String {
        url(self.ip)
    }

    /// A client certificate with the administrator's rights that is valid between these times, and its key, PEM.
    pub fn certificate(&self, from: SystemTime, until: SystemTime) -> Result<(String, String)> {
        let signed = self.authority().client_between(ADMIN, MASTERS, from, until)?;
        Ok((signed.certificate, signed.key))
    }

    pub(super) fn authority(&self) -> &Authority {
        self.trust.authority()
    }

    pub(super) fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// The certificate of its authority, PEM.
    pub fn ca(&self) -> &str {
        self.trust.ca()
    }

    /// The bearer token of its administrator.
    pub fn token(&self) -> String {
        self.token_of(ADMIN)
    }

    /// The bearer token of one of the users in [`Options::users`].
    pub fn token_of(&self, user: &str) -> String {
        self.trust.token(user)
    }

    /// The administrator's kubeconfig, YAML; its only context is named like the server.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// The kubeconfig of one of the users in [`Options::users`].
    pub fn kubeconfig_of(&self, user: &str) -> Result<String> {
        access(&self.name, &self.trust, &self.url(), None, user)
    }

    /// The administrator's kubeconfig by another address than the server's own.
    pub(super) fn kubeconfig_by(&self, server: &str) -> Result<String> {
        access(&self.name, &self.trust, server, Some(SERVER_NAME), ADMIN)
    }

    /// A client with the administrator's rights. Must be called within a runtime of tokio.
    pub async fn client(&self) -> Result<Client> {
        let failed = |error: &dyn std::fmt::Display| self.api(error.to_string());
        let config = config(&self.kubeconfig).await.map_err(|error| failed(&error))?;
        Client::try_from(config).map_err(|error| failed(&error))
    }

    /// Options for a server that trusts the same tokens behind the same authority as this one.
    pub fn twin(&self, name: impl Into<String>) -> Options {
        Options { trust: Some(self.trust.clone()), ..Options::named(name) }
    }

    /// Ends kube-apiserver as a crash would (SIGKILL). etcd goes on.
    pub fn kill(&self) -> Result<()> {
        self.run(|processes| processes.apiserver.kill())
    }

    /// Starts kube-apiserver again after [`Self::kill`], with the same address and the same credentials, and waits
    /// until it is ready.
    pub async fn start_again(&self) -> Result<()> {
        self.run(|processes| processes.apiserver.start())?;
        self.ready().await
    }

    /// Stops kube-apiserver where it is (SIGSTOP): connections stay open, new ones are accepted by the kernel, and
    /// nobody answers.
    pub fn pause(&self) -> Result<()> {
        self.run(|processes| processes.apiserver.pause())
    }

    /// Lets a paused kube-apiserver go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.run(|processes| processes.apiserver.resume())
    }

    /// Stops etcd where it is: the API server answers late, or with errors.
    pub fn pause_storage(&self) -> Result<()> {
        self.run(|processes| processes.etcd.pause())
    }

    /// Lets a paused etcd go on.
    pub fn resume_storage(&self) -> Result<()> {
        self.run(|processes| processes.etcd.resume())
    }

    /// A copy of everything that was acknowledged until now. Requests meanwhile wait a moment.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let number = self.snapshots.fetch_add(1, Ordering::Relaxed);
        self.pause_storage()?;
        let home = self.home.clone();
        // What a process that stands still has written is what a crash would leave, which etcd is made for.
        let copied = tokio::task::spawn_blocking(move || Snapshot::take(&home, number)).await;
        self.resume_storage()?;
        copied.map_err(|error| self.api(format!("the copy broke off: {error}")))?
    }

    /// Ends both processes, puts a snapshot in place of what they have, and starts them: objects and resource
    /// versions go back, as after a restore from a backup.
    pub async fn restore(&self, snapshot: &Snapshot) -> Result<()> {
        self.run(|processes| {
            processes.apiserver.kill()?;
            processes.etcd.kill()
        })?;
        snapshot.put_back(&self.home.path().join("etcd"))?;
        self.run(|processes| {
            processes.etcd.start()?;
            processes.apiserver.start()
        })?;
        self.ready().await
    }

    /// Lets etcd forget all older versions: a list that asks for one, or goes on from one, answers 410. Watches may
    /// still resume from what kube-apiserver remembers ([`Self::forget`]).
    pub async fn compact(&self) -> Result<()> {
        etcd::compact(&self.name, self.ip).await
    }

    /// Forgets all older versions: those of etcd, and with its process what kube-apiserver remembers of them.
    pub async fn forget(&self) -> Result<()> {
        self.compact().await?;
        self.kill()?;
        self.start_again().await
    }

    /// Everything that it was asked since then, by its audit log.
    pub fn audit(&self, since: Option<Timestamp>) -> Result<Vec<AuditEntry>> {
        audit::read(&self.home.path().join("audit.log"), since)
    }
}

fn url(ip: Ipv4Addr) -> String {
    format!("https://{ip}:{PORT}")
}

fn access(name: &str, trust: &Trust, server: &str, tls_server_name: Option<&str>, user: &str) -> Result<String> {
    let credential = Credential::Token(trust.token(user));
    crate::kubeconfig::write(trust.ca(), &[Access { name, server, tls_server_name, credential }])
}

/// An address of which all ports are free.
fn free_address() -> Result<Ipv4Addr> {
    let mut trouble = std::io::Error::other("no address");
    for _ in 0..20 {
        let ip = files::address()?;
        match [PORT, 2379, 2380].into_iter().try_for_each(|port| std::net::TcpListener::bind((ip, port)).map(drop)) {
            Ok(()) => return Ok(ip),
            Err(error) => trouble = error,
        }
    }
    Err(trouble).or_cannot(|| "find a free loopback address".to_owned())
}
