//! S9: nothing is deleted in a worker by a view that is older than one acted on before: after a worker was restored from
//! a backup, a full list comes first. Volumes go only by a list of pods that was made for that.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Check, Truth,
    request::{CLAIMS, JOBS, PODS, Request},
};
use crate::tape::{Answer, Event, Life, Site};

/// How old a list may be by which volumes are deleted: all workers are listed for one decision, and each takes its time.
const FRESH: Duration = Duration::from_secs(30);

/// The last list of a kind.
#[derive(Clone, Copy)]
struct Listed {
    /// How often the cluster had gone back by then.
    epoch: u32,
    at: Duration,
}

/// See the module.
#[derive(Default)]
pub struct MonotoneView {
    /// The last version of each cluster, and how often it went back.
    sites: BTreeMap<Site, (u64, u32)>,
    /// In which of these epochs each life last listed a kind in a cluster.
    listed: BTreeMap<(Life, Site, String), Listed>,
}

impl Check for MonotoneView {
    fn name(&self) -> &'static str {
        "S9 monotone view"
    }

    fn see(&mut self, now: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        match event {
            Event::Committed(site, _, commit) => {
                self.epoch(site, commit.version);
                Ok(())
            }
            Event::Answered(call, Answer::Code(200)) if call.verb == "GET" => {
                let Some(request) = Request::of(&call.path) else { return Ok(()) };
                if !request.is_part() || !request.name.is_empty() {
                    return Ok(());
                }
                let site = truth.addresses.behind(&call.site);
                let Some(server) = truth.servers.get(&site) else { return Ok(()) };
                let epoch = self.epoch(&site, server.version());
                self.listed.insert((call.life, site, request.resource), Listed { epoch, at: now });
                Ok(())
            }
            Event::Sent(call) if call.verb == "DELETE" || call.path.ends_with("/eviction") => {
                let Some(request) = Request::of(&call.path) else { return Ok(()) };
                // A job is the controller's own question: it deletes what it has just made.
                if !request.is_part() || request.resource == JOBS {
                    return Ok(());
                }
                let site = truth.addresses.behind(&call.site);
                let Some(server) = truth.servers.get(&site) else { return Ok(()) };
                let epoch = self.epoch(&site, server.version());
                let seen = |resource: &str| self.listed.get(&(call.life, site.clone(), resource.to_owned())).copied();
                let fresh = |listed: Listed| now.saturating_sub(listed.at) <= FRESH;
                match seen(&request.resource) {
                    Some(seen) if seen.epoch == epoch && request.resource != CLAIMS => Ok(()),
                    Some(listed) if listed.epoch == epoch => match seen(PODS) {
                        Some(pods) if fresh(pods) => Ok(()),
                        _ => Err(format!("{call}: the pods of {site} were not listed for that")),
                    },
                    None if epoch == 0 => Err(format!(
                        "{call}: it deletes {} in {site} without ever having listed them",
                        request.resource
                    )),
                    _ => Err(format!(
                        "{call}: {site} was restored from a backup, and its {} were not listed since",
                        request.resource
                    )),
                }
            }
            _ => Ok(()),
        }
    }
}

impl MonotoneView {
    fn epoch(&mut self, site: &Site, version: u64) -> u32 {
        let (last, epoch) = self.sites.entry(site.clone()).or_default();
        if version < *last {
            *epoch += 1;
        }
        *last = version;
        *epoch
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::{Scene, seconds};

    const PATH: &str = "/api/v1/namespaces/default/pods";

    #[test]
    fn after_a_restore_a_list_comes_before_a_delete() {
        let (mut scene, mut check) = (Scene::new(), MonotoneView::default());
        let list = |scene: &mut Scene, check: &mut MonotoneView| {
            for event in scene.does(1, "w1", "GET", "/api/v1/pods", &json!(null)) {
                scene.see(check, &event).expect("a list");
            }
        };
        let delete = |scene: &mut Scene, check: &mut MonotoneView| {
            let sent = scene.sends(1, "w1", "DELETE", &format!("{PATH}/etcd-0"), &json!({}));
            scene.see(check, &sent)
        };
        let backup = scene.truth.servers["w1"].snapshot();
        scene.create(
            "w1",
            "/api/v1/namespaces",
            &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "a" } }),
        );
        list(&mut scene, &mut check);
        delete(&mut scene, &mut check).expect("it was listed");
        scene.truth.servers["w1"].restore(&backup);
        let words = delete(&mut scene, &mut check).expect_err("it was restored");
        assert!(words.contains("restored"), "{words}");
        list(&mut scene, &mut check);
        delete(&mut scene, &mut check).expect("listed again");
    }

    #[test]
    fn a_volume_goes_by_a_list_of_its_time() {
        let (mut scene, mut check) = (Scene::new(), MonotoneView::default());
        for path in ["/api/v1/pods", "/api/v1/persistentvolumeclaims"] {
            for event in scene.does(1, "w1", "GET", path, &json!(null)) {
                scene.see(&mut check, &event).expect("a list");
            }
        }
        for (waited, fine) in [(10, true), (30, false)] {
            scene.now += seconds(waited);
            let path = "/api/v1/namespaces/default/persistentvolumeclaims/data";
            let sent = scene.sends(1, "w1", "DELETE", path, &json!({}));
            assert_eq!(scene.see(&mut check, &sent).is_ok(), fine, "{waited}");
        }
    }
}
