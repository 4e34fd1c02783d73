//! Namespaces of workers, and what guards them: quotas, webhooks, Pod Security, older API servers.

use std::{collections::BTreeMap, time::Duration};

use apiserver::Admission;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ResourceQuota, Secret};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::tools::{
    A_WHILE, begin, done, members, nothing_is_left, remove, resize, says, standing, things, three, until_told,
    until_up_to_date, untouched, volumes_untouched,
};
use crate::{
    stage::{
        Simulated, Stage,
        people::{DATABASES, People, Services, Wanted},
    },
    tape::Site,
};

/// A database's manifest in a namespace of its own.
fn in_namespace(wanted: &Wanted, namespace: &str) -> Value {
    let mut manifest = wanted.manifest();
    manifest["metadata"]["namespace"] = namespace.into();
    manifest
}

fn namespaces(stage: &impl Stage, site: &Site) -> Api<Namespace> {
    Api::all(stage.person(site))
}

async fn delete_namespace(stage: &impl Stage, site: &Site, name: &str) {
    stage.fault("namespace wiped", &format!("a person deletes namespace {name} in {site}"));
    let api = namespaces(stage, site);
    done(stage, "a namespace is deleted", async || api.delete(name, &DeleteParams::default()).await).await;
}

async fn namespace_is_gone(stage: &impl Stage, site: &Site, name: &str) {
    let api = namespaces(stage, site);
    stage.until(&format!("{name} is gone from {site}"), async || matches!(api.get_opt(name).await, Ok(None))).await;
}

/// Row 42.
pub async fn a_namespace_deleted_with_its_data_is_not_made_again_by_itself(stage: &impl Stage) {
    begin(stage).await;
    let [_, w2, _] = three(stage);
    stage.make_namespace(&stage.master(), "shop").await;
    stage.create_manifest(&in_namespace(&Wanted::named("a"), "shop")).await;
    let a = "shop/a";
    stage.until_phase(a, "Running").await;
    delete_namespace(stage, &w2, "shop").await;
    namespace_is_gone(stage, &w2, "shop").await;
    stage.until_phase(a, "Abnormal").await;
    let message = until_told(stage, a, "WorkersAccept", "False", "NamespaceGone").await;
    says(&message, "kubectl create namespace shop");
    let api = namespaces(stage, &w2);
    let gone = async || matches!(api.get_opt("shop").await, Ok(None));
    stage.stays("it is not made again", A_WHILE, gone).await;
    // A person makes it again: the member without its data stays away, and another one takes its place.
    stage.make_namespace(&w2, "shop").await;
    until_up_to_date(stage, a).await;
    let found = things(stage, &w2, "a").await;
    assert!(found.keys().all(|thing| !thing.ends_with("a-etcd-1")), "{found:?}");
    stage.until("the former one is forgotten", async || members(stage, a).await == (3, 3)).await;
    stage.delete(a).await;
    stage.until_gone(a).await;
    nothing_is_left(stage, "a").await;
}

/// Row 43.
pub async fn a_namespace_that_never_ends_holds_up_only_what_is_in_it(stage: &impl Stage) {
    begin(stage).await;
    let [w1, w2, w3] = three(stage);
    stage.make_namespace(&stage.master(), "shop").await;
    stage.make_namespace(&w2, "shop").await;
    let held = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "held", "namespace": "shop", "finalizers": ["example.com/never"] } });
    let held: ConfigMap = serde_json::from_value(held).expect("a ConfigMap");
    let maps: Api<ConfigMap> = Api::namespaced(stage.person(&w2), "shop");
    done(stage, "a ConfigMap is made", async || maps.create(&PostParams::default(), &held).await).await;
    delete_namespace(stage, &w2, "shop").await;
    stage.create_manifest(&in_namespace(&Wanted::named("a"), "shop")).await;
    says(&until_told(stage, "shop/a", "WorkersAccept", "False", "NamespaceTerminating").await, &w2);
    stage.run(&Wanted::named("b").of(2).within(&[&w1, &w3])).await;
    stage.create_manifest(&in_namespace(&Wanted::named("c").of(2).within(&[&w1, &w3]), "shop")).await;
    stage.until_phase("shop/c", "Running").await;
    stage.say("takes the finalizer off");
    let off = json!({ "metadata": { "finalizers": null } });
    done(stage, "a finalizer goes", async || maps.patch("held", &PatchParams::default(), &Patch::Merge(&off)).await)
        .await;
    stage.until_phase("shop/a", "Running").await;
}

/// Row 48.
pub async fn a_quota_that_is_used_up_holds_up_only_its_worker(stage: &impl Stage) {
    begin(stage).await;
    let [w1, w2, w3] = three(stage);
    stage.fault("quota", &format!("{w2} allows no pods"));
    let none = json!({ "pods": "0" });
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "none" },
        "spec": { "hard": none } });
    super::tools::make::<ResourceQuota>(stage, &w2, quota).await;
    // What a quota controller does; bare API servers have none.
    let status = json!({ "status": { "hard": none, "used": { "pods": "0" } } });
    let quotas = super::tools::api::<ResourceQuota>(stage, &w2);
    let params = PatchParams::default();
    done(stage, "a quota is counted", async || quotas.patch_status("none", &params, &Patch::Merge(&status)).await)
        .await;
    stage.create(&Wanted::named("a")).await;
    let message = until_told(stage, "a", "WorkersAccept", "False", "QuotaExceeded").await;
    says(&message, &w2);
    says(&message, "exceeded quota: none");
    stage.run(&Wanted::named("b").of(2).within(&[&w1, &w3])).await;
    remove::<ResourceQuota>(stage, &w2, "none").await;
    stage.until_phase("a", "Running").await;
    assert_eq!(standing(stage, "a").await.len(), 6, "three pods on three volumes");
}

