//! S7: a life of the controller writes only while the Lease is its own, and no longer than ten seconds after it last
//! renewed it. What counts is when a write is sent; one that arrives late has its own precondition.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Check, Truth,
    look::{MASTER, text},
    request::{LEASES, body},
};
use crate::tape::{Event, Life, Party};

/// How long after a renewal a life may write.
const DEADLINE: Duration = Duration::from_millis(10_100);
/// How long a holder takes to see that somebody else has changed its Lease.
const NOTICED: Duration = Duration::from_secs(20);

/// See the module.
#[derive(Default)]
pub struct Fencing {
    /// The name of each life, as it writes it into the Lease.
    names: BTreeMap<Life, String>,
    /// Whose the Lease is, as controllers have written it.
    holder: Option<String>,
    /// When the last renewal of each life was sent.
    renewed: BTreeMap<Life, Duration>,
    /// Lease writes that are under way: when they were sent.
    sent: BTreeMap<u64, Duration>,
    /// Whose lease write was carried out a moment ago.
    done: Option<Life>,
    /// The last version of the Lease, and until when it counts as meddled with.
    version: u64,
    meddled_until: Duration,
}

impl Check for Fencing {
    fn name(&self) -> &'static str {
        "S7 fencing"
    }

    fn see(&mut self, now: Duration, event: &Event, _: &Truth) -> Result<(), String> {
        match event {
            Event::Sent(call) if call.is_write() && call.path.contains("/leases") => {
                let lease = body(call);
                let name = text(&lease, "/spec/holderIdentity");
                if !name.is_empty() {
                    self.names.entry(call.life).or_insert_with(|| name.to_owned());
                }
                self.sent.insert(call.number, now);
                Ok(())
            }
            Event::Sent(call) if call.is_step() => self.judge(now, call.life).map_err(|why| format!("{call}: {why}")),
            Event::Answered(call, _) if call.is_write() && call.path.contains("/leases") => {
                let sent = self.sent.remove(&call.number);
                if let (Some(sent), Some(life)) = (sent, self.done.take().filter(|life| *life == call.life)) {
                    let last = self.renewed.entry(life).or_default();
                    *last = sent.max(*last);
                }
                Ok(())
            }
            Event::Committed(site, party, commit) if &**site == MASTER && commit.place.resource == LEASES => {
                if commit.version < self.version {
                    self.meddled_until = now + NOTICED;
                }
                self.version = commit.version;
                match (party, commit.after.as_deref()) {
                    (Party::Controller(life), Some(lease)) => {
                        let holder = text(lease, "/spec/holderIdentity");
                        self.holder = Some(holder.to_owned()).filter(|holder| !holder.is_empty());
                        self.done = Some(*life);
                    }
                    _ => self.meddled_until = now + NOTICED,
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Fencing {
    fn judge(&self, now: Duration, life: Life) -> Result<(), String> {
        let Some((name, renewed)) = self.names.get(&life).zip(self.renewed.get(&life)) else {
            return Err("it writes without ever having held the Lease".to_owned());
        };
        let ago = now.saturating_sub(*renewed);
        if ago > DEADLINE {
            return Err(format!("it writes {:.1} s after its last renewal of the Lease", ago.as_secs_f64()));
        }
        match &self.holder {
            Some(holder) if holder == name => Ok(()),
            _ if now < self.meddled_until => Ok(()),
            Some(holder) => Err(format!("it writes while the Lease is {holder}'s")),
            None => Err("it writes after it has let the Lease go".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::{Scene, seconds};

    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/atoll-system/leases";
    const STATUS: &str = "/apis/k8s.oceanbase.com/v1alpha1/k8sclusters/w1/status";

    fn lease(holder: &str) -> serde_json::Value {
        json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "atoll" },
            "spec": { "holderIdentity": holder, "leaseDurationSeconds": 20 } })
    }

    /// A life takes the lease: by creating it, or by taking it over.
    fn takes(scene: &mut Scene, check: &mut Fencing, life: u32, holder: &str) {
        let taken = format!("{LEASE}/atoll");
        let there = scene.get("master", LEASES, "atoll-system", "atoll");
        let mut wanted = lease(holder);
        let renewed = jiff::Timestamp::UNIX_EPOCH + scene.now;
        wanted["spec"]["renewTime"] = json!(renewed.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
        let (verb, path) = match there {
            None => ("POST", LEASE),
            Some(there) => {
                wanted["metadata"] = there["metadata"].clone();
                ("PUT", taken.as_str())
            }
        };
        for event in scene.does(life, "master", verb, path, &wanted) {
            scene.see(check, &event).expect("leases are free");
        }
    }

    fn writes(scene: &mut Scene, check: &mut Fencing, life: u32) -> Result<(), String> {
        let sent = scene.sends(life, "master", "PATCH", STATUS, &json!({}));
        scene.see(check, &sent)
    }

    #[test]
    fn only_the_holder_writes_and_only_for_ten_seconds() {
        let (mut scene, mut check) = (Scene::new(), Fencing::default());
        writes(&mut scene, &mut check, 1).expect_err("it has never held the lease");
        takes(&mut scene, &mut check, 1, "one");
        scene.now += seconds(10);
        writes(&mut scene, &mut check, 1).expect("within ten seconds");
        scene.now += seconds(1);
        let words = writes(&mut scene, &mut check, 1).expect_err("late");
        assert!(words.contains("after its last renewal"), "{words}");
        takes(&mut scene, &mut check, 1, "one");
        writes(&mut scene, &mut check, 1).expect("renewed");
        takes(&mut scene, &mut check, 2, "two");
        writes(&mut scene, &mut check, 2).expect("the new holder");
        let words = writes(&mut scene, &mut check, 1).expect_err("no longer its own");
        assert!(words.contains("two's"), "{words}");
    }

    #[test]
    fn reading_and_events_need_no_lease() {
        let (mut scene, mut check) = (Scene::new(), Fencing::default());
        for (verb, path) in [("GET", "/api/v1/pods"), ("POST", "/apis/events.k8s.io/v1/namespaces/default/events")] {
            let sent = scene.sends(1, "master", verb, path, &json!({}));
            scene.see(&mut check, &sent).expect(path);
        }
    }
}
