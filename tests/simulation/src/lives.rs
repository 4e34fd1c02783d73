//! The controller's lives: started, crashed, started again, or two at a time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use apiserver::Who;
use atoll::{
    admin::Ask,
    cli::INSTALLATION,
    controller::lease::{Ended, Identity},
    dialect,
    metrics::Metrics,
    operator::{self, Settings, Surroundings},
    plan::name::Namespace,
    server::Health,
    worker::{allowances::Allowances, connect::Connect, contact, pool::Master, registration::SecretNamespaces, timing},
};
use kube::Client;
use tokio::{task::AbortHandle, time::sleep};

use crate::{
    ask::Members,
    connect::Simulated,
    link::Links,
    lock::lock,
    process::Process,
    tape::{Event, Life, Party, Site, Tape},
};

/// The namespace that Atoll runs in.
pub const NAMESPACE: &str = "atoll-system";
/// The master's token for it.
pub const TOKEN: &str = "canary-master-token";

/// A place in which the controller runs, as one replica of a Deployment does: it is started again whenever it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replica(pub u8);

/// All lives. Cheap to clone.
#[derive(Clone)]
pub struct Lives(Arc<Shared>);

struct Shared {
    links: Links,
    tape: Tape,
    master: Site,
    members: Members,
    seed: u64,
    apart: Apart,
    state: Mutex<State>,
}

/// Whether replicas are processes of their own, which can be paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// Each is.
    Yes,
    /// All run with the world, which takes less time.
    No,
}

#[derive(Default)]
struct State {
    last: u32,
    running: BTreeMap<Replica, Running>,
}

struct Running {
    life: Option<Life>,
    supervisor: AbortHandle,
    task: Option<AbortHandle>,
    /// The pod's generation: a pod that was made again has another name.
    pod: u32,
    metrics: Metrics,
    /// What it runs in, if that is not the world's.
    process: Option<Process>,
}

impl Lives {
    /// No life yet.
    pub fn new(links: Links, tape: Tape, master: Site, members: Members, seed: u64, apart: Apart) -> Self {
        Self(Arc::new(Shared { links, tape, master, members, seed, apart, state: Mutex::default() }))
    }

