//! Kubelets: they run the pods of their nodes, and say how they fare.
//!
//! A kubelet that is cut off runs on what it has: programs that end are started again, probes are made. It only neither
//! hears nor says anything.

mod container;
mod local;
mod probe;
mod status;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::Instant;

use local::Local;
pub(super) use status::whole_seconds;

use super::{
    Goods, Settings,
    hand::Part,
    net::Net,
    objects::{Key, Objects, id, leaving},
    programs::{Exit, Programs},
    round::Round,
};

/// No time that anybody waits for.
const FAR: Duration = Duration::from_hours(24);

/// What a kubelet works with.
pub(super) struct Ground<'a> {
    pub(super) now: Instant,
    pub(super) wall: Timestamp,
    pub(super) settings: &'a Settings,
    pub(super) programs: &'a dyn Programs,
    pub(super) net: &'a Net,
    /// Whether images can be pulled.
    pub(super) images: bool,
}

/// How a node fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its kubelet does not reach the API server.
    Cut,
    /// It does not run.
    Lost,
}

/// The kubelets of a cluster.
#[derive(Default)]
pub(super) struct Kubelets {
    /// Pods on nodes, by their UID.
    pods: BTreeMap<String, Local>,
    /// Nodes in trouble.
    pub(super) troubled: BTreeMap<String, Trouble>,
    /// Claims that are gone, whose volumes go once nothing runs on them.
    reclaimed: BTreeSet<String>,
    /// How many addresses were given so far.
    given: u32,
}

impl Kubelets {
    /// Probes what is to be probed, and starts again what has ended. Whether anything is to be told.
    pub(super) fn tick(&mut self, ground: &Ground) -> bool {
        let mut changed = false;
        for local in self.pods.values_mut().filter(|local| local.due <= ground.now) {
            changed |= local.tick(ground);
        }
        changed
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.pods.values().map(|local| local.due).min()
    }

    /// Everything is looked at again now.
    pub(super) fn look_again(&mut self, now: Instant) {
        for local in self.pods.values_mut() {
            local.due = now;
        }
    }

