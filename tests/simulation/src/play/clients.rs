//! Clients of the databases: they write all the time, and remember what was acknowledged.

use std::time::Duration;

use atoll::dialect::{Dialect as _, kubeblocks::Cluster};
use kube::ResourceExt as _;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    entropy,
    etcd::{Etcds, Outcome},
    place::Place,
    stage::{MASTER, Simulated, Stage as _},
    tape::{Event, Tape},
};

/// How often each database is written to.
const EVERY: Duration = Duration::from_millis(1_500);

/// Writes to every database that there is, in turn through each of its members, from each cluster, until the handle goes.
pub(crate) fn start(stage: &Simulated) -> AbortOnDropHandle<()> {
    let (tape, etcds) = (stage.tape.clone(), stage.truth.etcds.clone());
    let (master, sites) = (stage.server(MASTER).clone(), stage.workers());
    let task = tokio::spawn(async move {
        let mut number = 0usize;
        loop {
            tokio::time::sleep(EVERY).await;
            number += 1;
            for found in master.list("clusters.apps.kubeblocks.io") {
                let Ok(cluster) = serde_json::from_value::<Cluster>((*found).clone()) else { continue };
                let place = Place::Cluster(sites[number % sites.len()].to_string());
                write(&tape, &etcds, &cluster, &place, number);
            }
        }
    });
    AbortOnDropHandle::new(task)
}

fn write(tape: &Tape, etcds: &Etcds, cluster: &Cluster, from: &Place, number: usize) {
    let Some(record) = cluster.record() else { return };
    let addresses: Vec<_> = record.members.iter().filter_map(|member| member.client.as_deref()).collect();
    if addresses.is_empty() {
        return;
    }
    let address = addresses[number % addresses.len()];
    // Some are written again and again; the others once, so that no later write hides that one is lost.
    let key = if number.is_multiple_of(2) { format!("key-{}", number % 7) } else { format!("once-{number}") };
    let value = format!("value-{number}");
    if let Outcome::Acknowledged { cluster_id, .. } = etcds.client_put(entropy::elapsed(), from, address, &key, &value)
    {
        let database = cluster.uid().unwrap_or_default();
        tape.note(Event::Acknowledged { database, by: cluster_id, key, value });
    }
}
