//! The pool against clusters in memory.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::core::v1::{self as core},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

use super::{
    gate::{Gate, Open},
    outcome::{ActError, Done},
    pool::{Master, Notice, Pool, Wake},
    registration::{Access, Registration},
    testing::{Cluster, Clusters, credentials},
};
use crate::{
    dialect::k8scluster::health::{Contact, Health, Trouble},
    plan::{
        act::{Act, Change, MissingNamespace, Object, Reason},
        database::{DatabaseKey, DatabaseKind},
        labels,
        name::{Namespace, ObjectName, Uid, WorkerName},
        record::Homes,
        seen::{Absence, Doubt, Sight, WorkerView},
        terms::{Duty, Terms},
    },
};

pub(super) struct World {
    clusters: Clusters,
    master: Cluster,
    pub(super) pool: Pool,
    wakes: mpsc::UnboundedReceiver<Wake>,
    notices: mpsc::UnboundedReceiver<Notice>,
}

impl World {
    pub(super) fn new(gate: Arc<dyn Gate>) -> Self {
        let (wake, wakes) = mpsc::unbounded_channel();
        let (notice, notices) = mpsc::unbounded_channel();
        let (clusters, master) = (Clusters::default(), Cluster::new("master-uid"));
        let known =
            Master { uid: Uid::from("master-uid"), client: master.client(), namespace: Namespace::from("atoll") };
        let pool = Pool::new(Arc::new(clusters.clone()), known, gate, wake, notice);
        Self { clusters, master, pool, wakes, notices }
    }

    pub(super) fn add(&self, name: &str, cluster: &Cluster) {
        self.clusters.add(name, cluster);
        self.pool.apply(registration(name));
    }

    pub(super) async fn until_health(&mut self, name: &str, wanted: impl Fn(&Health) -> bool) -> Health {
        let name = WorkerName::from(name);
        let wait = async {
            loop {
                if let Some(health) = self.pool.health(&name).filter(&wanted) {
                    return health;
                }
                self.notices.recv().await.expect("a notice");
            }
        };
        timeout(Duration::from_mins(2), wait).await.expect("the health that is waited for")
    }

    /// Waits for it, and records which cluster it is, as the registrar does.
    pub(super) async fn until_ready(&mut self, name: &str) {
        let health = self.until_health(name, |health| matches!(health, Health::Up(_))).await;
        if let Health::Up(Contact { identity, .. }) = health {
            self.pool.apply(Registration { pinned: Some(identity), ..registration(name) });
        }
    }

    pub(super) fn view(&self, name: &str) -> WorkerView {
        self.pool.view(&key(), &Homes::new()).remove(&WorkerName::from(name)).expect("a worker").view
    }

    pub(super) async fn until_view(&mut self, name: &str, wanted: impl Fn(&WorkerView) -> bool) -> WorkerView {
        let wait = async {
            loop {
                let view = self.view(name);
                if wanted(&view) {
                    return view;
                }
                self.wakes.recv().await.expect("a wake");
            }
        };
        timeout(Duration::from_mins(2), wait).await.expect("the view that is waited for")
    }
}

fn registration(name: &str) -> Registration {
    Registration {
        name: WorkerName::from(name),
        aliases: vec![format!("{name}-alias")],
        domain: None,
        terms: Terms::default(),
        pinned: None,
        accepted: None,
        access: Access::Credentials(Box::new(credentials(name))),
    }
}

pub(super) fn key() -> DatabaseKey {
    DatabaseKey {
        kind: DatabaseKind::KubeBlocksCluster,
        namespace: Namespace::from("default"),
        name: ObjectName::from("etcd"),
    }
}

fn our_labels(uid: &str) -> Vec<(&'static str, String)> {
    vec![
        (labels::MANAGED_BY, labels::MANAGER.to_owned()),
        (labels::MASTER, "master-uid".to_owned()),
        (labels::DATABASE_KIND, DatabaseKind::KubeBlocksCluster.label().to_owned()),
        (labels::DATABASE_NAMESPACE, "default".to_owned()),
        (labels::DATABASE_NAME, "etcd".to_owned()),
        (labels::DATABASE_UID, uid.to_owned()),
    ]
}

