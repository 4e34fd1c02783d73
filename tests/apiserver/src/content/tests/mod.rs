//! Tables of cases: what becomes of one object, request by request, as a real API server was seen to do it.

mod applying;
mod builtin;
mod custom;
mod judging;
mod owning;

use serde_json::{Value, json};

use super::*;

/// One object and its kind.
struct Object {
    kind: Kind,
    live: Option<Value>,
    version: u64,
}

impl Object {
    fn of(kind: &str) -> Self {
        let kind = builtin_kinds().into_iter().find(|known| known.kind == kind).unwrap();
        Self { kind, live: None, version: 0 }
    }

    fn custom(schema: Value) -> Self {
        let crd = json!({ "spec": { "group": "example.com", "scope": "Namespaced",
            "names": { "kind": "Thing", "plural": "things" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": schema } }] } });
        Self { kind: kinds_of_crd(&crd).unwrap().remove(0), live: None, version: 0 }
    }

    fn live(&self) -> &Value {
        self.live.as_ref().unwrap()
    }

    fn writer<'a>(&self, manager: &'a str, endpoint: Endpoint) -> Writer<'a> {
        let second = i64::try_from(self.version).unwrap();
        let subresource = (endpoint == Endpoint::Status).then_some("status");
        Writer { manager, subresource, time: Timestamp::from_second(second).unwrap() }
    }

    fn whole(&self, mut object: Value) -> Value {
        object["apiVersion"] = self.kind.api_version().into();
        object["kind"] = self.kind.kind.clone().into();
        object["metadata"]["name"] = "x".into();
        if self.kind.namespaced {
            object["metadata"]["namespace"] = "n".into();
        }
        object
    }

    fn create(&mut self, manager: &str, object: Value) -> Result<&Value, Refusal> {
        let mut object = self.whole(object);
        decode(&self.kind, &mut object)?;
        record_update(&self.kind, None, &mut object, &self.writer(manager, Endpoint::Main));
        self.store_new(object)
    }

    fn store_new(&mut self, mut object: Value) -> Result<&Value, Refusal> {
        object["metadata"]["uid"] = "uid".into();
        object["metadata"]["creationTimestamp"] = "1970-01-01T00:00:00Z".into();
        admit_create(&self.kind, &mut object)?;
        Ok(self.store(object))
    }

    fn store(&mut self, mut object: Value) -> &Value {
        if self.live.as_ref() != Some(&object) {
            self.version += 1;
            object["metadata"]["resourceVersion"] = self.version.to_string().into();
        }
        self.live.insert(object)
    }

    fn merge(&mut self, manager: &str, endpoint: Endpoint, patch: Value) -> Result<&Value, Refusal> {
        let mut object = self.live().clone();
        merge_patch(&mut object, &patch);
        decode(&self.kind, &mut object)?;
        let writer = self.writer(manager, endpoint);
        record_update(&self.kind, self.live.as_ref(), &mut object, &writer);
        admit_update(&self.kind, endpoint, self.live(), &mut object, writer.time)?;
        Ok(self.store(object))
    }

    fn apply(&mut self, manager: &str, force: Force, object: Value) -> Result<&Value, Refusal> {
        self.apply_to(manager, Endpoint::Main, force, object)
    }

    fn apply_to(&mut self, manager: &str, endpoint: Endpoint, force: Force, object: Value) -> Result<&Value, Refusal> {
        let object = self.whole(object);
        let writer = self.writer(manager, endpoint);
        let mut object = apply(&self.kind, self.live.as_ref(), &object, &writer, force)?;
        if self.live.is_none() {
            return self.store_new(object);
        }
        admit_update(&self.kind, endpoint, self.live(), &mut object, writer.time)?;
        Ok(self.store(object))
    }

    /// What a manager owns by which operation: `None` if nothing.
    fn owned(&self, manager: &str, operation: &str) -> Value {
        let entries = self.live()["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let found = entries.iter().find(|entry| entry["manager"] == manager && entry["operation"] == operation);
        found.map(|entry| entry["fieldsV1"].clone()).unwrap_or_default()
    }
}

/// The causes of a refusal, as `field: message`, each once: the server judges some things twice, and tells them twice.
fn causes(refused: Result<&Value, Refusal>) -> Vec<String> {
    match refused {
        Err(Refusal::Invalid(causes) | Refusal::Conflict(causes, _)) => {
            let mut told: Vec<String> = Vec::new();
            for cause in causes {
                let words = format!("{}: {}", cause.field, cause.message);
                if !told.contains(&words) {
                    told.push(words);
                }
            }
            told
        }
        other => panic!("{other:?}"),
    }
}
