//! S6: nothing is written to a cluster whose identity was not pinned, nor to another one than a member was recorded in;
//! and one registration serves each cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{
    Check, Truth,
    look::{
        self, MASTER, all, condition, identity, member, members, name, object, owner, record, recorded, text, worker,
    },
    request::{JOBS, NAMESPACES, Request, SERVICES, WORKERS, body},
};
use crate::tape::{Answer, Call, Event, Life, Site};

/// How long another cluster may answer at an address before that must be known without having heard from it.
const NOTICED: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Default)]
pub struct RightCluster {
    /// Every identity that was ever pinned.
    pinned: BTreeSet<String>,
    /// Who answers at each address, and since when.
    behind: BTreeMap<Site, (Site, Duration)>,
    /// Lives that have read something since then.
    heard: BTreeSet<(Life, Site)>,
}

impl Check for RightCluster {
    fn name(&self) -> &'static str {
        "S6 right cluster"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        match event {
            Event::Committed(site, _, commit) if &**site == MASTER && commit.place.resource == WORKERS => {
                let pinned = commit.after.as_deref().map(|after| text(after, "/status/identity"));
                self.pinned.extend(pinned.filter(|pinned| !pinned.is_empty()).map(str::to_owned));
                commit.after.as_deref().map_or(Ok(()), |worker| serves_alone(worker, truth))
            }
            Event::Answered(call, Answer::Code(200)) if matches!(call.verb, "GET" | "WATCH") => {
                self.answers(now, &call.site, truth);
                self.heard.insert((call.life, call.site.clone()));
                Ok(())
            }
            Event::Sent(call) if call.is_step() => {
                let Some(request) = Request::of(&call.path) else { return Ok(()) };
                if !request.is_part() && request.resource != NAMESPACES {
                    return Ok(());
                }
                let site = self.answers(now, &call.site, truth);
                let verdict = self.judge(call, &request, &site, truth);
                verdict.or_else(|why| {
                    // Until it answers, nobody can tell that another cluster is there.
                    let since = self.behind.get(&call.site).map_or(Duration::ZERO, |(_, since)| *since);
                    let heard = self.heard.contains(&(call.life, call.site.clone()));
                    let fresh = since > Duration::ZERO && now.saturating_sub(since) <= NOTICED;
                    if fresh && !heard { Ok(()) } else { Err(format!("{call}: {why}")) }
                })
            }
            _ => Ok(()),
        }
    }
}

impl RightCluster {
    /// Who answers at an address now. After a change nobody has heard of it yet.
    fn answers(&mut self, now: Duration, address: &Site, truth: &Truth) -> Site {
        let site = truth.addresses.behind(address);
        match self.behind.get_mut(address) {
            None => drop(self.behind.insert(address.clone(), (site.clone(), Duration::ZERO))),
            Some((known, since)) if *known != site => {
                (*known, *since) = (site.clone(), now);
                self.heard.retain(|(_, heard)| heard != address);
            }
            Some(_) => {}
        }
        site
    }

    fn judge(&self, call: &Call, request: &Request, site: &str, truth: &Truth) -> Result<(), String> {
        let here = identity(truth, site).unwrap_or_default();
        let pins = || all(truth, MASTER, WORKERS).iter().any(|worker| text(worker, "/status/identity") == here);
        if !self.pinned.contains(&here) && !pins() {
            return Err(format!("no K8sCluster is pinned to cluster {site} ({here})"));
        }
        if request.resource == NAMESPACES {
            return Ok(());
        }
        let there = || object(truth, site, &request.resource, request.namespace, request.name);
        let subject = match request.name {
            "" => body(call),
            _ => there().as_deref().cloned().unwrap_or_else(|| body(call)),
        };
        let Some(database) = look::database(truth, owner(&subject)) else { return Ok(()) };
        let Some(record) = record(&database) else { return Ok(()) };
        // Services of every member may stand in each worker of the database.
        let one = recorded(record, member(&subject)).filter(|_| request.resource != SERVICES);
        let possible: Vec<_> = one.map_or_else(|| members(record).collect(), |member| vec![member]);
        let verdicts: Vec<_> = possible.iter().map(|member| lives_in(member, &here, truth)).collect();
        // A question is asked from wherever the member was a moment ago.
        if request.resource == JOBS || verdicts.iter().any(Result::is_ok) {
            return Ok(());
        }
        verdicts.into_iter().find(Result::is_err).unwrap_or(Ok(()))
    }
}

