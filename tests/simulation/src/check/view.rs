//! S9: nothing is deleted in a worker by a view that is older than one acted on before: after a worker was restored from
//! a backup, a full list comes first.

use std::{collections::BTreeMap, time::Duration};

use super::{Check, Truth, request::Request};
use crate::tape::{Answer, Event, Life, Site};

/// See the module.
#[derive(Default)]
pub struct MonotoneView {
    /// The last version of each cluster, and how often it went back.
    sites: BTreeMap<Site, (u64, u32)>,
    /// In which of these epochs each life last listed a kind in a cluster.
    listed: BTreeMap<(Life, Site, String), u32>,
}

impl Check for MonotoneView {
    fn name(&self) -> &'static str {
        "S9 monotone view"
    }

    fn see(&mut self, _: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
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
                self.listed.insert((call.life, site, request.resource), epoch);
                Ok(())
            }
            Event::Sent(call) if call.verb == "DELETE" || call.path.ends_with("/eviction") => {
                let Some(request) = Request::of(&call.path) else { return Ok(()) };
                // A job is the controller's own question: it deletes what it has just made.
                if !request.is_part() || request.resource == super::request::JOBS {
                    return Ok(());
                }
                let site = truth.addresses.behind(&call.site);
                let Some(server) = truth.servers.get(&site) else { return Ok(()) };
                let epoch = self.epoch(&site, server.version());
                let seen = self.listed.get(&(call.life, site.clone(), request.resource.clone()));
                match seen {
                    Some(seen) if *seen == epoch => Ok(()),
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
    use crate::check::testing::Scene;

    const PODS: &str = "/api/v1/namespaces/default/pods";

    #[test]
    fn after_a_restore_a_list_comes_before_a_delete() {
        let (mut scene, mut check) = (Scene::new(), MonotoneView::default());
        let list = |scene: &mut Scene, check: &mut MonotoneView| {
            for event in scene.does(1, "w1", "GET", "/api/v1/pods", &json!(null)) {
                scene.see(check, &event).expect("a list");
            }
        };
        let delete = |scene: &mut Scene, check: &mut MonotoneView| {
            let sent = scene.sends(1, "w1", "DELETE", &format!("{PODS}/etcd-0"), &json!({}));
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
}
