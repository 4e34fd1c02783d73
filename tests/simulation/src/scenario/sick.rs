//! A worker that is not well, in every way that is known: each is told within fifteen seconds in a condition of its
//! registration, and nobody else waits for it meanwhile.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::tools::{
    A_WHILE, ask_to_unregister, begin, begin_beside_the_third, drop_secret, observed, pod, register_with, remove, says,
    standing, state, things, three, touch, unregister, unregister_by_force, until_ready, untouched, why, within,
};
use crate::{
    kubeconfigs::{altered, crowded},
    link::{Power, Way},
    lives::Replica,
    stage::{
        Load, Stage, Worthless,
        people::{People, Wanted},
    },
    tape::Site,
};

/// How soon trouble is told.
const SOON: Duration = Duration::from_secs(15);
/// How soon an edit of a database elsewhere is taken up.
const BRISKLY: Duration = Duration::from_secs(1);

/// A database over all workers, and another one that the second worker has nothing to do with.
async fn begin_with_two(stage: &impl Stage) -> [Site; 3] {
    begin(stage).await;
    let [w1, w2, w3] = three(stage);
    stage.run(&Wanted::named("a")).await;
    stage.run(&Wanted::named("b").of(2).within(&[&w1, &w3])).await;
    [w1, w2, w3]
}

/// One way not to be well, and the condition that tells it.
struct Sick<'a> {
    what: &'static str,
    kind: &'static str,
    reasons: &'a [&'static str],
}

impl Sick<'_> {
    fn unreachable(what: &'static str) -> Self {
        Self { what, kind: "Reachable", reasons: &["Unreachable", "Overloaded"] }
    }

    /// Told soon, while an edit elsewhere is taken up at once.
    async fn is_told(&self, stage: &impl Stage, site: &str, cpu: &str) -> String {
        let Self { what, kind, reasons } = self;
        let begun = Instant::now();
        touch(stage, "b", cpu).await;
        within(stage, BRISKLY, &format!("{what}: an edit elsewhere is seen"), async || observed(stage, "b").await)
            .await;
        let edited = begun.elapsed();
        let told = async || reasons.contains(&&*stage.worker_condition(site, kind).await.1);
        within(stage, SOON, &format!("{what}: {kind} tells one of {reasons:?}"), told).await;
        let told = begun.elapsed();
        let (status, reason, message) = stage.worker_condition(site, kind).await;
        assert!(!message.is_empty(), "{what}: it is told why");
        stage.measured(&format!(
            "{what}: {kind}={status} {reason} after {:.1} s; an edit elsewhere was seen after {:.2} s",
            told.as_secs_f64(),
            edited.as_secs_f64()
        ));
        message
    }
}

