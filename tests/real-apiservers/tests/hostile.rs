//! Kubeconfigs that were made to hurt, in `atoll run` under strace: nothing is executed, no file that they name is
//! opened, each is told within 15 seconds, and no word of any is ever seen.
//!
//! strace comes from Debian's package into the lab's cache. The program that is traced is this one: with
//! `ATOLL_HOSTILE` in its environment it is `atoll`.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use atoll::dialect::k8scluster::K8sCluster;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::{core::v1::Secret, events::v1::Event};
use kube::{Api, Client, api::PostParams};
use lab::{
    bare::{Options, Server},
    cache::Dirs,
    debs::Debs,
};
use serde_json::{Value, json};

const NAME: &str = "hostile_kubeconfigs_run_nothing_and_read_nothing";
const AS_ATOLL: &str = "ATOLL_HOSTILE";
/// In every text and every path that must not be seen again.
const CANARY: &str = "c4n4ry";
/// Issue 5: how soon each is told.
const TOLD: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    if std::env::var_os(AS_ATOLL).is_some() {
        return atoll::cli::main();
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    let named: Vec<_> = words.iter().filter(|word| word.parse::<u32>().is_err() && !word.starts_with('-')).collect();
    if !named.is_empty() && !named.iter().any(|word| NAME.contains(word.as_str())) {
        return ExitCode::SUCCESS;
    }
    let begun = Instant::now();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(play());
    println!("ok   {:>6.1} s  {NAME}", begun.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

/// One registration, and what must be told of it.
struct Attack {
    name: &'static str,
    kubeconfig: String,
    reason: &'static str,
    /// In the condition's words.
    named: &'static str,
}

fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {CANARY}\n\
         contexts:\n- name: {CANARY}\n  context: {{cluster: k, user: u}}\n\
         clusters:\n- name: k\n  cluster: {{{cluster}}}\n\
         users:\n- name: u\n  user: {{{user}}}\n"
    )
}

fn attacks(dir: &Path, worker: &str, ca: &str) -> Vec<Attack> {
    let path = |name: &str| dir.join(name).display().to_string();
    let server = format!("server: '{worker}'");
    let good = format!("{server}, certificate-authority-data: {ca}");
    let token = format!("token: {CANARY}");
    let cluster = |more: &str| kubeconfig(&format!("{good}, {more}"), &token);
    let user = |user: &str| kubeconfig(&good, user);
    let at = |address: &str| kubeconfig(&format!("server: '{address}', certificate-authority-data: {ca}"), &token);
    let contexts = (1..500)
        .fold(String::new(), |text, at| text + &format!("- name: {CANARY}-{at}\n  context: {{cluster: k, user: u}}\n"));
    let many = cluster("tls-server-name: x")
        .replace(&format!("current-context: {CANARY}\n"), "")
        .replace("contexts:\n", &format!("contexts:\n{contexts}"));
    let bomb = (1..12).fold(String::new(), |text, at| {
        let before = format!("*a{}, ", at - 1).repeat(10);
        text + &format!("a{at}: &a{at} [{before}]\n")
    });
    let (program, file) = (path("program"), path("token"));
    let refused = |name, kubeconfig, named| Attack { name, kubeconfig, reason: "InvalidKubeconfig", named };
    let dialled = |name, kubeconfig, named| Attack { name, kubeconfig, reason: "AddressRefused", named };
    vec![
        refused(
            "exec",
            user(&format!("exec: {{apiVersion: client.authentication.k8s.io/v1, command: {program}}}")),
            "--kubeconfig-allow=exec",
        ),
        refused(
            "exec-beside-a-token",
            user(&format!("{token}, exec: {{apiVersion: v1, command: {program}, args: [{CANARY}]}}")),
            "exec",
        ),
        refused(
            "auth-provider",
            user(&format!("auth-provider: {{name: gcp, config: {{cmd-path: {program}, cmd-args: {CANARY}}}}}")),
            "auth-provider",
        ),
        refused("token-file", user(&format!("tokenFile: {file}")), "--kubeconfig-allow=files"),
        refused("token-file-beside-a-token", user(&format!("{token}, tokenFile: {file}")), "tokenFile"),
        refused(
            "authority-file",
            kubeconfig(&format!("{server}, certificate-authority: {}", path("ca")), &token),
            "certificate-authority",
        ),
        refused(
            "certificate-files",
            user(&format!("client-certificate: {}, client-key: {}", path("crt"), path("key"))),
            "client-certificate",
        ),
        refused(
            "proxy",
            cluster(&format!("proxy-url: 'http://{CANARY}:x@127.0.0.1:1'")),
            "--kubeconfig-allow=proxy-url",
        ),
        refused("skips-tls", cluster("insecure-skip-tls-verify: true"), "insecure-skip-tls-verify"),
        refused(
            "impersonation",
            user(&format!("{token}, as: {CANARY}, as-groups: ['system:masters']")),
            "impersonation",
        ),
        refused("basic-auth", user(&format!("username: {CANARY}, password: {CANARY}")), "username"),
        refused("plain-http", at("http://10.0.0.1:8080"), "plain http"),
        refused("no-authority", kubeconfig(&server, &token), "certificate-authority-data"),
        refused("a-header-in-the-token", user(&format!("token: \"{CANARY}\\r\\nImpersonate-User: admin\"")), "token"),
        refused("garbage", format!("{CANARY}: [\u{1}"), "is not one"),
        refused("a-mebibyte", CANARY.repeat(1024 * 1024 / CANARY.len()), "bytes"),
        refused("five-hundred-contexts", many, "500 contexts"),
        refused("a-bomb", format!("a0: &a0 [{CANARY}]\n{bomb}"), "is not one"),
        dialled("metadata", at("https://169.254.169.254"), "metadata"),
        dialled("metadata-mapped", at("https://[::ffff:169.254.169.254]"), "metadata"),
        dialled("link-local", at("https://169.254.1.1:6443"), "link-local"),
        dialled("loopback", at("https://[::1]:6443"), "loopback"),
        dialled("loopback-in-other-words", at("https://0.0.0.0:6443"), "unspecified"),
    ]
}

