//! A1: a member's pod is made only when the stored record announces its identity. A2: a record stays, and never goes
//! back; another attempt at founding begins only where nothing of the former one is left.

use std::time::Duration;

use apiserver::Commit;
use serde_json::Value;

use super::{
    Check, Truth,
    founding::args,
    look::{
        self, MASTER, Stage, all, annotation, called, is_copy, is_gone, is_member_pod, member, members, name, owner,
        part, record, recorded, site_of, stage, text, uid, votes,
    },
    ownership::made,
    request::{CLAIMS, DATABASES, PODS},
};
use crate::tape::{Event, Party};

/// `A1 act before record`.
pub struct ActBeforeRecord;

impl Check for ActBeforeRecord {
    fn name(&self) -> &'static str {
        "A1 act before record"
    }

    fn see(&mut self, _: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        let Some((call, pod)) = made(event, PODS) else { return Ok(()) };
        if !is_member_pod(&pod) {
            return Ok(());
        }
        announced(&pod, truth).map_err(|why| format!("{} makes pod {} in {}: {why}", call.life, name(&pod), call.site))
    }
}

fn announced(pod: &Value, truth: &Truth) -> Result<(), String> {
    let database = look::database(truth, owner(pod)).ok_or("its database is not in the master")?;
    let record = record(&database).ok_or("its database has no record")?;
    if stage(record).is_none_or(|stage| stage < Stage::Founding) {
        return Err(format!("the record announces no identity yet ({})", text(record, "/stage/phase")));
    }
    let own = recorded(record, member(pod)).ok_or("the record does not know this member")?;
    let value = |flag: &str| args(pod).find_map(|arg| arg.strip_prefix(flag)).unwrap_or_default();
    let (token, announced) = (value("--initial-cluster-token="), text(record, "/stage/token"));
    if token != announced {
        return Err(format!("its token is {token}, the record announces {announced}"));
    }
    let advertises = value("--initial-advertise-peer-urls=");
    if !advertises.ends_with(text(own, "/peer")) {
        return Err(format!("it advertises {advertises}, the record announces {}", text(own, "/peer")));
    }
    let founders = value("--initial-cluster=").split(',').filter(|founder| !founder.is_empty()).count();
    let announced = members(record).filter(|other| votes(other) || text(other, "/name") == member(pod)).count();
    if founders != announced {
        return Err(format!("it knows {founders} members, and by the record there are {announced}"));
    }
    if text(own, "/engineId").is_empty() || is_gone(own) {
        return Err(format!("its member is {}, and the others do not know it", part(own)));
    }
    Ok(())
}

/// `A2 record stays`.
pub struct RecordStays;

impl Check for RecordStays {
    fn name(&self) -> &'static str {
        "A2 record stays"
    }

    fn see(&mut self, _: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        let Event::Committed(site, Party::Controller(life), commit) = event else { return Ok(()) };
        if &**site != MASTER || commit.place.resource != DATABASES {
            return Ok(());
        }
        stays(commit, truth).map_err(|why| format!("{life} writes database {}: {why}", commit.place))
    }
}

