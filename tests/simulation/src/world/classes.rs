//! The storage classes that a cluster comes with.

use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};

use super::{
    Class,
    round::Round,
    volumes::{DEFAULT_CLASS, LOCAL, NETWORK},
};

/// Makes the storage classes that are not there.
pub(super) fn install(round: &mut Round) {
    for class in [Class::Standard, Class::LocalPath] {
        let key = (String::new(), class.name().to_owned());
        if !round.objects.classes.contains_key(&key) {
            let object = object(class, round.settings.flavour.default_class);
            round.act(
                format!("class {}", key.1),
                move |hand| async move { hand.create::<StorageClass>("", object).await },
            );
        }
    }
}

fn object(class: Class, default: Class) -> Value {
    let (provisioner, mode) = match class {
        Class::Standard => (NETWORK, "Immediate"),
        Class::LocalPath => (LOCAL, "WaitForFirstConsumer"),
    };
    let is_default = (class == default).to_string();
    json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": { "name": class.name(), "annotations": { DEFAULT_CLASS: is_default } },
        "provisioner": provisioner, "volumeBindingMode": mode, "reclaimPolicy": "Delete", "allowVolumeExpansion": true })
}
