//! What the provisioner decides, told case by case.

use std::sync::Arc;

use super::*;

const ROOT: &str = "/lab/volumes";

#[derive(Default)]
struct Cluster {
    classes: Objects<StorageClass>,
    claims: Objects<PersistentVolumeClaim>,
    volumes: Objects<PersistentVolume>,
}

fn put<K: kube::Resource>(objects: &mut Objects<K>, object: K) {
    objects.insert(Key::of(&object), Arc::new(object));
}

fn from<K: serde::de::DeserializeOwned>(json: serde_json::Value) -> K {
    serde_json::from_value(json).unwrap()
}

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self::default();
        for class in offered() {
            put(&mut cluster.classes, class);
        }
        cluster
    }

    fn claim(mut self, class: &str, annotations: &serde_json::Value, spec: &serde_json::Value) -> Self {
        let mut claim = serde_json::json!({
            "metadata": {"namespace": "default", "name": "data-0", "uid": "u1", "annotations": annotations},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}}
        });
        for (key, value) in spec.as_object().unwrap() {
            claim["spec"][key] = value.clone();
        }
        put(&mut self.claims, from(claim));
        self
    }

    /// A claim bound to a volume of ours.
    fn bound(mut self, requested: &str, volume: &str, status: &str, conditions: &serde_json::Value) -> Self {
        put(
            &mut self.claims,
            from(serde_json::json!({
                "metadata": {"namespace": "default", "name": "data-0", "uid": "u1"},
                "spec": {"volumeName": "pvc-u1", "storageClassName": "standard", "resources": {"requests": {"storage": requested}}},
                "status": {"phase": "Bound", "capacity": {"storage": status}, "conditions": conditions}
            })),
        );
        put(&mut self.volumes, made("Bound", volume));
        self
    }

    fn decide(&self) -> (Vec<Act>, Vec<Complaint>) {
        let Self { classes, claims, volumes } = self;
        decide(&Storage { classes, claims, volumes, root: Path::new(ROOT) })
    }
}

fn made(phase: &str, size: &str) -> PersistentVolume {
    from(serde_json::json!({
        "metadata": {"name": "pvc-u1", "uid": "v1", "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": size}, "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": "/lab/volumes/pvc-u1"}, "claimRef": {"namespace": "default", "name": "data-0", "uid": "u1"}
        },
        "status": {"phase": phase}
    }))
}

fn asked() -> serde_json::Value {
    serde_json::json!({ASKED[0]: PROVISIONER})
}

fn none() -> serde_json::Value {
    serde_json::json!({})
}

#[test]
fn an_empty_cluster_gets_three_classes_of_which_one_is_the_default() {
    let (acts, complaints) = Cluster::default().decide();
    let defaults: Vec<_> = acts
        .iter()
        .filter_map(|act| match act {
            Act::Offer(class) => Some((
                class.metadata.name.clone().unwrap(),
                class.metadata.annotations.clone().unwrap().contains_key(IS_DEFAULT),
            )),
            _ => None,
        })
        .collect();
    assert_eq!(defaults, [("standard".into(), true), ("local-path".into(), false), ("hostpath".into(), false)]);
    assert!(complaints.is_empty());
}

#[test]
fn a_class_that_a_person_changed_is_left_alone() {
    let mut cluster = Cluster::new();
    let mut standard = offered()[0].clone();
    standard.metadata.annotations = None;
    standard.provisioner = "example.com/other".into();
    put(&mut cluster.classes, standard);
    assert_eq!(cluster.decide().0, []);
}

#[test]
fn a_claim_gets_a_volume_that_names_it_and_is_a_directory_under_the_root() {
    let (acts, _) = Cluster::new().claim("standard", &asked(), &none()).decide();
    let [Act::Provide(volume)] = acts.as_slice() else { panic!("{acts:?}") };
    let spec = volume.spec.as_ref().unwrap();
    assert_eq!(spec.host_path.as_ref().unwrap().path, "/lab/volumes/pvc-u1");
    assert_eq!(spec.claim_ref.as_ref().unwrap().uid.as_deref(), Some("u1"));
    assert_eq!(spec.capacity.as_ref().unwrap()["storage"].0, "1Gi");
    assert_eq!(spec.persistent_volume_reclaim_policy.as_deref(), Some("Delete"));
    assert!(spec.node_affinity.is_none());
    assert!(is_ours(volume));
}

#[test]
fn a_claim_with_a_volume_under_way_gets_no_second_one() {
    let mut cluster = Cluster::new().claim("standard", &asked(), &none());
    put(&mut cluster.volumes, made("Available", "1Gi"));
    assert_eq!(cluster.decide(), (vec![], vec![]));
}

#[test]
fn a_claim_that_kubernetes_has_not_handed_over_waits() {
    assert_eq!(Cluster::new().claim("standard", &none(), &none()).decide(), (vec![], vec![]));
    let other = serde_json::json!({ASKED[0]: "example.com/other"});
    assert_eq!(Cluster::new().claim("standard", &other, &none()).decide(), (vec![], vec![]));
}