/// Row 49.
pub async fn a_webhook_that_denies_or_fails_is_told_in_its_own_words(stage: &Simulated) {
    begin(stage).await;
    let [w1, w2, w3] = three(stage);
    stage.fault("webhook denies", &format!("a webhook of {w2} denies everything"));
    stage.server(&w2).admission(Some(Admission::deny("policy.example says no")));
    stage.create(&Wanted::named("a")).await;
    let message = until_told(stage, "a", "WorkersAccept", "False", "AdmissionDenied").await;
    says(&message, "policy.example says no");
    stage.run(&Wanted::named("b").of(2).within(&[&w1, &w3])).await;
    stage.server(&w2).admission(Some(Admission::unavailable("policy.example does not answer")));
    until_told(stage, "a", "WorkersAccept", "False", "Busy").await;
    stage.server(&w2).admission(None);
    stage.until_phase("a", "Running").await;
}

/// A database runs, and for ten minutes nothing is written although something in the way changes objects. Says what
/// stands of it.
async fn runs_without_a_word(stage: &Simulated, what: &str) -> BTreeMap<String, String> {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    // Roles are asked for once all serve, and told a moment later.
    stage.sleep(Duration::from_mins(1)).await;
    let before = standing(stage, "a").await;
    let steps = stage.tape.steps();
    stage.sleep(Duration::from_mins(10)).await;
    assert_eq!(stage.tape.steps(), steps, "S14: nothing is written for {what}");
    untouched(stage, "a", &before).await;
    before
}

/// Row 49: a webhook that changes what it lets through.
pub async fn a_webhook_that_changes_pods_starts_no_quarrel(stage: &Simulated) {
    let [_, w2, _] = three(stage);
    stage.fault("webhook denies", &format!("a webhook of {w2} adds to everything"));
    stage.server(&w2).admission(Some(Admission::add_label("mesh.example/injected", "true")));
    runs_without_a_word(stage, "what a webhook has added").await;
    assert!(stage.condition("a", "UpToDate").await.0.is_empty());
}

/// Row 50.
pub async fn everything_passes_pod_security_restricted(stage: &impl Stage) {
    begin(stage).await;
    stage.make_namespace(&stage.master(), "shop").await;
    for site in stage.workers() {
        stage.make_namespace(&site, "shop").await;
        let restricted = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
        let api = namespaces(stage, &site);
        let params = PatchParams::default();
        done(stage, "a namespace is labelled", async || api.patch("shop", &params, &Patch::Merge(&restricted)).await)
            .await;
    }
    stage.create_manifest(&in_namespace(&Wanted::named("a"), "shop")).await;
    // With placeholders, which are pods as well.
    stage.create_manifest(&in_namespace(&Wanted::named("b").known_by(Services::NodePorts), "shop")).await;
    stage.until_phase("shop/a", "Running").await;
    stage.until_phase("shop/b", "Running").await;
}

/// Row 51.
pub async fn an_older_worker_that_drops_fields_starts_no_quarrel(stage: &Simulated) {
    let [_, w2, _] = three(stage);
    stage.fault("version skew", &format!("{w2} drops fields that it does not know"));
    let path = |path: &[&str]| path.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>();
    stage.server(&w2).drop_fields(vec![
        ("pods".to_owned(), path(&["spec", "enableServiceLinks"])),
        ("pods".to_owned(), path(&["spec", "automountServiceAccountToken"])),
        (
            "services".to_owned(),
            path(&["metadata", "annotations", "apps.kubeblocks.io/multi-cluster-service-placement"]),
        ),
    ]);
    let before = runs_without_a_word(stage, "what was dropped").await;
    resize(stage, "a", "200m").await;
    until_up_to_date(stage, "a").await;
    volumes_untouched(stage, "a", &before).await;
    let calm = standing(stage, "a").await;
    stage.sleep(Duration::from_mins(5)).await;
    untouched(stage, "a", &calm).await;
}

/// Row 39.
pub async fn a_crowd_of_other_peoples_objects_costs_nothing(stage: &Simulated) {
    begin(stage).await;
    let [_, w2, _] = three(stage);
    stage.run(&Wanted::named("a")).await;
    let before = stage.tape.figures().requests;
    stage.sleep(Duration::from_mins(5)).await;
    let at_rest = stage.tape.figures().requests - before;
    let secrets: Api<Secret> = Api::namespaced(stage.person(&w2), DATABASES);
    let services = super::tools::api::<k8s_openapi::api::core::v1::Service>(stage, &w2);
    for number in 0..1_000 {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": format!("s{number}") },
            "data": { "blob": "A".repeat(1_000) } });
        let secret: Secret = serde_json::from_value(secret).expect("a Secret");
        done(stage, "a Secret is made", async || secrets.create(&PostParams::default(), &secret).await).await;
        let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": format!("s{number}"),
            "labels": { "app.kubernetes.io/managed-by": "helm", "app.kubernetes.io/name": "etcd" } },
            "spec": { "clusterIP": "None", "selector": { "app": "crowd" }, "ports": [{ "port": 80 }] } });
        let service = serde_json::from_value(service).expect("a Service");
        done(stage, "a Service is made", async || services.create(&PostParams::default(), &service).await).await;
    }
    let before = stage.tape.figures().requests;
    stage.sleep(Duration::from_mins(5)).await;
    let in_the_crowd = stage.tape.figures().requests - before;
    assert!(in_the_crowd <= at_rest + 20, "{in_the_crowd} requests in five minutes, {at_rest} before");
    stage.crash(crate::lives::Replica(0)).await;
    stage.run(&Wanted::named("b")).await;
}
