//! Removes whatever a lab left, also one that crashed: everything is found by its mark, name or place, and not
//! only by what was written down.

use std::collections::BTreeSet;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::cache::Dirs;
use crate::error::{Error, Result};
use crate::model::{SWITCH, UPLINK};
use crate::node::CNI_NAME;
use crate::process::{self, wait_until};
use crate::{cgroups, shell};

/// Where a running lab says which state directory it uses, so that `down` finds it under another environment.
const POINTER: &str = "state";

/// Says which state directory is in use.
pub(crate) fn point_to_state(dirs: &Dirs) -> Result<()> {
    crate::error::make_dir(&dirs.run)?;
    crate::error::write(&dirs.run.join(POINTER), dirs.state.display().to_string())
}

/// Removes everything but the cache.
pub(crate) fn clean(dirs: &Dirs) -> Result<()> {
    let mut states = BTreeSet::from([dirs.state.clone()]);
    states.extend(std::fs::read_to_string(dirs.run.join(POINTER)).ok().map(PathBuf::from));
    let mut left = kill_all();
    left.extend(unmount(&states, &dirs.run));
    left.extend(remove_network());
    let groups = wait_until(Duration::from_secs(5), || cgroups::remove().is_empty());
    if !groups {
        left.extend(cgroups::remove().iter().map(|group| format!("control group {}", group.display())));
    }
    remove_traces(&states);
    // Never through a mount that is still there.
    if left.is_empty() {
        for state in &states {
            left.extend(remove_state(state));
        }
        drop(std::fs::remove_dir_all(&dirs.run));
    }
    if left.is_empty() { Ok(()) } else { Err(Error::Leftovers(left)) }
}

fn kill_all() -> Vec<String> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    // What starts processes first (kubelet, containerd, shims), then the containers; again, for what was just started.
    let remaining = || -> Vec<i32> {
        process::marked()
            .into_iter()
            .chain(cgroups::processes())
            .filter(|pid| *pid != own && process::lives(*pid))
            .collect()
    };
    let gone = wait_until(Duration::from_secs(15), || {
        let pids = remaining();
        for pid in &pids {
            drop(process::send(*pid, Signal::SIGKILL));
        }
        pids.is_empty()
    });
    if gone { Vec::new() } else { remaining().iter().map(|pid| format!("process {pid}")).collect() }
}

fn unmount(states: &BTreeSet<PathBuf>, run: &Path) -> Vec<String> {
    let ours = |path: &str| {
        let path = Path::new(path);
        path.starts_with(run) || states.iter().any(|state| path.starts_with(state))
    };
    let mounted = || -> Vec<String> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(unescape);
        points.filter(|point| ours(point)).collect()
    };
    // The last mounted is the first to go.
    let mut points = mounted();
    points.reverse();
    for chunk in points.chunks(100) {
        drop(shell::run(Command::new("umount").arg("-l").args(chunk)));
    }
    mounted().into_iter().map(|point| format!("mount {point}")).collect()
}

/// Spaces and their like are octal in `/proc/mounts`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

fn remove_network() -> Vec<String> {
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir("/run/netns").into_iter().flatten().filter_map(std::result::Result::ok);
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_ours(name)).collect()
    };
    let mut batch = names().iter().fold(String::new(), |batch, name| batch + "netns del " + name + "\n");
    if Path::new("/sys/class/net").join(UPLINK).exists() {
        batch.insert_str(0, &format!("link del {UPLINK}\n"));
    }
    if !batch.is_empty() {
        drop(shell::run_with(Command::new("ip").args(["-force", "-batch", "-"]), &batch));
    }
    // The kernel removes what was in a namespace a moment after its name.
    let uplink = Path::new("/sys/class/net").join(UPLINK);
    wait_until(Duration::from_secs(5), || !uplink.exists());
    let mut left: Vec<_> = names().into_iter().map(|name| format!("network namespace {name}")).collect();
    left.extend(uplink.exists().then(|| format!("network interface {UPLINK}")));
    left
}

