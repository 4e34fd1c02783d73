//! One cluster of the stage: a real API server, the way to it that the controller takes, and the world around it.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use atoll::worker::timing;
use jiff::Timestamp;
use kube::Client;
use lab::bare::{Mode, Proxy, Server, Snapshot};
use simulation::{
    link::{Power, Way},
    lock::lock,
    programs::Processes,
    tape::Site,
    world::{Settings, World, net::Net},
};

/// How many nodes each cluster has.
const NODES: u8 = 2;
/// How long a proxy takes to break what is open.
const MOMENT: Duration = Duration::from_millis(100);

/// One cluster.
pub struct Cluster {
    /// What looks after it.
    pub world: World,
    /// A person's connection.
    pub person: Client,
    way: Proxy,
    state: Mutex<State>,
    /// Another cluster that answers instead, once there is one.
    twins: Mutex<Vec<Server>>,
    server: Server,
}

#[derive(Clone, Copy)]
struct State {
    way: Way,
    since: Instant,
    power: Power,
}

impl Cluster {
    /// Puts a way and a world around a server.
    pub async fn around(server: Server, seed: u64, processes: &Processes, net: &Net) -> lab::Result<Self> {
        let way = Proxy::start(&server)?;
        let settings = Settings::new(server.name(), NODES, seed, Arc::new(Timestamp::now));
        // Each has a pool of its own: nobody waits behind anybody else's watches.
        let world = World::start(server.client().await?, settings, Arc::new(processes.clone()), net.clone());
        let person = server.client().await?;
        let state = State { way: Way::Open, since: Instant::now(), power: Power::On };
        Ok(Self { world, person, way, state: Mutex::new(state), twins: Mutex::default(), server })
    }

    /// Its name.
    pub fn site(&self) -> Site {
        Site::from(self.server.name())
    }

    /// The kubeconfig that leads to it by the way that can be made bad.
    pub fn kubeconfig(&self) -> &str {
        self.way.kubeconfig()
    }

    /// What must not be seen anywhere: the token of its administrator, as whom Atoll comes.
    pub fn token(&self) -> String {
        self.server.token()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Makes the way so from now on.
    pub async fn set_way(&self, way: Way) {
        let before = *self.state();
        *self.state() = State { way, since: Instant::now(), ..before };
        match (before.way, way) {
            (Way::Asleep, Way::Asleep) => {}
            (_, Way::Asleep) => self.server.pause().expect("the API server is paused"),
            (Way::Asleep, _) => self.server.resume().expect("the API server goes on"),
            _ => {}
        }
        // A kernel gives up what nobody acknowledges. The proxy's kernel has acknowledged everything.
        if before.way == Way::BlackHole && before.since.elapsed() > timing::UNACKNOWLEDGED {
            self.way.reset();
            tokio::time::sleep(MOMENT).await;
        }
        self.apply();
    }

    fn apply(&self) {
        let State { way, power, .. } = *self.state();
        self.way.set(match (power, way) {
            (Power::Off, _) | (Power::On, Way::Refused) => Mode::Refuse,
            // One that is paused is silent by itself.
            (Power::On, Way::Open | Way::Asleep) => Mode::Pass,
            (Power::On, Way::BlackHole) => Mode::BlackHole,
            (Power::On, Way::OneWay) => Mode::OneWay,
            // Once on the way there, and once on the way back.
            (Power::On, Way::Slow(by)) => Mode::Delay(by / 2),
        });
    }

    /// Kills the API server, or starts it again.
    pub async fn set_power(&self, power: Power) -> lab::Result<()> {
        match power {
            Power::Off => self.server.kill()?,
            Power::On => self.server.start_again().await?,
        }
        self.state().power = power;
        self.apply();
        Ok(())
    }

    /// A backup of its etcd.
    pub async fn back_up(&self) -> lab::Result<Snapshot> {
        self.server.snapshot().await
    }

    /// Puts a backup in place of what it has.
    pub async fn restore(&self, backup: &Snapshot) -> lab::Result<()> {
        self.server.restore(backup).await
    }

    /// Another, empty cluster answers at its address from now on.
    pub async fn rebuild(&self) -> lab::Result<()> {
        let twin = Server::start(self.server.twin(format!("other-{}", self.server.name()))).await?;
        self.way.lead_to(&twin);
        lock(&self.twins).push(twin);
        Ok(())
    }

    /// Forgets all history: that of etcd, and what kube-apiserver remembers of it.
    pub async fn compact(&self) -> lab::Result<()> {
        self.server.forget().await
    }
}
