//! What is taken from a kubeconfig, what is refused, and that no word of it ever shows.

use base64::Engine as _;
use secrecy::ExposeSecret as _;

use super::{
    allowances::{Allowance, Allowances, Tenancy},
    kubeconfig::{self, Credentials, KubeconfigError, Trust, contexts},
    program::Source,
    testing::{CA, kubeconfig},
};

/// Stands wherever a secret could: it must never be seen again.
const CANARY: &str = "canary-7f3a";

fn one(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncontexts:\n- name: {CANARY}\n  context: {{cluster: k, user: u}}\n\
         users:\n- name: u\n  user: {{{user}}}\nclusters:\n- name: k\n  cluster: {{{cluster}}}\n"
    )
}

fn credentials(text: &str, context: Option<&str>) -> Result<Credentials, KubeconfigError> {
    kubeconfig::credentials(text, context, &Allowances::default())
}

fn allowing(text: &str, allowances: &[Allowance]) -> Result<Credentials, KubeconfigError> {
    let allowances = Allowances::new(allowances.iter().copied(), Tenancy::Single).unwrap();
    kubeconfig::credentials(text, None, &allowances)
}

fn good() -> String {
    format!("server: 'https://h:6443', certificate-authority-data: {CA}")
}

#[test]
fn a_token_and_a_ca_are_enough() {
    let read = credentials(&one(&good(), "token: t0ken"), None).unwrap();
    assert_eq!(read.server().to_string(), "https://h:6443/");
    assert!(matches!(read.trust(), Trust::Authorities(all) if all.len() == 1));
    assert_eq!(read.token().unwrap().expose_secret(), "t0ken");
    assert!(read.chain().is_none() && read.proxy().is_none() && read.token_source().is_none() && !read.name_files());
    assert_eq!(read.context(), CANARY);
}

#[test]
fn base64_is_read_like_plain_text_also_when_it_is_wrapped() {
    let text = one(&good(), "token: t0ken");
    let encoded = base64::engine::general_purpose::STANDARD.encode(&text);
    let wrapped: String =
        encoded.as_bytes().chunks(76).flat_map(|line| [line, b"\n"].concat()).map(char::from).collect();
    let plain = credentials(&text, None).unwrap();
    assert_eq!(credentials(&encoded, None).unwrap(), plain);
    assert_eq!(credentials(&wrapped, None).unwrap(), plain);
}

#[test]
fn whatever_could_do_more_than_connect_is_refused_by_name_and_nothing_is_quoted() {
    let good = good();
    let with = |field: &str| format!("{good}, {field}");
    let token = format!("token: {CANARY}");
    let user = |field: &str| format!("{token}, {field}");
    let cases = [
        (good.clone(), user(&format!("exec: {{command: {CANARY}, apiVersion: v1}}")), "exec"),
        (good.clone(), user(&format!("auth-provider: {{name: gcp, config: {{cmd-path: {CANARY}}}}}")), "auth-provider"),
        (good.clone(), user(&format!("tokenFile: /{CANARY}")), "tokenFile"),
        (good.clone(), user(&format!("client-certificate: /{CANARY}")), "client-certificate"),
        (good.clone(), user(&format!("client-key: /{CANARY}")), "client-key"),
        (good.clone(), user(&format!("username: {CANARY}")), "username"),
        (good.clone(), user(&format!("password: {CANARY}")), "password"),
        (good.clone(), user(&format!("as: {CANARY}")), "impersonation"),
        (good.clone(), user(&format!("as-uid: {CANARY}")), "impersonation"),
        (good.clone(), user(&format!("as-groups: [{CANARY}]")), "impersonation"),
        (good.clone(), user(&format!("{CANARY}: x")), "does not know"),
        (with(&format!("{CANARY}: x")), token.clone(), "does not know"),
        (with(&format!("certificate-authority: /{CANARY}")), token.clone(), "certificate-authority"),
        (with(&format!("proxy-url: 'http://{CANARY}'")), token.clone(), "proxy-url"),
        (with("insecure-skip-tls-verify: true"), token.clone(), "insecure-skip-tls-verify"),
        (good.replace("https", "http"), token.clone(), "http"),
        (good.replace("https://", &format!("https://{CANARY}@")), token.clone(), "user name"),
        (good.replace("https://h:6443", CANARY), token.clone(), "server"),
        (good.replace("certificate-authority-data", "tls-server-name"), token.clone(), "certificate-authority-data"),
        (good.replace(CA, CANARY), token.clone(), "certificate-authority-data"),
        (good.replace(CA, "Y2FuYXJ5"), token.clone(), "certificate"),
        (good.clone(), String::new(), "a token"),
        (good.clone(), format!("client-certificate-data: {CA}"), "client-key-data"),
        (good.clone(), format!("client-certificate-data: {CA}, client-key-data: {CA}"), "client-key-data"),
        (good.clone(), "token: ''".to_owned(), "a token"),
    ];
    for (cluster, user, named) in cases {
        let error = credentials(&one(&cluster, &user), None).expect_err(&user);
        let text = format!("{error} {error:?}");
        assert!(text.contains(named), "{named} is not named by: {text}");
        assert!(!text.contains(CANARY), "{text}");
    }
}

