//! The lab's long-running processes: started detached, known again by number *and* start time.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result, make_dir, read, write_whole};

/// In the environment of each of the lab's processes (and inherited by container shims), so that `down` finds
/// them even when nobody came to write down their number.
pub const MARK: &str = "ATOLL_LAB_PROCESS";

/// Variables that would lead the lab's traffic to a proxy.
pub(crate) const PROXIES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// How to start a process; kept, so that `start` starts it as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// `etcd`, `apiserver`, …
    pub name: String,
    /// The network namespace to run in.
    pub netns: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, besides that of whoever starts it.
    pub env: BTreeMap<String, String>,
}

/// A process as the kernel knows it: numbers are used again, but never with the same start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    pid: i32,
    /// Clock ticks after boot.
    started: u64,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs or sleeps.
    Running,
    /// It was stopped by a signal.
    Paused,
    /// It is not there.
    Dead,
}

/// The processes of one place, written down in one directory.
#[derive(Clone, Debug)]
pub struct Processes {
    place: String,
    dir: PathBuf,
    mark: String,
}

impl Processes {
    /// Those of this place of the lab with this state directory.
    #[must_use]
    pub fn new(state: &Path, place: &str) -> Self {
        let dir = state.join(place).join("proc");
        Self { place: place.to_owned(), dir, mark: state.display().to_string() }
    }

    /// Where the output of a process is.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// The names of all processes that were ever started here.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().filter_map(Result::ok);
        let mut names: Vec<_> = entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".launch.json")?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// Starts a process and keeps how.
    pub fn launch(&self, launch: &Launch) -> Result<()> {
        make_dir(&self.dir)?;
        write_whole(&self.file(&launch.name, "launch"), to_json(launch))?;
        self.spawn(launch)
    }

    /// Starts a process again, as it was started first.
    pub fn start(&self, name: &str) -> Result<()> {
        let launch: Launch = self.load(name, "launch")?;
        match self.state(name)? {
            State::Dead => self.spawn(&launch),
            State::Paused => self.signal(name, Signal::SIGCONT),
            State::Running => Ok(()),
        }
    }

    /// Sends a signal to a process that is surely the one that was started.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let identity = self.living(name)?.ok_or_else(|| {
            let trouble = format!("does not run; start it with `lab start {} {name}`", self.place);
            Error::Process { place: self.place.clone(), process: name.to_owned(), trouble }
        })?;
        send(identity.pid, signal)
            .or_cannot(|| format!("send {signal} to {name} of {} (process {})", self.place, identity.pid))?;
        if signal == Signal::SIGKILL {
            // Afterwards it is certain that it writes nothing any more.
            wait_until(Duration::from_secs(5), || observe(identity.pid) != Some((identity, State::Running)));
        }
        Ok(())
    }

    /// What the process is doing now.
    pub fn state(&self, name: &str) -> Result<State> {
        Ok(self.living(name)?.and_then(|identity| observe(identity.pid)).map_or(State::Dead, |(_, state)| state))
    }

    /// The number of the process, if it is there.
    pub fn pid(&self, name: &str) -> Result<Option<i32>> {
        Ok(self.living(name)?.map(|identity| identity.pid))
    }

    fn living(&self, name: &str) -> Result<Option<Identity>> {
        self.known(name)?;
        if !self.file(name, "pid").exists() {
            return Ok(None);
        }
        let recorded: Identity = self.load(name, "pid")?;
        let seen = observe(recorded.pid);
        Ok(seen.filter(|(identity, state)| *identity == recorded && *state != State::Dead).map(|_| recorded))
    }

    fn known(&self, name: &str) -> Result<()> {
        let names = self.names();
        if names.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(Error::UnknownProcess { place: self.place.clone(), name: name.to_owned(), known: names.join(", ") })
    }

    fn spawn(&self, launch: &Launch) -> Result<()> {
        let log = self.log(&launch.name);
        let output: File =
            OpenOptions::new().create(true).append(true).open(&log).or_cannot(|| format!("write {}", log.display()))?;
        let errors = output.try_clone().or_cannot(|| format!("write {}", log.display()))?;
        // `ip netns exec` would hide /sys/fs/cgroup from kubelet and containerd; nsenter does not.
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", launch.netns)).arg(&launch.program).args(&launch.args);
        // The lab is on this machine; a proxy that the environment names cannot know the way.
        for name in PROXIES {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        command.envs(&launch.env).env(MARK, &self.mark);
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).current_dir("/");
        let mut child = command.spawn().or_cannot(|| format!("start {} of {}", launch.name, self.place))?;
        let identity = i32::try_from(child.id()).ok().and_then(observe).map(|(identity, _)| identity);
        // Whoever started it (a test, say) may live on; a dead child must not stay as a zombie.
        std::thread::spawn(move || child.wait());
        let Some(identity) = identity else {
            return Err(Error::Process {
                place: self.place.clone(),
                process: launch.name.clone(),
                trouble: format!("ended at once; see {}", log.display()),
            });
        };
        write_whole(&self.file(&launch.name, "pid"), to_json(&identity))
    }

    fn file(&self, name: &str, what: &str) -> PathBuf {
        self.dir.join(format!("{name}.{what}.json"))
    }

    fn load<T: DeserializeOwned>(&self, name: &str, what: &str) -> Result<T> {
        let path = self.file(name, what);
        let text = read(&path)?;
        serde_json::from_str(&text).map_err(|error| Error::Corrupt { path, reason: error.to_string() })
    }
}

