//! Observing: what is seen of one database, for one decision.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::future::join_all;
use k8s_openapi::{
    api::core::v1 as core, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::Api;
use tokio::time::timeout;

use super::{
    Shelf,
    answers::{Known, Of},
    reconcile::Reconciler,
};
use crate::{
    admin::{Asked, JobRoute, Ladder, PodRoute, Route},
    dialect::Dialect,
    engine::{Distrust, HttpReply, Knowledge, Refused},
    plan::{
        command::{Command, Wish},
        database::{Database, DatabaseId, Intent},
        labels,
        membership::{self, Membership, Rung},
        name::{ObjectName, WorkerName},
        network::{Exposure, Network, Spread},
        record::{Homes, Member, Record, Recorded, Stage},
        seen::{Deletions, Ending, Pod, PodPhase, Process, Readiness, Registry, Seen, Worker},
    },
    worker::{
        fault::{call, clip},
        pool::Wake,
    },
};

/// How long answers of members stand while nothing changes (DECISIONS 11).
const ROLES_STAND: Duration = Duration::from_mins(1);

/// How long a round waits for members: long enough for one that is near.
const MOMENT: Duration = Duration::from_millis(300);

impl<D: Dialect> Reconciler<D> {
    /// What the watches show, what the members say, and (for a deletion) what else goes. In the common case no
    /// request is sent.
    pub(super) async fn observe(&self, database: &Database, record: Option<&Recorded>) -> Seen {
        let workers = self.pool.view(&database.id.key(), &homes(database, record));
        let deletions = match database.intent {
            Intent::Run => Deletions::default(),
            Intent::Delete(_) => self.deletions(database, &self.shelf).await,
        };
        let membership = match (record, database.intent) {
            (Some(record), Intent::Run) => self.membership(database, record, &workers).await,
            _ => None,
        };
        let registry = if self.pool.is_complete() { Registry::Read } else { Registry::Unread };
        let accounts = self.ledger.accounts(&database.id.uid);
        Seen { workers, registry, membership, deletions, accounts }
    }

    /// The same with live lists of these workers. All are asked at the same time.
    pub(super) async fn look_again(
        &self,
        seen: &mut Seen,
        database: &Database,
        record: Option<&Recorded>,
        workers: &BTreeSet<WorkerName>,
    ) {
        let (key, homes) = (database.id.key(), homes(database, record));
        let live = workers.iter().map(async |name| (name.clone(), self.pool.live(name, &key, &homes).await));
        seen.workers.extend(join_all(live).await);
    }

    async fn deletions(&self, database: &Database, shelf: &Shelf<D>) -> Deletions {
        let client = &self.master.client;
        let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
        let namespaces: Api<core::Namespace> = Api::all(client.clone());
        let (kind, namespace) = futures::join!(
            call(kinds.get(database.id.kind.plural())),
            call(namespaces.get(database.id.namespace.as_str()))
        );
        let ending = |gone: bool| if gone { Ending::Going } else { Ending::Staying };
        let (databases, asked) = shelf.deletions();
        Deletions {
            databases,
            asked,
            kind_deleting: kind.map_or(Ending::Unread, |kind| ending(kind.metadata.deletion_timestamp.is_some())),
            namespace_deleting: namespace
                .map_or(Ending::Unread, |namespace| ending(namespace.metadata.deletion_timestamp.is_some())),
        }
    }

    /// What members say: asked when one has come or gone, and once a minute by routes that cost no API server anything.
    ///
    /// A round waits only for a moment. An answer that takes longer wakes the database when it comes.
    async fn membership(
        &self,
        database: &Database,
        record: &Recorded,
        workers: &BTreeMap<WorkerName, Worker>,
    ) -> Option<Membership> {
        let serving = || record.present().filter_map(|m| Some((m, serving(workers, m)?)));
        // Until all have served once there is nothing to ask about that readiness does not tell.
        if !matches!(record.stage, Stage::Established(_)) && serving().count() < record.members.len() {
            return None;
        }
        let uid = &database.id.uid;
        serving().next()?;
        let of = Of::new(record, serving().map(|(_, pod)| pod));
        let known = self.answers.get(uid);
        let changed = known.as_ref().is_none_or(|known| known.of != of);
        let stale = known.as_ref().is_none_or(|known| known.at.elapsed() > ROLES_STAND);
        let free = |membership: &Membership| membership.answers.values().all(|answer| answer.rung <= Rung::Service);
        let worth = known.as_ref().is_none_or(|known| free(&known.membership));
        if !(changed || stale && worth) {
            return known.map(|known| known.membership);
        }
        let stands = known.filter(|known| known.of == of).map(|known| known.membership);
        let Some(turn) = self.answers.take_turn(uid) else { return stands };
        let asked: Vec<_> = serving()
            .map(|(member, pod)| Asked {
                question: database.engine.kind.knowledge().question(member),
                routes: self.routes(database, member, pod).into_iter().filter(|r| changed || direct(r)).collect(),
            })
            .collect();
        let (ladder, answers, wake) = (self.ladder.clone(), self.answers.clone(), self.wake.clone());
        let (engine, id, record) = (database.engine.kind.knowledge(), database.id.clone(), Record::clone(record));
        let asking = tokio::spawn(async move {
            let membership = ask(&ladder, engine, &id, &record, &asked).await;
            answers.put(&id.uid, Known { at: Instant::now(), of, membership: membership.clone() });
            drop(turn);
            // Nobody listens any more only while the process ends.
            let _ = wake.send(Wake::Database(id.key()));
            membership
        });
        match timeout(MOMENT, asking).await {
            Ok(Ok(membership)) => Some(membership),
            Ok(Err(_)) | Err(_) => stands,
        }
    }

    /// The same, with answers that all voters which run give now. Who is ready is asked by whatever route there is; of who
    /// is not, an answer is not expected, and a quick try is enough.
    pub(super) async fn ask_again(&self, seen: &mut Seen, database: &Database, record: &Recorded) {
        let engine = database.engine.kind.knowledge();
        let running = record.voters().filter_map(|member| Some((member, running(&seen.workers, member)?)));
        let asked: Vec<_> = running
            .map(|(member, pod)| {
                let ready = serving(&seen.workers, member).is_some();
                let routes = self.routes(database, member, pod);
                let routes = routes.into_iter().filter(|route| ready || route.rung() <= Rung::PortForward);
                Asked { question: engine.question(member), routes: routes.collect() }
            })
            .collect();
        let membership = ask(&self.ladder, engine, &database.id, record, &asked).await;
        // Who there is to ask is what the watches show: a list that failed is no reason to ask everybody anew.
        if let Some(known) = self.answers.get(&database.id.uid).filter(|known| known.of.voters_of(record)) {
            let known = Known { at: Instant::now(), membership: membership.clone(), ..known };
            self.answers.put(&database.id.uid, known);
        }
        seen.membership = Some(Membership { asked: membership::Asked::Now, ..membership });
    }

    /// Tells a member to do something, and another one where that one refuses. Nobody else is told where nothing is known of
    /// what came of it.
    ///
    /// # Errors
    /// The engine's refusals, or why it could not be told, for a person.
    pub(super) async fn tell(
        &self,
        seen: &Seen,
        database: &Database,
        record: &Recorded,
        command: &Command,
    ) -> Result<(), String> {
        let engine = database.engine.kind.knowledge();
        let mut refusals = Vec::new();
        for through in command.members() {
            let member = record.member(through.as_str()).ok_or_else(|| format!("{through} is not recorded"))?;
            let reply = self.tell_one(seen, database, record, member, &command.wish).await;
            match engine.obeyed(&reply.map_err(|why| format!("{through}: {why}"))?) {
                Ok(()) => return Ok(()),
                Err(Refused(why)) => refusals.push(format!("{through} says: {}", clip(&why))),
            }
        }
        Err(refusals.join("; "))
    }

    async fn tell_one(
        &self,
        seen: &Seen,
        database: &Database,
        record: &Recorded,
        member: &Member,
        wish: &Wish,
    ) -> Result<HttpReply, String> {
        let engine = database.engine.kind.knowledge();
        let pod = running(&seen.workers, member).ok_or("it does not run")?;
        let (question, routes) = (engine.question(member), self.routes(database, member, pod));
        let judge = |_: &_, rung, replies: &[HttpReply]| engine.read(record, member, rung, replies);
        self.ladder.tell(&database.id.uid, &question, engine.command(wish), &routes, &judge, self.gate.as_ref()).await
    }

    fn routes(&self, database: &Database, member: &Member, pod: &Pod) -> Vec<Route> {
        let port = database.engine.kind.knowledge().ports().client.number;
        let address = pod.ip.as_ref().map(|ip| host_port(ip, port));
        let mut routes: Vec<_> = address.clone().map(Route::Address).into_iter().collect();
        if let Some(client) = member.client.clone().filter(|_| leads_to_one_member(&database.network)) {
            routes.push(Route::Service(client));
        }
        let home = member.home(&database.id);
        routes.push(Route::PortForward(PodRoute {
            worker: member.worker.clone(),
            namespace: home.clone(),
            pod: ObjectName::from(&member.name),
            port,
        }));
        routes.extend(address.map(|address| {
            Route::Job(JobRoute {
                worker: member.worker.clone(),
                namespace: home.clone(),
                address,
                labels: labels::of_member(&self.master.uid, database, &member.name, home),
            })
        }));
        routes
    }
}

/// Asks these members, and takes no answer that does not carry the recorded identity.
async fn ask(ladder: &Ladder, engine: &dyn Knowledge, id: &DatabaseId, record: &Record, asked: &[Asked]) -> Membership {
    let heard = ladder
        .ask_all(&id.uid, asked, &|name, rung, replies| match record.member(name.as_str()) {
            Some(member) => engine.read(record, member, rung, replies),
            None => Err(Distrust::Unreadable { member: name.clone(), why: "it is not recorded".to_owned() }),
        })
        .await;
    for distrusted in &heard.distrusted {
        let (route, why) = (&distrusted.route, &distrusted.why);
        tracing::warn!(database = %id.key(), %route, %why, "an answer is not believed");
    }
    heard.membership
}

/// Where a database's objects are, as its own record says.
fn homes(database: &Database, record: Option<&Recorded>) -> Homes {
    let own = record.filter(|record| record.uid == database.id.uid);
    own.map(|record| record.homes(&database.id)).unwrap_or_default()
}

/// Whether a member's client address can be dialled from the master: a name that only workers resolve cannot.
fn leads_to_one_member(network: &Network) -> bool {
    match network {
        Network::PodNames => false,
        Network::MemberServices(services) => {
            services.exposure != Exposure::ClusterIp || services.spread == Spread::Unique
        }
    }
}

fn direct(route: &Route) -> bool {
    route.rung() <= Rung::Service
}

fn serving<'a>(workers: &'a BTreeMap<WorkerName, Worker>, member: &Member) -> Option<&'a Pod> {
    let pod = workers.get(&member.worker)?.view.pod(&ObjectName::from(&member.name)).present()?;
    (pod.phase == PodPhase::Running && matches!(pod.ready, Readiness::Ready(_))).then_some(pod)
}

/// The pod of a member in which something may run, ready or not.
fn running<'a>(workers: &'a BTreeMap<WorkerName, Worker>, member: &Member) -> Option<&'a Pod> {
    let pod = workers.get(&member.worker)?.view.pod(&ObjectName::from(&member.name)).present()?;
    (pod.process == Process::Runs).then_some(pod)
}

fn host_port(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}
