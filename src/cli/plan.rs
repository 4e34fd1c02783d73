//! `atoll plan FILE`: compile manifests and print what would be made where, with no cluster.
//!
//! Workers are those that the manifest names, or `worker-1…n`. What only a cluster can give (addresses, UIDs) stands in
//! angle brackets.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use serde::Deserialize;
use serde_json::Value;

use super::table::table;
use crate::{
    dialect::{Dialect, Settings, k8scluster::K8sCluster, kubeblocks::Cluster},
    engine::{Start, etcd::versions::Mirror},
    plan::{
        act::Object,
        address::Address,
        database::{Database, PlacementRequest},
        found::identify,
        name::{Uid, WorkerName},
        network::{Exposure, Network, Spread},
        record::{Member, Record, Recorded},
        render::{self, Owner},
    },
};

/// What is to be planned.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The manifests; - is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the objects whole, as YAML, instead of a table.
    #[arg(long)]
    yaml: bool,
    /// A registry that stands in for another. May be repeated.
    #[arg(long, value_name = "FROM=TO")]
    registry_mirror: Vec<String>,
}

/// Plans every manifest in the file.
pub fn run(args: &Args) -> Result<ExitCode, String> {
    let name = args.file.display();
    let text = if args.file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(&args.file)
    }
    .map_err(|error| format!("{name}: {error}"))?;
    let mirrors = args.registry_mirror.iter().map(|rule| rule.parse::<Mirror>());
    let settings = Settings { mirrors: mirrors.collect::<Result<_, _>>().map_err(|error| error.to_string())? };

    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| format!("{name} is no valid YAML: {error}"))?;
    if documents.is_empty() {
        return Err(format!("{name} holds no manifest"));
    }
    let mut problems = false;
    for document in documents {
        let (told, fine) = one(document, &settings, args.yaml)?;
        print!("{told}");
        problems |= !fine;
    }
    Ok(if problems { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn one(document: Value, settings: &Settings, yaml: bool) -> Result<(String, bool), String> {
    let field = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match (field("apiVersion").as_str(), field("kind").as_str()) {
        ("apps.kubeblocks.io/v1alpha1", "Cluster") => {
            let mut cluster = Cluster::deserialize(&document).map_err(|error| format!("this Cluster: {error}"))?;
            // Everything is named after what the API server will call it.
            if cluster.metadata.name.is_none() {
                let stem = cluster.metadata.generate_name.clone().unwrap_or_else(|| "unnamed".to_owned());
                cluster.metadata.name = Some(format!("{stem}xxxxx"));
            }
            cluster.metadata.uid = Some("<uid>".to_owned());
            Ok(database(&cluster.compile(settings), yaml))
        }
        ("k8s.oceanbase.com/v1alpha1", "K8sCluster") => {
            let cluster = K8sCluster::deserialize(&document).map_err(|error| format!("this K8sCluster: {error}"))?;
            let name = cluster.metadata.name.unwrap_or_default();
            Ok((format!("K8sCluster {name}: registers a worker; nothing is made in it before a database asks\n"), true))
        }
        (version, kind) => Ok((format!("{version} {kind}: not Atoll's, left alone\n"), true)),
    }
}

fn database(database: &Database, yaml: bool) -> (String, bool) {
    let id = &database.id;
    let mut text = format!("{} {}/{}\n", id.kind.label(), id.namespace, id.name);
    for problem in &database.problems {
        text += &format!("  cannot be served: {} ({})\n", problem.message, problem.reason);
    }
    for field in &database.ignored {
        text += &format!("  does nothing: {field}\n");
    }
    if !database.problems.is_empty() {
        return (text, false);
    }
    let engine = &database.engine;
    text += &format!("  runs {} {} from {}\n", engine.kind.as_str(), engine.version.as_str(), engine.image);
    let master = Uid::from("<master>");
    let owner = Owner { master: &master, database };
    let record = Recorded::from_status(imagined(database));
    let objects = objects(owner, &record);
    if yaml {
        for (worker, object) in &objects {
            text += &format!("---\n# in worker {worker}\n{}", to_yaml(object));
        }
        return (text, true);
    }
    let members: Vec<_> = record
        .members
        .iter()
        .map(|member| [member.name.to_string(), member.worker.to_string(), member.peer.clone().unwrap_or_default()])
        .collect();
    text += &indent(&table(["MEMBER", "WORKER", "PEERS REACH IT AT"], &members));
    let rows: Vec<_> = objects.iter().map(|(worker, object)| row(worker, object)).collect();
    text += "\n";
    text += &indent(&table(["WORKER", "OBJECT", "NAME"], &rows));
    (text, true)
}

/// The record that the database would have, as far as it can be known without a cluster.
fn imagined(database: &Database) -> Record {
    let workers: Vec<_> = match &database.placement {
        PlacementRequest::Listed(words) => words.iter().map(|word| WorkerName::from(word.as_str())).collect(),
        PlacementRequest::Spread => (1..=database.replicas).map(|n| WorkerName::new(format!("worker-{n}"))).collect(),
    };
    let mut record = Record::placed(
        database,
        1,
        (0..database.replicas)
            .map(|ordinal| {
                Member::placed(
                    database.names.member(ordinal),
                    ordinal,
                    workers[ordinal as usize % workers.len()].clone(),
                )
            })
            .collect(),
    );
    let addresses: Vec<_> = record.members.iter().map(|member| address(database, member)).collect();
    let volumes: Vec<_> = record.members.iter().map(|m| Uid::new(format!("<volume of {}>", m.name))).collect();
    let workers: Vec<_> = record.members.iter().map(|m| Uid::new(format!("<identity of {}>", m.worker))).collect();
    identify(&database.id.uid, database, &mut record, 1, &addresses, &workers, &volumes);
    record
}

fn address(database: &Database, member: &Member) -> Address {
    let ports = database.engine.kind.knowledge().ports();
    let host = match &database.network {
        Network::PodNames => format!(
            "{}.{}.{}.svc.<domain of {}>",
            member.name,
            database.names.headless(),
            member.home(&database.id),
            member.worker
        ),
        Network::MemberServices(services) => {
            let service = database.names.member_service(&services.name, member.ordinal);
            match (services.exposure, services.spread) {
                (Exposure::ClusterIp, Spread::Mirror) => format!("{service}.{}.svc", member.home(&database.id)),
                (Exposure::ClusterIp, Spread::Unique) => format!("<cluster IP of {service} in {}>", member.worker),
                (Exposure::LoadBalancer, _) => format!("<load balancer of {service} in {}>", member.worker),
                (Exposure::NodePort, _) => {
                    let node = format!("<node of {} in {}>", member.name, member.worker);
                    let port = |name: &str| format!("{node}:<node port {name} of {service}>");
                    return Address { peer: port(ports.peer.name), client: port(ports.client.name) };
                }
            }
        }
    };
    Address { peer: format!("{host}:{}", ports.peer.number), client: format!("{host}:{}", ports.client.number) }
}

/// Everything that would be made, worker by worker.
fn objects(owner: Owner, record: &Recorded) -> Vec<(WorkerName, Object)> {
    let mut by_worker: BTreeMap<WorkerName, Vec<Object>> = BTreeMap::new();
    for service in render::services(owner, record) {
        by_worker.entry(service.worker).or_default().push(Object::Service(Box::new(service.service)));
    }
    for member in &record.members {
        let here = by_worker.entry(member.worker.clone()).or_default();
        let volumes = owner.database.volumes.iter();
        here.extend(volumes.map(|volume| Object::Claim(Box::new(render::claim(owner, record, member, volume)))));
        let none = Uid::from("");
        let volume = member.volume.as_ref().unwrap_or(&none);
        here.push(Object::Pod(Box::new(render::pod(owner, record, member, volume, Start::Found))));
    }
    by_worker.into_iter().flat_map(|(worker, objects)| objects.into_iter().map(move |o| (worker.clone(), o))).collect()
}

fn row(worker: &WorkerName, object: &Object) -> [String; 3] {
    let name = object.metadata().name.clone().unwrap_or_default();
    [worker.to_string(), object.kind().as_str().to_owned(), name]
}

fn to_yaml(object: &Object) -> String {
    let yaml = match object {
        Object::Service(service) => serde_saphyr::to_string(service),
        Object::Claim(claim) => serde_saphyr::to_string(claim),
        Object::Pod(pod) => serde_saphyr::to_string(pod),
        Object::Job(job) => serde_saphyr::to_string(job),
    };
    yaml.unwrap_or_else(|error| format!("# this object cannot be written as YAML: {error}\n"))
}

fn indent(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}