/// The processes that carry a lab's mark, by `/proc`; there is at most one lab on a machine.
pub(crate) fn marked() -> Vec<i32> {
    let mark = format!("{MARK}=");
    all().filter(|pid| environment_has(*pid, mark.as_bytes())).collect()
}

fn environment_has(pid: i32, start: &[u8]) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(start))
}

fn all() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(std::result::Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Sends a signal; a process that is already gone is no error.
pub(crate) fn send(pid: i32, signal: Signal) -> std::io::Result<()> {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether the process is there and no zombie.
pub(crate) fn lives(pid: i32) -> bool {
    observe(pid).is_some_and(|(_, state)| state != State::Dead)
}

/// Looks again until it is so, or the time is over.
pub(crate) fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if done() {
            return true;
        }
        if begun.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn observe(pid: i32) -> Option<(Identity, State)> {
    let (state, started) = parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    Some((Identity { pid, started }, state))
}

/// State and start time from `/proc/PID/stat`, whose second field may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<(State, u64)> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = match fields.next()? {
        "Z" | "X" | "x" => State::Dead,
        "T" | "t" => State::Paused,
        _ => State::Running,
    };
    Some((state, fields.nth(18)?.parse().ok()?))
}

fn to_json(value: &impl Serialize) -> String {
    // Plain structs of strings and numbers always have a JSON form.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_does_not_confuse() {
        let tail = (4..=21).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(parse_stat(&format!("7 (a) b) T {tail} 4711 9")), Some((State::Paused, 4711)));
        assert_eq!(parse_stat(&format!("7 (x) Z {tail} 1")), Some((State::Dead, 1)));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn a_number_that_now_belongs_to_somebody_else_is_never_signalled() {
        let dir = tempfile::tempdir().unwrap();
        let processes = Processes::new(dir.path(), "k8s-1");
        make_dir(&processes.dir).unwrap();
        let launch = Launch {
            name: "etcd".into(),
            netns: "none".into(),
            program: "true".into(),
            args: vec![],
            env: BTreeMap::new(),
        };
        write_whole(&processes.file("etcd", "launch"), to_json(&launch)).unwrap();
        // This very test process, but as if it had been started at another time.
        let other = Identity { pid: i32::try_from(std::process::id()).unwrap(), started: 1 };
        write_whole(&processes.file("etcd", "pid"), to_json(&other)).unwrap();
        assert_eq!(processes.state("etcd").unwrap(), State::Dead);
        let error = processes.signal("etcd", Signal::SIGKILL).unwrap_err().to_string();
        assert!(error.contains("lab start k8s-1 etcd"), "{error}");
        assert!(processes.state("kubelet").unwrap_err().to_string().contains("it has: etcd"));
    }

    #[test]
    fn this_process_lives() {
        assert!(lives(i32::try_from(std::process::id()).unwrap()));
    }
}
