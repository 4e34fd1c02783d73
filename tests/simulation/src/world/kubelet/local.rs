//! A pod on its node.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{self as core, Pod};
use tokio::time::Instant;

use super::{
    FAR, Ground,
    container::{Container, State},
};
use crate::world::{
    net::{self, Process},
    objects::{Key, id},
    programs::{self, Exit},
};

/// A pod on its node.
pub(in crate::world) struct Local {
    pub(super) key: Key,
    pub(super) uid: String,
    pub(super) node: String,
    pub(super) policy: Policy,
    labels: BTreeMap<String, String>,
    /// When the kubelet has heard of it.
    pub(super) begun: Timestamp,
    /// Its address, once everything is there for its containers to start.
    pub(super) ip: Option<String>,
    /// Claims by the names of its volumes.
    pub(super) claims: BTreeMap<String, String>,
    pub(super) containers: Vec<Container>,
    /// Whether all of its containers are ready, and since when it is or is not.
    pub(super) ready: (bool, Timestamp),
    /// It is to run no more.
    pub(super) stopped: bool,
    /// When it is to be looked at.
    pub(in crate::world) due: Instant,
}

/// Whether what has ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Always,
    OnFailure,
    Never,
}

impl Local {
    pub(super) fn new(key: &Key, pod: &Pod, node: &str, ground: &Ground) -> Self {
        let spec = pod.spec.as_ref();
        let containers = spec.into_iter().flat_map(|spec| &spec.containers);
        // A machine that went down finds its pods again, and starts them once more.
        let before = |name: &str| pod.status.as_ref()?.container_statuses.as_ref()?.iter().find(|one| one.name == name);
        let container = |spec: &core::Container| Container::new(spec.clone(), before(&spec.name), ground);
        let begun = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
        Self {
            key: key.clone(),
            uid: id(pod).to_owned(),
            node: node.to_owned(),
            policy: match spec.and_then(|spec| spec.restart_policy.as_deref()) {
                Some("Never") => Policy::Never,
                Some("OnFailure") => Policy::OnFailure,
                _ => Policy::Always,
            },
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            begun: begun.map_or(ground.wall, |time| time.0),
            ip: None,
            claims: BTreeMap::new(),
            containers: containers.map(container).collect(),
            ready: (false, ground.wall),
            stopped: false,
            due: ground.now,
        }
    }

    /// What may change in a pod that runs: its images.
    pub(super) fn take_in(&mut self, pod: &Pod, ground: &Ground) {
        let wanted = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut changed = false;
        for container in wanted {
            let own = self.containers.iter_mut().find(|own| own.spec.name == container.name);
            let Some(own) = own.filter(|own| own.spec.image != container.image) else { continue };
            own.spec.image.clone_from(&container.image);
            own.kill(&Exit { code: 0, words: String::new() }, self.policy, ground);
            changed = true;
        }
        if changed {
            self.tick(ground);
        }
    }

    /// Whether any of its programs runs.
    pub(super) fn runs(&self) -> bool {
        self.containers.iter().any(|container| container.run().is_some())
    }

    /// Looks after its containers. Whether anything is to be told.
    pub(super) fn tick(&mut self, ground: &Ground) -> bool {
        self.due = ground.now + FAR;
        let Some(ip) = self.ip.clone().filter(|_| !self.stopped) else { return false };
        let mut changed = false;
        for index in 0..self.containers.len() {
            changed |= self.containers[index].look(self.policy, ground);
            let could = self.containers[index].waits_for_image();
            if self.containers[index].wants_start(ground) {
                let what = self.program(&self.containers[index], &ip, ground);
                self.containers[index].start(ground.programs.start(what), ground);
                changed = true;
            }
            changed |= could != self.containers[index].waits_for_image();
            self.due = self.due.min(self.containers[index].due(ground));
        }
        if changed {
            self.register(ground);
        }
        let ready = self.containers.iter().all(Container::is_ready);
        if ready != self.ready.0 {
            self.ready = (ready, ground.wall);
            changed = true;
        }
        changed
    }

    /// Ends everything, for good. Whether anything ran.
    pub(super) fn stop(&mut self, ground: &Ground) -> bool {
        self.stopped = true;
        let ran = self.runs();
        for container in &mut self.containers {
            container.stop(ground);
        }
        self.register(ground);
        ran
    }

    /// Its programs die.
    pub(super) fn crash(&mut self, exit: &Exit, ground: &Ground) {
        for container in &mut self.containers {
            if container.run().is_some() {
                container.kill(exit, self.policy, ground);
            }
        }
        self.register(ground);
        self.due = ground.now;
    }

    /// Tells the network who answers at its address.
    fn register(&self, ground: &Ground) {
        let Some(ip) = self.ip.clone() else { return };
        let process = |container: &Container| Some(Process { run: container.run()?, ports: container.ports() });
        let processes = self.containers.iter().filter_map(process).collect();
        ground.net.set_pod(&ground.settings.cluster, net::Pod { uid: self.uid.clone(), ip, processes });
    }

    fn program(&self, container: &Container, ip: &str, ground: &Ground) -> programs::Container {
        let spec = &container.spec;
        let said = |var: &core::EnvVar| Some((var.name.clone(), var.value.clone()?));
        programs::Container {
            cluster: ground.settings.cluster.clone(),
            node: self.node.clone(),
            namespace: self.key.0.clone(),
            pod: self.key.1.clone(),
            pod_uid: self.uid.clone(),
            ip: ip.to_owned(),
            labels: self.labels.clone(),
            name: spec.name.clone(),
            image: spec.image.clone().unwrap_or_default(),
            command: spec.command.clone().unwrap_or_default(),
            args: spec.args.clone().unwrap_or_default(),
            env: spec.env.iter().flatten().filter_map(said).collect(),
            claims: self.claims.clone(),
            restarts: container.restarts,
        }
    }

    /// Whether all has ended that will not be started again; then, whether all of it went well.
    pub(super) fn over(&self) -> Option<bool> {
        let codes = self.containers.iter().map(|container| match &container.state {
            State::Ended(ended) => Some(ended.exit.code),
            _ => None,
        });
        let codes = codes.collect::<Option<Vec<_>>>()?;
        Some(codes.iter().all(|code| *code == 0))
    }
}

/// Whether a pod has done its work.
pub(super) fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
