//! What one etcd member runs.

use k8s_openapi::{
    api::core::v1::{Container, ContainerPort, EnvVar, HTTPGetAction, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{Etcd, versions};
use crate::{
    engine::{Knowledge, Start, Version},
    plan::record::{Member, Record},
};

/// Where the data volume is mounted, as the KubeBlocks add-on has it.
pub const VOLUME: &str = "/var/run/etcd";
/// The data directory on it. A directory below the mount, because etcd insists on its own permissions.
const DATA: &str = "/var/run/etcd/default.etcd";

/// Variables that a manifest may not set: each would have etcd found, forget or unlearn what the arguments say.
pub const FORBIDDEN_ENV: [&str; 8] = [
    "ETCD_CONFIG_FILE",
    "ETCD_DATA_DIR",
    "ETCD_DISCOVERY",
    "ETCD_DISCOVERY_SRV",
    "ETCD_FORCE_NEW_CLUSTER",
    "ETCD_INITIAL_CLUSTER_STATE",
    "ETCD_STRICT_RECONFIG_CHECK",
    "ETCD_UNSAFE_NO_FSYNC",
];

/// The URL under which a `host:port` is reached. Peers talk without TLS in this version.
pub fn url(address: &str) -> String {
    format!("http://{address}")
}

/// The `host:port` in such a URL.
pub fn address(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, address)| address)
}

/// The container of one member: everything that it must know is in its arguments, and all of it is from the record.
pub fn container(record: &Record, member: &Member, start: Start) -> Container {
    let ports = Etcd.ports();
    let everywhere = |port: u16| format!("http://0.0.0.0:{port}");
    let metrics = ports.others[0];
    let initial: Vec<_> =
        record.peers_of(member).filter_map(|(name, peer)| Some(format!("{name}={}", url(peer?)))).collect();
    let state = match start {
        Start::Found => "new",
        Start::Join | Start::Alone => "existing",
    };
    let release = versions::find(&Version::new(record.runs.version.as_str())).ok();
    let mut args = vec![
        format!("--name={}", member.name),
        format!("--data-dir={DATA}"),
        format!("--listen-peer-urls={}", everywhere(ports.peer.number)),
        format!("--listen-client-urls={}", everywhere(ports.client.number)),
        format!("--listen-metrics-urls={}", everywhere(metrics.number)),
        format!("--initial-advertise-peer-urls={}", url(member.peer.as_deref().unwrap_or_default())),
        format!("--advertise-client-urls={}", url(member.client.as_deref().unwrap_or_default())),
        format!("--initial-cluster={}", initial.join(",")),
        format!("--initial-cluster-state={state}"),
        format!(
            "--initial-cluster-token={}",
            record.identity().map(|identity| identity.token.as_str()).unwrap_or_default()
        ),
    ];
    if start == Start::Alone {
        args.push("--force-new-cluster".to_owned());
    }
    args.extend(release.iter().flat_map(|release| release.flags).map(|flag| (*flag).to_owned()));
    let probe = |path: &str| Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(metrics.number.into()),
            ..HTTPGetAction::default()
        }),
        ..Probe::default()
    };
    Container {
        name: "etcd".to_owned(),
        command: Some(vec!["/usr/local/bin/etcd".to_owned()]),
        args: Some(args),
        // Of a panic, why: a kubelet keeps two kilobytes of last words, which its stack would fill.
        env: Some(vec![EnvVar { value: Some("none".to_owned()), name: "GOTRACEBACK".to_owned(), value_from: None }]),
        ports: Some(
            [ports.client, ports.peer, metrics]
                .iter()
                .map(|port| ContainerPort {
                    name: Some(port.name.to_owned()),
                    container_port: port.number.into(),
                    ..ContainerPort::default()
                })
                .collect(),
        ),
        readiness_probe: release.map(|release| Probe {
            period_seconds: Some(2),
            timeout_seconds: Some(3),
            failure_threshold: Some(3),
            ..probe(release.probes.ready)
        }),
        // A log that is long takes long to read: until the member has started, nobody judges it.
        startup_probe: release.map(|release| Probe {
            period_seconds: Some(1),
            timeout_seconds: Some(5),
            failure_threshold: Some(1_800),
            ..probe(release.probes.live)
        }),
        // Slow to judge: a member that is late with its elections is not helped by a restart.
        liveness_probe: release.map(|release| Probe {
            period_seconds: Some(10),
            timeout_seconds: Some(5),
            failure_threshold: Some(6),
            ..probe(release.probes.live)
        }),
        ..Container::default()
    }
}
