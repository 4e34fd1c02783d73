//! A4: nothing is written to a worker while its K8sCluster says that it is unavailable, by whoever has heard of it.
//!
//! A life has heard of a mark when it has told the state of that generation of the K8sCluster: what it sends after that,
//! it sends knowingly. Nothing else shows when a watch has brought the news.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::{
    Check, Truth,
    look::{MASTER, all, identity, name, text},
    request::{JOBS, NAMESPACES, Request, WORKERS},
};
use crate::tape::{Event, Life, Party};

/// See the module.
#[derive(Default)]
pub struct Marks {
    /// Who has heard that which registration is marked.
    heard: BTreeSet<(Life, String)>,
}

impl Check for Marks {
    fn name(&self) -> &'static str {
        "A4 marked workers"
    }

    fn see(&mut self, _: Duration, event: &Event, truth: &Truth) -> Result<(), String> {
        match event {
            Event::Committed(site, party, commit) if &**site == MASTER && commit.place.resource == WORKERS => {
                let marked = commit.after.as_deref().filter(|worker| is_marked(worker));
                match (marked, party) {
                    (None, _) => self.heard.retain(|(_, worker)| *worker != commit.place.name),
                    (Some(worker), Party::Controller(life)) if tells_of_itself(worker) => {
                        self.heard.insert((*life, commit.place.name.clone()));
                    }
                    (Some(_), _) => {}
                }
                Ok(())
            }
            Event::Sent(call) if call.is_step() => {
                let Some(request) = Request::of(&call.path) else { return Ok(()) };
                // A question that is under way is tidied up.
                let part = request.is_part() && request.resource != JOBS;
                if !part && request.resource != NAMESPACES {
                    return Ok(());
                }
                let here = identity(truth, &truth.addresses.behind(&call.site)).unwrap_or_default();
                let workers = all(truth, MASTER, WORKERS);
                let mut serving = workers.iter().filter(|worker| text(worker, "/status/identity") == here).peekable();
                let knows = |worker: &Value| self.heard.contains(&(call.life, name(worker).to_owned()));
                if serving.peek().is_some() && serving.all(|worker| is_marked(worker) && knows(worker)) {
                    return Err(format!("{call}: the worker is marked unavailable, and it has heard so"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn is_marked(worker: &Value) -> bool {
    worker["spec"]["unavailable"] == true
}

/// Whether its status is about its present generation.
fn tells_of_itself(worker: &Value) -> bool {
    let mut conditions = worker["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["observedGeneration"] == worker["metadata"]["generation"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::Scene;

    const WORKER: &str = "/apis/k8s.oceanbase.com/v1alpha1/k8sclusters/w1";
    const PODS: &str = "/api/v1/namespaces/default/pods";

    /// Whether a life may make a pod in this cluster.
    fn writes(scene: &mut Scene, check: &mut Marks, life: u32, site: &str) -> Result<(), String> {
        let pod = json!({ "metadata": { "name": "a-etcd-0" } });
        let sent = scene.sends(life, site, "POST", PODS, &pod);
        scene.see(check, &sent)
    }

    fn patches(scene: &mut Scene, check: &mut Marks, path: &str, patch: &Value) {
        for event in scene.does(1, "master", "PATCH", path, patch) {
            scene.see(check, &event).expect("that is no write to a worker");
        }
    }

    #[test]
    fn who_has_heard_of_a_mark_writes_nothing_until_it_goes() {
        let (mut scene, mut check) = (Scene::new(), Marks::default());
        writes(&mut scene, &mut check, 1, "w1").expect("it is not marked");
        patches(&mut scene, &mut check, WORKER, &json!({ "spec": { "unavailable": true } }));
        writes(&mut scene, &mut check, 1, "w1").expect("nobody has heard of it yet");
        let generation = scene.get("master", WORKERS, "", "w1").expect("a worker")["metadata"]["generation"].clone();
        let mut told = scene.get("master", WORKERS, "", "w1").expect("a worker")["status"].clone();
        told["conditions"][0]["observedGeneration"] = generation;
        patches(&mut scene, &mut check, &format!("{WORKER}/status"), &json!({ "status": told }));
        let words = writes(&mut scene, &mut check, 1, "w1").expect_err("it has told of that generation");
        assert!(words.contains("marked unavailable"), "{words}");
        writes(&mut scene, &mut check, 2, "w1").expect("another life has not");
        writes(&mut scene, &mut check, 1, "w2").expect("another worker is not marked");
        patches(&mut scene, &mut check, WORKER, &json!({ "spec": { "unavailable": null } }));
        writes(&mut scene, &mut check, 1, "w1").expect("the mark is gone");
    }
}
