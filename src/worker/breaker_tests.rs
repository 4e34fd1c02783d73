//! A worker that fails is asked by one probe at a time, and one object that cannot be read hides no other.

use std::{sync::Arc, time::Duration};

use kube::api::{Api, ListParams};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::{
    gate::Open,
    outcome::ActError,
    pool_tests::{World, create, in_view, key, pod},
    testing::Cluster,
    timing,
};
use crate::{
    dialect::k8scluster::health::Health,
    plan::{
        name::{ObjectName, WorkerName},
        record::Homes,
        seen::{Doubt, Sight, WorkerView},
    },
};

fn worker() -> WorkerName {
    WorkerName::from("k8s-1")
}

async fn ready(cluster: &Cluster) -> World {
    let mut world = World::new(Arc::new(Open));
    world.add("k8s-1", cluster);
    world.until_ready("k8s-1").await;
    world.until_view("k8s-1", |view| view.objects().is_some()).await;
    world
}

/// Acts and looks, ten times a second for so long: each must end at once, and in vain.
async fn press(world: &World, how_long: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < how_long {
        let asked = Instant::now();
        let done = world.pool.carry_out(&create("k8s-1", pod("etcd-0", "db"))).await;
        assert!(matches!(done, Err(ActError::Unseen { .. })), "{done:?}");
        let looked = world.pool.live(&worker(), &key(), &Homes::new()).await;
        assert!(matches!(looked.view, WorkerView::Unseen { .. }));
        assert_eq!(asked.elapsed(), Duration::ZERO, "nobody waits for a worker that is down");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_down_gets_nothing_but_one_probe_at_a_time_at_most_fifteen_seconds_apart() {
    let cluster = Cluster::new("one");
    let mut world = ready(&cluster).await;
    cluster.refuse("GET namespaces", 503, "ServiceUnavailable", "etcd is away", json!({}));
    world.until_health("k8s-1", |health| matches!(health, Health::Down(_))).await;
    let (mut probes, mut longest) = (0, Duration::ZERO);
    let mut last = Instant::now();
    cluster.requests();
    for _ in 0..1_500 {
        press(&world, Duration::from_millis(200)).await;
        let asked = cluster.requests();
        assert!(asked.iter().all(|request| request == "GET namespaces"), "{asked:?}");
        assert!(asked.len() <= 1, "{asked:?}");
        if !asked.is_empty() {
            probes += 1;
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
    }
    assert!((20..=60).contains(&probes), "{probes} in five minutes");
    assert!(longest <= Duration::from_secs(15) + Duration::from_millis(400), "{longest:?}");
    cluster.accept("GET namespaces");
    world.until_ready("k8s-1").await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_answers_nothing_but_come_again_in_an_hour_is_told_within_fifteen_seconds() {
    let cluster = Cluster::new("one");
    let mut world = ready(&cluster).await;
    cluster.overload("GET namespaces", 3_600);
    let begun = Instant::now();
    let health = world.until_health("k8s-1", |health| matches!(health, Health::Down(_))).await;
    let Health::Down(trouble) = health else { panic!("{health:?}") };
    assert!(trouble.to_string().contains("429"), "{trouble}");
    assert!(begun.elapsed() <= Duration::from_secs(15), "{:?}", begun.elapsed());
    cluster.requests();
    sleep(Duration::from_mins(5)).await;
    let probes = cluster.requests().len();
    assert!((18..=21).contains(&probes), "one each fifteen seconds: {probes}");
    cluster.accept("GET namespaces");
    world.until_ready("k8s-1").await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_wants_an_hour_to_itself_is_probed_after_fifteen_seconds() {
    let cluster = Cluster::new("one");
    let world = ready(&cluster).await;
    cluster.overload("GET pods", 3_600);
    let refused = world.pool.live(&worker(), &key(), &Homes::new()).await;
    assert!(matches!(refused.view, WorkerView::Unseen { .. }));
    cluster.accept("GET pods");
    let begun = Instant::now();
    let held = world.pool.live(&worker(), &key(), &Homes::new()).await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody sleeps who holds a turn");
    let WorkerView::Unseen { why, .. } = held.view else { panic!("{held:?}") };
    assert!(why.contains("asked to be left alone"), "{why}");
    sleep(timing::RETRY_AFTER_MOST).await;
    assert!(world.pool.live(&worker(), &key(), &Homes::new()).await.view.objects().is_some());
    assert!(matches!(world.pool.health(&worker()), Some(Health::Up(_))), "its probes were answered all the time");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_hides_no_other_and_is_never_proved_gone() {
    let cluster = Cluster::new("one");
    let mut bad = serde_json::to_value(pod("etcd-0", "db")).unwrap();
    bad["metadata"]["labels"]["atoll.dev/name"] = json!("bad");
    bad["spec"] = json!("none");
    let mut other = serde_json::to_value(pod("other-0", "other")).unwrap();
    let labels = other["metadata"]["labels"].as_object_mut().unwrap();
    let name = labels.iter().find(|(_, value)| **value == json!("etcd")).map(|(key, _)| key.clone()).unwrap();
    labels.insert(name.clone(), json!("other"));
    bad["metadata"]["labels"][&name] = json!("etcd");
    let mut world = World::new(Arc::new(Open));
    cluster.put("pods", "default", "etcd-0", bad.clone());
    cluster.put("pods", "default", "other-0", other);
    world.add("k8s-1", &cluster);
    world.until_ready("k8s-1").await;

    let other = crate::plan::database::DatabaseKey { name: ObjectName::from("other"), ..key() };
    let view = |world: &World, key| world.pool.view(key, &Homes::new()).remove(&worker()).unwrap().view;
    assert!(in_view(&view(&world, &other), "other-0"), "its neighbour is seen");
    let WorkerView::Unseen { why, .. } = view(&world, &key()) else { panic!("a view that leaves something out") };
    assert!(why.contains("pods") && why.contains("default/etcd-0"), "{why}");
    let told = world.pool.incomplete(&worker()).expect("words for a condition");
    assert!(told.contains("pods default/etcd-0"), "{told}");
    let live = world.pool.live(&worker(), &key(), &Homes::new()).await.view;
    assert!(matches!(live.pod(&ObjectName::from("etcd-0")), Sight::Unknown(Doubt::WorkerUnseen)), "{live:?}");

    // And so by a watch: it becomes readable, unreadable, and goes.
    bad["spec"] = json!({ "containers": [] });
    cluster.put("pods", "default", "etcd-0", bad.clone());
    timeout(timing::CALL_DEADLINE, world.until_view("k8s-1", |view| in_view(view, "etcd-0"))).await.unwrap();
    assert_eq!(world.pool.incomplete(&worker()), None);
    bad["spec"] = json!(4);
    cluster.put("pods", "default", "etcd-0", bad);
    timeout(timing::CALL_DEADLINE, world.until_view("k8s-1", |view| view.objects().is_none())).await.unwrap();
    cluster.remove("pods", "default", "etcd-0");
    timeout(timing::CALL_DEADLINE, world.until_view("k8s-1", |view| view.objects().is_some())).await.unwrap();
    assert_eq!(world.pool.incomplete(&worker()), None);
}

#[tokio::test(start_paused = true)]
async fn what_the_limits_hold_back_is_told_in_words() {
    let cluster = Cluster::new("one");
    let world = ready(&cluster).await;
    let client = world.pool.client(&worker()).unwrap();
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client, "default");
    let asked = (0..400).map(|_| async { super::fault::call(pods.list(&ListParams::default())).await.map(|_| ()) });
    let faults: Vec<_> = futures::future::join_all(asked).await.into_iter().filter_map(Result::err).collect();
    assert!(!faults.is_empty());
    assert!(faults.iter().all(|fault| fault.to_string().contains("50 requests a second")), "{}", faults[0]);
}
