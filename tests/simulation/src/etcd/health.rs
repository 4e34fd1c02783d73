//! Probes and metrics.

use serde_json::json;

use super::{Reply, gateway::Call, ids::ProcessId, state::State, version::Version};

impl State {
    /// Answers a probe. None while a read with a majority waits for one.
    pub(super) fn probe(&self, id: ProcessId, version: Version, call: Call) -> Option<Reply> {
        let node = self.node(id)?;
        let (path, query) = call.path.split_once('?').unwrap_or((call.path, ""));
        let known = match path {
            "/health" | "/metrics" => true,
            "/livez" | "/readyz" => version.has_readyz(),
            _ => false,
        };
        if !known {
            return Some(Reply { status: 404, body: "404 page not found\n".to_owned() });
        }
        if call.method != "GET" {
            return Some(Reply { status: 405, body: "Method Not Allowed\n".to_owned() });
        }
        let local = query.split('&').any(|part| part == "serializable=true");
        match path {
            "/metrics" => {
                let (leader, leads) = (u8::from(node.leader.is_some()), u8::from(node.leads()));
                Some(Reply {
                    status: 200,
                    body: format!("etcd_server_has_leader {leader}\netcd_server_is_leader {leads}\n"),
                })
            }
            "/livez" => Some(Reply { status: 200, body: "ok\n".to_owned() }),
            "/health" if local => Some(health("true", "")),
            "/health" if node.leader.is_none() => Some(health("false", "RAFT NO LEADER")),
            "/health" => self.reads(id).then(|| health("true", "")),
            _ if !self.reads(id) => None,
            _ if node.machine.is_learner(node.id()) => Some(Reply {
                status: 503,
                body: "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n\
                       [-]non_learner failed: not supported for learner\n\n"
                    .to_owned(),
            }),
            _ => Some(Reply { status: 200, body: "ok\n".to_owned() }),
        }
    }
}

fn health(health: &str, reason: &str) -> Reply {
    let body = json!({ "health": health, "reason": reason }).to_string();
    if health == "true" { Reply { status: 200, body } } else { Reply { status: 503, body: format!("{body}\n") } }
}
