//! F1: a database's resource is let go only when nothing is left of it in any worker, and nothing is made for it later.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use apiserver::Commit;
use serde_json::Value;

use super::{
    Check, Truth,
    look::{
        FINALIZER, HEARD, MASTER, all, annotation, called, debts, identity, is_copy, lets_go, members, owner, record,
        text, uid,
    },
    request::{CLAIMS, DATABASES, PARTS, Request, WORKERS, body},
};
use crate::tape::{Event, Party, Site};

/// See the module.
#[derive(Default)]
pub struct Finalizer {
    /// What is in workers, by UID: since when.
    parts: BTreeMap<String, Duration>,
    /// Databases that were let go, by UID: when.
    released: BTreeMap<String, Duration>,
    /// The identities of clusters that have ever been registered.
    registered: BTreeSet<String>,
}

impl Check for Finalizer {
    fn name(&self) -> &'static str {
        "F1 finalizer"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        match event {
            Event::Committed(_, _, commit) if PARTS.contains(&commit.place.resource.as_str()) => {
                match (commit.before.as_deref(), commit.after.as_deref()) {
                    (None, Some(after)) => drop(self.parts.insert(uid(after).to_owned(), now)),
                    (Some(before), None) => drop(self.parts.remove(uid(before))),
                    _ => {}
                }
                Ok(())
            }
            Event::Committed(site, _, commit) if &**site == MASTER && commit.place.resource == WORKERS => {
                let identity = commit.after.as_deref().map_or("", |worker| text(worker, "/status/identity"));
                self.registered.insert(identity.to_owned());
                Ok(())
            }
            Event::Committed(site, Party::Controller(life), commit)
                if &**site == MASTER && commit.place.resource == DATABASES =>
            {
                let Some(database) = released(commit) else { return Ok(()) };
                self.released.insert(uid(database).to_owned(), now);
                let clean = self.nothing_left(now, database, truth);
                clean.map_err(|why| format!("{life} lets database {} go, but {why}", called(database)))
            }
            Event::Sent(call) if call.verb == "POST" => {
                let Some(request) = Request::of(&call.path) else { return Ok(()) };
                if !request.is_part() || self.released.is_empty() {
                    return Ok(());
                }
                let made = body(call);
                match self.released.get(owner(&made)) {
                    Some(at) if now.saturating_sub(*at) > HEARD => {
                        Err(format!("{call}: it is for a database that was let go at {:.1} s", at.as_secs_f64()))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

/// The database that the controller no longer holds after this.
fn released(commit: &Commit) -> Option<&Value> {
    let before = commit.before.as_deref()?;
    let holds = |database: &Value| {
        let finalizers = database["metadata"]["finalizers"].as_array();
        finalizers.into_iter().flatten().any(|finalizer| finalizer == FINALIZER)
    };
    let still = commit.after.as_deref().is_some_and(holds);
    (holds(before) && !still).then_some(before)
}

impl Finalizer {
    /// Whether anybody could know that something is there. A write that is under way in the very moment in which another
    /// cluster answers in a worker's place lands in that one.
    fn is_known(&self, database: &Value, site: &str, truth: &Truth) -> bool {
        let here = identity(truth, site).unwrap_or_default();
        let lived = |record| members(record).any(|member| text(member, "/workerIdentity") == here);
        leads_to(truth, &here) || self.registered.contains(&here) || record(database).is_some_and(lived)
    }

    fn nothing_left(&self, now: Duration, database: &Value, truth: &Truth) -> Result<(), String> {
        let id = uid(database);
        if annotation(database, "atoll.dev/keep-data") == id {
            return Ok(());
        }
        let volumes_go = matches!(text(database, "/spec/terminationPolicy"), "Delete" | "WipeOut");
        let concerned = |site: &&Site| !let_go(database, site, truth) && self.is_known(database, site, truth);
        for site in truth.servers.keys().filter(concerned) {
            for resource in PARTS.into_iter().filter(|resource| volumes_go || *resource != CLAIMS) {
                // One that has come a moment ago, nobody could know of yet.
                let old =
                    |part: &Value| self.parts.get(uid(part)).is_none_or(|since| now.saturating_sub(*since) > HEARD);
                let left = all(truth, site, resource)
                    .into_iter()
                    .find(|part| owner(part) == id && !is_copy(part) && old(part));
                if let Some(part) = left {
                    return Err(format!("{resource} {} is still in {site}", called(&part)));
                }
            }
        }
        Ok(())
    }
}

/// Whether registrations lead to this cluster.
fn leads_to(truth: &Truth, identity: &str) -> bool {
    all(truth, MASTER, WORKERS).iter().any(|worker| text(worker, "/status/identity") == identity)
}

/// Whether a cluster was let go of: a debt stands, or there is nowhere to write one and a person has said so.
fn let_go(database: &Value, site: &str, truth: &Truth) -> bool {
    let here = identity(truth, site).unwrap_or_default();
    if debts(truth, site).iter().any(|debt| text(debt, "/uid") == uid(database)) {
        return true;
    }
    let Some(record) = record(database).filter(|_| !leads_to(truth, &here)) else { return false };
    let lived = |member: &&Value| text(member, "/workerIdentity") == here;
    let mut there = members(record).filter(lived).peekable();
    there.peek().is_some() && there.all(|member| lets_go(database, text(member, "/worker")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::{Scene, seconds};

    const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
    const PODS: &str = "/api/v1/namespaces/default/pods";

    /// The controller lets a database of this policy go while something of it is in a worker.
    fn lets_go(policy: &str, annotations: Value, left: &[&str]) -> Result<(), String> {
        let (mut scene, mut check) = (Scene::new(), Finalizer::default());
        let database = scene.database_with("a", "established", policy, annotations);
        if left.contains(&"claim") {
            scene.create("w1", CLAIMS, &scene.claim(&database, 0));
        }
        if left.contains(&"pod") {
            scene.create("w1", PODS, &scene.pod(&database, 0, &[]));
        }
        scene.person_deletes(&database);
        scene.now += seconds(20);
        release(&mut scene, &mut check)
    }

    fn release(scene: &mut Scene, check: &mut Finalizer) -> Result<(), String> {
        let path = format!("{}/a", Scene::DATABASES);
        let patch = json!({ "metadata": { "finalizers": [] } });
        scene.does(1, "master", "PATCH", &path, &patch).iter().try_for_each(|event| scene.see(check, event))
    }

    #[test]
    fn a_database_is_let_go_when_nothing_of_it_is_left() {
        lets_go("Delete", json!({}), &[]).expect("nothing is left");
        lets_go("Halt", json!({}), &["claim"]).expect("volumes stay");
        lets_go("Delete", json!({}), &["claim"]).expect_err("a volume is left");
        lets_go("Halt", json!({}), &["pod"]).expect_err("a pod is left");
    }

    #[test]
    fn what_landed_where_nobody_was_ever_registered_is_nobodys_to_find() {
        for (registered, fine) in [(false, true), (true, false)] {
            let (mut scene, mut check) = (Scene::new(), Finalizer::default());
            let database = scene.database_with("a", "established", "Delete", json!({}));
            scene.create("w3", PODS, &scene.pod(&database, 0, &[]));
            if registered {
                scene.register_again("w3", "w3", "True");
            }
            scene.person_deletes(&database);
            scene.now += seconds(20);
            let verdict = release(&mut scene, &mut check);
            assert_eq!(verdict.is_ok(), fine, "registered {registered}: {verdict:?}");
        }
    }

    #[test]
    fn nothing_is_made_for_a_database_that_was_let_go() {
        let (mut scene, mut check) = (Scene::new(), Finalizer::default());
        let database = scene.database_with("a", "established", "Delete", json!({}));
        let pod = scene.pod(&database, 0, &[]);
        scene.person_deletes(&database);
        release(&mut scene, &mut check).expect("nothing is left");
        let sent = scene.sends(1, "w1", "POST", PODS, &pod);
        scene.see(&mut check, &sent).expect("a moment later nobody can know");
        scene.now += seconds(3);
        scene.see(&mut check, &sent).expect_err("it is long gone");
    }
}
