//! A master and its workers: API servers in memory, each behind a TLS port of loopback.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use apiserver::{Account, ApiServer, Options, Rights, Who};
use atoll::{
    controller::claim::claimed,
    dialect,
    plan::{labels, name::Uid},
};
use base64::Engine as _;
use http::{Request, header};
use http_body_util::BodyExt as _;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// Where Atoll's Lease is.
pub const MASTER_NAMESPACE: &str = "atoll-system";
const MASTER_UID: &str = "00000000-0000-4000-8000-000000000000";
const TOKEN: &str = "of-the-benchmark";

/// All of them; they end with it.
pub struct Fleet {
    /// The master.
    pub master: ApiServer,
    /// How many workers are registered.
    pub workers: usize,
    /// Kubeconfigs: `master`, and one for each worker.
    pub folder: PathBuf,
    _serving: JoinSet<()>,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // What is left of it is a few files in the folder for such files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Fleet {
    /// Starts a master in which so many workers are registered, each with so many objects of each kind.
    pub async fn start(workers: usize, objects: usize) -> Self {
        let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
        let mut tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], secret)
            .expect("a TLS server");
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (acceptor, ca) = (TlsAcceptor::from(Arc::new(tls)), key.cert.pem());
        let folder = std::env::temp_dir().join(format!("atoll-fleet-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut serving = JoinSet::new();
        let master = server(MASTER_UID.to_owned(), 0);
        let address = listen(&mut serving, &master, &acceptor).await;
        write(&folder.join("master"), &kubeconfig(address, &ca));
        prepare(&master);
        for number in 1..=workers {
            let worker = server(format!("00000000-0000-4000-8000-{number:012}"), number as u64);
            let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
            create(&worker, "/api/v1/namespaces/default/serviceaccounts", &account);
            (0..objects).for_each(|object| populate(&worker, object));
            let text = kubeconfig(listen(&mut serving, &worker, &acceptor).await, &ca);
            write(&folder.join(format!("worker-{number}")), &text);
            let name = format!("k8s-{number}");
            let cluster = json!({ "apiVersion": "k8s.oceanbase.com/v1alpha1", "kind": "K8sCluster",
                "metadata": { "name": name }, "spec": { "name": name, "kubeConfig": text } });
            create(&master, "/apis/k8s.oceanbase.com/v1alpha1/k8sclusters", &cluster);
        }
        Self { master, workers, folder, _serving: serving }
    }

    /// How many workers the master shows to be ready.
    pub fn ready(&self) -> usize {
        let ready = |cluster: &Arc<Value>| {
            let conditions = cluster["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
        };
        self.master.list("k8sclusters.k8s.oceanbase.com").iter().filter(|cluster| ready(cluster)).count()
    }

    /// What selects our objects.
    pub fn selector() -> String {
        labels::selector(&Uid::from(MASTER_UID))
    }
}

fn server(identity: String, seed: u64) -> ApiServer {
    let server =
        ApiServer::new(Options { identity, version: "v1.34.4".to_owned(), clock: Arc::new(Timestamp::now), seed });
    server.account(TOKEN, Account { user: "system:atoll".to_owned(), rights: Rights::All, expires: None });
    server
}

fn prepare(master: &ApiServer) {
    for crd in dialect::crds() {
        let crd = serde_json::to_value(claimed(crd, "atoll")).expect("a CRD");
        create(master, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd);
    }
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": MASTER_NAMESPACE } });
    create(master, "/api/v1/namespaces", &namespace);
}

/// One pod, claim, service and job, as large as ours are.
fn populate(worker: &ApiServer, number: usize) {
    let metadata = |part: &str| {
        json!({ "name": format!("db-{number}-{part}"), "namespace": "default", "labels": {
            (labels::MANAGED_BY): labels::MANAGER, (labels::MASTER): MASTER_UID,
            (labels::DATABASE_KIND): "Cluster.apps.kubeblocks.io", (labels::DATABASE_NAMESPACE): "default",
            (labels::DATABASE_NAME): format!("db-{number}"), (labels::DATABASE_UID): MASTER_UID,
            (labels::MEMBER): "member" } })
    };
    let values: Vec<_> =
        (0..10).map(|n| json!({ "name": format!("VALUE_{n}"), "value": "value-value-value" })).collect();
    let container = json!({ "name": "etcd", "image": "registry.example.com/etcd:v3.5.35", "env": values,
        "args": ["--data-dir=/data", "--listen-peer-urls=http://0.0.0.0:2380", "--listen-client-urls=http://0.0.0.0:2379"],
        "ports": [{ "containerPort": 2379 }], "resources": { "requests": { "cpu": "1", "memory": "2Gi" } } });
    let pod = json!({ "restartPolicy": "Never", "containers": [container] });
    for (path, kind, version, part, spec) in [
        ("/api/v1/namespaces/default/pods", "Pod", "v1", "pod", pod.clone()),
        (
            "/api/v1/namespaces/default/persistentvolumeclaims",
            "PersistentVolumeClaim",
            "v1",
            "data",
            json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "10Gi" } } }),
        ),
        (
            "/api/v1/namespaces/default/services",
            "Service",
            "v1",
            "service",
            json!({ "clusterIP": "None", "ports": [{ "name": "client", "port": 2379 }] }),
        ),
        ("/apis/batch/v1/namespaces/default/jobs", "Job", "batch/v1", "job", json!({ "template": { "spec": pod } })),
    ] {
        create(worker, path, &json!({ "apiVersion": version, "kind": kind, "metadata": metadata(part), "spec": spec }));
    }
}

fn create(server: &ApiServer, path: &str, object: &Value) {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    let answer = server.answer(&Who::Admin, request.body(object.to_string().into()).expect("a request"));
    let status = answer.status();
    let why = answer.into_body().bytes().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(status.is_success(), "{path}: {status}: {why:?}");
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn kubeconfig(address: SocketAddr, ca: &str) -> String {
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
         clusters:\n- name: a\n  cluster: {{server: 'https://{address}', certificate-authority-data: {ca}}}\n\
         users:\n- name: a\n  user: {{token: {TOKEN}}}\n\
         contexts:\n- name: a\n  context: {{cluster: a, user: a}}\n"
    )
}

async fn listen(serving: &mut JoinSet<()>, server: &ApiServer, acceptor: &TlsAcceptor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (server, acceptor) = (server.clone(), acceptor.clone());
    serving.spawn(async move {
        // What it has accepted ends with it.
        let mut open = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            open.spawn(converse(socket, server.clone(), acceptor.clone()));
            while open.try_join_next().is_some() {}
        }
    });
    address
}

async fn converse(socket: TcpStream, server: ApiServer, acceptor: TlsAcceptor) {
    let _ = socket.set_nodelay(true);
    let Ok(stream) = acceptor.accept(socket).await else { return };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request: Request<Incoming>| {
        let server = server.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let token = bearer.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
            Ok::<_, hyper::Error>(server.answer(&Who::Token(token), Request::from_parts(parts, body)))
        }
    });
    // How a connection ends is its client's business.
    let _ = if http2 {
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
    } else {
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    };
}
