use kube::core::Status;
use serde_json::json;

use super::*;
use crate::{cli::check::finding::Grade, controller::claim::claimed};

const WHO: Who = Who { installation: "atoll", disabled: &[] };

fn ours() -> CustomResourceDefinition {
    crds().into_iter().next().expect("a CRD")
}

fn installed(change: impl FnOnce(&mut Value)) -> CustomResourceDefinition {
    let mut there = serde_json::to_value(claimed(ours(), "atoll")).expect("JSON");
    change(&mut there);
    serde_json::from_value(there).expect("a CRD")
}

fn told(there: Option<&CustomResourceDefinition>) -> (Grade, bool, String) {
    let kind = kind(&ours(), Ok(there), WHO);
    (kind.finding.grade, kind.served, kind.finding.text)
}

#[test]
fn a_crd_is_fine_only_if_it_is_ours_established_and_of_this_version() {
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties";
    let cases: [(Option<CustomResourceDefinition>, Grade, bool, &str); 8] = [
        (Some(installed(|_| {})), Grade::Fine, true, "up to date"),
        // What an API server adds.
        (
            Some(installed(|crd| crd["spec"]["conversion"] = json!({"strategy": "None"}))),
            Grade::Fine,
            true,
            "up to date",
        ),
        (None, Grade::Amiss, false, "missing"),
        (Some(ours()), Grade::Amiss, false, "is not served here"),
        (
            Some(installed(|crd| crd["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"))),
            Grade::Amiss,
            true,
            "being deleted",
        ),
        (
            Some(installed(|crd| {
                let _ = crd.pointer_mut(schema).expect("a schema").as_object_mut().expect("fields").remove("spec");
            })),
            Grade::Amiss,
            true,
            ".properties.spec",
        ),
        (
            Some(installed(|crd| crd.pointer_mut(schema).expect("a schema")["older"] = json!({"type": "string"}))),
            Grade::Amiss,
            true,
            ".properties.older",
        ),
        (
            Some(installed(|crd| {
                crd["status"] = json!({"conditions": [
                    {"type": "NamesAccepted", "status": "False", "message": "\"clusters\" is taken"},
                ]});
            })),
            Grade::Amiss,
            true,
            "\"clusters\" is taken",
        ),
    ];
    for (there, grade, served, text) in cases {
        let told = told(there.as_ref());
        assert!((told.0, told.1) == (grade, served) && told.2.contains(text), "{text}: {told:?}");
    }
}

#[test]
fn a_foreign_registration_of_workers_leaves_atoll_nothing_to_do() {
    let ours = crds().into_iter().find(|crd| crd.spec.names.kind == "K8sCluster").expect("a CRD");
    let kind = kind(&ours, Ok(Some(&ours)), WHO);
    assert!(!kind.served && kind.finding.grade == Grade::Amiss, "{}", kind.finding);
}

#[test]
fn what_cannot_be_read_is_neither_called_missing_nor_foreign() {
    let fault = Fault::Api(Box::new(Status::failure("no", "Forbidden").with_code(403)));
    let kind = kind(&ours(), Err(&fault), WHO);
    assert!(kind.served && kind.finding.grade == Grade::Amiss);
    assert!(kind.finding.text.contains("cannot be read: the API server answers 403"), "{}", kind.finding.text);
}

#[test]
fn defaults_and_dropped_empty_fields_are_no_difference() {
    for (ours, there, expected) in [
        (json!({"a": 1}), json!({"a": 1, "b": 2}), None),
        (json!({"a": false, "b": [], "c": {}, "d": null}), json!({}), None),
        (json!({"a": [1, 2]}), json!({"a": [1]}), Some("spec.a")),
        (json!({"a": [{"b": 1}]}), json!({"a": [{"b": 2}]}), Some("spec.a[0].b")),
        (json!({"a": true}), json!({}), Some("spec.a")),
        (json!({"properties": {}}), json!({"properties": {"x": {}}}), Some("spec.properties.x")),
    ] {
        assert_eq!(differs("spec", &ours, &there).as_deref(), expected, "{ours} {there}");
    }
}

#[test]
fn a_dialect_that_is_disabled_is_no_fault_whosever_its_crd_is() {
    let disabled = [ours().name_any()];
    let who = Who { installation: "atoll", disabled: &disabled };
    for there in [None, Some(ours()), Some(installed(|_| {}))] {
        let kind = kind(&ours(), Ok(there.as_ref()), who);
        assert!(!kind.served && kind.finding.grade == Grade::Note, "{}", kind.finding);
    }
}
