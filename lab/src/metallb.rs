//! MetalLB as document 001 sets it up: its real controller gives the workers' load balancer Services their addresses.
//!
//! Only the controller. Its speaker, which announces an address in the local network, is not needed: the lab routes
//! the whole range to the cluster's first node, where kube-proxy takes the traffic.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::addons::AddressRange;
use crate::api::Api;
use crate::control_plane::kubeconfig_path;
use crate::error::{Context as _, Error, Result, read};
use crate::gobuild::{METALLB_CONTROLLER, Programs};
use crate::model::Cluster;
use crate::process::Launch;

const NAMESPACE: &str = "metallb-system";
/// What document 001 has people apply; only the addresses are to be replaced.
const DOCUMENT: &str = include_str!("metallb.yaml");
/// As the document prints them.
const ADDRESSES: &str = "x.x.x.x/x";
const POOLS: &str = "/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools";
/// A definition is served a moment after it was made.
const SERVED_LIMIT: Duration = Duration::from_secs(30);

/// Makes its namespace, its definitions and the document's two objects.
pub(crate) async fn install(api: &Api, programs: &Programs, cluster: &Cluster) -> Result<()> {
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    api.apply(&format!("/api/v1/namespaces/{NAMESPACE}"), &namespace).await?;
    let folder = programs.carried(&METALLB_CONTROLLER);
    for definition in definitions(&folder)? {
        let name = definition["metadata"]["name"].as_str().unwrap_or_default();
        api.apply(&format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"), &definition).await?;
    }
    for object in objects(cluster)? {
        let path = path_of(&object);
        let apply = async |api: &Api| api.apply(&path, &object).await.map_err(|error| error.to_string());
        api.wait("MetalLB's API", SERVED_LIMIT, folder.clone(), apply).await?;
    }
    Ok(())
}

/// Its process.
pub(crate) fn launch(state: &Path, programs: &Programs, cluster: &Cluster) -> Launch {
    let kubeconfig = kubeconfig_path(state, &cluster.name, "metallb");
    let args = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--namespace={NAMESPACE}"),
        // The API server could not reach a webhook: it runs on the node, but in no pod and behind no Service.
        "--webhook-mode=disabled".to_owned(),
        "--disable-cert-rotation".to_owned(),
    ];
    Launch {
        name: "metallb".to_owned(),
        netns: cluster.places[0].netns.clone(),
        program: programs.path(&METALLB_CONTROLLER),
        args,
        env: BTreeMap::new(),
    }
}

/// Whether the controller has read the pool: then it has counted its addresses.
pub(crate) async fn ready(api: &Api) -> Result<(), String> {
    let pools = api.get(POOLS).await.map_err(|error| error.to_string())?;
    let counted = pools["items"][0]["status"]["availableIPv4"].as_u64().is_some_and(|count| count > 0);
    if counted { Ok(()) } else { Err("its controller has not counted the addresses yet".to_owned()) }
}

/// What the module ships, kept beside the program when it was built.
fn definitions(folder: &Path) -> Result<Vec<Value>> {
    let cannot = || format!("read MetalLB's definitions in {}", folder.display());
    let mut paths = Vec::new();
    for entry in folder.read_dir().or_cannot(cannot)? {
        paths.push(entry.or_cannot(cannot)?.path());
    }
    paths.sort();
    paths.iter().map(|path| parse(&read(path)?, &path.display().to_string())).collect()
}

/// The document's objects, with this cluster's addresses.
fn objects(cluster: &Cluster) -> Result<Vec<Value>> {
    let addresses = addresses(&cluster.lb_cidr)?;
    DOCUMENT.replace(ADDRESSES, &addresses).split("---\n").map(|text| parse(text, "document 001's pool")).collect()
}

/// Not the CIDR itself: of a CIDR, MetalLB gives away the first and the last address, too, unless the pool has a
/// field that the document does not print.
fn addresses(cidr: &str) -> Result<String> {
    let range: AddressRange = cidr.parse().map_err(|error| Error::Options(format!("load balancers: {error}")))?;
    let (first, last) = (range.usable().next(), range.usable().last());
    Ok(first.zip(last).map_or_else(|| cidr.to_owned(), |(first, last)| format!("{first}-{last}")))
}

fn parse(text: &str, what: &str) -> Result<Value> {
    serde_saphyr::from_str(text).map_err(|error| Error::Options(format!("{what} is no YAML: {error}")))
}

fn path_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let plural = text(&object["kind"]).to_lowercase() + "s";
    format!(
        "/apis/{}/namespaces/{NAMESPACE}/{plural}/{}",
        text(&object["apiVersion"]),
        text(&object["metadata"]["name"])
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::{Options, Topology};

    #[test]
    fn the_document_s_objects_get_the_cluster_s_addresses_and_nothing_else() {
        let lab = Topology::new(Options::default()).unwrap();
        let objects = objects(&lab.clusters[2]).unwrap();
        let meta = |name: &str| json!({ "name": name, "namespace": "metallb-system" });
        let version = "metallb.io/v1beta1";
        let pool = json!({ "apiVersion": version, "kind": "IPAddressPool", "metadata": meta("example"),
            "spec": { "addresses": ["10.93.2.1-10.93.2.254"] } });
        let advertisement = json!({ "apiVersion": version, "kind": "L2Advertisement", "metadata": meta("empty") });
        assert_eq!(objects, [pool, advertisement]);
        assert_eq!(path_of(&objects[0]), format!("{POOLS}/example"));
    }

    #[test]
    fn definitions_come_from_the_folder_that_the_module_carries() {
        let folder = tempfile::tempdir().unwrap();
        assert!(definitions(&folder.path().join("none")).unwrap_err().to_string().contains("MetalLB's definitions"));
        std::fs::write(folder.path().join("a.yaml"), "---\nkind: CustomResourceDefinition\nmetadata:\n  name: a.b\n")
            .unwrap();
        assert_eq!(definitions(folder.path()).unwrap()[0]["metadata"]["name"], "a.b");
    }
}
