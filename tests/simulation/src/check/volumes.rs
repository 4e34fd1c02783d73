//! S4: a volume goes only with its database, by a person's will, or with a member that has left it. S8: and after its pods. A3: a member runs on the volume
//! that the record names and on no other, and no volume is made anew under an identity.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{
    Check, Truth,
    look::{
        self, HEARD, MASTER, Stage, all, called, is_deleting, is_member_pod, members, name, namespace, object, owner,
        record, stage, text, uid,
    },
    ownership::{made, named_uid},
    request::{CLAIMS, DATABASES, PODS, Request},
    takedown::{Deletions, What, may_be_paid},
};
use crate::tape::{Call, Event};

/// `S4 volumes`.
#[derive(Default)]
pub struct Volumes {
    deletions: Deletions,
}

impl Check for Volumes {
    fn name(&self) -> &'static str {
        "S4 volumes"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        self.deletions.hear(now, event);
        let Some((call, request)) = deletes_claim(event) else { return Ok(()) };
        let site = truth.addresses.behind(&call.site);
        let verdict = self.judge(now, call, &request, &site, truth);
        verdict.map_err(|why| format!("{} deletes volume claim {} in {site}: {why}", call.life, request.name))
    }
}

impl Volumes {
    fn judge(&self, now: Duration, call: &Call, request: &Request, site: &str, truth: &Truth) -> Result<(), String> {
        let Some(meant) = named_uid(call) else { return Err("it names no UID".to_owned()) };
        let claim = object(truth, site, CLAIMS, request.namespace, request.name);
        // Of another UID, it will be refused.
        let Some(claim) = claim.filter(|claim| uid(claim) == meant) else { return Ok(()) };
        if owner(&claim).is_empty() {
            return Err("it does not say which database it belongs to".to_owned());
        }
        let paid = |why| {
            let paid = may_be_paid(truth, site, owner(&claim), What::Volumes);
            paid.map_err(|no| format!("{why}; {no}"))
        };
        let left = |why| {
            let left = gone_for_good(truth, site, &claim);
            left.map_err(|no| format!("{why}; {no}"))
        };
        self.deletions.may_take_down(now, truth, owner(&claim), What::Volumes).or_else(paid).or_else(left)?;
        for database in all(truth, MASTER, DATABASES).iter().filter(|database| uid(database) != owner(&claim)) {
            if record(database).is_some_and(|record| members(record).any(|member| text(member, "/volume") == meant)) {
                return Err(format!("it holds the data of database {}, which has taken it over", called(database)));
            }
        }
        Ok(())
    }
}

/// Whether a volume is that of a member that has left, and whose policy does not keep it.
fn gone_for_good(truth: &Truth, site: &str, claim: &Value) -> Result<(), String> {
    look::has_left(truth, site, claim)?;
    let database = look::database(truth, owner(claim)).ok_or("its database is not in the master")?;
    let policy = text(&database, "/spec/terminationPolicy");
    if ["Halt", "DoNotTerminate"].contains(&policy) {
        return Err(format!("its policy is {policy}, which keeps volumes"));
    }
    let recorded = record(&database).and_then(|record| look::recorded(record, look::member(claim)));
    if recorded.is_some_and(|recorded| look::part(recorded) == "givenUp") {
        return Err("it is that of a member that was given up, of which nobody knows what only it had".to_owned());
    }
    let data = text(recorded.unwrap_or(&Value::Null), "/volume");
    if name(claim).starts_with("data-") && !data.is_empty() && data != uid(claim) {
        return Err(format!("it is not the volume that the member had, which was {data}"));
    }
    Ok(())
}

fn deletes_claim(event: &Event) -> Option<(&Call, Request<'_>)> {
    let Event::Sent(call) = event else { return None };
    if call.verb != "DELETE" {
        return None;
    }
    let request = Request::of(&call.path).filter(|request| request.resource == CLAIMS)?;
    Some((call, request))
}

/// `S8 removal order`.
#[derive(Default)]
pub struct RemovalOrder {
    /// Pods by UID: since when.
    pods: BTreeMap<String, Duration>,
}

impl Check for RemovalOrder {
    fn name(&self) -> &'static str {
        "S8 removal order"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        hear_made(&mut self.pods, PODS, now, event);
        let Some((call, request)) = deletes_claim(event) else { return Ok(()) };
        let site = truth.addresses.behind(&call.site);
        // One that has come a moment ago, nobody could know of yet.
        let known = |pod: &Value| self.pods.get(uid(pod)).is_none_or(|since| now.saturating_sub(*since) > HEARD);
        let uses = |pod: &Value| namespace(pod) == request.namespace && mounts(pod, request.name) && known(pod);
        match all(truth, &site, PODS).into_iter().find(|pod| uses(pod)) {
            None => Ok(()),
            Some(pod) => {
                let pod = name(&pod);
                Err(format!(
                    "{} deletes volume claim {} in {site}, which pod {pod} still uses",
                    call.life, request.name
                ))
            }
        }
    }
}

