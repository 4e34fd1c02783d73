//! Jobs, namespaces, load balancers, growth and garbage.

use std::time::Duration;

use apiserver::Place;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Bench, claim, condition, job, pod};
use crate::{place, world::Goods};

fn service(name: &str, kind: &str) -> Value {
    json!({ "kind": "Service", "metadata": { "name": name }, "spec": { "type": kind, "selector": { "app": "db" },
        "publishNotReadyAddresses": true, "ports": [{ "name": "client", "port": 80, "targetPort": "client" }] } })
}

fn address(bench: &Bench, name: &str) -> Option<String> {
    bench.read("services", name)["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_gets_an_address_keeps_it_and_leads_to_its_pods() {
    let bench = Bench::new().await;
    bench.world.withhold(Goods::LoadBalancers);
    bench.make(service("peer", "LoadBalancer")).await;
    bench.run_pod(pod("db-0", "")).await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(address(&bench, "peer"), None, "none is to be had");
    bench.world.provide(Goods::LoadBalancers);
    bench.until("an address", |bench| address(bench, "peer").is_some()).await;
    let first = address(&bench, "peer").expect("an address");
    let answers = |address: &str| bench.net.dial(&place::Place::Master, &format!("{address}:80"));
    assert_eq!(answers(&first).expect("the pod").1, 2379);
    bench.world.change_load_balancer_address("default", "peer");
    bench.until("another address", |bench| address(bench, "peer").is_some_and(|now| now != first)).await;
    let second = address(&bench, "peer").expect("an address");
    sleep(Duration::from_millis(100)).await;
    assert!(answers(&first).is_none() && answers(&second).is_some());
    let before = bench.server.version();
    sleep(Duration::from_mins(10)).await;
    assert_eq!(bench.server.version(), before);
}

#[tokio::test(start_paused = true)]
async fn services_lead_to_pods_by_every_address_that_they_have() {
    let bench = Bench::new().await;
    let node_port = bench.make(service("door", "NodePort")).await;
    let cluster = bench.make(service("inner", "ClusterIP")).await;
    let mut headless = service("pods", "ClusterIP");
    headless["spec"]["clusterIP"] = "None".into();
    bench.make(headless).await;
    let found = bench.run_pod(pod("db-0", "")).await;
    sleep(Duration::from_millis(100)).await;
    let own = place::Place::Cluster("w1".to_owned());
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let addresses = [
        format!("{}:{}", text(&found["status"]["hostIP"]), node_port["spec"]["ports"][0]["nodePort"]),
        format!("{}:80", text(&cluster["spec"]["clusterIP"])),
        "inner.default.svc:80".to_owned(),
        "inner.default.svc.cluster.local:80".to_owned(),
        "db-0.pods.default.svc.cluster.local:2379".to_owned(),
        "pods.default.svc:2379".to_owned(),
    ];
    for address in addresses {
        assert_eq!(bench.net.dial(&own, &address).map(|found| found.1), Some(2379), "{address}");
    }
    assert_eq!(bench.net.place_of(&text(&found["metadata"]["uid"])), Some(own));
}

#[tokio::test(start_paused = true)]
async fn a_claim_waits_for_its_volume_and_grows_when_it_asks_for_more() {
    let bench = Bench::new().await;
    bench.world.withhold(Goods::Volumes);
    bench.make(claim("data", "standard")).await;
    bench.make(claim("alien", "no-such-class")).await;
    let mut plain = claim("plain", "");
    plain["spec"].as_object_mut().expect("a spec").remove("storageClassName");
    bench.make(plain).await;
    sleep(Duration::from_mins(1)).await;
    let phase = |bench: &Bench, name: &str| bench.read("persistentvolumeclaims", name)["status"]["phase"].clone();
    assert_eq!(phase(&bench, "data"), "Pending");
    bench.world.provide(Goods::Volumes);
    bench.until("bound", |bench| phase(bench, "data") == "Bound" && phase(bench, "plain") == "Bound").await;
    let path = "/api/v1/namespaces/default/persistentvolumeclaims/data";
    bench.patch(path, json!({ "spec": { "resources": { "requests": { "storage": "2Gi" } } } })).await;
    let capacity =
        |bench: &Bench| bench.read("persistentvolumeclaims", "data")["status"]["capacity"]["storage"].clone();
    bench.until("it has grown", |bench| capacity(bench) == "2Gi").await;
    assert_eq!(phase(&bench, "alien"), "Pending", "nobody makes volumes of that class");
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_its_pod_once_tells_its_words_and_goes_when_its_time_is_up() {
    let bench = Bench::new().await;
    for (name, command, condition_) in [("well", "true", "Complete"), ("ill", "false", "Failed")] {
        let mut one = job(name, command);
        one["spec"]["ttlSecondsAfterFinished"] = 30.into();
        bench.make(one).await;
        bench
            .until("it ends", |bench| condition(&bench.read("jobs.batch", name), condition_)["status"] == "True")
            .await;
        let pods: Vec<_> = bench.server.list("pods");
        assert_eq!(pods.len(), 1, "one try");
        assert_eq!(pods[0]["metadata"]["labels"]["batch.kubernetes.io/job-name"], name);
        let words = &pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]["message"];
        assert_eq!(*words, format!("said {command}"));
        sleep(Duration::from_secs(25)).await;
        assert!(bench.read("jobs.batch", name).is_object());
        bench
            .until("it and its pod go", |bench| {
                bench.read("jobs.batch", name).is_null() && bench.server.list("pods").is_empty()
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_fails_and_one_that_nobody_runs_waits() {
    let bench = Bench::new().await;
    let mut slow = job("slow", "sleep");
    slow["spec"]["activeDeadlineSeconds"] = 20.into();
    bench.make(slow).await;
    let failed = |bench: &Bench| condition(&bench.read("jobs.batch", "slow"), "Failed")["reason"].clone();
    bench.until("it is ended", |bench| failed(bench) == "DeadlineExceeded").await;
    assert!(bench.fake.running("slow").is_empty() && bench.server.list("pods").is_empty());
    bench.world.withhold(Goods::Jobs);
    bench.make(job("later", "true")).await;
    sleep(Duration::from_mins(1)).await;
    assert!(bench.server.list("pods").is_empty());
    bench.world.provide(Goods::Jobs);
    bench
        .until("it is done", |bench| condition(&bench.read("jobs.batch", "later"), "Complete")["status"] == "True")
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_something_that_is_gone_goes_too() {
    let bench = Bench::new().await;
    let data = bench.make(claim("data", "standard")).await;
    let owned = |name: &str, uid: &Value| {
        let mut pod = pod(name, "");
        pod["metadata"]["ownerReferences"] = json!([{ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "name": "data", "uid": uid, "controller": true }]);
        pod
    };
    bench.make(owned("stray", &"another".into())).await;
    bench.until("what has no owner is gone", |bench| bench.pod("stray").is_null()).await;
    bench.run_pod(owned("db-0", &data["metadata"]["uid"])).await;
    bench.delete("/api/v1/namespaces/default/persistentvolumeclaims/data").await;
    bench.until("the pod follows its claim", |bench| bench.pod("db-0").is_null()).await;
    assert!(bench.fake.running("db-0").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_owner_waits_for_what_is_its_own_or_leaves_it_as_its_deletion_says() {
    for (policy, stays) in [("Foreground", false), ("Orphan", true)] {
        let bench = Bench::new().await;
        bench.make(job("work", "sleep")).await;
        bench
            .until("its pod runs", |bench| {
                bench.server.list("pods").iter().any(|pod| pod["status"]["phase"] == "Running")
            })
            .await;
        let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy });
        let path = "/apis/batch/v1/namespaces/default/jobs/work";
        bench.hand.send::<Value>(http::Method::DELETE, path, Some(options)).await.expect("deleted");
        bench.until("the job is gone", |bench| bench.read("jobs.batch", "work").is_null()).await;
        let pods = bench.server.list("pods");
        assert_eq!(pods.len(), usize::from(stays), "{policy}");
        if let Some(pod) = pods.first() {
            sleep(Duration::from_mins(1)).await;
            assert_eq!(bench.server.list("pods").len(), 1, "{}", pod["metadata"]["name"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_deleted_is_emptied_and_goes_unless_something_is_held() {
    let bench = Bench::new().await;
    let within = |mut object: Value| {
        object["metadata"]["namespace"] = "team".into();
        object
    };
    bench.make(json!({ "kind": "Namespace", "metadata": { "name": "team" } })).await;
    let account = Place::namespaced("serviceaccounts", "team", "default");
    bench.until("its account is there", |bench| bench.server.get(&account).is_some()).await;
    bench.make(within(claim("data", "standard"))).await;
    bench.make(within(service("peer", "LoadBalancer"))).await;
    bench.make(within(pod("db-0", "data"))).await;
    let held = json!({ "kind": "ConfigMap", "metadata": { "name": "held", "finalizers": ["example.com/held"] } });
    bench.make(within(held)).await;
    bench.until("its pod runs", |bench| !bench.fake.running("db-0").is_empty()).await;
    bench.delete("/api/v1/namespaces/team").await;
    let left = |bench: &Bench, resource: &str| {
        bench.server.list(resource).iter().any(|object| object["metadata"]["namespace"] == "team")
    };
    let emptied = ["pods", "persistentvolumeclaims", "services", "serviceaccounts"];
    bench.until("it is empty but for one", |bench| emptied.iter().all(|resource| !left(bench, resource))).await;
    sleep(Duration::from_mins(1)).await;
    let team = Place::namespaced("namespaces", "", "team");
    assert!(bench.server.get(&team).is_some_and(|team| team["status"]["phase"] == "Terminating"));
    assert!(bench.fake.running("db-0").is_empty());
    bench.patch("/api/v1/namespaces/team/configmaps/held", json!({ "metadata": { "finalizers": null } })).await;
    bench.until("it is gone", |bench| bench.server.get(&team).is_none()).await;
}