/// Rows 1, 2, 5, 12.
pub async fn a_worker_that_does_not_answer_is_told_within_fifteen_seconds(stage: &impl Stage) {
    let [_, w2, _] = begin_with_two(stage).await;
    let before = standing(stage, "a").await;
    let ways = [
        ("connections are refused", Way::Refused),
        ("packets vanish", Way::BlackHole),
        ("the API server is paused", Way::Asleep),
        ("answers vanish", Way::OneWay),
        ("answers come too late", Way::Slow(Duration::from_secs(8))),
    ];
    for (number, (what, way)) in ways.into_iter().enumerate() {
        stage.way(&w2, way).await;
        Sick::unreachable(what).is_told(stage, &w2, &format!("{}m", 110 + number)).await;
        let unknown = async || state(stage, "a", 1).await == "Unknown";
        within(stage, SOON, &format!("{what}: its member is unknown"), unknown).await;
        assert_eq!(stage.phase("a").await, "Abnormal", "{what}");
        stage.way(&w2, Way::Open).await;
        until_well(stage, &w2).await;
        stage.until_phase("a", "Running").await;
    }
    stage.power(&w2, Power::Off).await;
    Sick::unreachable("the API server is dead").is_told(stage, &w2, "120m").await;
    // Dead before the start.
    stage.crash(Replica(0)).await;
    touch(stage, "b", "121m").await;
    stage.until("the next life has begun", async || observed(stage, "b").await).await;
    Sick::unreachable("the API server was dead before the start").is_told(stage, &w2, "122m").await;
    stage.power(&w2, Power::On).await;
    until_well(stage, &w2).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

async fn until_well(stage: &impl Stage, site: &Site) {
    until_ready(stage, site).await;
    let well = async || stage.worker_condition(site, "Reachable").await.0 == "True";
    stage.until(&format!("{site} answers"), well).await;
}

/// Rows 23, 24, 27.
pub async fn a_kubeconfig_that_cannot_be_used_is_told_within_fifteen_seconds(stage: &impl Stage) {
    let [_, w2, _] = begin_with_two(stage).await;
    let before = standing(stage, "a").await;
    let good = stage.kubeconfig(&w2);
    let user = |words: &str| user_of(&good, words);
    let invalid = |what| Sick { what, kind: "CredentialsCurrent", reasons: &["InvalidKubeconfig"] };
    let texts = [
        (invalid("garbage"), "{do-not-quote-me: [unclosed".to_owned()),
        (invalid("nothing"), String::new()),
        (invalid("a megabyte"), "# do-not-quote-me\n".repeat(55_000)),
        (
            invalid("a program"),
            user("exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/do-not-quote-me}"),
        ),
        (invalid("a file"), user("tokenFile: /do-not-quote-me")),
    ];
    for (number, (sick, text)) in texts.into_iter().enumerate() {
        stage.put_kubeconfig(&w2, &text).await;
        let message = sick.is_told(stage, &w2, &format!("{}m", 110 + number)).await;
        assert!(!message.contains("do-not-quote-me"), "{}: {message}", sick.what);
        assert_eq!(stage.worker_condition(&w2, "Ready").await.0, "True", "{}: what it had serves on", sick.what);
        stage.put_kubeconfig(&w2, &good).await;
        let current = async || stage.worker_condition(&w2, "CredentialsCurrent").await.0.is_empty();
        within(stage, SOON, &format!("{}: the good one is taken again", sick.what), current).await;
    }
    stage.put_kubeconfig(&w2, &crowded(&good)).await;
    stage
        .stays("one context of five hundred is chosen", Duration::from_secs(12), async || {
            stage.worker_condition(&w2, "CredentialsCurrent").await.0.is_empty()
        })
        .await;
    drop_secret(stage, &w2).await;
    let gone = Sick { what: "the Secret is deleted", kind: "CredentialsCurrent", reasons: &["SecretNotFound"] };
    says(&gone.is_told(stage, &w2, "120m").await, "create it");
    stage.put_kubeconfig(&w2, &good).await;
    until_well(stage, &w2).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Rows 16, 17, 21, 28.
pub async fn a_worker_that_is_another_cluster_is_told_within_fifteen_seconds(stage: &impl Stage) {
    let [_, w2, w3] = begin_with_two(stage).await;
    let before = standing(stage, "a").await;
    let good = stage.kubeconfig(&w2);
    stage.say(&format!("the kubeconfig of {w2} leads to {w3}"));
    stage.put_kubeconfig(&w2, &stage.kubeconfig(&w3)).await;
    let elsewhere =
        Sick { what: "the kubeconfig leads elsewhere", kind: "CredentialsCurrent", reasons: &["IdentityChanged"] };
    says(&elsewhere.is_told(stage, &w2, "110m").await, "another cluster");
    stage.put_kubeconfig(&w2, &good).await;
    stage.register_as(&w2, "twin").await;
    let twice = Sick { what: "a cluster has two names", kind: "IdentityVerified", reasons: &["DuplicateOf"] };
    says(&twice.is_told(stage, "twin", "111m").await, &w2);
    stage.register_as(&stage.master(), "home").await;
    let ready = async || stage.worker_condition("home", "Ready").await.0 == "True";
    within(stage, SOON, "the master is served by its own client", ready).await;
    untouched(stage, "a", &before).await;
    stage.rebuild(&w2).await;
    let another = Sick { what: "it was rebuilt empty", kind: "IdentityVerified", reasons: &["IdentityChanged"] };
    says(&another.is_told(stage, &w2, "112m").await, "atoll.dev/accept-identity=");
    let unknown = async || state(stage, "a", 1).await == "Unknown";
    within(stage, SOON, "its member is unknown", unknown).await;
    stage.stays("what is not there is not proved gone", A_WHILE, unknown).await;
}

/// Row 6.
pub async fn a_worker_that_has_too_much_to_do_is_told_within_fifteen_seconds(stage: &impl Stage) {
    let [_, w2, _] = begin_with_two(stage).await;
    let before = standing(stage, "a").await;
    stage.load(&w2, Load::TooMuch).await;
    let busy = Sick { what: "429, to come again in an hour", kind: "Reachable", reasons: &["Overloaded"] };
    says(&busy.is_told(stage, &w2, "110m").await, "429");
    stage.load(&w2, Load::Bearable).await;
    until_well(stage, &w2).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Rows 23, 26.
pub async fn credentials_that_are_worth_nothing_are_told_within_fifteen_seconds(stage: &impl Stage) {
    let [_, w2, _] = begin_with_two(stage).await;
    let before = standing(stage, "a").await;
    let good = stage.kubeconfig(&w2);
    for (number, Worthless { what, text, reason }) in stage.worthless(&w2).into_iter().enumerate() {
        // While others serve.
        stage.put_kubeconfig(&w2, &text).await;
        let reasons = &[reason];
        Sick { what, kind: "CredentialsCurrent", reasons }.is_told(stage, &w2, &format!("{}m", 110 + number)).await;
        assert_eq!(stage.worker_condition(&w2, "Ready").await.0, "True", "{what}: what it had serves on");
        stage.put_kubeconfig(&w2, &good).await;
        let current = async || stage.worker_condition(&w2, "CredentialsCurrent").await.0.is_empty();
        within(stage, SOON, &format!("{what}: the good one is taken again"), current).await;
        // From the beginning.
        let name = format!("never-{number}");
        register_with(stage, &name, &text).await;
        let told = async || stage.worker_condition(&name, "Ready").await.1 == reason;
        within(stage, SOON, &format!("{what}: {reason} is told of {name}"), told).await;
        unregister(stage, &name).await;
    }
    let lent = stage.lend(&w2).await;
    stage.put_kubeconfig(&w2, &lent).await;
    stage.sleep(A_WHILE).await;
    assert_eq!(stage.worker_condition(&w2, "CredentialsCurrent").await.0, "", "the other token is in use");
    stage.revoke(&w2).await;
    let revoked = Sick { what: "its token is revoked", kind: "Authorized", reasons: &["Unauthorized"] };
    says(&revoked.is_told(stage, &w2, "120m").await, "renew");
    let unknown = async || state(stage, "a", 1).await == "Unknown";
    within(stage, SOON, "its member is unknown", unknown).await;
    stage.put_kubeconfig(&w2, &good).await;
    let ready = async || stage.worker_condition(&w2, "Ready").await.0 == "True";
    within(stage, SOON, "the good one is taken without a restart", ready).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// Row 20.
pub async fn a_worker_restored_from_a_backup_is_told_within_fifteen_seconds(stage: &impl Stage) {
    let [_, w2, _] = begin_with_two(stage).await;
    let backup = stage.back_up(&w2).await;
    remove::<Pod>(stage, &w2, &pod("a", 1)).await;
    stage.until("the pod is made again", async || standing(stage, "a").await.len() == 6).await;
    stage.until_phase("a", "Running").await;
    stage.restore(&w2, &backup).await;
    let restored =
        Sick { what: "its etcd was restored from a backup", kind: "RestoredFromBackup", reasons: &["HistoryWentBack"] };
    says(&restored.is_told(stage, &w2, "110m").await, "history went back");
    until_well(stage, &w2).await;
    stage.until_phase("a", "Running").await;
    // The next process has not seen it, and goes on telling it.
    stage.crash(Replica(0)).await;
    touch(stage, "b", "111m").await;
    stage.until("the next life has begun", async || observed(stage, "b").await).await;
    until_well(stage, &w2).await;
    assert_eq!(stage.worker_condition(&w2, "RestoredFromBackup").await.0, "True");
}

/// Rows 18, 19.
pub async fn a_registration_that_goes_or_comes_anew_is_told_within_fifteen_seconds(stage: &impl Stage) {
    let [w1, w2, w3] = three(stage);
    let before = begin_beside_the_third(stage).await;
    stage.run(&Wanted::named("b").of(1).within(&[&w1])).await;
    ask_to_unregister(stage, &w2).await;
    let held = Sick { what: "its registration is deleted in use", kind: "Deletable", reasons: &["InUse"] };
    says(&held.is_told(stage, &w2, "110m").await, "default/a");
    unregister_by_force(stage, &w2).await;
    touch(stage, "b", "111m").await;
    within(stage, BRISKLY, "an edit elsewhere is seen", async || observed(stage, "b").await).await;
    let begun = Instant::now();
    stage.register_as(&w3, &w2).await;
    let told = async || why(stage, "a", 1).await.contains("another cluster");
    within(stage, SOON, "the database says that it is another cluster", told).await;
    stage.measured(&format!("made anew for another cluster: told after {:.1} s", begun.elapsed().as_secs_f64()));
    assert_eq!(state(stage, "a", 1).await, "Unknown");
    let nothing = async || things(stage, &w3, "a").await.is_empty();
    stage.stays("its members are not made in the other cluster", A_WHILE, nothing).await;
    unregister_by_force(stage, &w2).await;
    stage.register(&w2).await;
    stage.until_phase("a", "Running").await;
    untouched(stage, "a", &before).await;
}

/// A kubeconfig with another user.
fn user_of(kubeconfig: &str, words: &str) -> String {
    altered(kubeconfig, |found| {
        found["users"][0]["user"] = serde_saphyr::from_str(&format!("{{{words}}}")).expect("a user");
    })
}
