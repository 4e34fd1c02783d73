//! The operator under test: `atoll run` as a child process, which may be killed at any moment.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{Outcome, Trouble, programs, until};

/// How an operator is to be started.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The master's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Where its log goes; the logs of all its lives are in one file.
    pub log: PathBuf,
    /// The namespace it counts as its own.
    pub namespace: String,
    /// Further arguments.
    pub arguments: Vec<String>,
}

/// A running operator.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    address: SocketAddr,
    /// When it was started.
    pub started: Instant,
}

impl Operator {
    /// Starts one.
    pub fn start(orders: &Orders, further: &[&str]) -> Outcome<Self> {
        let mut log = OpenOptions::new().create(true).append(true).open(&orders.log)?;
        let address = free_address()?;
        let program = programs::atoll()?;
        writeln!(log, "--- atoll run {} {}", orders.arguments.join(" "), further.join(" "))?;
        let child = Command::new(&program)
            .arg("run")
            .arg("--kubeconfig")
            .arg(&orders.kubeconfig)
            .args(["--namespace", &orders.namespace, "--listen", &address.to_string()])
            .args(&orders.arguments)
            .args(further)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| Trouble::new(format!("{} does not start: {error}", program.display())))?;
        Ok(Self { child, address, started: Instant::now() })
    }

    /// Waits until it says that it is ready.
    pub fn wait_until_ready(&mut self, limit: Duration) -> Outcome {
        let what = format!("atoll (process {}) is not ready", self.child.id());
        until(&what, limit, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ok(Err(Trouble::new(format!("atoll has ended by itself: {status}"))));
            }
            match self.ask("/readyz") {
                Ok(answer) if answer.starts_with("HTTP/1.1 200") => Ok(Ok(())),
                Ok(answer) => Err(answer.lines().next().unwrap_or("an empty answer").to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })?
    }

    /// What it answers on its own port, header and all.
    pub fn ask(&self, path: &str) -> Outcome<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: atoll\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer)?;
        Ok(answer)
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) -> Outcome {
        // It may have ended by its own fail-point meanwhile.
        drop(self.child.kill());
        self.child.wait()?;
        Ok(())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its memory, in kilobytes: resident, and of that what is not backed by a file (its code is).
    pub fn memory(&self) -> Outcome<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
        };
        Ok((field("VmRSS:"), field("RssAnon:")))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// A port of this machine that nobody uses now.
fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
