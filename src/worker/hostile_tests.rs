//! Kubeconfigs that were made to hurt: by hand, and by the thousand from a seed. None may panic, take long, or be
//! repeated in a single word.

use std::{sync::Arc, time::Instant};

use base64::Engine as _;
use clap::ValueEnum as _;

use super::{
    addresses::Addresses,
    allowances::{Allowance, Allowances, Tenancy},
    connect::{Connect as _, KubeConnect},
    contact,
    kubeconfig::{self, Credentials, KubeconfigError},
    registration::{Access, SecretNamespaces, SecretState, registration},
    testing::CA,
    timing,
};
use crate::{
    dialect::k8scluster::crd::{K8sCluster, K8sClusterSpec},
    plan::name::{Namespace, WorkerName},
};

const CANARY: &str = "c4n4ry";

/// How an attack must come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    TooLarge,
    Unparsable,
    Refused,
    Bad,
    Missing,
    WhichContext,
    Lost,
    /// It does no harm, and leads to somebody's own server.
    Read,
}

fn out(read: &Result<Credentials, KubeconfigError>) -> Out {
    match read {
        Ok(_) => Out::Read,
        Err(KubeconfigError::TooLarge(_)) => Out::TooLarge,
        Err(KubeconfigError::Unparsable) => Out::Unparsable,
        Err(KubeconfigError::Refused { .. }) => Out::Refused,
        Err(KubeconfigError::Bad { .. }) => Out::Bad,
        Err(KubeconfigError::Missing(_)) => Out::Missing,
        Err(KubeconfigError::WhichContext(_)) => Out::WhichContext,
        Err(KubeconfigError::LostCurrentContext | KubeconfigError::NoSuchContext(_)) => Out::Lost,
    }
}

fn encode(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn of(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         contexts:\n- name: c\n  context: {{cluster: k, user: u}}\n\
         clusters:\n- name: k\n  cluster: {{{cluster}}}\n\
         users:\n- name: u\n  user: {{{user}}}\n"
    )
}

fn cluster(more: &str) -> String {
    of(&format!("server: 'https://h:6443', certificate-authority-data: {CA}{more}"), &format!("token: {CANARY}"))
}

fn user(user: &str) -> String {
    of(&format!("server: 'https://h:6443', certificate-authority-data: {CA}"), user)
}

fn server(server: &str) -> String {
    of(&format!("server: {server}, certificate-authority-data: {CA}"), &format!("token: {CANARY}"))
}

fn many_contexts(number: usize) -> String {
    let contexts = (0..number)
        .fold(String::new(), |text, at| text + &format!("- name: {CANARY}-{at}\n  context: {{cluster: k, user: u}}\n"));
    let tail: String = cluster("").lines().skip(6).fold(String::new(), |text, line| text + line + "\n");
    format!("apiVersion: v1\nkind: Config\ncontexts:\n{contexts}{tail}")
}

/// Each level names the one before ten times.
fn bomb() -> String {
    let levels = (1..12).map(|at| {
        let before = format!("*a{}, ", at - 1).repeat(10);
        format!("a{at}: &a{at} [{before}]\n")
    });
    format!("a0: &a0 [{CANARY}]\n{}{}", levels.collect::<String>(), cluster(""))
}

