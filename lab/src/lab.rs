//! A running lab, as tests and the command see it.

use std::path::PathBuf;
use std::process::{Command, Output};

use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::audit::{self, AuditEntry};
use crate::bootstrap::DOCUMENT;
use crate::cache::Dirs;
use crate::control_plane::{audit_log, kubeconfig_path};
use crate::debs::Debs;
use crate::error::{Error, Result, read};
use crate::faults::{self, Cut};
use crate::gobuild::{self, Programs};
use crate::images::{self, Image};
use crate::kubeconfig::{As, Credential, compose};
use crate::lock::Lock;
use crate::model::{Cluster, Options, Place, Topology};
use crate::node::containerd_socket;
use crate::process::{PROXIES, Processes, State};
use crate::{api, certs, cleanup, network, shell, up};

/// A running lab.
///
/// There is one lab on a machine. A handle made by [`Lab::up`] or [`Lab::attach`] has it for itself until it is
/// dropped (dropping it does not end the lab); two test programs therefore cannot use it at the same time, and
/// the second is told so. All calls block; from asynchronous code use `spawn_blocking` where that matters.
#[derive(Debug)]
pub struct Lab {
    pub(crate) dirs: Dirs,
    pub(crate) topology: Topology,
    pub(crate) programs: Programs,
    pub(crate) debs: Debs,
    lock: Option<Lock>,
}

impl Lab {
    /// Starts a lab, in place of whatever lab there is or was. Says on stderr how far it is.
    pub fn up(options: Options) -> Result<Self> {
        let topology = Topology::new(options)?;
        let dirs = Dirs::from_env();
        let lock = Some(Lock::take()?);
        let lab = Self { topology, programs: Programs::new(&dirs), debs: Debs::new(&dirs), dirs, lock };
        up::up(&lab)?;
        Ok(lab)
    }

    /// The running lab, for this process alone.
    pub fn attach() -> Result<Self> {
        let lock = Lock::take()?;
        Ok(Self { lock: Some(lock), ..Self::open()? })
    }

    /// The running lab, whoever else uses it: for looking, and for a person's commands.
    pub fn open() -> Result<Self> {
        let dirs = Dirs::from_env();
        let topology = up::saved(&dirs.state)?;
        Ok(Self { topology, programs: Programs::new(&dirs), debs: Debs::new(&dirs), dirs, lock: None })
    }

    /// Ends the lab and removes everything but the cache.
    pub fn down(self) -> Result<()> {
        let _lock = match self.lock {
            Some(lock) => lock,
            None => Lock::take()?,
        };
        cleanup::clean(&self.dirs)
    }

    /// Removes whatever is left of a lab, running or not, crashed or not.
    pub fn clean() -> Result<()> {
        let _lock = Lock::take()?;
        cleanup::clean(&Dirs::from_env())
    }

    /// Builds what is not in the cache yet of a lab as most want it.
    pub fn build(etcd_36: bool) -> Result<()> {
        Self::build_for(&Options { etcd_36, ..Options::default() })
    }

    /// Builds what is not in the cache yet of a lab with these options.
    pub fn build_for(options: &Options) -> Result<()> {
        let dirs = Dirs::from_env();
        Programs::new(&dirs).ensure(&up::needed(options))?;
        Debs::new(&dirs).ensure()
    }

