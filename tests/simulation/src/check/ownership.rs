//! S5: the controller touches only what carries our master's UID and a database's labels, deletes and changes exactly
//! the object it means, and writes nothing of which it has no business.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use apiserver::Commit;
use atoll::plan::labels;
use serde_json::Value;

use super::{
    Check, Truth,
    look::{self, MASTER, annotation, called, foreign, identity, object, owner, uid},
    request::{DATABASES, NAMESPACES, PARTS, Request, WORKERS, body},
};
use crate::{
    link::MEMBERS,
    tape::{Call, Event, Party},
};

/// See the module.
#[derive(Default)]
pub struct Ownership {
    /// What the controller has made, by UID: whatever people did to its labels since, it is ours.
    made: BTreeSet<String>,
}

impl Check for Ownership {
    fn name(&self) -> &'static str {
        "S5 ownership"
    }

    fn see(&mut self, _: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        match event {
            Event::Sent(call) if call.is_step() => sent(call, truth).map_err(|why| format!("{call}: {why}")),
            Event::Committed(site, Party::Controller(life), commit) if is_part(commit) => {
                let wrong = self.committed(commit, truth);
                wrong.map_err(|why| format!("{life} changes {} in {site} ({}): {why}", commit.place, commit.verb))
            }
            _ => Ok(()),
        }
    }
}

impl Ownership {
    fn committed(&mut self, commit: &Commit, truth: &Truth) -> Result<(), String> {
        let master = identity(truth, MASTER).unwrap_or_default();
        let (before, after) = (commit.before.as_deref(), commit.after.as_deref());
        let known = before.is_some_and(|before| self.made.contains(uid(before)));
        if let Some(why) = before.filter(|_| !known).and_then(|before| foreign(before, &master)) {
            return Err(format!("it was not ours: {why}"));
        }
        let Some(after) = after else { return Ok(()) };
        if before.is_none() {
            self.made.insert(uid(after).to_owned());
        }
        if let Some(why) = foreign(after, &master).filter(|_| !known) {
            return Err(format!("it is not marked as ours: {why}"));
        }
        match before {
            Some(before) if owner(before) != owner(after) => consented(before, after, truth),
            _ => Ok(()),
        }
    }
}

/// An object changes hands only where a person has said so.
fn consented(before: &Value, after: &Value, truth: &Truth) -> Result<(), String> {
    let heir = look::database(truth, owner(after));
    let adopts = heir.as_deref().map(|heir| annotation(heir, "atoll.dev/adopt")).unwrap_or_default();
    if adopts == owner(before) {
        return Ok(());
    }
    Err(format!("it goes from database {} to {} without anybody's consent", owner(before), owner(after)))
}

fn is_part(commit: &Commit) -> bool {
    PARTS.contains(&commit.place.resource.as_str())
}

fn sent(call: &Call, truth: &Truth) -> Result<(), String> {
    // What members are told is theirs to refuse.
    if &*call.site == MEMBERS {
        return Ok(());
    }
    let Some(request) = Request::of(&call.path) else { return Err("nobody knows what this is".to_owned()) };
    match request.resource.as_str() {
        _ if request.is_part() => part(call, &request, truth),
        NAMESPACES => namespace(call, &request, truth),
        DATABASES => match (call.verb, request.sub) {
            ("PUT" | "PATCH", "status") => Ok(()),
            ("PATCH", "") if touches_only_finalizers(&body(call)) => Ok(()),
            _ => Err("of a database, only finalizers and status are the controller's".to_owned()),
        },
        WORKERS if call.verb == "DELETE" => named_uid(call).map(|_| ()).ok_or_else(|| NAMELESS.to_owned()),
        WORKERS if request.sub == "status" && !names_version(call) => Err(VERSIONLESS.to_owned()),
        WORKERS => Ok(()),
        _ => Err("the controller has no business with it".to_owned()),
    }
}

const NAMELESS: &str = "it names no UID, so that it could hit another object of that name";
/// Of what is written to a status, an API server compares the version alone with what is there.
const VERSIONLESS: &str = "it names no version, so that it could hit another object of that name";

fn part(call: &Call, request: &Request, truth: &Truth) -> Result<(), String> {
    match call.verb {
        "POST" if request.name.is_empty() => {
            let master = identity(truth, MASTER).unwrap_or_default();
            foreign(&body(call), &master)
                .map_or(Ok(()), |why| Err(format!("what it makes is not marked as ours: {why}")))
        }
        "DELETE" if request.name.is_empty() => Err("it deletes a whole collection".to_owned()),
        _ => {
            let meant = named_uid(call).ok_or_else(|| NAMELESS.to_owned())?;
            let site = truth.addresses.behind(&call.site);
            let there = object(truth, &site, &request.resource, request.namespace, request.name);
            let Some(there) = there.filter(|there| uid(there) == meant) else { return Ok(()) };
            let master = identity(truth, MASTER).unwrap_or_default();
            match label_of_master(&there) {
                "" => Ok(()),
                other if other != master => Err(format!("{} belongs to the master {other}", called(&there))),
                _ => Ok(()),
            }
        }
    }
}

fn label_of_master(object: &Value) -> &str {
    look::label(object, labels::MASTER)
}

fn namespace(call: &Call, request: &Request, truth: &Truth) -> Result<(), String> {
    if call.verb != "POST" || !request.name.is_empty() {
        return Err("the controller makes namespaces, and never changes or deletes one".to_owned());
    }
    let (made, master) = (body(call), identity(truth, MASTER).unwrap_or_default());
    let marked = look::label(&made, labels::MANAGED_BY) == labels::MANAGER && label_of_master(&made) == master;
    if marked { Ok(()) } else { Err("the namespace is not marked as ours".to_owned()) }
}

