//! A container of a pod on its node: it waits, runs, ends, and is started again after a pause that grows.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use tokio::time::Instant;

use super::{FAR, Ground, local::Policy, probe::Gauge};
use crate::world::programs::{Exit, RunId};

/// How often an end is looked for where no probe looks.
const GLANCE: Duration = Duration::from_secs(1);
/// From failing to pull an image to waiting before the next try.
const PULLS_AGAIN: Duration = Duration::from_secs(10);
/// What has run for this long has not crashed at its start.
const LASTING: Duration = Duration::from_mins(10);
/// The pause before a container is started again never grows beyond this many times the first.
const LONGEST: u32 = 30;

/// A container.
pub(super) struct Container {
    pub(super) spec: core::Container,
    pub(super) state: State,
    pub(super) restarts: i32,
    /// How it ended last.
    pub(super) last: Option<Ended>,
    /// How often in a row it has ended soon.
    crashes: u32,
}

/// What it does.
pub(super) enum State {
    /// Volumes or images are not there yet.
    Creating,
    /// Its image cannot be had.
    NoImage(Pull),
    /// It runs.
    Running(Running),
    /// It ended, and will be started again.
    BackOff(Instant),
    /// It ended.
    Ended(Ended),
}

/// A pull that fails.
pub(super) struct Pull {
    since: Instant,
    again: bool,
}

/// What is known of a program that runs.
pub(super) struct Running {
    run: RunId,
    pub(super) at: Timestamp,
    since: Instant,
    pub(super) started: bool,
    ready: bool,
    startup: Gauge,
    readiness: Gauge,
    liveness: Gauge,
}

/// How a program ended.
#[derive(Clone)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) began: Timestamp,
    pub(super) at: Timestamp,
}

impl Container {
    /// A container that waits to be started. If it ran before, it ended in a way that nobody saw.
    pub(super) fn new(spec: core::Container, before: Option<&core::ContainerStatus>, ground: &Ground) -> Self {
        let ran = before.and_then(|before| before.state.as_ref()?.running.as_ref());
        let last = ran.map(|ran| Ended {
            exit: Exit { code: 255, words: String::new() },
            began: ran.started_at.as_ref().map_or(ground.wall, |time| time.0),
            at: ground.wall,
        });
        Self {
            spec,
            state: State::Creating,
            restarts: before.map_or(0, |before| before.restart_count),
            last,
            crashes: 0,
        }
    }

