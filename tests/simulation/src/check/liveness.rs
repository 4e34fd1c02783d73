//! L1–L4 and D1, at the end of a run: every database that can run runs, every other one says what keeps it, and what is gone
//! has left nothing behind.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

pub use super::durable::durable;
use super::{
    Truth,
    damage::{any_homeless, damage, elsewhere},
    look::{
        MASTER, Stage, all, called, condition, condition_of, engine_id, foreign, home, identity, is_deleting, members,
        name, object, owner, part, record, site_of, stage, text, uid, votes,
    },
    request::{CLAIMS, DATABASES, PARTS, PODS, WORKERS},
    sight::majority,
};
use crate::{
    etcd::{ClusterId, MemberId, View},
    place::Place,
    tape::Site,
};

/// What is expected of a run's end, where it is not that everything is well.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// Databases (`NAMESPACE/NAME`) that need not be well.
    pub excused: BTreeSet<String>,
    /// Clusters that nobody can reach: what is left there is nobody's fault.
    pub unreachable: BTreeSet<Site>,
    /// UIDs of databases whose objects were to be kept.
    pub kept: BTreeSet<String>,
}

/// Whether everything is well. If not, the first thing that is not.
pub fn settled(truth: &Truth) -> Result<(), String> {
    settled_as(truth, &Expectation::default())
}

/// The same, but for what is expected otherwise.
pub fn settled_as(truth: &Truth, expected: &Expectation) -> Result<(), String> {
    for worker in all(truth, MASTER, WORKERS) {
        let gone =
            site_of(truth, text(&worker, "/status/identity")).is_some_and(|site| expected.unreachable.contains(site));
        let (status, reason) = condition(&worker, "Ready");
        if status != "True" && !gone {
            return Err(format!(
                "worker {} is not ready ({reason}): {}",
                name(&worker),
                text(condition_of(&worker, "Ready"), "/message")
            ));
        }
    }
    registrations(truth, expected)?;
    let databases = all(truth, MASTER, DATABASES);
    let views = truth.etcds.inspect();
    for database in databases.iter().filter(|database| !expected.excused.contains(&called(database))) {
        judge(truth, database, &views).map_err(|why| format!("database {}: {why}", called(database)))?;
    }
    let known: BTreeSet<&str> = databases.iter().map(|database| uid(database)).collect();
    let master = identity(truth, MASTER).unwrap_or_default();
    for site in truth.servers.keys().filter(|site| !expected.unreachable.contains(*site)) {
        // Volumes stay where a policy says so; that no others do is seen when a database is let go.
        for resource in PARTS.into_iter().filter(|resource| *resource != CLAIMS) {
            let orphan = all(truth, site, resource).into_iter().find(|part| {
                let ours = foreign(part, &master).is_none() && !known.contains(owner(part));
                ours && !expected.kept.contains(owner(part)) && !is_for_a_person(truth, site, owner(part))
            });
            if let Some(part) = orphan {
                return Err(format!(
                    "{resource} {} in {site} belongs to {}, which is gone",
                    called(&part),
                    owner(&part)
                ));
            }
        }
    }
    Ok(())
}

/// Whether what is left of a database in a cluster is out of reach, because no registration leads there, or is told of
/// there as nobody's.
fn is_for_a_person(truth: &Truth, site: &Site, owner: &str) -> bool {
    let leads_here = |worker: &&Arc<Value>| site_of(truth, text(worker, "/status/identity")) == Some(site);
    let workers = all(truth, MASTER, WORKERS);
    let mut leading = workers.iter().filter(leads_here).peekable();
    let tells = |worker: &Arc<Value>| text(condition_of(worker, "OrphansFound"), "/message").contains(owner);
    leading.peek().is_none() || leading.any(tells)
}

/// L4: debts of workers that can be seen are paid; and whoever is in use is kept, and nobody else.
fn registrations(truth: &Truth, expected: &Expectation) -> Result<(), String> {
    let databases = all(truth, MASTER, DATABASES);
    for worker in all(truth, MASTER, WORKERS).into_iter().filter(|worker| !is_deleting(worker)) {
        let called = name(&worker);
        let site = site_of(truth, text(&worker, "/status/identity"));
        let debts = worker["status"]["debts"].as_array().map_or(0, Vec::len);
        if debts > 0 && !site.is_some_and(|site| expected.unreachable.contains(site)) {
            return Err(format!("worker {called} can be seen, and still has {debts} debts"));
        }
        let uses = |database: &Value| {
            record(database).is_some_and(|record| members(record).any(|member| text(member, "/worker") == called))
        };
        let used = debts > 0 || databases.iter().any(|database| uses(database));
        let finalizers = worker["metadata"]["finalizers"].as_array();
        let kept = finalizers.into_iter().flatten().any(|finalizer| finalizer == "atoll.dev/in-use");
        match (used, kept) {
            (true, false) => return Err(format!("worker {called} is in use, and nobody keeps its registration")),
            // What is left there of a database that is there is not let out of sight.
            (false, true) if site.is_some_and(|site| holds_volumes(truth, site, &databases)) => {}
            (false, true) => return Err(format!("worker {called} is not in use, and its registration is kept")),
            (true, true) | (false, false) => {}
        }
    }
    Ok(())
}

