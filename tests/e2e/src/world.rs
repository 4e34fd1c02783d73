//! A lab with an operator in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lab::{As, Lab, Options};
use serde_json::{Value, json};

use crate::operator::{Operator, Orders};
use crate::rest::{self, Rest};
use crate::{Database, Outcome, Trouble, database, programs, until};

/// The namespace of the Secret in document 001, and here of the operator, too.
pub const NAMESPACE: &str = "kb-system";
/// The name that is filled in for `<your-secret-name>`.
pub const SECRET: &str = "data-plane";
/// Where K8sClusters are.
pub const WORKERS: &str = "/apis/k8s.oceanbase.com/v1alpha1/k8sclusters";
/// Where Clusters are.
pub const CLUSTERS: &str = "/apis/apps.kubeblocks.io/v1alpha1/clusters";

/// A lab, the ways into its clusters, and the operator.
///
/// The lab goes down when this is dropped, also when a test fails or panics.
pub struct World {
    lab: Option<Lab>,
    rests: BTreeMap<String, Rest>,
    folder: PathBuf,
    operator: Mutex<Option<Operator>>,
    /// How operators are started here.
    pub orders: Orders,
    lives: Mutex<u32>,
    keep: AtomicBool,
}

impl World {
    /// A new lab, in place of any that there is.
    pub fn up(options: Options) -> Outcome<Self> {
        // Once more, for a machine of two cores has bad moments.
        let lab = Lab::up(options.clone()).or_else(|error| {
            eprintln!("the lab did not come up, and is tried again: {error}");
            Lab::up(options)
        });
        Self::around(lab.inspect_err(|_| drop(Lab::clean()))?)
    }

    fn around(lab: Lab) -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("atoll-e2e-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let orders = Orders {
            kubeconfig: folder.join("master.yaml"),
            log: folder.join("atoll.log"),
            namespace: NAMESPACE.to_owned(),
            arguments: Vec::new(),
        };
        // Made before anything that can fail, so that the lab goes down whatever happens.
        let mut world = Self {
            lab: Some(lab),
            rests: BTreeMap::new(),
            folder,
            operator: Mutex::default(),
            orders,
            lives: Mutex::new(0),
            keep: AtomicBool::new(false),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let runtime = Arc::new(runtime);
        let names: Vec<_> = world.lab().clusters().iter().map(|cluster| cluster.name.clone()).collect();
        for name in names {
            let rest = Rest::new(&name, &world.lab().kubeconfig(&name, As::Admin)?, &runtime)?;
            world.rests.insert(name, rest);
        }
        std::fs::write(&world.orders.kubeconfig, world.lab().kubeconfig("master", As::Cert)?)?;
        Ok(world)
    }

    /// The lab.
    ///
    /// # Panics
    /// Never: the lab is taken out only when this is dropped.
    #[allow(clippy::expect_used)]
    pub fn lab(&self) -> &Lab {
        self.lab.as_ref().expect("the lab is there until the world ends")
    }

    /// A folder for this world's files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of the worker clusters.
    #[must_use]
    pub fn workers(&self) -> Vec<String> {
        self.lab()
            .clusters()
            .iter()
            .filter(|cluster| !cluster.is_master())
            .map(|cluster| cluster.name.clone())
            .collect()
    }

    /// The API server of a cluster.
    pub fn rest(&self, cluster: &str) -> Outcome<&Rest> {
        self.rests.get(cluster).ok_or_else(|| Trouble::new(format!("there is no cluster {cluster}")))
    }