/// A directory of our own, that goes with the test.
struct Folder(PathBuf);

impl Folder {
    /// With everything in it that the attacks name, so that it would be found.
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("{CANARY}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a directory");
        for name in ["token", "ca", "crt", "key"] {
            fs::write(folder.join(name), CANARY).expect("a file");
        }
        let (program, ran) = (folder.join("program"), folder.join("ran"));
        fs::write(&program, format!("#!/bin/sh\ntouch {}\n", ran.display())).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program that may be run");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// `atoll run` under strace.
struct Traced {
    strace: Child,
    port: u16,
    begun: Instant,
}

fn atoll(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(AS_ATOLL, "1").args(words);
    command
}

impl Traced {
    fn start(debs: &Debs, outside: &Path, kubeconfig: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let log = fs::File::create(outside.join("log")).expect("a log");
        let mut command = Command::new(debs.program("strace"));
        command.arg("-f").arg("-o").arg(outside.join("trace"));
        command.args(["-s", "4096", "-e", "trace=execve,execveat,open,openat,openat2", "-E", "LD_LIBRARY_PATH"]);
        command.args(["-E", &format!("{AS_ATOLL}=1"), "--"]).arg(std::env::current_exe().expect("this program"));
        command.args(["run", "--namespace=default", "--allow-addresses=127.0.0.0/8", "--kubeconfig"]).arg(kubeconfig);
        command.args(["--log=debug", "--listen", &format!("127.0.0.1:{port}")]);
        // Proxies in the environment must not be heard of. 9 is nobody's port.
        for proxy in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
            command.env(proxy, "http://127.0.0.1:9");
        }
        command.env_remove("ATOLL_LOG").env_remove("POD_NAMESPACE");
        command.envs(debs.environment()).stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let strace = command.spawn().expect("strace");
        Self { strace, port, begun: Instant::now() }
    }

    fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("atoll's port");
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: atoll\r\nConnection: close\r\n\r\n").expect("a question");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Asks atoll to end; strace ends with it.
    fn end(&mut self) {
        let strace = self.strace.id();
        let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap_or_default();
        for child in children.split_whitespace() {
            drop(Command::new("kill").arg(child).status());
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if let Ok(Some(_)) = self.strace.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        for child in children.split_whitespace() {
            drop(Command::new("kill").args(["-9", child]).status());
        }
        drop(self.strace.wait());
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.end();
    }
}

async fn play() {
    let debs = Debs::strace(&Dirs::from_env());
    debs.ensure().expect("strace");
    let servers = Server::start_all(["master", "k8s-1"].map(Options::named)).await.expect("API servers");
    let [master, worker] = servers.as_slice() else { panic!("two API servers") };
    let folder = Folder::new();
    let kubeconfig = master.directory().join("of-the-master");
    fs::write(&kubeconfig, master.kubeconfig()).expect("the master's kubeconfig");
    let stage = Stage {
        directory: master.directory().to_owned(),
        kubeconfig,
        client: master.client().await.expect("a client"),
        well: worker.kubeconfig().to_owned(),
        attacks: attacks(&folder.0, &worker.url(), &STANDARD.encode(worker.ca())),
        folder,
    };
    watch(&debs, stage).await;
}

struct Stage {
    directory: PathBuf,
    /// The master's, as a file.
    kubeconfig: PathBuf,
    client: Client,
    /// The kubeconfig of a worker that is well.
    well: String,
    attacks: Vec<Attack>,
    folder: Folder,
}

async fn watch(debs: &Debs, stage: Stage) {
    let Stage { directory: outside, kubeconfig, client, well, attacks, folder } = stage;
    let applied = atoll(&["crds", "apply", "--kubeconfig"]).arg(&kubeconfig).output().expect("atoll crds apply");
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    register(&client, &attacks, &well).await;

    let mut traced = Traced::start(debs, &outside, &kubeconfig);
    let mut told = BTreeMap::new();
    while told.len() <= attacks.len() && traced.begun.elapsed() < TOLD {
        told = statuses(&client).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = traced.begun.elapsed();
    for Attack { name, reason, named, .. } in &attacks {
        let ready = ready(told.get(*name).unwrap_or_else(|| panic!("{name} is not told within {TOLD:?}")));
        assert_eq!((ready.0.as_str(), ready.1.as_str()), ("False", *reason), "{name}: {}", ready.2);
        assert!(ready.2.contains(named), "{name}: {named} is not in {}", ready.2);
    }
    assert_eq!(ready(&told["well"]).0, "True", "a worker that is well is not held up by its neighbours");

    // Nobody may have read or run anything later either: a few probes go by.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let metrics = traced.metrics();
    traced.end();
    println!("{} kubeconfigs were told within {:.1} s", attacks.len(), took.as_secs_f64());

    let trace = fs::read_to_string(outside.join("trace")).expect("the trace");
    let own = std::env::current_exe().expect("this program").display().to_string();
    let ran: Vec<_> = trace.lines().filter(|line| line.contains("execve")).collect();
    assert!(matches!(ran.as_slice(), [only] if only.contains(&own)), "these were run: {ran:#?}");
    assert!(trace.contains(&kubeconfig.display().to_string()), "the trace shows no file that was opened: {trace}");
    assert!(!folder.0.join("ran").exists(), "the program ran");
    let log = fs::read_to_string(outside.join("log")).expect("the log");
    assert!(log.contains("InvalidKubeconfig"), "the log tells nothing: {log}");
    let events: Api<Event> = Api::all(client.clone());
    let events = serde_json::to_string(&events.list(&kube::api::ListParams::default()).await.expect("events").items);
    let statuses = serde_json::to_string(&statuses(&client).await).expect("statuses");
    for (what, text) in [
        ("the system calls", &trace),
        ("the log", &log),
        ("the metrics", &metrics),
        ("the events", &events.expect("events")),
        ("the statuses", &statuses),
    ] {
        let lines: Vec<_> = text.lines().filter(|line| line.contains(CANARY)).collect();
        assert!(lines.is_empty(), "{what} show a canary: {lines:#?}");
    }
}

async fn register(client: &Client, attacks: &[Attack], well: &str) {
    let clusters: Api<K8sCluster> = Api::all(client.clone());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    let params = PostParams::default();
    let cluster = |name: &str, spec: Value| -> K8sCluster {
        serde_json::from_value(json!({ "apiVersion": "k8s.oceanbase.com/v1alpha1", "kind": "K8sCluster",
            "metadata": { "name": name }, "spec": spec }))
        .expect("a K8sCluster")
    };
    let well = cluster("well", json!({ "name": "well", "kubeConfig": well }));
    // A new kind is served a moment after its definition was taken.
    let begun = Instant::now();
    while let Err(error) = clusters.create(&params, &well).await {
        let unserved = matches!(&error, kube::Error::Api(status) if status.code == 404);
        assert!(unserved && begun.elapsed() < TOLD, "a registration: {error:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (number, Attack { name, kubeconfig, .. }) in attacks.iter().enumerate() {
        // Every other one comes by a Secret.
        let spec = if number % 2 == 0 {
            json!({ "name": name, "kubeConfig": kubeconfig })
        } else {
            let secret: Secret =
                serde_json::from_value(json!({ "metadata": { "name": name }, "data": {} })).expect("a Secret");
            let secret = Secret { string_data: Some([("kubeconfig".to_owned(), kubeconfig.clone())].into()), ..secret };
            if secrets.create(&params, &secret).await.is_ok() {
                json!({ "name": name, "kubeConfigSecretRef": { "name": name } })
            } else {
                // A Secret holds a mebibyte at most.
                json!({ "name": name, "kubeConfig": kubeconfig })
            }
        };
        clusters.create(&params, &cluster(name, spec)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Of those that are told.
async fn statuses(client: &Client) -> BTreeMap<String, Value> {
    let clusters: Api<K8sCluster> = Api::all(client.clone());
    let all = clusters.list(&kube::api::ListParams::default()).await.expect("the registrations").items;
    all.into_iter()
        .filter_map(|cluster| {
            let status = serde_json::to_value(cluster.status?).expect("a status");
            // What an API server has not answered yet is retried, and told after five failures.
            status["conditions"].get(0)?;
            Some((cluster.metadata.name?, status))
        })
        .collect()
}

/// Status, reason and message of condition `Ready`.
fn ready(status: &Value) -> (String, String, String) {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready").unwrap_or_default();
    let word = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    (word("status"), word("reason"), word("message"))
}
