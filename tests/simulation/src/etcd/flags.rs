//! What a process is started with: etcd's flags and variables, refused where etcd refuses them.

use std::{collections::BTreeMap, time::Duration};

use super::{Exit, version::Version};

/// What the model acts upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) name: String,
    /// The founders, or whom to ask about the cluster: peer URLs by name.
    pub(super) initial: BTreeMap<String, Vec<String>>,
    pub(super) state: InitialState,
    pub(super) token: String,
    pub(super) own_peer_urls: Vec<String>,
    pub(super) client_urls: Vec<String>,
    pub(super) peer_ports: Vec<u16>,
    pub(super) client_ports: Vec<u16>,
    pub(super) metrics_ports: Vec<u16>,
    pub(super) election: Duration,
    pub(super) strict_reconfiguration: bool,
    pub(super) corrupt_check: bool,
    /// A data directory that is there is started without all others that it knows.
    pub(super) alone: bool,
}

/// What a process with an empty data directory takes the cluster for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InitialState {
    New,
    Existing,
}

/// What the model knows and acts upon.
const KNOWN: [&str; 15] = [
    "name",
    "data-dir",
    "initial-cluster",
    "initial-cluster-state",
    "initial-cluster-token",
    "initial-advertise-peer-urls",
    "advertise-client-urls",
    "listen-peer-urls",
    "listen-client-urls",
    "listen-metrics-urls",
    "election-timeout",
    "strict-reconfig-check",
    "experimental-initial-corrupt-check",
    "feature-gates",
    "force-new-cluster",
];

/// What the model knows and has no part in: nothing of it changes who founds, votes or acknowledges.
const IDLE: [&str; 18] = [
    "auto-compaction-mode",
    "auto-compaction-retention",
    "enable-pprof",
    "experimental-compact-hash-check-enabled",
    "experimental-corrupt-check-time",
    "experimental-peer-skip-client-san-verification",
    "experimental-watch-progress-notify-interval",
    "heartbeat-interval",
    "log-format",
    "log-level",
    "logger",
    "log-outputs",
    "max-request-bytes",
    "max-snapshots",
    "max-wals",
    "metrics",
    "quota-backend-bytes",
    "snapshot-count",
];

impl Flags {
    /// Reads arguments and variables.
    ///
    /// # Errors
    /// How the process ends that etcd would not start.
    pub(super) fn read(args: &[String], env: &BTreeMap<String, String>, version: Version) -> Result<Self, Exit> {
        let given = given(args, env, version)?;
        let text = |flag: &str, default: &str| given.get(flag).cloned().unwrap_or_else(|| default.to_owned());
        let urls = |flag: &str, default: &str| list(&text(flag, default));
        let name = text("name", "default");
        let own_peer_urls = urls("initial-advertise-peer-urls", "http://localhost:2380");
        let default_cluster: Vec<_> = own_peer_urls.iter().map(|url| format!("{name}={url}")).collect();
        let state = match text("initial-cluster-state", "new").as_str() {
            "new" => InitialState::New,
            "existing" => InitialState::Existing,
            other => return Err(Exit::usage(format!("invalid value {other:?} for --initial-cluster-state"))),
        };
        let election = text("election-timeout", "1000");
        let election =
            election.parse().map_err(|_| Exit::usage(format!("invalid value {election:?} for --election-timeout")))?;
        let gates = text("feature-gates", "");
        Ok(Self {
            initial: founders(&text("initial-cluster", &default_cluster.join(",")))?,
            state,
            token: text("initial-cluster-token", "etcd-cluster"),
            peer_ports: ports(&urls("listen-peer-urls", "http://localhost:2380")),
            client_ports: ports(&urls("listen-client-urls", "http://localhost:2379")),
            metrics_ports: ports(&urls("listen-metrics-urls", "")),
            client_urls: urls("advertise-client-urls", "http://localhost:2379"),
            election: Duration::from_millis(election),
            strict_reconfiguration: text("strict-reconfig-check", "true") != "false",
            corrupt_check: text("experimental-initial-corrupt-check", "false") == "true"
                || list(&gates).iter().any(|gate| gate == "InitialCorruptCheck=true"),
            alone: given.get("force-new-cluster").is_some_and(|value| value != "false"),
            name,
            own_peer_urls,
        })
    }
}

