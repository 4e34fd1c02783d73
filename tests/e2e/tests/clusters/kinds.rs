//! Whose the resource kinds are, and what happens to databases when one goes. These run last: they take kinds away.

use std::time::Duration;

use e2e::runner::{Case, always};
use e2e::{Manifest, Outcome, World, ensure, until};
use serde_json::{Value, json};

const UP: Duration = Duration::from_mins(1);
const KINDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const CLUSTERS: &str = "clusters.apps.kubeblocks.io";

pub fn cases() -> Vec<Case> {
    vec![
        always("kubectl delete crd holds every database and its data until it is confirmed", crd_deleted),
        always(
            "somebody else's CRD is left alone, atoll check says whose it is, and K8sClusters are served",
            foreign_crd,
        ),
    ]
}

fn kind(world: &World) -> Outcome<Option<Value>> {
    world.rest("master")?.find(&format!("{KINDS}/{CLUSTERS}"))
}

fn crd_deleted(world: &World) -> Outcome {
    let databases = [world.create(&Manifest::new().text())?, world.create(&Manifest::new().text())?];
    for database in &databases {
        database.wait_until_running(UP)?;
    }
    world.kubectl("master", &["delete", "crd", CLUSTERS, "--wait=false"], None)?;
    for database in &databases {
        let told = database.wait_for_condition("Deletable", "False", "KindBeingDeleted", Duration::from_secs(40))?;
        ensure!(told.message.contains(&database.uid), "the message says how to confirm: {told:?}");
        let pods = database.everything()?.iter().filter(|object| object.contains("/pods/")).count();
        ensure!(pods == 3, "{} has {pods} pods", database.name);
    }
    let (said, _) = world.atoll(&["check"])?;
    ensure!(said.contains("being deleted"), "atoll check says so: {said}");
    for database in &databases {
        database.annotate("atoll.dev/confirm-delete", Some(&database.uid))?;
    }
    until("the CRD is not gone", UP, || match kind(world).map_err(|trouble| trouble.0)? {
        None => Ok(()),
        Some(kind) => Err(kind["status"]["conditions"].to_string()),
    })?;
    for database in &databases {
        let everything = database.everything()?;
        ensure!(everything.is_empty(), "once confirmed, everything goes: {everything:?}");
    }
    reinstall(world)
}

/// As before, and served: a database comes up.
fn reinstall(world: &World) -> Outcome {
    until("the CRDs cannot be installed", UP, || world.install_kinds().map_err(|trouble| trouble.0))?;
    let database = world.create(&Manifest::new().text())?;
    database.wait_until_running(UP)
}

fn foreign_crd(world: &World) -> Outcome {
    let rest = world.rest("master")?;
    world.kubectl("master", &["delete", "crd", CLUSTERS, "--timeout=30s"], None)?;
    let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    let foreign = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": CLUSTERS, "annotations": { "meta.helm.sh/release-name": "kubeblocks" } },
        "spec": {
            "group": "apps.kubeblocks.io", "scope": "Namespaced",
            "names": { "plural": "clusters", "singular": "cluster", "kind": "Cluster", "listKind": "ClusterList" },
            "versions": [{ "name": "v1alpha1", "served": true, "storage": true, "schema": schema }],
        },
    });
    rest.create(KINDS, &foreign)?;
    let database = until("the foreign kind is not served", UP, || {
        world.create(&Manifest::new().text()).map_err(|trouble| trouble.0)
    })?;
    // A whole new life, so that nothing of before is remembered.
    world.operate(&[])?;
    let (said, code) = world.atoll(&["check"])?;
    ensure!(code == 2 && said.contains("Helm release kubeblocks"), "atoll check says whose it is ({code}): {said}");
    let installed = world.atoll(&["crds", "apply"])?;
    ensure!(installed.0.contains("left alone"), "atoll crds apply leaves it alone: {installed:?}");
    let path = e2e::world::WORKERS;
    let spare = json!({ "apiVersion": "k8s.oceanbase.com/v1alpha1", "kind": "K8sCluster",
        "metadata": { "name": "spare" }, "spec": { "name": "spare", "kubeConfig": "no kubeconfig" } });
    rest.create(path, &spare)?;
    until("a K8sCluster is not served", UP, || {
        let found = rest.get(&format!("{path}/spare")).map_err(|trouble| trouble.0)?;
        let ready = e2e::database::condition(&found, "Ready");
        if ready.is_some() { Ok(()) } else { Err("no condition".to_owned()) }
    })?;
    rest.delete(&format!("{path}/spare"))?;
    let resource = database.resource()?;
    ensure!(resource["status"].is_null() && resource["metadata"]["finalizers"].is_null(), "it was written: {resource}");
    let after = kind(world)?.unwrap_or_default();
    ensure!(
        after["metadata"]["generation"] == 1 && after["metadata"]["annotations"]["atoll.dev/owner"].is_null(),
        "the CRD was changed"
    );
    database.delete()?;
    world.kubectl("master", &["delete", "crd", CLUSTERS, "--timeout=30s"], None)?;
    reinstall(world)
}
