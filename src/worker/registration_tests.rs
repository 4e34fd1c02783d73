//! From `K8sCluster`s and Secrets to registrations, and from contexts to `K8sCluster`s.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::{
    allowances::Allowances,
    contexts::{Contexts, MADE_FROM, Step, cluster, steps},
    registration::{Access, SecretNamespaces, SecretState, registration},
    testing::kubeconfig,
};
use crate::{
    dialect::k8scluster::crd::K8sCluster,
    plan::{
        name::{Namespace, ObjectName, Uid, WorkerName},
        terms::{Duty, Tenants, Terms},
    },
};

fn k8s_cluster(spec: Value) -> K8sCluster {
    serde_json::from_value(json!({
        "apiVersion": "k8s.oceanbase.com/v1alpha1", "kind": "K8sCluster", "spec": spec,
        "metadata": { "name": "k8s-remote", "uid": "u", "annotations": { "atoll.dev/accept-identity": " new " } },
        "status": { "conditions": [], "identity": "pinned" }
    }))
    .unwrap()
}

fn namespaces() -> SecretNamespaces {
    SecretNamespaces { own: Namespace::from("atoll"), listed: [Namespace::from("shared")].into() }
}

fn secret(text: &str) -> SecretState {
    SecretState::Read([("kubeconfig".to_owned(), ByteString(text.as_bytes().to_vec()))].into())
}

