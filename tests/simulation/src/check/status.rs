//! S12: honest status. A database is called ready only if its members really serve, for the manifest as it stands; a
//! worker is called ready only if it was heard of.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{
    Check, Truth,
    look::{
        MASTER, Stage, all, annotation, called, condition, engine_id, is_deleting, members, name, part, record,
        site_of, stage, text, votes,
    },
    request::{DATABASES, LEASES, PODS, WORKERS},
    sight::{Sight, majority},
};
use crate::{
    etcd::{ClusterId, MemberId, Role, View},
    script::NO_VERSION,
    tape::{Answer, Event, Life, Party, Site},
};

/// How old the sight of a quorum may be (H).
const QUORUM: Duration = Duration::from_mins(1);
/// How old the sight of one member may be: a kubelet that is cut off, and a watch that stands still, may each hide it
/// for a while.
const MEMBER: Duration = Duration::from_mins(2);
/// How long a worker may be silent until that is told.
const SILENT: Duration = Duration::from_mins(1);
/// How often workers are looked at.
const EVERY: Duration = Duration::from_secs(5);
/// How far apart renewals of the Lease may be while somebody leads.
const RENEWED: Duration = Duration::from_secs(11);

/// `S12 honest status`: what is written of databases.
pub struct HonestStatus {
    sight: Sight,
    /// When a quorum of each cluster last served.
    quorums: BTreeMap<ClusterId, Duration>,
    /// When each member last served.
    served: BTreeMap<(ClusterId, MemberId), Duration>,
    /// Members that have led at some time.
    leaders: BTreeSet<(ClusterId, MemberId)>,
}

impl HonestStatus {
    /// Sees processes by this sight.
    pub fn new(sight: Sight) -> Self {
        Self { sight, quorums: BTreeMap::new(), served: BTreeMap::new(), leaders: BTreeSet::new() }
    }

    fn look(&mut self, now: Duration, views: &[View]) {
        for view in views {
            let (Some(cluster), Some(member)) = (view.cluster_id, view.member_id) else { continue };
            let member = (cluster, member);
            if view.role == Role::Leader {
                self.leaders.insert(member);
            }
            if view.serving {
                self.served.insert(member, now);
            }
        }
        for view in views.iter().filter(|view| view.serving) {
            let Some(cluster) = view.cluster_id else { continue };
            let serves = |voter: &&MemberId| self.served.get(&(cluster, **voter)) == Some(&now);
            if view.voters.iter().filter(serves).count() >= majority(view.voters.len()) {
                self.quorums.insert(cluster, now);
            }
        }
    }

    fn judge(&self, now: Duration, database: &Value, views: &[View]) -> Result<(), String> {
        spoilt(database)?;
        let record = record(database);
        let cluster = record.and_then(|record| engine_id(text(record, "/stage/cluster"))).map(ClusterId);
        if let (Some(record), Some(cluster)) = (record, cluster) {
            // Of what is taken over a person says that it is a database.
            let by_word = !annotation(database, "atoll.dev/adopt").is_empty();
            if stage(record) >= Some(Stage::Founded) && !self.quorums.contains_key(&cluster) && !by_word {
                return Err(format!("its record says {}, and it has never served", text(record, "/stage/phase")));
            }
            self.roles(database, record, cluster)?;
            voters(database, record, cluster, views)?;
        }
        let (phase, ready) = (text(database, "/status/phase"), condition(database, "Ready"));
        if phase != "Running" && ready.0 != "True" {
            return Ok(());
        }
        let told = format!("phase {phase}, Ready={}", ready.0);
        let members_told = database["status"]["members"].as_array();
        // Who has no vote yet is waited for by nobody who reads or writes.
        let joins = |told: &Value| {
            let of = record.and_then(|record| super::look::recorded(record, text(told, "/name")));
            of.is_some_and(|of| part(of) == "joining")
        };
        let mut voters_told = members_told.into_iter().flatten().filter(|member| phase == "Running" || !joins(member));
        if let Some(member) = voters_told.find(|member| member["state"] != "Ready") {
            let (name, state) = (text(member, "/name"), text(member, "/state"));
            return Err(format!("{told}, although {name} is called {state}"));
        }
        let (observed, generation) = (&database["status"]["observedGeneration"], &database["metadata"]["generation"]);
        if observed != generation {
            return Err(format!("{told}, for generation {observed}; the manifest is at {generation}"));
        }
        let Some((record, cluster)) = record.zip(cluster) else {
            return Err(format!("{told}, without a record of its identity"));
        };
        let ago = |at: Option<&Duration>, limit: Duration| match at {
            None => Some("never".to_owned()),
            Some(at) if now.saturating_sub(*at) > limit => Some(format!("last at {:.1} s", at.as_secs_f64())),
            Some(_) => None,
        };
        if let Some(when) = ago(self.quorums.get(&cluster), QUORUM) {
            return Err(format!("{told}, but no quorum serves ({when})"));
        }
        for member in members(record).filter(|member| votes(member)) {
            let id = MemberId(engine_id(text(member, "/engineId")).unwrap_or_default());
            if let Some(when) = ago(self.served.get(&(cluster, id)), MEMBER) {
                return Err(format!("{told}, but {} does not serve ({when})", text(member, "/name")));
            }
        }
        Ok(())
    }

