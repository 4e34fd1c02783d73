//! S1: the controller takes a healthy member down only if the others keep a majority and none of them is down
//! (DECISIONS 3).

use std::time::Duration;

use super::{
    Check, Truth,
    look::{self, is_deleting, is_member_pod, name, object, owner, uid},
    request::{PODS, Request, body},
    sight::{majority, process},
    takedown::{Deletions, What},
};
use crate::{
    etcd::{MemberId, View},
    place::Place,
    tape::{Call, Event},
};

/// See the module.
#[derive(Default)]
pub struct Budget {
    deletions: Deletions,
}

impl Check for Budget {
    fn name(&self) -> &'static str {
        "S1 budget"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        self.deletions.hear(now, event);
        let Event::Sent(call) = event else { return Ok(()) };
        if !call.is_step() {
            return Ok(());
        }
        let Some(request) = Request::of(&call.path).filter(|request| takes_down(call, request)) else { return Ok(()) };
        let site = truth.addresses.behind(&call.site);
        let Some(pod) = object(truth, &site, PODS, request.namespace, request.name) else { return Ok(()) };
        let meant = super::ownership::named_uid(call);
        let is_other = meant.is_some_and(|meant| meant != uid(&pod));
        if is_other || is_deleting(&pod) || !is_member_pod(&pod) || look::database(truth, owner(&pod)).is_none() {
            return Ok(());
        }
        if self.deletions.may_take_down(now, truth, owner(&pod), What::Rest).is_ok() {
            return Ok(());
        }
        let place = Place::Cluster(site.to_string());
        let views = truth.etcds.inspect();
        let target = views.iter().find(|view| view.place == place && view.pod == name(&pod));
        match target.and_then(|target| unaffordable(target, &views)) {
            None => Ok(()),
            Some(why) => Err(format!("{} {} {} in {site}: {why}", call.life, call.verb, request.name)),
        }
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

/// Why this member cannot be spared, if it serves and cannot.
fn unaffordable(target: &View, views: &[View]) -> Option<String> {
    if !target.serving {
        return None;
    }
    let others = target.voters.iter().filter(|voter| Some(**voter) != target.member_id);
    let serves = |voter: &MemberId| {
        views.iter().any(|view| view.cluster_id == target.cluster_id && view.member_id == Some(*voter) && view.serving)
    };
    let (left, down): (Vec<&MemberId>, Vec<&MemberId>) = others.partition(|voter| serves(voter));
    let voters = target.voters.len();
    if down.is_empty() && left.len() >= majority(voters) {
        return None;
    }
    let down: Vec<_> = down.iter().map(ToString::to_string).collect();
    let down = if down.is_empty() { "no other is down".to_owned() } else { format!("{} down", down.join(", ")) };
    Some(format!("{} serves, and of {voters} voters only {} would be left ({down})", process(target), left.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::testing::{Scene, view},
        etcd::ClusterId,
    };

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
            assert_eq!(unaffordable(&views[0], &views).is_none(), spared, "{serving:?}");
        }
        let alone = [View { serving: true, ..view(0, 1) }];
        assert!(unaffordable(&alone[0], &alone).is_some());
    }

    #[test]
    fn a_member_of_another_database_does_not_count() {
        let mut views = members([true, true, true]);
        views[2].cluster_id = Some(ClusterId(9));
        assert!(unaffordable(&views[0], &views).is_some());
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
