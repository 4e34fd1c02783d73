//! CustomResourceDefinitions: what they add to what is served, and how they go.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    content::{self, Writer},
    delete::{Options, check_preconditions},
    eviction::set_condition,
    failure::Failure,
    state::{Ask, Served, State, shelf_of, text, texts},
    store::Stored,
};

const SHELF: &str = "customresourcedefinitions.apiextensions.k8s.io";
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

impl State {
    /// Serves what the CRDs that are there say, and nothing else.
    pub(crate) fn serve_crds(&mut self) {
        self.served.retain(|_, served| !served.kind.custom);
        for crd in self.objects(SHELF, "") {
            self.serve_crd(&crd);
        }
    }

    fn serve_crd(&mut self, crd: &Value) {
        let group = text(crd, &["spec", "group"]);
        let ending = crd["metadata"]["deletionTimestamp"].is_string();
        let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
        let stored = versions.into_iter().find(|version| version["storage"] == true);
        let stored_as = format!("{group}/{}", stored.map_or("", |version| text(version, &["name"])));
        // One that does not say what it serves serves nothing.
        for kind in content::kinds_of_crd(crd).unwrap_or_default() {
            self.serve(kind, stored_as.clone(), ending);
        }
    }

    /// What the controllers of the real server do when a CRD is made or changed: accept its names, and serve it.
    pub(crate) fn crd_written(&mut self, crd: &Arc<Value>) {
        let mut changed = (**crd).clone();
        let names = &crd["spec"]["names"];
        let mut accepted = names.clone();
        if accepted["singular"].is_null() {
            accepted["singular"] = text(names, &["kind"]).to_lowercase().into();
        }
        if accepted["listKind"].is_null() {
            accepted["listKind"] = format!("{}List", text(names, &["kind"])).into();
        }
        let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
        let storage = versions.into_iter().find(|version| version["storage"] == true);
        let storage = storage.map_or("", |version| text(version, &["name"])).to_owned();
        let mut stored: Vec<String> = texts(crd, &["status", "storedVersions"]).map(str::to_owned).collect();
        if !storage.is_empty() && !stored.contains(&storage) {
            stored.push(storage);
        }
        if !changed["status"].is_object() {
            changed["status"] = json!({});
        }
        changed["status"]["acceptedNames"] = accepted;
        changed["status"]["storedVersions"] = stored.into();
        let now = self.stamp();
        for (kind, reason, message) in [
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ] {
            let conditions = changed["status"]["conditions"].as_array().into_iter().flatten();
            let there = conditions.into_iter().any(|there| there["type"] == kind && there["status"] == "True");
            if !there {
                let condition = json!({
                    "type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message,
                });
                set_condition(&mut changed, &condition);
            }
        }
        let name = text(crd, &["metadata", "name"]).to_owned();
        if changed != **crd {
            self.own_status(crd, &mut changed);
            self.put(&SHELF.into(), &name, "update", changed);
        }
        let shelf = shelf_of(text(crd, &["spec", "group"]), text(names, &["plural"]));
        let before = self.stored_as(&shelf);
        self.serve_crds();
        if let (Some(before), Some(after)) = (before, self.stored_as(&shelf))
            && !Arc::ptr_eq(&before.kind.schema, &after.kind.schema)
        {
            self.read_again(&after);
        }
    }

    /// The version of a resource in which its objects are stored.
    fn stored_as(&self, shelf: &str) -> Option<Arc<Served>> {
        self.served.values().find(|served| *served.shelf == *shelf && served.is_stored_as_served()).cloned()
    }

    /// Objects that are in the store are read by the new schema: they get its defaults and lose what it does not know.
    /// That is no change; the next write is, even one that says nothing new.
    fn read_again(&mut self, served: &Served) {
        let objects = self.store.shelf_mut(&served.shelf).objects.iter_mut();
        for (_, stored) in objects {
            let mut value = (*stored.value).clone();
            if content::decode(&served.kind, &mut value).is_ok() && value != *stored.value {
                *stored = Arc::new(Stored::raw(value));
            }
        }
    }

