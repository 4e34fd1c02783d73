//! Each member `x` runs in a cluster `x`, on volume `vol-x`, and is reached at host `x`.

mod chaos;
mod disks;
mod elections;
mod gateway;
mod members;
mod time;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Data, Etcds, Exit, MemberId, Network, Outcome, Place, ProcessId, Read, Reply, Role, Start, View};

/// The token of every founding here.
const TOKEN: &str = "uid.1.pvc";

#[derive(Default)]
struct Wires {
    hosts: BTreeMap<String, ProcessId>,
    /// What a host means to one place only.
    local: BTreeMap<(Place, String), ProcessId>,
    places: BTreeMap<ProcessId, Place>,
    cut: BTreeSet<(Place, Place)>,
    dials: u64,
    changes: u64,
}

/// A network by script.
#[derive(Default)]
struct Scripted(Mutex<Wires>);

impl Scripted {
    fn change(&self, work: impl FnOnce(&mut Wires)) {
        let mut wires = self.0.lock().expect("wires");
        wires.changes += 1;
        work(&mut wires);
    }
}

impl Network for Scripted {
    fn dial(&self, from: &Place, address: &str) -> Option<(ProcessId, u16)> {
        let mut wires = self.0.lock().expect("wires");
        wires.dials += 1;
        let (host, port) = address.rsplit_once(':')?;
        let local = wires.local.get(&(from.clone(), host.to_owned()));
        let process = *local.or_else(|| wires.hosts.get(host))?;
        let there = wires.places.get(&process)?.clone();
        let cut = wires.cut.contains(&(from.clone(), there.clone())) || wires.cut.contains(&(there, from.clone()));
        (!cut).then_some((process, port.parse().ok()?))
    }

    fn passes(&self, from: &Place, to: &Place) -> bool {
        !self.0.lock().expect("wires").cut.contains(&(from.clone(), to.clone()))
    }

    fn generation(&self) -> Option<u64> {
        Some(self.0.lock().expect("wires").changes)
    }
}

/// A world of members.
struct Town {
    etcds: Etcds,
    wires: Arc<Scripted>,
    now: Duration,
    version: &'static str,
}

fn place(name: &str) -> Place {
    Place::Cluster(name.to_owned())
}

impl Town {
    fn new(seed: u64) -> Self {
        let wires = Arc::new(Scripted::default());
        Self { etcds: Etcds::new(wires.clone(), seed), wires, now: Duration::ZERO, version: "3.5.35" }
    }

    /// Three founders `a`, `b` and `c` that serve.
    fn founded(seed: u64) -> Self {
        let mut town = Self::new(seed);
        for name in ["a", "b", "c"] {
            town.start(name, "new", "abc");
        }
        town.run(5);
        assert!(town.views().iter().all(|view| view.serving), "{:?}", town.views());
        town
    }

    /// Starts a member; `all` has the names of all initial members.
    fn start(&mut self, name: &str, state: &str, all: &str) -> ProcessId {
        self.start_on(name, &format!("vol-{name}"), state, all)
    }

    fn start_on(&mut self, name: &str, volume: &str, state: &str, all: &str) -> ProcessId {
        let initial: Vec<_> = all.chars().map(|name| format!("{name}=http://{name}:2380")).collect();
        let args = [
            format!("--name={name}"),
            "--data-dir=/var/run/etcd/default.etcd".to_owned(),
            "--listen-peer-urls=http://0.0.0.0:2380".to_owned(),
            "--listen-client-urls=http://0.0.0.0:2379".to_owned(),
            "--listen-metrics-urls=http://0.0.0.0:2381".to_owned(),
            format!("--initial-advertise-peer-urls=http://{name}:2380"),
            format!("--advertise-client-urls=http://{name}:2379"),
            format!("--initial-cluster={}", initial.join(",")),
            format!("--initial-cluster-state={state}"),
            format!("--initial-cluster-token={TOKEN}"),
            "--experimental-initial-corrupt-check=true".to_owned(),
        ];
        let id = self.etcds.start(
            self.now,
            Start {
                place: place(name),
                volume: volume.to_owned(),
                owner: "db".to_owned(),
                pod: format!("db-{name}"),
                version: self.version.to_owned(),
                args: args.to_vec(),
                env: BTreeMap::new(),
            },
        );
        self.wires.change(|wires| {
            wires.hosts.insert(name.to_owned(), id);
            wires.places.insert(id, place(name));
        });
        id
    }