/// Whether a network namespace is the lab's: `lab-switch`, `lab-master`, `lab-k8s-3`, `lab-k8s-3-n2`.
fn is_ours(netns: &str) -> bool {
    netns == SWITCH || netns == "lab-probe" || netns.strip_prefix("lab-").is_some_and(is_place)
}

fn is_place(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (cluster, node) = name.split_once("-n").map_or((name, None), |(cluster, node)| (cluster, Some(node)));
    (cluster == "master" || cluster.strip_prefix("k8s-").is_some_and(number)) && node.is_none_or(number)
}

/// Files that other programs write at places which cannot be chosen.
fn remove_traces(states: &BTreeSet<PathBuf>) {
    for entry in entries("/var/log/containers") {
        let target = std::fs::read_link(&entry).unwrap_or_default();
        if states.iter().any(|state| target.starts_with(state)) {
            drop(std::fs::remove_file(&entry));
        }
    }
    // Results of plugins are named by network, container and interface; a pod's two share the container.
    for entry in entries("/var/lib/cni/results") {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let container = name.strip_prefix(&format!("{CNI_NAME}-")).and_then(|rest| rest.strip_suffix("-eth0"));
        if let Some(container) = container {
            drop(std::fs::remove_file(&entry));
            drop(std::fs::remove_file(entry.with_file_name(format!("cni-loopback-{container}-lo"))));
        }
    }
    let listening = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    for entry in entries("/run/containerd/s").chain(entries("/var/lib/kubelet/device-plugins")) {
        // A socket on which nobody listens belongs to a process that is dead, whosever it was.
        let socket = std::fs::symlink_metadata(&entry).is_ok_and(|seen| seen.file_type().is_socket());
        if socket && !listening.lines().any(|line| line.ends_with(&*entry.to_string_lossy())) {
            drop(std::fs::remove_file(&entry));
        }
    }
    // The mount that `ip netns add` makes; it makes it again when it is needed.
    if entries("/run/netns").next().is_none() {
        drop(shell::run(Command::new("umount").arg("/run/netns")));
    }
    // Each goes only if it is empty.
    for directory in [
        "/var/log/containers",
        "/var/lib/cni/results",
        "/var/lib/cni",
        "/var/lib/kubelet/device-plugins",
        "/var/lib/kubelet",
        "/run/containerd/s",
        "/run/containerd",
        "/run/netns",
    ] {
        drop(std::fs::remove_dir(directory));
    }
}

fn entries(directory: &str) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// Only what the lab makes there: the directory may be a person's, with other things in it.
fn remove_state(state: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir(state).into_iter().flatten().filter_map(std::result::Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let removed = match name.as_str() {
            "lab.json" | "lab.json.partial" => std::fs::remove_file(entry.path()),
            "images" => std::fs::remove_dir_all(entry.path()),
            name if is_place(name) => std::fs::remove_dir_all(entry.path()),
            _ => Ok(()),
        };
        left.extend(removed.err().map(|error| format!("{} ({error})", entry.path().display())));
    }
    drop(std::fs::remove_dir(state));
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lab_s_own_names_are_removed() {
        for ours in ["lab-switch", "lab-master", "lab-k8s-1", "lab-k8s-12-n3", "lab-master-n2"] {
            assert!(is_ours(ours), "{ours}");
        }
        for foreign in ["lab-", "lab-mine", "k8s-1", "lab-k8s-", "lab-k8s-x", "cni-1234", "lab-k8s-1-nx", "lab-k8s-1-n"]
        {
            assert!(!is_ours(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_state_directory_with_other_things_in_it_keeps_them() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir_all(dir.path().join("k8s-1/etcd"))?;
        std::fs::write(dir.path().join("lab.json"), "{}")?;
        std::fs::write(dir.path().join("letter.txt"), "dear")?;
        assert!(remove_state(dir.path()).is_empty());
        let names: Vec<_> = std::fs::read_dir(dir.path())?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        assert_eq!(names, ["letter.txt"]);
        Ok(())
    }
}