/// Whether volumes are left in a cluster of members that have left a database, as its policy says.
fn holds_volumes(truth: &Truth, site: &str, databases: &[Arc<Value>]) -> bool {
    let of = |claim: &Value| databases.iter().any(|database| uid(database) == owner(claim));
    all(truth, site, CLAIMS).iter().any(|claim| of(claim))
}

fn judge(truth: &Truth, database: &Value, views: &[View]) -> Result<(), String> {
    let (phase, ready) = (text(database, "/status/phase"), condition(database, "Ready").0);
    if is_deleting(database) {
        return Err(format!("it is still being deleted: {}", text(database, "/status/message")));
    }
    let damage = damage(truth, database);
    let hurt: BTreeSet<_> = damage.iter().map(|(member, _)| member.as_str()).collect();
    let runs = phase == "Running" && ready == "True";
    // What was refused is tried again, later each time: until then it is not at rest, however well it looks.
    let waits = condition(database, "WorkersAccept").0 == "False";
    if waits && (damage.is_empty() || record(database).is_some() && !any_homeless(truth, database)) {
        return Err(text(condition_of(database, "WorkersAccept"), "/message").to_owned());
    }
    // What is asked for cannot be made out: members that go meanwhile are not made again.
    let accepted = condition(database, "Accepted").0 != "False";
    if runs || accepted && !damage.is_empty() {
        serves(truth, database, views, &hurt)?;
    }
    if runs {
        up_to_date(truth, database, views)?;
    }
    match damage.first() {
        None if runs => Ok(()),
        None => Err(format!("phase {phase}, Ready={ready}: {}", text(database, "/status/message"))),
        Some((_, why)) if runs => Err(format!("it is called Running, although {why}")),
        Some((_, why)) if text(database, "/status/message").is_empty() => Err(format!("it does not say that {why}")),
        Some(_) => Ok(()),
    }
}

/// What runs is what was asked for: as many members, all with a vote, made from the manifest as it stands; or it is said
/// why not.
fn up_to_date(truth: &Truth, database: &Value, views: &[View]) -> Result<(), String> {
    let Some(record) = record(database) else { return Ok(()) };
    if condition(database, "UpToDate").0 == "False" {
        let (reason, why) = (condition(database, "UpToDate").1, text(condition_of(database, "UpToDate"), "/message"));
        let for_good = ["UpgradeRefused", "ChangeNotCarriedOut"].contains(&reason);
        return if for_good { Ok(()) } else { Err(format!("it is called Running, and {reason}: {why}")) };
    }
    let component = &database["spec"]["componentSpecs"][0];
    // Who has left and was where nobody leads any more is not forgotten: something of it may be there.
    let stays = |member: &&Value| part(member) != "removed" || elsewhere(truth, member).is_none();
    let (wanted, has) = (component["replicas"].as_u64().unwrap_or_default(), members(record).filter(stays).count());
    if usize::try_from(wanted) != Ok(has) {
        return Err(format!("{wanted} members are asked for, and the record has {has}"));
    }
    let cluster = engine_id(text(record, "/stage/cluster")).map(ClusterId);
    let ids: BTreeSet<_> =
        members(record).filter(stays).filter_map(|member| engine_id(text(member, "/engineId"))).map(MemberId).collect();
    if let Some(view) = views.iter().find(|view| view.cluster_id == cluster && view.serving && view.voters != ids) {
        return Err(format!("{} lists {:?} as voters, and the record has {ids:?}", view.pod, view.voters));
    }
    for recorded in members(record).filter(stays) {
        let called = text(recorded, "/name");
        let site =
            site_of(truth, text(recorded, "/workerIdentity")).ok_or(format!("the cluster of {called} is gone"))?;
        let Some(pod) = object(truth, site, PODS, home(database, recorded), called) else { continue };
        let container = &pod["spec"]["containers"][0];
        if container["resources"]["requests"] != component["resources"]["requests"] {
            let (has, wanted) = (&container["resources"]["requests"], &component["resources"]["requests"]);
            return Err(format!("{called} requests {has}, and the manifest {wanted}"));
        }
        let version = text(record, "/runs/version");
        if !text(container, "/image").ends_with(&format!(":v{version}")) {
            return Err(format!("{called} runs {}, and the record says {version}", text(container, "/image")));
        }
    }
    Ok(())
}