fn stays(commit: &Commit, truth: &Truth) -> Result<(), String> {
    let (Some(before), Some(after)) = (commit.before.as_deref(), commit.after.as_deref()) else { return Ok(()) };
    let Some(had) = record(before) else { return Ok(()) };
    let has = record(after).ok_or("its record is dropped")?;
    let (was, is) = (stage(had), stage(has));
    let attempt = |record: &Value| record["stage"]["attempt"].as_u64().unwrap_or_default();
    if attempt(has) < attempt(had) {
        return Err(format!("attempt {} follows attempt {}", attempt(has), attempt(had)));
    }
    if was >= Some(Stage::Founded) {
        for what in ["/stage/attempt", "/stage/token", "/stage/cluster"] {
            if has.pointer(what) != had.pointer(what) {
                let (had, has) = (text(had, what), text(has, what));
                return Err(format!("it has served, and yet {what} of its record changes from {had} to {has}"));
            }
        }
        // A person has given the majority up, and named who goes on.
        let recovers =
            !has["recovering"].is_null() && annotation(after, "atoll.dev/recover") == text(has, "/recovered");
        for member in members(had) {
            let called = text(member, "/name");
            let why = match recorded(has, called) {
                Some(next) => member_stays(member, next, recovers),
                None => forgotten(member, before, truth),
            };
            why.map_err(|why| format!("it has served, and yet the record of its member {called} changes: {why}"))?;
        }
        let next = |record: &Value| members(record).filter_map(|member| member["ordinal"].as_u64()).max();
        for member in members(has).filter(|member| recorded(had, text(member, "/name")).is_none()) {
            let (called, ordinal) = (text(member, "/name"), member["ordinal"].as_u64());
            if part(member) != "joining" {
                return Err(format!("{called} comes as {}", part(member)));
            }
            if ordinal <= next(had) || had["next"].as_u64().is_some_and(|next| ordinal < Some(next)) {
                return Err(format!("{called} comes under an ordinal that was somebody else's"));
            }
        }
    }
    if attempt(has) > attempt(had) {
        return nothing_left(had, before, truth);
    }
    if is < was {
        return Err(format!("its record goes back from {was:?} to {is:?}"));
    }
    if was == Some(Stage::Founding) && text(has, "/stage/token") != text(had, "/stage/token") {
        return Err("one attempt at founding has two tokens".to_owned());
    }
    Ok(())
}

/// What is recorded of a member stands; who joins gets the rest once.
fn member_stays(had: &Value, has: &Value, recovers: bool) -> Result<(), String> {
    let (was, is) = (part(had), part(has));
    let steps = [("voter", "leaving"), ("joining", "voter"), ("joining", "removed"), ("leaving", "removed")];
    let given_up = is == "givenUp" && was != "removed" || (was, is) == ("leaving", "voter");
    if was != is && !steps.contains(&(was, is)) && !(given_up && recovers) {
        return Err(format!("its part goes from {was} to {is}"));
    }
    for what in ["ordinal", "slot", "worker", "namespace", "workerIdentity", "volume", "peer", "client", "engineId"] {
        // Where it is reached may change; what it was known by before is remembered until the others have been told.
        let moves = ["peer", "client"].contains(&what) && (!has["formerPeer"].is_null() || had["peer"] == has["peer"]);
        if had[what] != has[what] && !(was == "joining" && had[what].is_null()) && !moves {
            return Err(format!("its {what} goes from {} to {}", had[what], has[what]));
        }
    }
    Ok(())
}

/// Who has left is forgotten when nothing runs of it any more.
fn forgotten(member: &Value, database: &Value, truth: &Truth) -> Result<(), String> {
    if !is_gone(member) {
        return Err(format!("it is forgotten as {}", part(member)));
    }
    let called = text(member, "/name");
    let is_its = |pod: &Value| {
        is_member_pod(pod) && owner(pod) == uid(database) && super::look::member(pod) == called && !is_copy(pod)
    };
    let here = site_of(truth, text(member, "/workerIdentity"));
    match here.and_then(|site| all(truth, site, PODS).into_iter().find(|pod| is_its(pod))) {
        Some(pod) => Err(format!("it is forgotten, and its pod {} is there", super::look::called(&pod))),
        None => Ok(()),
    }
}

