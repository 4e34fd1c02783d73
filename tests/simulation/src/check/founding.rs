//! S2: one bootstrap. A database is founded once: no second identity of it ever serves, no member founds again once the
//! first have served, and no pod that founds is made once the record says that it has. Nor is there anybody else where one
//! forgets all others each time it starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Check, Truth,
    look::{self, MASTER, Stage, is_member_pod, name, owner, record, stage},
    ownership::made,
    request::{CLAIMS, DATABASES, PODS},
    sight::{Sight, majority},
};
use crate::{
    etcd::{ClusterId, Founding, MemberId, View},
    tape::Event,
};

/// `S2 one bootstrap`: what processes do.
pub struct OneBootstrap {
    sight: Sight,
    /// Which identities of a database have served.
    served: BTreeMap<String, BTreeSet<ClusterId>>,
    /// Since when a cluster has served.
    since: BTreeMap<ClusterId, Duration>,
    /// Members that have founded: of which cluster, which, on which volume.
    founded: BTreeMap<(ClusterId, MemberId), String>,
    /// Members that have founded again after they were removed.
    came_back: BTreeSet<(ClusterId, MemberId)>,
    /// How many foundings were looked at.
    looked: usize,
    /// Databases whose record has said that they serve.
    told: BTreeSet<String>,
}

impl OneBootstrap {
    /// Sees processes by this sight.
    pub fn new(sight: Sight) -> Self {
        Self {
            sight,
            served: BTreeMap::new(),
            since: BTreeMap::new(),
            founded: BTreeMap::new(),
            came_back: BTreeSet::new(),
            looked: 0,
            told: BTreeSet::new(),
        }
    }

    fn look(
        &mut self,
        now: Duration,
        views: &[View],
        foundings: &[Founding],
        stands: impl Fn(&str) -> bool,
        is_gone: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        for founding in foundings.iter().skip(self.looked) {
            self.looked += 1;
            let again = self.founded.insert((founding.cluster_id, founding.member_id), founding.by_volume.clone());
            let (Some(before), Some(since)) = (again, self.since.get(&founding.cluster_id)) else { continue };
            // Nobody listens to one that was removed: alone it can found nothing.
            if is_removed(founding, views) {
                self.came_back.insert((founding.cluster_id, founding.member_id));
                let of = |(cluster, _): &&(ClusterId, MemberId)| *cluster == founding.cluster_id;
                let founders = self.founded.keys().filter(of).count();
                if self.came_back.iter().filter(of).count() < majority(founders) {
                    continue;
                }
            }
            // What a backup brings back of a database that is being deleted may do as it likes.
            if *since <= founding.at && stands(&founding.owner) {
                return Err(format!(
                    "member {} of database {} founds a second time at {:.1} s, on volume {} (before: {before}), \
                     although cluster {} has served since {:.1} s: what it had acknowledged may be lost",
                    founding.member_id,
                    founding.owner,
                    founding.at.as_secs_f64(),
                    founding.by_volume,
                    founding.cluster_id,
                    since.as_secs_f64()
                ));
            }
        }
        let forgetful = |view: &&View| view.alone && view.voters.len() + view.learners.len() > 1 && stands(&view.owner);
        if let Some(view) = views.iter().find(forgetful) {
            return Err(format!(
                "{} of database {} would forget the others if it were only started again: they could go on without it, \
                 and it without them",
                view.name, view.owner
            ));
        }
        for (view, cluster) in
            views.iter().filter(|view| view.serving).filter_map(|view| Some((view, view.cluster_id?)))
        {
            self.since.entry(cluster).or_insert(now);
            if let Some(identities) = self.served.get_mut(&view.owner) {
                if identities.insert(cluster) {
                    let earlier = |of: &ClusterId| *of != cluster && identities.contains(of);
                    let volumes: Vec<_> =
                        self.founded.iter().filter(|((of, _), _)| earlier(of)).map(|(_, volume)| volume).collect();
                    // Nothing is left of the first attempt, and nobody could know that it had served a moment ago.
                    let nothing_left = !volumes.is_empty() && volumes.iter().all(|volume| is_gone(volume));
                    if nothing_left && !self.told.contains(&view.owner) {
                        *identities = [cluster].into();
                        continue;
                    }
                    let all: Vec<_> = identities.iter().map(ToString::to_string).collect();
                    return Err(format!(
                        "database {} has served under {} identities: {}",
                        view.owner,
                        all.len(),
                        all.join(", ")
                    ));
                }
            } else {
                self.served.insert(view.owner.clone(), [cluster].into());
            }
        }
        Ok(())
    }
}

