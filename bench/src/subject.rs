//! What is measured: a process, from outside.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::servers::{Fleet, MASTER_NAMESPACE};

/// Longer than any start may take.
const LONGEST: Duration = Duration::from_mins(5);

/// Who does the job.
pub enum Subject {
    /// `atoll run`.
    Atoll(PathBuf),
    /// kube's own client.
    Stock,
}

/// What it takes.
#[derive(Clone, Copy)]
pub struct Cost {
    /// From the start of the process until all workers are ready.
    pub ready: Duration,
    /// Open sockets.
    pub sockets: usize,
    /// Resident memory, KiB.
    pub resident: u64,
    /// Of it what no file backs, KiB.
    pub private: u64,
}

impl Subject {
    /// For the table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Atoll(_) => "atoll",
            Self::Stock => "stock",
        }
    }

    /// Starts it, waits until it is ready and then for so long, looks, and ends it.
    pub async fn run(&self, fleet: &Fleet, settle: Duration) -> Cost {
        let begun = Instant::now();
        let mut child = self.command(fleet).kill_on_drop(true).spawn().expect("a process");
        timeout(LONGEST, self.ready(&mut child, fleet)).await.expect("all workers ready within five minutes");
        let ready = begun.elapsed();
        sleep(settle).await;
        assert!(child.try_wait().expect("its state").is_none(), "it runs on");
        let process = PathBuf::from(format!("/proc/{}", child.id().expect("a process")));
        let cost = look(&process, ready);
        child.kill().await.expect("its end");
        cost
    }

    fn command(&self, fleet: &Fleet) -> Command {
        let folder = &fleet.folder;
        match self {
            Self::Atoll(program) => {
                let mut command = Command::new(program);
                command.args([
                    "run",
                    "--listen",
                    "127.0.0.1:0",
                    "--allow-addresses",
                    "127.0.0.0/8",
                    "--log",
                    "error",
                    "--namespace",
                    MASTER_NAMESPACE,
                ]);
                command.arg("--kubeconfig").arg(folder.join("master"));
                command
            }
            Self::Stock => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.args(["stock", "--number", &fleet.workers.to_string(), "--folder"]).arg(folder);
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
                command
            }
        }
    }

    async fn ready(&self, child: &mut Child, fleet: &Fleet) {
        match self {
            Self::Atoll(_) => {
                while fleet.ready() < fleet.workers {
                    let ended = child.try_wait().expect("its state");
                    assert!(ended.is_none(), "atoll run has ended: {ended:?}");
                    sleep(Duration::from_millis(20)).await;
                }
            }
            Self::Stock => {
                let said = child.stdout.as_mut().expect("its standard output");
                let mut lines = BufReader::new(said).lines();
                assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("ready"));
            }
        }
    }
}

fn look(process: &Path, ready: Duration) -> Cost {
    let status = fs::read_to_string(process.join("status")).expect("the process's status");
    let kib = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|line| line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let descriptors = fs::read_dir(process.join("fd")).expect("its descriptors").flatten();
    let leads = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    let sockets = leads.filter(|target| target.to_string_lossy().starts_with("socket:")).count();
    let resident = kib("VmRSS");
    Cost { ready, sockets, resident, private: resident - kib("RssFile") }
}