/// Another attempt begins on empty ground only: whatever of the former one is left could still serve.
fn nothing_left(record: &Value, database: &Value, truth: &Truth) -> Result<(), String> {
    let volumes: Vec<_> = members(record).map(|member| text(member, "/volume")).filter(|uid| !uid.is_empty()).collect();
    for site in truth.servers.keys() {
        if let Some(claim) = all(truth, site, CLAIMS).iter().find(|claim| volumes.contains(&uid(claim))) {
            let claim = called(claim);
            return Err(format!(
                "another attempt at founding begins, but volume claim {claim} of the last is in {site}"
            ));
        }
        let ours = |pod: &Value| is_member_pod(pod) && owner(pod) == uid(database);
        if let Some(pod) = all(truth, site, PODS).iter().find(|pod| ours(pod)) {
            return Err(format!(
                "another attempt at founding begins, but pod {} of the last is in {site}",
                called(pod)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::Scene;

    #[test]
    fn a_pod_is_made_only_as_the_record_announces_it() {
        for (stage, token, fine) in [
            ("founding", "token", true),
            ("established", "token", true),
            ("placed", "token", false),
            ("founding", "another", false),
        ] {
            let mut scene = Scene::new();
            let database = scene.database("a", stage);
            let pod = scene.pod(&database, 0, &[&format!("--initial-cluster-token={token}")]);
            let sent = scene.sends(1, "w1", "POST", "/api/v1/namespaces/default/pods", &pod);
            let verdict = scene.see(&mut ActBeforeRecord, &sent);
            assert_eq!(verdict.is_ok(), fine, "{stage} {token}: {verdict:?}");
        }
        let mut scene = Scene::new();
        let mut database = scene.database("a", "founding").as_ref().clone();
        database["metadata"]["uid"] = json!("nobody");
        let pod = scene.pod(&database, 0, &[]);
        let sent = scene.sends(1, "w1", "POST", "/api/v1/namespaces/default/pods", &pod);
        scene.see(&mut ActBeforeRecord, &sent).expect_err("no such database");
    }

    /// The controller writes another status over one of this stage.
    fn rewrites(stage: &str, change: impl FnOnce(&mut Value)) -> Result<(), String> {
        let mut scene = Scene::new();
        let database = scene.database("a", stage);
        let mut next = database.as_ref().clone();
        change(&mut next["status"]["atoll"]);
        if let Some(status) = next["status"].as_object_mut() {
            status.retain(|_, value| !value.is_null());
        }
        let path = format!("{}/a/status", Scene::DATABASES);
        let events = scene.does(1, "master", "PUT", &path, &next);
        events.iter().try_for_each(|event| scene.see(&mut RecordStays, event))
    }

    #[test]
    fn a_record_only_ever_goes_forward() {
        rewrites("placed", |record| *record = Scene::record(record, "founding")).expect("it goes on");
        rewrites("founding", |record| *record = Scene::record(record, "established")).expect("it goes on");
        rewrites("founding", |record| *record = json!(null)).expect_err("dropped");
        rewrites("established", |record| *record = Scene::record(record, "founding")).expect_err("back");
        rewrites("established", |record| record["stage"]["cluster"] = json!("9")).expect_err("another identity");
        rewrites("established", |record| record["members"][0]["volume"] = json!("x")).expect_err("another volume");
        rewrites("founding", |record| record["stage"]["token"] = json!("x")).expect_err("another token");
        rewrites("founding", |record| record["stage"]["attempt"] = json!(0)).expect_err("an earlier attempt");
    }

    #[test]
    fn another_attempt_begins_on_empty_ground() {
        let again = |record: &mut Value| {
            let members = record["members"].as_array_mut().into_iter().flatten();
            members.for_each(|member| member["volume"] = json!(null));
            record["stage"] = json!({ "phase": "placed", "attempt": 2 });
        };
        rewrites("founding", again).expect("nothing is left");
        rewrites("established", again).expect_err("it has served");
        let mut scene = Scene::new();
        let database = scene.database("a", "founding");
        let pod = scene.pod(&database, 1, &[]);
        scene.create("w2", "/api/v1/namespaces/default/pods", &pod);
        let mut next = database.as_ref().clone();
        again(&mut next["status"]["atoll"]);
        let events = scene.does(1, "master", "PUT", &format!("{}/a/status", Scene::DATABASES), &next);
        let verdict = events.iter().try_for_each(|event| scene.see(&mut RecordStays, event));
        assert!(verdict.expect_err("a pod is left").contains("pod default/a-etcd-1"));
    }
}