impl Check for OneBootstrap {
    fn name(&self) -> &'static str {
        "S2 one bootstrap"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        match event {
            Event::Committed(site, _, commit) if &**site == MASTER && commit.place.resource == DATABASES => {
                let database = commit.after.as_deref();
                let told = database.filter(|it| record(it).and_then(stage) >= Some(Stage::Founded));
                self.told.extend(told.map(|it| look::uid(it).to_owned()));
                return Ok(());
            }
            Event::Glance => {}
            _ => return Ok(()),
        }
        let views = self.sight.at(now, truth);
        let is_gone = |volume: &str| {
            let claims = |site| look::all(truth, site, CLAIMS);
            truth.servers.keys().all(|site| claims(site).iter().all(|claim| look::uid(claim) != volume))
        };
        let stands = |owner: &str| look::database(truth, owner).is_some_and(|database| !look::is_deleting(&database));
        self.look(now, &views, &truth.etcds.foundings(), stands, is_gone)
    }
}

/// Whether somebody who serves lists others than the one who founds.
fn is_removed(founding: &Founding, views: &[View]) -> bool {
    let lists = |view: &View| view.voters.contains(&founding.member_id) || view.learners.contains(&founding.member_id);
    views.iter().any(|view| view.serving && view.cluster_id == Some(founding.cluster_id) && !lists(view))
}

/// `S2 never again`: what pods the controller makes.
pub struct NeverAgain;

impl Check for NeverAgain {
    fn name(&self) -> &'static str {
        "S2 never again"
    }

    fn see(&mut self, _: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        let Some((call, pod)) = made(event, PODS) else { return Ok(()) };
        if !is_member_pod(&pod) || !founds(&pod) {
            return Ok(());
        }
        let Some(database) = look::database(truth, owner(&pod)) else { return Ok(()) };
        match record(&database).and_then(stage) {
            Some(stage) if stage >= Stage::Founded => Err(format!(
                "{} makes pod {} in {} with --initial-cluster-state=new, although the record of database {} says {stage:?}",
                call.life,
                name(&pod),
                call.site,
                look::called(&database)
            )),
            _ => Ok(()),
        }
    }
}

/// Whether what it runs would found.
fn founds(pod: &serde_json::Value) -> bool {
    args(pod).any(|arg| arg == "--initial-cluster-state=new")
}