    /// Whoever is called leader has led once: an answer of somebody else's member is none of this one.
    fn roles(&self, database: &Value, record: &Value, cluster: ClusterId) -> Result<(), String> {
        let components = database["status"]["components"].as_object().into_iter().flatten();
        let told = components.flat_map(|(_, component)| component["membersStatus"].as_array().into_iter().flatten());
        for status in told.filter(|status| status["role"]["name"] == "leader") {
            let pod = text(status, "/podName");
            let Some(member) = super::look::recorded(record, pod) else {
                return Err(format!("{pod} is called a member, which the record does not know"));
            };
            let id = MemberId(engine_id(text(member, "/engineId")).unwrap_or_default());
            if !self.leaders.contains(&(cluster, id)) {
                return Err(format!("{pod} is called the leader, which it has never been"));
            }
        }
        Ok(())
    }
}

/// A manifest that asks for what nobody has is refused, in words, whoever runs already.
fn spoilt(database: &Value) -> Result<(), String> {
    let spec = database["spec"]["componentSpecs"].as_array();
    let asks = spec.into_iter().flatten().any(|component| component["serviceVersion"] == NO_VERSION);
    let seen = database["status"]["observedGeneration"] == database["metadata"]["generation"];
    let (status, reason) = condition(database, "Accepted");
    if asks && seen && !is_deleting(database) && status != "False" {
        return Err(format!("Accepted={status} {reason}, and its manifest asks for version {NO_VERSION}"));
    }
    Ok(())
}

/// Members are said to differ from the record only where they do.
fn voters(database: &Value, record: &Value, cluster: ClusterId, views: &[View]) -> Result<(), String> {
    if condition(database, "IdentityVerified") != ("False", "VotersDiffer") {
        return Ok(());
    }
    let recorded: BTreeSet<_> =
        members(record).filter_map(|member| engine_id(text(member, "/engineId"))).map(MemberId).collect();
    let mut own = views.iter().filter(|view| view.cluster_id == Some(cluster) && !view.voters.is_empty()).peekable();
    if own.peek().is_some() && own.all(|view| view.voters == recorded) {
        return Err("its members are said to list other voters than the record, which none of them does".to_owned());
    }
    Ok(())
}

impl Check for HonestStatus {
    fn name(&self) -> &'static str {
        "S12 honest status"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        match event {
            Event::Glance => {
                let views = self.sight.at(now, truth);
                self.look(now, &views);
                Ok(())
            }
            // What serves until this strikes may have shown it a moment ago, and be told ready a moment later.
            Event::Fault(_) => {
                self.look(now, &truth.etcds.inspect());
                Ok(())
            }
            // Somebody has just seen a member serve, for however short a time.
            Event::Committed(_, Party::World, commit) if commit.place.resource == PODS => {
                let ready = |pod: &Option<_>| pod.as_deref().is_some_and(|pod| condition(pod, "Ready").0 == "True");
                if ready(&commit.after) && !ready(&commit.before) {
                    self.look(now, &truth.etcds.inspect());
                }
                Ok(())
            }
            Event::Committed(site, Party::Controller(life), commit)
                if &**site == MASTER && commit.place.resource == DATABASES =>
            {
                let Some(database) = commit.after.as_deref() else { return Ok(()) };
                let before = commit.before.as_deref().map(|before| &before["status"]);
                if before == Some(&database["status"]) {
                    return Ok(());
                }
                let views = truth.etcds.inspect();
                self.look(now, &views);
                let verdict = self.judge(now, database, &views);
                verdict.map_err(|why| format!("{life} says of database {}: {why}", called(database)))
            }
            _ => Ok(()),
        }
    }
}

