//! Claims of volumes.

use super::{Kind, NOTHING};

pub(super) const CLAIMS: Kind = Kind {
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
    bodies: &[
        r#"{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}"#,
        r#"{"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"standard","resources":{"requests":{"storage":"1024Mi"}}}}"#,
        r#"{"spec":{"accessModes":["ReadWriteMany","ReadOnlyMany"],"storageClassName":"","volumeMode":"Block","resources":{"requests":{"storage":"500M"}}}}"#,
    ],
    variations: &[
        ("/spec/volumeMode", r#""Filesystem""#),
        ("/spec/volumeName", r#""pv-1""#),
        ("/spec/selector", r#"{"matchLabels":{"a":"b"}}"#),
        ("/spec/resources/limits", r#"{"storage":"2Gi"}"#),
        ("/spec/resources/requests/storage", r#""1.5Gi""#),
        ("/spec/resources/requests/storage", "1073741824"),
        ("/spec/dataSource", r#"{"kind":"PersistentVolumeClaim","name":"other"}"#),
        ("/status", r#"{"phase":"Bound"}"#),
        ("/metadata/generateName", r#""gen-""#),
    ],
    changes: &[
        ("/spec/volumeName", r#""pv-1""#),
        ("/spec/resources/requests/storage", r#""2Gi""#),
        ("/spec/resources/requests/storage", r#""1Gi""#),
        ("/spec/resources/requests/storage", r#""1024Mi""#),
        ("/metadata/finalizers", "null"),
    ],
    mistakes: &[
        ("/spec/accessModes", "[]"),
        ("/spec/accessModes", r#"["Sometimes"]"#),
        ("/spec/accessModes", r#"["ReadWriteOncePod","ReadWriteOnce"]"#),
        ("/spec/resources", "null"),
        ("/spec/resources/requests", "{}"),
        ("/spec/resources/requests/storage", r#""0""#),
        ("/spec/resources/requests/storage", r#""-1Gi""#),
        ("/spec/resources/requests/storage", r#""much""#),
        ("/spec/storageClassName", r#""Not A Class""#),
        ("/spec/storageClassName", r#""other""#),
        ("/spec/volumeMode", r#""Tape""#),
        ("/spec/volumeMode", r#""Block""#),
        ("/spec/selector", r#"{"matchLabels":{"bad key":"b"}}"#),
        ("/spec", "null"),
        ("/spec/accessModes", r#""ReadWriteOnce""#),
        ("/spec/unknownField", "1"),
        ("/metadata/name", r#""with_underscore""#),
    ],
    strategic: &[
        r#"{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}"#,
        r#"{"spec":{"accessModes":["ReadWriteMany"]}}"#,
        r#"{"metadata":{"labels":{"tier":"2"}}}"#,
    ],
    applied: &[
        r#"{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}"#,
        r#"{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1024Mi"}}}}"#,
        r#"{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"2Gi"}}}}"#,
        r#"{"metadata":{"labels":{"seq":"{{ns}}","applied":"yes"}},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}},"volumeMode":"Filesystem"}}"#,
        r#"{"metadata":{"annotations":{"note":"mine"}}}"#,
    ],
    statuses: &[
        r#"{"phase":"Bound","accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"}}"#,
        r#"{"phase":"Bound","accessModes":["ReadWriteOnce"],"capacity":{"storage":"2Gi"},"conditions":[{"type":"Resizing","status":"True"}]}"#,
        r#"{"phase":"Lost"}"#,
        "{}",
    ],
    bad_statuses: &[r#"{"phase":2}"#, r#"{"capacity":{"storage":"much"}}"#, r#"{"capacity":{"storage":"-1"}}"#],
    ..NOTHING
};
