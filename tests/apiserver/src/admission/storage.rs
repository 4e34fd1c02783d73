//! Claims get the default storage class and a finalizer, and grow only where their class allows it.

use serde_json::{Value, json};

use crate::{
    content::Quantity,
    failure::Failure,
    state::{Ask, State, text, texts},
};

const DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn add_finalizer(object: &mut Value, name: &str) {
    if texts(object, &["metadata", "finalizers"]).any(|there| there == name) {
        return;
    }
    if !object["metadata"]["finalizers"].is_array() {
        object["metadata"]["finalizers"] = json!([]);
    }
    if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
        finalizers.push(name.into());
    }
}

/// The class that a claim asks for, by either way to say so.
fn class_of(claim: &Value) -> Option<&str> {
    claim["metadata"]["annotations"][CLASS].as_str().or(claim["spec"]["storageClassName"].as_str())
}

impl State {
    pub(super) fn admit_claim(&self, claim: &mut Value) {
        if class_of(claim).is_none() && claim["spec"].is_object() {
            let is_default = |class: &Value| DEFAULT.iter().any(|key| class["metadata"]["annotations"][key] == "true");
            let classes = self.objects("storageclasses.storage.k8s.io", "");
            let defaults = classes.iter().filter(|class| is_default(class));
            // The newest; of two of the same age, the one that comes first.
            let newest = defaults.rev().max_by_key(|class| text(class, &["metadata", "creationTimestamp"]).to_owned());
            if let Some(class) = newest {
                claim["spec"]["storageClassName"] = class["metadata"]["name"].clone();
            }
        }
        add_finalizer(claim, "kubernetes.io/pvc-protection");
    }

    pub(super) fn judge_resize(&self, ask: &Ask<'_>, live: Option<&Value>, claim: &Value) -> Result<(), Failure> {
        let Some(live) = live else { return Ok(()) };
        let size = |claim: &Value| Quantity::parse(text(claim, &["spec", "resources", "requests", "storage"]));
        let (Some(before), Some(after)) = (size(live), size(claim)) else { return Ok(()) };
        if after <= before {
            return Ok(());
        }
        if text(live, &["status", "phase"]) != "Bound" {
            let words = "Only bound persistent volume claims can be expanded";
            return Err(Failure::forbidden(&ask.about(), words));
        }
        let class = class_of(claim).filter(|class| !class.is_empty() && class_of(live) == Some(class));
        let class = class.and_then(|class| self.object("storageclasses.storage.k8s.io", "", class));
        if class.is_some_and(|class| class.value["allowVolumeExpansion"] == true) {
            return Ok(());
        }
        let words = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                     support resize";
        Err(Failure::forbidden(&ask.about(), words))
    }
}
