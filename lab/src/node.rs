//! containerd, kubelet, kube-proxy and CoreDNS of one node.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cache::Dirs;
use crate::certs;
use crate::control_plane::kubeconfig_path;
use crate::debs::Debs;
use crate::error::{Result, make_dir, write};
use crate::gobuild::{self, Programs};
use crate::images::PAUSE_IMAGE;
use crate::model::{Cluster, Network, Node, Place, Topology};
use crate::preflight::Machine;
use crate::process::Launch;

/// The name of the pods' network; also marks the files that CNI plugins leave behind.
pub(crate) const CNI_NAME: &str = "atoll-lab";

/// The files and processes of a node.
pub(crate) struct NodeSetup<'a> {
    pub(crate) dirs: &'a Dirs,
    pub(crate) programs: &'a Programs,
    pub(crate) debs: &'a Debs,
    pub(crate) machine: &'a Machine,
    pub(crate) cluster: &'a Cluster,
    pub(crate) place: &'a Place,
    pub(crate) node: &'a Node,
}

/// The socket of a node's containerd.
pub(crate) fn containerd_socket(dirs: &Dirs, place: &Place) -> PathBuf {
    dirs.run.join(&place.name).join("containerd.sock")
}

impl NodeSetup<'_> {
    fn dir(&self) -> PathBuf {
        self.dirs.state.join(&self.place.name)
    }

    fn launch(&self, name: &str, program: PathBuf, args: Vec<String>, env: BTreeMap<String, String>) -> Launch {
        Launch { name: name.to_owned(), netns: self.place.netns.clone(), program, args, env }
    }

    /// Writes what the processes read.
    pub(crate) fn write_files(&self) -> Result<()> {
        let dir = self.dir();
        for name in ["kubelet", "containerd", "cni/conf", "cni/run", "volume-plugins"] {
            make_dir(&dir.join(name))?;
        }
        make_dir(&self.dirs.run.join(&self.place.name))?;
        write(&dir.join("cni/conf/10-lab.conflist"), self.cni_config())?;
        write(&dir.join("containerd.toml"), self.containerd_config())?;
        write(&dir.join("kubelet.json"), self.kubelet_config())?;
        write(&dir.join("proxy.json"), self.proxy_config())
    }

    fn cni_config(&self) -> String {
        let dir = self.dir();
        json!({ "cniVersion": "0.4.0", "name": CNI_NAME, "plugins": [
            { "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
              "ipam": { "type": "host-local", "dataDir": dir.join("cni/run"),
                        "ranges": [[{ "subnet": self.node.pod_cidr }]], "routes": [{ "dst": "0.0.0.0/0" }] } },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ]})
        .to_string()
    }

    fn containerd_config(&self) -> String {
        let (dir, run) = (self.dir(), self.dirs.run.join(&self.place.name));
        format!(
            r#"version = 2
root = "{dir}/containerd"
state = "{run}/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Where CAP_SYS_RESOURCE is missing, runc cannot lower a score and dies.
  restrict_oom_score_adj = {restrict}
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{dir}/cni/conf"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        Root = "{run}/runc"
        SystemdCgroup = false
"#,
            dir = dir.display(),
            run = run.display(),
            socket = containerd_socket(self.dirs, self.place).display(),
            restrict = !self.machine.may_lower_oom_score,
            cni = self.debs.cni().display(),
            runc = self.debs.program("runc").display(),
        )
    }

    fn kubelet_config(&self) -> String {
        let dir = self.dir();
        let pki = certs::directory(&self.dirs.state, &self.cluster.name);
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "authentication": { "anonymous": { "enabled": false }, "webhook": { "enabled": false }, "x509": { "clientCAFile": pki.join("ca.crt") } },
            "authorization": { "mode": "AlwaysAllow" },
            "tlsCertFile": pki.join(format!("{}-serving.crt", self.node.name)),
            "tlsPrivateKeyFile": pki.join(format!("{}-serving.key", self.node.name)),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": crate::cgroups::path_of(&self.node.name),
            "failCgroupV1": false,
            "failSwapOn": false,
            "containerRuntimeEndpoint": format!("unix://{}", containerd_socket(self.dirs, self.place).display()),
            "podLogsDir": dir.join("podlogs"),
            "volumePluginDir": dir.join("volume-plugins"),
            "evictionHard": { "nodefs.available": "1%", "imagefs.available": "1%" },
            // No image may ever be collected, for none can be pulled again.
            "imageGCHighThresholdPercent": 100,
            "localStorageCapacityIsolation": false,
            "makeIPTablesUtilChains": false,
            "resolvConf": dir.join("resolv.conf"),
            "clusterDNS": [self.cluster.dns_ip],
            "clusterDomain": self.cluster.domain,
            "nodeStatusUpdateFrequency": "4s",
            "shutdownGracePeriod": "0s",
            "registerWithTaints": [],
        })
        .to_string()
    }

    fn proxy_config(&self) -> String {
        json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": self.cluster.pod_cidr,
            "clientConnection": { "kubeconfig": kubeconfig_path(&self.dirs.state, &self.cluster.name, "proxy") },
            "hostnameOverride": self.node.name,
            "iptables": { "minSyncPeriod": "200ms" },
            // The limits are the machine's, not ours to set.
            "conntrack": { "maxPerCore": 0, "min": 0 },
        })
        .to_string()
    }

    pub(crate) fn containerd(&self) -> Launch {
        let config = self.dir().join("containerd.toml").display().to_string();
        self.launch(
            "containerd",
            self.debs.program("containerd"),
            vec!["-c".to_owned(), config],
            self.debs.environment(),
        )
    }

    pub(crate) fn kubelet(&self) -> Launch {
        let dir = self.dir();
        let kubeconfig = kubeconfig_path(&self.dirs.state, &self.cluster.name, &self.node.name);
        let args = vec![
            format!("--config={}", dir.join("kubelet.json").display()),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--root-dir={}", dir.join("kubelet").display()),
            format!("--hostname-override={}", self.node.name),
            format!("--node-ip={}", self.place.ip),
            format!("--cert-dir={}", dir.join("kubelet/pki").display()),
        ];
        self.launch("kubelet", self.programs.path(&gobuild::KUBELET), args, self.debs.environment())
    }

    pub(crate) fn proxy(&self) -> Launch {
        let args = vec![format!("--config={}", self.dir().join("proxy.json").display())];
        self.launch("proxy", self.programs.path(&gobuild::KUBE_PROXY), args, self.debs.environment())
    }

    /// The cluster's DNS server, a plain process on its first node behind the Service `kube-dns`.
    pub(crate) fn coredns(&self, topology: &Topology) -> Result<Launch> {
        let file = self.dir().join("Corefile");
        let kubeconfig = kubeconfig_path(&self.dirs.state, &self.cluster.name, "coredns");
        write(&file, corefile(topology, self.cluster, &kubeconfig))?;
        let args = vec!["-conf".to_owned(), file.display().to_string()];
        Ok(self.launch("coredns", self.programs.path(&gobuild::COREDNS_PROGRAM), args, BTreeMap::new()))
    }

    /// What pods without the cluster's DNS ask; there is no other name server that they could reach.
    pub(crate) fn write_resolv_conf(&self) -> Result<()> {
        write(&self.dir().join("resolv.conf"), format!("nameserver {}\n", self.cluster.ip))
    }
}