    /// Who owns what the server's own controllers write.
    fn own_status(&self, before: &Value, crd: &mut Value) {
        if let Some(served) = self.of_shelf(SHELF) {
            let writer = Writer { manager: "kube-apiserver", subresource: Some("status"), time: self.now() };
            content::record_update(&served.kind, Some(before), crd, &writer);
        }
    }

    /// The first deletion of a CRD deletes its objects; it goes when they have gone. `None`: it can go at once.
    pub(crate) fn delete_crd(
        &mut self,
        ask: &Ask<'_>,
        name: &str,
        live: &Value,
        options: &Options,
    ) -> Result<Option<Value>, Failure> {
        check_preconditions(ask, name, live, options)?;
        if live["metadata"]["deletionTimestamp"].is_string() {
            return Ok(None);
        }
        let mut crd = live.clone();
        crd["metadata"]["deletionTimestamp"] = self.stamp().into();
        let mut finalizers: Vec<String> = texts(live, &["metadata", "finalizers"]).map(str::to_owned).collect();
        if !finalizers.iter().any(|name| name == CLEANUP) {
            finalizers.push(CLEANUP.to_owned());
        }
        crd["metadata"]["finalizers"] = finalizers.into();

        let condition = json!({
            "type": "Terminating", "status": "True", "lastTransitionTime": self.stamp(),
            "reason": "InstanceDeletionPending", "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        });
        set_condition(&mut crd, &condition);
        if options.dry_run {
            return Ok(Some(crd));
        }
        let stored = self.put(&SHELF.into(), name, "delete", crd);
        let object = (*stored.value).clone();
        let mut waiting = object.clone();
        let condition = json!({
            "type": "Terminating", "status": "True", "lastTransitionTime": self.stamp(),
            "reason": "InstanceDeletionInProgress", "message": "CustomResource deletion is in progress",
        });
        set_condition(&mut waiting, &condition);
        self.own_status(&object, &mut waiting);
        self.put(&SHELF.into(), name, "update", waiting);
        self.delete_instances(ask, &object);
        self.finish_crds();
        Ok(Some(object))
    }

    fn delete_instances(&mut self, ask: &Ask<'_>, crd: &Value) {
        let shelf = shelf_of(text(crd, &["spec", "group"]), text(crd, &["spec", "names", "plural"]));
        let Some(served) = self.of_shelf(&shelf) else { return };
        for object in self.objects(&shelf, "") {
            let target = crate::route::Target {
                namespace: text(&object, &["metadata", "namespace"]).to_owned(),
                name: text(&object, &["metadata", "name"]).to_owned(),
                ..ask.target.clone()
            };
            let one = Ask { served: served.clone(), target: &target, ..ask.clone() };
            // One that cannot be deleted holds its CRD.
            let _ = self.delete_one(&one, &target.name, &Options::default());
        }
    }

    /// Lets those CRDs go whose last object has gone.
    pub(crate) fn finish_crds(&mut self) {
        for crd in self.objects(SHELF, "") {
            let held = texts(&crd, &["metadata", "finalizers"]).any(|name| name == CLEANUP);
            if !held || !crd["metadata"]["deletionTimestamp"].is_string() {
                continue;
            }
            let shelf = shelf_of(text(&crd, &["spec", "group"]), text(&crd, &["spec", "names", "plural"]));
            if !self.objects(&shelf, "").is_empty() {
                continue;
            }
            let name = text(&crd, &["metadata", "name"]).to_owned();
            let rest: Vec<String> =
                texts(&crd, &["metadata", "finalizers"]).filter(|name| *name != CLEANUP).map(str::to_owned).collect();
            if rest.is_empty() {
                self.remove(&SHELF.into(), &name);
            } else {
                let mut crd = (*crd).clone();
                crd["metadata"]["finalizers"] = rest.into();
                self.put(&SHELF.into(), &name, "update", crd);
            }
        }
        self.serve_crds();
    }
}
