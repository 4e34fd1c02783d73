//! F2: a registration stays while a record names it, and a debt is written by a person's word alone, stands until it is
//! paid, and is for that very cluster.

use std::{collections::BTreeMap, time::Duration};

use apiserver::Commit;
use serde_json::Value;

use super::{
    Check, Truth,
    look::{
        self, HEARD, MASTER, all, called, is_deleting, lets_go, members, name, owner, record, site_of, text, uid,
        worker,
    },
    request::{CLAIMS, DATABASES, PARTS, WORKERS},
};
use crate::tape::{Event, Party};

/// The finalizer by which the controller keeps a registration.
const IN_USE: &str = "atoll.dev/in-use";

/// For how long a write to the master may be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Default)]
pub struct InUse {
    /// Databases that a person changed: when, and what they were before.
    changed: BTreeMap<String, (Duration, Value)>,
    /// When a person last registered each worker.
    registered: BTreeMap<String, Duration>,
}

impl Check for InUse {
    fn name(&self) -> &'static str {
        "F2 in use"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        let Event::Committed(site, party, commit) = event else { return Ok(()) };
        if &**site != MASTER {
            return Ok(());
        }
        match (party, commit.place.resource.as_str()) {
            (Party::Controller(life), DATABASES) => {
                self.named(now, commit, truth).map_err(|why| format!("{life} records a member: {why}"))
            }
            (_, DATABASES) => {
                if let Some(before) = commit.before.as_deref() {
                    self.changed.insert(uid(before).to_owned(), (now, before.clone()));
                }
                Ok(())
            }
            (Party::Person, WORKERS) => {
                if commit.before.is_none() {
                    self.registered.insert(commit.place.name.clone(), now);
                }
                Ok(())
            }
            (Party::Controller(life), WORKERS) => {
                let verdict = kept(commit, truth).and_then(|()| self.debts(now, commit, truth));
                verdict.map_err(|why| format!("{life} changes K8sCluster {}: {why}", commit.place.name))
            }
            _ => Ok(()),
        }
    }
}

fn holds(worker: &Value) -> bool {
    worker["metadata"]["finalizers"].as_array().into_iter().flatten().any(|finalizer| finalizer == IN_USE)
}

/// The finalizer goes only when no record names the worker, and nothing is owed there.
fn kept(commit: &Commit, truth: &Truth) -> Result<(), String> {
    let Some(before) = commit.before.as_deref().filter(|before| holds(before)) else { return Ok(()) };
    if commit.after.as_deref().is_some_and(holds) {
        return Ok(());
    }
    let here = name(before);
    let uses = |database: &Value| {
        record(database).is_some_and(|record| members(record).any(|member| text(member, "/worker") == here))
    };
    if let Some(user) = all(truth, MASTER, DATABASES).iter().find(|database| uses(database)) {
        return Err(format!("it is let go of, although database {} has members there", called(user)));
    }
    match debts(before).next() {
        Some(debt) => Err(format!("it is let go of, although it owes {}", text(debt, "/uid"))),
        None => Ok(()),
    }
}

fn debts(worker: &Value) -> impl Iterator<Item = &Value> {
    worker["status"]["debts"].as_array().into_iter().flatten()
}