fn mounts(pod: &Value, claim: &str) -> bool {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str()).any(|name| name == claim)
}

/// Remembers when objects came.
fn hear_made(made: &mut BTreeMap<String, Duration>, resource: &str, now: Duration, event: &Event) {
    let Event::Committed(_, _, commit) = event else { return };
    if commit.place.resource != resource {
        return;
    }
    match (commit.before.as_deref(), commit.after.as_deref()) {
        (None, Some(after)) => drop(made.insert(uid(after).to_owned(), now)),
        (Some(before), None) => drop(made.remove(uid(before))),
        _ => {}
    }
}

/// `A3 own volume`.
#[derive(Default)]
pub struct OwnVolume {
    /// Claims by UID: since when.
    claims: BTreeMap<String, Duration>,
}

impl Check for OwnVolume {
    fn name(&self) -> &'static str {
        "A3 own volume"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        hear_made(&mut self.claims, CLAIMS, now, event);
        if let Some((call, claim)) = made(event, CLAIMS) {
            return anew(call, &claim, truth);
        }
        let Some((call, pod)) = made(event, PODS) else { return Ok(()) };
        if !is_member_pod(&pod) {
            return Ok(());
        }
        let found = look::database(truth, owner(&pod));
        let recorded = found.as_deref().and_then(record).and_then(|record| look::recorded(record, look::member(&pod)));
        let Some(volume) = recorded.map(|member| text(member, "/volume")) else { return Ok(()) };
        let site = truth.addresses.behind(&call.site);
        let words = |what: String| Err(format!("{} makes pod {} in {site} {what}", call.life, name(&pod)));
        let owned_by = text(&pod, "/metadata/ownerReferences/0/uid");
        if owned_by != volume {
            return words(format!("on volume {owned_by}, but its data is on {volume}"));
        }
        let claim = text(&pod, "/metadata/ownerReferences/0/name");
        match object(truth, &site, CLAIMS, request_namespace(call), claim) {
            Some(there) if uid(&there) != volume && self.known(now, &there) => words(format!(
                "with claim {claim}, which has been another volume ({}) than the recorded one ({volume}) for a while",
                uid(&there)
            )),
            _ => Ok(()),
        }
    }
}

impl OwnVolume {
    fn known(&self, now: Duration, claim: &Value) -> bool {
        self.claims.get(uid(claim)).is_none_or(|since| now.saturating_sub(*since) > HEARD)
    }
}

fn request_namespace(call: &Call) -> &str {
    Request::of(&call.path).map(|request| request.namespace).unwrap_or_default()
}