#[test]
fn what_is_no_kubeconfig_is_said_to_be_none_without_quoting_it() {
    let placeholder = "<Your K8s credential> # Typically you can found it in ~/.kube/config\n";
    for text in [placeholder, "", "# nothing\n", "a: [", CANARY, "{}", &format!("users:\n- token: [{CANARY}\n")] {
        let error = credentials(text, None).expect_err(text);
        assert_eq!(error, KubeconfigError::Unparsable, "{text:?}");
        assert!(!error.to_string().contains(CANARY) && !error.to_string().contains("<Your"));
    }
}

#[test]
fn a_kubeconfig_of_unreasonable_size_is_not_read() {
    let error = credentials(&"a".repeat(300 * 1024), None).unwrap_err();
    assert!(matches!(error, KubeconfigError::TooLarge(307_200)));
}

#[test]
fn the_context_is_the_one_asked_for_else_the_current_else_the_only_one() {
    let many = kubeconfig(&["a", "b"], "t");
    assert_eq!(contexts(&many).unwrap(), ["a", "b"]);
    assert_eq!(credentials(&many, Some("b")).unwrap().context(), "b");
    assert_eq!(credentials(&many, None).unwrap_err(), KubeconfigError::WhichContext(2));
    assert_eq!(credentials(&many, Some("c")).unwrap_err(), KubeconfigError::NoSuchContext("c".to_owned()));
    let current = format!("{many}current-context: b\n");
    assert_eq!(credentials(&current, None).unwrap().context(), "b");
    assert_eq!(credentials(&current, Some("a")).unwrap().context(), "a");
    let lost = format!("{many}current-context: c\n");
    assert_eq!(credentials(&lost, None).unwrap_err(), KubeconfigError::LostCurrentContext);
    assert_eq!(credentials(&kubeconfig(&["a"], "t"), None).unwrap().context(), "a");
}

#[test]
fn only_a_change_that_matters_to_the_connection_makes_credentials_differ() {
    let base = credentials(&one(&good(), "token: t"), None).unwrap();
    let named = credentials(&one(&good(), "token: t").replace(CANARY, "another"), None).unwrap();
    assert_eq!(base, named);
    assert_ne!(base, credentials(&one(&good(), "token: u"), None).unwrap());
    assert_ne!(base, credentials(&one(&good().replace("6443", "443"), "token: t"), None).unwrap());
    assert_ne!(base, credentials(&one(&format!("{}, tls-server-name: n", good()), "token: t"), None).unwrap());
}

#[test]
fn credentials_cannot_be_printed() {
    let read = credentials(&one(&good(), &format!("token: {CANARY}")), None).unwrap();
    assert_eq!(format!("{read:?}"), "Credentials(…)");
}

/// A kubeconfig that needs this one allowance, and what it gives where it is allowed.
type Allowed = (String, Allowance, fn(&Credentials) -> bool);

fn each_allowed() -> Vec<Allowed> {
    let good = good();
    let with = |field: &str| one(&format!("{good}, {field}"), "token: t");
    let user = |user: &str| one(&good, user);
    vec![
        (with("proxy-url: 'http://u%40x:p@proxy:3128'"), Allowance::ProxyUrl, |read| {
            let proxy = read.proxy().unwrap();
            proxy.address == "http://proxy:3128/" && proxy.login.as_ref().unwrap().expose_secret() == "u@x:p"
        }),
        (with("insecure-skip-tls-verify: true"), Allowance::InsecureSkipTlsVerify, |read| {
            *read.trust() == Trust::Anybody
        }),
        (
            user("token: t, as: x, as-uid: '7', as-groups: [g], as-user-extra: {k: [v]}"),
            Allowance::Impersonation,
            |read| {
                let auth = read.auth_info();
                (auth.impersonate.as_deref(), auth.impersonate_uid.as_deref()) == (Some("x"), Some("7"))
                    && auth.impersonate_groups == Some(vec!["g".to_owned()])
                    && auth.impersonate_user_extra == Some([("k".to_owned(), vec!["v".to_owned()])].into())
            },
        ),
        (user("username: u, password: p"), Allowance::BasicAuth, |read| {
            let auth = read.auth_info();
            auth.username.as_deref() == Some("u") && auth.password.unwrap().expose_secret() == "p"
        }),
        (one("server: 'http://h:8080'", "token: t"), Allowance::PlainHttp, |read| *read.trust() == Trust::Unneeded),
        (one("server: 'https://h'", "token: t"), Allowance::SystemRoots, |read| *read.trust() == Trust::System),
        (
            user(
                "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/p, args: [a], env: [{name: n, value: v}]}",
            ),
            Allowance::Exec,
            |read| matches!(read.token_source(), Some(Source::Program(_))) && read.auth_info().exec.is_none(),
        ),
        (
            user("tokenFile: /t"),
            Allowance::Files,
            |read| matches!(read.token_source(), Some(Source::File(path)) if path == "/t"),
        ),
        (user("client-certificate: /c, client-key: /k"), Allowance::Files, |read| {
            let auth = read.auth_info();
            (auth.client_certificate.as_deref(), auth.client_key.as_deref()) == (Some("/c"), Some("/k"))
        }),
        (one("server: 'https://h', certificate-authority: /ca", "token: t"), Allowance::Files, |read| {
            *read.trust() == Trust::File("/ca".to_owned())
        }),
    ]
}

