//! S1: the controller takes a healthy member down, or removes one, only if the others keep a majority and none of them is
//! down (DECISIONS 3). A database of one or two is changed with an interruption.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;

use super::{
    Check, Truth,
    look::{self, is_deleting, is_member_pod, name, object, owner, text, uid},
    request::{PODS, Request, body},
    sight::{majority, process},
    takedown::{Deletions, What},
};
use crate::{
    etcd::{ClusterId, MemberId, Role, View},
    place::Place,
    tape::{Call, Event},
};

/// See the module.
#[derive(Default)]
pub struct Budget {
    deletions: Deletions,
    /// When each member last served.
    served: BTreeMap<(ClusterId, MemberId), Duration>,
    /// The voters of each cluster, by its leader's word, and in which term.
    voters: BTreeMap<ClusterId, (u64, BTreeSet<MemberId>)>,
}

/// How long it takes to ask everyone and to act on what they said: who stops serving meanwhile could not be known.
const ASKED: Duration = Duration::from_secs(15);

impl Check for Budget {
    fn name(&self) -> &'static str {
        "S1 budget"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        self.deletions.hear(now, event);
        if matches!(event, Event::Glance) {
            return self.look(now, &truth.etcds.inspect());
        }
        let Event::Sent(call) = event else { return Ok(()) };
        if !call.is_step() {
            return Ok(());
        }
        let Some(request) = Request::of(&call.path).filter(|request| takes_down(call, request)) else { return Ok(()) };
        let site = truth.addresses.behind(&call.site);
        let Some(pod) = object(truth, &site, PODS, request.namespace, request.name) else { return Ok(()) };
        let meant = super::ownership::named_uid(call);
        let is_other = meant.is_some_and(|meant| meant != uid(&pod));
        if is_other
            || has_changed(call, &pod)
            || stands(&pod)
            || is_deleting(&pod)
            || !is_member_pod(&pod)
            || look::database(truth, owner(&pod)).is_none()
        {
            return Ok(());
        }
        if self.deletions.may_take_down(now, truth, owner(&pod), What::Rest).is_ok() {
            return Ok(());
        }
        let place = Place::Cluster(site.to_string());
        let views = truth.etcds.inspect();
        let target = views.iter().find(|view| view.place == place && view.pod == name(&pod));
        let lately =
            |cluster, voter| self.served.get(&(cluster, voter)).is_some_and(|at| now.saturating_sub(*at) <= ASKED);
        match target.and_then(|target| unaffordable(target, &views, lately)) {
            None => Ok(()),
            Some(why) => Err(format!("{} {} {} in {site}: {why}", call.life, call.verb, request.name)),
        }
    }
}

impl Budget {
    /// Sees who serves; and that whoever was removed could be spared.
    fn look(&mut self, now: Duration, views: &[View]) -> Result<(), String> {
        for view in views.iter().filter(|view| view.serving) {
            let (Some(cluster), Some(member)) = (view.cluster_id, view.member_id) else { continue };
            self.served.insert((cluster, member), now);
        }
        for leader in views.iter().filter(|view| view.serving && view.role == Role::Leader) {
            let Some(cluster) = leader.cluster_id else { continue };
            let before = self.voters.insert(cluster, (leader.term, leader.voters.clone()));
            let Some((_, before)) = before.filter(|(term, _)| *term <= leader.term) else { continue };
            let Some(gone) = before.difference(&leader.voters).next() else { continue };
            let lately = |voter: &&MemberId| {
                self.served.get(&(cluster, **voter)).is_some_and(|at| now.saturating_sub(*at) <= ASKED)
            };
            let left = leader.voters.iter().filter(lately).count();
            if left < majority(leader.voters.len()) {
                let voters = leader.voters.len();
                return Err(format!("{gone} was removed, and of {voters} voters that are left only {left} serve"));
            }
        }
        Ok(())
    }
}

/// Whether it would stop what runs in a pod. A patch of metadata alone does not.
fn takes_down(call: &Call, request: &Request) -> bool {
    if request.resource != PODS || request.name.is_empty() {
        return false;
    }
    match (call.verb, request.sub) {
        ("DELETE", "") | ("POST", "eviction") => true,
        ("PATCH" | "PUT", "") => body(call).get("spec").is_some(),
        _ => false,
    }
}

/// Whether a deletion is refused, because it names an earlier version of the pod.
fn has_changed(call: &Call, pod: &Value) -> bool {
    let body = body(call);
    let meant = body["preconditions"]["resourceVersion"].as_str();
    call.verb == "DELETE" && meant.is_some_and(|meant| meant != text(pod, "/metadata/resourceVersion"))
}

/// Whether its kubelet has never said that anything runs in a pod: whoever may not ask the kubelet cannot know better.
fn stands(pod: &Value) -> bool {
    let containers = pod["status"]["containerStatuses"].as_array();
    let says = |state: &Value| !state["running"].is_null() || !state["terminated"].is_null();
    let mut containers = containers.into_iter().flatten().peekable();
    containers.peek().is_some()
        && !containers.any(|container| says(&container["state"]) || says(&container["lastState"]))
}