/// Whether something is refused that is tried again and again.
pub fn is_anything_refused(truth: &Truth) -> bool {
    all(truth, MASTER, DATABASES).iter().any(|database| condition(database, "WorkersAccept").0 == "False")
}

/// How many databases wait for something in the middle of a change.
pub fn how_many_wait(truth: &Truth) -> u64 {
    let waits = |database: &Value| !text(database, "/status/operation/waitingFor").is_empty();
    all(truth, MASTER, DATABASES).iter().filter(|database| waits(database)).map(|_| 1).sum()
}

/// Whether there is a pod whose container crashes again and again.
pub fn does_any_crash(truth: &Truth) -> bool {
    let crashes = |status: &Value| text(status, "/state/waiting/reason") == "CrashLoopBackOff";
    let any = |pod: &Value| pod["status"]["containerStatuses"].as_array().into_iter().flatten().any(crashes);
    truth.servers.keys().any(|site| all(truth, site, PODS).iter().any(|pod| any(pod)))
}

/// Whether every member serves that nothing has befallen, if they can at all.
fn serves(truth: &Truth, database: &Value, views: &[View], hurt: &BTreeSet<&str>) -> Result<(), String> {
    let Some(record) = record(database).filter(|record| stage(record) >= Some(Stage::Founded)) else { return Ok(()) };
    let well: Vec<_> =
        members(record).filter(|member| votes(member)).filter(|member| !hurt.contains(text(member, "/name"))).collect();
    if well.len() < majority(members(record).filter(|member| votes(member)).count()) {
        return Ok(());
    }
    let Some(cluster) = engine_id(text(record, "/stage/cluster")).map(ClusterId) else { return Ok(()) };
    for member in well {
        let id = engine_id(text(member, "/engineId")).map(MemberId);
        let place = site_of(truth, text(member, "/workerIdentity")).map(|site| Place::Cluster(site.to_string()));
        let runs = |view: &&View| {
            view.cluster_id == Some(cluster) && view.member_id == id && Some(&view.place) == place.as_ref()
        };
        match views.iter().find(runs) {
            Some(view) if view.serving => {}
            Some(view) => return Err(format!("{} runs ({:?}), and does not serve", text(member, "/name"), view.role)),
            None => return Err(format!("{} does not run", text(member, "/name"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::{Scene, view};

    fn running(scene: &mut Scene) -> Value {
        let mut database = scene.database("a", "established").as_ref().clone();
        database["status"]["phase"] = json!("Running");
        database["status"]["message"] = json!("all members serve");
        database["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
        for n in 0..3 {
            scene.claim_as_recorded(&mut database, n);
        }
        database
    }

    fn serving() -> Vec<View> {
        (0..3).map(|n| View { serving: true, ..view(n, 3) }).collect()
    }

    #[test]
    fn a_database_is_well_when_it_says_so_and_serves() {
        let mut scene = Scene::new();
        let database = running(&mut scene);
        judge(&scene.truth, &database, &serving()).expect("it serves");
        let words = judge(&scene.truth, &database, &serving()[..2]).expect_err("one does not run");
        assert!(words.contains("does not run"), "{words}");
        let mut creating = database.clone();
        creating["status"]["phase"] = json!("Creating");
        judge(&scene.truth, &creating, &serving()).expect_err("it does not say so");
    }

    #[test]
    fn a_database_that_has_lost_a_volume_replaces_its_member_where_a_majority_is_left() {
        let mut scene = Scene::new();
        let mut database = running(&mut scene);
        database["status"]["atoll"]["members"][2]["volume"] = json!("gone");
        database["status"]["phase"] = json!("Abnormal");
        judge(&scene.truth, &database, &serving()[..2]).expect_err("it is to be mended");
        // One whose cluster is no more is nobody's to replace without a person's word.
        database["status"]["atoll"]["members"][2]["workerIdentity"] = json!("no-more");
        judge(&scene.truth, &database, &serving()[..2]).expect("the others serve");
        judge(&scene.truth, &database, &serving()[..1]).expect_err("one of the others does not");
        database["status"]["phase"] = json!("Running");
        let words = judge(&scene.truth, &database, &serving()).expect_err("it is called Running");
        assert!(words.contains("a-etcd-2"), "{words}");
    }

    #[test]
    fn a_member_in_a_cluster_that_nobody_leads_to_is_for_a_person() {
        let mut scene = Scene::new();
        let mut database = running(&mut scene);
        database["status"]["phase"] = json!("Abnormal");
        database["status"]["message"] = json!("its registration leads to another cluster");
        judge(&scene.truth, &database, &serving()[..2]).expect_err("its worker leads to it");
        let there = database["status"]["atoll"]["members"][2]["worker"] == "w1";
        database["status"]["atoll"]["members"][2]["worker"] = json!(if there { "w2" } else { "w1" });
        judge(&scene.truth, &database, &serving()[..2]).expect("it is said");
        database["status"]["phase"] = json!("Running");
        judge(&scene.truth, &database, &serving()).expect_err("it is called Running");
    }

    #[test]
    fn what_was_taken_over_before_it_had_founded_waits_for_a_person() {
        let mut scene = Scene::new();
        let mut database = running(&mut scene);
        database["status"]["phase"] = json!("Failed");
        judge(&scene.truth, &database, &[]).expect_err("nobody serves");
        database["metadata"]["annotations"]["atoll.dev/adopt"] = json!("before");
        judge(&scene.truth, &database, &[]).expect("it is said");
    }

    #[test]
    fn a_founding_that_has_lost_a_volume_is_for_a_person() {
        let mut scene = Scene::new();
        let mut database = running(&mut scene);
        let founding = scene.database("b", "founding");
        database["status"]["atoll"]["stage"] = founding["status"]["atoll"]["stage"].clone();
        database["status"]["atoll"]["members"][2]["volume"] = json!("gone");
        database["status"]["phase"] = json!("Creating");
        judge(&scene.truth, &database, &[]).expect("it is said");
        database["status"]["message"] = json!("");
        judge(&scene.truth, &database, &[]).expect_err("it is not said");
    }

    #[test]
    fn what_runs_is_what_was_asked_for_or_it_is_said_why_not() {
        let mut scene = Scene::new();
        let mut database = running(&mut scene);
        up_to_date(&scene.truth, &database, &[]).expect("three");
        database["spec"]["componentSpecs"][0]["replicas"] = json!(5);
        up_to_date(&scene.truth, &database, &[]).expect_err("three of five");
        let said = |reason: &str| json!([{ "type": "UpToDate", "status": "False", "reason": reason }]);
        database["status"]["conditions"] = said("UpgradeRefused");
        up_to_date(&scene.truth, &database, &[]).expect("it is said");
        database["status"]["conditions"] = said("RollingChange");
        up_to_date(&scene.truth, &database, &[]).expect_err("that ends");
    }

    #[test]
    fn what_was_refused_is_waited_for_unless_there_is_nowhere_to_put_it() {
        let mut scene = Scene::new();
        let mut database = running(&mut scene);
        let refused = json!({ "type": "WorkersAccept", "status": "False", "message": "namespace default is gone" });
        database["status"]["conditions"] = json!([refused]);
        database["status"]["phase"] = json!("Abnormal");
        judge(&scene.truth, &database, &serving()).expect_err("it is tried again");
        // The namespace has come back, and a volume that went with it has not.
        database["status"]["atoll"]["members"][2]["volume"] = json!("gone");
        let words = judge(&scene.truth, &database, &serving()).expect_err("it is tried again");
        assert!(words.contains("namespace default is gone"), "{words}");
        database["status"]["atoll"]["members"][2]["workerIdentity"] = json!("no-more");
        judge(&scene.truth, &database, &serving()).expect("that waits for a person");
    }

    #[test]
    fn what_belongs_to_nobody_is_an_orphan() {
        let mut scene = Scene::new();
        settled_as(&scene.truth, &Expectation::default()).expect("nothing is there");
        let database = scene.database("a", "established");
        scene.create("w1", "/api/v1/namespaces/default/pods", &scene.pod(&database, 0, &[]));
        scene.forget(&database);
        let words = settled(&scene.truth).expect_err("a pod is left");
        assert!(words.contains("which is gone"), "{words}");
        let kept = Expectation { kept: [uid(&database).to_owned()].into(), ..Expectation::default() };
        settled_as(&scene.truth, &kept).expect("it was to be kept");
        let holds = |kind: &str, message: &str| {
            json!({ "type": kind, "status": "True", "reason": "Told", "message": message,
                "lastTransitionTime": "2026-01-01T00:00:00Z" })
        };
        let told = json!({ "status": { "conditions": [holds("Ready", ""), holds("OrphansFound", uid(&database))] } });
        scene.does(1, "master", "PATCH", "/apis/k8s.oceanbase.com/v1alpha1/k8sclusters/w1/status", &told);
        settled(&scene.truth).expect("a person is told of it");
    }
}