    fn process(&self, name: &str) -> ProcessId {
        self.wires.0.lock().expect("wires").hosts[name]
    }

    fn stop(&self, name: &str) {
        self.etcds.stop(self.process(name));
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.now += Duration::from_millis(100);
            self.etcds.tick(self.now);
        }
    }

    fn run_until(&mut self, what: &str, mut there: impl FnMut(&Self) -> bool) {
        for _ in 0..300 {
            if there(self) {
                return;
            }
            self.now += Duration::from_millis(100);
            self.etcds.tick(self.now);
        }
        panic!("never {what}: {:#?}", self.views());
    }

    /// Cuts or heals both ways between a member and others.
    fn cut(&self, name: &str, others: &str) {
        self.wires.change(|wires| {
            for other in others.chars().map(|other| place(&other.to_string())) {
                wires.cut.insert((place(name), other.clone()));
                wires.cut.insert((other, place(name)));
            }
        });
    }

    fn heal(&self) {
        self.wires.change(|wires| wires.cut.clear());
    }

    fn views(&self) -> Vec<View> {
        self.etcds.inspect()
    }

    fn view(&self, name: &str) -> View {
        let process = self.process(name);
        self.views().into_iter().find(|view| view.process == process).unwrap_or_else(|| panic!("{name} lives"))
    }

    fn exit(&self, name: &str) -> Option<Exit> {
        self.etcds.exited(self.process(name))
    }

    fn member(&self, name: &str) -> MemberId {
        self.view(name).member_id.expect("it has found its cluster")
    }

    /// The leader that serves.
    fn leader(&self) -> String {
        let leader = self.views().into_iter().find(|view| view.role == Role::Leader && view.serving);
        leader.expect("a leader").name
    }

    /// Those that do not lead, in order.
    fn followers(&self) -> Vec<String> {
        let leader = self.leader();
        self.views().into_iter().map(|view| view.name).filter(|name| *name != leader).collect()
    }

    fn put(&self, name: &str, key: &str, value: &str) -> Outcome {
        self.etcds.client_put(self.now, &place(name), &format!("{name}:2379"), key, value)
    }

    fn acknowledged(&self, name: &str, key: &str, value: &str) {
        let outcome = self.put(name, key, value);
        assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{key}={value} through {name}: {outcome:?}");
    }

    fn read(&self, name: &str, key: &str) -> Read {
        self.etcds.client_read(&place(name), &format!("{name}:2379"), key)
    }

    fn post(&self, name: &str, path: &str, body: &str) -> Option<Reply> {
        self.etcds.http(self.now, self.process(name), 2379, "POST", path, body)
    }

    fn get(&self, name: &str, port: u16, path: &str) -> Option<(u16, String)> {
        let reply = self.etcds.http(self.now, self.process(name), port, "GET", path, "")?;
        Some((reply.status, reply.body))
    }

    fn add(&self, through: &str, name: &str, learner: bool) -> Option<Reply> {
        let body = format!(r#"{{"peerURLs":["http://{name}:2380"],"isLearner":{learner}}}"#);
        self.post(through, "/v3/cluster/member/add", &body)
    }

    fn about(&self, through: &str, verb: &str, member: MemberId) -> Option<Reply> {
        self.post(through, &format!("/v3/cluster/member/{verb}"), &format!(r#"{{"ID":"{}"}}"#, member.0))
    }
}

fn value(text: &str) -> Read {
    Read::Value(text.to_owned())
}

fn refused(reply: Option<Reply>, status: u16, words: &str) {
    let reply = reply.expect("an answer");
    assert_eq!(reply.status, status, "{}", reply.body);
    assert!(reply.body.contains(words), "{}", reply.body);
}

fn accepted(reply: Option<Reply>) {
    let reply = reply.expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.body);
}