    /// With which options it was started.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.topology.options
    }

    /// All clusters, the master first.
    #[must_use]
    pub fn clusters(&self) -> &[Cluster] {
        &self.topology.clusters
    }

    /// The cluster of this name.
    pub fn cluster(&self, name: &str) -> Result<&Cluster> {
        self.topology.cluster(name)
    }

    /// A kubeconfig for one cluster; its context is named like the cluster.
    pub fn kubeconfig(&self, cluster: &str, who: As) -> Result<String> {
        self.compose(&[self.cluster(cluster)?], who)
    }

    /// One kubeconfig for all workers, with a context for each.
    pub fn merged_kubeconfig(&self, who: As) -> Result<String> {
        self.compose(&self.topology.workers().collect::<Vec<_>>(), who)
    }

    fn compose(&self, clusters: &[&Cluster], who: As) -> Result<String> {
        let Some(first) = clusters.first() else {
            return Err(Error::Options("this lab has no workers".to_owned()));
        };
        let ca = read(&certs::directory(&self.dirs.state, &first.name).join("ca.crt"))?;
        let with = |cluster: &&Cluster| Ok((self.cluster(&cluster.name)?, self.credential(cluster, who)?));
        compose(&ca, &clusters.iter().map(with).collect::<Result<Vec<_>>>()?)
    }

    fn credential(&self, cluster: &Cluster, who: As) -> Result<Credential> {
        let pki = certs::directory(&self.dirs.state, &cluster.name);
        let token = |name: &str| Ok(Credential::Token(read(&pki.join(format!("{name}.token")))?));
        match who {
            As::Admin => token("admin"),
            As::Document => token("document"),
            As::Cert => Ok(Credential::Certificate {
                certificate: read(&pki.join("cert.crt"))?,
                key: read(&pki.join("cert.key"))?,
            }),
            As::ShortToken => self.short_token(cluster).map(Credential::Token),
        }
    }

    fn short_token(&self, cluster: &Cluster) -> Result<String> {
        let admin = read(&kubeconfig_path(&self.dirs.state, &cluster.name, "admin"))?;
        let path = format!("/api/v1/namespaces/kube-system/serviceaccounts/{DOCUMENT}/token");
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "expirationSeconds": 600 } });
        let answer = api::session(&cluster.name, &admin, async |api| api.post(&path, &request).await)?;
        answer["status"]["token"].as_str().map(str::to_owned).ok_or_else(|| Error::Api {
            cluster: cluster.name.clone(),
            request: path,
            reason: "no token is in the answer".to_owned(),
        })
    }

    /// Cuts a cluster (or one of its nodes) off by dropping packets; an earlier cut of it is replaced.
    pub fn cut(&self, name: &str, cut: Cut) -> Result<()> {
        let master = &self.topology.clusters[0];
        for (cluster, place) in self.topology.find(name)? {
            faults::cut(place, cluster, master, &self.debs, cut)?;
            crate::error::write(&self.dirs.state.join(&place.name).join("cut"), cut.as_str())?;
        }
        Ok(())
    }

    /// Takes a cut back.
    pub fn heal(&self, name: &str) -> Result<()> {
        for (_, place) in self.topology.find(name)? {
            faults::heal(place, &self.debs)?;
            drop(std::fs::remove_file(self.dirs.state.join(&place.name).join("cut")));
        }
        Ok(())
    }

    /// Takes the cable of a cluster (or of one node) out; peers then hear "no route to host" within seconds.
    pub fn unplug(&self, name: &str) -> Result<()> {
        self.topology.find(name)?.iter().try_for_each(|(_, place)| network::set_port(place, false))
    }

    /// Puts the cable in again.
    pub fn plug(&self, name: &str) -> Result<()> {
        self.topology.find(name)?.iter().try_for_each(|(_, place)| network::set_port(place, true))
    }

    /// The faults of a place, in words.
    #[must_use]
    pub fn faults(&self, place: &Place) -> Vec<String> {
        let cut = std::fs::read_to_string(self.dirs.state.join(&place.name).join("cut")).ok();
        let unplugged = network::is_unplugged(place).then(|| "unplugged".to_owned());
        cut.map(|kind| format!("cut ({kind})")).into_iter().chain(unplugged).collect()
    }

    /// Ends a process at once (SIGKILL).
    pub fn kill(&self, name: &str, process: &str) -> Result<()> {
        self.holding(name, process)?.signal(process, Signal::SIGKILL)
    }

    /// Starts a process that was killed, as it was started first.
    pub fn start(&self, name: &str, process: &str) -> Result<()> {
        self.holding(name, process)?.start(process)
    }

    /// Stops a process where it is (SIGSTOP): its connections stay open, and nobody answers.
    pub fn pause(&self, name: &str, process: &str) -> Result<()> {
        self.holding(name, process)?.signal(process, Signal::SIGSTOP)
    }

    /// Lets a paused process go on.
    pub fn resume(&self, name: &str, process: &str) -> Result<()> {
        self.holding(name, process)?.signal(process, Signal::SIGCONT)
    }

    /// What a process is doing.
    pub fn state(&self, name: &str, process: &str) -> Result<State> {
        self.holding(name, process)?.state(process)
    }

    /// The processes of the first place of this name.
    fn holding(&self, name: &str, process: &str) -> Result<Processes> {
        let places = self.topology.find(name)?;
        let processes = self.processes(places[0].1);
        // An unknown name fails here, with the known ones.
        processes.state(process)?;
        Ok(processes)
    }

    /// The processes of a place.
    #[must_use]
    pub fn processes(&self, place: &Place) -> Processes {
        Processes::new(&self.dirs.state, &place.name)
    }

    /// All requests that a cluster's API server has answered.
    pub fn audit(&self, cluster: &str) -> Result<Vec<AuditEntry>> {
        audit::read(&self.audit_log(cluster)?, None)
    }

    /// Those received since then.
    pub fn audit_since(&self, cluster: &str, since: Timestamp) -> Result<Vec<AuditEntry>> {
        audit::read(&self.audit_log(cluster)?, Some(since))
    }

    /// The audit log itself: a JSON object per line.
    pub fn audit_log(&self, cluster: &str) -> Result<PathBuf> {
        Ok(audit_log(&self.dirs.state, &self.cluster(cluster)?.name))
    }

    /// Makes an image and loads it into every node of these clusters (none given: of all).
    pub fn load_image(&self, image: &Image, clusters: &[&str]) -> Result<()> {
        let archive = image.archive(&images::on_demand(&self.dirs))?;
        self.load_archive(&archive, clusters)
    }

    /// Loads an image archive (docker or OCI) into every node of these clusters (none given: of all).
    pub fn load_archive(&self, archive: &std::path::Path, clusters: &[&str]) -> Result<()> {
        for name in clusters {
            self.cluster(name)?;
        }
        let wanted = |cluster: &Cluster| clusters.is_empty() || clusters.contains(&cluster.name.as_str());
        let places: Vec<_> =
            self.topology.places().filter(|(cluster, place)| wanted(cluster) && place.node.is_some()).collect();
        if places.is_empty() {
            return Err(Error::Options(
                "there is no node to load an image into; `lab up` with nodes (--master-node for the master)".to_owned(),
            ));
        }
        up::in_parallel(&places, |(_, place)| self.import(place, archive))
    }

    /// Loads what `lab image` was given: `NAME:TAG=PROGRAM`, or the path of an archive.
    pub fn load_argument(&self, argument: &str, clusters: &[&str]) -> Result<()> {
        let archive = images::from_argument(argument, &images::on_demand(&self.dirs))?;
        self.load_archive(&archive, clusters)
    }

    pub(crate) fn import(&self, place: &Place, archive: &std::path::Path) -> Result<()> {
        images::import(
            &self.debs.program("ctr"),
            &self.debs.environment(),
            &containerd_socket(&self.dirs, place),
            archive,
        )
    }

    /// Runs `kubectl` as an administrator of a cluster; a failure of kubectl is in the output's status.
    pub fn kubectl(&self, cluster: &str, args: &[&str], stdin: Option<&str>) -> Result<Output> {
        shell::output(self.kubectl_command(cluster)?.args(args), stdin)
    }

    /// The same, to be started by the caller.
    pub fn kubectl_command(&self, cluster: &str) -> Result<Command> {
        let kubeconfig = kubeconfig_path(&self.dirs.state, &self.cluster(cluster)?.name, "admin");
        let mut command = Command::new(self.programs.path(&gobuild::KUBECTL));
        for name in PROXIES {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        command.env("KUBECONFIG", kubeconfig);
        Ok(command)
    }

    /// Where a program of the lab is (`kubectl`, `helm`, `etcdctl`, …), built if need be.
    pub fn bin(&self, name: &str) -> Result<PathBuf> {
        self.programs.named(name)
    }

    /// Runs a command in a cluster's (or a node's) network, as one of its processes would see it.
    pub fn command_in(&self, name: &str, program: &str) -> Result<Command> {
        let place = self.topology.find(name)?[0].1;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", place.netns)).arg(program).envs(self.debs.environment());
        Ok(command)
    }

    /// Everything that the running lab writes is below this directory; logs are in `<place>/proc/<process>.log`.
    #[must_use]
    pub fn state_dir(&self) -> &std::path::Path {
        &self.dirs.state
    }
}