/// `S12 honest workers`: what stands written of workers, while somebody leads who could have corrected it.
#[derive(Default)]
pub struct HonestWorkers {
    /// When each cluster last answered the controller.
    heard: BTreeMap<Site, Duration>,
    /// Who leads: since when, and when it last showed.
    leads: Option<(Life, Duration, Duration)>,
    looked: Duration,
}

impl Check for HonestWorkers {
    fn name(&self) -> &'static str {
        "S12 honest workers"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        match event {
            Event::Answered(call, Answer::Code(..400)) => {
                let site = truth.addresses.behind(&call.site);
                self.heard.insert(site, now);
            }
            Event::Committed(site, Party::Controller(life), commit)
                if &**site == MASTER && commit.place.resource == LEASES =>
            {
                self.leads = match self.leads {
                    Some((same, since, last)) if same == *life && now.saturating_sub(last) < RENEWED => {
                        Some((same, since, now))
                    }
                    _ => Some((*life, now, now)),
                };
            }
            Event::Glance if now.saturating_sub(self.looked) >= EVERY => {
                self.looked = now;
                return self.look(now, truth);
            }
            _ => {}
        }
        Ok(())
    }
}

impl HonestWorkers {
    fn look(&self, now: Duration, truth: &Truth) -> Result<(), String> {
        let Some((life, since, last)) = self.leads else { return Ok(()) };
        // Somebody must have led for long enough to tell.
        if now.saturating_sub(last) > RENEWED || last.saturating_sub(since) < SILENT {
            return Ok(());
        }
        let silent = |identity: &str| {
            let site = site_of(truth, identity)?;
            let heard = self.heard.get(site).copied().unwrap_or_default();
            let silent = now.saturating_sub(heard) > SILENT;
            silent.then(|| format!("cluster {site} has not answered since {:.1} s", heard.as_secs_f64()))
        };
        for worker in all(truth, MASTER, WORKERS) {
            if condition(&worker, "Ready").0 == "True"
                && let Some(why) = silent(text(&worker, "/status/identity"))
            {
                return Err(format!("{life} leads, and worker {} is called ready, but {why}", name(&worker)));
            }
        }
        for database in all(truth, MASTER, DATABASES) {
            if is_deleting(&database) || condition(&database, "Ready").0 != "True" {
                continue;
            }
            for member in record(&database).into_iter().flat_map(members).filter(|member| votes(member)) {
                if let Some(why) = silent(text(member, "/workerIdentity")) {
                    let (database, member) = (called(&database), text(member, "/name"));
                    return Err(format!(
                        "{life} leads, and database {database} is called ready with {member}, but {why}"
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::{Scene, seconds, view};

    fn ready(database: &Value) -> Value {
        let mut told = database.clone();
        told["status"]["phase"] = json!("Running");
        told["status"]["observedGeneration"] = told["metadata"]["generation"].clone();
        told["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
        told
    }

    fn serving(count: u8) -> Vec<View> {
        (0..count)
            .map(|n| View { serving: true, role: if n == 0 { Role::Leader } else { Role::Follower }, ..view(n, 3) })
            .collect()
    }

    fn database() -> Value {
        let mut scene = Scene::new();
        scene.database("a", "established").as_ref().clone()
    }

    #[test]
    fn what_was_taken_over_by_a_persons_word_may_never_have_served() {
        let mut taken_over = database();
        HonestStatus::new(Sight::default()).judge(seconds(1), &taken_over, &[]).expect_err("it was founded");
        taken_over["metadata"]["annotations"]["atoll.dev/adopt"] = json!("before");
        HonestStatus::new(Sight::default()).judge(seconds(1), &taken_over, &[]).expect("nobody can know");
    }

    #[test]
    fn ready_is_true_only_while_members_serve() {
        let told = ready(&database());
        let mut check = HonestStatus::new(Sight::default());
        let words = check.judge(seconds(1), &told, &[]).expect_err("nobody ever served");
        assert!(words.contains("never served"), "{words}");
        check.look(seconds(1), &serving(3));
        check.judge(seconds(30), &told, &[]).expect("they served a moment ago");
        check.judge(seconds(70), &told, &[]).expect_err("that is long ago");
        check.look(seconds(130), &serving(2));
        let words = check.judge(seconds(131), &told, &[]).expect_err("one does not serve");
        assert!(words.contains("a-etcd-2"), "{words}");
        let mut creating = told.clone();
        creating["status"]["phase"] = json!("Creating");
        creating["status"]["conditions"] = json!([]);
        check.judge(seconds(200), &creating, &[]).expect("it says no such thing");
        let words = HonestStatus::new(Sight::default()).judge(seconds(1), &creating, &[]).expect_err("it never served");
        assert!(words.contains("established"), "{words}");
        creating["status"]["atoll"]["stage"]["phase"] = json!("founding");
        HonestStatus::new(Sight::default()).judge(seconds(1), &creating, &[]).expect("it says no such thing");
    }

    #[test]
    fn ready_is_not_said_beside_a_member_that_is_called_otherwise() {
        let mut told = ready(&database());
        let mut check = HonestStatus::new(Sight::default());
        check.look(seconds(1), &serving(3));
        for (state, fine) in [("Ready", true), ("Unknown", false), ("NotReady", false)] {
            told["status"]["members"] = json!([{ "name": "a-etcd-0", "state": state }]);
            assert_eq!(check.judge(seconds(1), &told, &[]).is_ok(), fine, "{state}");
        }
    }

    #[test]
    fn ready_is_said_of_the_manifest_as_it_stands() {
        let mut told = ready(&database());
        told["metadata"]["generation"] = json!(7);
        let mut check = HonestStatus::new(Sight::default());
        check.look(seconds(1), &serving(3));
        let words = check.judge(seconds(1), &told, &[]).expect_err("an older manifest");
        assert!(words.contains("generation"), "{words}");
    }

    #[test]
    fn a_manifest_that_asks_for_what_nobody_has_is_refused() {
        let mut told = database();
        told["status"]["observedGeneration"] = told["metadata"]["generation"].clone();
        let check = HonestStatus::new(Sight::default());
        for (version, accepted, fine) in
            [(json!(null), "True", true), (json!(NO_VERSION), "True", false), (json!(NO_VERSION), "False", true)]
        {
            told["spec"]["componentSpecs"] = json!([{ "name": "etcd", "serviceVersion": version }]);
            told["status"]["conditions"] = json!([{ "type": "Accepted", "status": accepted }]);
            let verdict = check.judge(seconds(1), &told, &[]);
            assert_eq!(verdict.is_err_and(|words| words.contains(NO_VERSION)), !fine, "{version} {accepted}");
        }
    }

    #[test]
    fn who_has_never_led_is_not_called_the_leader() {
        let mut told = ready(&database());
        let mut check = HonestStatus::new(Sight::default());
        check.look(seconds(1), &serving(3));
        for (pod, fine) in [("a-etcd-0", true), ("a-etcd-1", false)] {
            told["status"]["components"] =
                json!({ "etcd": { "membersStatus": [{ "podName": pod, "role": { "name": "leader" } }] } });
            assert_eq!(check.judge(seconds(1), &told, &[]).is_ok(), fine, "{pod}");
        }
    }

    #[test]
    fn voters_are_said_to_differ_only_where_they_do() {
        let mut told = database();
        told["status"]["conditions"] =
            json!([{ "type": "IdentityVerified", "status": "False", "reason": "VotersDiffer" }]);
        let mut check = HonestStatus::new(Sight::default());
        check.look(seconds(1), &serving(3));
        check.judge(seconds(1), &told, &serving(3)).expect_err("they do not");
        let mut other = serving(3);
        other[1].voters.pop_first();
        check.judge(seconds(1), &told, &other).expect("one does");
    }

    #[test]
    fn a_worker_that_is_silent_for_long_is_not_called_ready() {
        let (mut scene, mut check) = (Scene::new(), HonestWorkers::default());
        let lease = |holder: &str| {
            json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": holder }, "spec": { "holderIdentity": "one" } })
        };
        let path = "/apis/coordination.k8s.io/v1/namespaces/atoll-system/leases";
        let mut verdict = Ok(());
        for round in 0..30_u32 {
            scene.now += seconds(5);
            for event in scene.does(1, "master", "POST", path, &lease(&format!("l{round}"))) {
                scene.see(&mut check, &event).expect("a lease");
            }
            let sites: &[&str] = if round < 5 { &["w1", "w2"] } else { &["w2"] };
            for site in sites {
                for event in scene.does(1, site, "GET", "/api/v1/pods", &json!(null)) {
                    scene.see(&mut check, &event).expect("a probe");
                }
            }
            verdict = scene.see(&mut check, &Event::Glance);
            assert!(verdict.is_ok() || round > 15, "{round}: {verdict:?}");
        }
        let words = verdict.expect_err("silent for two minutes");
        assert!(words.contains("worker w1"), "{words}");
    }
}