    /// Pods come and go as the API server says, and are told how they fare.
    pub(super) fn sync(&mut self, round: &mut Round, ground: &Ground) {
        self.drop_gone(round.objects, ground);
        self.drop_volumes(ground);
        let attached = self.attached();
        for (key, pod) in &round.objects.pods {
            let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) else { continue };
            if self.troubled.contains_key(node) || !round.settings.runs(node) {
                continue;
            }
            let uid = id(pod);
            if leaving(pod) {
                self.end(round, ground, key, pod);
                continue;
            }
            // Its deletion was undone, by a backup: it begins once more.
            if self.pods.get(uid).is_some_and(|local| local.stopped) {
                self.pods.remove(uid);
            }
            if !self.pods.contains_key(uid) {
                if local::is_over(pod) {
                    continue;
                }
                self.pods.insert(uid.to_owned(), Local::new(key, pod, node, ground));
            }
            let prepared = self.pods.get(uid).is_some_and(|local| local.ip.is_some());
            if !prepared && prepare(round, pod, node, &attached) {
                let ip = self.free_address(ground.settings);
                let claims = claims(round.objects, pod);
                if let Some(local) = self.pods.get_mut(uid) {
                    (local.ip, local.claims) = (Some(ip), claims.unwrap_or_default());
                    local.tick(ground);
                }
            }
            let Some(local) = self.pods.get_mut(uid) else { continue };
            local.take_in(pod, ground);
            let wanted = local.status(ground.settings);
            if let Some(patch) = status::difference(&wanted, pod) {
                let (key, uid) = (key.clone(), uid.to_owned());
                round.act(format!("status of pod {}/{}", key.0, key.1), move |hand| async move {
                    hand.patch::<Pod>(&key, &uid, Part::Status, json!({ "status": patch })).await
                });
            }
        }
    }

    /// Ends what runs on this machine for pods that the API server does not have (any more).
    fn drop_gone(&mut self, objects: &Objects, ground: &Ground) {
        let troubled = &self.troubled;
        self.pods.retain(|uid, local| {
            let there = objects.pods.get(&local.key).is_some_and(|pod| id(pod) == uid);
            let stays = there || troubled.contains_key(&local.node);
            if !stays {
                local.stop(ground);
            }
            stays
        });
    }

    /// A claim is gone, and its volume goes with it, as storage classes say.
    pub(super) fn reclaim(&mut self, claim: &str) {
        self.reclaimed.insert(claim.to_owned());
    }

    fn drop_volumes(&mut self, ground: &Ground) {
        let pods = &self.pods;
        self.reclaimed.retain(|claim| {
            let used = pods.values().any(|local| local.runs() && local.claims.values().any(|used| used == claim));
            if !used {
                ground.programs.lose_volume(claim);
            }
            used
        });
    }

    /// Ends a pod that is being deleted, and lets it go.
    fn end(&mut self, round: &mut Round, ground: &Ground, key: &Key, pod: &Pod) {
        let uid = id(pod);
        let runs = self.pods.get_mut(uid).is_some_and(|local| local.stop(ground));
        let grace = pod.metadata.deletion_grace_period_seconds.and_then(|grace| u64::try_from(grace).ok());
        let grace = Duration::from_secs(grace.unwrap_or(30));
        let pause = round.settings.pace.stop.min(grace);
        let knows = runs || self.pods.contains_key(uid);
        if !knows || round.due("ends", uid, pause) {
            let (key, uid) = (key.clone(), uid.to_owned());
            round.act(format!("end of pod {}/{}", key.0, key.1), move |hand| async move {
                hand.delete::<Pod>(&key, &uid, Some(0)).await
            });
        }
    }

    /// Which claims are in use on which node.
    fn attached(&self) -> BTreeSet<(String, String)> {
        let running = self.pods.values().filter(|local| local.runs());
        running.flat_map(|local| local.claims.values().map(|claim| (claim.clone(), local.node.clone()))).collect()
    }

    fn free_address(&mut self, settings: &Settings) -> String {
        let used: BTreeSet<_> = self.pods.values().filter_map(|local| local.ip.as_deref()).collect();
        loop {
            self.given = self.given % 60_000 + 1;
            let (high, low) = (self.given / 250, self.given % 250 + 1);
            let ip = format!("{}{high}.{low}", settings.pod_range());
            if !used.contains(ip.as_str()) {
                return ip;
            }
        }
    }

    /// A process dies.
    pub(super) fn crash(&mut self, key: &Key, ground: &Ground) {
        for local in self.pods.values_mut().filter(|local| local.key == *key) {
            local.crash(&Exit { code: 137, words: String::new() }, ground);
        }
    }

    /// A machine goes down with everything that runs on it. The claims that were in use there.
    pub(super) fn lose(&mut self, node: &str, ground: &Ground) -> BTreeSet<String> {
        let mut claims = BTreeSet::new();
        self.pods.retain(|_, local| {
            if local.node == node {
                local.stop(ground);
                claims.extend(local.claims.values().cloned());
            }
            local.node != node
        });
        claims
    }

    /// The disk under a claim is wiped: what runs on it dies of it.
    pub(super) fn wipe(&mut self, claim: &str, ground: &Ground) {
        let on_it = |local: &&mut Local| local.claims.values().any(|used| used == claim);
        for local in self.pods.values_mut().filter(on_it) {
            local.crash(&Exit { code: 1, words: "input/output error".to_owned() }, ground);
        }
        ground.programs.lose_volume(claim);
    }
}

/// Whether a pod's volumes are there and its images could be: after that, its containers start.
fn prepare(round: &mut Round, pod: &Pod, node: &str, attached: &BTreeSet<(String, String)>) -> bool {
    let Some(claims) = claims(round.objects, pod) else { return false };
    // A volume is on one node at a time.
    let elsewhere = |claim: &String| attached.iter().any(|(used, on)| used == claim && on != node);
    if claims.values().any(elsewhere) {
        return false;
    }
    let start = round.settings.pace.start;
    round.due("starts", id(pod), start)
}

/// The UIDs of a pod's claims by the names of its volumes, once all of them are bound.
fn claims(objects: &Objects, pod: &Pod) -> Option<BTreeMap<String, String>> {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let claimed = volumes.filter_map(|volume| Some((&volume.name, volume.persistent_volume_claim.as_ref()?)));
    claimed
        .map(|(volume, source)| {
            let claim = objects.claims.get(&(namespace.clone(), source.claim_name.clone()))?;
            let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
            bound.then(|| (volume.clone(), id(claim).to_owned()))
        })
        .collect()
}

impl Ground<'_> {
    /// Whether an image can be had. One with `missing` in its name never can.
    fn has_image(&self, image: &str) -> bool {
        self.images && !image.contains("missing")
    }
}

/// Whether images are to be had.
pub(super) fn images(withheld: &BTreeSet<Goods>) -> bool {
    !withheld.contains(&Goods::Images)
}
