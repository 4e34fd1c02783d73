//! A visit to each worker: all at once, each with its own end, so that a dead one holds up nobody.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{Stream, future::join_all, stream::FuturesUnordered};
use kube::{Api, Client, ResourceExt, api::ListParams};

use super::permissions::{self, Answer, Whom};
use crate::{
    dialect::k8scluster::{K8sCluster, status::Trouble},
    plan::name::{Uid, WorkerName},
    worker::{
        access::Access as Permission,
        allowances::Allowances,
        connect::{Connect, KubeConnect},
        contact,
        expiry::{self, Expiry},
        fault::{Fault, call},
        identity::{Claims, Verdict},
        pool::Master,
        registrar::{order, secret_state},
        registration::{Access, Registration, SecretName, SecretNamespaces, SecretState, registration, secret_of},
        timing,
    },
};

/// The longest that a visit takes, whatever the worker does.
const LONGEST: Duration = Duration::from_secs(25);

/// One worker as it is registered.
#[derive(Clone, Debug)]
pub struct Registered {
    /// What the controller would make of it.
    pub registration: Registration,
    /// What the controller has told last.
    pub told: Told,
}

/// What the status of a `K8sCluster` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing: no controller has looked at it.
    Nothing,
    /// Ready.
    Ready,
    /// Not ready, in these words.
    NotReady(String),
}

/// What a visit brought.
pub struct Visit {
    /// Which worker.
    pub registered: Registered,
    /// Its API server's address.
    pub server: Option<String>,
    /// When its credentials end.
    pub expiry: Vec<Expiry>,
    /// Whether it was reached.
    pub outcome: Result<Reached, Failure>,
}

/// A worker that answered.
pub struct Reached {
    /// Its client.
    pub client: Client,
    /// The UID of its kube-system namespace.
    pub identity: Uid,
    /// Whether this registration may serve it.
    pub verdict: Verdict,
    /// Whether it is the master itself.
    pub is_master: bool,
    /// The version of its API server.
    pub version: String,
    /// How long its first answer took.
    pub took: Duration,
    /// What our credentials may do there.
    pub permissions: Vec<Answer>,
    /// Whether they may forward ports.
    pub port_forward: Result<Permission, Fault>,
}

/// Why a worker was not reached.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Its registration leads nowhere.
    #[error("{0}")]
    Registration(Trouble),
    /// It does not answer as it should.
    #[error("{0}")]
    Fault(Fault),
}

/// Every registered worker, with the Secrets that they name.
pub struct Register {
    /// In the order in which the controller gives a cluster to a registration.
    pub workers: Vec<Registered>,
    /// The Secrets.
    pub secrets: Vec<SecretName>,
}

/// Reads the registrations and their Secrets, each once.
pub async fn register(
    master: &Master,
    namespaces: &SecretNamespaces,
    allowances: &Allowances,
) -> Result<Register, Fault> {
    let api: Api<K8sCluster> = Api::all(master.client.clone());
    let mut clusters = call(api.list(&ListParams::default())).await?.items;
    clusters.sort_by_key(|cluster| (order(cluster), cluster.name_any()));
    let named: BTreeSet<_> = clusters.iter().filter_map(|cluster| secret_of(cluster, namespaces)).collect();
    let secrets: Vec<_> = named.into_iter().filter(|secret| namespaces.permit(&secret.namespace)).collect();
    let states = join_all(secrets.iter().map(|secret| secret_state(master.client.clone(), secret))).await;
    let state = |cluster: &K8sCluster| {
        let wanted = secret_of(cluster, namespaces);
        let at = secrets.iter().position(|secret| Some(secret) == wanted.as_ref());
        at.and_then(|at| states.get(at)).cloned().unwrap_or(SecretState::Unread)
    };
    let workers = clusters
        .iter()
        .map(|cluster| Registered {
            registration: registration(cluster, namespaces, &state(cluster), allowances),
            told: told(cluster),
        })
        .collect();
    Ok(Register { workers, secrets })
}