#[test]
fn local_path_waits_for_a_consumer_and_then_stays_on_its_node() {
    assert_eq!(Cluster::new().claim("local-path", &asked(), &none()).decide(), (vec![], vec![]));
    let scheduled = serde_json::json!({ASKED[0]: PROVISIONER, SELECTED_NODE: "n2"});
    let (acts, _) = Cluster::new().claim("local-path", &scheduled, &none()).decide();
    let [Act::Provide(volume)] = acts.as_slice() else { panic!("{acts:?}") };
    assert_eq!(volume.spec.as_ref().unwrap().node_affinity, Some(only_on("n2")));
}

#[test]
fn what_a_directory_cannot_be_is_refused_in_words() {
    for (field, word) in [
        (serde_json::json!({"volumeMode": "Block"}), "Filesystem"),
        (serde_json::json!({"dataSource": {"kind": "VolumeSnapshot", "name": "s"}}), "dataSource"),
        (serde_json::json!({"selector": {"matchLabels": {"a": "b"}}}), "selector"),
        (serde_json::json!({"resources": {}}), "requests.storage"),
    ] {
        let (acts, complaints) = Cluster::new().claim("standard", &asked(), &field).decide();
        assert_eq!(acts, []);
        assert!(complaints[0].note.contains(word), "{complaints:?}");
        assert_eq!(complaints[0].about.name.as_deref(), Some("data-0"));
    }
}

#[test]
fn a_larger_request_grows_the_volume_then_the_claim_then_nothing() {
    let (acts, _) = Cluster::new().bound("2Gi", "1Gi", "1Gi", &serde_json::json!([])).decide();
    assert!(matches!(acts.as_slice(), [Act::GrowVolume { size, .. }] if size.0 == "2Gi"), "{acts:?}");
    let (acts, _) = Cluster::new().bound("2Gi", "2Gi", "1Gi", &serde_json::json!([])).decide();
    assert!(matches!(acts.as_slice(), [Act::GrowClaim { size, .. }] if size.0 == "2Gi"), "{acts:?}");
    assert_eq!(Cluster::new().bound("2Gi", "2048Mi", "2Gi", &serde_json::json!([])).decide().0, []);
}

#[test]
fn a_claim_that_still_says_it_is_resizing_is_settled() {
    let resizing = serde_json::json!([{"type": "FileSystemResizePending", "status": "True"}]);
    let (acts, _) = Cluster::new().bound("2Gi", "3Gi", "3Gi", &resizing).decide();
    assert!(matches!(acts.as_slice(), [Act::GrowClaim { size, .. }] if size.0 == "3Gi"), "{acts:?}");
}

#[test]
fn a_volume_of_somebody_else_neither_grows_nor_goes() {
    let mut cluster = Cluster::new().bound("2Gi", "1Gi", "1Gi", &serde_json::json!([]));
    let mut foreign = made("Bound", "1Gi");
    foreign.metadata.annotations = None;
    put(&mut cluster.volumes, foreign.clone());
    assert_eq!(cluster.decide().0, []);
    foreign.status.as_mut().unwrap().phase = Some("Released".into());
    put(&mut cluster.volumes, foreign);
    assert_eq!(cluster.decide().0, []);
}

#[test]
fn a_released_volume_goes_with_its_directory_and_no_other() {
    let removed = |volume: PersistentVolume| {
        let mut cluster = Cluster::new();
        put(&mut cluster.volumes, volume);
        cluster.decide().0.into_iter().find_map(|act| match act {
            Act::Remove { directory, .. } => Some(directory),
            _ => None,
        })
    };
    assert_eq!(removed(made("Released", "1Gi")), Some(PathBuf::from("/lab/volumes/pvc-u1")));
    assert_eq!(removed(made("Bound", "1Gi")), None);
    let mut retained = made("Released", "1Gi");
    retained.spec.as_mut().unwrap().persistent_volume_reclaim_policy = Some("Retain".into());
    assert_eq!(removed(retained), None);
    for path in ["/lab/volumes", "/lab/volumes/../../etc", "/", "/lab/volumes/pvc-u2"] {
        let mut elsewhere = made("Released", "1Gi");
        elsewhere.spec.as_mut().unwrap().host_path.as_mut().unwrap().path = path.into();
        assert_eq!(removed(elsewhere), None, "{path}");
    }
}

#[test]
fn a_volume_that_was_released_but_is_bound_again_is_not_removed() {
    let root = Path::new(ROOT);
    assert!(still_removable(root, &made("Released", "1Gi"), &made("Released", "1Gi")));
    assert!(!still_removable(root, &made("Released", "1Gi"), &made("Bound", "1Gi")));
    let mut another = made("Released", "1Gi");
    another.metadata.uid = Some("v2".into());
    assert!(!still_removable(root, &made("Released", "1Gi"), &another));
}
