//! What is refused, and how often it is said.

use super::*;

fn pods(spec: Value) -> Value {
    let mut spec = spec;
    spec["template"]["spec"] = json!({ "restartPolicy": "OnFailure", "containers": [{ "name": "c", "image": "i" }] });
    json!({ "spec": spec })
}

fn volume(changed: Value) -> Value {
    let mut spec =
        json!({ "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/x" } });
    merge_patch(&mut spec, &changed);
    json!({ "spec": spec })
}

fn claim(from: Value) -> Value {
    let mut spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    merge_patch(&mut spec, &from);
    json!({ "spec": spec })
}

#[test]
fn objects_that_make_no_sense_are_refused() {
    let taint = |taint: Value| json!({ "spec": { "taints": [taint] } });
    let hard = |name: &str, amount: &str| json!({ "spec": { "hard": { name: amount } } });
    let rule = |rule: Value| pods(json!({ "podFailurePolicy": { "rules": [rule] } }));
    for (kind, object, told) in [
        ("Node", taint(json!({ "key": "a", "effect": "x" })), "metadata.taints[0].effect: Unsupported value: \"x\""),
        ("Node", json!({ "spec": { "podCIDR": "x" } }), "spec.podCIDRs[0]: Invalid value: \"x\": must be a valid CIDR"),
        (
            "ResourceQuota",
            hard("many", "1"),
            "spec.hard[many]: Invalid value: \"many\": must be a standard resource type",
        ),
        (
            "ResourceQuota",
            hard("count/pods", "1.5"),
            "spec.hard[count/pods]: Invalid value: \"1500m\": must be an integer",
        ),
        (
            "ResourceQuota",
            hard("pods", "-1"),
            "spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0",
        ),
        (
            "ResourceQuota",
            json!({ "spec": { "scopes": ["x"] } }),
            "spec.scopes: Invalid value: [\"x\"]: unsupported scope",
        ),
        ("PersistentVolume", volume(json!({ "hostPath": null })), "spec: Required value: must specify a volume type"),
        ("PersistentVolume", volume(json!({ "capacity": null })), "spec.capacity: Required value"),
        (
            "PersistentVolume",
            volume(json!({ "nfs": { "server": "a", "path": "/" } })),
            "spec.nfs: Forbidden: may not specify",
        ),
        (
            "PersistentVolumeClaim",
            claim(json!({ "dataSourceRef": { "kind": "Foo", "name": "a" } })),
            "spec.dataSource: Invalid value: \"Foo\": must be 'PersistentVolumeClaim'",
        ),
        (
            "Namespace",
            json!({ "spec": { "finalizers": ["x"] } }),
            "spec.finalizers: Invalid value: \"x\": name is neither",
        ),
        (
            "Job",
            rule(json!({ "action": "Ignore" })),
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of",
        ),
        (
            "Job",
            rule(json!({ "action": "FailIndex", "onExitCodes": { "operator": "In", "values": [1] } })),
            "spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex",
        ),
        (
            "Job",
            pods(json!({ "maxFailedIndexes": 1 })),
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes",
        ),
        ("Job", pods(json!({ "podReplacementPolicy": "x" })), "spec.podReplacementPolicy: Unsupported value: \"x\""),
        (
            "PodDisruptionBudget",
            json!({ "spec": { "minAvailable": 1, "maxUnavailable": "5%" } }),
            "spec: Invalid value: {\"MinAvailable\":1,\"Selector\":null,\"MaxUnavailable\":\"5%\",",
        ),
    ] {
        let mut made = Object::of(kind);
        let found = causes(made.create("a", object.clone()));
        assert!(found[0].starts_with(told), "{kind} {object}: {found:?}");
    }
}

