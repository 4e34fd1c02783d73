//! Atoll's custom resources.

use super::{Kind, NOTHING};

const GOOD_CONDITIONS: &str = r#"{"conditions":[{"type":"Ready","status":"True","reason":"Reachable","message":"m","lastTransitionTime":"2024-01-01T00:00:00Z","observedGeneration":1}],
    "identity":"id-1","version":"v1.34.4"}"#;

pub(super) const K8S_CLUSTERS: Kind = Kind {
    kind: "K8sCluster",
    api: "k8s.oceanbase.com/v1alpha1",
    plural: "k8sclusters",
    namespaced: false,
    builtin: false,
    bodies: &[
        r#"{"spec":{"name":"one"}}"#,
        r#"{"spec":{"name":"one","description":"first","kubeConfigSecretRef":{"name":"s","namespace":"n","key":"k"}}}"#,
        r#"{"spec":{"name":"one","kubeConfig":"x","clusterDomain":null,"context":"c"}}"#,
    ],
    variations: &[
        ("/spec/description", "null"),
        ("/spec/description", r#""words""#),
        ("/spec/unknownField", "1"),
        ("/status", r#"{"identity":"early"}"#),
        ("/spec/kubeConfigSecretRef", r#"{"name":"other","extra":true}"#),
    ],
    changes: &[
        ("/spec/name", r#""two""#),
        ("/spec/description", r#""changed""#),
        ("/spec/description", "null"),
        ("/spec/kubeConfigSecretRef/key", r#""k2""#),
        ("/status", r#"{"identity":"sneaked"}"#),
        ("/spec/unknownField", "2"),
    ],
    mistakes: &[
        ("/spec/name", "null"),
        ("/spec/name", "5"),
        ("/spec", "null"),
        ("/spec", r#""x""#),
        ("/spec/kubeConfigSecretRef", "{}"),
        ("/spec/kubeConfigSecretRef", r#""s""#),
        ("/spec/description", r#"{"a":1}"#),
        ("/status", r#"{"conditions":"x"}"#),
    ],
    applied: &[
        r#"{"spec":{"name":"one"}}"#,
        r#"{"spec":{"name":"two","description":"applied"}}"#,
        r#"{"spec":{"description":"other"}}"#,
        r#"{"metadata":{"labels":{"seq":"{{ns}}"},"finalizers":["atoll.dev/hold"]},"spec":{"name":"one"}}"#,
        r#"{"spec":{"name":"one","kubeConfigSecretRef":{"name":"s"}}}"#,
        r#"{"spec":{"name":"one","noSuchField":1}}"#,
        r#"{"status":{"identity":"x"}}"#,
    ],
    statuses: &[
        GOOD_CONDITIONS,
        r#"{"identity":"id-2"}"#,
        r#"{"version":null,"identity":"id-1","unknownField":1}"#,
        "{}",
        "null",
    ],
    bad_statuses: &[
        r#"{"identity":1}"#,
        r#"{"conditions":[{"type":"Ready"}]}"#,
        r#"{"conditions":[{"type":"Ready","status":"True","reason":"a","message":"b","lastTransitionTime":"c","observedGeneration":"1"}]}"#,
    ],
    ..NOTHING
};

pub(super) const CLUSTERS: Kind = Kind {
    kind: "Cluster",
    api: "apps.kubeblocks.io/v1",
    plural: "clusters",
    builtin: false,
    bodies: &[
        r#"{"spec":{"terminationPolicy":"Delete","componentSpecs":[{"name":"etcd","componentDef":"etcd","replicas":3,
            "volumeClaimTemplates":[{"name":"data","spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}]}]}}"#,
        r#"{"spec":{"terminationPolicy":"WipeOut","unknownField":{"deep":[1]},"componentSpecs":[{"name":"etcd","serviceVersion":"3.5.6","replicas":1,
            "resources":{"limits":{"cpu":1,"memory":"512Mi"}},"env":[{"name":"A","value":"1"}]}]}}"#,
    ],
    variations: &[
        ("/spec/terminationPolicy", r#""DoNotTerminate""#),
        ("/spec/componentSpecs/0/replicas", "5"),
        ("/spec/componentSpecs/0/labels", r#"{"a":"b"}"#),
        ("/spec/componentSpecs/0/unknownField", "1"),
        ("/spec/more", r#"{"kept":true}"#),
        ("/status", r#"{"phase":"Running"}"#),
        ("/metadata/generateName", r#""gen-""#),
    ],
    changes: &[
        ("/spec/terminationPolicy", r#""Delete""#),
        ("/spec/terminationPolicy", r#""WipeOut""#),
        ("/spec/componentSpecs/0/replicas", "3"),
        ("/spec/componentSpecs/0/replicas", "5"),
        ("/spec/componentSpecs/0/serviceVersion", r#""3.6.1""#),
        ("/spec/more", r#"{"changed":true}"#),
        ("/status", r#"{"phase":"Failed"}"#),
    ],
    mistakes: &[
        ("/spec/terminationPolicy", "null"),
        ("/spec/terminationPolicy", r#""Maybe""#),
        ("/spec/terminationPolicy", "1"),
        ("/spec/componentSpecs", r#""x""#),
        ("/spec/componentSpecs/0/replicas", r#""3""#),
        ("/spec/componentSpecs/0/replicas", "-1"),
        ("/spec/componentSpecs/0/name", "7"),
        ("/spec", "null"),
    ],
    applied: &[
        r#"{"spec":{"terminationPolicy":"Delete"}}"#,
        r#"{"spec":{"terminationPolicy":"WipeOut","componentSpecs":[{"name":"etcd","replicas":3}]}}"#,
        r#"{"spec":{"terminationPolicy":"Delete","more":{"a":1,"b":{"c":2}}}}"#,
        r#"{"spec":{"more":{"b":{"d":3}}}}"#,
        r#"{"metadata":{"labels":{"seq":"{{ns}}","applied":"yes"}},"spec":{"terminationPolicy":"Delete"}}"#,
        r#"{"status":{"phase":"Running"}}"#,
    ],
    statuses: &[
        r#"{"phase":"Running","observedGeneration":1,"atoll":{"anything":{"at":["all",1]}},
            "conditions":[{"type":"Ready","status":"True","reason":"a","message":"b","lastTransitionTime":"c"},{"type":"UpToDate","status":"False","reason":"a","message":"b","lastTransitionTime":"c"}],
            "members":[{"name":"db-0","state":"Ready","worker":"k8s-1","role":"leader"}]}"#,
        r#"{"phase":"Creating","atoll":{"attempt":1}}"#,
        r#"{"conditions":[{"type":"Ready","status":"False","reason":"a","message":"b","lastTransitionTime":"c"}],"unknownField":1}"#,
        r#"{"atoll":null}"#,
        "{}",
    ],
    bad_statuses: &[
        r#"{"phase":1}"#,
        r#"{"members":[{"name":"db-0","state":"Odd","worker":"k8s-1"}]}"#,
        r#"{"conditions":[{"type":"Ready","status":"True","reason":"a","message":"b","lastTransitionTime":"c"},{"type":"Ready","status":"True","reason":"a","message":"b","lastTransitionTime":"c"}]}"#,
        r#"{"atoll":"text"}"#,
        r#"{"components":{"etcd":{"membersStatus":[{"podName":"a"}]}}}"#,
    ],
    ..NOTHING
};
