//! The Go programs: which there are, how they are pinned, and how they get into the cache.
//!
//! The modules' `go.mod` and `go.sum` travel inside this crate, so an installed `lab` builds what its source named.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cache::{Dirs, fingerprint, publish};
use crate::error::{Context, Error, Result, make_dir, write};
use crate::shell;

/// Goes into the fingerprint: what is built with other flags is something else.
const FLAGS: &[&str] = &["-trimpath", "-buildvcs=false"];

/// A Go module with the programs that come from it.
#[derive(Debug)]
pub struct Module {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// Linker flags beyond those that make a program small.
    link: &'static str,
    /// What else the programs need of the source when they run.
    carried: Option<Carried>,
}

/// A folder of a module's source, copied beside the programs when they are built.
#[derive(Debug)]
struct Carried {
    module: &'static str,
    folder: &'static str,
}

macro_rules! module {
    ($constant:ident, $name:literal, [$($file:literal),+], $link:expr) => {
        module!($constant, $name, [$($file),+], $link, None);
    };
    ($constant:ident, $name:literal, [$($file:literal),+], $link:expr, $carried:expr) => {
        static $constant: Module = Module {
            name: $name,
            files: &[$(($file, include_str!(concat!("../go/", $name, "/", $file)))),+],
            link: $link,
            carried: $carried,
        };
    };
}

// Without these, every program calls itself v0.0.0-master and clients cannot tell what they talk to.
module!(
    KUBERNETES,
    "kubernetes",
    ["go.mod", "go.sum"],
    "-X k8s.io/component-base/version.gitVersion=v1.34.4 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34 \
    -X k8s.io/component-base/version.gitTreeState=clean -X k8s.io/component-base/version.gitCommit=v1.34.4"
);
module!(ETCD_35, "etcd-3.5", ["go.mod", "go.sum"], "");
module!(ETCD_36, "etcd-3.6", ["go.mod", "go.sum"], "");
module!(COREDNS, "coredns", ["go.mod", "go.sum", "main.go"], "");
module!(HELM, "helm", ["go.mod", "go.sum"], "");
module!(PAUSE, "pause", ["go.mod", "main.go"], "");
module!(
    METALLB,
    "metallb",
    ["go.mod", "go.sum"],
    "",
    Some(Carried { module: "go.universe.tf/metallb", folder: "config/crd/bases" })
);

/// The version in the name of the etcd 3.5 image; a test compares it with `go.mod`.
pub const ETCD_35_VERSION: &str = "v3.5.35";
/// The version in the name of the etcd 3.6 image; a test compares it with `go.mod`.
pub const ETCD_36_VERSION: &str = "v3.6.16";

/// One Go program.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The file's name.
    pub name: &'static str,
    package: &'static str,
    module: &'static Module,
}

macro_rules! programs {
    ($($constant:ident = $name:literal of $module:ident: $package:literal;)+) => {
        $(#[doc = concat!("The program `", $name, "`.")]
        pub const $constant: Program = Program { name: $name, package: $package, module: &$module };)+
    };
}

programs! {
    KUBE_APISERVER = "kube-apiserver" of KUBERNETES: "k8s.io/kubernetes/cmd/kube-apiserver";
    KUBELET = "kubelet" of KUBERNETES: "k8s.io/kubernetes/cmd/kubelet";
    KUBE_CONTROLLER_MANAGER = "kube-controller-manager" of KUBERNETES: "k8s.io/kubernetes/cmd/kube-controller-manager";
    KUBE_SCHEDULER = "kube-scheduler" of KUBERNETES: "k8s.io/kubernetes/cmd/kube-scheduler";
    KUBE_PROXY = "kube-proxy" of KUBERNETES: "k8s.io/kubernetes/cmd/kube-proxy";
    KUBECTL = "kubectl" of KUBERNETES: "k8s.io/kubernetes/cmd/kubectl";
    ETCD = "etcd" of ETCD_35: "go.etcd.io/etcd/server/v3";
    ETCDCTL = "etcdctl" of ETCD_35: "go.etcd.io/etcd/etcdctl/v3";
    ETCDUTL = "etcdutl" of ETCD_35: "go.etcd.io/etcd/etcdutl/v3";
    COREDNS_PROGRAM = "coredns" of COREDNS: ".";
    PAUSE_PROGRAM = "pause" of PAUSE: ".";
    HELM_PROGRAM = "helm" of HELM: "helm.sh/helm/v3/cmd/helm";
    ETCD_36_SERVER = "etcd" of ETCD_36: "go.etcd.io/etcd/server/v3";
    ETCD_36_CTL = "etcdctl" of ETCD_36: "go.etcd.io/etcd/etcdctl/v3";
    ETCD_36_UTL = "etcdutl" of ETCD_36: "go.etcd.io/etcd/etcdutl/v3";
    METALLB_CONTROLLER = "metallb-controller" of METALLB: "go.universe.tf/metallb/controller";
}

