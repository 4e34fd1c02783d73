//! The controller's lives: each in a thread and a runtime of its own, which end as a process does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use atoll::{
    metrics::Metrics,
    worker::{
        addresses::Addresses,
        connect::{KubeConnect, agent},
        failpoint::Failpoint,
        timing,
    },
};
use kube::{Client, client::ClientBuilder};
use simulation::{
    ask::Members,
    link::Links,
    lives::{One, Replica},
    lock::lock,
    logs,
    stage::MASTER,
    tape::{Event, Life, Tape},
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::counted::{Connecting, Ledger, Steps};

/// How soon a kubelet starts a container again.
const AGAIN: Duration = Duration::from_secs(2);
/// The controller's futures are large in a debug build.
const STACK: usize = 16 << 20;

/// All lives. Dropping this ends them.
pub struct Lives {
    shared: Arc<Shared>,
    last_pod: Mutex<BTreeMap<Replica, u32>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    /// The kubeconfig of the master, by the way that can be made bad.
    kubeconfig: String,
    members: Members,
    links: Links,
    tape: Tape,
    steps: Steps,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u32,
    running: BTreeMap<Replica, Running>,
    /// What each life has counted.
    metrics: Vec<Metrics>,
}

/// A replica and its present life.
struct Running {
    /// Ends the replica for good.
    stop: CancellationToken,
    /// Ends its present life.
    end: CancellationToken,
    /// What its present life runs in.
    runtime: Option<Handle>,
    gate: Gate,
}

/// Holds up the only thread of a life while it is closed: sockets and clocks go on, as under SIGSTOP, and nothing else.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn close(&self) {
        *lock(&self.0.0) = true;
    }

    fn open(&self) {
        *lock(&self.0.0) = false;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let opened = self.0.1.wait_while(lock(&self.0.0), |closed| *closed);
        drop(opened.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Lives {
    /// No life yet.
    pub fn new(kubeconfig: String, members: Members, links: Links, tape: Tape) -> Self {
        let (steps, state) = (Steps::default(), Mutex::default());
        let shared = Arc::new(Shared { kubeconfig, members, links, tape, steps, state });
        Self { shared, last_pod: Mutex::default(), threads: Mutex::default() }
    }

    /// What all lives do.
    pub fn steps(&self) -> &Steps {
        &self.shared.steps
    }

    /// What they have counted, as it would be scraped.
    pub fn metrics(&self) -> String {
        let metrics = lock(&self.shared.state).metrics.clone();
        metrics.iter().map(|metrics| metrics.text().unwrap_or_default()).collect()
    }

    /// Starts a replica, which goes on from one life to the next until it is stopped.
    pub fn start(&self, replica: Replica) {
        let pod = {
            let mut pods = lock(&self.last_pod);
            let pod = pods.entry(replica).or_default();
            *pod += 1;
            *pod
        };
        let (stop, shared) = (CancellationToken::new(), self.shared.clone());
        let end = stop.child_token();
        let running = Running { stop: stop.clone(), end, runtime: None, gate: Gate::default() };
        lock(&shared.state).running.insert(replica, running);
        let name = format!("atoll-{}-{pod}", replica.0);
        let thread = std::thread::Builder::new().name(name.clone()).stack_size(STACK);
        let thread = thread.spawn(move || shared.go_on(replica, &name, &stop)).expect("a thread");
        lock(&self.threads).push(thread);
    }

    /// Ends a replica for good, as by `kill -9`.
    pub fn stop(&self, replica: Replica) {
        if let Some(running) = lock(&self.shared.state).running.remove(&replica) {
            running.stop.cancel();
            running.gate.open();
        }
    }

    /// Pauses a replica, as by `kill -STOP`.
    pub fn pause(&self, replica: Replica) {
        if let Some(running) = lock(&self.shared.state).running.get(&replica)
            && let Some(runtime) = &running.runtime
        {
            running.gate.close();
            let gate = running.gate.clone();
            // The thread that would go on with everything else waits here.
            runtime.spawn(async move { gate.pass() });
        }
    }

    /// A paused replica goes on, as by `kill -CONT`.
    pub fn resume(&self, replica: Replica) {
        if let Some(running) = lock(&self.shared.state).running.get(&replica) {
            running.gate.open();
        }
    }

    /// Ends the present life, as by `kill -9`. The next one begins by itself.
    pub fn crash(&self, replica: Replica) {
        if let Some(running) = lock(&self.shared.state).running.get(&replica) {
            running.end.cancel();
            running.gate.open();
        }
    }
}

impl Drop for Lives {
    fn drop(&mut self) {
        for running in lock(&self.shared.state).running.values() {
            running.stop.cancel();
            running.gate.open();
        }
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // A panic of the controller is on the tape.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn go_on(&self, replica: Replica, name: &str, stop: &CancellationToken) {
        let _log = logs::capture(&self.tape, tracing::Level::INFO);
        while !stop.is_cancelled() {
            let (life, end) = {
                let mut state = lock(&self.state);
                state.last += 1;
                let life = Life(state.last);
                let end = stop.child_token();
                if let Some(running) = state.running.get_mut(&replica)
                    && !stop.is_cancelled()
                {
                    running.end = end.clone();
                }
                (life, end)
            };
            self.tape.note(Event::Controller(life, "begins"));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            if let Some(running) = lock(&self.state).running.get_mut(&replica) {
                running.runtime = Some(runtime.handle().clone());
            }
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                runtime.block_on(async {
                    let ledger = Ledger { life, tape: self.tape.clone(), steps: self.steps.clone(), end: end.clone() };
                    tokio::select! {
                        biased;
                        () = end.cancelled() => "is killed",
                        ended = self.live(ledger, name) => ended,
                    }
                })
            }));
            // Nothing of it goes on: its tasks are dropped where they wait, and its sockets closed.
            drop(runtime);
            let what = ended.unwrap_or_else(|_| {
                self.tape.violate("P1 panic", format!("{life} panics"));
                "panics"
            });
            self.tape.note(Event::Controller(life, what));
            if !stop.is_cancelled() {
                std::thread::sleep(AGAIN);
            }
        }
    }

    /// One life: what `atoll run` does.
    async fn live(&self, ledger: Ledger, pod: &str) -> &'static str {
        let metrics = Metrics::new();
        lock(&self.state).metrics.push(metrics.clone());
        let one = One {
            life: ledger.life,
            pod: pod.to_owned(),
            jitter: u64::from(ledger.life.0).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            master: ledger.keep(master(&self.kubeconfig).await, MASTER),
            members: self.members.clone(),
            links: self.links.clone(),
            connect: Arc::new(Connecting {
                by: KubeConnect {
                    failpoint: Failpoint::default(),
                    metrics: metrics.clone(),
                    // The lab's API servers are on loopback, which Atoll does not dial unless it is told to.
                    addresses: loopback(),
                },
                ledger,
            }),
            metrics,
        };
        one.live().await
    }
}

/// Loopback may be dialled.
fn loopback() -> Arc<Addresses> {
    Arc::new(Addresses::new(["127.0.0.0/8".parse().expect("a range")], []))
}

/// The client of the master, as `atoll run` makes it.
async fn master(kubeconfig: &str) -> Client {
    let mut config = lab::kubeconfig::config(kubeconfig).await.expect("the lab's kubeconfig");
    config.connect_timeout = Some(timing::CONNECT_DEADLINE);
    config.read_timeout = None;
    config.default_retry = false;
    config.headers.push(agent());
    ClientBuilder::try_from(config).expect("a client").build()
}
