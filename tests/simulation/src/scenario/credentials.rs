//! Kubeconfigs and the Secrets that hold them: broken, hostile, expired, gone.

use std::time::Duration;

use apiserver::{Account, Rights};
use k8s_openapi::api::core::v1::Pod;

use super::tools::{
    begin, drop_secret, everything, nothing_is_left, pod, register_with, remove, says, standing, state, three,
    until_ready, until_state, until_told, until_worker, untouched, within,
};
use crate::{
    kubeconfigs::kubeconfig,
    lives::Replica,
    stage::{
        Simulated, Stage,
        people::{People, Wanted},
    },
};

/// What must not be quoted by anybody.
const SECRET: &str = "do-not-quote-me";

/// Row 23.
pub async fn a_kubeconfig_that_makes_no_sense_is_refused_in_words(stage: &impl Stage) {
    let [w1, w2, w3] = three(stage);
    stage.start(Replica(0)).await;
    stage.register(&w1).await;
    stage.register(&w2).await;
    stage.register(&w3).await;
    until_ready(stage, &w3).await;
    stage.run(&Wanted::named("a")).await;
    let contexts: Vec<_> = (0..500).map(|n| format!("- name: c{n}\n  context: {{cluster: c, user: u}}\n")).collect();
    let contexts = contexts.concat();
    let garbage = [
        String::new(),
        format!("{{{SECRET}: [unclosed"),
        format!("\0\0{SECRET}"),
        "aGVsbG8=".to_owned(),
        format!("{SECRET}\n").repeat(50_000),
        format!("apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\nnote: {SECRET}\n"),
        format!("apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts:\n{contexts}"),
        format!("apiVersion: v1\nkind: Config\ncurrent-context: {SECRET}\nclusters: []\nusers: []\ncontexts: []\n"),
    ];
    for (number, text) in garbage.iter().enumerate() {
        stage.put_kubeconfig(&w2, text).await;
        let refused = async || {
            let (status, reason, message) = stage.worker_condition(&w2, "CredentialsCurrent").await;
            assert!(!message.contains(SECRET), "the content is quoted: {message}");
            status == "False" && matches!(&*reason, "InvalidKubeconfig" | "ContextNotFound")
        };
        stage.until(&format!("garbage {number} is refused"), refused).await;
        assert_eq!(stage.worker_condition(&w2, "Ready").await.0, "True", "the connection from before serves on");
        stage.put_kubeconfig(&w2, &stage.kubeconfig(&w2)).await;
        let well = async || stage.worker_condition(&w2, "CredentialsCurrent").await.0.is_empty();
        stage.until("the credentials are current again", well).await;
    }
    assert_eq!(stage.phase("a").await, "Running");
    // Nobody was ever in: there is nothing to serve on.
    register_with(stage, "new", &garbage[1]).await;
    let message = until_worker(stage, "new", "Ready", "False", "InvalidKubeconfig").await;
    assert!(!message.contains(SECRET), "the content is quoted: {message}");
}

/// Row 24.
pub async fn a_kubeconfig_that_would_run_or_read_something_is_refused(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    for (number, (cluster, user, words)) in [
        ("", "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, args: [do-not-quote-me]}", "exec"),
        ("", "auth-provider: {name: gcp, config: {cmd-path: /bin/sh}}", "auth-provider"),
        ("", "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token", "tokenFile"),
        ("", "client-certificate: /etc/passwd, client-key: /etc/passwd", "client-certificate"),
        ("certificate-authority: /etc/passwd", "token: do-not-quote-me", "certificate-authority"),
        ("insecure-skip-tls-verify: true", "token: do-not-quote-me", "insecure-skip-tls-verify"),
        ("proxy-url: \"http://169.254.169.254\"", "token: do-not-quote-me", "proxy-url"),
        ("", "username: admin, password: do-not-quote-me", "username"),
        ("", "token: do-not-quote-me, as: system:admin", "impersonation"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("hostile-{number}");
        let authority = if cluster.starts_with("certificate") { "" } else { CERTIFICATE };
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: \
             \"https://203.0.113.1\", {authority}{cluster}}}\nusers:\n- name: u\n  user: {{{user}}}\ncontexts:\n- name: c\n  \
             context: {{cluster: c, user: u}}\n"
        );
        register_with(stage, &name, &kubeconfig).await;
        let message = until_worker(stage, &name, "Ready", "False", "InvalidKubeconfig").await;
        says(&message, words);
        assert!(!message.contains(SECRET), "the content is quoted: {message}");
    }
    assert_eq!(stage.phase("a").await, "Running");
}