/// What `lab build` makes; the slowest first, since its packages serve the next ones.
pub const STANDARD: &[Program] = &[
    KUBE_APISERVER,
    KUBELET,
    KUBE_CONTROLLER_MANAGER,
    KUBE_SCHEDULER,
    KUBE_PROXY,
    KUBECTL,
    ETCD,
    ETCDCTL,
    ETCDUTL,
    COREDNS_PROGRAM,
    PAUSE_PROGRAM,
    HELM_PROGRAM,
];
/// What the image of etcd 3.6 needs besides.
pub const WITH_ETCD_36: &[Program] = &[ETCD_36_SERVER, ETCD_36_CTL, ETCD_36_UTL];
/// What `--metallb` needs besides.
pub const WITH_METALLB: &[Program] = &[METALLB_CONTROLLER];

impl Module {
    fn fingerprint(&self) -> String {
        let files = self.files.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
        let flags = FLAGS.iter().map(|flag| flag.as_bytes());
        let carried = self.carried.iter().flat_map(|carried| [carried.module.as_bytes(), carried.folder.as_bytes()]);
        fingerprint(files.chain(flags).chain([self.link.as_bytes()]).chain(carried))
    }
}

/// The Go programs in the cache.
#[derive(Clone, Debug)]
pub struct Programs {
    cache: PathBuf,
    go: String,
}

impl Programs {
    /// Looks which Go there is; where there is none, programs built by any Go serve.
    #[must_use]
    pub fn new(dirs: &Dirs) -> Self {
        let version = shell::find("go").and_then(|go| shell::run(Command::new(go).args(["env", "GOVERSION"])).ok());
        Self { cache: dirs.cache.clone(), go: version.map(|text| text.trim().to_owned()).unwrap_or_default() }
    }

    /// Where a program is, or will be.
    #[must_use]
    pub fn path(&self, program: &Program) -> PathBuf {
        self.directory(program).join(program.name)
    }

    /// Where the files are that a program's module carries along.
    #[must_use]
    pub fn carried(&self, program: &Program) -> PathBuf {
        self.directory(program).join("carried")
    }

    fn directory(&self, program: &Program) -> PathBuf {
        let bin = self.cache.join("bin");
        let pinned = format!("{}-{}-{}-", program.module.name, program.name, program.module.fingerprint());
        let built =
            || bin.read_dir().into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        match self.go.as_str() {
            // Root's PATH often lacks Go; what was built with any Go from the same pins serves as well.
            "" => {
                bin.join(built().find(|name| name.starts_with(&pinned) && !name.contains(".partial")).unwrap_or(pinned))
            }
            go => bin.join(pinned + go),
        }
    }

    /// The programs of this name, for `lab.bin("helm")`.
    pub fn named(&self, name: &str) -> Result<PathBuf> {
        let program = STANDARD.iter().find(|program| program.name == name).ok_or_else(|| {
            let known = STANDARD.iter().map(|program| program.name).collect::<Vec<_>>().join(", ");
            Error::Options(format!("the lab has no program {name:?}; it has: {known}"))
        })?;
        self.ensure(&[*program])?;
        Ok(self.path(program))
    }

    /// Which of these are not in the cache.
    #[must_use]
    pub fn missing(&self, programs: &[Program]) -> Vec<Program> {
        programs.iter().copied().filter(|program| !self.path(program).exists()).collect()
    }

    /// Builds what is missing, telling how far it is.
    pub fn ensure(&self, programs: &[Program]) -> Result<()> {
        let missing = self.missing(programs);
        if missing.is_empty() {
            return Ok(());
        }
        let Some(go) = shell::find("go") else {
            return Err(Error::Preflight(vec![NEED_GO.to_owned()]));
        };
        let all = Instant::now();
        let long =
            if missing.len() < STANDARD.len() { "" } else { "; the first time takes 6 to 10 minutes on two cores" };
        say(&format!(
            "building {} of {} programs from Go modules into {}{long}",
            missing.len(),
            programs.len(),
            self.cache.display()
        ));
        for (number, program) in missing.iter().enumerate() {
            let label =
                format!("component {} of {}: {} ({})", number + 1, missing.len(), program.name, program.module.name);
            self.build(&go, program, &label)?;
        }
        say(&format!("built in {:.0} s", all.elapsed().as_secs_f32()));
        Ok(())
    }

    fn build(&self, go: &Path, program: &Program, label: &str) -> Result<()> {
        let module = program.module;
        let source = self.cache.join("src").join(format!("{}-{}", module.name, module.fingerprint()));
        publish(&source, |dir| module.files.iter().try_for_each(|(name, text)| write(&dir.join(name), text)))?;
        let log = self.cache.join("log").join(format!("{}-{}.log", module.name, program.name));
        make_dir(&self.cache.join("log"))?;
        make_dir(&self.cache.join("bin"))?;
        publish(&self.directory(program), |dir| {
            let output = std::fs::File::create(&log).or_cannot(|| format!("write {}", log.display()))?;
            let mut command = Command::new(go);
            command.current_dir(&source).env("CGO_ENABLED", "0").env("GOWORK", "off").arg("build").args(FLAGS);
            command.arg("-ldflags").arg(format!("-s -w {}", module.link).trim_end());
            command.arg("-o").arg(dir.join(program.name)).arg(program.package);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
            let mut child = command.spawn().or_cannot(|| format!("run {}", go.display()))?;
            let mut progress = Progress::begin(label);
            loop {
                if let Some(status) = child.try_wait().or_cannot(|| "wait for go".to_owned())? {
                    progress.end(status.success());
                    if !status.success() {
                        return Err(failure(program, &log));
                    }
                    let carry = |carried| carry(go, &source, carried, &dir.join("carried"));
                    return module.carried.as_ref().map_or(Ok(()), carry);
                }
                std::thread::sleep(Duration::from_millis(100));
                progress.tick();
            }
        })
    }
}