/// A volume that is made when the identity is announced already would be an empty one under a member's name.
fn anew(call: &Call, claim: &Value, truth: &Truth) -> Result<(), String> {
    let Some(database) = look::database(truth, owner(claim)).filter(|database| !is_deleting(database)) else {
        return Ok(());
    };
    let of = record(&database).and_then(|record| look::recorded(record, look::member(claim)));
    // Who joins later begins with an empty volume, once.
    if of.is_some_and(|of| look::part(of) == "joining" && text(of, "/volume").is_empty()) {
        return Ok(());
    }
    match record(&database).and_then(stage) {
        Some(stage) if stage >= Stage::Founding => Err(format!(
            "{} makes volume claim {} in {} anew, although the record of database {} says {stage:?}: its data is gone",
            call.life,
            name(claim),
            call.site,
            called(&database)
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::{Scene, seconds};

    const PATH: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

    /// Deletes the claim of a database's first member, some time after a person has asked for it.
    fn deletion(policy: &str, annotations: Value, waited: u64, precondition: bool) -> Result<(), String> {
        let mut scene = Scene::new();
        let mut check = Volumes::default();
        let database = scene.database_with("a", "established", policy, annotations);
        let claim = scene.create("w1", PATH, &scene.claim(&database, 0));
        for event in scene.person_deletes(&database) {
            scene.see(&mut check, &event).expect("people do as they like");
        }
        scene.now += seconds(waited);
        let body = if precondition { json!({ "preconditions": { "uid": uid(&claim) } }) } else { json!({}) };
        let sent = scene.sends(1, "w1", "DELETE", &format!("{PATH}/{}", name(&claim)), &body);
        scene.see(&mut check, &sent)
    }

    #[test]
    fn a_volume_goes_only_by_a_persons_will() {
        deletion("Delete", json!({}), 11, true).expect("asked for, and waited");
        deletion("WipeOut", json!({}), 11, true).expect("asked for, and waited");
        for (policy, annotations, waited, precondition, why) in [
            ("Delete", json!({}), 3, true, "less than ten seconds"),
            ("Delete", json!({}), 11, false, "no UID"),
            ("Halt", json!({}), 11, true, "Halt"),
            ("DoNotTerminate", json!({}), 11, true, "DoNotTerminate"),
            ("Delete", json!({ "atoll.dev/deletion-protection": "true" }), 11, true, "protected"),
            ("Delete", json!({ "atoll.dev/paused": "true" }), 11, true, "paused"),
        ] {
            let words = deletion(policy, annotations, waited, precondition).expect_err(why);
            assert!(words.contains(why), "{words}");
        }
    }

    #[test]
    fn a_volume_of_a_database_that_nobody_deleted_stays() {
        let mut scene = Scene::new();
        let database = scene.database("a", "established");
        let claim = scene.create("w1", PATH, &scene.claim(&database, 0));
        let body = json!({ "preconditions": { "uid": uid(&claim) } });
        let sent = scene.sends(1, "w1", "DELETE", &format!("{PATH}/{}", name(&claim)), &body);
        let words = scene.see(&mut Volumes::default(), &sent).expect_err("nobody asked");
        assert!(words.contains("nobody has deleted"), "{words}");
    }

    #[test]
    fn a_volume_waits_for_its_pod() {
        let mut scene = Scene::new();
        let database = scene.database_with("a", "established", "Delete", json!({}));
        let claim = scene.create("w1", PATH, &scene.claim(&database, 0));
        let body = json!({ "preconditions": { "uid": uid(&claim) } });
        let sent = scene.sends(1, "w1", "DELETE", &format!("{PATH}/{}", name(&claim)), &body);
        scene.see(&mut RemovalOrder::default(), &sent).expect("no pod is there");
        let pod = scene.pod(&database, 0, &[]);
        scene.create("w1", "/api/v1/namespaces/default/pods", &pod);
        let words = scene.see(&mut RemovalOrder::default(), &sent).expect_err("its pod is there");
        assert!(words.contains("still uses"), "{words}");
    }

    #[test]
    fn five_of_eight_that_go_at_once_are_held_until_one_is_confirmed() {
        let mut scene = Scene::new();
        let mut check = Volumes::default();
        let all: Vec<_> =
            (0..8).map(|n| scene.database_with(&format!("d{n}"), "established", "Delete", json!({}))).collect();
        let claim = scene.create("w1", PATH, &scene.claim(&all[0], 0));
        for database in &all[..5] {
            for event in scene.person_deletes(database) {
                scene.see(&mut check, &event).expect("people do as they like");
            }
        }
        scene.now += seconds(11);
        let body = json!({ "preconditions": { "uid": uid(&claim) } });
        let sent = scene.sends(1, "w1", "DELETE", &format!("{PATH}/{}", name(&claim)), &body);
        let words = scene.see(&mut check, &sent).expect_err("a mass");
        assert!(words.contains("part of a mass"), "{words}");
        scene.annotate(&all[0], "atoll.dev/confirm-delete", uid(&all[0]));
        scene.see(&mut check, &sent).expect("confirmed");
    }

    #[test]
    fn a_pod_is_made_on_the_recorded_volume_only() {
        let mut scene = Scene::new();
        let database = scene.database("a", "established");
        let mut pod = scene.pod(&database, 0, &[]);
        let pods = "/api/v1/namespaces/default/pods";
        let sent = scene.sends(1, "w1", "POST", pods, &pod);
        scene.see(&mut OwnVolume::default(), &sent).expect("its own");
        pod["metadata"]["ownerReferences"][0]["uid"] = json!("another");
        let sent = scene.sends(1, "w1", "POST", pods, &pod);
        scene.see(&mut OwnVolume::default(), &sent).expect_err("another");
    }

    #[test]
    fn no_volume_is_made_anew_under_an_identity() {
        for (stage, fine) in [("placed", true), ("founding", false), ("established", false)] {
            let mut scene = Scene::new();
            let database = scene.database("a", stage);
            let sent = scene.sends(1, "w1", "POST", PATH, &scene.claim(&database, 0));
            assert_eq!(scene.see(&mut OwnVolume::default(), &sent).is_ok(), fine, "{stage}");
        }
    }
}
