//! Probes: how often something was found well or not, in a row.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{ContainerPort, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tokio::time::Instant;

use super::Ground;
use crate::world::programs::RunId;

/// One probe of one running program.
pub(super) struct Gauge {
    /// When it is made next.
    pub(super) next: Instant,
    /// How often in a row it went well, or (below zero) did not.
    streak: i32,
}

impl Gauge {
    pub(super) fn new(probe: Option<&Probe>, now: Instant) -> Self {
        let delay = probe.and_then(|probe| probe.initial_delay_seconds);
        Self { next: now + seconds(delay, 0), streak: 0 }
    }

    /// Makes the probe if it is time. `None`: it says nothing yet.
    pub(super) fn step(&mut self, probe: &Probe, ports: &[ContainerPort], run: RunId, ground: &Ground) -> Option<bool> {
        if self.next > ground.now {
            return None;
        }
        self.next = ground.now + seconds(probe.period_seconds, 10).max(ground.settings.pace.probe);
        let well = ask(probe, ports, run, ground);
        self.streak = if well { self.streak.max(0) + 1 } else { self.streak.min(0) - 1 };
        if self.streak >= probe.success_threshold.unwrap_or(1) {
            Some(true)
        } else if -self.streak >= probe.failure_threshold.unwrap_or(3) {
            Some(false)
        } else {
            None
        }
    }
}

/// Programs are only ever asked by HTTP; other probes go well.
fn ask(probe: &Probe, ports: &[ContainerPort], run: RunId, ground: &Ground) -> bool {
    let Some(get) = &probe.http_get else { return true };
    let port = match &get.port {
        IntOrString::Int(port) => u16::try_from(*port).ok(),
        IntOrString::String(name) => {
            let named = ports.iter().find(|port| port.name.as_ref() == Some(name));
            named.and_then(|port| u16::try_from(port.container_port).ok())
        }
    };
    port.is_some_and(|port| ground.programs.probe(run, port, get.path.as_deref().unwrap_or("/")))
}

fn seconds(said: Option<i32>, otherwise: u64) -> Duration {
    Duration::from_secs(said.and_then(|said| u64::try_from(said).ok()).unwrap_or(otherwise))
}
