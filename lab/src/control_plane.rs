//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler of one cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::certs;
use crate::error::{Result, make_dir, write};
use crate::gobuild::{self, Program, Programs};
use crate::kubeconfig::{self, Credential};
use crate::model::Cluster;
use crate::process::Launch;

/// Enough for namespaces, garbage and service accounts, where no pod can run anyway.
const CONTROLLERS_WITHOUT_NODES: &str = "namespace-controller,garbage-collector-controller,serviceaccount-controller,\
    serviceaccount-token-controller,root-ca-certificate-publisher-controller,resourcequota-controller,\
    clusterrole-aggregation-controller,validatingadmissionpolicy-status-controller";

/// The files and processes of a control plane.
pub(crate) struct ControlPlane<'a> {
    pub(crate) state: &'a Path,
    pub(crate) programs: &'a Programs,
    pub(crate) cluster: &'a Cluster,
}

impl ControlPlane<'_> {
    fn dir(&self) -> PathBuf {
        self.state.join(&self.cluster.name)
    }

    fn pki(&self, file: &str) -> String {
        certs::directory(self.state, &self.cluster.name).join(file).display().to_string()
    }

    /// The kubeconfig of one of the cluster's clients with a certificate.
    pub(crate) fn kubeconfig(&self, client: &str) -> PathBuf {
        kubeconfig_path(self.state, &self.cluster.name, client)
    }

    /// Writes what the processes read.
    pub(crate) fn write_files(&self, tokens: &str) -> Result<()> {
        let dir = self.dir();
        for name in ["etcd", "kubeconfig", "apiserver"] {
            make_dir(&dir.join(name))?;
        }
        write(&dir.join("tokens.csv"), tokens)?;
        // Every request once, when its answer is known, without its body.
        let policy = json!({ "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
            "omitStages": ["RequestReceived"], "rules": [{ "level": "Metadata" }] });
        write(&dir.join("audit-policy.json"), policy.to_string())?;
        let pki = certs::directory(self.state, &self.cluster.name);
        let read = |file: String| crate::error::read(&pki.join(file));
        let ca = read("ca.crt".to_owned())?;
        for (client, ..) in certs::clients(self.cluster) {
            let certificate = read(format!("{client}.crt"))?;
            let credential = Credential::Certificate { certificate, key: read(format!("{client}.key"))? };
            write(&self.kubeconfig(&client), kubeconfig::compose(&ca, &[(self.cluster, credential)])?)?;
        }
        Ok(())
    }

    fn launch(&self, name: &str, program: &Program, args: Vec<String>) -> Launch {
        Launch {
            name: name.to_owned(),
            netns: self.cluster.places[0].netns.clone(),
            program: self.programs.path(program),
            args,
            env: BTreeMap::new(),
        }
    }

    pub(crate) fn etcd(&self) -> Launch {
        // A lab's data need not survive a loss of power.
        let args = [
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
            format!("--data-dir={}/etcd", self.dir().display()),
        ];
        self.launch("etcd", &gobuild::ETCD, args.into())
    }

    pub(crate) fn apiserver(&self) -> Launch {
        let dir = self.dir().display().to_string();
        let args = vec![
            "--etcd-servers=http://127.0.0.1:2379".to_owned(),
            "--secure-port=6443".to_owned(),
            format!("--advertise-address={}", self.cluster.ip),
            format!("--cert-dir={dir}/apiserver"),
            format!("--tls-cert-file={}", self.pki("apiserver.crt")),
            format!("--tls-private-key-file={}", self.pki("apiserver.key")),
            format!("--client-ca-file={}", self.pki("ca.crt")),
            format!("--kubelet-certificate-authority={}", self.pki("ca.crt")),
            format!("--kubelet-client-certificate={}", self.pki("apiserver-kubelet.crt")),
            format!("--kubelet-client-key={}", self.pki("apiserver-kubelet.key")),
            // Node names resolve nowhere; `logs` and `exec` need the address.
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--service-cluster-ip-range={}", self.cluster.service_cidr),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", self.pki("sa.pub")),
            format!("--service-account-signing-key-file={}", self.pki("sa.key")),
            format!("--token-auth-file={dir}/tokens.csv"),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--allow-privileged=true".to_owned(),
            format!("--audit-policy-file={dir}/audit-policy.json"),
            format!("--audit-log-path={}", audit_log(self.state, &self.cluster.name).display()),
            // Never rotated: a test counts requests over the whole of it.
            "--audit-log-maxsize=100000".to_owned(),
        ];
        self.launch("apiserver", &gobuild::KUBE_APISERVER, args)
    }

    pub(crate) fn controller_manager(&self) -> Launch {
        let controllers =
            if self.cluster.is_master() && !self.cluster.has_nodes() { CONTROLLERS_WITHOUT_NODES } else { "*" };
        let args = vec![
            format!("--kubeconfig={}", self.kubeconfig("controller-manager").display()),
            format!("--service-account-private-key-file={}", self.pki("sa.key")),
            format!("--root-ca-file={}", self.pki("ca.crt")),
            format!("--flex-volume-plugin-dir={}/volume-plugins", self.dir().display()),
            "--bind-address=127.0.0.1".to_owned(),
            "--leader-elect=false".to_owned(),
            // A lost node is seen within seconds, as its kubelet reports every four.
            "--node-monitor-grace-period=16s".to_owned(),
            "--node-monitor-period=2s".to_owned(),
            format!("--controllers={controllers}"),
        ];
        self.launch("controller-manager", &gobuild::KUBE_CONTROLLER_MANAGER, args)
    }

    pub(crate) fn scheduler(&self) -> Launch {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig("scheduler").display());
        let args = vec![kubeconfig, "--leader-elect=false".to_owned(), "--bind-address=127.0.0.1".to_owned()];
        self.launch("scheduler", &gobuild::KUBE_SCHEDULER, args)
    }
}

/// Where the kubeconfig of a client with a certificate is.
pub(crate) fn kubeconfig_path(state: &Path, cluster: &str, client: &str) -> PathBuf {
    state.join(cluster).join("kubeconfig").join(format!("{client}.yaml"))
}

/// Where an API server writes who asked for what.
pub(crate) fn audit_log(state: &Path, cluster: &str) -> PathBuf {
    state.join(cluster).join("audit.log")
}