    /// Runs kubectl as a person would, and gives what it printed.
    pub fn kubectl(&self, cluster: &str, arguments: &[&str], stdin: Option<&str>) -> Outcome<String> {
        let output = self.lab().kubectl(cluster, arguments, stdin)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Trouble::new(format!("kubectl {} in {cluster}: {}", arguments.join(" "), said.trim())))
    }

    /// Runs `atoll` against the master, and gives what it printed, with its exit code.
    pub fn atoll(&self, arguments: &[&str]) -> Outcome<(String, i32)> {
        let mut command = Command::new(programs::atoll()?);
        let output = command.args(arguments).arg("--kubeconfig").arg(&self.orders.kubeconfig).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((String::from_utf8_lossy(&said).into_owned(), output.status.code().unwrap_or(-1)))
    }

    /// Installs Atoll's resource kinds.
    pub fn install_kinds(&self) -> Outcome {
        let (said, code) = self.atoll(&["crds", "apply"])?;
        if code == 0 { Ok(()) } else { Err(Trouble::new(format!("atoll crds apply: {said}"))) }
    }

    /// Registers all workers as document 001 does: one Secret with a kubeconfig, named on the operator's command line.
    pub fn register_workers(&mut self, who: As) -> Outcome {
        let contexts = self.workers().join(",");
        let master = self.rest("master")?;
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        if master.find(&format!("/api/v1/namespaces/{NAMESPACE}"))?.is_none() {
            master.create("/api/v1/namespaces", &namespace)?;
        }
        self.put_secret(&self.lab().merged_kubeconfig(who)?)?;
        let secret = format!("{NAMESPACE}/{SECRET}");
        self.orders.arguments.extend(["--multi-cluster-kubeconfig".to_owned(), secret]);
        self.orders.arguments.extend(["--multi-cluster-contexts".to_owned(), contexts]);
        Ok(())
    }

    /// Writes the Secret of document 001 with this kubeconfig in it.
    pub fn put_secret(&self, kubeconfig: &str) -> Outcome {
        let master = self.rest("master")?;
        let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.kubeconfig",
            "metadata": { "namespace": NAMESPACE, "name": SECRET }, "stringData": { "kubeconfig": kubeconfig } });
        let there = master.find(&format!("{path}/{SECRET}"))?.is_some();
        let done =
            if there { master.patch(&format!("{path}/{SECRET}"), &secret) } else { master.create(&path, &secret) };
        done.map(drop)
    }

    /// Starts the operator; an earlier one is killed first.
    ///
    /// Each life has a Lease of its own, so that none waits for the Lease of one that is surely dead.
    pub fn start_operator(&self, further: &[&str]) -> Outcome {
        let mut operator = self.operator();
        if let Some(mut earlier) = operator.take() {
            earlier.kill()?;
        }
        let life = {
            let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
            *lives += 1;
            *lives
        };
        let lease = format!("atoll-{life}");
        let arguments: Vec<_> = ["--lease", &lease].iter().chain(further).copied().collect();
        *operator = Some(Operator::start(&self.orders, &arguments)?);
        Ok(())
    }

    /// Starts the operator and waits until it is ready.
    pub fn operate(&self, further: &[&str]) -> Outcome {
        self.start_operator(further)?;
        self.with_operator(|operator| operator.wait_until_ready(Duration::from_secs(20)))
    }

    /// Kills the operator, as a power cut would.
    pub fn kill_operator(&self) -> Outcome {
        match self.operator().take() {
            Some(mut operator) => operator.kill(),
            None => Ok(()),
        }
    }

    fn operator(&self) -> MutexGuard<'_, Option<Operator>> {
        self.operator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the running operator.
    pub fn with_operator<T>(&self, work: impl FnOnce(&mut Operator) -> Outcome<T>) -> Outcome<T> {
        work(self.operator().as_mut().ok_or_else(|| Trouble::new("no operator runs"))?)
    }

    /// Waits until all workers are connected.
    pub fn wait_for_workers(&self, limit: Duration) -> Outcome {
        let names = self.workers();
        until("not all workers are ready", limit, || {
            let registered = self.rest("master").and_then(|rest| rest.list(WORKERS)).map_err(|trouble| trouble.0)?;
            let state = |name: &String| {
                let found = registered.iter().find(|cluster| rest::name(cluster) == name);
                let ready = found.and_then(|cluster| database::condition(cluster, "Ready"));
                match ready {
                    Some(ready) if ready.status == "True" => None,
                    Some(ready) => Some(format!("{name}: {}: {}", ready.reason, ready.message)),
                    None => {
                        Some(format!("{name}: {}", if found.is_some() { "no condition yet" } else { "not registered" }))
                    }
                }
            };
            let missing: Vec<_> = names.iter().filter_map(state).collect();
            if missing.is_empty() { Ok(()) } else { Err(missing.join("; ")) }
        })
    }

    /// Tells Atoll the workers' DNS domains, which members are called by where they have no service.
    pub fn name_domains(&self) -> Outcome {
        let master = self.rest("master")?;
        for cluster in self.lab().clusters().iter().filter(|cluster| !cluster.is_master()) {
            let path = format!("{WORKERS}/{}", cluster.name);
            until(&format!("{} is not registered", cluster.name), Duration::from_secs(20), || {
                let found = master.find(&path).map_err(|trouble| trouble.0)?;
                found.map(drop).ok_or_else(|| "no such K8sCluster".to_owned())
            })?;
            master.patch(&path, &json!({ "spec": { "clusterDomain": cluster.domain } }))?;
        }
        Ok(())
    }

    /// `kubectl create -f`, as the documents have it; gives the database by the name that it got.
    pub fn create(&self, manifest: &str) -> Outcome<Database<'_>> {
        let said = self.kubectl("master", &["create", "-f", "-", "-o", "json"], Some(manifest))?;
        Ok(Database::of(self, &serde_json::from_str::<Value>(&said)?))
    }

    /// Shuts, or opens again, the way from this machine (where the operator runs) to the pods, which a flat network
    /// has. The clusters among themselves notice nothing.
    pub fn shut_the_way_to_pods(&self, shut: bool) -> Outcome {
        for cluster in self.lab().clusters() {
            for (place, node) in cluster.nodes() {
                let via = place.ip.to_string();
                let way: &[&str] = if shut { &["blackhole", &node.pod_cidr] } else { &[&node.pod_cidr, "via", &via] };
                let done = Command::new("ip").args(["route", "replace"]).args(way).output()?;
                let said = String::from_utf8_lossy(&done.stderr);
                if !done.status.success() {
                    return Err(Trouble::new(format!("ip route replace {}: {}", way.join(" "), said.trim())));
                }
            }
        }
        Ok(())
    }

    /// All objects in the workers that are Atoll's, whichever database they are of, as `worker/kind/name`.
    pub fn objects_of_atoll(&self) -> Outcome<Vec<String>> {
        let workers = self.workers();
        self.objects_of_atoll_in(&workers.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The same for these workers only.
    pub fn objects_of_atoll_in(&self, workers: &[&str]) -> Outcome<Vec<String>> {
        let mut all = Vec::new();
        for worker in workers {
            for (group, kind) in [
                ("/api/v1", "pods"),
                ("/api/v1", "services"),
                ("/api/v1", "persistentvolumeclaims"),
                ("/apis/batch/v1", "jobs"),
            ] {
                let path = format!("{group}/{kind}?labelSelector=app.kubernetes.io%2Fmanaged-by%3Datoll");
                let objects = self.rest(worker)?.list(&path)?;
                all.extend(objects.iter().map(|object| format!("{worker}/{kind}/{}", rest::name(object))));
            }
        }
        all.sort();
        Ok(all)
    }

    /// All databases.
    pub fn databases(&self) -> Outcome<Vec<Database<'_>>> {
        let resources = self.rest("master")?.list(CLUSTERS)?;
        Ok(resources.iter().map(|resource| Database::of(self, resource)).collect())
    }

    /// Everything back to how a test may expect it: no faults, no databases, an operator that is ready.
    pub fn reset(&self) -> Outcome {
        for cluster in self.workers() {
            self.lab().heal(&cluster)?;
            for process in ["apiserver", "kubelet", "addons"] {
                if self.lab().state(&cluster, process)? != lab::State::Running {
                    self.lab().start(&cluster, process)?;
                }
            }
        }
        let master = self.rest("master")?;
        for cluster in master.list(WORKERS)?.iter().filter(|cluster| cluster["spec"]["unavailable"] == true) {
            master.patch(&format!("{WORKERS}/{}", rest::name(cluster)), &json!({ "spec": { "unavailable": null } }))?;
        }
        let alive = self.operator().as_mut().is_some_and(|operator| matches!(operator.ended(), Ok(None)));
        if !alive {
            self.operate(&[])?;
        }
        let databases = self.databases()?;
        for database in &databases {
            let consent = json!({ "metadata": { "annotations": {
                "atoll.dev/confirm-delete": database.uid, "atoll.dev/keep-data": null, "atoll.dev/deletion-protection": null,
                "atoll.dev/paused": null } }, "spec": { "terminationPolicy": "WipeOut" } });
            database.patch(&consent)?;
            database.delete()?;
        }
        databases.iter().try_for_each(|database| database.wait_until_gone(Duration::from_mins(1)))
    }

    /// Fails if anything of Atoll's is left in a worker although there is no database; removes it, so that only one
    /// test fails for it.
    pub fn no_strays(&self) -> Outcome {
        self.reset()?;
        let strays = self.objects_of_atoll()?;
        if strays.is_empty() {
            return Ok(());
        }
        for worker in self.workers() {
            for kind in ["pods", "services", "pvc", "jobs"] {
                let labelled = ["delete", kind, "-A", "-l", "app.kubernetes.io/managed-by=atoll", "--now"];
                self.kubectl(&worker, &labelled, None)?;
            }
        }
        let told: Vec<_> = strays.iter().map(|stray| format!("{stray} ({})", self.life_of(stray))).collect();
        Err(Trouble::new(format!("no database is left, but these are: {}", told.join(", "))))
    }

    /// When an object, given as `worker/kind/name`, was made and deleted, and by whom: from its worker's audit log.
    fn life_of(&self, object: &str) -> String {
        let mut parts = object.splitn(3, '/');
        let (worker, kind, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let entries = self.lab().audit(worker).unwrap_or_default();
        let changes = entries.iter().filter(|entry| {
            entry.resource == kind
                && entry.name.as_deref() == Some(name)
                && matches!(entry.verb.as_str(), "create" | "delete")
        });
        let each = changes.map(|entry| format!("{} {} by {}: {}", entry.ts, entry.verb, entry.user, entry.code));
        each.collect::<Vec<_>>().join("; ")
    }

    /// Leaves the files of this world where they are when it ends.
    pub fn keep_files(&self) {
        self.keep.store(true, Ordering::SeqCst);
    }

    /// What a person would look at when something is wrong.
    #[must_use]
    pub fn diagnosis(&self) -> String {
        let mut text = String::new();
        let mut tell = |title: String, body: Outcome<String>| {
            let body = body.unwrap_or_else(|trouble| trouble.0);
            // Infallible for a String.
            _ = writeln!(text, "\n--- {title}\n{}", body.trim_end());
        };
        let status = self.atoll(&["status"]).map(|(said, _)| said);
        tell("atoll status".to_owned(), status);
        let told = self.rest("master").and_then(|rest| rest.list(CLUSTERS)).map(|all| {
            let each = all.iter().map(|one| format!("{}: {:#}\n", rest::name(one), one["status"]));
            each.collect::<String>()
        });
        tell("Clusters".to_owned(), told);
        for worker in self.workers() {
            let wide = ["get", "pods,pvc,svc", "-A", "-o", "wide", "--request-timeout=5s"];
            tell(format!("objects in {worker}"), self.kubectl(&worker, &wide, None));
        }
        let log = std::fs::read_to_string(&self.orders.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(60)..].join("\n");
        tell(format!("the end of {}", self.orders.log.display()), Ok(tail));
        text
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.kill_operator());
        if let Some(lab) = self.lab.take()
            && let Err(error) = lab.down()
        {
            eprintln!("the lab could not be taken down: {error}");
        }
        // A failed test's log is worth keeping.
        if !std::thread::panicking() && !self.keep.load(Ordering::SeqCst) {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}
