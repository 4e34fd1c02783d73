//! What is taken from a kubeconfig, what is refused, and that no word of it ever shows.

use base64::Engine as _;
use secrecy::ExposeSecret as _;

use super::{
    kubeconfig::{KubeconfigError, contexts, credentials},
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

fn good() -> String {
    format!("server: 'https://h:6443', certificate-authority-data: {CA}")
}

#[test]
fn a_token_and_a_ca_are_enough() {
    let read = credentials(&one(&good(), "token: t0ken"), None).unwrap();
    assert_eq!(read.server().to_string(), "https://h:6443/");
    assert_eq!(read.authorities().len(), 1);
    assert_eq!(read.token().unwrap().expose_secret(), "t0ken");
    assert!(read.certificate().is_none());
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