/// Row 25.
pub async fn a_kubeconfig_that_leads_into_the_operators_own_network_is_not_dialled(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    for (number, address) in
        ["169.254.169.254", "[fe80::1]", "0.0.0.0", "[::ffff:169.254.169.254]"].into_iter().enumerate()
    {
        let name = format!("inward-{number}");
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: \
             \"https://{address}\", {CERTIFICATE}}}\nusers:\n- name: u\n  user: {{token: do-not-quote-me}}\ncontexts:\n- \
             name: c\n  context: {{cluster: c, user: u}}\n"
        );
        register_with(stage, &name, &kubeconfig).await;
        let message = until_worker(stage, &name, "Ready", "False", "AddressRefused").await;
        says(&message, "is not dialled");
        assert!(!message.contains(SECRET), "the content is quoted: {message}");
    }
    assert_eq!(stage.phase("a").await, "Running");
}

/// A certificate that nobody checks, for a kubeconfig that is refused for something else.
const CERTIFICATE: &str = "certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BTUNBUUU9Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K, ";

/// Row 26.
pub async fn credentials_that_expired_are_told_and_new_ones_are_taken_without_a_restart(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let [_, w2, _] = three(stage);
    stage.fault("credentials", &format!("the token of {w2} expires"));
    stage.server(&w2).revoke(&stage.token(&w2));
    let message = until_worker(stage, &w2, "Ready", "False", "Unauthorized").await;
    says(&message, "renew");
    until_state(stage, "a", 1, "Unknown").await;
    untouched(stage, "a", &before).await;
    stage.renew_token(&w2);
    stage.put_kubeconfig(&w2, &stage.kubeconfig(&w2)).await;
    let ready = async || stage.worker_condition(&w2, "Ready").await.0 == "True";
    within(stage, Duration::from_secs(30), "the new token is used", ready).await;
    stage.until_phase("a", "Running").await;
    // Changed in good time, nobody notices.
    let former = stage.token(&w2);
    stage.renew_token(&w2);
    stage.put_kubeconfig(&w2, &stage.kubeconfig(&w2)).await;
    stage.sleep(Duration::from_secs(5)).await;
    stage.server(&w2).revoke(&former);
    stage.stays("the worker is ready", Duration::from_mins(1), ready).await;
    untouched(stage, "a", &before).await;
}

/// Row 26: 403 is not "absent".
pub async fn rights_that_were_taken_away_prove_nothing_gone(stage: &Simulated) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [_, w2, _] = three(stage);
    stage.fault("credentials", &format!("Atoll's account in {w2} loses its rights"));
    let powerless = Account { user: "atoll".to_owned(), rights: Rights::Rules(Vec::new()), expires: None };
    stage.server(&w2).account(&stage.token(&w2), powerless);
    until_worker(stage, &w2, "Ready", "False", "Forbidden").await;
    until_state(stage, "a", 1, "Unknown").await;
    stage.delete("a").await;
    says(&until_told(stage, "a", "Deletable", "False", "ObjectsLeft").await, &pod("a", 1));
    stage.stays("the resource is held", Duration::from_mins(1), async || stage.database("a").await.is_some()).await;
    assert!(!everything(stage, "a").await.is_empty());
    stage.accept_token(&w2);
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
}

/// Row 27.
pub async fn a_secret_that_is_gone_or_empty_cuts_nobody_off(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let [w1, ..] = three(stage);
    drop_secret(stage, &w1).await;
    let message = until_worker(stage, &w1, "CredentialsCurrent", "False", "SecretNotFound").await;
    says(&message, &format!("kubeconfig-{w1}"));
    assert_eq!(stage.worker_condition(&w1, "Ready").await.0, "True");
    // It is still worked with.
    remove::<Pod>(stage, &w1, &pod("a", 0)).await;
    let back = async || standing(stage, "a").await.len() == 6;
    stage.until("the pod is made again", back).await;
    stage.until_phase("a", "Running").await;
    stage.put_kubeconfig(&w1, "").await;
    until_worker(stage, &w1, "CredentialsCurrent", "False", "InvalidKubeconfig").await;
    assert_eq!(state(stage, "a", 0).await, "Ready");
    // A restart has no client from before: then it is unknown, and nothing is believed gone.
    stage.crash(Replica(0)).await;
    until_worker(stage, &w1, "Ready", "False", "InvalidKubeconfig").await;
    until_state(stage, "a", 0, "Unknown").await;
    assert_eq!(stage.phase("a").await, "Abnormal");
    stage.put_kubeconfig(&w1, &stage.kubeconfig(&w1)).await;
    until_ready(stage, &w1).await;
    stage.until_phase("a", "Running").await;
}

/// Row 26, from the beginning: a token that was never worth anything.
pub async fn a_token_that_is_worth_nothing_is_told_and_replaced_while_all_runs(stage: &Simulated) {
    let [w1, ..] = three(stage);
    stage.start(Replica(0)).await;
    register_with(stage, &w1, &kubeconfig(&w1, &format!("canary-{w1}-token-worthless"))).await;
    until_worker(stage, &w1, "Ready", "False", "Unauthorized").await;
    stage.put_kubeconfig(&w1, &stage.kubeconfig(&w1)).await;
    let ready = async || stage.worker_condition(&w1, "Ready").await.0 == "True";
    within(stage, Duration::from_secs(30), "the good token is used", ready).await;
}