/// Of several registrations of one cluster, one serves it.
fn serves_alone(worker: &Value, truth: &Truth) -> Result<(), String> {
    let serves = |worker: &Value| condition(worker, "Ready").0 == "True";
    let here = text(worker, "/status/identity");
    if here.is_empty() || !serves(worker) {
        return Ok(());
    }
    let all = all(truth, MASTER, WORKERS);
    let same = |other: &Value| name(other) != name(worker) && text(other, "/status/identity") == here && serves(other);
    match all.iter().find(|other| same(other)) {
        None => Ok(()),
        Some(other) => Err(format!("workers {} and {} both serve cluster {here}", name(worker), name(other))),
    }
}

/// Whether this cluster is the one that a member was recorded in.
fn lives_in(member: &Value, here: &str, truth: &Truth) -> Result<(), String> {
    let (called, name) = (text(member, "/name"), text(member, "/worker"));
    let founded = text(member, "/workerIdentity");
    if !founded.is_empty() && founded != here {
        return Err(format!("{called} was founded in cluster {founded}, this is cluster {here}"));
    }
    let Some(worker) = worker(truth, name) else { return Ok(()) };
    match text(&worker, "/status/identity") {
        // It was made anew a moment ago, and the controller still goes by the former one.
        "" if founded == here => Ok(()),
        "" => Err(format!("{called} is recorded in worker {name}, whose identity is not pinned")),
        pinned if pinned != here => {
            Err(format!("{called} is recorded in worker {name}, which is pinned to cluster {pinned}; this is {here}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::{Scene, seconds};

    const PODS: &str = "/api/v1/namespaces/default/pods";

    fn makes(scene: &mut Scene, check: &mut RightCluster, site: &str, pod: &Value) -> Result<(), String> {
        let sent = scene.sends(1, site, "POST", PODS, pod);
        scene.see(check, &sent)
    }

    #[test]
    fn a_member_is_made_in_the_cluster_that_it_is_recorded_in() {
        let mut scene = Scene::new();
        let database = scene.database("a", "founding");
        let (first, check) = (scene.pod(&database, 0, &[]), &mut RightCluster::default());
        makes(&mut scene, check, "w1", &first).expect("its own");
        let words = makes(&mut scene, check, "w2", &first).expect_err("another member's");
        assert!(words.contains("was founded in"), "{words}");
        let words = makes(&mut scene, check, "w3", &first).expect_err("nobody's");
        assert!(words.contains("no K8sCluster is pinned"), "{words}");
    }

    #[test]
    fn another_cluster_at_the_address_is_known_as_soon_as_it_answers() {
        let mut scene = Scene::new();
        let database = scene.database("a", "founding");
        let (first, check) = (scene.pod(&database, 0, &[]), &mut RightCluster::default());
        makes(&mut scene, check, "w1", &first).expect("its own");
        scene.now += seconds(5);
        scene.truth.addresses.lead(&Site::from("w1"), &Site::from("w3"));
        makes(&mut scene, check, "w1", &first).expect("nobody can know yet");
        for event in scene.does(1, "w1", "GET", "/api/v1/pods", &json!(null)) {
            scene.see(check, &event).expect("a list");
        }
        makes(&mut scene, check, "w1", &first).expect_err("it has heard the other cluster");
    }

    #[test]
    fn one_registration_serves_a_cluster() {
        let mut scene = Scene::new();
        for (ready, fine) in [("False", true), ("True", false)] {
            let events = scene.register_again("w1", &format!("w1-{}", ready.to_lowercase()), ready);
            let check = &mut RightCluster::default();
            let verdict = events.iter().try_for_each(|event| scene.see(check, event));
            assert_eq!(verdict.is_ok(), fine, "{ready}: {verdict:?}");
        }
    }

    #[test]
    fn a_worker_whose_identity_is_not_pinned_is_not_written_to() {
        let mut scene = Scene::new();
        let database = scene.database("a", "placed");
        let claim = scene.claim(&database, 0);
        let path = "/api/v1/namespaces/default/persistentvolumeclaims";
        scene.unpin("w1");
        let sent = scene.sends(1, "w1", "POST", path, &claim);
        scene.see(&mut RightCluster::default(), &sent).expect_err("not pinned");
    }

    #[test]
    fn a_member_is_still_served_in_its_cluster_when_the_registration_was_made_anew_a_moment_ago() {
        for (site, fine) in [("w1", true), ("w2", false)] {
            let mut scene = Scene::new();
            let database = scene.database("a", "established");
            let (first, check) = (scene.pod(&database, 0, &[]), &mut RightCluster::default());
            check.pinned.extend(["w1", "w2"].map(|site| identity(&scene.truth, site).expect("a cluster")));
            scene.unpin("w1");
            let verdict = makes(&mut scene, check, site, &first);
            assert_eq!(verdict.is_ok(), fine, "{site}: {verdict:?}");
        }
    }
}
