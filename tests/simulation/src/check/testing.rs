//! What tests of checks begin with: a master and three clusters, of which two are registered workers, with real
//! in-memory API servers; and processes as somebody says that they are.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use apiserver::{ApiServer, Commit, Options, Place, Who};
use atoll::{dialect, plan::labels};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Check, Truth,
    look::{FINALIZER, identity, name, text, uid},
    request::{DATABASES, Request, WORKERS},
};
use crate::{
    addresses::Addresses,
    etcd::{ClusterId, Etcds, Founding, MemberId, Network, ProcessId, Role, Start, View},
    place,
    tape::{Answer, Call, Event, Life, Party, Site},
};

/// Rendered once: that takes longer than all the rest.
static CRDS: LazyLock<Vec<Value>> =
    LazyLock::new(|| dialect::crds().into_iter().map(|crd| serde_json::to_value(crd).expect("a CRD")).collect());

const PODS: &str = "/api/v1/namespaces/default/pods";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

/// So many seconds.
pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// In which cluster the members of all databases are.
fn home(member: u8) -> &'static str {
    ["w1", "w2"][usize::from(member % 2)]
}

/// The process of a member of database `a`, of so many voters. It does not serve.
pub fn view(member: u8, voters: u8) -> View {
    View {
        process: ProcessId(member.into()),
        pod: format!("a-etcd-{member}"),
        owner: "a".to_owned(),
        place: place::Place::Cluster(home(member).to_owned()),
        volume: format!("volume-{member}"),
        cluster_id: Some(ClusterId(1)),
        member_id: Some(MemberId(u64::from(member) + 1)),
        name: format!("a-etcd-{member}"),
        role: Role::Follower,
        term: 2,
        voters: (1..=u64::from(voters)).map(MemberId).collect(),
        learners: [].into(),
        serving: false,
        keys: 0,
        incarnation: u64::from(member),
        alone: false,
    }
}

/// A member founds.
pub fn founding(member: u8, cluster: u64, at: Duration) -> Founding {
    Founding {
        owner: "a".to_owned(),
        cluster_id: ClusterId(cluster),
        member_id: MemberId(u64::from(member) + 1),
        token: "token".to_owned(),
        at,
        by_volume: format!("volume-{member}"),
        process: ProcessId(member.into()),
    }
}

/// Which process answers at which host. Nothing is ever cut.
#[derive(Default)]
struct Wires(Mutex<BTreeMap<String, ProcessId>>);

impl Network for Wires {
    fn dial(&self, _: &place::Place, address: &str) -> Option<(ProcessId, u16)> {
        let (host, port) = address.rsplit_once(':')?;
        let process = *self.0.lock().expect("no panic").get(host)?;
        Some((process, port.parse().ok()?))
    }

    fn passes(&self, _: &place::Place, _: &place::Place) -> bool {
        true
    }
}

/// See the module.
pub struct Scene {
    /// What really is.
    pub truth: Truth,
    /// What time it is.
    pub now: Duration,
    commits: Arc<Mutex<Vec<(Site, Commit)>>>,
    wires: Arc<Wires>,
    calls: u64,
}

impl Scene {
    /// Where databases are.
    pub const DATABASES: &str = "/apis/apps.kubeblocks.io/v1alpha1/namespaces/default/clusters";

