//! Islands: all clusters have the same pod and service addresses, and only nodes and load balancers are reached from
//! outside. What serves members here serves them between clouds.

use std::net::Ipv4Addr;
use std::time::Duration;

use e2e::database::Member;
use e2e::etcd::Etcd;
use e2e::runner::{Case, always, full};
use e2e::{Database, Manifest, Outcome, World, ensure, programs, until};
use serde_json::json;

const UP: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(20);
const HOLD: &str = "lab.atoll.dev/hold-address";

pub fn cases() -> Vec<Case> {
    vec![
        always(
            "the first manifest of document 001, byte for byte, is healthy by load balancers, and called private",
            cloud,
        ),
        always(
            "the second manifest of document 001, byte for byte, is healthy by load balancers, and called exposed",
            cross_cloud,
        ),
        always("a load balancer address that is withheld is waited for by the name of its service", withheld),
        always("members behind node ports are healthy", node_ports),
        full("pod names that lead nowhere between islands are no database that runs", no_way),
    ]
}

fn ingress(world: &World, member: &Member) -> Result<(), String> {
    let address: Ipv4Addr =
        member.peer.trim_end_matches(":2380").parse().map_err(|_| "it is no IP with port 2380".to_owned())?;
    let cluster = world.lab().cluster(&member.worker).map_err(|error| error.to_string())?;
    let range = cluster.lb_cidr.trim_end_matches("0/24");
    let fits = address.to_string().starts_with(range);
    if fits { Ok(()) } else { Err(format!("it should be in {}", cluster.lb_cidr)) }
}

fn by_load_balancer<'w>(world: &'w World, example: &str, annotations: &[(&str, &str)]) -> Outcome<Database<'w>> {
    let database = world.create(&programs::example(example)?)?;
    database.wait_until_running(UP)?;
    database.one_attempt()?;
    let etcd = Etcd::of(&database)?;
    etcd.healthy(|member| ingress(world, member))?;
    for member in &etcd.members {
        let ordinal = member.name.rsplit('-').next().unwrap_or_default();
        let path = format!("{}/{}-etcd-peer-{ordinal}", database.objects_path("services"), database.name);
        let service = world.rest(&member.worker)?.get(&path)?;
        for (key, value) in annotations {
            let passed = &service["metadata"]["annotations"][*key];
            ensure!(passed == value, "annotation {key} of {path} in {} is {passed}, not {value:?}", member.worker);
        }
    }
    // The master reaches neither pods nor cluster addresses here: the members answer by their load balancers.
    database.wait_for_roles(SOON)?;
    database.wait_for_condition("MembersReachable", "True", "Service", SOON)?;
    Ok(database)
}

fn cloud(world: &World) -> Outcome {
    let alibaba = ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", "intranet");
    let database = by_load_balancer(world, "kubeblocks-etcd/cloud.yaml", &[alibaba])?;
    let told = database.condition("ExposedWithoutTLS")?;
    ensure!(told.is_none(), "it asks for private load balancers: {told:?}");
    Ok(())
}

fn cross_cloud(world: &World) -> Outcome {
    let annotations = [
        ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", "internet"),
        ("service.beta.kubernetes.io/volcengine-loadbalancer-subnet-id", "<subnet-id>"),
        ("service.beta.kubernetes.io/volcengine-loadbalancer-address-type", "PUBLIC"),
    ];
    let database = by_load_balancer(world, "kubeblocks-etcd/cross-cloud.yaml", &annotations)?;
    let told = database.condition("ExposedWithoutTLS")?;
    ensure!(told.as_ref().is_some_and(|told| told.status == "True"), "public load balancers without TLS: {told:?}");
    Ok(())
}

fn withheld(world: &World) -> Outcome {
    let manifest = Manifest::new().placed("k8s-1,k8s-2,k8s-3").service("LoadBalancer", &json!({ HOLD: "true" }));
    let database = world.create(&manifest.text())?;
    let told = database.wait_for_condition("AddressesKnown", "False", "WaitingForLoadBalancer", SOON)?;
    let named = |ordinal: u32| format!("{}-etcd-peer-{ordinal}", database.name);
    ensure!(
        told.message.contains(&named(0)) && told.message.contains("k8s-1"),
        "it names the service and its worker: {told:?}"
    );
    let release = |ordinal: u32, worker: &str| {
        let path = format!("{}/{}", database.objects_path("services"), named(ordinal));
        world.rest(worker)?.patch(&path, &json!({ "metadata": { "annotations": { HOLD: null } } })).map(drop)
    };
    release(0, "k8s-1")?;
    release(1, "k8s-2")?;
    until("the last service is not named", SOON, || {
        let told = database.condition("AddressesKnown").map_err(|trouble| trouble.0)?;
        let fits = told.as_ref().is_some_and(|told| told.message.contains(&named(2)) && told.message.contains("k8s-3"));
        if fits { Ok(()) } else { Err(format!("{told:?}")) }
    })?;
    let pods = database.everything()?.iter().filter(|object| object.contains("/pods/")).count();
    ensure!(pods == 0, "no pod is made before every address is known: {pods}");
    release(2, "k8s-3")?;
    database.wait_until_running(UP)?;
    Etcd::of(&database)?.healthy(|member| ingress(world, member))
}

fn node_ports(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").service("NodePort", &json!({})).text())?;
    database.wait_until_running(UP)?;
    let etcd = Etcd::of(&database)?;
    etcd.healthy(|member| {
        let cluster = world.lab().cluster(&member.worker).map_err(|error| error.to_string())?;
        let (host, port) = member.peer.split_once(':').unwrap_or_default();
        let port: u16 = port.parse().unwrap_or_default();
        let fits = host == cluster.ip.to_string() && (30_000..32_768).contains(&port);
        if fits { Ok(()) } else { Err(format!("it should be a node port of {}", cluster.ip)) }
    })?;
    database.wait_for_roles(SOON)?;
    let left: Vec<_> = database.everything()?.into_iter().filter(|object| object.ends_with("-address")).collect();
    ensure!(left.is_empty(), "the placeholders that found out the nodes are gone: {left:?}");
    Ok(())
}

fn no_way(world: &World) -> Outcome {
    let database = world.create(&Manifest::new().text())?;
    std::thread::sleep(Duration::from_secs(15));
    let phase = database.phase()?;
    ensure!(phase == "Creating", "no two members reach each other: {phase}");
    database.wait_for_condition("Ready", "False", "", SOON)?;
    Ok(())
}