fn touches_only_finalizers(patch: &Value) -> bool {
    let only = |value: &Value, allowed: &[&str]| {
        value.as_object().is_some_and(|fields| fields.keys().all(|key| allowed.contains(&key.as_str())))
    };
    only(patch, &["metadata"]) && only(&patch["metadata"], &["uid", "resourceVersion", "finalizers"])
}

/// The UID that a write insists on: of a delete its precondition, of a change what stands in its body.
pub fn named_uid(call: &Call) -> Option<String> {
    let body = body(call);
    let uid = match (call.verb, call.path.ends_with("/eviction")) {
        ("DELETE", _) => &body["preconditions"]["uid"],
        ("POST", true) => &body["deleteOptions"]["preconditions"]["uid"],
        _ => &body["metadata"]["uid"],
    };
    uid.as_str().filter(|uid| !uid.is_empty()).map(str::to_owned)
}

/// Whether a write insists on a version.
fn names_version(call: &Call) -> bool {
    body(call)["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty())
}

/// What the controller asks to make, if that is what this event is.
pub fn made<'a>(event: &'a Event, resource: &str) -> Option<(&'a Arc<Call>, Value)> {
    let Event::Sent(call) = event else { return None };
    if call.verb != "POST" {
        return None;
    }
    let request = Request::of(&call.path)?;
    (request.resource == resource && request.name.is_empty()).then(|| (call, body(call)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::Scene;

    const PODS: &str = "/api/v1/namespaces/default/pods";

    #[test]
    fn what_is_made_must_say_whose_it_is() {
        let mut scene = Scene::new();
        let database = scene.database("a", "founding");
        let pod = scene.pod(&database, 0, &[]);
        let sent = scene.sends(1, "w1", "POST", PODS, &pod);
        scene.see(&mut Ownership::default(), &sent).expect("it is marked");
        let mut bare = pod;
        bare["metadata"]["labels"][labels::DATABASE_UID] = json!("");
        let sent = scene.sends(1, "w1", "POST", PODS, &bare);
        let words = scene.see(&mut Ownership::default(), &sent).expect_err("it is not");
        assert!(words.contains(labels::DATABASE_UID), "{words}");
    }

    #[test]
    fn a_delete_and_a_patch_must_name_the_object_that_is_meant() {
        let mut scene = Scene::new();
        let database = scene.database("a", "established");
        let pod = scene.pod(&database, 0, &[]);
        let pod = scene.create("w1", PODS, &pod);
        let path = format!("{PODS}/{}", look::name(&pod));
        for (verb, body, fine) in [
            ("DELETE", json!({ "preconditions": { "uid": uid(&pod) } }), true),
            ("DELETE", json!({}), false),
            ("PATCH", json!({ "metadata": { "uid": uid(&pod), "labels": {} } }), true),
            ("PATCH", json!({ "metadata": { "labels": {} } }), false),
        ] {
            let sent = scene.sends(1, "w1", verb, &path, &body);
            let verdict = scene.see(&mut Ownership::default(), &sent);
            assert_eq!(verdict.is_ok(), fine, "{verb} {body}: {verdict:?}");
        }
        let all = scene.sends(1, "w1", "DELETE", PODS, &json!({}));
        scene.see(&mut Ownership::default(), &all).expect_err("a whole collection");
    }

    #[test]
    fn somebody_elses_object_is_never_changed() {
        let mut scene = Scene::new();
        let mut check = Ownership::default();
        let theirs = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "theirs" },
            "spec": { "clusterIP": "None", "ports": [{ "port": 1 }] } });
        let theirs = scene.create("w1", "/api/v1/namespaces/default/services", &theirs);
        let path = "/api/v1/namespaces/default/services/theirs";
        let patch = json!({ "metadata": { "uid": uid(&theirs), "labels": { "a": "b" } } });
        let events = scene.does(1, "w1", "PATCH", path, &patch);
        let verdicts: Vec<_> = events.iter().map(|event| scene.see(&mut check, event)).collect();
        assert!(
            verdicts.iter().any(|verdict| verdict.as_ref().is_err_and(|why| why.contains("was not ours"))),
            "{verdicts:?}"
        );
    }

    #[test]
    fn of_the_master_only_states_and_finalizers_are_written() {
        let mut scene = Scene::new();
        let path = "/apis/apps.kubeblocks.io/v1alpha1/namespaces/default/clusters/a";
        let workers = "/apis/k8s.oceanbase.com/v1alpha1/k8sclusters/w1/status";
        for (verb, path, body, fine) in [
            ("PUT", format!("{path}/status"), json!({}), true),
            ("PATCH", path.to_owned(), json!({ "metadata": { "uid": "u", "finalizers": [] } }), true),
            ("PATCH", path.to_owned(), json!({ "spec": {} }), false),
            ("DELETE", path.to_owned(), json!({}), false),
            ("POST", "/api/v1/namespaces/default/secrets".to_owned(), json!({}), false),
            ("DELETE", "/api/v1/namespaces/default".to_owned(), json!({}), false),
            ("PATCH", workers.to_owned(), json!({ "metadata": { "resourceVersion": "7" }, "status": {} }), true),
            ("PATCH", workers.to_owned(), json!({ "metadata": { "uid": "u" }, "status": {} }), false),
            ("PATCH", workers.to_owned(), json!({ "status": {} }), false),
        ] {
            let sent = scene.sends(1, "master", verb, &path, &body);
            let verdict = scene.see(&mut Ownership::default(), &sent);
            assert_eq!(verdict.is_ok(), fine, "{verb} {path}: {verdict:?}");
        }
    }
}
