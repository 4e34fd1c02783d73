//! S3: no two running processes are the same member, and nobody makes room for a second one by force. D2: no two processes of one database serve different clusters.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Check, Truth,
    request::{PODS, Request, body},
    sight::{Sight, process},
};
use crate::{
    etcd::{ClusterId, MemberId, View},
    place::Place,
    tape::Event,
};

/// `S3 exclusive identity`.
pub struct ExclusiveIdentity(pub Sight);

impl Check for ExclusiveIdentity {
    fn name(&self) -> &'static str {
        "S3 exclusive identity"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        if matches!(event, Event::Glance) { exclusive(&self.0.at(now, truth)) } else { Ok(()) }
    }
}

fn exclusive(views: &[View]) -> Result<(), String> {
    let mut members: BTreeMap<(ClusterId, MemberId), &View> = BTreeMap::new();
    for view in views {
        let (Some(cluster), Some(member)) = (view.cluster_id, view.member_id) else { continue };
        if let Some(other) = members.insert((cluster, member), view) {
            return Err(format!(
                "two processes are member {member} of database {} at the same time: {} (volume {}) and {} (volume {})",
                view.owner,
                process(other),
                other.volume,
                process(view),
                view.volume
            ));
        }
    }
    Ok(())
}

/// `S3 no force`: a pod whose process may still run is not struck from the list of pods.
pub struct NoForce;

impl Check for NoForce {
    fn name(&self) -> &'static str {
        "S3 no force"
    }

    fn see(&mut self, _: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        let Event::Sent(call) = event else { return Ok(()) };
        if call.verb != "DELETE" || body(call)["gracePeriodSeconds"] != 0 {
            return Ok(());
        }
        let Some(request) = Request::of(&call.path).filter(|request| request.resource == PODS) else { return Ok(()) };
        let place = Place::Cluster(truth.addresses.behind(&call.site).to_string());
        match truth.etcds.inspect().iter().find(|view| view.place == place && view.pod == request.name) {
            None => Ok(()),
            Some(view) => Err(format!("{call}: it deletes the pod by force, while {} still runs", process(view))),
        }
    }
}

/// `D2 one database`.
pub struct OneDatabase(pub Sight);

impl Check for OneDatabase {
    fn name(&self) -> &'static str {
        "D2 one database"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        if matches!(event, Event::Glance) { one(&self.0.at(now, truth)) } else { Ok(()) }
    }
}

fn one(views: &[View]) -> Result<(), String> {
    let mut databases: BTreeMap<&str, &View> = BTreeMap::new();
    for view in views.iter().filter(|view| view.serving) {
        let first = *databases.entry(&view.owner).or_insert(view);
        if let (Some(one), Some(other)) = (first.cluster_id, view.cluster_id)
            && one != other
        {
            return Err(format!(
                "two databases serve as {}: {} is of cluster {one}, {} of cluster {other}",
                view.owner,
                process(first),
                process(view)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::view;

    #[test]
    fn a_member_that_runs_twice_is_told_from_two_members() {
        let (first, second) = (view(0, 3), view(1, 3));
        exclusive(&[first.clone(), second]).expect("two members");
        let again = View { place: Place::Cluster("w2".to_owned()), ..first.clone() };
        let words = exclusive(&[first.clone(), again]).expect_err("one member twice");
        assert!(words.contains("w2"), "{words}");
        // The same number in another cluster is another member.
        exclusive(&[first.clone(), View { cluster_id: Some(ClusterId(9)), ..first }]).expect("two clusters");
    }

    #[test]
    fn two_clusters_that_serve_as_one_database_are_found_out() {
        let serving = |id, owner: &str| View {
            cluster_id: Some(ClusterId(id)),
            owner: owner.to_owned(),
            serving: true,
            ..view(0, 3)
        };
        one(&[serving(1, "a"), serving(2, "b")]).expect("two databases");
        one(&[serving(1, "a"), View { serving: false, ..serving(2, "a") }]).expect("one does not serve");
        one(&[serving(1, "a"), serving(2, "a")]).expect_err("both serve");
    }
}
