//! Custom resources that are not what their schema says.

use serde_json::{Value, json};

use super::{Author, Script};

const THINGS: &str = "/apis/test.atoll.dev/v1/namespaces/{{ns}}/things";
const CLUSTERS: &str = "/apis/k8s.oceanbase.com/v1alpha1/k8sclusters";

fn thing(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "test.atoll.dev/v1", "kind": "Thing", "metadata": { "name": name }, "spec": spec })
}

fn cluster(spec: Value) -> Value {
    json!({ "apiVersion": "k8s.oceanbase.com/v1alpha1", "kind": "K8sCluster", "metadata": { "name": "{{ns}}-a" },
        "spec": spec })
}

pub(super) fn script() -> Script {
    let mut author = Author::new();
    wrong_shapes(&mut author);
    many_faults(&mut author);
    another_kind(&mut author);
    author.script("nonsense")
}

/// Objects and lists where something else is expected.
fn wrong_shapes(author: &mut Author) {
    for (number, spec) in [
        json!({ "word": { "a": { "b": 1 }, "c": 1 } }),
        json!({ "word": [{ "a": 1 }, [{ "b": 1 }], 1] }),
        json!({ "tags": { "a": 1 } }),
        json!({ "tags": [{ "a": 1 }] }),
        json!({ "inner": [{ "a": 1 }] }),
        json!({ "map": [{ "a": 1 }] }),
        json!({ "map": { "x": { "a": 1 } } }),
        json!({ "size": { "a": 1 } }),
        json!({ "free": [{ "a": 1 }], "anything": [{ "a": 1 }] }),
        json!([{ "a": 1 }]),
        json!({ "inner": { "z": 1, "b": 1 }, "a": 1, "plain": [{ "z": 1 }, { "c": 1 }] }),
    ]
    .into_iter()
    .enumerate()
    {
        for validation in ["Strict", "Ignore"] {
            let name = format!("{}{number}", validation.to_lowercase());
            author.post(&format!("{THINGS}?fieldValidation={validation}"), thing(&name, spec.clone()));
            author.apply(
                &format!("{THINGS}/{name}-b?fieldManager=x&fieldValidation={validation}"),
                thing(&format!("{name}-b"), spec.clone()),
            );
        }
        author.put_whole(&format!("{THINGS}/missing?fieldValidation=Strict"), thing("missing", spec.clone()));
    }
}

/// Of several faults, those of fields come before what is missing beside them.
fn many_faults(author: &mut Author) {
    for spec in [
        json!({ "kubeConfigSecretRef": {} }),
        json!({ "kubeConfigSecretRef": {}, "description": 1 }),
        json!({ "kubeConfigSecretRef": { "key": 1 }, "description": 1, "context": 2 }),
    ] {
        for _ in 0..4 {
            author.post(CLUSTERS, cluster(spec.clone()));
        }
        author.apply(&format!("{CLUSTERS}/{{{{ns}}}}-a?fieldManager=x"), cluster(spec));
    }
}

/// What says that it is something else where only the status is read.
fn another_kind(author: &mut Author) {
    let made = author.post(THINGS, thing("a", json!({ "count": 1 })));
    let uri = format!("{THINGS}/a/status");
    author.merge(&uri, json!({ "kind": "Elsewhat", "status": { "phase": "Good" } }));
    author.merge(&uri, json!({ "status": { "phase": "Bad" } }));
    author.merge(&format!("{THINGS}/a"), json!({ "kind": "Elsewhat" }));
    author.apply(&format!("{THINGS}/a?fieldManager=x&force=true"), thing("a", json!({ "count": 2 })));
    let again = author.put(
        &format!("{THINGS}/a"),
        made,
        &[("/metadata/resourceVersion", Value::Null), ("/kind", "Elsewhat".into())],
    );
    author.put(&uri, again, &[("/kind", "Elsewhat".into()), ("/status", json!({ "phase": "Good" }))]);
}