    /// No database yet.
    pub fn new() -> Self {
        let commits: Arc<Mutex<Vec<(Site, Commit)>>> = Arc::default();
        let server = |(seed, site): (u64, &str)| {
            let site = Site::from(site);
            let server = ApiServer::new(Options {
                identity: format!("identity-of-{site}"),
                version: "v1.34.4".to_owned(),
                clock: Arc::new(|| jiff::Timestamp::UNIX_EPOCH),
                seed,
            });
            let (taken, place) = (commits.clone(), site.clone());
            let take = move |commit: &Commit| taken.lock().expect("no panic").push((place.clone(), commit.clone()));
            server.on_commit(Arc::new(take));
            (site, server)
        };
        let servers: BTreeMap<_, _> = (1..).zip(["master", "w1", "w2", "w3"]).map(server).collect();
        let wires = Arc::new(Wires::default());
        let truth = Truth {
            servers,
            etcds: Etcds::new(wires.clone(), 1),
            canaries: Vec::new(),
            addresses: Addresses::default(),
        };
        let mut scene = Self { truth, now: seconds(100), commits, wires, calls: 0 };
        for crd in CRDS.iter() {
            scene.create("master", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
        }
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "atoll-system" } });
        scene.create("master", "/api/v1/namespaces", &namespace);
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
        for site in ["w1", "w2", "w3"] {
            scene.create(site, "/api/v1/namespaces/default/serviceaccounts", &account);
        }
        for site in ["w1", "w2"] {
            scene.register_again(site, site, "True");
        }
        scene
    }

    /// Registers a cluster under a name, as a worker that is ready or not.
    pub fn register_again(&mut self, site: &str, called: &str, ready: &str) -> Vec<Event> {
        let path = "/apis/k8s.oceanbase.com/v1alpha1/k8sclusters";
        let worker = json!({ "apiVersion": "k8s.oceanbase.com/v1alpha1", "kind": "K8sCluster",
            "metadata": { "name": called }, "spec": { "name": called } });
        self.create("master", path, &worker);
        let mut told = self.get("master", WORKERS, "", called).expect("it was made").as_ref().clone();
        told["status"] = json!({ "identity": identity(&self.truth, site), "conditions": [{ "type": "Ready",
            "status": ready, "reason": "Connected", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" }] });
        self.by_admin("master", "PUT", &format!("{path}/{called}/status"), &told)
    }

    /// Takes a worker's pinned identity away.
    pub fn unpin(&mut self, worker: &str) {
        let path = format!("/apis/k8s.oceanbase.com/v1alpha1/k8sclusters/{worker}/status");
        let mut told = self.get("master", WORKERS, "", worker).expect("it is there").as_ref().clone();
        told["status"] = json!({ "conditions": [] });
        self.by_admin("master", "PUT", &path, &told);
    }

    /// A request of the controller, not sent yet.
    pub fn call(life: u32, site: &str, verb: &'static str, path: &str, body: &str) -> Call {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let (path, site) = (path.to_owned(), Site::from(site));
        Call { number: 0, life: Life(life), site, verb, path, query: String::new(), body }
    }

    /// The controller sends a request, which has not arrived yet.
    pub fn sends(&mut self, life: u32, site: &str, verb: &'static str, path: &str, body: &Value) -> Event {
        self.calls += 1;
        Event::Sent(Arc::new(Call { number: self.calls, ..Self::call(life, site, verb, path, &body.to_string()) }))
    }

    /// The controller sends a request, and it is carried out.
    pub fn does(&mut self, life: u32, site: &str, verb: &'static str, path: &str, body: &Value) -> Vec<Event> {
        let sent = self.sends(life, site, verb, path, body);
        let Event::Sent(call) = &sent else { unreachable!("it was sent") };
        let call = call.clone();
        let (code, commits) = self.carry_out(&self.truth.addresses.behind(&Site::from(site)), verb, path, body);
        let committed = commits
            .into_iter()
            .map(|(site, commit)| Event::Committed(site, Party::Controller(Life(life)), Arc::new(commit)));
        let answered = Event::Answered(call, Answer::Code(code));
        std::iter::once(sent).chain(committed).chain([answered]).collect()
    }

    fn carry_out(&self, site: &str, verb: &str, path: &str, body: &Value) -> (u16, Vec<(Site, Commit)>) {
        self.commits.lock().expect("no panic").clear();
        let kind = if verb == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(verb).uri(path).header("content-type", kind);
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let reply = self.truth.servers[site].answer(&Who::Admin, request.body(body).expect("a request"));
        (reply.status().as_u16(), std::mem::take(&mut *self.commits.lock().expect("no panic")))
    }

    /// A person does something.
    pub fn by_admin(&mut self, site: &str, verb: &str, path: &str, body: &Value) -> Vec<Event> {
        let (code, commits) = self.carry_out(site, verb, path, body);
        assert!(code < 300, "{verb} {path}: {code} {body}");
        let committed = |(site, commit)| Event::Committed(site, Party::Person, Arc::new(commit));
        commits.into_iter().map(committed).collect()
    }

    /// Puts an object there.
    pub fn create(&mut self, site: &str, path: &str, object: &Value) -> Arc<Value> {
        let events = self.by_admin(site, "POST", path, object);
        let made = events.iter().find_map(|event| match event {
            Event::Committed(_, _, commit) => commit.after.clone(),
            _ => None,
        });
        let resource = Request::of(path).expect("a path").resource;
        made.unwrap_or_else(|| panic!("{resource} {} was made", name(object)))
    }

    /// An object.
    pub fn get(&self, site: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let place = Place { resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
        self.truth.servers[site].get(&place)
    }

    /// Shows an event to a check.
    pub fn see(&self, check: &mut impl Check, event: &Event) -> Result<(), String> {
        check.see(self.now, event, &self.truth)
    }

    /// A database with three members that has come so far.
    pub fn database(&mut self, name: &str, stage: &str) -> Arc<Value> {
        self.database_with(name, stage, "WipeOut", json!({}))
    }

    /// The same with a policy and annotations.
    pub fn database_with(&mut self, name: &str, stage: &str, policy: &str, annotations: Value) -> Arc<Value> {
        let manifest = json!({
            "apiVersion": "apps.kubeblocks.io/v1alpha1", "kind": "Cluster",
            "metadata": { "namespace": "default", "name": name, "finalizers": [FINALIZER], "annotations": annotations },
            "spec": { "terminationPolicy": policy,
                "componentSpecs": [{ "componentDef": "etcd-0.9.0", "name": "etcd", "replicas": 3 }] },
        });
        let made = self.create("master", Self::DATABASES, &manifest);
        let members: Vec<_> = (0..3)
            .map(|n: u8| {
                json!({ "name": format!("{name}-etcd-{n}"), "ordinal": n, "worker": home(n),
                    "workerIdentity": identity(&self.truth, home(n)), "volume": format!("volume-{n}"),
                    "peer": format!("10.0.0.{n}:2380"), "client": format!("10.0.0.{n}:2379"),
                    "engineId": format!("{:x}", n + 1) })
            })
            .collect();
        let mut told = made.as_ref().clone();
        let blank = json!({ "uid": uid(&made), "network": "loadbalancer", "members": members,
            "runs": { "version": "3.5.35", "image": "etcd:3.5.35" } });
        told["status"] = json!({ "atoll": Self::record(&blank, stage) });
        if stage == "placed" {
            for member in told["status"]["atoll"]["members"].as_array_mut().into_iter().flatten() {
                *member = json!({ "name": member["name"], "ordinal": member["ordinal"], "worker": member["worker"] });
            }
        }
        self.by_admin("master", "PUT", &format!("{}/{name}/status", Self::DATABASES), &told);
        self.get("master", DATABASES, "default", name).expect("it was made")
    }

    /// A record at another stage.
    pub fn record(record: &Value, stage: &str) -> Value {
        let mut next = record.clone();
        next["stage"] = match stage {
            "placed" => json!({ "phase": "placed", "attempt": 1 }),
            stage => json!({ "phase": stage, "attempt": 1, "token": "token", "cluster": "1" }),
        };
        next
    }

    fn labels(&self, database: &Value, member: u8) -> Value {
        json!({
            labels::MANAGED_BY: labels::MANAGER,
            labels::MASTER: identity(&self.truth, "master"),
            labels::DATABASE_KIND: DATABASES,
            labels::DATABASE_NAMESPACE: "default",
            labels::DATABASE_NAME: name(database),
            labels::DATABASE_UID: uid(database),
            labels::MEMBER: format!("{}-etcd-{member}", name(database)),
        })
    }

    /// A member's pod, as it should be, but that these arguments come first.
    pub fn pod(&self, database: &Value, member: u8, args: &[&str]) -> Value {
        let called = format!("{}-etcd-{member}", name(database));
        let mut labels = self.labels(database, member);
        labels[labels::PART] = json!(labels::PART_MEMBER);
        let volume = text(database, &format!("/status/atoll/members/{member}/volume")).to_owned();
        let founders: Vec<_> = (0..3).map(|n| format!("{}-etcd-{n}=http://10.0.0.{n}:2380", name(database))).collect();
        let mut all: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        all.push(format!("--name={called}"));
        all.push(format!("--initial-advertise-peer-urls=http://10.0.0.{member}:2380"));
        all.push(format!("--initial-cluster={}", founders.join(",")));
        all.push("--initial-cluster-token=token".to_owned());
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": called, "namespace": "default", "labels": labels, "ownerReferences": [{ "apiVersion": "v1",
                "kind": "PersistentVolumeClaim", "name": format!("data-{called}"), "uid": volume, "controller": true }] },
            "spec": { "containers": [{ "name": "etcd", "image": "etcd:3.5.35", "args": all }], "volumes": [{ "name": "data",
                "persistentVolumeClaim": { "claimName": format!("data-{called}") } }] },
        })
    }

    /// Starts what a member's pod runs.
    pub fn starts(&mut self, database: &Value, member: u8, state: &str) -> ProcessId {
        let pod = self.pod(database, member, &[&format!("--initial-cluster-state={state}")]);
        let mut args: Vec<String> = super::founding::args(&pod).map(str::to_owned).collect();
        args.extend(
            [2380, 2379, 2381]
                .into_iter()
                .zip(["peer", "client", "metrics"])
                .map(|(port, what)| format!("--listen-{what}-urls=http://0.0.0.0:{port}")),
        );
        args.push("--data-dir=/var/run/etcd/default.etcd".to_owned());
        args.push(format!("--advertise-client-urls=http://10.0.0.{member}:2379"));
        let start = Start {
            place: place::Place::Cluster(home(member).to_owned()),
            volume: text(database, &format!("/status/atoll/members/{member}/volume")).to_owned(),
            owner: uid(database).to_owned(),
            pod: name(&pod).to_owned(),
            version: "3.5.35".to_owned(),
            args,
            env: BTreeMap::new(),
        };
        let process = self.truth.etcds.start(self.now, start);
        self.wires.0.lock().expect("no panic").insert(format!("10.0.0.{member}"), process);
        process
    }

    /// Time passes for processes.
    pub fn passes(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(100);
            self.truth.etcds.tick(self.now);
        }
    }

    /// Writes the identities that processes really have into a database's record.
    pub fn records_identities(&mut self, database: &Value) -> Arc<Value> {
        let mut told = database.clone();
        for view in self.truth.etcds.inspect() {
            let (Some(cluster), Some(member)) = (view.cluster_id, view.member_id) else { continue };
            told["status"]["atoll"]["stage"]["cluster"] = json!(cluster.to_string());
            for recorded in told["status"]["atoll"]["members"].as_array_mut().into_iter().flatten() {
                if recorded["name"] == view.pod.as_str() {
                    recorded["engineId"] = json!(member.to_string());
                }
            }
        }
        self.by_admin("master", "PUT", &format!("{}/{}/status", Self::DATABASES, name(database)), &told);
        self.get("master", DATABASES, "default", name(database)).expect("it is there")
    }

    /// A member's volume claim.
    pub fn claim(&self, database: &Value, member: u8) -> Value {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": format!("data-{}-etcd-{member}", name(database)), "namespace": "default",
                "labels": self.labels(database, member) },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        })
    }

    /// Makes a member's volume claim, and the record name it.
    pub fn claim_as_recorded(&mut self, database: &mut Value, member: u8) {
        let claim = self.claim(database, member);
        let made = self.create(home(member), CLAIMS, &claim);
        database["status"]["atoll"]["members"][usize::from(member)]["volume"] = json!(uid(&made));
    }

    /// A person deletes a database.
    pub fn person_deletes(&mut self, database: &Value) -> Vec<Event> {
        self.by_admin("master", "DELETE", &format!("{}/{}", Self::DATABASES, name(database)), &json!(null))
    }

    /// A person annotates a database.
    pub fn annotate(&mut self, database: &Value, key: &str, value: &str) {
        let patch = json!({ "metadata": { "annotations": { key: value } } });
        self.by_admin("master", "PATCH", &format!("{}/{}", Self::DATABASES, name(database)), &patch);
    }

    /// A database's resource goes, whatever is left of it.
    pub fn forget(&mut self, database: &Value) {
        self.person_deletes(database);
        let patch = json!({ "metadata": { "finalizers": null } });
        self.by_admin("master", "PATCH", &format!("{}/{}", Self::DATABASES, name(database)), &patch);
    }
}

#[test]
fn a_scene_is_what_it_says() {
    let mut scene = Scene::new();
    let database = scene.database("a", "established");
    let pod = scene.pod(&database, 0, &[]);
    let pod = scene.create("w1", PODS, &pod);
    assert!(scene.get("w1", "pods", "default", "a-etcd-0").is_some_and(|there| uid(&there) == uid(&pod)));
    assert_eq!(super::look::foreign(&pod, "identity-of-master"), None);
    assert!(scene.person_deletes(&database).len() == 1);
}
