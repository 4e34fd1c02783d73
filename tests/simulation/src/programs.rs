//! What pods run: etcd members, placeholders that end at once, and Atoll's own jobs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use atoll::{
    admin::termination,
    engine::{HttpReply, HttpRequest, Method},
};

use crate::{
    entropy,
    etcd::{Etcds, Network, ProcessId, Start},
    lock::lock,
    place::Place,
    tape::{Event, Tape},
    world::{Container, Exit, Programs, RunId, net::Net},
};

/// What runs. Cheap to clone, the same behind all clones.
#[derive(Clone)]
pub struct Processes {
    etcds: Etcds,
    net: Net,
    /// Where starts and ends are told; a real stage has none.
    tape: Option<Tape>,
    runs: Arc<Mutex<Runs>>,
}

#[derive(Default)]
struct Runs {
    last: u64,
    running: BTreeMap<RunId, Run>,
}

#[derive(Clone)]
enum Run {
    Etcd(ProcessId),
    Ended(Exit),
    /// A question that is under way.
    Asking,
}

/// The networks as etcd's processes see them.
struct Peers {
    net: Net,
    runs: Arc<Mutex<Runs>>,
}

impl Network for Peers {
    fn dial(&self, from: &Place, address: &str) -> Option<(ProcessId, u16)> {
        let (run, port) = self.net.dial(from, address)?;
        let runs = lock(&self.runs);
        match runs.running.get(&run)? {
            Run::Etcd(process) => Some((*process, port)),
            Run::Ended(_) | Run::Asking => None,
        }
    }

    fn passes(&self, from: &Place, to: &Place) -> bool {
        self.net.passes(from, to)
    }

    // Runs begin and end only with pods, and with processes of etcd, which knows of those itself.
    fn generation(&self) -> Option<u64> {
        Some(self.net.generation())
    }
}

impl Processes {
    /// Nothing runs yet.
    pub fn new(net: Net, seed: u64, tape: Option<Tape>) -> Self {
        let runs = Arc::<Mutex<Runs>>::default();
        let etcds = Etcds::new(Arc::new(Peers { net: net.clone(), runs: runs.clone() }), seed);
        Self { etcds, net, tape, runs }
    }

    /// Every etcd process and data directory.
    pub fn etcds(&self) -> &Etcds {
        &self.etcds
    }

    /// Puts one HTTP request to a process. `None`: it does not answer.
    pub fn http(&self, run: RunId, port: u16, method: &str, path: &str, body: &str) -> Option<HttpReply> {
        let Run::Etcd(process) = self.run(run)? else { return None };
        let reply = self.etcds.http(entropy::elapsed(), process, port, method, path, body)?;
        Some(HttpReply { status: reply.status, body: reply.body })
    }

    /// Puts requests to a process, one after another, until one is not answered.
    pub fn converse(&self, run: RunId, port: u16, requests: &[HttpRequest]) -> Vec<HttpReply> {
        let answered = requests.iter().map_while(|request| {
            let method = match request.method {
                Method::Get => "GET",
                Method::Post => "POST",
            };
            self.http(run, port, method, &request.path, &request.body)
        });
        answered.collect()
    }

    fn run(&self, id: RunId) -> Option<Run> {
        self.with(|runs| runs.running.get(&id).cloned())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Runs) -> T) -> T {
        work(&mut lock(&self.runs))
    }

    fn tell(&self, words: String) {
        if let Some(tape) = &self.tape {
            tape.note(Event::Process(words));
        }
    }

    fn begin(&self, run: Run) -> RunId {
        self.with(|runs| {
            runs.last += 1;
            let id = RunId(runs.last);
            runs.running.insert(id, run);
            id
        })
    }

    fn etcd(&self, what: Container) -> Run {
        let place = Place::Cluster(what.cluster.clone());
        let version = what.image.rsplit_once(':').map_or("", |(_, tag)| tag).trim_start_matches('v').to_owned();
        let volume = what.claims.values().next().cloned().unwrap_or_default();
        let owner = what.labels.get(atoll::plan::labels::DATABASE_UID).cloned().unwrap_or_default();
        let process = self.etcds.start(
            entropy::elapsed(),
            Start { place, volume, owner, pod: what.pod.clone(), version, args: what.args, env: what.env },
        );
        Run::Etcd(process)
    }

    /// `atoll ask` in a job: the question is put from where the job runs.
    fn ask(&self, id: RunId, what: &Container) {
        let value = |flag: &str| what.args.iter().find_map(|arg| arg.strip_prefix(flag)).unwrap_or_default().to_owned();
        let (address, requests) = (value("--address="), value("--requests="));
        let requests: Vec<HttpRequest> = serde_json::from_str(&requests).unwrap_or_default();
        let dialled = self.net.dial(&Place::Cluster(what.cluster.clone()), &address);
        let replies = dialled.map(|(run, port)| self.converse(run, port, &requests));
        let outcome = match replies {
            Some(replies) if !replies.is_empty() => termination::pack(Ok(&replies)),
            _ => termination::pack::<Vec<HttpReply>>(Err("no reply in time".to_owned())),
        };
        self.with(|runs| runs.running.insert(id, Run::Ended(Exit { code: 0, words: outcome })));
    }
}

impl Programs for Processes {
    fn start(&self, what: Container) -> RunId {
        let (cluster, pod) = (what.cluster.clone(), what.pod.clone());
        let program = what.command.first().map(String::as_str).unwrap_or_default();
        let id = if what.args.first().is_some_and(|arg| arg == "ask") {
            let id = self.begin(Run::Asking);
            self.ask(id, &what);
            id
        } else if program.ends_with("/etcd") && what.args.iter().any(|arg| arg.starts_with("--data-dir")) {
            let run = self.etcd(what);
            self.begin(run)
        } else {
            self.begin(Run::Ended(Exit { code: 0, words: String::new() }))
        };
        self.tell(format!("{cluster}/{pod} starts as run {}", id.0));
        id
    }

    fn stop(&self, id: RunId) {
        let run = self.with(|runs| runs.running.remove(&id));
        if let Some(Run::Etcd(process)) = run {
            self.etcds.stop(process);
        }
        self.tell(format!("run {} is stopped", id.0));
    }

    fn exited(&self, id: RunId) -> Option<Exit> {
        match self.run(id)? {
            Run::Etcd(process) => self.etcds.exited(process).map(|exit| Exit { code: exit.code, words: exit.words }),
            Run::Ended(exit) => Some(exit),
            Run::Asking => None,
        }
    }

    fn lose_volume(&self, claim: &str) {
        self.etcds.lose_volume(claim);
        self.tell(format!("the data of claim {claim} is lost"));
    }

    fn probe(&self, id: RunId, port: u16, path: &str) -> bool {
        self.http(id, port, "GET", path, "").is_some_and(|reply| reply.status == 200)
    }
}