pub(crate) const NEED_GO: &str = "Go 1.26 or newer is missing: install it from https://go.dev/dl (package golang-go may be too old), \
    and have `go` in PATH; it builds the Kubernetes programs once";

/// Copies the files of a folder of a module that was just built, and therefore is in Go's module cache.
fn carry(go: &Path, source: &Path, carried: &Carried, target: &Path) -> Result<()> {
    let mut list = Command::new(go);
    list.current_dir(source).env("GOWORK", "off").args(["list", "-m", "-f", "{{.Dir}}", carried.module]);
    let folder = Path::new(shell::run(&mut list)?.trim()).join(carried.folder);
    let cannot = || format!("copy {} of {}", carried.folder, carried.module);
    make_dir(target)?;
    for entry in folder.read_dir().or_cannot(cannot)? {
        let entry = entry.or_cannot(cannot)?;
        write(&target.join(entry.file_name()), std::fs::read(entry.path()).or_cannot(cannot)?)?;
    }
    Ok(())
}

fn failure(program: &Program, log: &Path) -> Error {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(12)..].join("\n");
    Error::Build { component: program.name.to_owned(), log: log.to_owned(), tail }
}

fn say(line: &str) {
    eprintln!("{line}");
}

/// Tells that something long goes on: one moving line on a terminal, a line each half minute elsewhere.
struct Progress {
    label: String,
    started: Instant,
    told: Instant,
    terminal: bool,
}

impl Progress {
    fn begin(label: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        if !terminal {
            say(&format!("{label} …"));
        }
        Self { label: label.to_owned(), started: Instant::now(), told: Instant::now(), terminal }
    }

    fn tick(&mut self) {
        let pause = Duration::from_secs(if self.terminal { 1 } else { 30 });
        if self.told.elapsed() < pause {
            return;
        }
        self.told = Instant::now();
        let seconds = self.started.elapsed().as_secs();
        if self.terminal {
            eprint!("\r{} … {seconds} s ", self.label);
            drop(std::io::stderr().flush());
        } else {
            say(&format!("{} … {seconds} s", self.label));
        }
    }

    fn end(&self, well: bool) {
        let start = if self.terminal { "\r" } else { "" };
        let outcome = if well { "done" } else { "FAILED" };
        eprintln!("{start}{} {outcome} in {} s   ", self.label, self.started.elapsed().as_secs());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn image_names_tell_the_version_that_is_pinned() {
        for (module, version) in [(&ETCD_35, ETCD_35_VERSION), (&ETCD_36, ETCD_36_VERSION)] {
            let pinned = format!("go.etcd.io/etcd/server/v3 {version}");
            assert!(module.files[0].1.contains(&pinned), "{pinned}");
        }
        assert!(KUBERNETES.files[0].1.contains("k8s.io/kubernetes v1.34.4"));
        assert!(KUBERNETES.link.contains("gitVersion=v1.34.4"));
    }

    #[test]
    fn what_is_not_asked_for_is_not_built() {
        let standard = |program: &Program| STANDARD.iter().any(|other| other.name == program.name);
        assert!(!WITH_METALLB.iter().any(standard));
        assert!(METALLB.files[0].1.contains("tool go.universe.tf/metallb/controller"));
    }

    #[test]
    fn another_go_builds_into_another_place_and_modules_never_share_one() {
        let with = |go: &str| Programs { cache: "/c".into(), go: go.into() };
        assert_ne!(with("go1.26.1").path(&ETCD), with("go1.26.2").path(&ETCD));
        assert_ne!(with("go1.26.1").path(&ETCD), with("go1.26.1").path(&ETCD_36_SERVER));
    }

    #[test]
    fn without_go_what_was_built_from_the_same_pins_is_found() {
        let cache = tempfile::tempdir().unwrap();
        let with = |go: &str| Programs { cache: cache.path().into(), go: go.into() };
        let path = with("go1.26.1").path(&ETCD);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(with("").path(&ETCD), path);
        assert_eq!(with("").missing(&[ETCD, ETCDCTL]).len(), 1);
    }

    #[test]
    fn an_unknown_program_is_answered_with_the_known_ones() {
        let error = Programs { cache: "/c".into(), go: String::new() }.named("vim").unwrap_err().to_string();
        assert!(error.contains("vim") && error.contains("kubectl"), "{error}");
    }
}