pub(super) fn pod(name: &str, uid: &str) -> core::Pod {
    core::Pod {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("default".to_owned()),
            labels: Some(our_labels(uid).into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ..ObjectMeta::default()
        },
        ..core::Pod::default()
    }
}

pub(super) fn create(worker: &str, pod: core::Pod) -> Act {
    let change = Change::Create(Object::Pod(Box::new(pod)), MissingNamespace::Create);
    Act { worker: WorkerName::from(worker), reason: Reason::PodMissing, change }
}

pub(super) fn in_view(view: &WorkerView, name: &str) -> bool {
    matches!(view.pod(&ObjectName::from(name)), Sight::Present(_))
}

#[tokio::test(start_paused = true)]
async fn a_worker_becomes_ready_and_shows_what_is_in_it_and_what_comes_and_goes() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    cluster.put("pods", "default", "etcd-0", serde_json::to_value(pod("etcd-0", "db")).unwrap());
    world.add("k8s-1", &cluster);
    assert!(matches!(world.view("k8s-1"), WorkerView::Unseen { absence: Absence::Connecting, .. }));
    world.until_ready("k8s-1").await;
    assert!(in_view(&world.view("k8s-1"), "etcd-0"));
    cluster.put("pods", "default", "etcd-1", serde_json::to_value(pod("etcd-1", "db")).unwrap());
    world.until_view("k8s-1", |view| in_view(view, "etcd-1")).await;
    cluster.remove("pods", "default", "etcd-0");
    let view = world.until_view("k8s-1", |view| !in_view(view, "etcd-0")).await;
    // A watch does not prove absence.
    assert!(matches!(view.pod(&ObjectName::from("etcd-0")), Sight::Unknown(Doubt::NotInView)));
    let live = world.pool.live(&WorkerName::from("k8s-1"), &key(), &Homes::new()).await;
    assert!(matches!(live.view.pod(&ObjectName::from("etcd-0")), Sight::Absent));
    assert!(in_view(&live.view, "etcd-1"));
    assert_eq!(live.aliases, ["k8s-1-alias"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_marked_unavailable_shows_nothing_and_takes_nothing_from_that_moment_on() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    cluster.put("pods", "default", "etcd-0", serde_json::to_value(pod("etcd-0", "db")).unwrap());
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    world.until_view("k8s-1", |view| in_view(view, "etcd-0")).await;
    while world.wakes.try_recv().is_ok() {}
    cluster.requests();
    let marked = |duty| Registration {
        pinned: Some(Uid::from("one")),
        terms: Terms { duty, ..Terms::default() },
        ..registration("k8s-1")
    };
    let name = WorkerName::from("k8s-1");
    world.pool.apply(marked(Duty::Unavailable { since: None }));
    assert!(matches!(world.view("k8s-1"), WorkerView::Unavailable { since: None }));
    assert_eq!(world.wakes.try_recv(), Ok(Wake::Worker(name.clone())));
    // It would answer, and nothing would be found there: neither is believed.
    assert!(matches!(world.pool.live(&name, &key(), &Homes::new()).await.view, WorkerView::Unavailable { .. }));
    let refused = world.pool.carry_out(&create("k8s-1", pod("etcd-1", "db"))).await.unwrap_err();
    assert!(refused.to_string().contains("marked unavailable"), "{refused}");
    assert_eq!(cluster.requests(), Vec::<String>::new());
    // Its connection is kept, and its health is told.
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(cluster.requests(), ["GET namespaces", "GET namespaces"]);
    assert!(matches!(world.pool.health(&name), Some(Health::Up(_))));
    world.pool.apply(marked(Duty::NoNewMembers));
    assert!(in_view(&world.view("k8s-1"), "etcd-0"));
    assert_eq!(world.wakes.try_recv(), Ok(Wake::Worker(name)));
}

#[tokio::test(start_paused = true)]
async fn at_rest_a_worker_gets_watches_and_one_get_in_ten_seconds() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    cluster.requests();
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(cluster.requests(), ["GET namespaces", "GET namespaces"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_falls_silent_is_unseen_within_fifteen_seconds_and_told_within_thirty() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    world.until_view("k8s-1", |view| view.objects().is_some()).await;
    while world.wakes.try_recv().is_ok() {}
    cluster.cut(true);
    let cut = tokio::time::Instant::now();
    let view = world.until_view("k8s-1", |view| view.objects().is_none()).await;
    assert!(cut.elapsed() <= Duration::from_secs(15), "{:?}", cut.elapsed());
    assert!(matches!(view, WorkerView::Unseen { absence: Absence::Since(_), .. }));
    assert!(matches!(world.pool.health(&WorkerName::from("k8s-1")), Some(Health::Up(_))));
    let health = world.until_health("k8s-1", |health| matches!(health, Health::Down(_))).await;
    assert!(matches!(health, Health::Down(Trouble::Unreachable(_))));
    assert!(cut.elapsed() <= Duration::from_secs(30), "{:?}", cut.elapsed());
    let act = create("k8s-1", pod("etcd-0", "db"));
    assert!(matches!(world.pool.carry_out(&act).await, Err(ActError::Unseen { .. })));
    // What changed meanwhile is there as soon as the worker is.
    cluster.put("pods", "default", "etcd-9", serde_json::to_value(pod("etcd-9", "db")).unwrap());
    cluster.cut(false);
    world.until_view("k8s-1", |view| in_view(view, "etcd-9")).await;
    world.until_ready("k8s-1").await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_delays_no_other() {
    let (mut world, dead, alive) = (World::new(Arc::new(Open)), Cluster::new("dead"), Cluster::new("alive"));
    dead.cut(true);
    let start = tokio::time::Instant::now();
    world.add("k8s-1", &dead);
    world.add("k8s-2", &alive);
    world.until_ready("k8s-2").await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_believed_or_written_before_the_identity_is_recorded() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.clusters.add("k8s-1", &cluster);
    world.pool.apply(registration("k8s-1"));
    world.until_health("k8s-1", |health| matches!(health, Health::Up(_))).await;
    cluster.requests();
    let refused = world.pool.carry_out(&create("k8s-1", pod("etcd-0", "db"))).await;
    assert!(matches!(refused, Err(ActError::Unseen { .. })), "{refused:?}");
    assert!(matches!(world.view("k8s-1"), WorkerView::Unseen { absence: Absence::Connecting, .. }));
    assert!(!cluster.requests().iter().any(|request| request.starts_with("POST")));
    world.until_ready("k8s-1").await;
    assert_eq!(world.pool.carry_out(&create("k8s-1", pod("etcd-0", "db"))).await, Ok(Done::Changed));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_becomes_another_gets_no_write_and_shows_nothing() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    world.pool.apply(Registration { pinned: Some(Uid::from("one")), ..registration("k8s-1") });
    cluster.become_another("two");
    let live = world.pool.live(&WorkerName::from("k8s-1"), &key(), &Homes::new()).await;
    assert!(matches!(live.view, WorkerView::Unseen { .. }), "{live:?}");
    let health = world.until_health("k8s-1", |health| matches!(health, Health::Down(_))).await;
    let Health::Down(trouble) = health else { unreachable!() };
    assert_eq!(trouble.reason(), "IdentityChanged");
    let act = create("k8s-1", pod("etcd-0", "db"));
    assert!(matches!(world.pool.carry_out(&act).await, Err(ActError::Unseen { .. })));
    world.pool.apply(Registration {
        pinned: Some(Uid::from("one")),
        accepted: Some(Uid::from("two")),
        ..registration("k8s-1")
    });
    world.until_ready("k8s-1").await;
}

#[tokio::test(start_paused = true)]
async fn of_two_registrations_of_one_cluster_the_first_serves() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    world.add("again", &cluster);
    let health = world.until_health("again", |health| matches!(health, Health::Down(_))).await;
    assert_eq!(health, Health::Down(Trouble::DuplicateOf(WorkerName::from("k8s-1"))));
    assert!(matches!(world.pool.carry_out(&create("again", pod("etcd-0", "db"))).await, Err(ActError::Unseen { .. })));
    world.pool.forget(&WorkerName::from("k8s-1"));
    world.until_ready("again").await;
}

#[tokio::test(start_paused = true)]
async fn the_master_registered_as_a_worker_is_served_by_its_own_client() {
    let mut world = World::new(Arc::new(Open));
    let same = Cluster::new("master-uid");
    world.add("self", &same);
    world.until_ready("self").await;
    let act = create("self", pod("etcd-0", "db"));
    assert_eq!(world.pool.carry_out(&act).await, Ok(Done::Changed));
    assert!(world.master.get("pods", "default", "etcd-0").is_some());
    assert!(same.get("pods", "default", "etcd-0").is_none());
}

#[tokio::test(start_paused = true)]
async fn bad_new_credentials_leave_the_old_ones_in_use() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    let broken = Trouble::InvalidKubeconfig("broken".to_owned());
    let known = || Registration { pinned: Some(Uid::from("one")), ..registration("k8s-1") };
    world.pool.apply(Registration { access: Access::Refused(broken.clone()), ..known() });
    let doubted = |health: &Health| matches!(health, Health::Up(Contact { doubt: Some(_), .. }));
    world.until_health("k8s-1", doubted).await;
    assert_eq!(world.pool.carry_out(&create("k8s-1", pod("etcd-0", "db"))).await, Ok(Done::Changed));
    // The same cluster at another address: proved first, then used.
    world.clusters.add("new", &cluster);
    let moved = Registration { access: Access::Credentials(Box::new(credentials("new"))), ..known() };
    world.pool.apply(moved);
    world.until_health("k8s-1", |health| matches!(health, Health::Up(Contact { doubt: None, .. }))).await;
    world.until_view("k8s-1", |view| in_view(view, "etcd-0")).await;
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_asked_for_again() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    cluster.refuse("GET namespaces", 401, "Unauthorized", "Unauthorized", json!({}));
    world.add("k8s-1", &cluster);
    let wanted = Notice::Unauthorized(WorkerName::from("k8s-1"));
    let wait = async { while world.notices.recv().await != Some(wanted.clone()) {} };
    timeout(Duration::from_secs(5), wait).await.unwrap();
    cluster.accept("GET namespaces");
    world.until_ready("k8s-1").await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_forbidden_makes_the_worker_unseen_and_names_the_resource() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    cluster.refuse("GET jobs", 403, "Forbidden", "jobs.batch is forbidden: User \"u\" cannot list", json!({}));
    world.add("k8s-1", &cluster);
    let health = world.until_health("k8s-1", |health| matches!(health, Health::Down(_))).await;
    let Health::Down(trouble) = health else { unreachable!() };
    assert_eq!(trouble.reason(), "Forbidden");
    assert!(trouble.to_string().contains("jobs"), "{trouble}");
    assert!(world.view("k8s-1").objects().is_none());
    cluster.accept("GET jobs");
    world.until_ready("k8s-1").await;
}

#[tokio::test(start_paused = true)]
async fn history_that_is_lost_is_listed_again() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    cluster.put("pods", "default", "etcd-0", serde_json::to_value(pod("etcd-0", "db")).unwrap());
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    cluster.refuse("WATCH pods", 410, "Expired", "too old resource version", json!({}));
    // The old connection shows nothing of this.
    cluster.cut(false);
    cluster.remove("pods", "default", "etcd-0");
    tokio::time::sleep(Duration::from_secs(40)).await;
    cluster.accept("WATCH pods");
    world.until_view("k8s-1", |view| view.objects().is_some() && !in_view(view, "etcd-0")).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_stands_and_says_nothing_is_not_believed_for_longer_than_it_may_last() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    cluster.put("pods", "default", "etcd-0", serde_json::to_value(pod("etcd-0", "db")).unwrap());
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    world.until_view("k8s-1", |view| in_view(view, "etcd-0")).await;
    cluster.remove_in_silence("pods", "default", "etcd-0");
    tokio::time::sleep(Duration::from_secs(40)).await;
    world.until_view("k8s-1", |view| view.objects().is_some()).await;
    assert!(!in_view(&world.view("k8s-1"), "etcd-0"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_etcd_went_back_in_time_is_listed_again_after_its_watches_broke() {
    let (mut world, cluster) = (World::new(Arc::new(Open)), Cluster::new("one"));
    cluster.put("pods", "default", "etcd-0", serde_json::to_value(pod("etcd-0", "db")).unwrap());
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(in_view(&world.view("k8s-1"), "etcd-0"));
    cluster.restore_without("pods", "default", "etcd-0");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!in_view(&world.view("k8s-1"), "etcd-0"));
}