impl InUse {
    /// A worker that a record names for the first time is kept by then, unless a person took its registration away by force
    /// and made it anew while the record was on its way.
    fn named(&self, now: Duration, commit: &Commit, truth: &Truth) -> Result<(), String> {
        let Some(after) = commit.after.as_deref() else { return Ok(()) };
        let workers = |database: Option<&Value>| -> Vec<String> {
            let record = database.and_then(record);
            record.into_iter().flat_map(members).map(|member| text(member, "/worker").to_owned()).collect()
        };
        let before = workers(commit.before.as_deref());
        let on_its_way =
            |worker: &String| self.registered.get(worker).is_some_and(|at| now.saturating_sub(*at) < ON_ITS_WAY);
        let new = workers(Some(after)).into_iter().filter(|worker| !before.contains(worker) && !on_its_way(worker));
        for named in new {
            match worker(truth, &named) {
                Some(worker) if !holds(&worker) => {
                    return Err(format!("{} names worker {named}, whose registration nobody keeps", called(after)));
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    fn debts(&self, now: Duration, commit: &Commit, truth: &Truth) -> Result<(), String> {
        let nothing = Value::Null;
        let (before, after) =
            (commit.before.as_deref().unwrap_or(&nothing), commit.after.as_deref().unwrap_or(&nothing));
        for debt in debts(after).filter(|debt| debts(before).all(|known| known != *debt)) {
            self.owed(now, after, debt, truth)
                .map_err(|why| format!("it owes something to {}, but {why}", text(debt, "/uid")))?;
        }
        for debt in debts(before).filter(|debt| debts(after).all(|left| text(left, "/uid") != text(debt, "/uid"))) {
            paid(after, debt, truth).map_err(|why| format!("the debt of {} goes, but {why}", text(debt, "/uid")))?;
        }
        Ok(())
    }

    /// A debt is one by a person's word, about this cluster and with the volumes that the policy says.
    fn owed(&self, now: Duration, worker: &Value, debt: &Value, truth: &Truth) -> Result<(), String> {
        let (registered, cluster) = (text(worker, "/status/identity"), text(debt, "/workerIdentity"));
        if leads_elsewhere(worker, cluster) {
            return Err("it is about another cluster".to_owned());
        }
        let Some(found) = look::database(truth, text(debt, "/uid")) else {
            return Err("there is no such database".to_owned());
        };
        let recorded = |database: &Value| {
            record(database).is_some_and(|record| {
                let here = |member: &&Value| text(member, "/worker") == name(worker);
                members(record).filter(here).any(|member| text(member, "/workerIdentity") == cluster)
            })
        };
        // One that was made anew and not reached yet leads where the record says.
        if registered.is_empty() && !recorded(&found) {
            return Err("no member is recorded in that cluster".to_owned());
        }
        let judge = |database: &Value| {
            let volumes_go = matches!(text(database, "/spec/terminationPolicy"), "Delete" | "WipeOut");
            if !is_deleting(database) {
                Err("nobody has deleted it".to_owned())
            } else if !lets_go(database, name(worker)) {
                Err("nobody has let go of this worker for it".to_owned())
            } else if text(debt, "/volumes") == "Delete" && !volumes_go {
                Err("its policy keeps volumes".to_owned())
            } else {
                Ok(())
            }
        };
        // What a person changed a moment ago, nobody could know yet.
        match (judge(&found), self.changed.get(uid(&found))) {
            (Err(_), Some((at, before))) if now.saturating_sub(*at) <= HEARD => judge(before),
            (verdict, _) => verdict,
        }
    }
}

/// Whether a registration is known to lead to another cluster.
fn leads_elsewhere(worker: &Value, cluster: &str) -> bool {
    let registered = text(worker, "/status/identity");
    !registered.is_empty() && registered != cluster
}

/// A debt goes when nothing is left, when its database is there after all, or when its cluster was given up.
fn paid(worker: &Value, debt: &Value, truth: &Truth) -> Result<(), String> {
    let (whose, cluster) = (text(debt, "/uid"), text(debt, "/workerIdentity"));
    if leads_elsewhere(worker, cluster) || look::database(truth, whose).is_some() {
        return Ok(());
    }
    let Some(site) = site_of(truth, cluster) else { return Err("its cluster cannot be found".to_owned()) };
    let volumes_go = text(debt, "/volumes") == "Delete";
    for resource in PARTS.into_iter().filter(|resource| volumes_go || *resource != CLAIMS) {
        if let Some(part) = all(truth, site, resource).into_iter().find(|part| owner(part) == whose) {
            return Err(format!("{resource} {} is still in {site}", called(&part)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::Scene;

    const WORKER: &str = "/apis/k8s.oceanbase.com/v1alpha1/k8sclusters/w1";
    const PODS: &str = "/api/v1/namespaces/default/pods";

    fn does(scene: &mut Scene, check: &mut InUse, path: &str, patch: &Value) -> Result<(), String> {
        scene.does(1, "master", "PATCH", path, patch).iter().try_for_each(|event| scene.see(check, event))
    }

    fn finalizers(names: &[&str]) -> Value {
        json!({ "metadata": { "finalizers": names } })
    }

    #[test]
    fn a_registration_is_let_go_only_when_no_record_names_it() {
        for used in [true, false] {
            let (mut scene, mut check) = (Scene::new(), InUse::default());
            does(&mut scene, &mut check, WORKER, &finalizers(&[IN_USE])).expect("it may be kept for nobody");
            if used {
                scene.database_with("a", "established", "Delete", json!({}));
            }
            let verdict = does(&mut scene, &mut check, WORKER, &finalizers(&[]));
            assert_eq!(verdict.is_err(), used, "{verdict:?}");
        }
    }

    #[test]
    fn a_record_names_only_workers_that_are_kept() {
        for kept in [true, false] {
            let (mut scene, mut check) = (Scene::new(), InUse::default());
            let database = scene.database_with("a", "established", "Delete", json!({}));
            let record = database["status"]["atoll"].clone();
            let path = format!("{}/a/status", Scene::DATABASES);
            does(&mut scene, &mut check, &path, &json!({ "status": { "atoll": null } })).expect("it names nobody");
            for worker in ["w1", "w2"].into_iter().filter(|_| kept) {
                let path = format!("/apis/k8s.oceanbase.com/v1alpha1/k8sclusters/{worker}");
                does(&mut scene, &mut check, &path, &finalizers(&[IN_USE])).expect("they are kept");
            }
            let verdict = does(&mut scene, &mut check, &path, &json!({ "status": { "atoll": record } }));
            assert_eq!(verdict.is_ok(), kept, "{verdict:?}");
        }
    }

    #[test]
    fn a_record_on_its_way_may_name_a_worker_that_a_person_makes_anew_meanwhile() {
        for (later, fine) in [(1, true), (60, false)] {
            let (mut scene, mut check) = (Scene::new(), InUse::default());
            let database = scene.database_with("a", "established", "Delete", json!({}));
            let record = database["status"]["atoll"].clone();
            let path = format!("{}/a/status", Scene::DATABASES);
            does(&mut scene, &mut check, &path, &json!({ "status": { "atoll": null } })).expect("it names nobody");
            let other = WORKER.replace("w1", "w2");
            does(&mut scene, &mut check, &other, &finalizers(&[IN_USE])).expect("it is kept");
            let made = json!({ "apiVersion": "k8s.oceanbase.com/v1alpha1", "kind": "K8sCluster",
                "metadata": { "name": "w1" }, "spec": { "name": "w1" } });
            scene.by_admin("master", "DELETE", WORKER, &json!(null));
            for event in scene.by_admin("master", "POST", WORKER.trim_end_matches("/w1"), &made) {
                scene.see(&mut check, &event).expect("a person may");
            }
            scene.now += Duration::from_secs(later);
            let verdict = does(&mut scene, &mut check, &path, &json!({ "status": { "atoll": record } }));
            assert_eq!(verdict.is_ok(), fine, "{verdict:?}");
        }
    }

    fn debt(scene: &Scene, database: &Value, identity: &str, volumes: &str) -> Value {
        let here = look::identity(&scene.truth, identity).expect("a cluster");
        json!({ "status": { "debts": [{ "kind": "cluster.apps.kubeblocks.io", "namespace": "default", "name": "a",
            "uid": uid(database), "volumes": volumes, "releasedAt": "2026-01-01T00:00:00Z", "workerIdentity": here }] } })
    }

    #[test]
    fn a_debt_is_one_by_a_persons_word_about_this_cluster() {
        let fine = ("w1", "Delete", "Delete", "w1");
        for (at, volumes, policy, let_go_of) in [
            fine,
            ("w2", "Delete", "Delete", "w1"),
            ("w1", "Delete", "Halt", "w1"),
            ("w1", "Delete", "Delete", "w2"),
            ("w1", "Delete", "Delete", ""),
        ] {
            let (mut scene, mut check) = (Scene::new(), InUse::default());
            let database = scene.database_with("a", "established", policy, json!({}));
            let word = format!("{}/{let_go_of}", uid(&database));
            scene.annotate(&database, "atoll.dev/release-worker", &word);
            scene.person_deletes(&database);
            let owed = debt(&scene, &database, at, volumes);
            let verdict = does(&mut scene, &mut check, &format!("{WORKER}/status"), &owed);
            assert_eq!(
                verdict.is_ok(),
                (at, volumes, policy, let_go_of) == fine,
                "{at} {volumes} {policy} {let_go_of}"
            );
        }
    }

    #[test]
    fn before_its_cluster_is_known_a_registration_owes_what_members_are_recorded_in() {
        for (at, fine) in [("w1", true), ("w2", false)] {
            let (mut scene, mut check) = (Scene::new(), InUse::default());
            let database = scene.database_with("a", "established", "Delete", json!({}));
            scene.annotate(&database, "atoll.dev/release-worker", &format!("{}/w1", uid(&database)));
            scene.person_deletes(&database);
            scene.unpin("w1");
            let owed = debt(&scene, &database, at, "Delete");
            let verdict = does(&mut scene, &mut check, &format!("{WORKER}/status"), &owed);
            assert_eq!(verdict.is_ok(), fine, "{at}: {verdict:?}");
        }
    }

    #[test]
    fn a_debt_goes_when_nothing_is_left() {
        for left in [true, false] {
            let (mut scene, mut check) = (Scene::new(), InUse::default());
            let database = scene.database_with("a", "established", "Delete", json!({}));
            let owed = debt(&scene, &database, "w1", "Delete");
            let _ = does(&mut scene, &mut check, &format!("{WORKER}/status"), &owed);
            if left {
                scene.create("w1", PODS, &scene.pod(&database, 0, &[]));
            }
            scene.forget(&database);
            let verdict =
                does(&mut scene, &mut check, &format!("{WORKER}/status"), &json!({ "status": { "debts": null } }));
            assert_eq!(verdict.is_err(), left, "{verdict:?}");
        }
    }
}
