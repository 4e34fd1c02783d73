//! Control groups: one per node under `/atoll-lab`, in version 1 (each controller a tree) and version 2 (one tree).

use std::path::{Path, PathBuf};

use crate::error::{Context, Result, make_dir, read, write};

const MOUNT: &str = "/sys/fs/cgroup";
const NAME: &str = "atoll-lab";

/// Where a node's pods are, as kubelet names it.
pub(crate) fn path_of(node: &str) -> String {
    format!("/{NAME}/{node}")
}

/// Whether the machine has version 2 only.
pub(crate) fn is_unified() -> bool {
    Path::new(MOUNT).join("cgroup.controllers").exists()
}

/// The lab's group in each tree that controls something.
fn groups() -> Vec<PathBuf> {
    // The version 2 tree that some version 1 machines have besides controls nothing.
    trees().into_iter().filter(|group| !group.starts_with(Path::new(MOUNT).join("unified"))).collect()
}

/// The lab's group in each tree; in the version 2 tree beside version 1, runc may have made it.
fn trees() -> Vec<PathBuf> {
    if is_unified() {
        return vec![Path::new(MOUNT).join(NAME)];
    }
    let trees = std::fs::read_dir(MOUNT).into_iter().flatten().filter_map(std::result::Result::ok);
    let mut groups: Vec<_> = trees
        .filter(|tree| tree.path().is_dir())
        .filter_map(|tree| tree.path().canonicalize().ok())
        .map(|tree| tree.join(NAME))
        .collect();
    groups.sort();
    groups.dedup();
    groups
}

/// Makes a node's groups.
pub(crate) fn create(node: &str) -> Result<()> {
    for group in groups() {
        let leaf = group.join(node);
        if is_unified() {
            for level in [Path::new(MOUNT), &group, &leaf] {
                make_dir(level)?;
                delegate(level)?;
            }
            continue;
        }
        for level in [&group, &leaf] {
            make_dir(level)?;
            inherit_cpuset(level)?;
        }
    }
    Ok(())
}

/// Version 2: lets the children of a group have every controller that the group has.
fn delegate(group: &Path) -> Result<()> {
    let has = read(&group.join("cgroup.controllers"))?;
    let delegated = read(&group.join("cgroup.subtree_control"))?;
    let missing: Vec<_> = has
        .split_whitespace()
        .filter(|name| !delegated.split_whitespace().any(|other| other == *name))
        .map(|name| format!("+{name}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    std::fs::write(group.join("cgroup.subtree_control"), missing.join(" ")).or_cannot(|| {
        format!(
            "delegate the controllers of {} (in a container, its processes must first move into a child group)",
            group.display()
        )
    })
}

/// Version 1: a new cpuset is empty, and nothing can run in it.
fn inherit_cpuset(group: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (own, parent) = (group.join(file), group.parent().unwrap_or(group).join(file));
        if own.exists() && read(&own)?.trim().is_empty() {
            write(&own, read(&parent)?)?;
        }
    }
    Ok(())
}

/// All processes in the lab's groups.
pub(crate) fn processes() -> Vec<i32> {
    let mut pids: Vec<_> = all_below()
        .iter()
        .filter_map(|group| std::fs::read_to_string(group.join("cgroup.procs")).ok())
        .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<i32>>())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Removes the lab's groups; those that still hold a process stay, and are told.
pub(crate) fn remove() -> Vec<PathBuf> {
    let mut groups = all_below();
    // Children before their parents.
    groups.sort_by_key(|group| std::cmp::Reverse(group.components().count()));
    groups.into_iter().filter(|group| std::fs::remove_dir(group).is_err() && group.exists()).collect()
}

fn all_below() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left: Vec<_> = trees().into_iter().filter(|group| group.exists()).collect();
    while let Some(group) = left.pop() {
        let children = std::fs::read_dir(&group).into_iter().flatten().filter_map(std::result::Result::ok);
        left.extend(children.map(|child| child.path()).filter(|path| path.is_dir()));
        found.push(group);
    }
    found
}