#[test]
fn each_thing_is_refused_with_the_flag_that_allows_it_and_allowed_by_that_flag_alone() {
    use clap::ValueEnum as _;
    for (text, allowance, given) in each_allowed() {
        let others: Vec<_> = Allowance::value_variants().iter().copied().filter(|other| *other != allowance).collect();
        for allowances in [&[][..], &others] {
            let told = allowing(&text, allowances).expect_err(&text).to_string();
            assert!(told.contains(&format!("allow it with --kubeconfig-allow={allowance}")), "{told}");
        }
        let read = allowing(&text, &[allowance]).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(given(&read), "{text}");
    }
}

#[test]
fn what_is_allowed_makes_credentials_differ() {
    let mut all: Vec<_> =
        each_allowed().iter().map(|(text, allowance, _)| allowing(text, &[*allowance]).unwrap()).collect();
    all.push(credentials(&one(&good(), "token: t"), None).unwrap());
    let exec = |command: &str| one(&good(), &format!("exec: {{command: {command}}}"));
    all.extend([
        allowing(&exec("/a"), &[Allowance::Exec]).unwrap(),
        allowing(&exec("/b"), &[Allowance::Exec]).unwrap(),
    ]);
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            assert_ne!(one, other);
        }
    }
}

#[test]
fn what_is_allowed_must_still_make_sense_and_is_never_quoted() {
    let every = [
        Allowance::ProxyUrl,
        Allowance::Impersonation,
        Allowance::BasicAuth,
        Allowance::PlainHttp,
        Allowance::Exec,
        Allowance::Files,
    ];
    let good = good();
    let with = |field: &str| one(&format!("{good}, {field}"), "token: t");
    let user = |user: &str| one(&good, user);
    for (text, named) in [
        (with(&format!("proxy-url: 'https://{CANARY}:1'")), "proxy-url"),
        (with(&format!("proxy-url: 'socks5://{CANARY}:1'")), "proxy-url"),
        (with(&format!("proxy-url: 'http://{CANARY}'")), "without a port"),
        (with(&format!("proxy-url: 'http://{CANARY}:%zz@h:1'")), "proxy-url"),
        (with(&format!("proxy-url: '{CANARY}'")), "proxy-url"),
        (user(&format!("username: {CANARY}")), "a password beside the username"),
        (user(&format!("password: {CANARY}")), "a username beside the password"),
        (user(&format!("username: 'a:{CANARY}', password: p")), "colon"),
        (user(&format!("token: t, as-groups: [{CANARY}]")), "`as`"),
        (user(&format!("token: t, as: \"{CANARY}\\nX: y\"")), "impersonation"),
        (user(&format!("token: t, as: x, as-groups: [\"{CANARY}\\r\\nX: y\"]")), "impersonation"),
        (user(&format!("token: \"{CANARY}\\nX: y\"")), "token"),
        (user(&format!("token: '{CANARY}é'")), "token"),
        (user(&format!("tokenFile: {CANARY}")), "not an absolute path"),
        (user(&format!("tokenFile: ../{CANARY}")), "not an absolute path"),
        (user(&format!("tokenFile: \"/{CANARY}\\0\"")), "not an absolute path"),
        (user(&format!("client-certificate: /{CANARY}")), "client-key-data"),
        (user(&format!("client-key: /{CANARY}")), "client-certificate-data"),
        (user(&format!("exec: {{args: [{CANARY}]}}")), "exec"),
        (user(&format!("exec: {{command: {CANARY}, interactiveMode: Always}}")), "exec"),
        (user(&format!("exec: {{command: {CANARY}, provideClusterInfo: true}}")), "exec"),
        (user(&format!("exec: {{command: x, env: [{{name: {CANARY}}}]}}")), "exec"),
        (user(&format!("exec: {{command: x, env: [{{name: 'a={CANARY}', value: v}}]}}")), "exec"),
        (user(&format!("token: t, auth-provider: {{name: gcp, config: {{cmd-path: {CANARY}}}}}")), "auth-provider"),
        (one(&format!("server: 'http://{CANARY}@h'"), "token: t"), "user name"),
    ] {
        let error = allowing(&text, &every).expect_err(&text);
        let told = format!("{error} {error:?}");
        assert!(told.contains(named), "{named} is not named by: {told}");
        assert!(!told.contains(CANARY), "{told}");
    }
}
