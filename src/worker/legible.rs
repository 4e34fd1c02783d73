//! Objects that may turn out not to be readable. One that is not must not hide all others: it is left out of what is
//! seen, and said to be missing there.
//!
//! Not kube's `DeserializeGuard`: an object whose metadata is unreadable too still breaks the list there, and its error
//! quotes the object.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// An object, or what can be told of one that cannot be read.
#[derive(Clone, Debug)]
pub enum Legible<K> {
    /// It was read.
    Read(Box<K>),
    /// It is not as Kubernetes describes its kind: its namespace, name, version and labels, as far as they are there.
    Unread(Box<ObjectMeta>),
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Legible<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What is not even JSON is no object among others: then all of the answer is lost.
        let object = Value::deserialize(deserializer)?;
        Ok(match K::deserialize(&object) {
            Ok(read) => Self::Read(Box::new(read)),
            Err(_) => Self::Unread(Box::new(remains(&object))),
        })
    }
}

fn remains(object: &Value) -> ObjectMeta {
    let metadata = &object["metadata"];
    let text = |field: &str| metadata[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let labels = metadata["labels"].as_object().map(|labels| {
        let texts = labels.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        texts.collect()
    });
    ObjectMeta {
        namespace: text("namespace"),
        name: text("name"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        labels,
        ..ObjectMeta::default()
    }
}

impl<K: Resource> Resource for Legible<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(kind: &K::DynamicType) -> Cow<'_, str> {
        K::kind(kind)
    }

    fn group(kind: &K::DynamicType) -> Cow<'_, str> {
        K::group(kind)
    }

    fn version(kind: &K::DynamicType) -> Cow<'_, str> {
        K::version(kind)
    }

    fn plural(kind: &K::DynamicType) -> Cow<'_, str> {
        K::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Read(object) => object.meta(),
            Self::Unread(metadata) => metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Read(object) => object.meta_mut(),
            Self::Unread(metadata) => metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::core::{ObjectList, WatchEvent};
    use serde_json::json;

    use super::*;

    fn pod(name: &str) -> Value {
        json!({ "metadata": { "name": name, "namespace": "ns" } })
    }

    fn garbage() -> [Value; 6] {
        [
            json!({ "metadata": { "name": "bad", "namespace": "ns", "labels": { "a": "b", "c": 4 } }, "spec": "secret" }),
            json!({ "metadata": { "name": 7, "labels": [] } }),
            json!({ "metadata": "none", "spec": { "containers": 1 } }),
            json!([]),
            json!(null),
            json!("text"),
        ]
    }

    #[test]
    fn one_object_that_cannot_be_read_hides_no_other_in_a_list() {
        for bad in garbage() {
            let list =
                json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod("a"), bad, pod("b")] });
            let list: ObjectList<Legible<Pod>> = serde_json::from_value(list).unwrap();
            let read: Vec<_> = list.iter().map(|object| matches!(object, Legible::Read(_))).collect();
            assert_eq!(read, [true, false, true], "{bad}");
        }
    }

    #[test]
    fn an_event_is_told_for_what_it_is_in_either_order_of_its_fields() {
        for text in [
            r#"{"type":"MODIFIED","object":{"metadata":{"name":"bad","resourceVersion":"5"},"spec":1}}"#,
            r#"{"object":{"metadata":{"name":"bad","resourceVersion":"5"},"spec":1},"type":"MODIFIED"}"#,
        ] {
            let event: WatchEvent<Legible<Pod>> = serde_json::from_str(text).unwrap();
            let WatchEvent::Modified(object @ Legible::Unread(_)) = event else { panic!("{event:?}") };
            assert_eq!(object.meta().resource_version.as_deref(), Some("5"));
        }
    }

    #[test]
    fn of_an_unreadable_object_only_names_and_labels_are_kept() {
        let [bad, ..] = garbage();
        let object: Legible<Pod> = serde_json::from_value(bad).unwrap();
        assert_eq!(object.meta().name.as_deref(), Some("bad"));
        assert_eq!(object.meta().labels, Some([("a".to_owned(), "b".to_owned())].into()));
        assert!(!format!("{object:?}").contains("secret"));
    }
}