    fn state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut lock(&self.0.state))
    }

    /// Starts a replica, which goes on from one life to the next until it is stopped.
    pub fn start(&self, replica: Replica) {
        let lives = self.clone();
        let supervisor = tokio::spawn(async move { lives.supervise(replica).await }).abort_handle();
        let pod = self.state(|state| state.running.get(&replica).map_or(0, |running| running.pod + 1));
        let process = match self.0.apart {
            Apart::Yes => Some(Process::begin(self.0.seed ^ (u64::from(replica.0) + 1))),
            Apart::No => None,
        };
        let running = Running { life: None, supervisor, task: None, pod, metrics: Metrics::new(), process };
        self.state(|state| drop(state.running.insert(replica, running)));
    }

    /// Ends a replica for good, as by `kill -9`.
    pub fn stop(&self, replica: Replica) {
        self.crash(replica);
        self.state(|state| {
            if let Some(running) = state.running.get(&replica) {
                running.supervisor.abort();
            }
        });
    }

    /// Ends the present life, as by `kill -9`. The next one begins by itself.
    pub fn crash(&self, replica: Replica) {
        self.resume(replica);
        let task = self.state(|state| {
            let running = state.running.get_mut(&replica)?;
            Some((running.life?, running.task.take()?))
        });
        if let Some((life, task)) = task {
            self.0.links.die(life);
            task.abort();
            self.0.tape.note(Event::Controller(life, "is killed"));
        }
    }

    /// Pauses a replica, as by `kill -STOP`: what it has sent goes its way, and nothing else happens in it.
    ///
    /// # Panics
    /// Where replicas are no processes of their own.
    pub fn pause(&self, replica: Replica) {
        let process = self.process(replica).expect("a replica that can be paused, see Apart");
        process.pause();
        if let Some(life) = self.life(replica) {
            self.0.tape.note(Event::Controller(life, "is paused"));
        }
    }

    /// A paused replica goes on, as by `kill -CONT`.
    pub fn resume(&self, replica: Replica) {
        if let Some(process) = self.process(replica).filter(Process::is_paused) {
            process.resume();
            if let Some(life) = self.life(replica) {
                self.0.tape.note(Event::Controller(life, "goes on"));
            }
        }
    }

    fn process(&self, replica: Replica) -> Option<Process> {
        self.state(|state| state.running.get(&replica)?.process.clone())
    }

    /// Ends every present life that [`Links::crash_after`] has already cut off. Runs until dropped.
    pub async fn reap(&self) {
        loop {
            self.0.links.crashed().await;
            for replica in self.state(|state| state.running.keys().copied().collect::<Vec<_>>()) {
                self.crash(replica);
            }
        }
    }

    /// The present life of a replica.
    pub fn life(&self, replica: Replica) -> Option<Life> {
        self.state(|state| state.running.get(&replica)?.life)
    }

    /// What is counted of it, as it would be scraped.
    pub fn metrics(&self) -> String {
        let metrics: Vec<_> =
            self.state(|state| state.running.values().map(|running| running.metrics.clone()).collect());
        metrics.iter().map(|metrics| metrics.text().unwrap_or_default()).collect()
    }

    fn begin(&self, life: Life, pod: String, metrics: Metrics) -> One {
        let Shared { links, master, members, seed, .. } = &*self.0;
        One {
            life,
            pod,
            jitter: seed ^ u64::from(life.0),
            master: links.client(Party::Controller(life), master, Who::Token(TOKEN.to_owned())),
            connect: Arc::new(Simulated { links: links.clone(), life }),
            members: members.clone(),
            links: links.clone(),
            metrics,
        }
    }

    async fn supervise(&self, replica: Replica) {
        loop {
            let (life, name, metrics) = self.state(|state| {
                state.last += 1;
                let life = Life(state.last);
                let metrics = Metrics::new();
                let pod = state.running.get_mut(&replica).map_or(0, |running| {
                    running.life = Some(life);
                    running.metrics = metrics.clone();
                    running.pod
                });
                (life, format!("atoll-{}-{pod}", replica.0), metrics)
            });
            self.0.tape.note(Event::Controller(life, "begins"));
            let lives = self.clone();
            let work = async move { lives.begin(life, name, metrics).live().await };
            let task = match self.process(replica) {
                Some(process) => process.spawn(work),
                None => tokio::spawn(work),
            };
            self.state(|state| {
                if let Some(running) = state.running.get_mut(&replica) {
                    running.task = Some(task.abort_handle());
                }
            });
            let what = match task.await {
                Ok(ended) => ended,
                Err(error) if error.is_panic() => {
                    self.0.tape.violate("P1 panic", format!("{life} panics"));
                    "panics"
                }
                Err(_) => "is gone",
            };
            self.0.links.die(life);
            self.0.tape.note(Event::Controller(life, what));
            // A kubelet starts it again.
            sleep(Duration::from_secs(2)).await;
        }
    }
}

/// One life of the controller, and what it reaches the world by.
pub struct One {
    /// Which.
    pub life: Life,
    /// The name of its pod.
    pub pod: String,
    /// What its pauses vary by.
    pub jitter: u64,
    /// The master.
    pub master: Client,
    /// The way to workers.
    pub connect: Arc<dyn Connect>,
    /// Who answers questions to members.
    pub members: Members,
    /// What those questions pass through.
    pub links: Links,
    /// What it counts.
    pub metrics: Metrics,
}

impl One {
    /// Lives, from connecting to the master to the end, as `atoll run` does. Says how it ended.
    pub async fn live(self) -> &'static str {
        let Self { life, pod, jitter, master: client, connect, members, links, metrics } = self;
        let Ok(uid) = contact::identity(&client, timing::CALL_DEADLINE).await else {
            return "ends: the master cannot be reached";
        };
        let master = Master { uid, client, namespace: Namespace::from(NAMESPACE) };
        let settings = Settings {
            installation: INSTALLATION.to_owned(),
            lease: "atoll".to_owned(),
            identity: Identity(pod),
            secrets: SecretNamespaces { own: master.namespace.clone(), listed: [Namespace::from("default")].into() },
            kubeconfigs: Allowances::default(),
            contexts: None,
            manifests: dialect::Settings::default(),
            disabled: [].into(),
            jitter,
        };
        let surroundings = Surroundings {
            connect,
            ask: Box::new(move |clients| Arc::new(members.asked_by(links, life, clients)) as Arc<dyn Ask>),
            metrics,
            health: Health::default(),
        };
        match operator::run(master, settings, surroundings, std::future::pending()).await {
            Ended::Lost => "ends: the lease is lost",
            Ended::Stopped => "ends",
        }
    }
}
