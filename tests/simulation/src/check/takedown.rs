//! When a database may be taken down: because a person deleted it, nothing holds that, and it has waited for its
//! neighbours (DECISIONS 7). Several checks ask; and services, which go for no other reason, are checked here (`S4
//! services`).

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    Check, Truth,
    look::{HEARD, MASTER, all, annotation, called, has_left, is_deleting, name, namespace, object, owner, text, uid},
    request::{DATABASES, KINDS, NAMESPACES, Request, SERVICES},
};
use crate::tape::Event;

/// How long a deletion waits for its neighbours: ten seconds after a timestamp that is written in whole seconds.
const WAIT: Duration = Duration::from_secs(9);
/// How far apart deletions may be to count as done at once.
const TOGETHER: Duration = Duration::from_mins(10);
/// From how many on deletions are a mass, if they are more than half of all.
const MANY: usize = 5;

/// What goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Volumes.
    Volumes,
    /// Pods, services and jobs.
    Rest,
}

/// When people asked for what, as the master's API server took it.
#[derive(Default)]
pub struct Deletions {
    /// Databases, kinds and namespaces that are being deleted, by UID: since when.
    asked: BTreeMap<String, Duration>,
    /// Databases that changed: when, and what they were before.
    changed: BTreeMap<String, (Duration, Value)>,
}

impl Deletions {
    /// Remembers what changes in the master.
    pub fn hear(&mut self, now: Duration, event: &Event) {
        let Event::Committed(site, _, commit) = event else { return };
        let resource = commit.place.resource.as_str();
        if &**site != MASTER || ![DATABASES, KINDS, NAMESPACES].contains(&resource) {
            return;
        }
        if let Some(after) = commit.after.as_deref().filter(|after| is_deleting(after)) {
            self.asked.entry(uid(after).to_owned()).or_insert(now);
        }
        if let Some(before) = commit.before.as_deref().filter(|_| resource == DATABASES) {
            let after = commit.after.as_deref();
            if after.is_none_or(|after| wishes(after) != wishes(before)) {
                self.changed.insert(uid(before).to_owned(), (now, before.clone()));
            }
        }
    }

    /// Whether this database, or a part of it, may be taken down now. The words say why not.
    pub fn may_take_down(&self, now: Duration, truth: &Truth, database: &str, what: What) -> Result<(), String> {
        let verdict = match super::look::database(truth, database) {
            None => Err(format!("the master has no database with the UID {database}")),
            Some(found) => self.judge(now, truth, &found, what),
        };
        // What a person changed a moment ago, nobody could know yet.
        match (verdict, self.changed.get(database)) {
            (Err(_), Some((at, before))) if now.saturating_sub(*at) <= HEARD => self.judge(now, truth, before, what),
            (verdict, _) => verdict,
        }
    }

    fn judge(&self, now: Duration, truth: &Truth, database: &Value, what: What) -> Result<(), String> {
        let (called, id) = (called(database), uid(database));
        if !is_deleting(database) {
            return Err(format!("nobody has deleted database {called}"));
        }
        let policy = text(database, "/spec/terminationPolicy");
        let held = match policy {
            "DoNotTerminate" => Some("its policy is DoNotTerminate"),
            "Halt" if what == What::Volumes => Some("its policy is Halt, which keeps volumes"),
            _ if annotation(database, "atoll.dev/keep-data") == id => Some("its data is to be kept"),
            _ if is_set(database, "atoll.dev/paused") => Some("it is paused"),
            _ if is_set(database, "atoll.dev/deletion-protection") => Some("it is protected from deletion"),
            _ => None,
        };
        if let Some(why) = held {
            return Err(format!("database {called} is being deleted, but {why}"));
        }
        if annotation(database, "atoll.dev/confirm-delete") == id {
            return Ok(());
        }
        if let Some(asked) = self.asked.get(id)
            && now.saturating_sub(*asked) < WAIT
        {
            let waited = now.saturating_sub(*asked).as_secs_f64();
            return Err(format!(
                "database {called} was deleted only {waited:.1} s ago, which is less than ten seconds"
            ));
        }
        if !text(database, "/status/atoll/held").is_empty() {
            return Err(format!(
                "the deletion of database {called} is held by its record, and nobody has confirmed it"
            ));
        }
        match self.mass(now, truth, database) {
            Some(why) => Err(format!("the deletion of database {called} is part of a mass ({why}), and not confirmed")),
            None => Ok(()),
        }
    }

