//! Built-in kinds.

use super::*;

fn pod(spec: Value) -> Value {
    let mut spec = spec;
    if spec["containers"].is_null() {
        spec["containers"] = json!([{ "name": "c", "image": "i" }]);
    }
    json!({ "spec": spec })
}

fn claim(size: &str) -> Value {
    json!({ "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": size } } } })
}

fn job(spec: Value) -> Value {
    let mut spec = spec;
    spec["template"]["spec"] = json!({ "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }] });
    json!({ "spec": spec })
}

#[test]
fn a_pod_is_filled_in() {
    let mut object = Object::of("Pod");
    let probe = json!({ "httpGet": { "port": 80 } });
    let container = json!({ "name": "c", "image": "i:1", "ports": [{ "containerPort": 80 }], "readinessProbe": probe,
        "resources": { "limits": { "cpu": "1000m" } } });
    let volumes = json!([{ "name": "s", "secret": { "secretName": "q" } }, { "name": "e" }]);
    object.create("a", pod(json!({ "containers": [container], "volumes": volumes, "serviceAccount": "sa" }))).unwrap();
    assert_eq!(
        object.live()["spec"],
        json!({
            "containers": [{ "name": "c", "image": "i:1", "imagePullPolicy": "IfNotPresent",
                "ports": [{ "containerPort": 80, "protocol": "TCP" }],
                "readinessProbe": { "httpGet": { "port": 80, "path": "/", "scheme": "HTTP" }, "timeoutSeconds": 1,
                    "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3 },
                "resources": { "limits": { "cpu": "1" }, "requests": { "cpu": "1" } },
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File" }],
            "volumes": [{ "name": "s", "secret": { "secretName": "q", "defaultMode": 420 } }, { "name": "e", "emptyDir": {} }],
            "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30,
            "serviceAccount": "sa", "serviceAccountName": "sa",
        })
    );
    assert_eq!(object.live()["metadata"]["generation"], 1);
    assert_eq!(object.live()["status"], json!({ "phase": "Pending", "qosClass": "Burstable" }));
}

#[test]
fn pods_that_make_no_sense_are_refused() {
    for (spec, told) in [
        (json!({ "containers": [] }), "spec.containers: Required value"),
        (json!({ "containers": [{ "name": "c" }] }), "spec.containers[0].image: Required value"),
        (
            json!({ "containers": [{ "name": "c", "image": "i" }, { "name": "c", "image": "i" }] }),
            "spec.containers[1].name: Duplicate value: \"c\"",
        ),
        (
            json!({ "restartPolicy": "x" }),
            "spec.restartPolicy: Unsupported value: \"x\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        ),
        (
            json!({ "containers": [{ "name": "c", "image": "i", "volumeMounts": [{ "name": "q", "mountPath": "/q" }] }] }),
            "spec.containers[0].volumeMounts[0].name: Not found: \"q\"",
        ),
        (
            json!({ "containers": [{ "name": "c", "image": "i", "resources": { "requests": { "cpu": "2" },
                "limits": { "cpu": "1" } } }] }),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            json!({ "volumes": [{ "name": "a", "emptyDir": {}, "hostPath": { "path": "/" } }] }),
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            json!({ "tolerations": [{ "key": "a", "tolerationSeconds": 1 }] }),
            "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        ),
    ] {
        assert_eq!(causes(Object::of("Pod").create("a", pod(spec.clone()))), [told], "{spec}");
    }
}

#[test]
fn little_of_a_pod_may_change() {
    let mut object = Object::of("Pod");
    object.create("a", pod(json!({ "tolerations": [{ "key": "a", "operator": "Exists" }] }))).unwrap();
    let mut change = |spec: Value| object.merge("a", Endpoint::Main, json!({ "spec": spec })).cloned();
    for (spec, field) in [
        (json!({ "nodeSelector": { "a": "b" } }), "spec"),
        (json!({ "hostNetwork": true }), "spec"),
        (json!({ "tolerations": [] }), "spec.tolerations"),
        (json!({ "containers": [{ "name": "c", "image": "i" }, { "name": "d", "image": "i" }] }), "spec.containers"),
    ] {
        let Err(Refusal::Invalid(told)) = change(spec.clone()) else { panic!("{spec} was accepted") };
        assert_eq!(told.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>(), [field], "{spec}");
        assert_eq!(told[0].reason, "FieldValueForbidden");
    }
    let more = json!([{ "key": "b", "operator": "Exists" }, { "key": "a", "operator": "Exists" }]);
    for spec in [json!({ "activeDeadlineSeconds": 5 }), json!({ "tolerations": more })] {
        change(spec).unwrap();
    }
    assert_eq!(change(json!({ "activeDeadlineSeconds": 4 })).unwrap()["metadata"]["generation"], 4);
    assert!(change(json!({ "activeDeadlineSeconds": 9 })).is_err());
}

#[test]
fn a_claim_grows_only_once_it_is_bound() {
    let mut object = Object::of("PersistentVolumeClaim");
    object.create("a", claim("1Gi")).unwrap();
    assert_eq!(object.live()["spec"]["volumeMode"], "Filesystem");
    assert_eq!(object.live()["status"], json!({ "phase": "Pending" }));
    assert!(object.merge("a", Endpoint::Main, claim("2Gi")).is_err());
    object.merge("a", Endpoint::Main, json!({ "spec": { "volumeName": "pv" } })).unwrap();
    assert!(object.merge("a", Endpoint::Main, json!({ "spec": { "volumeName": "other" } })).is_err());
    let status = json!({ "status": { "phase": "Bound", "capacity": { "storage": "1Gi" } } });
    object.merge("kcm", Endpoint::Status, status).unwrap();
    object.merge("a", Endpoint::Main, claim("2048Mi")).unwrap();
    assert_eq!(object.live()["spec"]["resources"]["requests"]["storage"], "2Gi");
    assert_eq!(
        causes(object.merge("a", Endpoint::Main, claim("1Gi"))),
        ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
    );
    assert!(
        object.merge("a", Endpoint::Main, json!({ "spec": { "storageClassName": "x" } })).is_ok(),
        "from none, once"
    );
    assert!(object.merge("a", Endpoint::Main, json!({ "spec": { "storageClassName": "y" } })).is_err());
}

#[test]
fn a_job_selects_its_own_pods_and_keeps_what_it_runs() {
    let mut object = Object::of("Job");
    object.create("a", job(json!({}))).unwrap();
    let labels = json!({ "job-name": "x", "batch.kubernetes.io/job-name": "x", "controller-uid": "uid",
        "batch.kubernetes.io/controller-uid": "uid" });
    let live = object.live();
    assert_eq!(live["spec"]["template"]["metadata"]["labels"], labels);
    assert_eq!(live["metadata"]["labels"], labels);
    assert_eq!(live["spec"]["selector"]["matchLabels"], json!({ "batch.kubernetes.io/controller-uid": "uid" }));
    assert_eq!(live["spec"]["backoffLimit"], 6);
    object.merge("a", Endpoint::Main, json!({ "spec": { "parallelism": 2, "backoffLimit": 1 } })).unwrap();
    assert_eq!(object.live()["metadata"]["generation"], 2);
    for spec in [json!({ "completions": 2 }), json!({ "template": { "spec": { "hostNetwork": true } } })] {
        let told = causes(object.merge("a", Endpoint::Main, json!({ "spec": spec })));
        assert!(told[0].ends_with("field is immutable"), "{told:?}");
    }
    let told = causes(Object::of("Job").create("a", json!({ "spec": { "template": pod(json!({})) } })));
    assert_eq!(told, ["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""]);
}

#[test]
fn services_that_make_no_sense_are_refused() {
    for (spec, told) in [
        (json!({ "ports": [] }), "spec.ports: Required value"),
        (
            json!({ "ports": [{ "port": 0 }] }),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            json!({ "ports": [{ "port": 1, "nodePort": 30000 }] }),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (json!({ "ports": [{ "name": "a", "port": 1 }, { "port": 2 }] }), "spec.ports[1].name: Required value"),
        (json!({ "type": "ExternalName" }), "spec.externalName: Required value"),
    ] {
        let told_here = causes(Object::of("Service").create("a", json!({ "spec": spec })));
        assert!(told_here.contains(&told.to_owned()), "{told_here:?}");
    }
}

#[test]
fn a_secret_is_written_in_plain_text_and_read_in_base64() {
    let mut object = Object::of("Secret");
    object.create("a", json!({ "data": { "a": "YQ==" }, "stringData": { "b": "b" } })).unwrap();
    assert_eq!(object.live()["data"], json!({ "a": "YQ==", "b": "Yg==" }));
    assert!(object.live().get("stringData").is_none());
    assert_eq!(object.live()["type"], "Opaque");
    assert_eq!(
        causes(object.merge("a", Endpoint::Main, json!({ "type": "other" }))),
        ["type: Invalid value: \"other\": field is immutable"]
    );
    object.merge("a", Endpoint::Main, json!({ "immutable": true })).unwrap();
    assert_eq!(
        causes(object.merge("a", Endpoint::Main, json!({ "data": { "a": "Yg==" } }))),
        ["data: Forbidden: field is immutable when `immutable` is set"]
    );
}

#[test]
fn only_counted_kinds_have_generations() {
    let mut service = Object::of("Service");
    service.create("a", json!({ "metadata": { "generation": 7 }, "spec": { "ports": [{ "port": 80 }] } })).unwrap();
    service
        .merge("a", Endpoint::Main, json!({ "spec": { "selector": { "a": "b" } }, "metadata": { "generation": 9 } }))
        .unwrap();
    assert_eq!(service.live()["metadata"]["generation"], 7, "as it was created with");
}

#[test]
fn a_message_tells_everything_once() {
    let refused =
        Object::of("ConfigMap").create("a", json!({ "metadata": { "labels": { "-": "-" } } })).map(drop).unwrap_err();
    let kind = Object::of("ConfigMap").kind;
    let words = refused.message(&kind, "x");
    assert!(
        words.starts_with("ConfigMap \"x\" is invalid: [metadata.labels: Invalid value: \"-\": name part must consist")
    );
    let one = Refusal::Invalid(vec![Cause { field: "f".into(), reason: "r".into(), message: "m".into() }]);
    assert_eq!(one.message(&Object::of("Job").kind, "x"), "Job.batch \"x\" is invalid: f: m");
}
