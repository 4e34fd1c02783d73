//! Secrets, config maps, leases and namespaces.

use super::{Kind, NOTHING};

pub(super) const SECRETS: Kind = Kind {
    kind: "Secret",
    plural: "secrets",
    status: false,
    bodies: &[
        r#"{"data":{"a":"YQ=="}}"#,
        r#"{"stringData":{"a":"text","b":"more"},"type":"Opaque"}"#,
        r#"{"type":"kubernetes.io/basic-auth","stringData":{"username":"u","password":"p"}}"#,
        r#"{"type":"example.com/mine","data":{"a":"YQ=="},"stringData":{"a":"wins"}}"#,
        // What is immutable has data: a real server takes `{}` for a change of none.
        r#"{"immutable":true,"data":{"a":"YQ=="}}"#,
        "{}",
    ],
    variations: &[("/data/c", r#""Yw==""#), ("/metadata/generateName", r#""gen-""#)],
    changes: &[
        ("/data/a", r#""Yg==""#),
        ("/data/a", "null"),
        ("/stringData", r#"{"a":"changed"}"#),
        ("/immutable", "false"),
    ],
    mistakes: &[
        ("/data/a", r#""not base64!""#),
        ("/data/bad key", r#""YQ==""#),
        ("/data", r#"["x"]"#),
        ("/data/a", "1"),
        ("/type", r#""kubernetes.io/tls""#),
        ("/type", r#""kubernetes.io/service-account-token""#),
        ("/type", r#""example.com/other""#),
        ("/type", r#""kubernetes.io/dockerconfigjson""#),
        ("/immutable", r#""yes""#),
    ],
    strategic: &[
        r#"{"data":{"a":null,"z":"eg=="}}"#,
        r#"{"stringData":{"y":"x"}}"#,
        r#"{"data":null}"#,
        r#"{"immutable":true,"data":{"z":"eg=="}}"#,
    ],
    applied: &[
        r#"{"data":{"a":"YQ=="}}"#,
        r#"{"data":{"a":"Yg==","b":"YQ=="}}"#,
        r#"{"data":{"b":"Yw=="},"type":"Opaque"}"#,
        r#"{"stringData":{"s":"text"}}"#,
        r#"{"metadata":{"labels":{"seq":"{{ns}}","applied":"yes"}}}"#,
    ],
    ..NOTHING
};

pub(super) const CONFIG_MAPS: Kind = Kind {
    kind: "ConfigMap",
    plural: "configmaps",
    status: false,
    bodies: &[
        r#"{"data":{"a":"1"}}"#,
        r#"{"data":{"a":"1","b":"2"},"binaryData":{"c":"YQ=="}}"#,
        r#"{"immutable":true,"data":{"a":"1"},"binaryData":{"c":"YQ=="}}"#,
        "{}",
    ],
    variations: &[("/data/d", r#""""#), ("/metadata/generateName", r#""gen-""#)],
    changes: &[
        ("/data/a", r#""2""#),
        ("/data/a", r#""3""#),
        ("/data/new", r#""1""#),
        ("/data/a", "null"),
        ("/data", "null"),
        ("/binaryData", r#"{"x":"YQ=="}"#),
        ("/immutable", "false"),
    ],
    mistakes: &[
        ("/data/bad key", r#""x""#),
        ("/data/a", "1"),
        ("/data", r#"["x"]"#),
        ("/data", r#""x""#),
        ("/binaryData", r#"{"a":"YQ=="}"#),
        ("/binaryData", r#"{"z":"not base64!"}"#),
        ("/immutable", "1"),
    ],
    strategic: &[
        r#"{"data":{"a":null,"z":"1"}}"#,
        r#"{"immutable":true,"data":{"z":"1"},"binaryData":{"c":"YQ=="}}"#,
        r#"{"data":{"$patch":"replace","only":"this"}}"#,
        r#"{"data":{"$patch":"delete"}}"#,
        r#"{"data":{"$patch":"odd"}}"#,
    ],
    applied: &[
        r#"{"data":{"a":"1"}}"#,
        r#"{"data":{"a":"2"}}"#,
        r#"{"data":{"a":"2","b":"1"}}"#,
        r#"{"data":{"c":"1"}}"#,
        r#"{"data":{}}"#,
        r#"{"metadata":{"labels":{"seq":"{{ns}}","applied":"yes"}},"data":{"b":"1"}}"#,
        r#"{"metadata":{"finalizers":["atoll.dev/hold"]}}"#,
        r#"{"binaryData":{"z":"YQ=="},"immutable":false}"#,
        r#"{"data":"x"}"#,
    ],
    ..NOTHING
};

pub(super) const LEASES: Kind = Kind {
    kind: "Lease",
    api: "coordination.k8s.io/v1",
    plural: "leases",
    status: false,
    bodies: &[
        r#"{"spec":{"holderIdentity":"one","leaseDurationSeconds":15,"acquireTime":"2024-01-01T00:00:00.000000Z","renewTime":"2024-01-01T00:00:01.500000Z","leaseTransitions":0}}"#,
        r#"{"spec":{"holderIdentity":"one"}}"#,
        "{}",
    ],
    variations: &[
        ("/spec/leaseTransitions", "3"),
        ("/spec/holderIdentity", r#""two""#),
        ("/metadata/generateName", r#""gen-""#),
    ],
    changes: &[
        ("/spec/holderIdentity", r#""two""#),
        ("/spec/renewTime", r#""2024-01-01T00:00:09.000001Z""#),
        ("/spec/renewTime", r#""2024-01-01T00:00:09Z""#),
        ("/spec/leaseTransitions", "1"),
        ("/spec/leaseDurationSeconds", "30"),
    ],
    mistakes: &[
        ("/spec/leaseDurationSeconds", "0"),
        ("/spec/leaseDurationSeconds", "-5"),
        ("/spec/leaseDurationSeconds", r#""15""#),
        ("/spec/leaseTransitions", "-1"),
        ("/spec/renewTime", r#""now""#),
        ("/spec/strategy", r#""Bad Name""#),
        ("/spec/unknownField", "1"),
        ("/spec", "1"),
    ],
    strategic: &[r#"{"spec":{"holderIdentity":null}}"#, r#"{"spec":{"leaseTransitions":9}}"#],
    applied: &[
        r#"{"spec":{"holderIdentity":"one","leaseDurationSeconds":15}}"#,
        r#"{"spec":{"holderIdentity":"two"}}"#,
        r#"{"spec":{"renewTime":"2024-01-01T00:00:09.000000Z"}}"#,
    ],
    ..NOTHING
};

pub(super) const NAMESPACES: Kind = Kind {
    kind: "Namespace",
    plural: "namespaces",
    namespaced: false,
    bodies: &["{}", r#"{"spec":{}}"#, r#"{"spec":{"finalizers":["example.com/mine"]}}"#],
    variations: &[
        ("/metadata/labels/pod-security.kubernetes.io~1enforce", r#""baseline""#),
        ("/metadata/labels/kubernetes.io~1metadata.name", r#""other""#),
        ("/status", r#"{"phase":"Terminating"}"#),
        ("/spec/finalizers", r#"["kubernetes"]"#),
    ],
    changes: &[
        ("/metadata/labels/team", r#""a""#),
        ("/spec/finalizers", "[]"),
        ("/spec/finalizers", r#"["kubernetes","example.com/mine"]"#),
        ("/metadata/labels/kubernetes.io~1metadata.name", "null"),
    ],
    mistakes: &[
        ("/metadata/name", r#""with.dots""#),
        ("/spec/finalizers", r#"["not one"]"#),
        ("/spec/finalizers", r#""x""#),
        ("/metadata/labels/pod-security.kubernetes.io~1enforce", r#""whatever""#),
        ("/spec/unknownField", "1"),
    ],
    strategic: &[r#"{"metadata":{"labels":{"team":"b"}}}"#, r#"{"metadata":{"annotations":{"a":null}}}"#],
    applied: &[
        r#"{"metadata":{"labels":{"seq":"{{ns}}","team":"a"}}}"#,
        r#"{"metadata":{"labels":{"seq":"{{ns}}","team":"b"}}}"#,
        r#"{"metadata":{"labels":{"seq":"{{ns}}"},"annotations":{"note":"mine"}}}"#,
    ],
    statuses: &[
        r#"{"phase":"Active"}"#,
        r#"{"phase":"Terminating"}"#,
        r#"{"phase":"Active","conditions":[{"type":"NamespaceContentRemaining","status":"True","reason":"x","message":"y","lastTransitionTime":"2024-01-01T00:00:00Z"}]}"#,
    ],
    bad_statuses: &[r#"{"phase":"Odd"}"#, r#"{"conditions":{}}"#],
    ..NOTHING
};