fn refusal(spec: Value, secret: &SecretState) -> (&'static str, String) {
    match registration(&k8s_cluster(spec), &namespaces(), secret, &Allowances::default()).access {
        Access::Refused(trouble) => (trouble.reason(), trouble.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_inline_kubeconfig_registers_by_name_and_by_context() {
    let spec = json!({ "name": "remote", "kubeConfig": kubeconfig(&["ctx"], "t"), "clusterDomain": "one.local" });
    let read = registration(&k8s_cluster(spec), &namespaces(), &SecretState::Unread, &Allowances::default());
    assert!(matches!(read.access, Access::Credentials(_)));
    assert_eq!(read.name.as_str(), "k8s-remote");
    assert_eq!(read.aliases, ["remote", "ctx"]);
    assert_eq!(read.domain.as_deref(), Some("one.local"));
    assert_eq!(read.pinned, Some(Uid::from("pinned")));
    assert_eq!(read.accepted, Some(Uid::from("new")));
}

#[test]
fn a_spec_says_on_what_terms_members_are_taken() {
    let read = |spec: Value| {
        registration(&k8s_cluster(spec), &namespaces(), &SecretState::Unread, &Allowances::default()).terms
    };
    assert_eq!(read(json!({ "name": "w" })), Terms::default());
    let unavailable = Duty::Unavailable { since: None };
    for (spec, duty) in [
        (json!({ "name": "w", "unschedulable": true }), Duty::NoNewMembers),
        (json!({ "name": "w", "unavailable": true }), unavailable),
        (json!({ "name": "w", "unavailable": true, "unschedulable": true }), unavailable),
        (json!({ "name": "w", "unavailable": false, "unschedulable": false }), Duty::Serving),
    ] {
        assert_eq!(read(spec.clone()).duty, duty, "{spec}");
    }
    let only = |names: &[&str]| Tenants::Only(names.iter().map(|name| Namespace::from(*name)).collect());
    for (allowed, tenants) in [(json!([]), only(&[])), (json!(["a", "b"]), only(&["a", "b"]))] {
        assert_eq!(read(json!({ "name": "w", "allowedNamespaces": allowed })).tenants, tenants);
    }
    let mapped = read(json!({ "name": "w", "namespaceMapping": { "a": "tenant-a", "b": "" } })).namespaces;
    assert_eq!(mapped, [(Namespace::from("a"), Namespace::from("tenant-a"))].into());
}

#[test]
fn a_mark_is_as_old_as_the_api_server_says() {
    let mut cluster = k8s_cluster(json!({ "name": "w", "unavailable": true }));
    let entry = |manager: &str, time: &str, fields: Value| {
        json!({ "manager": manager, "operation": "Update", "apiVersion": "v1", "time": time, "fieldsType": "FieldsV1",
            "fieldsV1": fields })
    };
    let entries = json!([
        entry("kubectl", "2026-01-01T00:00:00Z", json!({ "f:spec": { "f:name": {} } })),
        entry("atoll-worker-mark", "2026-01-01T01:00:00Z", json!({ "f:spec": { "f:unavailable": {} } })),
    ]);
    cluster.metadata.managed_fields = serde_json::from_value(entries).unwrap();
    let since = registration(&cluster, &namespaces(), &SecretState::Unread, &Allowances::default()).terms.duty;
    assert_eq!(since, Duty::Unavailable { since: Some("2026-01-01T01:00:00Z".parse().unwrap()) });
}

#[test]
fn the_placeholder_of_the_document_is_an_invalid_kubeconfig_and_is_not_quoted() {
    let text = "<Your K8s credential> # Typically you can found it in ~/.kube/config\n";
    let (reason, message) = refusal(json!({ "name": "remote", "kubeConfig": text }), &SecretState::Unread);
    assert_eq!(reason, "InvalidKubeconfig");
    assert!(message.contains("kubectl config view --raw") && !message.contains("credential>"), "{message}");
}

#[test]
fn a_secret_is_waited_for_then_used_and_its_absence_is_told() {
    let spec = json!({ "name": "r", "kubeConfigSecretRef": { "name": "s", "context": "b" } });
    let access = |state: &SecretState| {
        registration(&k8s_cluster(spec.clone()), &namespaces(), state, &Allowances::default()).access
    };
    assert_eq!(access(&SecretState::Unread), Access::Pending);
    assert!(
        matches!(access(&secret(&kubeconfig(&["a", "b"], "t"))), Access::Credentials(found) if found.context() == "b")
    );
    assert_eq!(
        refusal(spec.clone(), &SecretState::Absent),
        ("SecretNotFound", "Secret atoll/s does not exist: create it".to_owned())
    );
    assert_eq!(refusal(spec.clone(), &SecretState::Read(BTreeMap::new())).0, "SecretNotFound");
    assert_eq!(refusal(spec.clone(), &SecretState::Unreadable("forbidden".to_owned())).0, "SecretNotFound");
    assert_eq!(refusal(spec.clone(), &secret(&kubeconfig(&["a"], "t"))).0, "ContextNotFound");
    assert_eq!(refusal(spec, &secret("x: [")).0, "InvalidKubeconfig");
}

#[test]
fn secrets_elsewhere_are_not_read_unless_their_namespace_is_listed() {
    let spec = |namespace: &str| json!({ "name": "r", "kubeConfigSecretRef": { "namespace": namespace, "name": "s" } });
    assert_eq!(refusal(spec("kube-system"), &SecretState::Unread).0, "SecretNotPermitted");
    let read = registration(&k8s_cluster(spec("shared")), &namespaces(), &SecretState::Unread, &Allowances::default());
    assert_eq!(read.access, Access::Pending);
}

#[test]
fn no_kubeconfig_and_two_of_them_are_both_said() {
    assert_eq!(refusal(json!({ "name": "r" }), &SecretState::Unread).0, "InvalidKubeconfig");
    let both = json!({ "name": "r", "kubeConfig": "x", "kubeConfigSecretRef": { "name": "s" } });
    assert!(refusal(both, &SecretState::Unread).1.contains("both"));
}

fn contexts(only: &[&str]) -> Contexts {
    Contexts::new("kb-system/clusters", only.iter().map(|&name| name.to_owned()), &Namespace::from("atoll"))
}

fn made(names: &[&str]) -> BTreeMap<WorkerName, K8sCluster> {
    names
        .iter()
        .map(|&name| {
            let mut cluster = cluster(&WorkerName::from(name), name, &contexts(&[]).secret);
            cluster.metadata.uid = Some(format!("uid-{name}"));
            (WorkerName::from(name), cluster)
        })
        .collect()
}

fn create(name: &str) -> Step {
    Step::Create(WorkerName::from(name), name.to_owned())
}

const UNUSED: fn(&WorkerName) -> bool = |_| false;

#[test]
fn the_flags_name_a_secret_with_or_without_its_namespace() {
    let own = Namespace::from("atoll");
    let here = Contexts::new("s", [" a".to_owned(), String::new(), "a ".to_owned()], &own);
    assert_eq!((here.secret.namespace, here.secret.name), (own, ObjectName::from("s")));
    assert_eq!(here.only, ["a"]);
    assert_eq!(contexts(&[]).secret.to_string(), "kb-system/clusters");
}

#[test]
fn every_context_becomes_a_registration_and_none_is_made_twice() {
    let state = secret(&kubeconfig(&["k8s-1", "k8s-2"], "t"));
    let first = steps(&contexts(&[]), &state, &BTreeMap::new(), &UNUSED);
    assert_eq!(first.steps, [create("k8s-1"), create("k8s-2")]);
    let second = steps(&contexts(&[]), &state, &made(&["k8s-1", "k8s-2"]), &UNUSED);
    assert_eq!(second, super::contexts::Steps::default());
}

#[test]
fn a_context_that_goes_takes_its_registration_along_unless_it_is_in_use() {
    let state = secret(&kubeconfig(&["k8s-1"], "t"));
    let gone = steps(&contexts(&[]), &state, &made(&["k8s-1", "k8s-2"]), &UNUSED);
    assert_eq!(gone.steps, [Step::Delete(WorkerName::from("k8s-2"), Uid::from("uid-k8s-2"))]);
    let held = steps(&contexts(&[]), &state, &made(&["k8s-1", "k8s-2"]), &|name| name.as_str() == "k8s-2");
    assert_eq!((held.steps, held.held), (vec![], vec![WorkerName::from("k8s-2")]));
}

#[test]
fn nothing_is_removed_while_the_secret_cannot_be_read() {
    let unreadable = SecretState::Unreadable("timeout".to_owned());
    for state in [SecretState::Absent, unreadable, secret("x: ["), SecretState::Read(BTreeMap::new())] {
        let told = steps(&contexts(&[]), &state, &made(&["k8s-1"]), &UNUSED);
        assert!(told.steps.is_empty() && told.trouble.is_some());
    }
}

#[test]
fn a_listed_context_is_registered_even_if_the_secret_lacks_it_and_an_unlisted_one_is_not() {
    let state = secret(&kubeconfig(&["k8s-1", "k8s-2"], "t"));
    let told = steps(&contexts(&["k8s-1", "k8s-9"]), &state, &BTreeMap::new(), &UNUSED);
    assert_eq!(told.steps, [create("k8s-1"), create("k8s-9")]);
}

#[test]
fn what_a_person_made_is_never_touched() {
    let mut existing = made(&["k8s-1", "k8s-2"]);
    for cluster in existing.values_mut() {
        cluster.metadata.annotations.as_mut().unwrap().remove(MADE_FROM);
        cluster.spec.kube_config_secret_ref = None;
    }
    let told = steps(&contexts(&[]), &secret(&kubeconfig(&["k8s-1"], "t")), &existing, &UNUSED);
    assert_eq!((told.steps, told.taken), (vec![], vec![WorkerName::from("k8s-1")]));
}

#[test]
fn another_secret_on_the_command_line_re_points_what_was_made() {
    let other = Contexts::new("kb-system/other", [], &Namespace::from("atoll"));
    let told = steps(&other, &secret(&kubeconfig(&["k8s-1"], "t")), &made(&["k8s-1"]), &UNUSED);
    assert_eq!(told.steps, [Step::Point(WorkerName::from("k8s-1"), "k8s-1".to_owned())]);
}