/// Why this member cannot be spared, if it serves and cannot.
fn unaffordable(target: &View, views: &[View], lately: impl Fn(ClusterId, MemberId) -> bool) -> Option<String> {
    let cluster = target.cluster_id.filter(|_| target.serving)?;
    let others = target.voters.iter().filter(|voter| Some(**voter) != target.member_id);
    let serves = |voter: &MemberId| {
        views.iter().any(|view| view.cluster_id == Some(cluster) && view.member_id == Some(*voter) && view.serving)
            || lately(cluster, *voter)
    };
    let (left, down): (Vec<&MemberId>, Vec<&MemberId>) = others.partition(|voter| serves(voter));
    let voters = target.voters.len();
    if down.is_empty() && (left.len() >= majority(voters) || voters <= 2) {
        return None;
    }
    let down: Vec<_> = down.iter().map(ToString::to_string).collect();
    let down = if down.is_empty() { "no other is down".to_owned() } else { format!("{} down", down.join(", ")) };
    Some(format!("{} serves, and of {voters} voters only {} would be left ({down})", process(target), left.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::{Scene, view};

    /// Three members of one database, of which these serve.
    fn members(serving: [bool; 3]) -> Vec<View> {
        (0..3).map(|n| View { serving: serving[usize::from(n)], ..view(n, 3) }).collect()
    }

    #[test]
    fn a_healthy_member_is_spared_only_while_all_others_are_well() {
        for (serving, spared) in [
            ([true, true, true], true),
            ([true, true, false], false),
            ([true, false, false], false),
            // What does not serve may always be made again.
            ([false, true, true], true),
            ([false, true, false], true),
        ] {
            let views = members(serving);
            assert_eq!(unaffordable(&views[0], &views, |_, _| false).is_none(), spared, "{serving:?}");
        }
        // Who served a moment ago may have been asked then.
        let views = members([true, true, false]);
        assert!(unaffordable(&views[0], &views, |_, _| true).is_none());
        // An only one has nobody to stand in for it.
        let alone = [View { serving: true, ..view(0, 1) }];
        assert!(unaffordable(&alone[0], &alone, |_, _| false).is_none());
    }

    #[test]
    fn whoever_is_removed_leaves_a_majority_that_serves() {
        let led = |voters: &[u64], serving: usize| -> Vec<View> {
            let all: BTreeSet<_> = voters.iter().map(|id| MemberId(*id)).collect();
            let view = |(n, id): (usize, &u64)| View {
                serving: n < serving,
                role: if n == 0 { Role::Leader } else { Role::Follower },
                member_id: Some(MemberId(*id)),
                voters: all.clone(),
                ..view(0, 3)
            };
            voters.iter().enumerate().map(view).collect()
        };
        for (before, serving, after, fine) in [
            (&[1, 2, 3][..], 3, &[1, 2][..], true),
            (&[1, 2, 3, 4, 5], 3, &[1, 2, 3, 4], true),
            (&[1, 2, 3, 4, 5], 3, &[1, 2, 3], true),
            (&[1, 2, 3, 4, 5], 3, &[1, 4, 5], false),
            (&[1, 2, 3], 2, &[1, 3], false),
            (&[1, 2], 2, &[1], true),
        ] {
            let mut check = Budget::default();
            check.look(Duration::ZERO, &led(before, serving)).expect("nobody has left");
            let verdict = check.look(Duration::from_secs(1), &led(after, 1));
            assert_eq!(verdict.is_ok(), fine, "{before:?} {after:?}: {verdict:?}");
        }
    }

    #[test]
    fn a_deletion_that_names_an_earlier_version_takes_nobody_down() {
        let pod = json!({ "metadata": { "resourceVersion": "7" } });
        for (verb, body, refused) in [
            ("DELETE", r#"{"preconditions":{"uid":"a","resourceVersion":"6"}}"#, true),
            ("DELETE", r#"{"preconditions":{"uid":"a","resourceVersion":"7"}}"#, false),
            ("DELETE", r#"{"preconditions":{"uid":"a"}}"#, false),
            ("DELETE", "{}", false),
        ] {
            let call = Scene::call(1, "w1", verb, "/api/v1/namespaces/default/pods/etcd-0", body);
            assert_eq!(has_changed(&call, &pod), refused, "{body}");
        }
    }

    #[test]
    fn a_pod_stands_until_its_kubelet_says_that_something_runs() {
        for (status, stood) in [
            (json!({}), false),
            (json!({ "containerStatuses": [{ "state": { "waiting": {} } }] }), true),
            (json!({ "containerStatuses": [{ "state": { "running": {} } }] }), false),
            (
                json!({ "containerStatuses": [{ "state": { "waiting": {} }, "lastState": { "terminated": {} } }] }),
                false,
            ),
        ] {
            assert_eq!(stands(&json!({ "status": status.clone() })), stood, "{status}");
        }
    }

    #[test]
    fn a_member_of_another_database_does_not_count() {
        let mut views = members([true, true, true]);
        views[2].cluster_id = Some(ClusterId(9));
        assert!(unaffordable(&views[0], &views, |_, _| false).is_some());
    }

    #[test]
    fn what_stops_a_pod_is_told_from_what_only_labels_it() {
        let path = "/api/v1/namespaces/default/pods/etcd-0";
        for (verb, path, body, down) in [
            ("DELETE", path, "{}", true),
            ("POST", "/api/v1/namespaces/default/pods/etcd-0/eviction", "{}", true),
            ("PATCH", path, r#"{"metadata":{"labels":{}}}"#, false),
            ("PATCH", path, r#"{"spec":{"containers":[]}}"#, true),
            ("POST", "/api/v1/namespaces/default/pods", r#"{"spec":{}}"#, false),
            ("DELETE", "/api/v1/namespaces/default/services/etcd-0", "{}", false),
        ] {
            let call = Scene::call(1, "w1", verb, path, body);
            assert_eq!(takes_down(&call, &Request::of(path).expect("a path")), down, "{verb} {path} {body}");
        }
    }
}
