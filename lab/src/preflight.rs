//! What this machine must have, and how to get what it lacks.

use std::path::Path;
use std::process::Command;

use crate::debs::Debs;
use crate::error::{Error, Result};
use crate::gobuild::{NEED_GO, Program, Programs};
use crate::model::UPLINK;
use crate::{cgroups, shell};

/// What is different between machines that can all run the lab.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Without `CAP_SYS_RESOURCE`, containers cannot be protected from the out-of-memory killer.
    pub may_lower_oom_score: bool,
}

const CAP_SYS_RESOURCE: u32 = 24;

/// Looks at the machine; the error lists everything that is missing, not just the first.
pub fn check(programs: &Programs, wanted: &[Program], debs: &Debs) -> Result<Machine> {
    let mut needs = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        needs.push("root is needed (network namespaces, mounts, control groups): run it with sudo -E".to_owned());
    }
    for (program, package) in [("ip", "iproute2"), ("nsenter", "util-linux"), ("umount", "mount"), ("sh", "dash")] {
        if shell::find(program).is_none() {
            needs.push(format!("the program {program} is missing: apt-get install {package}"));
        }
    }
    if shell::find("go").is_none() && !programs.missing(wanted).is_empty() {
        needs.push(NEED_GO.to_owned());
    }
    if !debs.present() && (shell::find("apt-get").is_none() || shell::find("dpkg").is_none()) {
        needs.push(
            "apt-get and dpkg are missing: the lab takes containerd, runc, CNI plugins and iptables from Debian's or Ubuntu's \
             packages (unpacked into its cache, not installed); use such a system, or a container of one"
                .to_owned(),
        );
    }
    needs.extend(kernel_needs());
    if !needs.is_empty() {
        return Err(Error::Preflight(needs));
    }
    warn_about_memory();
    Ok(Machine { may_lower_oom_score: has_capability(CAP_SYS_RESOURCE) })
}

fn kernel_needs() -> Vec<String> {
    let mut needs = Vec::new();
    for (module, path) in
        [("bridge", "/sys/module/bridge"), ("veth", "/sys/module/veth"), ("br_netfilter", "/proc/sys/net/bridge")]
    {
        // Built in or loaded already; else loading it is harmless, and a failure shows where it is used.
        if !Path::new(path).exists() {
            drop(shell::run(Command::new("modprobe").args(["-q", module])));
        }
    }
    if !filesystem("overlay") {
        drop(shell::run(Command::new("modprobe").args(["-q", "overlay"])));
        if !filesystem("overlay") {
            needs.push(
                "the kernel has no overlay file system: modprobe overlay, or a kernel with CONFIG_OVERLAY_FS"
                    .to_owned(),
            );
        }
    }
    if !Path::new("/proc/self/ns/net").exists() {
        needs.push("the kernel has no network namespaces: a kernel with CONFIG_NET_NS is needed".to_owned());
    }
    if !cgroups::is_unified() && !Path::new("/sys/fs/cgroup/memory").exists() {
        needs.push(
            "no control groups are mounted at /sys/fs/cgroup: mount version 2 (mount -t cgroup2 none /sys/fs/cgroup)"
                .to_owned(),
        );
    }
    needs
}

/// Tries what only trying can tell, once nothing of an earlier lab is left: bridge, veth, and packet rules.
pub(crate) fn probe(debs: &Debs) -> Result<()> {
    const PROBE: &str = "lab-probe";
    let taken = shell::run(Command::new("ip").args(["-4", "route", "show", "root", "10.90.0.0/14"]))?;
    let taken: Vec<_> = taken.lines().filter(|line| !line.contains(UPLINK)).collect();
    if !taken.is_empty() {
        let text = format!(
            "the lab's addresses, 10.90.0.0 to 10.93.255.255, are in use here: {}; take that route away",
            taken.join("; ")
        );
        return Err(Error::Preflight(vec![text]));
    }
    let ip = |arguments: &str| shell::run(Command::new("ip").args(arguments.split(' ')));
    drop(ip(&format!("netns del {PROBE}")));
    let attempt = || -> std::result::Result<(), String> {
        let need = |what: &'static str| move |error: Error| format!("{what}: {error}");
        ip(&format!("netns add {PROBE}"))
            .map_err(need("network namespaces cannot be made (CONFIG_NET_NS, CAP_SYS_ADMIN)"))?;
        ip(&format!("-n {PROBE} link add br0 type bridge"))
            .map_err(need("bridges cannot be made (modprobe bridge)"))?;
        ip(&format!("-n {PROBE} link add v0 type veth peer name v1"))
            .map_err(need("veth pairs cannot be made (modprobe veth)"))?;
        let rules = "*nat\n-A POSTROUTING -s 10.0.0.0/8 -m comment --comment probe -j MASQUERADE\nCOMMIT\n*mangle\n-A PREROUTING -j DROP\nCOMMIT\n";
        let mut command = Command::new("nsenter");
        command.envs(debs.environment()).arg(format!("--net=/run/netns/{PROBE}")).arg(debs.program("iptables-restore"));
        let advice =
            "packet rules cannot be made (modprobe -a nf_tables nft_compat nft_chain_nat xt_MASQUERADE xt_comment)";
        shell::run_with(&mut command, rules).map_err(need(advice)).map(drop)
    };
    let tried = attempt();
    drop(ip(&format!("netns del {PROBE}")));
    tried.map_err(|need| Error::Preflight(vec![need]))
}

fn filesystem(name: &str) -> bool {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    known.lines().any(|line| line.split_whitespace().last() == Some(name))
}

fn has_capability(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    u64::from_str_radix(bits.trim(), 16).is_ok_and(|bits| bits >> number & 1 == 1)
}

fn warn_about_memory() {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = available.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    if let Some(kilobytes) = kilobytes.filter(|kilobytes| *kilobytes < 2_500_000) {
        eprintln!(
            "only {} MB of memory are free; four clusters take about 1700 MB and their pods more",
            kilobytes / 1024
        );
    }
}
