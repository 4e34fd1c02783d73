//! What clusters have besides: nodes, volumes and their classes, accounts, events, budgets.

use super::{Kind, NOTHING};

pub(super) const SERVICE_ACCOUNTS: Kind = Kind {
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    status: false,
    bodies: &["{}", r#"{"automountServiceAccountToken":false,"imagePullSecrets":[{"name":"pull"}]}"#],
    variations: &[("/secrets", r#"[{"name":"s"}]"#), ("/metadata/generateName", r#""gen-""#)],
    changes: &[("/automountServiceAccountToken", "true"), ("/imagePullSecrets", r#"[{"name":"other"}]"#)],
    mistakes: &[("/automountServiceAccountToken", r#""yes""#), ("/imagePullSecrets", r#"["x"]"#)],
    strategic: &[r#"{"imagePullSecrets":[{"name":"more"}]}"#, r#"{"secrets":[{"name":"s","$patch":"delete"}]}"#],
    applied: &["{}", r#"{"imagePullSecrets":[{"name":"mine"}]}"#, r#"{"automountServiceAccountToken":false}"#],
    ..NOTHING
};

pub(super) const NODES: Kind = Kind {
    kind: "Node",
    plural: "nodes",
    namespaced: false,
    bodies: &["{}", r#"{"spec":{"providerID":"x://1","taints":[{"key":"a","effect":"NoSchedule"}]}}"#],
    variations: &[
        ("/spec/unschedulable", "true"),
        ("/spec/podCIDR", r#""10.1.0.0/24""#),
        ("/status", r#"{"capacity":{"cpu":"4"}}"#),
        ("/metadata/labels/topology.kubernetes.io~1zone", r#""z1""#),
    ],
    changes: &[
        ("/spec/unschedulable", "true"),
        ("/spec/unschedulable", "null"),
        ("/spec/taints", r#"[{"key":"b","value":"c","effect":"NoExecute"}]"#),
    ],
    mistakes: &[
        ("/spec/taints", r#"[{"key":"a","effect":"Sometimes"}]"#),
        ("/spec/taints", r#"[{"key":"a","effect":"NoSchedule"},{"key":"a","effect":"NoSchedule"}]"#),
        ("/spec/podCIDR", r#""10.1.0.0""#),
        ("/spec/podCIDR", r#""10.9.0.0/24""#),
        ("/spec/providerID", r#""y://2""#),
        ("/spec/unschedulable", r#""yes""#),
    ],
    strategic: &[
        r#"{"spec":{"unschedulable":true}}"#,
        r#"{"spec":{"taints":[{"key":"c","effect":"NoSchedule"}]}}"#,
        r#"{"metadata":{"labels":{"app":"y"}}}"#,
    ],
    applied: &["{}", r#"{"spec":{"unschedulable":true}}"#, r#"{"metadata":{"annotations":{"note":"mine"}}}"#],
    statuses: &[
        r#"{"capacity":{"cpu":"4","memory":"8Gi","pods":"110"},"allocatable":{"cpu":"4000m"},
            "conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2024-01-01T00:00:00Z","lastTransitionTime":"2024-01-01T00:00:00Z"}],
            "addresses":[{"type":"InternalIP","address":"10.0.0.1"},{"type":"Hostname","address":"n"}]}"#,
        r#"{"conditions":[{"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown"}]}"#,
        "{}",
    ],
    bad_statuses: &[r#"{"capacity":{"cpu":"many"}}"#, r#"{"addresses":"x"}"#],
    ..NOTHING
};

pub(super) const VOLUMES: Kind = Kind {
    kind: "PersistentVolume",
    plural: "persistentvolumes",
    namespaced: false,
    bodies: &[
        r#"{"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"hostPath":{"path":"/x"}}}"#,
        r#"{"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"persistentVolumeReclaimPolicy":"Delete","storageClassName":"standard",
            "claimRef":{"namespace":"n","name":"c","uid":"00000000-0000-4000-8000-000000000009"},"hostPath":{"path":"/y","type":"DirectoryOrCreate"}}}"#,
    ],
    variations: &[
        ("/spec/volumeMode", r#""Block""#),
        (
            "/spec/nodeAffinity",
            r#"{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"k","operator":"In","values":["n1"]}]}]}}"#,
        ),
        ("/status", r#"{"phase":"Bound"}"#),
    ],
    changes: &[
        ("/spec/persistentVolumeReclaimPolicy", r#""Retain""#),
        ("/spec/capacity/storage", r#""2Gi""#),
        ("/spec/claimRef", r#"{"namespace":"n","name":"d"}"#),
        ("/spec/claimRef", "null"),
    ],
    mistakes: &[
        ("/spec/hostPath", "null"),
        ("/spec/hostPath/path", r#""/../x""#),
        ("/spec/hostPath/path", r#""/other""#),
        ("/spec/capacity", "null"),
        ("/spec/capacity/storage", r#""-1""#),
        ("/spec/accessModes", "[]"),
        ("/spec/accessModes", r#"["Odd"]"#),
        ("/spec/persistentVolumeReclaimPolicy", r#""Burn""#),
    ],
    strategic: &[r#"{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}"#, r#"{"metadata":{"labels":{"app":"y"}}}"#],
    applied: &[
        r#"{"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"hostPath":{"path":"/x"}}}"#,
        r#"{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}"#,
    ],
    statuses: &[r#"{"phase":"Bound"}"#, r#"{"phase":"Released","message":"m"}"#, "{}"],
    bad_statuses: &[r#"{"phase":1}"#],
    ..NOTHING
};

pub(super) const CLASSES: Kind = Kind {
    kind: "StorageClass",
    api: "storage.k8s.io/v1",
    plural: "storageclasses",
    namespaced: false,
    status: false,
    bodies: &[
        r#"{"provisioner":"example.com/p"}"#,
        r#"{"provisioner":"example.com/p","allowVolumeExpansion":true,"volumeBindingMode":"WaitForFirstConsumer","parameters":{"a":"b"}}"#,
    ],
    variations: &[("/reclaimPolicy", r#""Retain""#), ("/mountOptions", r#"["ro"]"#)],
    changes: &[("/allowVolumeExpansion", "true"), ("/mountOptions", r#"["rw"]"#)],
    mistakes: &[
        ("/provisioner", "null"),
        ("/provisioner", r#""example.com/other""#),
        ("/reclaimPolicy", r#""Burn""#),
        ("/volumeBindingMode", r#""Later""#),
        ("/parameters", r#"{"c":"d"}"#),
    ],
    strategic: &[r#"{"allowVolumeExpansion":true}"#],
    applied: &[r#"{"provisioner":"example.com/p"}"#, r#"{"allowVolumeExpansion":true}"#],
    ..NOTHING
};

pub(super) const EVENTS: Kind = Kind {
    kind: "Event",
    plural: "events",
    status: false,
    bodies: &[
        r#"{"involvedObject":{"kind":"Pod","namespace":"{{ns}}","name":"a"},"reason":"R","message":"m","type":"Normal","count":1,
            "firstTimestamp":"2024-01-01T00:00:00Z","lastTimestamp":"2024-01-01T00:00:00Z","source":{"component":"c"}}"#,
        r#"{"involvedObject":{"namespace":"{{ns}}"},"eventTime":"2024-01-01T00:00:00.000001Z","reportingComponent":"example.com/c","reportingInstance":"i","action":"A","reason":"R","type":"Warning"}"#,
    ],
    variations: &[
        ("/metadata/generateName", r#""gen-""#),
        ("/series", r#"{"count":2,"lastObservedTime":"2024-01-01T00:00:00.000001Z"}"#),
    ],
    changes: &[("/count", "2"), ("/message", r#""n""#), ("/lastTimestamp", r#""2024-01-01T00:00:05Z""#)],
    mistakes: &[
        ("/involvedObject", "null"),
        ("/involvedObject/namespace", r#""elsewhere""#),
        ("/count", r#""1""#),
        ("/eventTime", r#""now""#),
    ],
    strategic: &[r#"{"count":3}"#],
    applied: &[r#"{"involvedObject":{"namespace":"{{ns}}"},"reason":"R"}"#],
    ..NOTHING
};

pub(super) const BUDGETS: Kind = Kind {
    kind: "PodDisruptionBudget",
    api: "policy/v1",
    plural: "poddisruptionbudgets",
    bodies: &[
        r#"{"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"x"}}}}"#,
        r#"{"spec":{"maxUnavailable":"50%","selector":{"matchExpressions":[{"key":"app","operator":"In","values":["y"]}]}}}"#,
    ],
    variations: &[("/spec/unhealthyPodEvictionPolicy", r#""AlwaysAllow""#), ("/metadata/generateName", r#""gen-""#)],
    changes: &[("/spec/minAvailable", "2"), ("/spec/selector/matchLabels/app", r#""y""#)],
    mistakes: &[
        ("/spec/minAvailable", "-1"),
        ("/spec/minAvailable", r#""half""#),
        ("/spec/maxUnavailable", "1"),
        ("/spec/selector", r#"{"matchExpressions":[{"key":"app","operator":"Odd"}]}"#),
        ("/spec/unhealthyPodEvictionPolicy", r#""Odd""#),
    ],
    strategic: &[r#"{"spec":{"minAvailable":3}}"#],
    applied: &[r#"{"spec":{"minAvailable":1}}"#, r#"{"metadata":{"annotations":{"note":"mine"}}}"#],
    statuses: &[
        r#"{"currentHealthy":1,"desiredHealthy":1,"disruptionsAllowed":0,"expectedPods":1,"observedGeneration":1}"#,
    ],
    bad_statuses: &[
        r#"{"currentHealthy":-1,"desiredHealthy":1,"disruptionsAllowed":0,"expectedPods":1}"#,
        r#"{"currentHealthy":"1"}"#,
    ],
    ..NOTHING
};