/// Flags by name, from arguments and variables.
fn given(args: &[String], env: &BTreeMap<String, String>, version: Version) -> Result<BTreeMap<String, String>, Exit> {
    let known =
        |flag: &str| (KNOWN.contains(&flag) || IDLE.contains(&flag)) && (flag != "feature-gates" || version.is_3_6());
    let mut given = BTreeMap::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let Some(flag) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else {
            return Err(Exit::usage(format!("'{arg}' is not a valid flag")));
        };
        let (flag, value) = match flag.split_once('=') {
            Some((flag, value)) => (flag, value.to_owned()),
            None if is_switch(flag) => (flag, "true".to_owned()),
            None => (flag, args.next().cloned().unwrap_or_default()),
        };
        if !known(flag) {
            return Err(Exit::usage(format!("flag provided but not defined: -{flag}")));
        }
        given.insert(flag.to_owned(), value);
    }
    for (variable, value) in env {
        let Some(flag) = variable.strip_prefix("ETCD_") else { continue };
        let flag = flag.to_lowercase().replace('_', "-");
        if !known(&flag) {
            continue;
        }
        if given.contains_key(&flag) {
            return Err(Exit::fatal(format!(
                "conflicting environment variable {variable} is shadowed by corresponding command-line flag"
            )));
        }
        given.insert(flag, value.clone());
    }
    Ok(given)
}

fn is_switch(flag: &str) -> bool {
    ["force-new-cluster", "strict-reconfig-check", "experimental-initial-corrupt-check", "enable-pprof"].contains(&flag)
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn founders(text: &str) -> Result<BTreeMap<String, Vec<String>>, Exit> {
    let mut founders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for founder in list(text) {
        let Some((name, url)) = founder.split_once('=').filter(|(_, url)| authority(url).is_some()) else {
            return Err(Exit::fatal(format!("error setting up initial cluster: {founder:?} is not NAME=URL")));
        };
        let urls = founders.entry(name.to_owned()).or_default();
        urls.push(url.to_owned());
        urls.sort();
    }
    Ok(founders)
}

/// The `host:port` of a URL, if etcd would take it.
pub(super) fn authority(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let (host, port) = rest.rsplit_once(':')?;
    (!host.is_empty() && !rest.contains('/') && port.parse::<u16>().is_ok()).then_some(rest)
}

fn ports(urls: &[String]) -> Vec<u16> {
    urls.iter().filter_map(|url| authority(url)?.rsplit_once(':')?.1.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWEST: Version = Version(3, 5, 35);

    fn read(args: &[&str], env: &[(&str, &str)]) -> Result<Flags, Exit> {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        Flags::read(&args, &env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), NEWEST)
    }

    #[test]
    fn what_the_product_passes_is_understood() {
        let flags = read(
            &[
                "--name=etcd-1",
                "--data-dir=/var/run/etcd/default.etcd",
                "--listen-peer-urls=http://0.0.0.0:2380",
                "--listen-client-urls=http://0.0.0.0:2379",
                "--listen-metrics-urls=http://0.0.0.0:2381",
                "--initial-advertise-peer-urls=http://etcd-1.ns.svc:2380",
                "--advertise-client-urls=http://etcd-1.ns.svc:2379",
                "--initial-cluster=etcd-0=http://etcd-0.ns.svc:2380,etcd-1=http://etcd-1.ns.svc:2380",
                "--initial-cluster-state=existing",
                "--initial-cluster-token=uid.1.pvc",
                "--experimental-initial-corrupt-check=true",
            ],
            &[],
        )
        .expect("flags");
        assert_eq!(
            (flags.name.as_str(), flags.token.as_str(), flags.state),
            ("etcd-1", "uid.1.pvc", InitialState::Existing)
        );
        assert_eq!((flags.peer_ports, flags.client_ports, flags.metrics_ports), (vec![2380], vec![2379], vec![2381]));
        assert_eq!(flags.initial["etcd-0"], ["http://etcd-0.ns.svc:2380"]);
        assert!(flags.corrupt_check && flags.strict_reconfiguration);
    }

    #[test]
    fn what_a_real_etcd_does_not_start_with_ends_the_process() {
        for (args, env, code, words) in [
            (&["--feature-gates=InitialCorruptCheck=true"][..], &[][..], 2, "feature-gates"),
            (&["--no-such-flag"], &[], 2, "no-such-flag"),
            (&["--initial-cluster-state=old"], &[], 2, "old"),
            (&["--initial-cluster=a"], &[], 1, "NAME=URL"),
            (&["--data-dir=/a"], &[("ETCD_DATA_DIR", "/b")], 1, "shadowed"),
        ] {
            let exit = read(args, env).expect_err("it ends");
            assert_eq!(exit.code, code, "{args:?}");
            assert!(exit.words.contains(words), "{}", exit.words);
        }
    }

    #[test]
    fn a_variable_stands_for_a_flag_that_is_not_given() {
        assert_eq!(read(&[], &[("ETCD_NAME", "a"), ("ETCD_UNKNOWN", "b")]).expect("flags").name, "a");
    }
}