    pub(super) fn run(&self) -> Option<RunId> {
        match &self.state {
            State::Running(running) => Some(running.run),
            _ => None,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(&self.state, State::Running(running) if running.ready)
    }

    pub(super) fn waits_for_image(&self) -> bool {
        matches!(self.state, State::NoImage(_))
    }

    /// Its ports, by name; one without a name by its number.
    pub(super) fn ports(&self) -> BTreeMap<String, u16> {
        let named = |port: &core::ContainerPort| {
            let number = u16::try_from(port.container_port).ok()?;
            Some((port.name.clone().unwrap_or_else(|| number.to_string()), number))
        };
        self.spec.ports.iter().flatten().filter_map(named).collect()
    }

    /// Whether it is to be started now. An image that cannot be had is noted.
    pub(super) fn wants_start(&mut self, ground: &Ground) -> bool {
        let waits = match &self.state {
            State::Creating | State::NoImage(_) => true,
            State::BackOff(until) => *until <= ground.now,
            State::Running(_) | State::Ended(_) => false,
        };
        if waits && !ground.has_image(self.spec.image.as_deref().unwrap_or_default()) {
            if !matches!(self.state, State::NoImage(_)) {
                self.state = State::NoImage(Pull { since: ground.now, again: false });
            }
            return false;
        }
        waits
    }

    pub(super) fn start(&mut self, run: RunId, ground: &Ground) {
        if self.last.is_some() {
            self.restarts += 1;
        }
        let gauge = |probe: Option<&core::Probe>| Gauge::new(probe, ground.now);
        self.state = State::Running(Running {
            run,
            at: ground.wall,
            since: ground.now,
            started: self.spec.startup_probe.is_none(),
            ready: self.spec.startup_probe.is_none() && self.spec.readiness_probe.is_none(),
            startup: gauge(self.spec.startup_probe.as_ref()),
            readiness: gauge(self.spec.readiness_probe.as_ref()),
            liveness: gauge(self.spec.liveness_probe.as_ref()),
        });
    }

    /// Looks whether it has ended, and probes it. Whether anything is to be told.
    pub(super) fn look(&mut self, policy: Policy, ground: &Ground) -> bool {
        let ports = || self.spec.ports.as_deref().unwrap_or_default();
        let running = match &mut self.state {
            State::Running(running) => running,
            // A pull that failed is tried again later, and says so.
            State::NoImage(pull) if !pull.again && pull.since + PULLS_AGAIN <= ground.now => {
                pull.again = true;
                return true;
            }
            _ => return false,
        };
        if let Some(exit) = ground.programs.exited(running.run) {
            self.ended(&exit, policy, ground);
            return true;
        }
        let was = (running.started, running.ready);
        let mut dead = false;
        if let Some(probe) = self.spec.startup_probe.as_ref().filter(|_| !running.started) {
            match running.startup.step(probe, ports(), running.run, ground) {
                Some(true) => {
                    running.started = true;
                    running.ready = self.spec.readiness_probe.is_none();
                }
                Some(false) => dead = true,
                None => {}
            }
        }
        if running.started {
            if let Some(probe) = &self.spec.readiness_probe
                && let Some(verdict) = running.readiness.step(probe, ports(), running.run, ground)
            {
                running.ready = verdict;
            }
            if let Some(probe) = &self.spec.liveness_probe {
                dead |= running.liveness.step(probe, ports(), running.run, ground) == Some(false);
            }
        }
        let changed = was != (running.started, running.ready);
        if dead {
            self.kill(&Exit { code: 137, words: String::new() }, policy, ground);
        }
        changed || dead
    }

    /// When it is to be looked at next.
    pub(super) fn due(&self, ground: &Ground) -> Instant {
        match &self.state {
            State::NoImage(pull) if !pull.again => pull.since + PULLS_AGAIN,
            State::Creating | State::Ended(_) | State::NoImage(_) => ground.now + FAR,
            State::BackOff(until) => *until,
            State::Running(running) if !running.started => running.startup.next,
            State::Running(running) => {
                let glance = ground.now + GLANCE;
                let ready = self.spec.readiness_probe.as_ref().map_or(glance, |_| running.readiness.next);
                self.spec.liveness_probe.as_ref().map_or(ready, |_| ready.min(running.liveness.next))
            }
        }
    }

    /// It is killed, and fares as if it had died so.
    pub(super) fn kill(&mut self, exit: &Exit, policy: Policy, ground: &Ground) {
        self.stop_program(ground);
        self.ended(exit, policy, ground);
    }

    /// It is stopped for good.
    pub(super) fn stop(&mut self, ground: &Ground) {
        self.stop_program(ground);
        self.ended(&Exit { code: 0, words: String::new() }, Policy::Never, ground);
    }

    fn stop_program(&self, ground: &Ground) {
        if let Some(run) = self.run() {
            ground.programs.stop(run);
        }
    }

    fn ended(&mut self, exit: &Exit, policy: Policy, ground: &Ground) {
        let State::Running(running) = &self.state else { return };
        let ended = Ended { exit: exit.clone(), began: running.at, at: ground.wall };
        self.crashes = if running.since + LASTING <= ground.now { 1 } else { self.crashes + 1 };
        let again = match policy {
            Policy::Always => true,
            Policy::OnFailure => exit.code != 0,
            Policy::Never => false,
        };
        self.last = Some(ended.clone());
        self.state = if again { State::BackOff(ground.now + self.pause(ground)) } else { State::Ended(ended) };
    }

    /// The first time it is started again at once.
    fn pause(&self, ground: &Ground) -> Duration {
        let first = ground.settings.pace.back_off;
        match self.crashes {
            0 | 1 => Duration::ZERO,
            more => first * 2_u32.saturating_pow(more - 2).min(LONGEST),
        }
    }

    /// Why it waits, and words for people.
    pub(super) fn waiting(&self, pod: &str, pause: Duration) -> Option<(&'static str, String)> {
        let image = self.spec.image.as_deref().unwrap_or_default();
        match &self.state {
            State::Creating => Some(("ContainerCreating", String::new())),
            State::NoImage(pull) if !pull.again => {
                let why =
                    format!("failed to pull and unpack image \"{image}\": failed to resolve reference: not found");
                Some(("ErrImagePull", why))
            }
            State::NoImage(_) => Some(("ImagePullBackOff", format!("Back-off pulling image \"{image}\""))),
            State::BackOff(_) => {
                let name = &self.spec.name;
                let why = format!("back-off {}s restarting failed container={name} pod={pod}", pause.as_secs());
                Some(("CrashLoopBackOff", why))
            }
            State::Running(_) | State::Ended(_) => None,
        }
    }

    /// The pause that it waits for before it is started again.
    pub(super) fn present_pause(&self, first: Duration) -> Duration {
        first * 2_u32.saturating_pow(self.crashes.saturating_sub(2)).min(LONGEST)
    }
}
