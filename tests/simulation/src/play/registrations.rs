//! What people do to registrations, and to the Secrets that they lead to.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::act::tried;
use crate::{
    entropy,
    kubeconfigs::{Certificate, Flaw, by_certificate, kubeconfig},
    lives::NAMESPACE,
    script::Act,
    stage::{
        Stage,
        people::{People, registration},
        simulated::{Simulated, other},
    },
    tape::Site,
};

/// How soon after new credentials the former ones end.
const OVERLAP: Duration = Duration::from_secs(5);

/// Carries out one, and undoes it when it has lasted.
pub(super) async fn perform(stage: &Simulated, act: &Act, lasts: Duration) {
    match act {
        Act::Unregister(name) => {
            unregister(stage, name, lasts).await;
            stage.register(&Site::from(name.as_str())).await;
        }
        Act::Mistake(name) => mistake(stage, name, lasts).await,
        Act::Twin(name) => twin(stage, name, lasts).await,
        Act::Home => stage.register_as(&stage.master(), "home").await,
        Act::Mark(name) => {
            let clusters = stage.registrations();
            let mark = |on| Patch::Merge(json!({ "spec": { "unavailable": on } }));
            let params = PatchParams::default();
            tried(stage, async || clusters.patch(name, &params, &mark(json!(true))).await).await;
            stage.sleep(lasts).await;
            tried(stage, async || clusters.patch(name, &params, &mark(json!(null))).await).await;
        }
        act => credentials(stage, act, lasts).await,
    }
}

/// Deletes a registration, and waits at least so long until it is gone.
async fn unregister(stage: &Simulated, name: &str, lasts: Duration) {
    let clusters = stage.registrations();
    tried(stage, async || clusters.delete(name, &DeleteParams::default()).await).await;
    stage.sleep(lasts).await;
    // What is owed there would be nobody's any more: even a person without patience waits for that.
    for _ in 0..60 {
        let found = clusters.get_opt(name).await.ok().flatten();
        if found.and_then(|cluster| cluster.status).is_none_or(|status| status.debts.is_empty()) {
            break;
        }
        stage.sleep(Duration::from_secs(5)).await;
    }
    // One that is in use is kept; a person without patience takes off what keeps it.
    let off = json!({ "metadata": { "finalizers": null } });
    let params = PatchParams::default();
    tried(stage, async || clusters.patch(name, &params, &Patch::Merge(&off)).await).await;
}

/// Registers another cluster by a worker's name. The databases have their members by then: what is placed by that name
/// meanwhile belongs where it leads to.
async fn mistake(stage: &Simulated, name: &str, lasts: Duration) {
    let placed = async || {
        let all = stage.databases().list(&ListParams::default()).await;
        all.is_ok_and(|all| all.iter().all(|database| database.status.as_ref().is_some_and(|s| s.atoll.is_some())))
    };
    if !soon(stage, placed).await {
        return;
    }
    unregister(stage, name, Duration::from_secs(1)).await;
    stage.put_kubeconfig(name, &kubeconfig(&other(name), &stage.token(name))).await;
    let (clusters, wrong) = (stage.registrations(), registration(name));
    tried(stage, async || clusters.create(&PostParams::default(), &wrong).await).await;
    stage.sleep(lasts).await;
    unregister(stage, name, Duration::from_secs(1)).await;
    mend(stage, name).await;
    stage.register(&Site::from(name)).await;
}

/// Registers a worker once more. Of two names the first one is right, once the controller knows it.
async fn twin(stage: &Simulated, name: &str, lasts: Duration) {
    if !soon(stage, async || is_known(stage, name).await).await {
        return;
    }
    let twin = format!("{name}-twin");
    stage.register_as(&Site::from(name), &twin).await;
    stage.sleep(lasts).await;
    let clusters = stage.registrations();
    tried(stage, async || clusters.delete(&twin, &DeleteParams::default()).await).await;
}

/// Whether the controller has written down which cluster that is.
async fn is_known(stage: &Simulated, name: &str) -> bool {
    let found = stage.registrations().get_opt(name).await.ok().flatten();
    found.and_then(|cluster| cluster.status).is_some_and(|status| status.identity.is_some())
}

/// Whether something becomes so within a minute.
async fn soon(stage: &Simulated, so: impl AsyncFn() -> bool) -> bool {
    for _ in 0..60 {
        if so().await {
            return true;
        }
        stage.sleep(Duration::from_secs(1)).await;
    }
    false
}

/// What people do to Secrets.
async fn credentials(stage: &Simulated, act: &Act, lasts: Duration) {
    match act {
        Act::Rotate(name) => {
            let former = stage.token(name);
            stage.renew_token(name);
            mend(stage, name).await;
            stage.sleep(OVERLAP).await;
            if former != stage.token(name) {
                stage.server(name).revoke(&former);
            }
        }
        Act::Certify(name) => {
            let (token, now) = (stage.token(name), entropy::wall());
            let certificate = Certificate::new(name, now - Duration::from_mins(1), now + lasts);
            stage.accept_certificate(name, &certificate);
            stage.put_kubeconfig(name, &by_certificate(name, &certificate)).await;
            stage.sleep(OVERLAP).await;
            stage.server(name).revoke(&token);
            stage.sleep(lasts).await;
            stage.renew_token(name);
            mend(stage, name).await;
        }
        Act::SpoilSecret(name, flaw) => {
            // What leads elsewhere before anybody knows where it should would be right.
            if *flaw == Flaw::Elsewhere && !soon(stage, async || is_known(stage, name).await).await {
                return;
            }
            let sites = stage.workers();
            let neighbour = sites.iter().cycle().skip_while(|site| &***site != name).nth(1).expect("a worker");
            let site = Site::from(name.as_str());
            let flawed = flaw.put_into(&site, &stage.kubeconfig(&site), &stage.kubeconfig(neighbour));
            stage.put_kubeconfig(name, &flawed).await;
            stage.sleep(lasts).await;
            mend(stage, name).await;
        }
        Act::DropSecret(name) => {
            let secrets: Api<Secret> = Api::namespaced(stage.person(&stage.master()), NAMESPACE);
            let delete = DeleteParams::default();
            tried(stage, async || secrets.delete(&format!("kubeconfig-{name}"), &delete).await).await;
            stage.sleep(lasts).await;
            mend(stage, name).await;
        }
        Act::Revoke(name) => {
            stage.server(name).revoke(&stage.token(name));
            stage.sleep(lasts).await;
            stage.accept_token(name);
        }
        other => stage.tape.violate("script", format!("nobody knows how to carry out {other:?}")),
    }
}

/// Puts a good kubeconfig into a worker's Secret: the present one, also if it was renewed while that took its time.
async fn mend(stage: &Simulated, name: &str) {
    let site = Site::from(name);
    loop {
        let good = stage.kubeconfig(&site);
        stage.put_kubeconfig(name, &good).await;
        if good == stage.kubeconfig(&site) {
            return;
        }
    }
}