/// The arguments of a pod's containers.
pub fn args(pod: &serde_json::Value) -> impl Iterator<Item = &str> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers.flat_map(|container| container["args"].as_array().into_iter().flatten()).filter_map(|arg| arg.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::{Scene, founding, seconds, view};

    fn serving(n: u8, cluster: u64) -> View {
        View { cluster_id: Some(ClusterId(cluster)), serving: true, ..view(n, 3) }
    }

    #[test]
    fn a_database_that_serves_under_two_identities_was_founded_twice() {
        let mut check = OneBootstrap::new(Sight::default());
        check.look(seconds(1), &[serving(0, 1), serving(1, 1)], &[], |_| true, |_| false).expect("one identity");
        check.look(seconds(2), &[serving(0, 1)], &[], |_| true, |_| false).expect("the same one");
        let words = check.look(seconds(3), &[serving(2, 2)], &[], |_| true, |_| false).expect_err("another one");
        assert!(words.contains("2 identities"), "{words}");
    }

    #[test]
    fn whoever_forgets_the_others_at_each_start_has_none() {
        let mut check = OneBootstrap::new(Sight::default());
        let with = |voters| View { alone: true, ..view(0, voters) };
        check.look(seconds(1), &[with(1)], &[], |_| true, |_| false).expect("it has forgotten them");
        check.look(seconds(2), &[with(2)], &[], |_| false, |_| false).expect("it is of a database that is gone");
        let words = check.look(seconds(2), &[with(2)], &[], |_| true, |_| false).expect_err("somebody has joined");
        assert!(words.contains("would forget the others"), "{words}");
    }

    #[test]
    fn another_attempt_is_fine_where_nothing_is_left_of_the_first_and_nobody_knew_that_it_served() {
        for (known, left, fine) in [(false, false, true), (true, false, false), (false, true, false)] {
            let mut check = OneBootstrap::new(Sight::default());
            let first = [serving(0, 1)];
            if known {
                check.told.insert(first[0].owner.clone());
            }
            check.look(seconds(1), &first, &[founding(0, 1, seconds(1))], |_| true, |_| false).expect("it serves");
            let both = [founding(0, 1, seconds(1)), founding(0, 2, seconds(3))];
            let verdict = check.look(seconds(3), &[serving(0, 2)], &both, |_| true, |_| !left);
            assert_eq!(verdict.is_ok(), fine, "known {known}, left {left}: {verdict:?}");
        }
    }

    #[test]
    fn another_attempt_is_fine_where_the_first_has_never_served() {
        let mut check = OneBootstrap::new(Sight::default());
        let starting = View { serving: false, ..serving(0, 1) };
        check.look(seconds(1), &[starting], &[founding(0, 1, seconds(1))], |_| true, |_| false).expect("it begins");
        check
            .look(seconds(2), &[serving(0, 2)], &[founding(0, 1, seconds(1))], |_| true, |_| false)
            .expect("the second attempt serves");
    }

    #[test]
    fn a_member_founds_once_it_may_be_late_but_never_again() {
        let mut check = OneBootstrap::new(Sight::default());
        let all = [serving(0, 1), serving(1, 1), serving(2, 1)];
        let mut foundings = vec![founding(0, 1, seconds(1)), founding(1, 1, seconds(1))];
        check.look(seconds(2), &all[..2], &foundings, |_| true, |_| false).expect("two found, and serve");
        foundings.push(founding(2, 1, seconds(5)));
        check.look(seconds(6), &all, &foundings, |_| true, |_| false).expect("the third is late");
        foundings.push(founding(2, 1, seconds(8)));
        let words = check.look(seconds(9), &all, &foundings, |_| true, |_| false).expect_err("the third founds again");
        assert!(words.contains("a second time"), "{words}");
    }

    #[test]
    fn one_that_was_removed_may_come_back_and_a_majority_of_those_may_not() {
        let mut check = OneBootstrap::new(Sight::default());
        let mut foundings: Vec<_> = (0..3).map(|member| founding(member, 1, seconds(1))).collect();
        check.look(seconds(2), &[serving(0, 1), serving(1, 1)], &foundings, |_| true, |_| false).expect("they serve");
        let alone = [View { voters: [MemberId(1)].into(), ..serving(0, 1) }];
        foundings.push(founding(1, 1, seconds(5)));
        check.look(seconds(6), &alone, &foundings, |_| true, |_| false).expect("nobody listens to it");
        foundings.push(founding(2, 1, seconds(8)));
        check.look(seconds(9), &alone, &foundings, |_| true, |_| false).expect_err("these two listen to each other");
    }

    #[test]
    fn a_pod_that_founds_is_made_only_until_the_database_has_served() {
        for (stage, fine) in [("founding", true), ("founded", false), ("established", false)] {
            for (state, harmless) in [("new", false), ("existing", true)] {
                let mut scene = Scene::new();
                let database = scene.database("a", stage);
                let pod = scene.pod(&database, 0, &[&format!("--initial-cluster-state={state}")]);
                let sent = scene.sends(1, "w1", "POST", "/api/v1/namespaces/default/pods", &pod);
                let verdict = scene.see(&mut NeverAgain, &sent);
                assert_eq!(verdict.is_ok(), fine || harmless, "{stage} {state}: {verdict:?}");
            }
        }
        assert!(!founds(&json!({})));
    }
}