fn told(cluster: &K8sCluster) -> Told {
    let conditions = cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    match conditions.iter().find(|condition| condition.kind == "Ready") {
        None => Told::Nothing,
        Some(ready) if ready.status == "True" => Told::Ready,
        Some(ready) => Told::NotReady(format!("{} ({})", ready.message, ready.reason)),
    }
}

/// Visits all of them; each comes out when it is done.
pub fn visits<'a>(
    connect: &'a KubeConnect,
    master: &'a Master,
    workers: &'a [Registered],
    claims: &'a Mutex<Claims>,
) -> impl Stream<Item = Visit> + 'a {
    workers.iter().map(|worker| visit(connect, master, worker, claims)).collect::<FuturesUnordered<_>>()
}

/// Claims for each registration the cluster that it was pinned to in an earlier life, in this order.
pub fn remember(claims: &Mutex<Claims>, workers: &[Registered]) {
    let mut claims = claims.lock().unwrap_or_else(PoisonError::into_inner);
    for worker in workers {
        claims.remember(&worker.registration);
    }
}

async fn visit(connect: &KubeConnect, master: &Master, worker: &Registered, claims: &Mutex<Claims>) -> Visit {
    let (server, expiry) = match &worker.registration.access {
        Access::Credentials(credentials) => {
            (credentials.server().authority().map(ToString::to_string), expiry::of(credentials))
        }
        Access::Pending | Access::Refused(_) => (None, Vec::new()),
    };
    let outcome = tokio::time::timeout(LONGEST, enter(connect, master, &worker.registration, claims)).await;
    let outcome = outcome.unwrap_or(Err(Failure::Fault(Fault::Timeout(LONGEST))));
    Visit { registered: worker.clone(), server, expiry, outcome }
}

async fn enter(
    connect: &KubeConnect,
    master: &Master,
    registration: &Registration,
    claims: &Mutex<Claims>,
) -> Result<Reached, Failure> {
    let credentials = match &registration.access {
        Access::Credentials(credentials) => credentials,
        Access::Refused(trouble) => return Err(Failure::Registration(trouble.clone())),
        Access::Pending => {
            let unread = Trouble::SecretNotFound("its Secret has not been read".to_owned());
            return Err(Failure::Registration(unread));
        }
    };
    let client = connect
        .connect(&registration.name, credentials)
        .map_err(|error| Failure::Registration(Trouble::InvalidKubeconfig(error.to_string())))?;
    let started = Instant::now();
    let identity = contact::identity(&client, timing::CALL_DEADLINE).await.map_err(Failure::Fault)?;
    let took = started.elapsed();
    let verdict = claims.lock().unwrap_or_else(PoisonError::into_inner).verdict(registration, &identity);
    let is_master = identity == master.uid;
    // As the controller does: the master under another name is served by its own client.
    let client = if is_master { master.client.clone() } else { client };
    let (version, permissions, port_forward) = futures::join!(
        contact::version(&client),
        permissions::ask(&client, &Whom::Us, permissions::in_worker()),
        permissions::ask(&client, &Whom::Us, vec![permissions::port_forward()]),
    );
    let version = version.map_err(Failure::Fault)?;
    let port_forward = port_forward.into_iter().next().map_or(Ok(Permission::Denied), |(_, answer)| answer);
    Ok(Reached { client, identity, verdict, is_master, version, took, permissions, port_forward })
}

impl Visit {
    /// The worker's name.
    #[must_use]
    pub fn name(&self) -> &WorkerName {
        &self.registered.registration.name
    }

    /// Its client, if this registration serves it.
    #[must_use]
    pub fn serving(&self) -> Option<&Reached> {
        self.outcome.as_ref().ok().filter(|reached| reached.verdict == Verdict::Ours)
    }
}