#[test]
fn metadata_are_judged_as_often_as_the_server_does() {
    let claimed = || claim(json!({}));
    let thing = || json!({ "spec": {} });
    let kept = json!({ "spec": { "hostPath": { "path": "/x" } } });
    for (kind, object, main, status) in [
        ("Secret", json!({}), 4, None),
        ("Lease", json!({}), 3, None),
        ("PersistentVolumeClaim", claimed(), 5, Some(3)),
        ("PersistentVolume", volume(kept["spec"].clone()), 4, Some(3)),
        ("Node", json!({}), 4, Some(3)),
        ("ResourceQuota", json!({}), 3, Some(3)),
        ("Thing", thing(), 3, None),
    ] {
        let mut made = if kind == "Thing" { Object::custom(json!({ "type": "object" })) } else { Object::of(kind) };
        made.create("a", object).unwrap();
        let patch = json!({ "metadata": { "labels": { "a": "not a value" } } });
        for (endpoint, times) in [(Endpoint::Main, Some(main)), (Endpoint::Status, status)] {
            let Some(times) = times else { continue };
            let Err(Refusal::Invalid(found)) = made.merge("a", endpoint, patch.clone()) else { panic!("{kind}") };
            assert_eq!(found.len(), times, "{kind} {endpoint:?}");
        }
    }
}

#[test]
fn finalizers_of_some_kinds_need_no_domain() {
    for (kind, free) in [("Secret", false), ("Lease", true), ("PodDisruptionBudget", true)] {
        let made = Object::of(kind).create("a", json!({ "metadata": { "finalizers": ["mine"] } })).is_ok();
        assert_eq!(made, free, "{kind}");
    }
}

#[test]
fn a_claim_is_filled_from_claims_and_snapshots_only() {
    for (source, kept) in [
        (json!({ "kind": "PersistentVolumeClaim", "name": "a" }), true),
        (json!({ "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "a" }), true),
        (json!({ "kind": "VolumeSnapshot", "name": "a" }), false),
    ] {
        let mut made = Object::of("PersistentVolumeClaim");
        let spec = &made.create("a", claim(json!({ "dataSource": source }))).unwrap()["spec"];
        assert_eq!((!spec["dataSource"].is_null(), !spec["dataSourceRef"].is_null()), (kept, kept), "{source}");
    }
}

#[test]
fn a_disruption_budget_is_named_as_a_piece_of_a_path() {
    let named = |name: &str| {
        let object = Object::of("PodDisruptionBudget");
        let mut budget = object.whole(json!({}));
        budget["metadata"]["name"] = name.into();
        admit_create(&object.kind, &mut budget)
    };
    for name in ["UPPER", "with space", "under_score", "é"] {
        assert_eq!(named(name), Ok(()), "{name}");
    }
    for name in ["..", "a/b", "a%b", ""] {
        assert!(named(name).is_err(), "{name}");
    }
}

#[test]
fn a_job_without_labels_has_those_of_its_pods() {
    let mut job = Object::of("Job");
    let mut given = pods(json!({}));
    given["spec"]["template"]["metadata"] = json!({ "labels": { "late": "x" } });
    let made = job.create("a", given).unwrap();
    assert_eq!(made["metadata"]["labels"], made["spec"]["template"]["metadata"]["labels"]);
    assert_eq!(
        (&made["metadata"]["labels"]["late"], &made["metadata"]["labels"]["job-name"]),
        (&json!("x"), &json!("x"))
    );
}

#[test]
fn a_volume_remembers_when_its_phase_changed_whoever_wrote_it() {
    let mut made = Object::of("PersistentVolume");
    made.create("a", volume(json!({}))).unwrap();
    made.merge("a", Endpoint::Main, json!({ "metadata": { "managedFields": [{}] } })).unwrap();
    let phase = |phase: &str| json!({ "status": { "phase": phase, "message": phase } });
    made.merge("a", Endpoint::Status, phase("Bound")).unwrap();
    assert_eq!(made.live()["status"]["lastPhaseTransitionTime"], "1970-01-01T00:00:02Z");
    made.merge("a", Endpoint::Status, json!({ "status": { "message": "m" } })).unwrap();
    assert_eq!(made.live()["status"]["lastPhaseTransitionTime"], "1970-01-01T00:00:02Z");
}