fn corefile(topology: &Topology, cluster: &Cluster, kubeconfig: &Path) -> String {
    let own = |zone: &str, reverse: &str| {
        format!(
            "{zone}:53 {reverse}{{\n  bind {}\n  kubernetes {zone} {reverse}{{\n    kubeconfig {}\n    pods insecure\n    ttl 2\n  }}\n}}\n",
            cluster.ip,
            kubeconfig.display()
        )
    };
    let mut text = own(&cluster.domain, "in-addr.arpa ");
    if cluster.domain != "cluster.local" {
        text.push_str(&own("cluster.local", ""));
    }
    let peers = topology.clusters.iter().filter(|peer| peer.name != cluster.name && peer.has_nodes());
    for peer in peers.filter(|peer| topology.options.network == Network::Flat && peer.domain != cluster.domain) {
        // Infallible for a String.
        _ = writeln!(text, "{}:53 {{\n  bind {}\n  forward . {}\n}}", peer.domain, cluster.ip, peer.ip);
    }
    // Every other name does not exist, at once, instead of being looked for on a way that leads nowhere.
    _ = writeln!(text, ".:53 {{\n  bind {}\n  hosts {{", cluster.ip);
    for peer in &topology.clusters {
        _ = writeln!(text, "    {} api.{}", peer.ip, peer.name);
    }
    text.push_str("  }\n}\n");
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::Options;

    fn file(network: Network) -> String {
        let domains = [("k8s-2".to_owned(), "two.example.com".to_owned())].into();
        let lab = Topology::new(Options { network, domains, ..Options::default() }).unwrap();
        corefile(&lab, &lab.clusters[1], Path::new("/k"))
    }

    #[test]
    fn flat_clusters_ask_each_other_by_their_chosen_domains() {
        let text = file(Network::Flat);
        assert!(text.contains("two.example.com:53 {\n  bind 10.90.1.10\n  forward . 10.90.2.10\n}"), "{text}");
        assert!(text.contains("kubernetes k8s-1.lab in-addr.arpa"), "{text}");
        assert!(!text.contains("master.lab:53"), "a master without nodes has no DNS server: {text}");
    }

    #[test]
    fn islands_know_nobody() {
        assert!(!file(Network::Islands).contains("forward"));
    }
}
