//! A server's processes, which end with whoever started them.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::error::{Context, Error, Result};
use crate::process::{PROXIES, send, wait_until};

/// A server's directory. It goes when the server and its snapshots are gone, or when the test ended.
#[derive(Debug)]
pub(super) struct Home {
    dir: TempDir,
    guardian: Mutex<Guardian>,
}

/// A shell that waits for the end of its input, which is the end of this process, however that comes.
///
/// (The kernel's own way, `PR_SET_PDEATHSIG`, ends children with the *thread* that made them.)
#[derive(Debug)]
struct Guardian {
    shell: Child,
    orders: Option<ChildStdin>,
}

/// Each line holds all processes that shall end; the last one counts.
const GUARD: &str = r#"pids=; while read -r line; do pids=$line; done
[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
rm -rf -- "$0""#;

impl Home {
    pub(super) fn new(name: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix(&format!("atoll-bare-{name}-")).tempdir();
        let dir = dir.or_cannot(|| "make a temporary directory".to_owned())?;
        let mut command = Command::new("sh");
        command.args(["-c", GUARD]).arg(dir.path()).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn().or_cannot(|| "run sh".to_owned())?;
        let orders = shell.stdin.take();
        Ok(Self { dir, guardian: Mutex::new(Guardian { shell, orders }) })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// From now on these processes end with this one, and no others.
    pub(super) fn guard(&self, pids: &[u32]) -> Result<()> {
        let line = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ") + "\n";
        match &mut lock(&self.guardian).orders {
            Some(orders) => orders.write_all(line.as_bytes()).or_cannot(|| "speak to the guardian".to_owned()),
            None => Ok(()),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let mut guardian = lock(&self.guardian);
        guardian.orders = None;
        drop(guardian.shell.wait());
    }
}

/// What a panic left is still right: each change of these values is one assignment.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that may be running.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) name: &'static str,
    server: String,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    pub(super) fn new(name: &'static str, server: &str, program: PathBuf, arguments: Vec<String>, dir: &Path) -> Self {
        let log = dir.join(format!("{name}.log"));
        Self { name, server: server.to_owned(), program, arguments, log, child: None }
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// The number of the process, if it was started and not ended by us.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    pub(super) fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Err(self.trouble("runs already"));
        }
        let cannot = || format!("write {}", self.log.display());
        let output = OpenOptions::new().create(true).append(true).open(&self.log).or_cannot(cannot)?;
        let errors = output.try_clone().or_cannot(cannot)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir("/").process_group(0);
        for name in PROXIES {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        self.child = Some(command.spawn().or_cannot(|| format!("start {} of {}", self.name, self.server))?);
        Ok(())
    }

    /// Ends it at once and waits until it is gone; nothing happens if it does not run.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child {
            let ended = child.kill().and_then(|()| child.wait());
            ended.or_cannot(|| format!("end {} of {}", self.name, self.server))?;
        }
        self.child = None;
        Ok(())
    }

    /// Why it ended, if it did so by itself.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(format!("{} ended ({status}): {}", self.name, self.tail()))
    }

    /// The last lines that it wrote.
    pub(super) fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Stops it where it is, and waits until all its threads stand still.
    pub(super) fn pause(&self) -> Result<()> {
        let pid = self.signal(Signal::SIGSTOP)?;
        if wait_until(Duration::from_secs(5), || stands_still(pid)) {
            return Ok(());
        }
        Err(self.trouble("does not stop"))
    }

    /// Lets it go on.
    pub(super) fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT).map(drop)
    }

    fn signal(&self, signal: Signal) -> Result<i32> {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(|| self.trouble("does not run"))?;
        send(pid, signal).or_cannot(|| format!("send {signal} to {} of {}", self.name, self.server))?;
        Ok(pid)
    }

    fn trouble(&self, trouble: &str) -> Error {
        let (place, process) = (self.server.clone(), self.name.to_owned());
        Error::Process { place, process, trouble: trouble.to_owned() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

fn stands_still(pid: i32) -> bool {
    let state = |stat: PathBuf| {
        let text = std::fs::read_to_string(stat).ok()?;
        text.rsplit_once(')')?.1.trim_start().chars().next()
    };
    let tasks =
        std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(std::result::Result::ok);
    tasks.map(|task| state(task.path().join("stat"))).all(|state| matches!(state, Some('T' | 't') | None))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::process::lives;

    fn sleeper(home: &Home) -> Process {
        let mut process = Process::new("sleep", "k8s-1", "sleep".into(), vec!["600".into()], home.path());
        process.start().unwrap();
        home.guard(&[process.pid().unwrap()]).unwrap();
        process
    }

    #[test]
    fn processes_end_and_files_go_when_whoever_started_them_is_killed() {
        let home = Home::new("test").unwrap();
        let process = sleeper(&home);
        process.pause().unwrap();
        let pid = i32::try_from(process.pid().unwrap()).unwrap();
        // The kernel closes a killed process's end of the pipe; so does this.
        let mut guardian = lock(&home.guardian);
        guardian.orders = None;
        guardian.shell.wait().unwrap();
        assert!(wait_until(Duration::from_secs(5), || !lives(pid)));
        assert!(!home.path().exists());
    }

    #[test]
    fn a_process_that_was_ended_is_not_signalled_again() {
        let home = Home::new("test").unwrap();
        let mut process = sleeper(&home);
        assert!(process.start().unwrap_err().to_string().contains("runs already"));
        process.kill().unwrap();
        process.kill().unwrap();
        assert!(process.pause().unwrap_err().to_string().contains("does not run"));
    }

    #[test]
    fn a_process_that_ended_by_itself_tells_its_last_words() {
        let home = Home::new("test").unwrap();
        let words = ["-c", "echo too late; exit 3"].map(str::to_owned);
        let mut process = Process::new("sh", "k8s-1", "sh".into(), words.into(), home.path());
        process.start().unwrap();
        let mut ended = None;
        assert!(wait_until(Duration::from_secs(5), || {
            ended = process.ended();
            ended.is_some()
        }));
        assert!(ended.unwrap().contains("too late"));
    }
}