fn deep(open: &str, close: &str, levels: usize) -> String {
    format!("contexts: {}{CANARY}{}\n", open.repeat(levels), close.repeat(levels))
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn attacks() -> Vec<(&'static str, String, Out)> {
    let token = format!("token: {CANARY}");
    let exec = format!("exec: {{apiVersion: v1, command: /{CANARY}}}");
    vec![
        ("nothing", String::new(), Out::Unparsable),
        ("white space", " \n\t\n ".to_owned(), Out::Unparsable),
        ("a word", CANARY.to_owned(), Out::Unparsable),
        ("a number", "42".to_owned(), Out::Unparsable),
        ("a list", format!("- {CANARY}"), Out::Unparsable),
        ("null", "null".to_owned(), Out::Unparsable),
        ("JSON that is none", format!("{{\"{CANARY}\": "), Out::Unparsable),
        ("a mebibyte", CANARY.repeat(1024 * 1024 / CANARY.len()), Out::TooLarge),
        ("a byte more than is read", format!("# {}", "a".repeat(kubeconfig::MOST_BYTES - 1)), Out::TooLarge),
        ("as much as is read, of comment", format!("# {}", "a".repeat(kubeconfig::MOST_BYTES - 2)), Out::Unparsable),
        ("NUL bytes", format!("apiVersion: v1\n\0\0{CANARY}"), Out::Unparsable),
        ("NUL in the server", server("\"https://h\\0:6443\""), Out::Bad),
        ("NUL in the token", user(&format!("token: \"{CANARY}\\0\"")), Out::Bad),
        ("control characters", format!("\u{1}\u{2}\u{7}{CANARY}: ["), Out::Unparsable),
        ("base64 of base64", encode(&encode(&cluster(""))), Out::Unparsable),
        ("base64 of nothing", encode(" "), Out::Unparsable),
        (
            "base64 of what is no text",
            base64::engine::general_purpose::STANDARD.encode([0xff, 0xfe, 0x00]),
            Out::Unparsable,
        ),
        ("aliases that multiply", bomb(), Out::Unparsable),
        ("an alias of nothing", format!("a: *{CANARY}\n"), Out::Unparsable),
        ("an alias of itself", format!("contexts: &a [*a, {CANARY}]\n"), Out::Unparsable),
        ("ten thousand lists in each other", deep("[", "]", 10_000), Out::Unparsable),
        ("ten thousand maps in each other", deep("{a: ", "}", 10_000), Out::Unparsable),
        ("a list that never ends", deep("[", "", 50_000), Out::Unparsable),
        ("a key that is there twice", format!("{}clusters: [{CANARY}]\n", cluster("")), Out::Unparsable),
        ("a field that is there twice", cluster(&format!(", server: 'https://{CANARY}'")), Out::Unparsable),
        ("a merge key", format!("x: &x {{server: 'https://{CANARY}'}}\n{}", cluster(", <<: *x")), Out::Unparsable),
        (
            "a tag that makes an object",
            user(&format!("token: !!python/object/apply:os.system ['{CANARY}']")),
            Out::Unparsable,
        ),
        ("five hundred contexts", many_contexts(500), Out::WhichContext),
        ("twenty thousand contexts", many_contexts(20_000), Out::TooLarge),
        ("no context", "apiVersion: v1\nclusters: []\nusers: []\ncontexts: []\n".to_owned(), Out::Unparsable),
        ("a context of no cluster", cluster("").replace("cluster: k,", "cluster: other,"), Out::Missing),
        ("a context of no user", cluster("").replace("user: u}", "user: other}"), Out::Missing),
        (
            "a current context that is not there",
            cluster("").replace("current-context: c", "current-context: d"),
            Out::Lost,
        ),
        ("a context without content", "contexts: [{name: c}]\n".to_owned(), Out::Missing),
        ("exec", user(&exec), Out::Refused),
        ("exec beside a token", user(&format!("{token}, {exec}")), Out::Refused),
        ("an exec of nothing", user(&format!("{token}, exec: {{}}")), Out::Refused),
        ("exec in base64", encode(&user(&exec)), Out::Refused),
        ("exec in a second document", format!("{}---\n{}", cluster(""), user(&exec)), Out::Unparsable),
        ("exec in a first document", format!("{}---\n{}", user(&exec), cluster("")), Out::Unparsable),
        (
            "auth-provider gcp",
            user(&format!("auth-provider: {{name: gcp, config: {{cmd-path: /{CANARY}}}}}")),
            Out::Refused,
        ),
        (
            "auth-provider oidc",
            user(&format!("auth-provider: {{name: oidc, config: {{id-token: {CANARY}}}}}")),
            Out::Refused,
        ),
        ("tokenFile", user(&format!("tokenFile: /{CANARY}")), Out::Refused),
        ("tokenFile beside a token", user(&format!("{token}, tokenFile: /{CANARY}")), Out::Refused),
        ("tokenFile that is empty", user(&format!("{token}, tokenFile: ''")), Out::Refused),
        ("tokenFile of a process", user("tokenFile: /proc/self/environ"), Out::Refused),
        ("certificate-authority", cluster(&format!(", certificate-authority: /{CANARY}")), Out::Refused),
        (
            "client-certificate and client-key",
            user(&format!("client-certificate: /{CANARY}, client-key: /{CANARY}")),
            Out::Refused,
        ),
        ("token-file, which nobody knows", user(&format!("{token}, token-file: /{CANARY}")), Out::Refused),
        ("proxy-url", cluster(&format!(", proxy-url: 'http://{CANARY}:1'")), Out::Refused),
        ("proxy-url that is empty", cluster(", proxy-url: ''"), Out::Refused),
        ("insecure-skip-tls-verify", cluster(", insecure-skip-tls-verify: true"), Out::Refused),
        (
            "insecure-skip-tls-verify in words",
            cluster(&format!(", insecure-skip-tls-verify: '{CANARY}'")),
            Out::Unparsable,
        ),
        ("impersonation", user(&format!("{token}, as: system:admin")), Out::Refused),
        ("impersonation of groups", user(&format!("{token}, as-groups: ['system:masters']")), Out::Refused),
        ("impersonation by other fields", user(&format!("{token}, as-user-extra: {{{CANARY}: [x]}}")), Out::Refused),
        ("basic auth", user(&format!("username: {CANARY}, password: {CANARY}")), Out::Refused),
        ("a head in the token", user(&format!("token: \"{CANARY}\\r\\nImpersonate-User: admin\"")), Out::Bad),
        ("a token of no ASCII", user(&format!("token: '{CANARY}\u{2028}x'")), Out::Bad),
        ("a token of white space", user("token: ' '"), Out::Missing),
        ("a token that is a map", user(&format!("token: {{a: {CANARY}}}")), Out::Unparsable),
        ("plain http", server("'http://h:6443'"), Out::Refused),
        ("plain http in capitals", server("'HTTP://h:6443'"), Out::Refused),
        ("a file as the server", server(&format!("'file:///{CANARY}'")), Out::Bad),
        ("a socket as the server", server(&format!("'unix:///{CANARY}'")), Out::Bad),
        ("ftp", server(&format!("'ftp://{CANARY}'")), Out::Bad),
        ("a path as the server", server(&format!("'/{CANARY}'")), Out::Bad),
        ("a server without a host", server("'https://'"), Out::Bad),
        ("a server with a port only", server("'https://:6443'"), Out::Bad),
        ("a server with a user", server(&format!("'https://{CANARY}:x@h'")), Out::Bad),
        ("a server with a query", server(&format!("'https://h/?token={CANARY}'")), Out::Bad),
        ("a server with a line break", server(&format!("\"https://h\\r\\n{CANARY}\"")), Out::Bad),
        ("a server of too many bytes", server(&format!("'https://{}'", "h".repeat(70_000))), Out::Bad),
        ("a server that is a number", server("0"), Out::Bad),
        ("a certificate that is no base64", cluster("").replace(CA, CANARY), Out::Bad),
        (
            "a certificate that is a key",
            cluster("").replace(CA, &encode("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")),
            Out::Bad,
        ),
        (
            "a certificate without an end",
            cluster("").replace(CA, &encode("-----BEGIN CERTIFICATE-----\nAAAA\n")),
            Out::Bad,
        ),
        ("half a client certificate", user(&format!("client-certificate-data: {CA}")), Out::Missing),
        (
            "half a client key",
            user(&format!(
                "client-key-data: {}",
                encode("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")
            )),
            Out::Missing,
        ),
        ("a client key that is none", user(&format!("client-certificate-data: {CA}, client-key-data: {CA}")), Out::Bad),
        ("extensions", cluster(&format!(", extensions: [{{name: {CANARY}, extension: {{a: b}}}}]")), Out::Read),
        ("a byte order mark", format!("\u{feff}{}", cluster("")), Out::Read),
    ]
}

#[test]
fn each_attack_comes_out_as_a_typed_error_in_time_and_nothing_is_quoted() {
    let all = attacks();
    assert!(all.len() >= 60, "{}", all.len());
    let mut wrong = Vec::new();
    for (name, text, expected) in all {
        let begun = Instant::now();
        let read = kubeconfig::credentials(&text, None, &Allowances::default());
        let took = begun.elapsed();
        if out(&read) != expected || took.as_millis() > 1_000 {
            wrong.push(format!("{name}: {:?} after {took:?}", read.as_ref().map(|_| ())));
        }
        quotes_nothing(name, &text);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn every() -> Allowances {
    Allowances::new(Allowance::value_variants().iter().copied(), Tenancy::Single).unwrap()
}

/// All that is ever said of a registration with this kubeconfig, with all or nothing allowed.
fn quotes_nothing(name: &str, text: &str) {
    let namespaces = SecretNamespaces { own: Namespace::from("atoll"), listed: [].into() };
    let mut registered =
        K8sCluster::new("k8s-1", K8sClusterSpec { kube_config: Some(text.to_owned()), ..K8sClusterSpec::default() });
    registered.metadata.generation = Some(1);
    for allowances in [Allowances::default(), every()] {
        let read = registration(&registered, &namespaces, &SecretState::Unread, &allowances);
        let access = format!("{:?}", read.access);
        assert!(!access.contains(CANARY), "{name}: {access}");
        if let Access::Refused(trouble) = read.access {
            let told = format!("{trouble} {trouble:?} {}", trouble.reason());
            assert!(!told.contains(CANARY), "{name}: {told}");
        }
    }
}

/// xorshift64*: the same inputs in every run.
struct Seed(u64);

impl Seed {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// One that has a canary in every field that there is.
fn full() -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\npreferences: {{x: {CANARY}}}\n\
         contexts:\n- name: c\n  context: {{cluster: k, user: u, namespace: {CANARY}}}\n\
         clusters:\n- name: k\n  cluster:\n    server: 'https://{CANARY}:6443/{CANARY}'\n    \
         certificate-authority-data: {CA}\n    tls-server-name: {CANARY}\n    proxy-url: 'http://{CANARY}:{CANARY}@{CANARY}:3128'\n    \
         insecure-skip-tls-verify: false\n    certificate-authority: /{CANARY}\n\
         users:\n- name: u\n  user:\n    token: {CANARY}\n    tokenFile: /{CANARY}\n    username: {CANARY}\n    password: {CANARY}\n    \
         as: {CANARY}\n    as-groups: [{CANARY}]\n    as-user-extra: {{{CANARY}: [{CANARY}]}}\n    \
         client-certificate-data: {CA}\n    client-key-data: {}\n    client-certificate: /{CANARY}\n    client-key: /{CANARY}\n    \
         exec:\n      apiVersion: {CANARY}\n      command: /{CANARY}\n      args: [{CANARY}]\n      env: [{{name: {CANARY}, value: {CANARY}}}]\n    \
         auth-provider: {{name: {CANARY}, config: {{cmd-path: /{CANARY}}}}}\n",
        encode(&format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n")),
    )
}

const SCRAPS: [&str; 36] = [
    "\0",
    "\r\n",
    "\n",
    "\t",
    "---\n",
    "...\n",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "!x ",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "'",
    "\"",
    "|\n",
    ">-\n",
    "%",
    "@",
    "null",
    "~",
    "true",
    "0x7f",
    "1e999",
    "\u{feff}",
    "\u{2028}",
    "é",
    "https://",
    "http://",
    "[::1]",
    "::",
    "# ",
];

/// A few changes: lines go, come twice or change places, and scraps fall in.
fn mutated(seed: &mut Seed) -> String {
    let mut lines: Vec<String> = full().lines().map(str::to_owned).collect();
    // Most of what is refused goes, so that what comes after the refusals is reached as well.
    let dull = [
        "tokenFile",
        "username",
        "password",
        "as",
        "client-cert",
        "client-key",
        "auth-provider",
        "proxy-url",
        "certificate-authority:",
    ];
    for field in dull {
        if seed.below(16) != 0 {
            lines.retain(|line| !line.trim_start().starts_with(field));
        }
    }
    if seed.below(8) != 0 {
        let exec = lines.iter().position(|line| line.trim_start().starts_with("exec:"));
        if let Some(at) = exec {
            lines.drain(at..(at + 5).min(lines.len()));
        }
    }
    // Half of them stay well-formed: only a value changes.
    if seed.below(2) == 0 {
        let at = seed.below(lines.len());
        let (before, after) = (*seed.of(&SCRAPS), *seed.of(&SCRAPS));
        if let Some((key, value)) = lines[at].split_once(": ") {
            let value = value.trim_matches('\'');
            lines[at] = format!("{key}: {}", serde_json::json!(format!("{before}{value}{after}")));
        }
        return lines.join("\n");
    }
    for _ in 0..=seed.below(4) {
        let (at, other) = (seed.below(lines.len()), seed.below(lines.len()));
        match seed.below(6) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(other, lines[at].clone()),
            2 => lines.swap(at, other),
            3 => lines[at] = format!("{}{}", " ".repeat(seed.below(8)), lines[at].trim_start()),
            _ => {
                let line = &mut lines[at];
                let place =
                    line.char_indices().map(|(place, _)| place).nth(seed.below(line.chars().count())).unwrap_or(0);
                line.insert_str(place, seed.of::<&str>(&SCRAPS));
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    let text = lines.join("\n");
    match seed.below(20) {
        0 => encode(&text),
        1 => text.chars().take(seed.below(text.len())).collect(),
        _ => text,
    }
}

/// Nothing is ever dialled here.
fn nowhere() -> KubeConnect {
    let all = ["0.0.0.0/0", "::/0"].map(|range| range.parse().unwrap());
    KubeConnect { addresses: Arc::new(Addresses::new([], all)), ..KubeConnect::default() }
}

#[tokio::test]
async fn thousands_of_kubeconfigs_with_a_canary_in_every_field_neither_panic_nor_are_quoted() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (mut seed, mut read, mut clients) = (Seed(0x0A70_11C4), 0, 0);
    let worker = WorkerName::from("k8s-1");
    // Files are not read here, nor programs run: their names are the input's.
    let all = Allowance::value_variants().iter().copied();
    let all = all.filter(|allowance| !matches!(allowance, Allowance::Files | Allowance::Exec));
    let all = Allowances::new(all, Tenancy::Multi).unwrap();
    for number in 0..4_000 {
        let text = mutated(&mut seed);
        quotes_nothing(&format!("input {number}"), &text);
        let Ok(credentials) = kubeconfig::credentials(&text, None, &all) else { continue };
        read += 1;
        let client = match nowhere().connect(&worker, &credentials, &Arc::default()) {
            Ok(connection) => connection.client,
            Err(error) => {
                assert!(!format!("{error} {error:?}").contains(CANARY), "input {number}: {error}");
                continue;
            }
        };
        clients += 1;
        // A name is resolved by the machine: only addresses are tried.
        if credentials.server().host().is_some_and(|host| host.contains(':') || host.ends_with(".1")) {
            let fault = contact::identity(&client, timing::PROBE_DEADLINE).await.unwrap_err();
            assert!(!format!("{fault} {fault:?}").contains(CANARY), "input {number}: {fault}");
        }
    }
    // Were all refused at the first look, nothing behind it would have been tried.
    assert!(read > 200, "{read}");
    // The certificate is none that TLS takes; plain http needs none.
    assert!(clients > 0, "{clients} of {read} made a client");
}
