//! What a kubelet says of a pod.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
        HostIP, Pod, PodCondition, PodIP, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use serde_json::Value;

use super::{
    container::{Container, Ended, State},
    local::Local,
};
use crate::world::Settings;

impl Local {
    /// How the pod fares, in the API's words.
    pub(super) fn status(&self, settings: &Settings) -> PodStatus {
        let over = self.over().filter(|_| !self.stopped);
        let starting = |container: &Container| matches!(container.state, State::Creating | State::NoImage(_));
        let phase = match over {
            Some(true) => "Succeeded",
            Some(false) => "Failed",
            None if self.containers.iter().any(starting) => "Pending",
            None => "Running",
        };
        let host = settings.host_ip(&self.node);
        PodStatus {
            phase: Some(phase.to_owned()),
            start_time: Some(Time(self.begun)),
            host_ip: Some(host.clone()),
            host_ips: Some(vec![HostIP { ip: host }]),
            pod_ip: self.ip.clone(),
            pod_ips: self.ip.clone().map(|ip| vec![PodIP { ip }]),
            conditions: Some(self.conditions(over)),
            container_statuses: Some(self.containers.iter().map(|one| self.container(one, settings)).collect()),
            ..PodStatus::default()
        }
    }

    fn conditions(&self, over: Option<bool>) -> Vec<PodCondition> {
        let unready: Vec<_> =
            self.containers.iter().filter(|one| !one.is_ready()).map(|one| one.spec.name.as_str()).collect();
        let (reason, message) = match over {
            Some(true) => (Some("PodCompleted"), None),
            Some(false) => (Some("PodFailed"), None),
            None if unready.is_empty() => (None, None),
            None => {
                let words = format!("containers with unready status: [{}]", unready.join(" "));
                (Some("ContainersNotReady"), Some(words))
            }
        };
        let (ready, since) = self.ready;
        let of_readiness = |kind: &str| PodCondition {
            type_: kind.to_owned(),
            status: word(ready).to_owned(),
            reason: reason.map(str::to_owned),
            message: message.clone(),
            last_transition_time: Some(Time(since)),
            ..PodCondition::default()
        };
        let holds = |kind: &str| PodCondition {
            type_: kind.to_owned(),
            status: word(true).to_owned(),
            last_transition_time: Some(Time(self.begun)),
            ..PodCondition::default()
        };
        vec![holds("Initialized"), of_readiness("Ready"), of_readiness("ContainersReady"), holds("PodScheduled")]
    }

    fn container(&self, one: &Container, settings: &Settings) -> ContainerStatus {
        let pause = one.present_pause(settings.pace.back_off);
        let waiting = one.waiting(&self.key.1, pause).map(|(reason, message)| ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message: Some(message).filter(|message| !message.is_empty()),
        });
        let running = match &one.state {
            State::Running(running) => Some(ContainerStateRunning { started_at: Some(Time(running.at)) }),
            _ => None,
        };
        let terminated = match &one.state {
            State::Ended(ended) => Some(end(ended)),
            _ => None,
        };
        let last = one.last.as_ref().filter(|_| terminated.is_none());
        let started = matches!(&one.state, State::Running(running) if running.started);
        ContainerStatus {
            name: one.spec.name.clone(),
            image: one.spec.image.clone().unwrap_or_default(),
            ready: one.is_ready(),
            started: Some(started),
            restart_count: one.restarts,
            state: Some(ContainerState { waiting, running, terminated }),
            last_state: Some(ContainerState { terminated: last.map(end), ..ContainerState::default() }),
            ..ContainerStatus::default()
        }
    }
}

fn end(ended: &Ended) -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: ended.exit.code,
        reason: Some(if ended.exit.code == 0 { "Completed" } else { "Error" }.to_owned()),
        message: Some(ended.exit.words.clone()).filter(|words| !words.is_empty()),
        started_at: Some(Time(ended.began)),
        finished_at: Some(Time(ended.at)),
        ..ContainerStateTerminated::default()
    }
}

fn word(so: bool) -> &'static str {
    if so { "True" } else { "False" }
}

/// What is to be written for a pod to say this; nothing if it does. Conditions of others stay.
pub(super) fn difference(wanted: &PodStatus, pod: &Pod) -> Option<Value> {
    let absent = PodStatus::default();
    let said = pod.status.as_ref().unwrap_or(&absent);
    let known: Vec<_> = said.conditions.iter().flatten().collect();
    let says = |one: &PodCondition| {
        known.iter().any(|k| {
            k.type_ == one.type_ && k.status == one.status && k.reason == one.reason && k.message == one.message
        })
    };
    let same = said.phase == wanted.phase
        && said.host_ip == wanted.host_ip
        && said.pod_ip == wanted.pod_ip
        && said.start_time == wanted.start_time
        && said.container_statuses == wanted.container_statuses
        && wanted.conditions.iter().flatten().all(says);
    if same {
        return None;
    }
    let mut status = wanted.clone();
    let own = status.conditions.get_or_insert_default();
    for one in own.iter_mut() {
        // A condition that stays as it was has been so for as long.
        let before = known.iter().find(|k| k.type_ == one.type_ && k.status == one.status);
        if let Some(before) = before {
            one.last_transition_time.clone_from(&before.last_transition_time);
        }
    }
    let others: Vec<_> =
        known.iter().filter(|k| own.iter().all(|one| one.type_ != k.type_)).map(|k| (*k).clone()).collect();
    own.extend(others);
    serde_json::to_value(status).ok()
}

/// A moment as the API writes it: whole seconds.
pub(in crate::world) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
