//! Which sockets are opened, which are not, and what goes through them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use base64::Engine as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

use super::{
    addresses::Addresses,
    allowances::{Allowance, Allowances, Tenancy},
    connect::{Connect as _, KubeConnect},
    contact,
    fault::Fault,
    kubeconfig, timing,
};
use crate::plan::name::WorkerName;

const UID: &str = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"the-uid"}}"#;

/// Answers every request in the same way, and remembers the heads of all.
struct Server {
    port: u16,
    accepted: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn answering(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (accepted, heads) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, seen) = (accepted.clone(), heads.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                for answer in &answers {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = socket.read_u8().await else { break };
                        head.push(byte);
                    }
                    seen.lock().unwrap().push(String::from_utf8(head).unwrap());
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
            }
        });
        Self { port, accepted, heads, task }
    }

    fn heads(&self) -> String {
        self.heads.lock().unwrap().concat()
    }
}

fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn addresses(allowed: &[&str]) -> Arc<Addresses> {
    Arc::new(Addresses::new(allowed.iter().map(|range| range.parse().unwrap()), []))
}

/// Asks a server for its identity, with these fields in the kubeconfig's cluster and user.
async fn ask(allowed: &[&str], cluster: &str, user: &str) -> Result<String, Fault> {
    use clap::ValueEnum as _;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let text = format!(
        "contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\nclusters: [{{name: k, cluster: {{{cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    );
    let all = Allowances::new(Allowance::value_variants().iter().copied(), Tenancy::Single).unwrap();
    let credentials = kubeconfig::credentials(&text, None, &all).unwrap();
    let connect = KubeConnect { addresses: addresses(allowed), ..KubeConnect::default() };
    let client = connect.connect(&WorkerName::from("k8s-1"), &credentials).unwrap();
    contact::identity(&client, timing::PROBE_DEADLINE).await.map(|uid| uid.to_string())
}

#[tokio::test]
async fn loopback_is_not_dialled_however_it_is_written_unless_it_is_allowed() {
    let server = Server::answering(vec![json(UID)]).await;
    let port = server.port;
    for host in ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]"] {
        let told = ask(&[], &format!("server: 'http://{host}:{port}'"), "token: t").await;
        assert!(matches!(told, Err(Fault::AddressRefused(_))), "{host}: {told:?}");
    }
    assert_eq!(server.accepted.load(Ordering::SeqCst), 0);
    for host in ["127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]"] {
        let told = ask(&["127.0.0.0/8"], &format!("server: 'http://{host}:{port}'"), "token: t").await;
        assert_eq!(told.as_deref(), Ok("the-uid"), "{host}");
    }
}

#[tokio::test]
async fn a_metadata_service_is_told_by_its_name_and_gets_nothing() {
    let told = ask(&["127.0.0.0/8"], "server: 'http://169.254.169.254'", "token: t").await.unwrap_err();
    let told = told.to_string();
    assert!(told.contains("169.254.169.254 is the address of a cloud's metadata service"), "{told}");
    assert!(told.contains("--allow-addresses"), "{told}");
}

#[tokio::test]
async fn a_redirect_is_followed_by_nobody() {
    let target = Server::answering(vec![json(UID)]).await;
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        target.port
    );
    let server = Server::answering(vec![redirect]).await;
    let told = ask(&["127.0.0.0/8"], &format!("server: 'http://127.0.0.1:{}'", server.port), "token: t").await;
    assert!(told.is_err(), "{told:?}");
    assert_eq!((server.accepted.load(Ordering::SeqCst), target.accepted.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_way_with_its_own_login_and_learns_nothing_of_the_token() {
    // What is behind the proxy is played by the proxy itself: it answers on the same socket.
    let proxy = Server::answering(vec!["HTTP/1.1 200 Established\r\n\r\n".to_owned(), json(UID)]).await;
    let cluster = format!("server: 'http://far.invalid:6443', proxy-url: 'http://u:p%3A@127.0.0.1:{}'", proxy.port);
    assert_eq!(ask(&["127.0.0.0/8"], &cluster, "token: t").await.as_deref(), Ok("the-uid"));
    let heads = proxy.heads.lock().unwrap().clone();
    let login = base64::engine::general_purpose::STANDARD.encode("u:p:");
    assert!(heads[0].starts_with("CONNECT far.invalid:6443 HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains(&format!("Proxy-Authorization: Basic {login}\r\n")), "{heads:?}");
    assert!(!heads[0].to_lowercase().contains("bearer"), "{heads:?}");
    assert!(heads[1].contains("authorization: Bearer t\r\n"), "{heads:?}");
    assert!(!heads[1].to_lowercase().contains("proxy-authorization"), "{heads:?}");
}

#[tokio::test]
async fn a_proxy_is_dialled_by_the_same_rule_and_leads_to_no_forbidden_address() {
    let proxy = Server::answering(vec!["HTTP/1.1 200 Established\r\n\r\n".to_owned(), json(UID)]).await;
    for (allowed, server) in [(&[][..], "far.invalid"), (&["127.0.0.0/8"], "169.254.169.254")] {
        let cluster = format!("server: 'http://{server}', proxy-url: 'http://127.0.0.1:{}'", proxy.port);
        let told = ask(allowed, &cluster, "token: t").await;
        assert!(matches!(told, Err(Fault::AddressRefused(_))), "{server}: {told:?}");
    }
    assert_eq!(proxy.accepted.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_proxy_that_opens_no_way_is_told_without_its_words() {
    for (answer, named) in [
        ("HTTP/1.1 407 canary\r\n\r\n", "name and password"),
        ("HTTP/1.1 502 canary\r\n\r\n", "answers 502"),
        ("canary\r\n\r\n", "does not answer as a proxy does"),
        ("", "does not answer as a proxy does"),
    ] {
        let proxy = Server::answering(vec![answer.to_owned()]).await;
        let cluster = format!("server: 'http://far.invalid', proxy-url: 'http://127.0.0.1:{}'", proxy.port);
        let told = ask(&["127.0.0.0/8"], &cluster, "token: t").await.unwrap_err().to_string();
        assert!(told.contains(named) && !told.contains("canary"), "{told}");
    }
}

#[tokio::test]
async fn whoever_comes_is_said_in_the_head_of_each_request() {
    let dir = std::env::temp_dir().join(format!("atoll-dial-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("token");
    std::fs::write(&file, "from-a-file\n").unwrap();
    let basic = base64::engine::general_purpose::STANDARD.encode("u:p");
    for (user, named) in [
        ("token: t".to_owned(), "authorization: Bearer t\r\n".to_owned()),
        ("username: u, password: p".to_owned(), format!("authorization: Basic {basic}\r\n")),
        ("token: t, as: x, as-groups: [g]".to_owned(), "impersonate-user: x\r\n".to_owned()),
        ("token: t, as: x, as-groups: [g]".to_owned(), "impersonate-group: g\r\n".to_owned()),
        (format!("tokenFile: {}", file.display()), "authorization: Bearer from-a-file\r\n".to_owned()),
        (
            r#"exec: {command: /bin/echo, args: ['{"status":{"token":"from-a-program"}}']}"#.to_owned(),
            "authorization: Bearer from-a-program\r\n".to_owned(),
        ),
    ] {
        let server = Server::answering(vec![json(UID)]).await;
        let told = ask(&["127.0.0.0/8"], &format!("server: 'http://127.0.0.1:{}'", server.port), &user).await;
        assert_eq!(told.as_deref(), Ok("the-uid"), "{user}");
        assert!(server.heads().contains(&named), "{named} in {}", server.heads());
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