    /// Why a deletion looks like no one person's wish, if that was known long enough.
    fn mass(&self, now: Duration, truth: &Truth, database: &Value) -> Option<String> {
        let since = |object: &Value| self.asked.get(uid(object)).copied().unwrap_or_default();
        let known = |object: &Value| is_deleting(object) && now.saturating_sub(since(object)) > HEARD;
        if object(truth, MASTER, KINDS, "", DATABASES).is_some_and(|kind| known(&kind)) {
            return Some("its kind is being deleted".to_owned());
        }
        if object(truth, MASTER, NAMESPACES, "", namespace(database)).is_some_and(|namespace| known(&namespace)) {
            return Some(format!("namespace {} is being deleted", namespace(database)));
        }
        let all = all(truth, MASTER, DATABASES);
        let together =
            all.iter().filter(|other| known(other) && since(other).abs_diff(since(database)) < TOGETHER).count();
        (together >= MANY && together * 2 > all.len()).then(|| format!("{together} of {} go", all.len()))
    }
}

fn is_set(database: &Value, key: &str) -> bool {
    annotation(database, key) == "true"
}

/// What a person wants with a database that goes.
fn wishes(database: &Value) -> [&Value; 3] {
    let metadata = &database["metadata"];
    [&metadata["annotations"], &metadata["deletionTimestamp"], &database["spec"]["terminationPolicy"]]
}

/// Whether something that a database left in a cluster may go for a debt: the database is gone, and a registration that is
/// pinned to this very cluster owes it, as a person has said. The words say why not.
pub fn may_be_paid(truth: &Truth, site: &str, database: &str, what: What) -> Result<(), String> {
    if super::look::database(truth, database).is_some() {
        return Err("its database is still there, so it is not for a debt".to_owned());
    }
    let debt = super::look::debts(truth, site).into_iter().find(|debt| text(debt, "/uid") == database);
    match debt {
        None => Err(format!("no K8sCluster owes anything to a database with the UID {database} here")),
        Some(debt) if what == What::Volumes && text(&debt, "/volumes") != "Delete" => {
            Err(format!("the debt of database {database} keeps volumes"))
        }
        Some(_) => Ok(()),
    }
}

/// `S4 services`: a service goes with its database, or with a member that has left it.
#[derive(Default)]
pub struct Services {
    deletions: Deletions,
}

impl Check for Services {
    fn name(&self) -> &'static str {
        "S4 services"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        self.deletions.hear(now, event);
        let Event::Sent(call) = event else { return Ok(()) };
        if call.verb != "DELETE" {
            return Ok(());
        }
        let Some(request) = Request::of(&call.path).filter(|request| request.resource == SERVICES) else {
            return Ok(());
        };
        let site = truth.addresses.behind(&call.site);
        let Some(service) = object(truth, &site, SERVICES, request.namespace, request.name) else { return Ok(()) };
        let why = self
            .deletions
            .may_take_down(now, truth, owner(&service), What::Rest)
            .or_else(|why| may_be_paid(truth, &site, owner(&service), What::Rest).map_err(|no| format!("{why}; {no}")))
            .or_else(|why| has_left(truth, &site, &service).map_err(|no| format!("{why}; {no}")));
        why.map_err(|why| format!("{} deletes service {} in {site}: {why}", call.life, name(&service)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::{look::identity, testing::Scene};

    #[test]
    fn what_is_left_is_paid_for_a_debt_of_this_cluster_and_of_a_database_that_is_gone() {
        let fine = ("w1", true, "Delete", What::Volumes);
        for (owes, gone, volumes, what) in [
            fine,
            ("w1", true, "Keep", What::Rest),
            ("w1", true, "Keep", What::Volumes),
            ("w2", true, "Delete", What::Volumes),
            ("", true, "Delete", What::Volumes),
            ("w1", false, "Delete", What::Volumes),
        ] {
            let mut scene = Scene::new();
            let database = scene.database("a", "established");
            let debt = json!({ "kind": "cluster.apps.kubeblocks.io", "namespace": "default", "name": "a",
                "uid": uid(&database), "volumes": volumes, "releasedAt": "2026-01-01T00:00:00Z",
                "workerIdentity": identity(&scene.truth, owes).unwrap_or_default() });
            if !owes.is_empty() {
                let path = format!("/apis/k8s.oceanbase.com/v1alpha1/k8sclusters/{owes}/status");
                scene.does(1, "master", "PATCH", &path, &json!({ "status": { "debts": [debt] } }));
            }
            if gone {
                scene.forget(&database);
            }
            let verdict = may_be_paid(&scene.truth, "w1", uid(&database), what);
            let allowed = (owes, gone, volumes, what) == fine || (volumes == "Keep" && what == What::Rest);
            assert_eq!(verdict.is_ok(), allowed, "{owes} {gone} {volumes} {what:?}: {verdict:?}");
        }
    }
}
