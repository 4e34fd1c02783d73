//! One cluster of the stage: a real API server, the way to it that the controller takes, and the world around it.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use atoll::worker::timing;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount, rbac::v1::ClusterRoleBinding};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use lab::bare::{Mode, Overloaded, Proxy, Server, Snapshot};
use serde_json::{Value, json};
use simulation::{
    kubeconfigs::altered,
    link::{Power, Way},
    lock::lock,
    programs::Processes,
    stage::{Load, Worthless},
    tape::Site,
    world::{Settings, World, net::Net},
};

/// How many nodes each cluster has.
const NODES: u8 = 2;
/// How long a proxy takes to break what is open.
const MOMENT: Duration = Duration::from_millis(100);

/// The service account whose token can be revoked.
const LENT: &str = "lent";

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
    /// What answers instead while it has too much to do.
    overloaded: Mutex<Option<Overloaded>>,
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
        Ok(Self {
            world,
            person,
            way,
            state: Mutex::new(state),
            twins: Mutex::default(),
            overloaded: Mutex::default(),
            server,
        })
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

    /// To the controller it has too much to do, or answers again.
    pub async fn set_load(&self, load: Load) -> lab::Result<()> {
        match load {
            Load::Bearable => {
                self.way.lead_to(&self.server);
                *lock(&self.overloaded) = None;
            }
            Load::TooMuch => {
                let overloaded = Overloaded::beside(&self.server, Duration::from_hours(1)).await?;
                self.way.lead_to_overloaded(&overloaded);
                *lock(&self.overloaded) = Some(overloaded);
            }
        }
        Ok(())
    }

    /// Kubeconfigs that it lets nobody in by. `stranger`: a cluster of another authority.
    pub fn worthless(&self, stranger: &Self) -> lab::Result<Vec<Worthless>> {
        let (now, hour) = (SystemTime::now(), Duration::from_hours(1));
        let by = |user: Value| altered(self.kubeconfig(), |found| found["users"][0]["user"] = user);
        let certificate = |from, until| -> lab::Result<String> {
            let (certificate, key) = self.server.certificate(from, until)?;
            let user = json!({ "client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key) });
            Ok(by(user))
        };
        let authority = altered(self.kubeconfig(), |found| {
            let other = STANDARD.encode(stranger.server.ca());
            found["clusters"][0]["cluster"]["certificate-authority-data"] = other.into();
        });
        let (untrusted, unauthorized) = ("CertificateNotTrusted", "Unauthorized");
        Ok(vec![
            Worthless { what: "the authority of another cluster", text: authority, reason: untrusted },
            Worthless { what: "a token of nobody", text: by(json!({ "token": "nobody" })), reason: unauthorized },
            Worthless {
                what: "a client certificate that has expired",
                text: certificate(now - 2 * hour, now - hour)?,
                reason: unauthorized,
            },
            Worthless {
                what: "a client certificate that is not valid yet",
                text: certificate(now + hour, now + 2 * hour)?,
                reason: unauthorized,
            },
        ])
    }

    /// A kubeconfig with the token of a service account that may do everything.
    pub async fn lend(&self) -> kube::Result<String> {
        let accounts = self.accounts();
        let account: ServiceAccount =
            serde_json::from_value(json!({ "metadata": { "name": LENT } })).expect("an account");
        accounts.create(&PostParams::default(), &account).await?;
        let role: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": { "name": LENT },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "kind": "ServiceAccount", "name": LENT, "namespace": "kube-system" }],
        }))
        .expect("a binding");
        Api::all(self.person.clone()).create(&PostParams::default(), &role).await?;
        let asked = accounts.create_token_request(LENT, &PostParams::default(), &TokenRequest::default()).await?;
        let token = asked.status.map(|status| status.token).unwrap_or_default();
        Ok(altered(self.kubeconfig(), |found| found["users"][0]["user"] = json!({ "token": token })))
    }

    /// Deletes that service account, and with it the token is revoked.
    pub async fn take_back(&self) -> kube::Result<()> {
        self.accounts().delete(LENT, &DeleteParams::default()).await.map(drop)
    }

    fn accounts(&self) -> Api<ServiceAccount> {
        Api::namespaced(self.person.clone(), "kube-system")
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
