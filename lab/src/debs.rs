//! Debian's containerd, runc, CNI plugins, iptables and conntrack, and strace for tests: unpacked into the cache,
//! installed nowhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{Dirs, fingerprint, publish};
use crate::error::{Context, Result, make_dir};
use crate::shell;

/// What nodes need.
const NODES: &[&str] = &["containerd", "runc", "containernetworking-plugins", "iptables", "conntrack"];
/// What shows which files a process opens, and which programs it runs.
const STRACE: &[&str] = &["strace"];
/// Raised when what is made of the packages changes.
const LAYOUT: &str = "1";

/// The unpacked packages.
#[derive(Clone, Debug)]
pub struct Debs {
    root: PathBuf,
    packages: &'static [&'static str],
}

impl Debs {
    /// Those that nodes need.
    #[must_use]
    pub fn new(dirs: &Dirs) -> Self {
        Self::of(dirs, NODES)
    }

    /// strace.
    #[must_use]
    pub fn strace(dirs: &Dirs) -> Self {
        Self::of(dirs, STRACE)
    }

    /// Where they are, or will be: by distribution, since libraries must fit to it.
    fn of(dirs: &Dirs, packages: &'static [&'static str]) -> Self {
        let release = std::fs::read("/etc/os-release").unwrap_or_default();
        let parts = packages.iter().map(|name| name.as_bytes()).chain([release.as_slice(), LAYOUT.as_bytes()]);
        Self { root: dirs.cache.join("debs").join(fingerprint(parts)), packages }
    }

    /// Whether they are in the cache.
    #[must_use]
    pub fn present(&self) -> bool {
        self.root.exists()
    }

    /// Downloads and unpacks them where they are not there yet.
    pub fn ensure(&self) -> Result<()> {
        if self.present() {
            return Ok(());
        }
        eprintln!("unpacking Debian packages into the cache (nothing is installed): {}", self.packages.join(" "));
        if let Some(parent) = self.root.parent() {
            make_dir(parent)?;
        }
        publish(&self.root, |dir| {
            let archives = dir.join("archives");
            make_dir(&archives)?;
            if self.download(&archives).is_err() {
                eprintln!("the package lists are missing or old: apt-get update");
                shell::run(Command::new("apt-get").args(["-qq", "update"]))?;
                self.download(&archives)?;
            }
            let entries = std::fs::read_dir(&archives).or_cannot(|| format!("read {}", archives.display()))?;
            for entry in entries {
                let entry = entry.or_cannot(|| format!("read {}", archives.display()))?;
                shell::run(Command::new("dpkg").arg("-x").arg(entry.path()).arg(dir))?;
            }
            if self.packages.contains(&"iptables") {
                link_iptables(dir)?;
            }
            std::fs::remove_dir_all(&archives).or_cannot(|| format!("remove {}", archives.display()))
        })
    }

    fn download(&self, into: &Path) -> Result<()> {
        let mut wanted: Vec<String> = self.packages.iter().map(|&name| name.to_owned()).collect();
        let ask = &["depends", "--recurse", "--important"];
        let tree = shell::run(Command::new("apt-cache").args(ask).args(self.packages))?;
        wanted.extend(libraries(&tree));
        shell::run(Command::new("apt-get").current_dir(into).args(["-qq", "download"]).args(&wanted)).map(drop)
    }

    /// A program of theirs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        let directories = ["usr/sbin", "usr/bin", "sbin", "bin"].map(|directory| self.root.join(directory).join(name));
        directories.iter().find(|path| path.exists()).unwrap_or(&directories[0]).clone()
    }

    /// The directory of CNI plugins.
    #[must_use]
    pub fn cni(&self) -> PathBuf {
        self.root.join("usr/lib/cni")
    }

    /// What their programs need to find each other and their libraries.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let libraries: Vec<_> = multiarch_directories(&self.root);
        let modules = libraries.iter().map(|dir| dir.join("xtables")).find(|dir| dir.exists());
        let join =
            |directories: &[PathBuf]| directories.iter().map(|d| d.display().to_string()).collect::<Vec<_>>().join(":");
        let programs = join(&["usr/sbin", "usr/bin", "sbin", "bin"].map(|directory| self.root.join(directory)));
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        let mut environment = BTreeMap::from([
            ("PATH".to_owned(), format!("{programs}:{path}")),
            ("LD_LIBRARY_PATH".to_owned(), join(&libraries)),
        ]);
        if let Some(modules) = modules {
            environment.insert("XTABLES_LIBDIR".to_owned(), modules.display().to_string());
        }
        environment
    }
}

/// `usr/lib/x86_64-linux-gnu` and its like.
fn multiarch_directories(root: &Path) -> Vec<PathBuf> {
    ["usr/lib", "lib"]
        .iter()
        .filter_map(|base| std::fs::read_dir(root.join(base)).ok())
        .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())))
        .filter(|path| path.is_dir() && path.to_string_lossy().ends_with("-linux-gnu"))
        .collect()
}

/// The libraries in a dependency tree, but those that every system has and must agree on.
fn libraries(tree: &str) -> Vec<String> {
    const EVERYWHERE: &[&str] = &["libc6", "libcrypt1", "libgcc-s1"];
    let mut names: Vec<_> = tree
        .lines()
        .filter(|line| line.starts_with("lib"))
        .map(|line| line.trim().to_owned())
        .filter(|name| !name.contains(':') && !EVERYWHERE.contains(&name.as_str()))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Does what the package's installation script would: `iptables` is one of two programs.
fn link_iptables(root: &Path) -> Result<()> {
    let sbin = root.join("usr/sbin");
    let nft = sbin.join("xtables-nft-multi");
    for name in ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"] {
        let link = sbin.join(name);
        // Also removes a link that points to nowhere.
        drop(std::fs::remove_file(&link));
        std::os::unix::fs::symlink(nft.file_name().unwrap_or_default(), &link)
            .or_cannot(|| format!("link {}", link.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::libraries;

    #[test]
    fn libraries_are_taken_from_the_tree_but_never_the_c_library() {
        let tree = "runc\n  Depends: libc6\n  Depends: libseccomp2\nlibc6\n  Depends: libgcc-s1\nlibseccomp2\n  Depends: libc6\nlibgcc-s1\n<debconf-2.0>\n";
        assert_eq!(libraries(tree), ["libseccomp2"]);
    }
}
