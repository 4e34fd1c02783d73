//! What a real server does that nobody would guess.

use serde_json::{Value, json};

use super::{Author, MAPS, PODS, Script};

const THINGS: &str = "/apis/test.atoll.dev/v1/namespaces/{{ns}}/things";

fn thing(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "test.atoll.dev/v1", "kind": "Thing", "metadata": { "name": name }, "spec": spec })
}

pub(super) fn script() -> Script {
    let mut author = Author::new();
    lost_versions(&mut author);
    no_version(&mut author);
    labels_of_jobs(&mut author);
    conflicts(&mut author);
    volumes(&mut author);
    author.script("surprises")
}

/// A deletion that takes the last finalizer and asks for a version.
fn lost_versions(author: &mut Author) {
    let held = |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "finalizers": ["foregroundDeletion"] } });
    for (name, dry) in [("a", json!(["All"])), ("b", json!([]))] {
        let uri = format!("{MAPS}/{name}");
        let made = author.post(MAPS, held(name));
        let version = json!(format!("{{{{{made}:/metadata/resourceVersion}}}}"));
        let uid = json!(format!("{{{{{made}:/metadata/uid}}}}"));
        for preconditions in [json!({ "resourceVersion": version }), json!({ "uid": uid, "resourceVersion": version })]
        {
            let options = json!({ "propagationPolicy": "Background", "preconditions": preconditions, "dryRun": dry });
            author.delete_so(&uri, options);
        }
        author.get(&uri);
        let options = json!({ "propagationPolicy": "Background", "preconditions": { "uid": uid }, "dryRun": dry });
        author.delete_so(&uri, options);
    }
    let mut thing = thing("held", json!({}));
    thing["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
    author.post(THINGS, thing);
    let options = json!({ "propagationPolicy": "Background", "dryRun": ["All"] });
    author.delete_so(&format!("{THINGS}/held"), options);
    let pod = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "p", "finalizers": ["foregroundDeletion"] },
        "spec": { "automountServiceAccountToken": false, "containers": [{ "name": "main", "image": "img:1" }] } });
    let made = author.post(PODS, pod);
    let version = json!(format!("{{{{{made}:/metadata/resourceVersion}}}}"));
    let options = json!({ "propagationPolicy": "Background", "preconditions": { "resourceVersion": version } });
    author.delete_so(&format!("{PODS}/p"), options);
}

/// Patches that leave nothing of what an object says it is.
fn no_version(author: &mut Author) {
    let budgets = "/apis/policy/v1/namespaces/{{ns}}/poddisruptionbudgets";
    author.post(
        budgets,
        json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "a" } }),
    );
    for validation in ["Strict", "Ignore"] {
        let uri = format!("{budgets}/a?fieldValidation={validation}");
        for patch in [
            json!({ "apiVersion": null }),
            json!({ "apiVersion": null, "spec": { "minAvailable": 1, "bogus": 1 } }),
            json!({ "kind": null, "spec": { "minAvailable": 2 } }),
            json!({ "apiVersion": null, "kind": null }),
        ] {
            author.merge(&uri, patch.clone());
            author.strategic(&uri, patch);
        }
    }
}

/// A job without labels takes those of its pods.
fn labels_of_jobs(author: &mut Author) {
    let jobs = "/apis/batch/v1/namespaces/{{ns}}/jobs";
    let job = |name: &str, own: Value, pods: Value| {
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name, "labels": own },
            "spec": { "template": { "metadata": { "labels": pods }, "spec": { "restartPolicy": "Never",
                "automountServiceAccountToken": false, "containers": [{ "name": "main", "image": "img:1" }] } } } })
    };
    for (number, (own, pods)) in [
        (json!({}), json!({ "late": "x" })),
        (Value::Null, json!({ "late": "x" })),
        (json!({ "a": "b" }), json!({ "late": "x" })),
        (Value::Null, Value::Null),
        (Value::Null, json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        for dry in ["dryRun=All", "fieldManager=x"] {
            let (posted, applied) = (format!("posted{number}"), format!("applied{number}"));
            author.post(&format!("{jobs}?{dry}"), job(&posted, own.clone(), pods.clone()));
            let mut given = job(&applied, own.clone(), pods.clone());
            if own.is_null() {
                given["metadata"] = json!({ "name": applied });
            }
            if pods.is_null() {
                given["spec"]["template"]["metadata"] = json!({});
            }
            author.apply(&format!("{jobs}/{applied}?fieldManager=x&{dry}"), given);
        }
    }
    author.get(jobs);
}

/// In which order those are told whose fields an apply would take.
fn conflicts(author: &mut Author) {
    author.post(&format!("{THINGS}?fieldManager=m"), thing("c", json!({ "word": "abc", "mode": "A", "count": 2 })));
    let uri = format!("{THINGS}/c");
    let mut status = thing("c", json!({}));
    status["status"] = json!({ "phase": "Good" });
    status["metadata"]["annotations"] = json!({ "status": "1" });
    author.apply(&format!("{uri}/status?fieldManager=m"), status);
    author.merge(&format!("{uri}/status?fieldManager=m"), json!({ "metadata": { "annotations": { "by": "status" } } }));
    author.apply(&format!("{uri}?fieldManager=m&force=true"), thing("c", json!({ "mode": "B" })));
    author.merge(&format!("{uri}?fieldManager=mm"), json!({ "spec": { "count": 3 } }));
    let mut all = thing("c", json!({ "word": "xyz", "mode": "A", "count": 4 }));
    all["metadata"]["annotations"] = json!({ "by": "x", "status": "2" });
    author.apply(&format!("{uri}?fieldManager=n"), all);
}

/// When the phase of a volume changed, though nobody knows any more who wrote it.
fn volumes(author: &mut Author) {
    let volumes = "/api/v1/persistentvolumes";
    let made = author.post(
        volumes,
        json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": "{{ns}}-v" },
            "spec": { "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/x" } } }),
    );
    let uri = format!("{volumes}/{{{{ns}}}}-v");
    let none = [("/metadata/managedFields", json!([])), ("/metadata/resourceVersion", Value::Null)];
    author.put(&uri, made, &none);
    let bound = ("/status", json!({ "phase": "Bound" }));
    author.put(&format!("{uri}/status"), made, &[none[0].clone(), none[1].clone(), bound]);
    author.merge(&format!("{uri}/status"), json!({ "status": { "phase": "Released" } }));
    author.merge(&uri, json!({ "metadata": { "finalizers": null } }));
    author.delete(&uri);
}
